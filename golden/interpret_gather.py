"""What a Compute reads from its source buffer, step by step and slot by slot (hw.instructions.Window and Compute).

Part of golden.interpret; it walks origins, lines and slots as the instructions tell and derives no address otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.instructions import Compute, Window, quads_of, rest_of
from hw.params import QUARTERS, TileParams

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CHUNK = 1 << 19  # operands that are held at a time


@dataclass(frozen=True)
class Steps:
    """Steps of a compute in order, an element each: origin (cell ``at``, word ``sub`` of it, pixel (x, y), place in
    the ring), whether it reads, and how many pixels it has (of a paired compute: in two rows)."""

    at: Ints
    sub: Ints
    x: Ints
    y: Ints
    ring_y: Ints
    reads: Bools
    pixels: Ints

    def chosen(self, which: slice | Bools) -> "Steps":
        at, sub, x, y, ring_y, pixels = (
            values[which] for values in (self.at, self.sub, self.x, self.y, self.ring_y, self.pixels)
        )
        return Steps(at, sub, x, y, ring_y, self.reads[which], pixels)


def steps_of(c: Compute, p: TileParams, rows: int, together: int = 1) -> Steps:
    """The walk over the steps, or over so many steps of a row ``together``; ``rows``: row numbers that there are."""
    found = []
    modulus, number, before = rows * p.banks, 0, -1
    at_row, y, ring_y = c.row * p.banks + c.bank, c.y0, c.ring_y
    for row in range(0, c.rows, c.step_rows):
        at, sub, x = at_row, c.sub, c.x0
        for left in range(c.cols, 0, -c.groups * together):
            reads = together > 1 or left == c.cols or number % c.tile == 0 or at != before
            pixels = c.cols * min(c.rows - row, 2) if c.paired else min(left, c.groups * together)
            found.append((at, sub, x, y, ring_y, reads, pixels))
            number, before = number + 1, at
            carry, sub = divmod(sub + c.step_sub * together, p.cell_words)
            at = (at + c.step_cells * together + carry) % modulus
            x += c.groups * together * c.stride
        at_row += c.step_y_row * p.banks + c.step_y_bank
        y, ring_y = y + c.stride * c.step_rows, ring_y + c.stride
        if c.ring_rows and ring_y >= c.ring_rows:
            ring_y -= c.ring_rows
            at_row -= c.ring_back * p.banks
        at_row %= modulus
    at, sub, x, y, ring_y, reads, pixels = np.array(found, dtype=np.int64).T
    return Steps(at, sub, x, y, ring_y, reads.astype(bool), pixels)


@dataclass(frozen=True)
class Lines:
    """Lines of a compute in order: cells from the origin to run 0's start [lines]; per lane kx and the position of its
    run, per position ky and row offset [lines, synapses]; first lane in use and the one behind the last [lines]."""

    start: Ints
    kx: Ints
    position: Ints
    ky: Ints
    offset: Ints
    first: Ints
    lanes: Ints

    @property
    def first_position(self) -> Ints:
        """Of a run of each line."""
        return self.position[np.arange(len(self.first)), self.first]

    @property
    def last_position(self) -> Ints:
        """Of a run of each line; -1 where it has no lane."""
        return np.where(self.lanes > 0, self.position[np.arange(len(self.lanes)), self.lanes - 1], -1)

    def chosen(self, first: int, end: int) -> "Lines":
        """Lines [first, end)."""
        return Lines(*(getattr(self, name)[first:end] for name in self.__dataclass_fields__))


def lines_of(c: Compute, w: Window, p: TileParams) -> Lines:
    """The walk over the weight lines."""
    start, kx, ky, offset = 0, np.array(w.kx), np.array(w.ky), np.array(w.row_offset)
    delta = np.array(w.delta)
    found = []
    for line in range(c.lines):
        run = np.concatenate(([0], np.cumsum(kx[1:] == 0)))
        position = np.minimum(w.position(ky[0], run), p.synapses - 1)  # of lanes in use
        found.append((start, kx, position, ky, offset, 0, c.last_lanes if line == c.lines - 1 else w.taps))
        carry_x = int(kx[0] + w.step_x >= w.kernel_w)
        further = w.further(ky[0], carry_x)
        carry_y = (ky + w.step_y + further >= w.positions).astype(np.int64)
        start += w.line_row * p.banks + w.line_bank + further * w.spacing
        offset = offset + delta[further + 3 * carry_y]
        kx = (kx + w.step_x) % w.kernel_w
        ky = ky + w.step_y + further - carry_y * w.positions
    return Lines(*(np.array(values) for values in zip(*found, strict=True)))


@dataclass(frozen=True)
class Pass:
    """Lines of a compute that go through the same steps: whole ones from the first on, or a quarter of the last one.

    at: number of the first line. row_steps: steps of a row, each of ``pixels`` pixels at most, for which ``columns``
    cells of a run are read.
    """

    at: int
    lines: Lines
    steps: Steps
    row_steps: int
    pixels: int
    columns: int


def passes_of(c: Compute, w: Window, p: TileParams, rows: int) -> Iterator[Pass]:
    """Passes over the steps of a compute, in order; ``rows``: row numbers that there are."""
    lines, whole = lines_of(c, w, p), c.whole_lines
    if whole:
        yield Pass(0, lines.chosen(0, whole), steps_of(c, p, rows), c.row_steps, c.groups, c.columns)
    last = lines.chosen(whole, c.lines)
    if c.quarters:
        _check_quarters(c, p)
    for quarter in range(c.quarters):
        first = quarter * p.quarter_lanes
        lanes = np.minimum(last.lanes, first + p.quarter_lanes)
        part = replace(last, first=np.array([first]), lanes=lanes)
        steps = steps_of(c, p, rows, QUARTERS)
        yield Pass(whole, part, steps, c.row_quads, QUARTERS * c.groups, c.quarter_columns)


def _check_quarters(c: Compute, p: TileParams) -> None:
    """Refuse quarters of a last line that are not those of its lanes, and tiles that cut steps taken together."""
    tile, whole_rows = c.tile, c.tile % c.row_steps == 0
    if not 0 <= c.quarters * p.quarter_lanes - c.last_lanes < p.quarter_lanes:
        raise BadInput(f"{c.last_lanes} lanes are not those of {c.quarters} quarters: {c}")
    if not whole_rows and (tile % QUARTERS or c.row_steps % QUARTERS):
        raise BadInput(f"tiles of {tile} steps cut four of {c.row_steps} in a row: {c}")
    times, rest = quads_of(tile, c.row_steps), rest_of(c.row_steps)
    if (c.quarter_tile, c.row_rest) != (times, rest):
        raise BadInput(f"a tile's quarter takes {times} times and the last one of a row {rest} steps: {c}")


class Gather:
    """Operands of a pass. cells_read: cells of the source buffer that were read so far; active: operands in use."""

    def __init__(self, c: Compute, w: Window, part: Pass, words: Ints, known: Bools, rows: int, p: TileParams) -> None:
        self.c, self.w, self.p, self.part = c, w, p, part
        self.words, self.known = words.reshape(-1, p.cell_words), known.reshape(-1, p.cell_words)
        self.rows = rows
        self.cells_read = self.active = 0

    def operands(self) -> Iterator[Ints]:
        """Some steps at a time, whole rows of them [steps, lines, pixels, synapses], 0 where a lane is gated."""
        part = self.part
        row = part.row_steps
        rows = max(1, CHUNK // (row * len(part.lines.lanes) * part.pixels * self.p.synapses))
        for first in range(0, len(part.steps.at), rows * row):
            yield self._operands(part.steps.chosen(slice(first, first + rows * row)))

    def _read(self, s: Steps) -> tuple[Ints, Bools]:
        """Cells [reading steps, lines, slots, words] and which of their words are known; slots that serve nothing are
        unknown."""
        c, w, p, lines = self.c, self.w, self.p, self.part.lines
        slot, run, column = np.arange(p.banks), np.array(w.slot_run), np.array(w.slot_column)
        row, bank = np.divmod((s.at[:, None] + lines.start) % (self.rows * p.banks), p.banks)
        ky = lines.ky[:, run]
        lower = (s.ring_y[:, None, None] + ky >= c.ring_rows) & (c.ring_rows > 0)
        carry, banks = np.divmod(bank[:, :, None] + slot, p.banks)
        rows = row[:, :, None] + carry + np.array(w.slot_carry) + lines.offset[:, run] - lower * c.ring_back
        first = (s.x - s.sub)[:, None, None] + p.cell_words * column
        used = (run >= lines.first_position[:, None]) & (run <= lines.last_position[:, None]) & (ky < w.kernel_h)
        below = (run > 0) & (run <= lines.last_position[:, None] + 1) & (ky > 0)  # a run's position
        active = used | below & (s.pixels > c.cols)[:, None, None] if c.paired else used
        y = s.y[:, None, None] + ky
        active = active & (column < self.part.columns) & (y >= 0) & (y < c.in_h)
        active &= (first + p.cell_words > 0) & (first < c.in_w)
        self.cells_read += int(active.sum())
        cells = rows % self.rows * p.banks + banks
        there = active & (cells < len(self.words))
        cells = np.where(there, cells, 0)
        return self.words[cells], self.known[cells] & there[..., None]

    def _operands(self, s: Steps) -> Ints:
        c, w, p, part = self.c, self.w, self.p, self.part
        lines = part.lines
        held, known = self._read(s.chosen(s.reads))
        read = (np.cumsum(s.reads) - 1)[:, None, None, None]
        step, line = np.arange(len(s.at))[:, None, None, None], np.arange(len(lines.lanes))[:, None, None]
        pixel, lane = np.arange(part.pixels)[:, None], np.arange(p.synapses)
        down, across = np.divmod(pixel, c.cols) if c.paired else (0 * pixel, pixel)
        kx, position = lines.kx[:, None, :], lines.position[:, None, :] + down
        ky = np.take_along_axis(lines.ky, lines.position, axis=1)[:, None, :] + down
        x, y = s.x[step] + kx + across, s.y[step] + ky
        active = (lane >= lines.first[line]) & (lane < lines.lanes[line]) & (pixel < s.pixels[step])
        active = active & (x >= 0) & (x < c.in_w) & (y >= 0) & (y < c.in_h)
        column, place = np.divmod(s.sub[step] + kx + across, p.cell_words)
        slot = (position * w.spacing + column) % p.banks
        serves = (
            (np.array(w.slot_run)[slot] == position)
            & (np.array(w.slot_column)[slot] == column)
            & (column < part.columns)
        )
        self._refuse(s, active & ~serves, "no slot serves a cell that is needed")
        self._refuse(s, active & ~known[read, line, slot, place], "reads words that were never written")
        self.active += int(active.sum())
        return np.where(active, held[read, line, slot, place], 0)

    def _refuse(self, s: Steps, wrong: Bools, what: str) -> None:
        if wrong.any():
            step, line, pixel, lane = (int(values[0]) for values in np.nonzero(wrong))
            line += self.part.at
            raise BadInput(f"pixel ({s.x[step] + pixel}, {s.y[step]}), line {line}, lane {lane}: {what}: {self.c}")
