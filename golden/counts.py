"""Event counts of a program in closed form, from its instructions alone (hw.events.WORK)."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import UNUSED, Buffer, Compute, Decide, Instruction, Load, Pool, Store, Window
from hw.isa import isa
from hw.params import QUARTERS, TileParams

Ints = NDArray[np.int64]

_BUFFERS = ("nbin", "nbout")


class _Segment(Protocol):
    @property
    def code(self) -> tuple[Instruction, ...]: ...


class _Program(Protocol):
    @property
    def params(self) -> TileParams: ...
    @property
    def segments(self) -> tuple[tuple[Instruction, ...], ...]: ...
    def visited(self, increments: Sequence[int]) -> Sequence[_Segment]: ...


@lru_cache(maxsize=512)
def _lanes_met(w: Window, lines: int, last_lanes: int) -> Ints:
    """How often the lanes of ``lines`` lines meet each place of the kernel [kernel_h, kernel_w]."""
    line, size = np.arange(lines)[:, None], w.kernel_h * w.kernel_w
    element = (_first(w, line) + np.arange(len(w.kx))) % size
    lanes = np.where(line == lines - 1, last_lanes, w.taps)
    return np.bincount(element[np.arange(len(w.kx)) < lanes], minlength=size).reshape(-1, w.kernel_w)


@lru_cache(maxsize=512)
def _slots_met(w: Window, at: int, lines: int, first_lane: int, last_lanes: int) -> Ints:
    """How often ``lines`` lines from ``at`` on, the last one with lanes from ``first_lane`` up to ``last_lanes``, meet
    slots of steps of one row and of two rows [2, kernel_h + 1, cells], by the row of the map that they serve, counted
    from the window's first one, and the cell of their run."""
    line = np.arange(at, at + lines)[:, None]
    first, is_last = _first(w, line), line == at + lines - 1
    low, high = np.where(is_last, first_lane, 0), np.where(is_last, last_lanes, w.taps) - 1
    ky = first // w.kernel_w % w.kernel_h
    lowest, highest = (w.position(ky, (first + lane) // w.kernel_w - first // w.kernel_w) for lane in (low, high))
    column, position = np.array(w.slot_column), np.array(w.slot_run)
    row = (ky + position) % w.positions
    upper = (position >= lowest) & (position <= highest) & (row < w.kernel_h)
    lower = (position > 0) & (position <= highest + 1) & (row > 0)  # below a run
    shape = (w.kernel_h + 1, UNUSED + 1)
    by_slot = [
        np.bincount((row * shape[1] + column)[met], minlength=shape[0] * shape[1]) for met in (upper, upper | lower)
    ]
    return np.array(by_slot).reshape(2, *shape)


def _first(w: Window, line: Ints) -> Ints:
    """The first element of a line, in the flattened window."""
    return w.ky[0] * w.kernel_w + w.kx[0] + line * w.taps


def _inside(start: int, step: int, positions: int, taps: int, length: int) -> NDArray[np.bool_]:
    """Whether tap t of a window at start, start + step, ... lies in 0 .. length-1 [positions, taps]."""
    at = start + step * np.arange(positions)[:, None] + np.arange(taps)
    return (at >= 0) & (at < length)


def gathered(c: Compute, w: Window) -> int:
    """Active lanes of all lines and pixels of a compute: its window's elements that lie inside the map; none in a
    compute that adds nothing."""
    if not c.last_lanes:
        return 0
    by_lane = _lanes_met(w, c.lines, c.last_lanes)
    down = _inside(c.y0, c.stride, c.rows, w.kernel_h, c.in_h).sum(axis=0)
    across = _inside(c.x0, c.stride, c.cols, w.kernel_w, c.in_w).sum(axis=0)
    return int(down @ by_lane @ across)


def cells_read(c: Compute, w: Window, p: TileParams) -> int:
    """Active slots of all reads: a step reads when its origin enters a cell, and at the start of a tile or row, and a
    quarter of a line for all steps that it takes together; a compute that adds nothing never does."""
    if not c.last_lanes:
        return 0
    whole = c.whole_lines
    step = np.arange(c.row_steps)
    cell, sub = np.divmod(c.sub + step * (c.step_cells * p.cell_words + c.step_sub), p.cell_words)
    reads = (np.arange(c.steps) % c.tile == 0).reshape(-1, c.row_steps)
    reads |= np.diff(cell, prepend=cell[0] - 1) != 0
    pixel = c.x0 + step * c.groups * c.stride - sub  # of the first word of a step's first cell
    found = _cells(c, p, reads, pixel, c.columns, _slots_met(w, 0, whole, 0, w.taps if c.quarters else c.last_lanes))
    fours = np.broadcast_to(step % QUARTERS == 0, reads.shape)
    for first in range(0, c.quarters * p.quarter_lanes, p.quarter_lanes or 1):
        met = _slots_met(w, whole, 1, first, min(first + p.quarter_lanes, c.last_lanes))
        found += _cells(c, p, fours, pixel, c.quarter_columns, met)
    return found


def _cells(c: Compute, p: TileParams, reads: NDArray[np.bool_], pixel: Ints, columns: int, by_slot: Ints) -> int:
    """Slots of the steps [rows, row_steps] that read ``columns`` cells of a run, of those in by_slot."""
    first = pixel[:, None] + np.arange(columns) * p.cell_words
    across = reads.astype(np.int64) @ ((first + p.cell_words > 0) & (first < c.in_w))
    inside = _inside(c.y0, c.stride * c.step_rows, len(reads), by_slot.shape[1], c.in_h).astype(np.int64)
    down = inside @ by_slot[0, :, :columns]
    if c.paired:
        rows = np.arange(len(reads)) * c.step_rows + 1 < c.rows  # steps with a second row
        down = np.where(rows[:, None], inside @ by_slot[1, :, :columns], down)
    return int((across * down).sum())


def windows_of(first: int, positions: int, size: int, stride: int, windows: int) -> int:
    """(position, window) pairs for positions first .. first+positions-1: window i holds i*stride .. i*stride+size-1."""
    total = 0
    for at in range(first, first + positions):
        oldest, newest = max(0, -(-(at - size + 1) // stride)), min(at // stride, windows - 1)
        total += max(0, newest - oldest + 1)
    return total


def emitted_rows(c: Compute) -> int:
    """Output rows that leave with a finishing compute."""
    if c.pool == Pool.NONE:
        return c.rows
    ends = (min(r * c.pool_stride + c.pool_size, c.out_h) - 1 for r in range(c.pool_h))
    return sum(c.out_y <= end < c.out_y + c.rows for end in ends)


def _compute(c: Compute, w: Window, p: TileParams, count: Counter[str]) -> None:
    pixels, cycles = c.cols * c.rows, c.issues
    multiply = gathered(c, w) * c.neurons
    count["compute_cycles"] += cycles
    count["multiply"] += multiply
    count["lane_gated"] += cycles * p.neurons * p.synapses - multiply
    count["accumulate"] += pixels * (c.whole_lines + c.quarters) * c.neurons if c.last_lanes else 0
    lanes = (c.lines - 1) * w.taps + c.last_lanes
    count["sb_read"] += -(-c.steps // c.tile) * c.groups * c.neurons * lanes + c.load_bias * p.synapses
    count[f"{_BUFFERS[c.source]}_read"] += cells_read(c, w, p) * p.cell_words
    if not c.finish:
        return
    count["activation"] += pixels * c.neurons
    count["score_vector"] += c.steps * c.scores
    cols = c.cols if c.pool == Pool.NONE else c.pool_w
    rows = emitted_rows(c)
    words = rows * cols * c.neurons
    count["output"] += words
    count[f"{_BUFFERS[c.target]}_write"] += words
    if c.pool != Pool.NONE:
        down = windows_of(c.out_y, c.rows, c.pool_size, c.pool_stride, c.pool_h)
        across = windows_of(0, c.cols, c.pool_size, c.pool_stride, c.pool_w)
        count["pool_update"] += (down * c.cols + rows * across) * c.neurons


def _transfer(t: Load | Store, p: TileParams, count: Counter[str]) -> None:
    if t.buffer == Buffer.SB:
        count["dram_read"] += t.runs * -(-t.length // p.lines_per_beat)
        count["sb_write"] += t.groups * t.length * ((t.runs - 1) * p.synapses + t.last_words)
        return
    words = t.runs * ((t.length - 1) * p.beat_words + t.last_words)
    count["dram_read" if isinstance(t, Load) else "dram_write"] += t.runs * t.length
    count[f"{_BUFFERS[t.buffer]}_{'write' if isinstance(t, Load) else 'read'}"] += words


def count(segment: Sequence[Instruction], params: TileParams, escalates: bool = False) -> dict[str, int]:
    """Counts of one segment's run; one that ``escalates`` is fetched whole but executed only up to its Decide."""
    found: Counter[str] = Counter({event.name: 0 for event in WORK})
    found["dram_read"] += isa(params).instruction_beats * len(segment)
    window: Window | None = None
    for instruction in segment:
        found["instructions"] += 1
        if isinstance(instruction, Window):
            window = instruction
        elif isinstance(instruction, Compute):
            if window is None:
                raise BadInput("a compute wants a window before it; emit one")
            _compute(instruction, window, params, found)
        elif isinstance(instruction, Load | Store):
            _transfer(instruction, params, found)
        elif isinstance(instruction, Decide):
            found["decision"] += 1
            if escalates:
                break
    return dict(found)


def count_entry(params: TileParams) -> dict[str, int]:
    """Counts of the Entry instruction, which is fetched once an image."""
    return {event.name: 0 for event in WORK} | {
        "instructions": 1,
        "dram_read": isa(params).instruction_beats,
    }


def count_run(program: _Program, increments: Sequence[int]) -> dict[str, int]:
    """Counts of one image's run through ``increments`` (in order, each but the last escalates), Entry included.

    It starts directly at the first one, and takes the resumed segments where a run from there does.
    """
    if not increments or list(increments) != list(range(increments[0], increments[-1] + 1)):
        raise BadInput(f"a run wants increments one after the other, not {list(increments)}")
    if not 0 <= increments[0] <= increments[-1] < len(program.segments):
        raise BadInput(f"a run wants increments from 0 to {len(program.segments) - 1}, not {list(increments)}")
    parts = [count_entry(program.params)]
    visited = program.visited(increments)
    parts += [count(part.code, program.params, part is not visited[-1]) for part in visited]
    return {event.name: sum(part[event.name] for part in parts) for event in WORK}
