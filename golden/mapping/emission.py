"""The sequence of operations under construction: what is loaded already, which stores are held back."""

from dataclasses import dataclass
from typing import Any

from golden.mapping.layer_plan import LayerPlan
from golden.mapping.layout import DramMap, MapLayout, line_beats, pair_of, run_beats, runs_of
from golden.mapping.ops import Cells, Op, Region, overlap
from golden.mapping.pieces import Block, Piece
from golden.mapping.synapses import SynapseRows
from golden.mapping.tables import WeightTable
from golden.mapping.view import Reach, cells_of, window_of
from hw.instructions import Base, Buffer, Compute, Load, Store, Window
from hw.params import TileParams

STORE_AGE = 1  # computes that are emitted before a store, so that it does not hold up transfers behind it


@dataclass(frozen=True)
class Constants:
    """Where an increment's weights and biases lie: beats from the start of the constants, SB lines of biases.

    weights: of each layer, in the hidden ones those of the largest increment.
    biases: (beat, SB row, lines) of every table to load; bias_line: (layer, first neuron of a block) -> (SB row, bank).
    ones: beat of a block of lines that have the weight 1 on the lane of the neuron's own number. shared: beats of
    constants that belong to all increments, those behind them to one.
    """

    weights: tuple[WeightTable, ...]
    biases: tuple[tuple[int, int, int], ...]
    bias_line: dict[tuple[int, int], tuple[int, int]]
    bias_rows: int
    shared: int
    ones: int = 0


class Emission:
    """An increment's operations, in an order that is right when they are executed one by one."""

    def __init__(self, constants: Constants, params: TileParams) -> None:
        self.constants = constants
        self.p = params
        self.ops: list[Op] = []
        self._weights = SynapseRows(constants.bias_rows, params.sb_rows - constants.bias_rows)
        self._pending: list[tuple[int, Op]] = []
        self._computes = 0
        self._next_sum = 0
        self._window: object = None
        group = line_beats(self.p.neurons, self.p)
        self._bias_rows = {
            row + i: (beat + i * group, min(self.p.neurons, lines - i * self.p.neurons))
            for beat, row, lines in constants.biases
            for i in range(-(-lines // self.p.neurons))
        }  # still to be loaded: SB row -> beat, lines

    def take_sums(self, region: tuple[int, int], steps: int) -> int:
        """The first of ``steps`` accumulators of a region, behind those taken before."""
        first, last = region
        at = self._next_sum if first <= self._next_sum <= last else first
        self._next_sum = first + (at - first + steps) % (last - first + 1)
        return at

    def emit(self, op: Op) -> None:
        """Append an operation, a store a little later."""
        if isinstance(op.instruction, Store):
            self._pending.append((self._computes, op))
            return
        for _, store in self._pending:
            again = op.region == store.region and op.beats[0] < store.beats[1] and store.beats[0] < op.beats[1]
            if again or overlap(op.writes, store.reads):
                self.flush()
                break
        self.ops.append(op)
        if isinstance(op.instruction, Compute):
            self._computes += 1
            self._weights.computes = self._computes
            if self._pending and self._computes - self._pending[0][0] >= STORE_AGE:
                self.flush()

    def flush(self) -> None:
        """Emit the stores that are held back."""
        self.ops.extend(op for _, op in self._pending)
        self._pending.clear()

    def window(self, plan: LayerPlan, held: MapLayout, line: int) -> None:
        """The Window of computes that start at ``line``, unless it is the one before."""
        line, reach = (0, Reach(held.pitch)) if plan.view.vector else (line, plan.reach)
        self.emit_window(window_of(plan.view, held.pitch, held.plane, line, reach, self.p))

    def emit_window(self, window: Window) -> None:
        """A Window, unless it is the one before."""
        if window != self._window:
            self._window = window
            self.emit(Op(window))

    # -- transfers -----------------------------------------------------------------------------------------------

    def bias(self, row: int) -> None:
        """Load a row of biases unless it is there."""
        if row in self._bias_rows:
            beat, lines = self._bias_rows.pop(row)
            self._load_lines((beat, 0), row, 1, lines, self.p.synapses, 1)

    def release(self) -> None:
        """A block, or a layer whose blocks take turns, is done: its weights need not stay."""
        self._weights.kept.clear()

    def weights(self, index: int, block: Block, piece: Piece, keep: bool) -> int:
        """SB row of a piece's weights; loads them unless they are there. keep: they stay until ``release``."""
        row, missing = self._weights.place((index, block.first, piece.line), piece.lines, keep)
        if missing:
            place = self.constants.weights[index].place(block, piece.line, self.p)
            self._load_lines(place, row, piece.lines, block.neurons, piece.last_lanes, block.groups)
        return row

    def ones(self, block: Block) -> int:
        """SB row of a line for each neuron of a block, 1 on its own channel's lane; loaded unless it is there."""
        row, missing = self._weights.place(("ones", block.neurons, block.groups), 1, False)
        if missing:
            self._load_lines((self.constants.ones, 0), row, 1, block.neurons, block.neurons, block.groups)
        return row

    def _load_lines(
        self, place: tuple[int, int], row: int, lines: int, neurons: int, last: int, groups: int
    ) -> None:  # fmt: skip
        """Weight or bias lines of a block to SB, from row ``row`` on. place: beat of the first, beats to the next."""
        beat, step = place
        load = Load(
            buffer=Buffer.SB, address=beat, run_beats=step, runs=lines, length=neurons, last_words=last, row=row,
            groups=groups,
        )  # fmt: skip
        cells = (Cells(int(Buffer.SB), row, row + lines),)
        beats = (lines - 1) * step + line_beats(neurons, self.p)
        region = Region.CONSTANTS if beat < self.constants.shared else Region.OWN
        self.emit(Op(load, writes=cells, region=region, beats=(beat, beat + beats)))

    def move(
        self, store: bool, held: MapLayout, dram: DramMap, channels: tuple[int, int], rows: tuple[int, int],
        place: tuple[int, int],
    ) -> None:  # fmt: skip
        """Move ``channels`` and ``rows`` of a map between DRAM and a buffer; ``place``: those of held's base."""
        p = self.p
        count, height, width = channels[1] - channels[0], rows[1] - rows[0], dram.shape[2]
        first = held.cell(channels[0] - place[0], rows[0] - place[1])
        base = dram.row(channels[0], rows[0], p)
        if dram.dense:
            words = height * cells_of(width, p) * p.cell_words
            found = runs_of(count, 1, (held.plane, 0), (dram.run_beats, 0))
        else:
            words = width
            plane = dram.shape[1] * dram.run_beats
            found = runs_of(count, height, (held.plane, held.pitch), (plane, dram.run_beats))
        length = run_beats(words, p)
        for runs in found:
            cell, beat = first + runs.cell, base + runs.beat
            row, bank = pair_of(cell, p)
            step = pair_of(runs.step_cells if runs.runs > 1 else 0, p)
            fields: dict[str, Any] = {
                "buffer": held.buffer, "base": dram.base, "address": beat, "run_beats": runs.step_beats,
                "runs": runs.runs, "length": length, "last_words": words - (length - 1) * p.beat_words,
                "row": row, "bank": bank, "step_row": step[0], "step_bank": step[1],
            }  # fmt: skip
            touched = tuple(
                Cells(int(held.buffer), at, at + cells_of(words, p))
                for at in range(cell, cell + runs.runs * max(runs.step_cells, 1), max(runs.step_cells, 1))
            )[: runs.runs]
            span = (beat, beat + (runs.runs - 1) * runs.step_beats + length)
            region = Region.IMAGE if dram.base == Base.IMAGE else Region.SCRATCH
            if store:
                self.emit(Op(Store(**fields), reads=touched, region=region, beats=span))
            else:
                self.emit(Op(Load(**fields), writes=touched, region=region, beats=span))
