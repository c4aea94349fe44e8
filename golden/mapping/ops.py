"""Operations of a schedule: instructions with the buffer cells and DRAM beats that they touch.

A schedule is first a sequence that is right when executed one by one. ``hoist`` moves loads ahead of computes that
they do not touch, so that transfers run under computes; ``with_waits`` derives the sync counts that keep every pair of
operations that touch the same row in order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

import numpy as np

from golden.limits import BURST_NS
from golden.mapping.layout import line_beats
from hw.instructions import Buffer, Compute, Load, Store, Window
from hw.isa import replace_waits
from hw.params import TileParams

LEAST_BEATS = 64  # of the first part of a load of weights that is cut where a compute ends: a part costs an instruction
LEAST_PART = 4  # weight lines of a part of one that is cut because its rows get free one after the other


class Region(Enum):
    """What a transfer's address is relative to until the DRAM image is laid out."""

    NONE = 0
    CONSTANTS = 1  # of all increments
    OWN = 2  # constants of one
    SCRATCH = 3
    IMAGE = 4
    RESULT = 5


@dataclass(frozen=True)
class Cells:
    """Cells [first, end) of a neuron buffer, or rows of SB; ``space`` is its number in hw.isa.Buffer."""

    space: int
    first: int
    end: int


@dataclass(frozen=True)
class Emit:
    """Results of a finishing compute: rows and columns of the layer's output map, for some neurons.

    sub: place of the first column in its cell; vector: one pixel, whose channels lie one behind the other. limb: 0, or
    the number of the limb of its sums that is given (top: the topmost one) instead of results.
    """

    layer: int
    channel: int
    channels: int
    row: int
    row_end: int
    col: int
    col_end: int
    sub: int
    vector: int
    limb: int = 0
    top: int = 0


@dataclass(frozen=True)
class Op:
    """An instruction and its footprint. ``beats``: DRAM beats [first, end) touched in its region."""

    instruction: Load | Store | Window | Compute
    reads: tuple[Cells, ...] = ()
    writes: tuple[Cells, ...] = ()
    region: Region = Region.NONE
    beats: tuple[int, int] = (0, 0)
    emit: Emit | None = None

    @property
    def is_transfer(self) -> bool:
        return isinstance(self.instruction, Load | Store)


def overlap(a: Iterable[Cells], b: Iterable[Cells]) -> bool:
    return any(x.space == y.space and x.first < y.end and y.first < x.end for x in a for y in b)


class _Table:
    """A number per cell of the neuron buffers and per row of SB."""

    def __init__(self, p: TileParams) -> None:
        sizes = (*(rows * p.banks for rows in p.buffer_rows), p.sb_rows)
        self._rows = [np.zeros(size, dtype=np.int64) for size in sizes]

    def most(self, rows: Iterable[Cells]) -> int:
        return max((int(self._rows[r.space][r.first : r.end].max()) for r in rows if r.end > r.first), default=0)

    def each(self, rows: Cells) -> np.ndarray:
        """The numbers of some cells."""
        return self._rows[rows.space][rows.first : rows.end]

    def put(self, rows: Iterable[Cells], value: int) -> None:
        for r in rows:
            self._rows[r.space][r.first : r.end] = np.maximum(self._rows[r.space][r.first : r.end], value)


def cycles_of(op: Op, p: TileParams) -> float:
    """Estimate of how long an operation keeps its engine: DRAM time of a transfer, issue time of a compute."""
    i = op.instruction
    if isinstance(i, Window):
        return 1.0
    if isinstance(i, Compute):
        return float(i.issues + 1 + i.load_bias)
    beats = i.runs * (line_beats(i.length, p) if i.buffer == Buffer.SB else i.length)
    return (beats + 1) * BURST_NS / p.clock_ns  # and the instruction itself


def hoist(ops: Sequence[Op], p: TileParams) -> list[Op]:
    """The same operations, loads moved ahead so that the DMA engine is busy while computes run.

    Computes keep their order, and so do operations that touch the same cells or scratch beats. Both engines are
    followed in estimated time: behind a compute stand the loads that the DMA engine starts while it runs, those that
    are needed first in front; a load comes no later than the compute that needs it.
    """
    in_use, moved = (
        _Table(p),
        _Table(p),
    )  # per cell: computes that touched it so far; earliest place of a later transfer
    stores: list[tuple[int, int, int]] = []
    line: list[list[Op]] = [[]]  # what stands at each place: windows, then the compute
    transfers: list[tuple[int, int, Op]] = []  # (earliest place, latest place, operation) in order
    for op in ops:
        place = len(line) - 1
        if not op.is_transfer:
            line[-1].append(op)
            if isinstance(op.instruction, Compute):
                in_use.put(op.reads + op.writes, place + 1)
                line.append([])
            continue
        if isinstance(op.instruction, Store):
            stores.append((*op.beats, place))
            moved.put(op.reads, place)
            transfers.append((place, place, op))
            continue
        least = 0
        if op.region == Region.SCRATCH:
            spans = (at for first, end, at in stores if first < op.beats[1] and op.beats[0] < end)
            least = max(spans, default=0)
        for part in _parts(op, in_use, moved, p):
            earliest = min(max(in_use.most(part.writes), moved.most(part.writes), least), place)
            moved.put(part.writes, earliest)
            transfers.append((earliest, place, part))
    return _merge(line, transfers, p)


def _parts(op: Op, in_use: _Table, moved: _Table, p: TileParams) -> list[Op]:
    """A load of weights, cut where rows of SB are free at another time; parts of few lines stay with the later ones."""
    load = op.instruction
    if not isinstance(load, Load) or load.buffer != Buffer.SB or load.runs < 2 * LEAST_PART:
        return [op]
    free = np.maximum(in_use.each(op.writes[0]), moved.each(op.writes[0]))
    cuts = [0]
    for line in np.flatnonzero(np.diff(free)) + 1:
        if line - cuts[-1] >= LEAST_PART and load.runs - line >= LEAST_PART:
            cuts.append(int(line))
    return [_lines(op, *ends, p) for ends in pairwise([*cuts, load.runs])]


def _lines(op: Op, first: int, end: int, p: TileParams) -> Op:
    """Weight lines [first, end) of a load of weights."""
    load = op.instruction
    assert isinstance(load, Load)
    row, start = load.row + first, first * load.run_beats
    last = op.beats[1] if end == load.runs else op.beats[0] + end * load.run_beats
    part = replace(
        load, address=load.address + start, row=row, runs=end - first,
        last_words=load.last_words if end == load.runs else p.synapses,
    )  # fmt: skip
    cells = Cells(Buffer.SB, row, load.row + end)
    return replace(op, instruction=part, writes=(cells,), beats=(op.beats[0] + start, last))


def _merge(line: list[list[Op]], transfers: list[tuple[int, int, Op]], p: TileParams) -> list[Op]:
    """Transfers at their places: those that are due before a compute, behind it those that start while it runs."""
    waiting: list[tuple[int, int, Op]] = []  # (number, latest place, operation), in the order of need
    by_place: list[list[tuple[int, int, Op]]] = [[] for _ in line]
    for number, (earliest, latest, op) in enumerate(transfers):
        by_place[earliest].append((number, latest, op))
    found: list[Op] = []
    landed: dict[int, float] = {}  # by latest place
    dma = compute = 0.0
    for place, computes in enumerate(line):
        waiting = _together(sorted(waiting + by_place[place], key=lambda item: item[0]), p)
        soon = max(place, 1)  # the first compute waits for its words in any case, so the second one's come before it
        due = [item for item in waiting if item[1] <= soon]
        waiting = [item for item in waiting if item[1] > soon]
        for _, latest, op in due:
            found.append(op)
            dma = max(dma, compute) + cycles_of(op, p) if isinstance(op.instruction, Store) else dma + cycles_of(op, p)
            landed[latest] = dma
        found.extend(computes)
        start = max(compute, landed.get(place, 0.0))
        compute = start + sum(cycles_of(op, p) for op in computes)
        while waiting and max(dma, start) < compute:
            number, latest, op = waiting.pop(0)
            first, rest = _cut(op, compute - max(dma, start), p)
            if first is None:
                waiting.insert(0, (number, latest, op))
                break
            if rest is not None:
                waiting.insert(0, (number, latest, rest))
            found.append(first)
            dma = max(dma, start) + cycles_of(first, p)
            landed[latest] = max(dma, landed.get(latest, 0.0))
    return found


def _together(waiting: list[tuple[int, int, Op]], p: TileParams) -> list[tuple[int, int, Op]]:
    """Parts of a load of weights that follow each other, whole again: all of them may come now."""
    found: list[tuple[int, int, Op]] = []
    for number, latest, op in waiting:
        before = found[-1] if found else None
        whole = _joined(before[2], op, p) if before is not None and before[1] == latest else None
        if before is not None and whole is not None:
            found[-1] = (before[0], latest, whole)
        else:
            found.append((number, latest, op))
    return found


def _joined(op: Op, following: Op, p: TileParams) -> Op | None:
    """One load for two, where the first one's lines are whole and the second one's follow in DRAM and in SB."""
    a, b = op.instruction, following.instruction
    if not (isinstance(a, Load) and isinstance(b, Load) and a.buffer == b.buffer == Buffer.SB):
        return None
    begins = replace(b, address=b.address - a.runs * b.run_beats, row=b.row - a.runs, runs=a.runs)
    if op.region != following.region or a.last_words != p.synapses or begins != replace(a, last_words=b.last_words):
        return None
    cells = Cells(Buffer.SB, a.row, b.row + b.runs)
    whole = replace(a, runs=a.runs + b.runs, last_words=b.last_words)
    return replace(op, instruction=whole, writes=(cells,), beats=(op.beats[0], following.beats[1]))


def _cut(op: Op, cycles: float, p: TileParams) -> tuple[Op | None, Op | None]:
    """As many weight lines of a load as fit into ``cycles``, and the rest; other transfers stay whole."""
    load = op.instruction
    if not isinstance(load, Load) or load.buffer != Buffer.SB or load.runs == 1:
        return op, None
    beats = line_beats(load.length, p)
    lines = int(cycles * p.clock_ns / BURST_NS - 1) // beats
    if lines >= load.runs:
        return op, None
    if lines * beats < LEAST_BEATS:
        return None, op
    return _lines(op, 0, lines, p), _lines(op, lines, load.runs, p)


def with_waits(ops: Sequence[Op], p: TileParams) -> list[Op]:
    """The operations with their sync counts: every row is read after its writer and overwritten after its readers."""
    read_by_compute, written_by_compute = _Table(p), _Table(p)
    read_by_transfer, written_by_transfer = _Table(p), _Table(p)
    computes = transfers = 0
    found = []
    for op in ops:
        if isinstance(op.instruction, Window):
            found.append(op)
            continue
        if op.is_transfer:
            transfers += 1
            waits = {
                "wait_dma": written_by_transfer.most(op.reads),  # a store reads before earlier loads have landed
                "wait_read": read_by_compute.most(op.writes),
                "wait_written": written_by_compute.most(op.reads + op.writes),
            }
            read_by_transfer.put(op.reads, transfers)
            written_by_transfer.put(op.writes, transfers)
        else:
            computes += 1
            waits = {
                "wait_dma": max(written_by_transfer.most(op.reads + op.writes), read_by_transfer.most(op.writes)),
                "wait_read": 0,
                "wait_written": written_by_compute.most(op.reads),
            }
            read_by_compute.put(op.reads, computes)
            written_by_compute.put(op.writes, computes)
        found.append(replace(op, instruction=replace_waits(op.instruction, **waits)))
    return found
