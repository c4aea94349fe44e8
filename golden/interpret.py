"""A slow, independent interpreter of an encoded program: the machine word by word, one instruction after the other.

It reads nothing but DRAM bytes and tile parameters and follows hw.isa to the letter, so it shows that a program and its
DRAM image are right before there is hardware, and finds the first wrong step afterwards. Its counts are taken as the
work happens; golden.counts gives the same in closed form.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import (
    RECIPROCAL_BITS,
    Base,
    Buffer,
    Compute,
    Decide,
    End,
    Entry,
    Instruction,
    Load,
    Pool,
    Store,
    Window,
)
from hw.isa import isa
from hw.params import TileParams

Ints = NDArray[np.int64]


class Dram:
    """Lines of words, with a mark on those that were ever written."""

    def __init__(self, params: TileParams, raw: bytes) -> None:
        self.p = params
        self.raw = bytearray(raw)
        self.known = bytearray(b"\1") * (len(raw) // params.line_bytes)

    def put(self, beat: int, raw: bytes) -> None:
        """Preload bytes at a beat."""
        first = beat * self.p.dram_beat_bytes
        self._grow(first + len(raw))
        self.raw[first : first + len(raw)] = raw
        at = first // self.p.line_bytes
        count = -(-len(raw) // self.p.line_bytes)
        self.known[at : at + count] = b"\1" * count

    def _grow(self, size: int) -> None:
        if size > self.p.dram_bytes:
            raise BadInput(f"DRAM address {size} lies outside the {self.p.dram_bytes} bytes of {self.p.name}")
        size = -(-size // self.p.dram_beat_bytes) * self.p.dram_beat_bytes
        if size > len(self.raw):
            self.raw.extend(bytes(size - len(self.raw)))
            self.known.extend(bytes(-(-len(self.raw) // self.p.line_bytes) - len(self.known)))

    def beats(self, beat: int, count: int) -> bytes:
        size = self.p.dram_beat_bytes
        return bytes(self.raw[beat * size : (beat + count) * size])

    def line(self, number: int) -> Ints:
        if number >= len(self.known) or not self.known[number]:
            raise BadInput(f"DRAM line {number} is read but was never written")
        at, word = number * self.p.line_bytes, self.p.word_bytes
        raw = self.raw[at : at + self.p.synapses * word]
        return np.array(
            [int.from_bytes(raw[i : i + word], "little", signed=True) for i in range(0, len(raw), word)], dtype=np.int64
        )

    def set_line(self, number: int, words: Ints) -> None:
        raw = b"".join(int(word).to_bytes(self.p.word_bytes, "little", signed=True) for word in words)
        self._grow((number + 1) * self.p.line_bytes)
        at = number * self.p.line_bytes
        self.raw[at : at + self.p.line_bytes] = raw.ljust(self.p.line_bytes, b"\0")
        self.known[number] = 1


@dataclass
class Outcome:
    """What a run gives: words in the order of emission, wide scores per increment, events, where it stopped."""

    words: list[int] = field(default_factory=list)
    scores: list[list[int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=lambda: Counter({event.name: 0 for event in WORK}))
    stopped: int = 0


class Interpreter:
    """Runs programs of one tile on one DRAM."""

    def __init__(self, params: TileParams, dram: Dram, program_address: int = 0) -> None:
        self.p = params
        self.isa = isa(params)
        self.dram = dram
        self.program_address = program_address

    def run(self, start: int, escalations: int, image: int, result: int) -> Outcome:
        """Run the image at beat ``image`` from increment ``start`` on, escalating ``escalations`` times."""
        self.out = Outcome()
        self.base = {Base.ABSOLUTE: 0, Base.IMAGE: image, Base.RESULT: result}
        entry = self._fetch(self.program_address, 1)[0]
        assert isinstance(entry, Entry)
        self.out.counts["instructions"] += 1
        address, length = entry.address[start], entry.length[start]
        while True:
            following = self._segment(address, length, escalations)
            if following is None:
                return self.out
            address, length = following
            escalations -= 1

    def _fetch(self, beat: int, count: int) -> list[Instruction]:
        beats, size = self.isa.instruction_beats, self.isa.instruction_bytes
        self.out.counts["dram_read"] += beats * count
        raw = self.dram.beats(beat, beats * count)
        return [self.isa.decode(raw[i * size : (i + 1) * size]) for i in range(count)]

    def _clear(self) -> None:
        """Buffers hold nothing at the start of a segment."""
        p, n = self.p, self.p.synapses
        self.buffers = [np.zeros((rows, n), dtype=np.int64) for rows in p.buffer_rows]
        self.buffer_known = [np.zeros((rows, n), dtype=bool) for rows in p.buffer_rows]
        self.sb = np.zeros((p.sb_rows, p.neurons, n), dtype=np.int64)
        self.sb_known = np.zeros((p.sb_rows, p.neurons, n), dtype=bool)
        self.bias = np.zeros(p.neurons, dtype=np.int64)
        self.sums: list[Ints] = []
        self.out.scores.append([])

    def _segment(self, address: int, length: int, escalations: int) -> tuple[int, int] | None:
        """Run a segment; the next one's address and length when it escalates."""
        self._clear()
        for instruction in self._fetch(address, length):
            self.out.counts["instructions"] += 1
            if isinstance(instruction, Load | Store):
                self._transfer(instruction)
            elif isinstance(instruction, Window):
                self.window = instruction
            elif isinstance(instruction, Compute):
                self._compute(instruction)
            elif isinstance(instruction, Decide):
                self.out.counts["decision"] += 1
                self.out.stopped = instruction.increment
                if escalations and not instruction.last:
                    return instruction.address, instruction.length
            elif isinstance(instruction, End):
                return None
        raise BadInput("a segment ends without End")

    # -- transfers -----------------------------------------------------------------------------------------------

    def _add(self, row: int, bank: int, row_step: int, bank_step: int) -> tuple[int, int]:
        carry, bank = divmod(bank + bank_step, self.p.synapses)
        return (row + row_step + carry) % (1 << self.isa.row_bits), bank

    def _transfer(self, t: Load | Store) -> None:
        p, count = self.p, self.out.counts
        row, bank = t.row, t.bank
        for run in range(t.runs):
            first = (self.base[t.base] + t.address + run * t.run_beats) * p.lines_per_beat
            at = (row, bank)
            if isinstance(t, Load):
                count["dram_read"] += -(-t.lines // p.lines_per_beat)
            for line in range(t.lines):
                if t.buffer == Buffer.SB:
                    words = t.last_words if run == t.runs - 1 else p.synapses
                    self.sb[t.row + run, line, :words] = self.dram.line(first + line)[:words]
                    self.sb_known[t.row + run, line, :words] = True
                    count["sb_write"] += words
                    continue
                words = t.last_words if line == t.lines - 1 else p.synapses
                places = [self._add(*at, 0, lane) for lane in range(words)]
                rows, banks = [r for r, _ in places], [b for _, b in places]
                name = ("nbin", "nbout")[t.buffer]
                if isinstance(t, Load):
                    self.buffers[t.buffer][rows, banks] = self.dram.line(first + line)[:words]
                    self.buffer_known[t.buffer][rows, banks] = True
                    count[f"{name}_write"] += words
                else:
                    if not self.buffer_known[t.buffer][rows, banks].all():
                        raise BadInput(f"a store reads words of {name} that were never written: {t}")
                    padded = np.zeros(p.synapses, dtype=np.int64)
                    padded[:words] = self.buffers[t.buffer][rows, banks]
                    self.dram.set_line(first + line, padded)
                    count[f"{name}_read"] += words
                    count["dram_write"] += 1
                at = self._add(*at, 1, 0)
            if isinstance(t, Store):  # zero lines fill up the last beat
                for line in range(t.lines, -(-t.lines // p.lines_per_beat) * p.lines_per_beat):
                    self.dram.set_line(first + line, np.zeros(p.synapses, dtype=np.int64))
            row, bank = self._add(row, bank, t.step_row, t.step_bank)

    # -- computes ------------------------------------------------------------------------------------------------

    def _compute(self, c: Compute) -> None:
        p, count = self.p, self.out.counts
        pixels = c.cols * c.rows
        if c.load_bias:
            words = self.sb[c.bias_row, c.bias_bank]
            if not self.sb_known[c.bias_row, c.bias_bank, : c.neurons].all():
                raise BadInput(f"biases at SB row {c.bias_row}, bank {c.bias_bank} are read but were never written")
            self.bias[: c.neurons] = words[: c.neurons]
            count["sb_read"] += p.synapses
        if c.first:
            self.sums = [self.bias[: c.neurons] << p.fmt.frac for _ in range(pixels)]
        if len(self.sums) != pixels or (not (c.first and c.finish) and c.tile < pixels):
            raise BadInput(
                f"a chained compute wants one tile of {len(self.sums)} pixels, not {pixels} in tiles of {c.tile}"
            )
        gathered = self._gather(c)
        rows = slice(c.sb_row, c.sb_row + c.lines)
        used = np.ones((c.lines, p.synapses), dtype=bool)
        used[-1, c.last_lanes :] = False
        if not (self.sb_known[rows, : c.neurons] | ~used[:, None, :]).all():
            raise BadInput(f"weights at SB rows {c.sb_row} to {c.sb_row + c.lines - 1} are read but were never written")
        weights = self.sb[rows, : c.neurons] * used[:, None, :]
        for pixel in range(pixels):
            self.sums[pixel] = self.sums[pixel] + np.einsum("ls,lns->n", gathered[pixel], weights)
        count["compute_cycles"] += pixels * c.lines
        count["accumulate"] += pixels * c.lines * c.neurons
        tiles = -(-pixels // c.tile)
        count["sb_read"] += tiles * c.neurons * int(used.sum())
        if c.finish:
            self._finish(c)

    def _gather(self, c: Compute) -> Ints:
        """Words of every pixel and line, [pixels, lines, synapses], 0 where a lane is gated."""
        p, w, n = self.p, self.window, self.p.synapses
        found = np.zeros((c.cols * c.rows, c.lines, n), dtype=np.int64)
        offset, kx, ky = np.array(w.row_offset), np.array(w.kx), np.array(w.ky)
        lane = np.arange(n)
        valid_total = 0
        words, known = self.buffers[c.source], self.buffer_known[c.source]
        lines = []
        for line in range(c.lines):
            lines.append((offset.copy(), kx.copy(), ky.copy(), lane < (c.last_lanes if line == c.lines - 1 else n)))
            carry_x = kx + w.step_x >= w.kernel_w
            carry_y = ky + w.step_y + carry_x >= w.kernel_h
            offset = offset + np.array(w.delta)[carry_x + 2 * carry_y]
            kx = kx + w.step_x - carry_x * w.kernel_w
            ky = ky + w.step_y + carry_x - carry_y * w.kernel_h
        row_start = (c.row, c.bank)
        for j in range(c.rows):
            at = row_start
            for i in range(c.cols):
                x, y = c.x0 + i * c.stride, c.y0 + j * c.stride
                for number, (row_offset, lane_x, lane_y, in_line) in enumerate(lines):
                    inside = in_line & (x + lane_x >= 0) & (x + lane_x < c.in_w)
                    inside &= (y + lane_y >= 0) & (y + lane_y < c.in_h)
                    banks = (at[1] + lane) % n
                    rows = (at[0] + row_offset + (at[1] + lane) // n) % (1 << self.isa.row_bits)
                    if (rows[inside] >= len(words)).any() or not known[rows[inside], banks[inside]].all():
                        raise BadInput(f"pixel ({x}, {y}), line {number} reads words that were never written: {c}")
                    found[j * c.cols + i, number, inside] = words[rows[inside], banks[inside]]
                    valid_total += int(inside.sum())
                at = self._add(*at, c.step_x_row, c.step_x_bank)
            row_start = self._add(*row_start, c.step_y_row, c.step_y_bank)
        count = self.out.counts
        count["multiply"] += valid_total * c.neurons
        count["lane_gated"] += c.cols * c.rows * c.lines * p.neurons * n - valid_total * c.neurons
        count[("nbin", "nbout")[c.source] + "_read"] += valid_total
        return found

    def _finish(self, c: Compute) -> None:
        p, count = self.p, self.out.counts
        fmt = p.fmt
        pixels = c.cols * c.rows
        count["activation"] += pixels * c.neurons
        results = []
        for sums in self.sums:
            if c.scores:
                count["score_vector"] += 1
                self.out.scores[-1].extend(int(value) for value in sums)
            words = [fmt.narrow(int(value)) for value in sums]
            results.append([max(word, 0) for word in words] if c.relu else words)
        emitted = results if c.pool == Pool.NONE else self._pooled(c, results)
        row_start = at = (c.to_row, c.to_bank)
        for number, vector in enumerate(emitted):
            place = at
            for word in vector:
                self.buffers[c.target][place] = word
                self.buffer_known[c.target][place] = True
                self.out.words.append(word)
                place = self._add(*place, c.to_n_row, c.to_n_bank)
            if number % c.to_cols == c.to_cols - 1:
                row_start = self._add(*row_start, c.to_y_row, c.to_y_bank)
                at = row_start
            else:
                at = self._add(*at, c.to_x_row, c.to_x_bank)
        count["output"] += len(emitted) * c.neurons
        count[("nbin", "nbout")[c.target] + "_write"] += len(emitted) * c.neurons
        self.sums = []

    def _pooled(self, c: Compute, results: list[list[int]]) -> list[list[int]]:
        """Windows that end within this compute; open ones stay for the next compute of the block."""
        p = self.p
        if c.out_y == 0:
            self.windows: dict[tuple[int, int], list[list[int]]] = {}
        found = []
        for number, vector in enumerate(results):
            y, x = c.out_y + number // c.cols, number % c.cols
            for oy in range(max(0, -(-(y - c.pool_size + 1) // c.pool_stride)), min(y // c.pool_stride + 1, c.pool_h)):
                end_y = min(oy * c.pool_stride + c.pool_size, c.out_h) - 1
                for ox in range(
                    max(0, -(-(x - c.pool_size + 1) // c.pool_stride)), min(x // c.pool_stride + 1, c.pool_w)
                ):
                    end_x = min(ox * c.pool_stride + c.pool_size, c.out_w) - 1
                    held = self.windows.setdefault((oy, ox), [])
                    held.append(vector)
                    self.out.counts["pool_update"] += c.neurons
                    if len(self.windows) > p.pool_entries:
                        raise BadInput(f"{len(self.windows)} pooling windows are open, but there are {p.pool_entries}")
                    if (y, x) == (end_y, end_x):
                        del self.windows[oy, ox]
                        clipped_x = end_x != ox * c.pool_stride + c.pool_size - 1
                        clipped_y = end_y != oy * c.pool_stride + c.pool_size - 1
                        scale = c.reciprocal[clipped_x + 2 * clipped_y]
                        found.append([self._pool_word(c.pool, column, scale) for column in zip(*held, strict=True)])
        return found

    def _pool_word(self, kind: Pool, words: tuple[int, ...], scale: int) -> int:
        if kind == Pool.MAX:
            return max(words)
        return self.p.fmt.saturate((sum(words) * scale + (1 << (RECIPROCAL_BITS - 1))) >> RECIPROCAL_BITS)
