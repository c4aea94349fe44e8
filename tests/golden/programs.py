"""Hand-made programs: random computes with their results by plain convolution.

Nothing here comes from the mapper: it is what the interpreter, the counts and the verifier are held to without it.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.interpret import Dram, Interpreter, Outcome
from golden.mapping.dram_image import pack_lines, pack_rows
from hw.instructions import UNUSED, Buffer, Compute, End, Entry, Instruction, Load
from hw.isa import isa
from hw.params import QUARTERS, TileParams
from tests.golden.kept_sums import left_as, pooled, restored
from tests.golden.maps import Map, random_place

Ints = NDArray[np.int64]
DATA = 1 << 10  # beat from which on a program's data lie


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


def in_quarters(p: TileParams) -> Case:
    """The first random case of one compute, in several tiles of whole rows, whose last line is in quarters and whose
    rows four does not divide."""
    for seed in range(100):
        case = random_case(seed, p)
        c = case.computes[0]
        rows = QUARTERS < c.row_steps < c.tile < c.steps and c.tile % c.row_steps == 0
        if len(case.computes) == 1 and c.quarters and rows and c.row_steps % QUARTERS:
            return case
    raise AssertionError("no random case is like this")


def _attempt(rng: random.Random, p: TileParams) -> Case | None:
    size, numbers = p.cell_words, np.random.default_rng(rng.randrange(1 << 30))
    kernel_h, kernel_w = rng.randint(1, 4), rng.randint(1, 5)
    channels, neurons = rng.randint(1, 4), rng.randint(1, p.neurons)
    groups = rng.randint(1, min(p.groups, p.neurons // neurons))
    paired = p.pair_cells > 0 and rng.random() < 0.4
    if paired:
        kernel_h, kernel_w, neurons, groups = 3, rng.randint(1, 5), rng.randint(1, p.neurons // p.groups), p.groups
    in_quarters = p.quarter_lanes > 0 and not paired and rng.random() < 0.5
    stride = rng.choice((1, 2, 3)) if groups == 1 and not in_quarters else 1
    height, width = rng.randint(kernel_h, 12), rng.randint(kernel_w, 14)
    if in_quarters:
        groups, width = rng.randint(1, min(groups, 2)), kernel_w - 1 + rng.choice((5, 8, 12, 16))
    pad_h, pad_w = rng.randint(0, kernel_h - 1), rng.randint(0, kernel_w - 1)
    out_h, out_w = (height + 2 * pad_h - kernel_h) // stride + 1, (width + 2 * pad_w - kernel_w) // stride + 1
    col, row = rng.randrange(out_w), rng.randrange(out_h)
    cols, rows = (rng.choice((most, rng.randint(1, most))) for most in (out_w - col, out_h - row))
    if paired:
        cols = groups // 2
        if col + cols > out_w:
            return None
    x0, y0 = col * stride - pad_w, row * stride - pad_h
    low, high = max(0, y0), min(height, y0 + (rows - 1) * stride + kernel_h)
    ring = max(high - low, kernel_h) + rng.randrange(2) if rng.random() < 0.6 and not paired else 0
    together = min(QUARTERS * groups, cols)  # pixels of steps that a quarter of a line takes together
    columns = -(-(size - 1 + max(groups, together * in_quarters) - 1 + kernel_w) // size)
    if paired:
        columns = -(-(x0 % size + cols - 1 + kernel_w) // size)
    taps = rng.randint(1, min(p.synapses, kernel_h * kernel_w - 1) if paired else p.synapses)
    least = Map(kernel_h, kernel_w, -(-width // size), 0, int(paired))
    place = random_place(rng, p, least, taps, columns, ring, ring or height)
    if place is None or columns >= UNUSED or channels * place.plane > p.nbin_rows * p.banks or high <= low:
        return None
    elements = channels * kernel_h * kernel_w
    lines = -(-elements // taps)
    steps = -(-rows // 2) if paired else rows * -(-cols // groups)
    chained = steps <= p.accumulators and rng.random() < (0.3 if in_quarters else 0.6)
    cuts = [0, lines]
    if lines > 1 and chained and rng.random() < 0.7:
        cuts.insert(1, rng.randrange(1, lines))
    before = restored(rng, p, (neurons, rows, cols), groups, channels * place.plane) if chained and not paired else None
    pitch_out, vector = -(-(size - 1 + cols) // size), rows * cols == 1 and rng.random() < 0.5
    holds = chained and not paired
    leaves = rng.randint(1, 4) if holds else 1
    area = neurons * rows * pitch_out
    maps = channels * (high - low) + (len(before.limbs) * neurons * rows if before else 0)
    if lines + 2 >= p.sb_rows or (leaves + 2) * area + p.banks > p.nbout_rows * p.banks or maps > 180:
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
    needed = len(program.code)
    free = before.end if before else channels * place.plane
    spare = (p.nbin_rows * p.banks - free) * size
    while spare >= 8 * p.beat_words and rng.random() < 0.7:  # loads of no use that meet the computes
        program.row(numbers.integers(0, 9, 8 * p.beat_words), Buffer.NBIN, free)
        program.lines(np.ones((p.sb_rows - lines - 2, p.neurons, p.synapses), dtype=np.int64), lines + 2, 1, 1)

    mask = (1 << isa(p).row_bits) - 1

    def pair(prefix: str, cell: int) -> dict[str, Any]:
        row_, bank = divmod(cell, p.banks)
        return {f"{prefix}row": row_ & mask, f"{prefix}bank": bank}

    to_sub, to_cell = rng.randrange(size), rng.randrange(p.banks)
    row_steps = -(-cols // groups)
    tiles = list(range(steps if chained else 1, p.accumulators + 1))
    if in_quarters:
        tiles = [n for n in tiles if not (n % row_steps and (n % QUARTERS or row_steps % QUARTERS))]
        tiles = [n for n in tiles if n < steps] or tiles
    if not tiles:
        return None
    tile, unit = rng.choice(tiles), QUARTERS if in_quarters else 1
    around = unit * rng.randint(-(-tile // unit), p.accumulators // unit)
    sum_first = rng.randint(0, p.accumulators - around)
    sum_last = sum_first + around - 1
    step_cells, step_sub = divmod(groups * stride, size)
    ring_y = y0 % ring if ring and y0 >= 0 else y0
    common = Compute(
        sub=x0 % size, x0=x0, y0=y0, stride=stride, in_w=width, in_h=height, step_cells=step_cells, step_sub=step_sub,
        ring_y=ring_y if ring else 0, ring_rows=ring, ring_back=ring * place.pitch // p.banks, columns=columns,
        cols=cols, rows=rows, neurons=neurons, groups=groups, paired=int(paired), relu=rng.randrange(2), to_sub=to_sub,
        to_cols=cols, vector=int(vector), tile=tile, sum_at=rng.randint(sum_first, sum_last), sum_first=sum_first,
        sum_last=sum_last, wait_dma=needed, **pair("step_y_", stride * (1 + paired) * place.pitch),
        **pair("to_y_", pitch_out), **pair("to_n_", rows * pitch_out),
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
        if rng.random() < 0.6 and holds:
            found = replace(found, limb=rng.randint(1, isa(p).limbs), limb_top=rng.randrange(2), relu=0)
        elif not vector and -(-cols // groups) <= p.pool_entries and rng.random() < 0.4:
            found = pooled(found)
        results = left_as(found, wide, p)
        words.extend(emitted(results, 0 if vector else to_sub, p))
        left += 1
        return found

    def piece(first: int, end: int) -> Compute:
        """Lines ``first`` to ``end``, behind their window."""
        run = first * taps // kernel_w
        origin = place.cell(run) + (ring_y if ring else y0) * place.pitch + x0 // size
        program.code.append(place.window(p, taps, first, end - first, columns))
        last_lanes = elements - (lines - 1) * taps if end == lines else taps
        found = replace(common, lines=end - first, last_lanes=last_lanes, sb_row=1 + first, **pair("", origin))
        quarters = -(-last_lanes // p.quarter_lanes) if in_quarters and end - first > 1 else 0
        if not 0 < quarters < QUARTERS:
            return found
        quads = -(-row_steps // QUARTERS)
        return replace(
            found, quarters=quarters, quarter_columns=-(-(x0 % size + together - 1 + kernel_w) // size),
            quarter_tile=tile // QUARTERS if tile % row_steps else tile // row_steps * quads,
            row_rest=row_steps - (quads - 1) * QUARTERS,
        )  # fmt: skip

    def add(compute: Compute) -> None:
        program.code.append(compute)
        computes.append(compute)

    for first, end in zip(cuts, cuts[1:], strict=False):
        compute = replace(
            piece(first, end), load_bias=int(first == 0 and not zero), first=int(not computes),
            zero=int(zero and not computes), finish=0,
            wait_written=len(computes) if computes and computes[-1].hold else 0,
        )  # fmt: skip
        early = end < lines and holds and rng.random() < 0.3
        add(leave(compute, end, early or leaves > 1) if early or end == lines else compute)
    for k in range(1, leaves):
        add(leave(replace(common, lines=1, last_lanes=0, first=0), lines, k < leaves - 1))
    if chained and rng.random() < 0.5:  # other sums take the same accumulators
        start = np.zeros_like(start)
        add(leave(replace(piece(0, lines), zero=1), lines, False))
    return Case(program, tuple(computes), words)


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
