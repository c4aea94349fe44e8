"""What a Compute reads from its source buffer, step by step and slot by slot (hw.instructions.Window and Compute).

Part of golden.interpret; it walks origins, lines and slots as the instructions tell and derives no address otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.instructions import Compute, Window
from hw.params import TileParams

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


def steps_of(c: Compute, p: TileParams, rows: int) -> Steps:
    """The walk over the steps; ``rows``: row numbers that there are."""
    found = []
    modulus, number, before = rows * p.banks, 0, -1
    at_row, y, ring_y = c.row * p.banks + c.bank, c.y0, c.ring_y
    for row in range(0, c.rows, c.step_rows):
        at, sub, x = at_row, c.sub, c.x0
        for left in range(c.cols, 0, -c.groups):
            reads = left == c.cols or number % c.tile == 0 or at != before
            pixels = c.cols * min(c.rows - row, 2) if c.paired else min(left, c.groups)
            found.append((at, sub, x, y, ring_y, reads, pixels))
            number, before = number + 1, at
            carry, sub = divmod(sub + c.step_sub, p.cell_words)
            at = (at + c.step_cells + carry) % modulus
            x += c.groups * c.stride
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
    run, per position ky and row offset [lines, synapses]; lanes in use [lines]."""

    start: Ints
    kx: Ints
    position: Ints
    ky: Ints
    offset: Ints
    lanes: Ints

    @property
    def last_position(self) -> Ints:
        """Of a run of each line; -1 where it has no lane."""
        return np.where(self.lanes > 0, self.position[np.arange(len(self.lanes)), self.lanes - 1], -1)


def lines_of(c: Compute, w: Window, p: TileParams) -> Lines:
    """The walk over the weight lines."""
    start, kx, ky, offset = 0, np.array(w.kx), np.array(w.ky), np.array(w.row_offset)
    delta = np.array(w.delta)
    found = []
    for line in range(c.lines):
        run = np.concatenate(([0], np.cumsum(kx[1:] == 0)))
        position = np.minimum(w.position(ky[0], run), p.synapses - 1)  # of lanes in use
        found.append((start, kx, position, ky, offset, c.last_lanes if line == c.lines - 1 else w.taps))
        carry_x = int(kx[0] + w.step_x >= w.kernel_w)
        further = w.further(ky[0], carry_x)
        carry_y = (ky + w.step_y + further >= w.positions).astype(np.int64)
        start += w.line_row * p.banks + w.line_bank + further * w.spacing
        offset = offset + delta[further + 3 * carry_y]
        kx = (kx + w.step_x) % w.kernel_w
        ky = ky + w.step_y + further - carry_y * w.positions
    start_, kx_, position_, ky_, offset_, lanes_ = (np.array(values) for values in zip(*found, strict=True))
    return Lines(start_, kx_, position_, ky_, offset_, lanes_)


class Gather:
    """Operands of a compute. cells_read: cells of the source buffer that were read so far; active: operands in use."""

    def __init__(self, c: Compute, w: Window, words: Ints, known: Bools, row_bits: int, p: TileParams) -> None:
        self.c, self.w, self.p = c, w, p
        self.words, self.known = words.reshape(-1, p.cell_words), known.reshape(-1, p.cell_words)
        self.rows = 1 << row_bits
        self.steps, self.lines = steps_of(c, p, self.rows), lines_of(c, w, p)
        self.cells_read = self.active = 0

    def operands(self) -> Iterator[Ints]:
        """Some steps at a time, whole rows of them [steps, lines, groups, synapses], 0 where a lane is gated."""
        c = self.c
        rows = max(1, CHUNK // (c.row_steps * c.lines * c.groups * self.p.synapses))
        for first in range(0, c.steps, rows * c.row_steps):
            yield self._operands(self.steps.chosen(slice(first, first + rows * c.row_steps)))

    def _read(self, s: Steps) -> tuple[Ints, Bools]:
        """Cells [reading steps, lines, slots, words] and which of their words are known; slots that serve nothing are
        unknown."""
        c, w, p, lines = self.c, self.w, self.p, self.lines
        slot, run, column = np.arange(p.banks), np.array(w.slot_run), np.array(w.slot_column)
        row, bank = np.divmod((s.at[:, None] + lines.start) % (self.rows * p.banks), p.banks)
        ky = lines.ky[:, run]
        lower = (s.ring_y[:, None, None] + ky >= c.ring_rows) & (c.ring_rows > 0)
        carry, banks = np.divmod(bank[:, :, None] + slot, p.banks)
        rows = row[:, :, None] + carry + np.array(w.slot_carry) + lines.offset[:, run] - lower * c.ring_back
        first = (s.x - s.sub)[:, None, None] + p.cell_words * column
        used = (run <= lines.last_position[:, None]) & (ky < w.kernel_h)
        below = (run > 0) & (run <= lines.last_position[:, None] + 1) & (ky > 0)  # a run's position
        active = used | below & (s.pixels > c.cols)[:, None, None] if c.paired else used
        active = active & (column < c.columns) & (s.y[:, None, None] + ky >= 0) & (s.y[:, None, None] + ky < c.in_h)
        active &= (first + p.cell_words > 0) & (first < c.in_w)
        self.cells_read += int(active.sum())
        cells = rows % self.rows * p.banks + banks
        there = active & (cells < len(self.words))
        cells = np.where(there, cells, 0)
        return self.words[cells], self.known[cells] & there[..., None]

    def _operands(self, s: Steps) -> Ints:
        c, w, p, lines = self.c, self.w, self.p, self.lines
        held, known = self._read(s.chosen(s.reads))
        read = (np.cumsum(s.reads) - 1)[:, None, None, None]
        step, line = np.arange(len(s.at))[:, None, None, None], np.arange(c.lines)[:, None, None]
        pixel, lane = np.arange(c.groups)[:, None], np.arange(p.synapses)
        down, across = np.divmod(pixel, c.cols) if c.paired else (0 * pixel, pixel)
        kx, position = lines.kx[:, None, :], lines.position[:, None, :] + down
        ky = np.take_along_axis(lines.ky, lines.position, axis=1)[:, None, :] + down
        x, y = s.x[step] + kx + across, s.y[step] + ky
        active = (lane < lines.lanes[line]) & (pixel < s.pixels[step])
        active = active & (x >= 0) & (x < c.in_w) & (y >= 0) & (y < c.in_h)
        column, place = np.divmod(s.sub[step] + kx + across, p.cell_words)
        slot = (position * w.spacing + column) % p.banks
        serves = (
            (np.array(w.slot_run)[slot] == position) & (np.array(w.slot_column)[slot] == column) & (column < c.columns)
        )
        self._refuse(s, active & ~serves, "no slot serves a cell that is needed")
        self._refuse(s, active & ~known[read, line, slot, place], "reads words that were never written")
        self.active += int(active.sum())
        return np.where(active, held[read, line, slot, place], 0)

    def _refuse(self, s: Steps, wrong: Bools, what: str) -> None:
        if wrong.any():
            step, line, pixel, lane = (int(values[0]) for values in np.nonzero(wrong))
            raise BadInput(f"pixel ({s.x[step] + pixel}, {s.y[step]}), line {line}, lane {lane}: {what}: {self.c}")
