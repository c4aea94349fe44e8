"""Turns the plans of one increment into a sequence of loads, windows, computes and stores.

The sequence is right when executed one by one; golden.mapping.ops makes transfers overlap computes. Loop order of a
layer: block of neurons, slab of pixels, piece of weight lines. Weights go through rows of SB, streamed input
through a ring of rows or areas of the source buffer, spilled output through areas of the target buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from golden.integer import reciprocal
from golden.mapping.emission import Constants, Emission
from golden.mapping.layer_plan import Input, LayerPlan, tile_of, vector_rows
from golden.mapping.layout import DramMap, MapLayout, pair_of, run_beats
from golden.mapping.ops import Cells, Emit, Op, Region
from golden.mapping.pieces import Block, Piece
from golden.mapping.slabs import Slab, input_rows, pool_fields
from golden.mapping.view import cells_of, columns_read
from golden.network import Layer
from hw.instructions import Base, Buffer, Compute, Pool, Store
from hw.params import TileParams


@dataclass
class _Turns:
    """``count`` equal areas, handed out in turn; what an area holds stays until its turn comes again."""

    count: int
    next: int = 0
    held: dict[object, int] = field(default_factory=dict)

    def place(self, key: object) -> tuple[int, bool]:
        """(number of the area, whether it has to be loaded)."""
        if key in self.held:
            return self.held[key], False
        number = self.next
        self.next = (number + 1) % self.count
        self.held = {k: n for k, n in self.held.items() if n != number}
        self.held[key] = number
        return number, True


def schedule(
    plans: Sequence[LayerPlan], constants: Constants, maps: Sequence[DramMap], params: TileParams
) -> list[Op]:  # fmt: skip
    """One increment's sequence. maps: every layer's input, were it in DRAM, and behind them the last one's output."""
    emission = Emission(constants, params)
    for index, plan in enumerate(plans):
        _LayerScheduler(emission, index, plan, index == len(plans) - 1, (maps[index], maps[index + 1])).run()
    emission.flush()
    return emission.ops


def scores_store(plan: LayerPlan, p: TileParams) -> Op:
    """Store of the last layer's words, the increment's result."""
    words = plan.layer.out_shape[0]
    length = run_beats(words, p)
    row, bank = pair_of(plan.output.base, p)
    store = Store(
        buffer=plan.output.buffer, base=Base.RESULT, run_beats=length, length=length,
        last_words=words - (length - 1) * p.beat_words, row=row, bank=bank,
    )  # fmt: skip
    read = Cells(int(plan.output.buffer), plan.output.base, plan.output.base + cells_of(words, p))
    return Op(store, reads=(read,), region=Region.RESULT, beats=(0, length))


class _LayerScheduler:
    """The loops of one layer."""

    def __init__(
        self, parent: Emission, index: int, plan: LayerPlan, last_layer: bool, maps: tuple[DramMap, DramMap]
    ) -> None:
        self.parent, self.index, self.plan, self.p = parent, index, plan, parent.p
        self.last_layer = last_layer
        self.dram, self.spilled = maps  # input and output, were they in DRAM
        self.loaded = 0  # rows of the ring that were loaded for this block, or of the whole map
        areas = plan.areas
        self.areas = _Turns(areas.count) if areas is not None else None
        self.stage_area = -1

    def run(self) -> None:
        plan = self.plan
        if plan.slabs_first:
            for at, slab in enumerate(plan.slabs):
                for block in plan.blocks:
                    self._step(block, at, slab, True)
            self.parent.release()
            return
        for block in plan.blocks:
            if plan.ring_rows:
                self.loaded = 0
            for at, slab in enumerate(plan.slabs):
                self._step(block, at, slab, at == 0)
                if len(plan.slabs) == 1:  # no piece is read twice
                    self.parent.release()
            self.parent.release()

    def _step(self, block: Block, at: int, slab: Slab, load_bias: bool) -> None:
        """One slab of one block."""
        plan = self.plan
        out = self._output(slab)
        for piece in plan.pieces:
            held, place = self._input(at, slab, piece)
            row = self.parent.weights(self.index, block, piece)
            self.parent.window(plan, held, piece.line)
            self._compute(block, slab, piece, held, place, out, row, load_bias and piece is plan.pieces[0])
        whole_rows = slab.x + slab.cols == plan.layer.sum_shape[2]
        if plan.stage is not None and whole_rows and slab.out_end > slab.out_y:
            channels, rows = (block.first, block.first + block.neurons), (slab.out_y, slab.out_end)
            self.parent.move(True, out, self.spilled, channels, rows, (block.first, slab.out_y))

    def _output(self, slab: Slab) -> MapLayout:
        plan, stage = self.plan, self.plan.stage
        if stage is None:
            return plan.output
        self.stage_area += slab.x == 0  # columns of the same rows share an area and are stored together
        return MapLayout(plan.target, self.stage_area % stage.count * stage.cells, stage.pitch, stage.plane)

    def _input(self, at: int, slab: Slab, piece: Piece) -> tuple[MapLayout, tuple[int, int]]:
        """Layout of what the compute reads, and the (channel, row) at its base; loads what is missing."""
        p, plan, layer, parent = self.p, self.plan, self.plan.layer, self.parent
        channels, height, width = layer.in_shape
        if plan.kind == Input.RESIDENT:
            return plan.input, (0, 0)
        if plan.kind == Input.RING:
            if plan.view.vector:
                if not self.loaded:
                    row = cells_of(width, self.p)
                    whole = MapLayout(plan.source, 0, row, height * row)
                    parent.move(False, whole, self.dram, (0, channels), (0, height), (0, 0))
                    self.loaded = height
                return plan.input, (0, 0)
            end = input_rows(layer, slab)[1]
            while self.loaded < end:
                size = plan.ring_rows or height
                first = self.loaded
                last = min(end, first - first % size + size)
                at_base = MapLayout(plan.source, first % size * plan.input.pitch, plan.input.pitch, plan.input.plane)
                parent.move(False, at_base, self.dram, (0, channels), (first, last), (0, first))
                self.loaded = last
            return plan.input, (0, 0)
        assert self.areas is not None
        assert plan.areas is not None
        number, missing = self.areas.place((at, piece.channel, piece.line))
        # from the buffer's end: the first areas can be filled while the layer before still reads its map at the start
        base = p.buffer_rows[plan.source] * p.banks - (number + 1) * plan.areas.cells
        held = MapLayout(plan.source, base, plan.areas.pitch, plan.areas.plane)
        if plan.view.vector:
            first, last = vector_rows(layer, plan.view, piece)
            if missing:
                self._vector_rows(held, first, last)
            start = (piece.line * plan.view.taps - first * width) // self.p.cell_words
            return MapLayout(plan.source, base + start, plan.input.pitch, plan.input.plane), (piece.channel, 0)
        rows = input_rows(layer, slab)
        if missing:
            span = (piece.channel, piece.channel + piece.channels)
            parent.move(False, held, self.dram, span, rows, (piece.channel, rows[0]))
        return held, (piece.channel, rows[0])

    def _vector_rows(self, held: MapLayout, first: int, last: int) -> None:
        """Rows [first, last) of the map, numbered through its channels, one behind the other from held's base on."""
        height = self.plan.layer.in_shape[1]
        row = first
        while row < last:
            c, y = divmod(row, height)
            end = min(last - c * height, height)
            at = MapLayout(held.buffer, held.base + (row - first) * held.pitch, held.pitch, 0)
            self.parent.move(False, at, self.dram, (c, c + 1), (y, end), (c, y))
            row = c * height + end

    def _compute(
        self, block: Block, slab: Slab, piece: Piece, held: MapLayout, place: tuple[int, int], out: MapLayout,
        sb_row: int, load_bias: bool,
    ) -> None:  # fmt: skip
        p, plan, layer, view = self.p, self.plan, self.plan.layer, self.plan.view
        is_first, is_last = piece is plan.pieces[0], piece is plan.pieces[-1]
        run = piece.line * view.taps // view.kernel_w
        channel, ky = divmod(run, view.kernel_h)
        x0 = slab.x * view.stride - view.padding[1]
        y0 = slab.y * view.stride - view.padding[0]
        ring_y = y0 % plan.ring_rows if plan.ring_rows and y0 >= 0 else y0
        row_at = ring_y if plan.ring_rows else y0 - place[1]
        skip, sub = divmod(x0, p.cell_words)
        origin = held.cell(channel - place[0], row_at + ky) + skip
        per_row = -(-slab.cols // block.groups)
        steps = per_row * slab.rows
        columns = held.pitch if view.vector else columns_read(view, per_row, block.groups, x0, p)
        step_cells, step_sub = divmod(block.groups * view.stride, p.cell_words)
        pooled = layer.pool is not None
        cols = layer.out_shape[2] if pooled else slab.cols
        emit = None
        writes: tuple[Cells, ...] = ()
        to_y = 0 if plan.stage is not None else slab.out_y
        if plan.vector:
            to_cell, to_sub = divmod(block.first, p.cell_words)
            to_cell += out.base
        else:
            to_skip, to_sub = divmod(slab.x, p.cell_words)
            to_cell = out.cell(0 if plan.stage is not None else block.first, to_y) + to_skip
        if is_last:
            emit = Emit(
                self.index, block.first, block.neurons, slab.out_y, slab.out_end, slab.x, slab.x + cols, to_sub,
                int(plan.vector),
            )  # fmt: skip
            writes = self._written(block, slab, out, to_cell, to_sub, cols)
        bias_row, bias_bank = self.parent.constants.bias_line[self.index, block.first]
        if load_bias:
            self.parent.bias(bias_row)
        pairs: dict[str, tuple[int, int]] = {
            "": pair_of(origin, p), "step_y_": pair_of(view.stride * held.pitch, p),
            "to_": pair_of(to_cell, p), "to_y_": pair_of(out.pitch, p), "to_n_": pair_of(out.plane, p),
        }  # fmt: skip
        places: dict[str, Any] = {f"{name}row": row for name, (row, _) in pairs.items()}
        places |= {f"{name}bank": bank for name, (_, bank) in pairs.items()}
        compute = Compute(
            source=held.buffer, sub=sub, x0=x0, y0=y0, stride=view.stride, in_w=view.width, in_h=view.height,
            step_cells=step_cells, step_sub=step_sub, ring_y=ring_y if plan.ring_rows else 0, ring_rows=plan.ring_rows,
            ring_back=plan.ring_rows * held.pitch // p.banks, columns=columns, cols=slab.cols, rows=slab.rows,
            lines=piece.lines, last_lanes=piece.last_lanes, neurons=block.neurons, groups=block.groups,
            tile=tile_of(p, steps, len(plan.pieces) > 1), sb_row=sb_row, load_bias=int(load_bias),
            bias_row=bias_row, bias_bank=bias_bank, first=int(is_first), finish=int(is_last), relu=int(layer.relu),
            scores=int(self.last_layer and is_last), score_base=block.first if self.last_layer else 0,
            target=out.buffer, to_sub=to_sub, to_cols=cols, vector=int(plan.vector), reciprocal=_reciprocals(layer),
            **pool_fields(layer, slab.y), **places,
        )  # fmt: skip
        reads = self._read(slab, piece, held, place, ring_y)
        weights = Cells(int(Buffer.SB), sb_row, sb_row + piece.lines)
        bias = (Cells(int(Buffer.SB), bias_row, bias_row + 1),) if load_bias else ()
        self.parent.emit(Op(compute, (*reads, weights, *bias), writes, emit=emit))

    def _read(
        self, slab: Slab, piece: Piece, held: MapLayout, place: tuple[int, int], ring_y: int
    ) -> tuple[Cells, ...]:  # fmt: skip
        """Cells of the source buffer that a compute may read."""
        p, plan, layer, view = self.p, self.plan, self.plan.layer, self.plan.view
        buffer = int(held.buffer)
        if view.vector:
            first = held.cell(piece.channel - place[0], 0)
            return (Cells(buffer, first, first + cells_of((piece.lines - 1) * view.taps + piece.last_lanes, p)),)
        width = cells_of(view.width, p)
        first, end = input_rows(layer, slab)
        size = plan.ring_rows or end
        found = []
        for c in range(piece.channel - place[0], piece.channel + piece.channels - place[0]):
            spans = [(first - place[1], end - place[1])]
            if plan.ring_rows:
                low = first % size
                spans = [(low, min(low + end - first, size)), (0, low + end - first - size)]
            found += [Cells(buffer, held.cell(c, a), held.cell(c, b - 1) + width) for a, b in spans if b > a]
        return tuple(found)

    def _written(
        self, block: Block, slab: Slab, out: MapLayout, to_cell: int, to_sub: int, cols: int
    ) -> tuple[Cells, ...]:  # fmt: skip
        p = self.p
        buffer, rows = int(out.buffer), slab.out_end - slab.out_y
        if rows <= 0:
            return ()
        if self.plan.vector:
            return (Cells(buffer, to_cell, to_cell + cells_of(to_sub + block.neurons, p)),)
        width = cells_of(to_sub + cols, p)
        return tuple(
            Cells(buffer, to_cell + n * out.plane, to_cell + n * out.plane + (rows - 1) * out.pitch + width)
            for n in range(block.neurons)
        )


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
