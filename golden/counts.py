"""Event counts of a program in closed form, from its instructions alone (hw.events.WORK)."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import Buffer, Compute, Decide, Instruction, Load, Pool, Store, Window
from hw.isa import isa
from hw.params import TileParams

_BUFFERS = ("nbin", "nbout")


class _Program(Protocol):
    @property
    def params(self) -> TileParams: ...
    @property
    def segments(self) -> tuple[tuple[Instruction, ...], ...]: ...


def _taps_inside(start: int, step: int, positions: int, taps: Sequence[int], length: int) -> int:
    """How often tap t of a window at start, start + step, ... lies in 0 .. length-1, summed over ``taps``."""
    total = 0
    for tap in taps:
        low = max(0, -(-(-start - tap) // step))
        high = min(positions - 1, (length - 1 - start - tap) // step)
        total += max(0, high - low + 1)
    return total


def gathered(c: Compute, w: Window) -> int:
    """Valid lanes of all lines and pixels of a compute: its window's elements that lie inside the map."""

    def inside(rows: Sequence[int], cols: Sequence[int]) -> int:
        return _taps_inside(c.y0, c.stride, c.rows, rows, c.in_h) * _taps_inside(c.x0, c.stride, c.cols, cols, c.in_w)

    elements = (c.lines - 1) * len(w.kx) + c.last_lanes
    channels, rest = divmod(elements, w.kernel_w * w.kernel_h)
    full_rows, cols = divmod(rest, w.kernel_w)
    every = range(w.kernel_w)
    return (
        channels * inside(range(w.kernel_h), every) + inside(range(full_rows), every) + inside([full_rows], range(cols))
    )


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
    pixels = c.cols * c.rows
    cycles = pixels * c.lines
    valid = gathered(c, w)
    count["compute_cycles"] += cycles
    count["multiply"] += valid * c.neurons
    count["lane_gated"] += cycles * p.neurons * p.synapses - valid * c.neurons
    count["accumulate"] += cycles * c.neurons
    tiles = -(-pixels // c.tile)
    count["sb_read"] += tiles * c.neurons * ((c.lines - 1) * p.synapses + c.last_lanes) + c.load_bias * p.synapses
    count[f"{_BUFFERS[c.source]}_read"] += valid
    if not c.finish:
        return
    count["activation"] += pixels * c.neurons
    count["score_vector"] += pixels * c.scores
    cols = c.cols if c.pool == Pool.NONE else c.pool_w
    words = emitted_rows(c) * cols * c.neurons
    count["output"] += words
    count[f"{_BUFFERS[c.target]}_write"] += words
    if c.pool != Pool.NONE:
        down = windows_of(c.out_y, c.rows, c.pool_size, c.pool_stride, c.pool_h)
        across = windows_of(0, c.cols, c.pool_size, c.pool_stride, c.pool_w)
        count["pool_update"] += down * across * c.neurons


def _transfer(t: Load | Store, p: TileParams, count: Counter[str]) -> None:
    words = t.runs * ((t.lines - 1) * p.synapses + t.last_words)
    if isinstance(t, Load):
        count["dram_read"] += t.runs * -(-t.lines // p.lines_per_beat)
        if t.buffer == Buffer.SB:
            count["sb_write"] += t.lines * ((t.runs - 1) * p.synapses + t.last_words)
        else:
            count[f"{_BUFFERS[t.buffer]}_write"] += words
    else:
        count[f"{_BUFFERS[t.buffer]}_read"] += words
        count["dram_write"] += t.runs * t.lines


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
    """Counts of one image's run through ``increments`` (in order, each but the last escalates), Entry included."""
    if not increments or list(increments) != list(range(increments[0], increments[-1] + 1)):
        raise BadInput(f"a run wants increments one after the other, not {list(increments)}")
    if not 0 <= increments[0] <= increments[-1] < len(program.segments):
        raise BadInput(f"a run wants increments from 0 to {len(program.segments) - 1}, not {list(increments)}")
    parts = [count_entry(program.params)]
    parts += [count(program.segments[i], program.params, i != increments[-1]) for i in increments]
    return {event.name: sum(part[event.name] for part in parts) for event in WORK}
