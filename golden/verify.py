"""Checks an encoded program before it is run: it decodes every instruction from the DRAM image and follows what it
reads and writes, word by word, under the sync counts.

A program that passes reads no word that was not written before, overwrites none that is still needed, keeps within
every size of the tile, cannot lock up, and leaves all scores in the result area.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from golden.counts import emitted_rows
from golden.hazards import Clock, Ints, Order, buffers
from golden.integer import reciprocal
from golden.mapping.layout import lines_of
from golden.mapping.mapped import Mapped
from hw.errors import BadInput
from hw.instructions import Base, Buffer, Compute, Decide, End, Entry, Instruction, Load, Pool, Store, Window
from hw.isa import isa
from hw.params import TileParams


@dataclass(frozen=True)
class Checked:
    """What was followed: a pass on nothing is no pass."""

    instructions: int
    words_read: int
    words_written: int


@contextmanager
def _place(text: str) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{text}: {error}") from None


def _want(good: bool, message: str) -> None:
    if not good:
        raise BadInput(message)


def verify(mapped: Mapped) -> Checked:
    """Check every segment of ``mapped``'s program as it lies in its image; BadInput names the instruction."""
    p = mapped.params
    with _place("entry"):
        entry = _decode(mapped, mapped.program_address, 1)[0]
        if not isinstance(entry, Entry):
            raise BadInput(f"an ENTRY is wanted at beat {mapped.program_address}, not {entry.opcode.name}")
    total = Checked(1, 0, 0)
    for increment in range(len(mapped.segments)):
        with _place(f"increment {increment}"):
            code = _decode(mapped, entry.address[increment], entry.length[increment])
        segment = _Segment(mapped, increment, entry)
        for index, instruction in enumerate(code):
            with _place(f"increment {increment}, instruction {index} ({instruction.opcode.name})"):
                segment.step(instruction)
        with _place(f"increment {increment}"):
            segment.close()
        total = Checked(
            total.instructions + len(code),
            total.words_read + segment.words_read,
            total.words_written + segment.words_written,
        )
    _want(
        len(mapped.image) >= mapped.scratch_address * p.dram_beat_bytes,
        f"an image of {mapped.scratch_address * p.dram_beat_bytes} bytes up to the scratch area is wanted, not of "
        f"{len(mapped.image)}",
    )
    _want(p.dram_beats >= mapped.result_address + mapped.result_beats, "result area lies outside DRAM")
    return total


def _decode(mapped: Mapped, beat: int, count: int) -> list[Instruction]:
    coder = isa(mapped.params)
    first, size = beat * mapped.params.dram_beat_bytes, coder.instruction_bytes
    _want(
        count > 0 and first + count * size <= len(mapped.image),
        f"{count} instructions from beat {beat} on want to lie in the image of {len(mapped.image)} bytes",
    )
    found = []
    for index in range(count):
        with _place(f"instruction {index}"):
            raw = mapped.image[first + index * size : first + (index + 1) * size]
            try:
                found.append(coder.decode(raw))
            except ValueError as error:  # BadInput too: an opcode, buffer, base or pooling that does not exist
                raise BadInput(f"cannot be decoded, {error}") from None
    return found


class _Segment:
    """Abstract state of the machine while one segment runs."""

    def __init__(self, mapped: Mapped, increment: int, entry: Entry) -> None:
        self.mapped, self.increment, self.entry = mapped, increment, entry
        self.p: TileParams = mapped.params
        self.order = Order()
        self.buffers = buffers(self.p)
        self.modulus = (1 << isa(self.p).row_bits) * self.p.synapses
        self.scratch = np.zeros(mapped.scratch_beats * self.p.lines_per_beat, dtype=bool)
        self.result = np.zeros(mapped.result_beats * self.p.lines_per_beat, dtype=bool)
        self.window: Window | None = None
        self.bias_for = 0  # neurons whose biases are loaded
        self.open_sums: tuple[int, int] | None = None  # pixels and neurons of a sum that goes on
        self.open_pool: tuple[object, ...] | None = None  # pooling and next row of a block with rows to come
        self.classes = 0
        self.decided = self.ended = False
        self.words_read = self.words_written = 0

    def step(self, instruction: Instruction) -> None:
        _want(not self.ended, "nothing may follow END")
        if isinstance(instruction, Load | Store):
            self._transfer(instruction)
        elif isinstance(instruction, Window):
            self._window(instruction)
        elif isinstance(instruction, Compute):
            _want(not self.decided, "no compute may follow DECIDE")
            self._compute(instruction)
        elif isinstance(instruction, Decide):
            self._decide(instruction)
        elif isinstance(instruction, End):
            self.ended = True
        else:
            raise BadInput("ENTRY is wanted only at the program's start")

    def close(self) -> None:
        _want(self.ended and self.decided, "a segment wants one DECIDE and an END as its last instruction")
        wanted = lines_of(self.mapped.classes, self.p)
        _want(bool(self.result[:wanted].all()), f"{wanted} lines of scores want to be stored in the result area")

    def _decide(self, d: Decide) -> None:
        count = len(self.mapped.segments)
        last = self.increment == count - 1
        _want(not self.decided, "one DECIDE a segment is wanted")
        _want(d.increment == self.increment, f"increment {self.increment} is wanted, not {d.increment}")
        _want(d.last == last, f"last {int(last)} is wanted, not {d.last}")
        if not last:
            wanted = (self.entry.address[self.increment + 1], self.entry.length[self.increment + 1])
            _want((d.address, d.length) == wanted, f"the next segment {wanted} is wanted, not {(d.address, d.length)}")
        _want(self.open_sums is None, "a sum is still open; its last compute wants finish")
        _want(self.open_pool is None, "pooling windows are still open; the rows up to out_h are wanted")
        _want(
            self.classes == self.mapped.classes,
            f"scores of {self.mapped.classes} classes are wanted, not of {self.classes}",
        )
        self.decided = True

    # -- transfers -----------------------------------------------------------------------------------------------

    def _transfer(self, t: Load | Store) -> None:
        p = self.p
        clock = self.order.transfer(t.wait_dma, t.wait_read, t.wait_written, isinstance(t, Store))
        number = self.order.transfers
        _want(t.runs >= 1 and t.lines >= 1, f"at least one run and one line are wanted, not {t.runs} and {t.lines}")
        _want(1 <= t.last_words <= p.synapses, f"last_words wants 1 to {p.synapses}, not {t.last_words}")
        _want(t.bank < p.synapses and t.step_bank < p.synapses, f"banks want to be below {p.synapses}")
        runs = np.arange(t.runs)[:, None]
        lines = t.lines
        if isinstance(t, Store):  # zero lines fill up the beat in which a run ends
            lines = -(-lines // p.lines_per_beat) * p.lines_per_beat
        self._dram(t, (t.address + runs * t.run_beats) * p.lines_per_beat + np.arange(lines)[None, :])
        if t.buffer == Buffer.SB:
            _want(isinstance(t, Load), "a store wants NBin or NBout, not SB")
            _want(t.lines <= p.neurons, f"lines of an SB load want at most {p.neurons} neurons, not {t.lines}")
            _want(t.row + t.runs <= p.sb_rows, f"SB rows {t.row} to {t.row + t.runs - 1} want to be below {p.sb_rows}")
            words = _grid((t.row + np.arange(t.runs)) * p.neurons, np.arange(t.lines)) * p.synapses
            lanes = _grid(words, np.arange(p.synapses))
            keep = np.ones(lanes.shape, dtype=bool)
            keep[-1, :, t.last_words :] = False
            self._write(Buffer.SB, lanes[keep], clock, dma=number)
            return
        length = (t.lines - 1) * p.synapses + t.last_words
        start = t.row * p.synapses + t.bank + np.arange(t.runs) * (t.step_row * p.synapses + t.step_bank)
        words = (_grid(start, np.arange(length)) % self.modulus).reshape(-1)
        if isinstance(t, Load):
            self._write(t.buffer, words, clock, dma=number)
        else:
            self.buffers[t.buffer].read(words, clock, dma=number)
            self.words_read += len(words)

    def _dram(self, t: Load | Store, lines: Ints) -> None:
        """Where the lines of a transfer lie in DRAM, and that what is loaded was ever written."""
        p, mapped = self.p, self.mapped
        per_beat = p.lines_per_beat
        low, high = int(lines.min()), int(lines.max())
        if isinstance(t, Store):
            area = self.result if t.base == Base.RESULT else self.scratch
            first = 0 if t.base == Base.RESULT else mapped.scratch_address * per_beat
            _want(t.base != Base.IMAGE, "a store wants the scratch or result area, not the image")
            _want(
                first <= low and high < first + len(area),
                f"DRAM lines {low} to {high} want to lie in {first} to {first + len(area) - 1}",
            )
            area[(lines if area is self.scratch else lines[:, : t.lines]) - first] = True
            return
        _want(t.base != Base.RESULT, "a load from the result area is not wanted")
        if t.base == Base.IMAGE:
            beats = mapped.image_beats
            _want(high < beats * per_beat, f"lines {low} to {high} lie outside the image's {beats} beats")
            return
        loaded = lines[lines >= mapped.scratch_address * per_beat] - mapped.scratch_address * per_beat
        known = bool((loaded < len(self.scratch)).all()) and bool(self.scratch[loaded].all())
        _want(known, f"DRAM lines {low} to {high} are read but were never written")

    def _write(self, buffer: Buffer, words: Ints, clock: Clock, *, dma: int = 0, compute: int = 0) -> None:
        self.buffers[buffer].write(words, clock, dma=dma, compute=compute)
        self.words_written += len(words)

    # -- computes ------------------------------------------------------------------------------------------------

    def _window(self, w: Window) -> None:
        n = self.p.synapses
        _want(w.kernel_w >= 1 and w.kernel_h >= 1, f"a kernel of at least 1x1 is wanted, not {w.kernel_w}x{w.kernel_h}")
        lanes = range(n)
        _want(
            w.kx == tuple(e % w.kernel_w for e in lanes) and w.ky == tuple(e // w.kernel_w % w.kernel_h for e in lanes),
            f"kx and ky of lane e want e % {w.kernel_w} and e // {w.kernel_w} % {w.kernel_h}",
        )
        steps = (n % w.kernel_w, n // w.kernel_w % w.kernel_h)
        _want((w.step_x, w.step_y) == steps, f"steps {steps} are wanted, not {(w.step_x, w.step_y)}")
        self.window = w

    def _offsets(self, c: Compute) -> tuple[Ints, Ints, Ints]:
        """Word offset, kx and ky of every element of a compute's window; refuses offsets of no map."""
        w, n = self.window, self.p.synapses
        if w is None:
            raise BadInput("a compute wants a WINDOW before it")
        lane = np.arange(n)
        row, kx, ky = np.array(w.row_offset), np.array(w.kx), np.array(w.ky)
        found = []
        for _ in range(c.lines):
            found.append((row * n + lane, kx, ky))
            carry_x = (kx + w.step_x >= w.kernel_w).astype(np.int64)
            carry_y = (ky + w.step_y + carry_x >= w.kernel_h).astype(np.int64)
            row = row + np.array(w.delta)[carry_x + 2 * carry_y]
            kx, ky = kx + w.step_x - carry_x * w.kernel_w, ky + w.step_y + carry_x - carry_y * w.kernel_h
        count = (c.lines - 1) * n + c.last_lanes
        off, kx, ky = (np.concatenate([part[i] for part in found])[:count] for i in range(3))
        area = w.kernel_w * w.kernel_h
        channel = np.arange(count) // area
        pitch = int(off[w.kernel_w]) if w.kernel_h > 1 and count > w.kernel_w else w.kernel_w
        plane = int(off[area]) if count > area else area
        good = (off - (channel * plane + ky * pitch + kx)) % self.modulus == 0
        _want(
            bool(good.all()) and (pitch - w.kernel_w) % n == 0 and (plane - area) % n == 0,
            f"lane offsets want to follow a pitch of {w.kernel_w} and a plane of {area} modulo {n}, "
            f"else lanes meet in a bank (pitch {pitch}, plane {plane})",
        )
        return off, kx, ky

    def _compute(self, c: Compute) -> None:
        p = self.p
        clock = self.order.compute(c.wait_dma, c.wait_read, c.wait_written)
        number = self.order.computes
        self._sizes(c)
        off, kx, ky = self._offsets(c)
        self._chain(c)
        self._read_synapses(c, clock, number)
        x, y = np.arange(c.cols), np.arange(c.rows)[:, None]
        step_x = c.step_x_row * p.synapses + c.step_x_bank
        step_y = c.step_y_row * p.synapses + c.step_y_bank
        origin = (c.row * p.synapses + c.bank + y * step_y + x * step_x).reshape(-1, 1)
        at_x = np.broadcast_to(c.x0 + x * c.stride, (c.rows, c.cols)).reshape(-1, 1) + kx
        at_y = np.broadcast_to(c.y0 + y * c.stride, (c.rows, c.cols)).reshape(-1, 1) + ky
        inside = (at_x >= 0) & (at_x < c.in_w) & (at_y >= 0) & (at_y < c.in_h)
        words = np.unique(((origin + off) % self.modulus)[inside])
        self.buffers[c.source].read(words, clock, compute=number)
        self.words_read += len(words)
        if c.finish:
            self._finish(c, clock, number)

    def _sizes(self, c: Compute) -> None:
        p = self.p
        for name, low, high in (
            ("cols", 1, 1 << 10), ("rows", 1, 1 << 10), ("lines", 1, 1 << 12), ("last_lanes", 1, p.synapses),
            ("neurons", 1, p.neurons), ("tile", 1, p.accumulators), ("stride", 1, 7), ("to_cols", 1, 1 << 10),
            ("bias_row", 0, p.sb_rows - 1), ("bias_bank", 0, p.neurons - 1), ("sb_row", 0, p.sb_rows - c.lines),
        ):  # fmt: skip
            _want(low <= getattr(c, name) <= high, f"{name} wants {low} to {high}, not {getattr(c, name)}")
        banks = (c.bank, c.to_bank, c.step_x_bank, c.step_y_bank, c.to_x_bank, c.to_y_bank, c.to_n_bank)
        _want(max(banks) < p.synapses, f"banks want to be below {p.synapses}, not {max(banks)}")
        _want(c.source != c.target, f"source and target want to be different buffers, not both {c.source.name}")

    def _chain(self, c: Compute) -> None:
        """Sums that go on over several computes stay in their accumulators."""
        pixels = c.cols * c.rows
        if not (c.first and c.finish):
            _want(c.tile >= pixels, f"a sum over several computes wants one tile, not {pixels} pixels in {c.tile}s")
        if c.first:
            _want(self.open_sums is None, "a sum is still open; finish it before another one starts")
        else:
            _want(self.open_sums is not None, "first 0 wants an open sum, there is none")
            _want(
                self.open_sums == (pixels, c.neurons),
                f"the open sum has (pixels, neurons) {self.open_sums}, not {(pixels, c.neurons)}",
            )
        self.open_sums = None if c.finish else (pixels, c.neurons)

    def _read_synapses(self, c: Compute, clock: Clock, number: int) -> None:
        p = self.p
        lines = _grid((c.sb_row + np.arange(c.lines)) * p.neurons, np.arange(c.neurons))
        lanes = _grid(lines * p.synapses, np.arange(p.synapses))
        keep = np.ones(lanes.shape, dtype=bool)
        keep[-1, :, c.last_lanes :] = False
        words = lanes[keep]
        if c.load_bias:
            words = np.append(words, (c.bias_row * p.neurons + c.bias_bank) * p.synapses + np.arange(p.synapses))
            self.bias_for = c.neurons
        _want(not c.first or self.bias_for >= c.neurons, f"biases of {c.neurons} neurons want to be loaded first")
        self.buffers[Buffer.SB].read(words, clock, compute=number)
        self.words_read += len(words)

    def _finish(self, c: Compute, clock: Clock, number: int) -> None:
        p = self.p
        cols = c.cols
        if c.pool != Pool.NONE:
            self._pooling(c)
            cols = c.pool_w
        _want(c.to_cols == cols, f"to_cols wants {cols}, not {c.to_cols}")
        if c.scores:
            _want(c.cols * c.rows == 1 and c.pool == Pool.NONE, "scores want one pixel without pooling")
            _want(c.score_base == self.classes, f"score_base wants {self.classes}, not {c.score_base}")
            self.classes += c.neurons
        pairs = ((c.to_y_row, c.to_y_bank), (c.to_x_row, c.to_x_bank), (c.to_n_row, c.to_n_bank))
        steps = [row * p.synapses + bank for row, bank in pairs]
        to = c.to_row * p.synapses + c.to_bank
        pixels = _grid(to + np.arange(emitted_rows(c)) * steps[0], np.arange(cols) * steps[1])
        words = (_grid(pixels, np.arange(c.neurons) * steps[2]) % self.modulus).reshape(-1)
        _want(len(np.unique(words)) == len(words), "two results are written to the same word")
        self._write(c.target, words, clock, compute=number)

    def _pooling(self, c: Compute) -> None:
        p, size, stride = self.p, c.pool_size, c.pool_stride
        _want(
            size >= 1 and stride >= 1, f"a pooling window and stride of at least 1 are wanted, not {size} and {stride}"
        )
        rows = -(-size // stride)
        _want(
            rows * c.pool_w <= p.pool_entries,
            f"{rows} rows of {c.pool_w} pooling windows are open at a time, but there are {p.pool_entries} entries",
        )
        _want(c.cols == c.out_w, f"pooling wants whole rows of {c.out_w} pixels, not {c.cols}")
        _want(c.out_y + c.rows <= c.out_h, f"rows up to {c.out_y + c.rows} want to lie in a map of {c.out_h}")
        for name, windows, length in (("pool_w", c.pool_w, c.out_w), ("pool_h", c.pool_h, c.out_h)):
            least, most = (length - size) // stride + 1, -(-max(length - size, 0) // stride) + 1
            starts = (windows - 1) * stride < length
            _want(least <= windows <= most and starts, f"{name} wants {least} to {most} windows, not {windows}")
        place = (c.out_y // stride, c.out_y % stride, c.out_y // stride % rows)
        given = (c.pool_y, c.pool_phase, c.pool_slot)
        _want(given == place, f"pool_y, pool_phase, pool_slot want {place} at row {c.out_y}, not {given}")
        if c.pool == Pool.AVERAGE:
            last = [min(size, n - (m - 1) * stride) for n, m in ((c.out_w, c.pool_w), (c.out_h, c.pool_h))]
            scales = tuple(reciprocal(a * b) for b in (size, last[1]) for a in (size, last[0]))
            _want(c.reciprocal == scales, f"reciprocal wants {scales}, not {c.reciprocal}")
        block = (c.pool, size, stride, c.out_w, c.out_h, c.pool_w, c.pool_h, c.neurons)
        wanted = self.open_pool or (*block, 0)
        _want(
            wanted == (*block, c.out_y),
            f"pooling of a block wants its rows in order: row {wanted[-1]} of the same block is next, not {c.out_y}",
        )
        end = c.out_y + c.rows
        self.open_pool = None if end == c.out_h else (*block, end)


def _grid(a: Ints, b: Ints) -> Ints:
    """Sums of every element of ``a`` with every element of ``b``."""
    return a[..., None] + b
