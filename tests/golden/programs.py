"""Hand-made programs: a Window from a map's pitches, and random computes with their results by plain convolution.

Nothing here comes from the mapper: it is what the interpreter, the counts and the verifier are held to without it.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.interpret import Dram, Interpreter, Outcome
from golden.mapping.dram_image import pack_lines, pack_rows
from hw.instructions import UNUSED, Buffer, Compute, End, Entry, Instruction, Load, Window
from hw.isa import isa
from hw.params import TileParams

Ints = NDArray[np.int64]
DATA = 1 << 10  # beat from which on a program's data lie


@dataclass(frozen=True)
class Map:
    """Where a map with windows of kernel_h x kernel_w lies: row (c, y) starts at cell c * plane + y * pitch."""

    kernel_h: int
    kernel_w: int
    pitch: int
    plane: int

    def cell(self, run: int) -> int:
        """Start of a run, its ky counted from row 0 of its channel."""
        c, ky = divmod(run, self.kernel_h)
        return c * self.plane + ky * self.pitch

    def spacing(self, p: TileParams) -> int:
        return (self.plane if self.kernel_h == 1 else self.pitch) % p.banks

    def window(self, p: TileParams, taps: int, first_line: int, lines: int, columns: int) -> Window:
        """The Window of ``lines`` lines from ``first_line`` on, every field from the addresses of the runs."""
        spacing, mask = self.spacing(p), (1 << isa(p).row_bits) - 1
        start = first_line * taps
        run, advance = start // self.kernel_w, taps // self.kernel_w

        def rows(cells: int) -> int:
            assert cells % p.banks == 0, "the pitches do not keep runs apart by the spacing"
            return cells // p.banks & mask

        delta: dict[int, int] = {}
        for line in range(first_line, first_line + lines - 1):
            here, there = line * taps // self.kernel_w, (line + 1) * taps // self.kernel_w
            for r in range(p.synapses):
                carry_x = there - here - advance
                carry_y = int((here + r) % self.kernel_h + advance % self.kernel_h + carry_x >= self.kernel_h)
                change = rows(self.cell(there + r) - self.cell(here + r) - (there - here) * spacing)
                assert delta.setdefault(carry_x + 2 * carry_y, change) == change
        slots = {(r * spacing + m) % p.banks: (r, m) for r in range(self.runs(taps)) for m in range(columns)}
        assert len(slots) == self.runs(taps) * columns
        line_row, line_bank = divmod(advance * spacing, p.banks)
        served = [slots.get(k, (0, UNUSED)) for k in range(p.banks)]
        return Window(
            kernel_w=self.kernel_w, kernel_h=self.kernel_h, taps=taps, step_x=taps % self.kernel_w,
            step_y=advance % self.kernel_h, spacing=spacing, line_row=line_row & mask, line_bank=line_bank,
            delta=(delta.get(0, 0), delta.get(1, 0), delta.get(2, 0), delta.get(3, 0)),
            kx=tuple((start + e) % self.kernel_w for e in range(p.synapses)),
            ky=tuple((run + r) % self.kernel_h for r in range(p.synapses)),
            row_offset=tuple(rows(self.cell(run + r) - self.cell(run) - r * spacing) for r in range(p.synapses)),
            slot_run=tuple(r for r, _ in served), slot_column=tuple(m for _, m in served),
            slot_carry=tuple(0 if m == UNUSED else (r * spacing + m) // p.banks for r, m in served),
        )  # fmt: skip

    def runs(self, taps: int) -> int:
        """Runs of a line at most, over every kx at which one can start."""
        return max(-(-(line * taps % self.kernel_w + taps) // self.kernel_w) for line in range(self.kernel_w))

    def reads_apart(self, p: TileParams, taps: int, columns: int) -> bool:
        cells = [(r * self.spacing(p) + m) % p.banks for r in range(self.runs(taps)) for m in range(columns)]
        return len(set(cells)) == len(cells)


@dataclass
class Program:
    """Instructions of one segment and the data they load, one piece behind the other from beat DATA on."""

    p: TileParams
    code: list[Instruction] = field(default_factory=list)
    data: bytes = b""

    def add(self, raw: bytes) -> int:
        """Beat of ``raw``."""
        at = DATA + len(self.data) // self.p.dram_beat_bytes
        self.data += raw
        return at

    def row(self, words: Ints, buffer: Buffer, cell: int) -> None:
        """Load one map row."""
        p = self.p
        raw = pack_rows(words, p)
        beats = len(raw) // p.dram_beat_bytes
        row, bank = divmod(cell, p.banks)
        last = len(words) - (beats - 1) * p.beat_words
        self.code.append(Load(buffer=buffer, address=self.add(raw), length=beats, last_words=last, row=row, bank=bank))

    def lines(self, lines: Ints, row: int, last_words: int, groups: int) -> None:
        """Load weight lines [lines, neurons, synapses] to SB."""
        p = self.p
        count, neurons, _ = lines.shape
        beats = -(-neurons // p.lines_per_beat)
        self.code.append(
            Load(
                buffer=Buffer.SB,
                address=self.add(pack_lines(lines, p)),
                run_beats=beats,
                runs=count,
                length=neurons,
                last_words=last_words,
                row=row,
                groups=groups,
            )  # fmt: skip
        )

    def image(self) -> bytes:
        coder, p = isa(self.p), self.p
        segment = [*self.code, End()]
        program = coder.encode(Entry((coder.instruction_beats,), (len(segment),)))
        program += b"".join(coder.encode(item) for item in segment)
        assert len(program) <= DATA * p.dram_beat_bytes
        return program.ljust(DATA * p.dram_beat_bytes, b"\0") + self.data

    def run(self) -> Outcome:
        return Interpreter(self.p, Dram(self.p, self.image())).run(0, 0, 0, 0)


@dataclass(frozen=True)
class Case:
    """A random compute and its words in the order in which they leave. It may come in two pieces of weight lines, go on
    from sums that were taken apart into limbs before, and leave several times, rounded or as limbs."""

    program: Program
    computes: tuple[Compute, ...]
    words: list[int]


def random_case(seed: int, p: TileParams) -> Case:
    """Any kernel, stride, padding, part of the map, groups, tile, ring and output place that the tile can hold."""
    rng = random.Random(seed)
    while True:
        found = _attempt(rng, p)
        if found is not None:
            return found


def _attempt(rng: random.Random, p: TileParams) -> Case | None:
    size, numbers = p.cell_words, np.random.default_rng(rng.randrange(1 << 30))
    kernel_h, kernel_w = rng.randint(1, 4), rng.randint(1, 5)
    channels, neurons = rng.randint(1, 4), rng.randint(1, p.neurons)
    groups = rng.randint(1, min(p.groups, p.neurons // neurons))
    stride = rng.choice((1, 2, 3)) if groups == 1 else 1
    height, width = rng.randint(kernel_h, 12), rng.randint(kernel_w, 14)
    pad_h, pad_w = rng.randint(0, kernel_h - 1), rng.randint(0, kernel_w - 1)
    out_h, out_w = (height + 2 * pad_h - kernel_h) // stride + 1, (width + 2 * pad_w - kernel_w) // stride + 1
    col, row = rng.randrange(out_w), rng.randrange(out_h)
    cols, rows = (rng.choice((most, rng.randint(1, most))) for most in (out_w - col, out_h - row))
    x0, y0 = col * stride - pad_w, row * stride - pad_h
    low, high = max(0, y0), min(height, y0 + (rows - 1) * stride + kernel_h)
    ring = max(high - low, kernel_h) + rng.randrange(2) if rng.random() < 0.6 else 0
    columns = -(-(size - 1 + groups - 1 + kernel_w) // size)
    taps = rng.randint(1, p.synapses)
    place = _place(rng, p, Map(kernel_h, kernel_w, -(-width // size), 0), taps, columns, ring, ring or height)
    if place is None or columns >= UNUSED or channels * place.plane > p.nbin_rows * p.banks or high <= low:
        return None
    elements = channels * kernel_h * kernel_w
    lines = -(-elements // taps)
    steps = rows * -(-cols // groups)
    chained = steps <= p.accumulators and rng.random() < 0.6
    cuts = [0, lines]
    if lines > 1 and chained and rng.random() < 0.7:
        cuts.insert(1, rng.randrange(1, lines))
    before = _restored(rng, p, (neurons, rows, cols), groups, channels * place.plane) if chained else None
    pitch_out, vector = -(-(size - 1 + cols) // size), rows * cols == 1 and rng.random() < 0.5
    leaves = rng.randint(1, 4) if chained else 1
    area = neurons * rows * pitch_out
    maps = channels * (high - low) + (len(before.limbs) * neurons * rows if before else 0)
    if lines + 1 >= p.sb_rows or (leaves + 1) * area + p.banks > p.nbout_rows * p.banks or maps > 180:
        return None

    codes = numbers.integers(p.fmt.low, p.fmt.high + 1, (channels, height, width))
    weights = numbers.integers(-p.fmt.scale, p.fmt.scale, (neurons, channels, kernel_h, kernel_w))
    bias = numbers.integers(-p.fmt.scale, p.fmt.scale, neurons)
    program = Program(p)
    for c in range(channels):
        for y in range(low, high):
            at = c * place.plane + (y % ring if ring else y) * place.pitch
            program.row(codes[c, y], Buffer.NBIN, at)
    if before:
        for at, limb in zip(before.cells, before.limbs, strict=True):
            for n, y in np.ndindex(neurons, rows):
                program.row(limb[n, y], Buffer.NBIN, at + before.place.cell(n) + y * before.place.pitch)
    line = np.zeros((1, 1, p.synapses), dtype=np.int64)
    line[0, 0, :neurons] = bias
    program.lines(line, 0, neurons, 1)
    packed = np.zeros((neurons, lines * taps), dtype=np.int64)
    packed[:, :elements] = weights.reshape(neurons, -1)
    table = np.zeros((lines, neurons, p.synapses), dtype=np.int64)
    table[..., :taps] = packed.reshape(neurons, lines, taps).transpose(1, 0, 2)
    program.lines(table, 1, elements - (lines - 1) * taps, groups)
    ones = np.zeros((1, neurons, p.synapses), dtype=np.int64)
    ones[0, range(neurons), range(neurons)] = 1
    program.lines(ones, 1 + lines, neurons, groups)

    mask = (1 << isa(p).row_bits) - 1

    def pair(prefix: str, cell: int) -> dict[str, Any]:
        row_, bank = divmod(cell, p.banks)
        return {f"{prefix}row": row_ & mask, f"{prefix}bank": bank}

    to_sub, to_cell = rng.randrange(size), rng.randrange(p.banks)
    tile = rng.randint(steps if chained else 1, p.accumulators)
    sum_first = rng.randint(0, p.accumulators - tile)
    sum_last = rng.randint(sum_first + tile - 1, p.accumulators - 1)
    step_cells, step_sub = divmod(groups * stride, size)
    ring_y = y0 % ring if ring and y0 >= 0 else y0
    common = Compute(
        sub=x0 % size, x0=x0, y0=y0, stride=stride, in_w=width, in_h=height, step_cells=step_cells, step_sub=step_sub,
        ring_y=ring_y if ring else 0, ring_rows=ring, ring_back=ring * place.pitch // p.banks, columns=columns,
        cols=cols, rows=rows, neurons=neurons, groups=groups, relu=rng.randrange(2), to_sub=to_sub, to_cols=cols,
        vector=int(vector), tile=tile, sum_at=rng.randint(sum_first, sum_last), sum_first=sum_first, sum_last=sum_last,
        wait_dma=len(program.code), **pair("step_y_", stride * place.pitch), **pair("to_y_", pitch_out),
        **pair("to_n_", rows * pitch_out),
    )  # fmt: skip
    computes: list[Compute] = []
    if before:
        step_cells, step_sub = divmod(groups, size)
        program.code.append(before.place.window(p, neurons, 0, 1, before.columns))
        for k in rng.sample(range(len(before.limbs)), len(before.limbs)):
            compute = replace(
                common, sub=0, x0=0, y0=0, stride=1, in_w=cols, in_h=rows, step_cells=step_cells, step_sub=step_sub,
                ring_y=0, ring_rows=0, ring_back=0, columns=before.columns, lines=1, last_lanes=neurons,
                sb_row=1 + lines, first=int(not computes), zero=int(not computes), shift=k, finish=0, relu=0,
                **pair("", before.cells[k]), **pair("step_y_", before.place.pitch),
            )  # fmt: skip
            computes.append(compute)
            program.code.append(compute)
    start: Ints = before.wide if before else (bias << p.fmt.frac)[:, None, None]
    zero = not before and rng.random() < 0.2
    if zero:
        start = np.zeros_like(start)
    words: list[int] = []
    left = 0  # times that sums have left so far

    def leave(compute: Compute, end: int, hold: bool) -> Compute:
        """``compute`` with the place of what leaves after ``end`` lines; notes its words."""
        nonlocal left
        part = packed.copy()
        part[:, end * taps :] = 0
        kernels = part[:, :elements].reshape(weights.shape)
        wide = start + _convolved(codes, kernels, stride, (pad_h, pad_w))[:, row : row + rows, col : col + cols]
        found = replace(compute, finish=1, hold=int(hold), **pair("to_", to_cell + left * area))
        if rng.random() < 0.6 and chained:
            found = replace(found, limb=rng.randint(1, isa(p).limbs), limb_top=rng.randrange(2), relu=0)
        results = left_as(found, wide, p)
        words.extend(emitted(results, 0 if vector else to_sub, p))
        left += 1
        return found

    for first, end in zip(cuts, cuts[1:], strict=False):
        run = first * taps // kernel_w
        origin = place.cell(run) + (ring_y if ring else y0) * place.pitch + x0 // size
        last = end == lines
        compute = replace(
            common, lines=end - first, last_lanes=elements - (lines - 1) * taps if last else taps, sb_row=1 + first,
            load_bias=int(first == 0 and not zero), first=int(not computes), zero=int(zero and not computes), finish=0,
            wait_written=len(computes) if computes and computes[-1].hold else 0, **pair("", origin),
        )  # fmt: skip
        if last or rng.random() < 0.3:
            compute = leave(compute, end, not last or leaves > 1)
        program.code += [place.window(p, taps, first, end - first, columns), compute]
        computes.append(compute)
    for k in range(1, leaves):
        again = replace(common, lines=1, last_lanes=0, first=0)
        computes.append(leave(again, lines, k < leaves - 1))
        program.code.append(computes[-1])
    return Case(program, tuple(computes), words)


@dataclass(frozen=True)
class _Restored:
    """Sums [neurons, rows, cols] as limbs of the same shape, the lowest digits first; where their maps lie."""

    wide: Ints
    limbs: tuple[Ints, ...]
    cells: tuple[int, ...]
    place: Map
    columns: int


def _restored(
    rng: random.Random, p: TileParams, shape: tuple[int, int, int], groups: int, first_cell: int
) -> _Restored | None:  # fmt: skip
    """Random sums as limbs behind ``first_cell``; now and then none, or none that fit."""
    neurons, rows, cols = shape
    bits = rng.randint(4, p.accumulator_width - 2)
    count = min(-(-bits // (p.fmt.width - 1)) + rng.randrange(2), 1 + isa(p).shifts)
    columns = -(-(p.cell_words - 1 + groups) // p.cell_words)
    if rng.random() < 0.4 or columns >= UNUSED:
        return None
    place = _place(rng, p, Map(1, 1, -(-cols // p.cell_words), 0), neurons, columns, 0, rows)
    if place is None or first_cell + count * neurons * place.plane > p.nbin_rows * p.banks:
        return None
    wide = np.array([rng.randrange(-(1 << bits), 1 << bits) for _ in range(neurons * rows * cols)]).reshape(shape)
    limbs = tuple(_digit(wide, k + 1, k == count - 1, p) for k in range(count))
    return _Restored(wide, limbs, tuple(first_cell + k * neurons * place.plane for k in range(count)), place, columns)


def _digit(wide: Ints, number: int, top: bool, p: TileParams) -> Ints:
    """A limb of sums; a topmost one that fits no word is cut to one."""
    cut = np.array([p.fmt.limb(int(value), number, top) for value in wide.reshape(-1)]).reshape(wide.shape)
    half = 1 << (p.fmt.width - 1)
    return (cut + half) % (2 * half) - half if top else cut


def left_as(c: Compute, wide: Ints, p: TileParams) -> Ints:
    """What NFU-3 makes of sums."""
    if c.limb:
        return _digit(wide, c.limb, bool(c.limb_top), p)
    return ((wide + p.fmt.half) >> p.fmt.frac).clip(0 if c.relu else p.fmt.low, p.fmt.high)


def _place(
    rng: random.Random, p: TileParams, least: Map, taps: int, columns: int, ring: int, rows: int
) -> Map | None:  # fmt: skip
    """Pitches with which the lines' runs meet in no bank; rows of a ring keep their banks when they wrap."""
    pitches = [n for n in range(least.pitch, least.pitch + p.banks) if not ring or ring * n % p.banks == 0]
    found = []
    for pitch in pitches:
        for plane in range(rows * pitch, rows * pitch + p.banks):
            place = replace(least, pitch=pitch, plane=plane)
            follows = least.kernel_h == 1 or (plane - pitch * least.kernel_h) % p.banks == 0
            if follows and place.reads_apart(p, taps, columns):
                found.append(place)
    return rng.choice(found) if found else None


def _convolved(codes: Ints, weights: Ints, stride: int, padding: tuple[int, int]) -> Ints:
    """Sums [neurons, out_h, out_w] without biases, window by window in whole numbers."""
    padded = np.pad(codes, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    wide: Ints = np.einsum("cyxhw,nchw->nyx", windows, weights)
    return wide


def emitted(results: Ints, to_sub: int, p: TileParams) -> list[int]:
    """Words of results [channels, rows, cols] by row, cell, channel, word."""
    found: list[int] = []
    channels, rows, cols = results.shape
    for y in range(rows):
        for cell in range(-(-(to_sub + cols) // p.cell_words)):
            for n in range(channels):
                words = range(cell * p.cell_words, (cell + 1) * p.cell_words)
                found += [int(results[n, y, at - to_sub]) for at in words if 0 <= at - to_sub < cols]
    return found
