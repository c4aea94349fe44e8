"""Turns the plans of one increment into a sequence of loads, windows, computes and stores.

The sequence is right when executed one by one; golden.mapping.ops makes transfers overlap computes. Loop order of a
layer: block of neurons, slab of pixels, chunk of input channels, piece of weight lines. Weights go through a ring of SB
rows, streamed input through areas of the source buffer, spilled output through areas of the target buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from golden.integer import reciprocal
from golden.mapping.layout import DramMap, MapLayout, extent, lines_of, run_beats, runs_of
from golden.mapping.ops import Emit, Op, Region, Rows, overlap
from golden.mapping.pieces import Piece, blocks
from golden.mapping.plan import LayerPlan, Slab, input_rows, pool_fields, tile_of
from golden.network import Layer
from hw.instructions import Base, Buffer, Compute, Load, Pool, Store, Window
from hw.isa import Isa, isa
from hw.params import TileParams

STORE_AGE = 1  # computes that are emitted before a store, so that it does not hold up transfers behind it


@dataclass(frozen=True)
class Constants:
    """Where an increment's weights and biases lie: beats from the start of the constants, SB lines of biases.

    weights: beat of each layer's first line; block_lines: lines of a block there (of the largest increment).
    biases: (beat, SB row, rows) of every table to load; bias_line: (layer, block) -> (SB row, bank).
    """

    weights: tuple[int, ...]
    block_lines: tuple[int, ...]
    biases: tuple[tuple[int, int, int], ...]
    bias_line: dict[tuple[int, int], tuple[int, int]]
    bias_rows: int


def window_of(layer: Layer, pitch: int, plane: int, params: TileParams) -> Window:
    """Lane offsets of the layer's window in a map with these pitches (see hw.isa.Window)."""
    n = params.synapses
    kernel_h, kernel_w = layer.kernel
    if layer.fc:
        pitch = plane = 1
    mask = (1 << isa(params).row_bits) - 1

    def offset(i: int) -> int:
        c, rest = divmod(i, kernel_h * kernel_w)
        return c * plane + rest // kernel_w * pitch + rest % kernel_w

    step_x, step_y, step_c = n % kernel_w, n // kernel_w % kernel_h, n // (kernel_w * kernel_h)
    delta = []
    for carry_y in (0, 1):
        for carry_x in (0, 1):
            words = (step_c + carry_y) * plane + (step_y + carry_x - carry_y * kernel_h) * pitch
            words += step_x - carry_x * kernel_w
            # a carry that no lane can make leaves a remainder; its delta is never used
            delta.append((words // n) & mask)
    return Window(
        tuple(((offset(e) - e) // n) & mask for e in range(n)),
        tuple(e % kernel_w for e in range(n)),
        tuple(e // kernel_w % kernel_h for e in range(n)),
        kernel_w,
        kernel_h,
        step_x,
        step_y,
        (delta[0], delta[1], delta[2], delta[3]),
    )


@dataclass
class _Ring:
    """Places for items in ``rows`` rows from ``first``, handed out in turn; an item stays until its rows are reused."""

    first: int
    rows: int
    next: int = 0
    held: dict[object, tuple[int, int]] = field(default_factory=dict)

    def place(self, key: object, rows: int) -> tuple[int, bool]:
        """(first row, whether the item has to be loaded)."""
        if key in self.held:
            return self.held[key][0], False
        if self.next + rows > self.rows:
            self.next = 0
        first = self.first + self.next
        self.next += rows
        end = first + rows
        self.held = {k: (a, b) for k, (a, b) in self.held.items() if b <= first or end <= a}
        self.held[key] = (first, end)
        return first, True


class Scheduler:
    """Builds one increment's sequence."""

    def __init__(
        self, plans: Sequence[LayerPlan], constants: Constants, scratch: Sequence[int], params: TileParams
    ) -> None:
        self.plans = plans
        self.constants = constants
        self.scratch = scratch  # beat of each layer's spilled output within the scratch area
        self.p = params
        self.isa: Isa = isa(params)
        self.ops: list[Op] = []
        self._ring = _Ring(constants.bias_rows, params.sb_rows - constants.bias_rows)
        self._pending: list[tuple[int, Op]] = []
        self._computes = 0

    def run(self) -> list[Op]:
        for beat, row, rows in self.constants.biases:
            self._load_lines(beat, row, rows, self.p.neurons, self.p.synapses)
        image = DramMap.of(self.plans[0].layer.in_shape, Base.IMAGE, 0, self.p)
        for index, plan in enumerate(self.plans):
            self._layer(index, plan, image)
            image = DramMap.of(plan.layer.out_shape, Base.ABSOLUTE, self.scratch[index], self.p)
        self._flush()
        return self.ops

    # -- emission, with stores held back -------------------------------------------------------------------------

    def _emit(self, op: Op) -> None:
        if isinstance(op.instruction, Store):
            self._pending.append((self._computes, op))
            return
        for _, store in self._pending:
            again = op.region == store.region and op.beats[0] < store.beats[1] and store.beats[0] < op.beats[1]
            if again or overlap(op.writes, store.reads):
                self._flush()
                break
        self.ops.append(op)
        if isinstance(op.instruction, Compute):
            self._computes += 1
            if self._pending and self._computes - self._pending[0][0] >= STORE_AGE:
                self._flush()

    def _flush(self) -> None:
        self.ops.extend(op for _, op in self._pending)
        self._pending.clear()

    def _pair(self, word: int) -> tuple[int, int]:
        row, bank = divmod(word, self.p.synapses)
        return row & ((1 << self.isa.row_bits) - 1), bank

    def _rows(self, buffer: Buffer, first: int, end: int) -> Rows:
        return Rows(int(buffer), first // self.p.synapses, lines_of(end, self.p))

    # -- transfers -----------------------------------------------------------------------------------------------

    def _load_lines(self, beat: int, row: int, lines: int, neurons: int, last: int) -> None:
        """Weight or bias lines of a block to SB, from row ``row`` on."""
        group = -(-self.p.neurons // self.p.lines_per_beat)
        load = Load(
            buffer=Buffer.SB, address=beat, run_beats=group, runs=lines, lines=neurons, last_words=last, row=row
        )
        rows = (Rows(int(Buffer.SB), row, row + lines),)
        self._emit(Op(load, writes=rows, region=Region.CONSTANTS, beats=(beat, beat + lines * group)))

    def _map_transfers(
        self, store: bool, held: MapLayout, dram: DramMap, channels: tuple[int, int], rows: tuple[int, int]
    ) -> None:
        """Move channels (first, count) and rows [first, end) between DRAM and ``held``, which starts with them."""
        p, (c, n), (y, y_end) = self.p, channels, rows
        width = dram.shape[2]
        if y_end <= y:
            return
        plane_beats = dram.shape[1] * dram.row_beats
        for runs in runs_of(n, y_end - y, (held.plane, held.pitch), (plane_beats, dram.row_beats)):
            word, beat = held.base + runs.word, dram.row(c, y) + runs.beat
            (row, bank), step = self._pair(word), self._pair(runs.step_words)
            lines = lines_of(width, p)
            fields: dict[str, Any] = {
                "buffer": held.buffer, "base": dram.base, "address": beat, "run_beats": runs.step_beats,
                "runs": runs.runs, "lines": lines, "last_words": width - (lines - 1) * p.synapses,
                "row": row, "bank": bank, "step_row": step[0], "step_bank": step[1],
            }  # fmt: skip
            touched = (self._rows(held.buffer, word, word + (runs.runs - 1) * runs.step_words + width),)
            span = (beat, beat + (runs.runs - 1) * runs.step_beats + dram.row_beats)
            region = Region.IMAGE if dram.base == Base.IMAGE else Region.SCRATCH
            if store:
                self._emit(Op(Store(**fields), reads=touched, region=region, beats=span))
            else:
                self._emit(Op(Load(**fields), writes=touched, region=region, beats=span))

    # -- layers --------------------------------------------------------------------------------------------------

    def _layer(self, index: int, plan: LayerPlan, dram: DramMap) -> None:
        p, layer = self.p, plan.layer
        channels, height, _ = layer.in_shape
        if plan.load:
            self._map_transfers(False, plan.input, dram, (0, channels), (0, height))
        stream, stage = plan.stream, plan.stage
        held = plan.input if stream is None else MapLayout(plan.source, 0, stream.pitch, stream.plane)
        areas = _Ring(0, stream.count * stream.rows) if stream is not None else None
        self._emit(Op(window_of(layer, held.pitch, held.plane, p)))
        spilled = DramMap.of(layer.out_shape, Base.ABSOLUTE, self.scratch[index], p)
        area = -1
        for first, neurons in blocks(layer.out_shape[0], p):
            for number, slab in enumerate(plan.slabs):
                rows = input_rows(layer, slab)
                out = plan.output
                if stage is not None:
                    area += slab.x == 0  # columns of the same rows share an area and are stored together
                    out = MapLayout(plan.target, area % stage.count * stage.rows * p.synapses, stage.pitch, stage.plane)
                for piece in plan.pieces:
                    if stream is not None and areas is not None:
                        row, missing = areas.place((number, piece.channel), stream.rows)
                        held = MapLayout(plan.source, row * p.synapses, stream.pitch, stream.plane)
                        if missing:
                            self._map_transfers(False, held, dram, (piece.channel, piece.channels), rows)
                    self._compute(index, plan, (first, neurons), slab, piece, held, rows[0] if stream else 0, out)
                if stage is not None and slab.x + slab.cols == layer.sum_shape[2]:
                    self._map_transfers(True, out, spilled, (first, neurons), (slab.out_y, slab.out_end))

    def _compute(
        self, index: int, plan: LayerPlan, block: tuple[int, int], slab: Slab, piece: Piece, held: MapLayout,
        first_row: int, out: MapLayout,
    ) -> None:  # fmt: skip
        p, layer, (neuron, neurons) = self.p, plan.layer, block
        number = neuron // p.neurons
        sb_row, missing = self._ring.place((index, number, piece.line), piece.lines)
        if missing:
            group = -(-p.neurons // p.lines_per_beat)
            line = number * self.constants.block_lines[index] + piece.line
            self._load_lines(
                self.constants.weights[index] + line * group, sb_row, piece.lines, neurons, piece.last_lanes
            )
        bias_row, bias_bank = self.constants.bias_line[index, number]
        is_first, is_last = piece is plan.pieces[0], piece is plan.pieces[-1]
        last_layer = index == len(self.plans) - 1
        channel = 0 if plan.stream is not None else piece.channel
        if layer.fc:
            x0 = y0 = 0
            in_w = in_h = 1
            word = held.base + channel * held.plane + piece.skip
            reads = self._rows(held.buffer, word, word + (piece.lines - 1) * p.synapses + piece.last_lanes)
        else:
            x0 = slab.x * layer.stride - layer.padding[1]
            y0 = slab.y * layer.stride - layer.padding[0]
            in_h, in_w = layer.in_shape[1:]
            word = held.word(channel, y0 - first_row, x0)
            rows = input_rows(layer, slab)
            start = held.word(channel, rows[0] - first_row, 0)
            reads = self._rows(
                held.buffer, start, start + extent(piece.channels, rows[1] - rows[0], in_w, held.pitch, held.plane)
            )
        pooled = layer.pool is not None
        cols = layer.out_shape[2] if pooled else slab.cols
        emit = Emit(index, neuron, neurons, slab.out_y, slab.out_end, slab.x, slab.x + cols) if is_last else None
        to_y = 0 if plan.stage is not None else slab.out_y
        to = out.word(0 if plan.stage is not None else neuron, to_y, slab.x)
        writes: tuple[Rows, ...] = ()
        if emit is not None and slab.out_end > slab.out_y:
            words = extent(neurons, slab.out_end - slab.out_y, cols, out.pitch, out.plane)
            writes = (self._rows(out.buffer, to, to + words),)
        load_bias = is_first and slab is plan.slabs[0]
        pairs: dict[str, tuple[int, int]] = {
            "": self._pair(word), "step_x_": self._pair(layer.stride), "step_y_": self._pair(layer.stride * held.pitch),
            "to_": self._pair(to), "to_x_": self._pair(1), "to_y_": self._pair(out.pitch),
            "to_n_": self._pair(out.plane),
        }  # fmt: skip
        places: dict[str, Any] = {f"{name}row": row for name, (row, _) in pairs.items()}
        places |= {f"{name}bank": bank for name, (_, bank) in pairs.items()}
        compute = Compute(
            source=held.buffer, x0=x0, y0=y0, stride=layer.stride, in_w=in_w, in_h=in_h, cols=slab.cols, rows=slab.rows,
            lines=piece.lines, last_lanes=piece.last_lanes, neurons=neurons,
            tile=tile_of(p, slab.cols * slab.rows, len(plan.pieces) > 1), sb_row=sb_row, load_bias=int(load_bias),
            bias_row=bias_row, bias_bank=bias_bank, first=int(is_first), finish=int(is_last), relu=int(layer.relu),
            scores=int(last_layer and is_last), score_base=neuron if last_layer else 0, target=out.buffer, to_cols=cols,
            reciprocal=_reciprocals(layer), **pool_fields(layer, slab.y), **places,
        )  # fmt: skip
        weights = Rows(int(Buffer.SB), sb_row, sb_row + piece.lines)
        bias = (Rows(int(Buffer.SB), bias_row, bias_row + 1),) if load_bias else ()
        self._emit(Op(compute, (reads, weights, *bias), writes, emit=emit))

    def scores_store(self) -> Op:
        """Store of the last layer's words, the increment's result."""
        p, plan = self.p, self.plans[-1]
        words = plan.layer.out_shape[0]
        lines = lines_of(words, p)
        row, bank = self._pair(plan.output.base)
        store = Store(
            buffer=plan.output.buffer, base=Base.RESULT, run_beats=run_beats(words, p), lines=lines,
            last_words=words - (lines - 1) * p.synapses, row=row, bank=bank,
        )  # fmt: skip
        read = self._rows(plan.output.buffer, plan.output.base, plan.output.base + words)
        return Op(store, reads=(read,), region=Region.RESULT, beats=(0, run_beats(words, p)))


def _reciprocals(layer: Layer) -> tuple[int, int, int, int]:
    """round(2**24 / words) of a whole window, one clipped at the right, at the bottom, at both."""
    pool = layer.pool
    if pool is None or pool.kind != Pool.AVERAGE:
        return (0, 0, 0, 0)
    _, height, width = layer.sum_shape
    _, pool_h, pool_w = layer.out_shape
    last_w = min(pool.size, width - (pool_w - 1) * pool.stride)
    last_h = min(pool.size, height - (pool_h - 1) * pool.stride)
    size = pool.size
    return (reciprocal(size * size), reciprocal(last_w * size), reciprocal(size * last_h), reciprocal(last_w * last_h))
