"""Turns the plan of one layer into loads, windows, computes and stores, a piece at a time.

Weights go through rows of SB, streamed input through a ring of rows or areas of the source buffer, spilled output
through areas of the target buffer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from golden.integer import reciprocal
from golden.mapping.emission import Emission
from golden.mapping.layer_plan import Input, LayerPlan, vector_rows
from golden.mapping.layout import DramMap, MapLayout, pair_of
from golden.mapping.limb_schedule import LimbScheduler
from golden.mapping.ops import Cells, Emit, Op
from golden.mapping.pieces import Block, Piece
from golden.mapping.quarters import quarter_fields
from golden.mapping.slabs import Slab, input_rows, pool_fields
from golden.mapping.view import cells_of, columns_read
from golden.network import Layer
from hw.instructions import Buffer, Compute, Pool


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


class LayerScheduler:
    """Emits the pieces of one layer, with the transfers that they want."""

    def __init__(
        self, parent: Emission, index: int, plan: LayerPlan, last_layer: bool, maps: tuple[DramMap, DramMap],
        stored: bool, limbs: Sequence[DramMap],
    ) -> None:  # fmt: skip
        """stored: the results go to DRAM in any case. limbs: maps of kept sums."""
        self.parent, self.index, self.plan, self.p = parent, index, plan, parent.p
        self.last_layer, self.stored = last_layer, stored
        self.dram, self.spill = maps  # input and output, were they in DRAM
        self.loaded = 0  # rows of the ring that were loaded for this block, or of the whole map
        areas = plan.areas
        self.areas = _Turns(areas.count) if areas is not None else None
        self.limbs = LimbScheduler(parent, index, plan, limbs)
        self.stage_area = -1
        self.open_sums: dict[int, int] = {}  # by first channel of a block: the accumulator of its first step

    def block(self, block: Block, interlude: Callable[[], bool] | None = None) -> None:
        """All slabs of a block; interlude: computes of another layer, before the first results are written, tells
        whether they have loaded biases."""
        plan = self.plan
        others = False
        if plan.rows_held(self.p):
            self.loaded = 0
        for at in range(len(plan.slabs)):
            for piece in plan.pieces:
                if interlude is not None and at == 0 and piece is plan.pieces[-1]:
                    others = interlude()
                self.piece(block, at, piece, at == 0 or (at == 1 and others))
                if len(plan.slabs) == 1:  # no piece is read twice
                    self.parent.release()
        self.parent.release()

    def piece(
        self, block: Block, at: int, piece: Piece, load_bias: bool = True, keep: bool = True
    ) -> None:  # fmt: skip
        """One piece of slab ``at`` for one block. load_bias: its biases are not there; keep: its weights stay."""
        plan, slab = self.plan, self.plan.slabs[at]
        first = plan.first_piece(block)
        if first is not plan.pieces[0] and piece.line < first.line:
            return  # in sums that are there already
        sum_at = self._sums(block, slab, piece, first)
        if piece is first and first is not plan.pieces[0]:
            self.limbs.restore(block, slab, sum_at)
        held, place = self._input(at, slab, piece)
        row = self.parent.weights(self.index, block, piece, keep)
        self.parent.window(plan, held, piece.line)
        is_last = piece is plan.pieces[-1]
        out = self._output(block, slab) if is_last else plan.output
        self._compute(block, slab, piece, held, place, out, row, sum_at, load_bias and piece is plan.pieces[0])
        whole_rows = slab.x + slab.cols == plan.layer.sum_shape[2]
        if (plan.spilled or self.stored) and is_last and whole_rows and slab.out_end > slab.out_y:
            self._store(block, slab, out)

    def _store(self, block: Block, slab: Slab, out: MapLayout) -> None:
        """Results of a slab to DRAM; a vector goes as a whole with its last block."""
        plan = self.plan
        if plan.vector:
            if block is plan.blocks[-1]:
                self.parent.move(True, out, self.spill, (0, 1), (0, 1), (0, 0))
            return
        channels, rows = (block.first, block.first + block.neurons), (slab.out_y, slab.out_end)
        place = (block.first if plan.stage is not None else 0, slab.out_y if plan.spilled else 0)
        self.parent.move(True, out, self.spill, channels, rows, place)

    def restore(self, *, before: bool) -> None:
        """Load the channels that are kept, where the output stays: of a map behind the layer's computes, so that none
        waits for it; of a vector ``before`` them, because both write words of one cell."""
        plan, kept = self.plan, self.plan.layer.kept
        if not kept or plan.stage is not None or before != plan.vector:
            return
        if plan.vector:
            part = replace(self.spill, shape=(1, 1, kept))
            self.parent.move(False, plan.output, part, (0, 1), (0, 1), (0, 0))
            return
        self.parent.move(False, plan.output, self.spill, (0, kept), (0, plan.layer.out_shape[1]), (0, 0))

    def _sums(self, block: Block, slab: Slab, piece: Piece, first: Piece) -> int:
        """The accumulator of the first step: behind those of the compute before, or where the sum goes on."""
        plan = self.plan
        if piece is first:
            self.open_sums[block.first] = self.parent.take_sums(plan.sums, plan.steps(block, slab))
        return self.open_sums[block.first]

    def _output(self, block: Block, slab: Slab) -> MapLayout:
        plan, stage = self.plan, self.plan.stage
        if stage is None:
            return plan.output
        if plan.feeds:
            number = plan.blocks.index(block)
        else:  # columns of the same rows share an area and are stored together
            self.stage_area += slab.x == 0
            number = self.stage_area
        return MapLayout(plan.target, number % stage.count * stage.cells, stage.pitch, stage.plane)

    def _input(self, at: int, slab: Slab, piece: Piece) -> tuple[MapLayout, tuple[int, int]]:
        """Layout of what the compute reads, and the (channel, row) at its base; loads what is missing."""
        p, plan, layer, parent = self.p, self.plan, self.plan.layer, self.parent
        channels, height, width = layer.in_shape
        if plan.kind in (Input.RESIDENT, Input.ROWS):
            return plan.input, (0, 0)
        if plan.kind in (Input.RING, Input.OVERLAP):
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
        if plan.kind == Input.FUSED:
            number = plan.pieces.index(piece) % plan.areas.count
            return MapLayout(plan.source, number * plan.areas.cells, plan.areas.pitch, plan.areas.plane), (
                piece.channel,
                0,
            )
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
        sb_row: int, sum_at: int, load_bias: bool,
    ) -> None:  # fmt: skip
        p, plan, layer, view = self.p, self.plan, self.plan.layer, self.plan.view
        is_first, is_last = piece is plan.pieces[0], piece is plan.pieces[-1]
        run = view.runs(piece.line)[0]
        channel, ky = divmod(run, view.kernel_h)
        x0 = slab.x * view.stride - view.padding[1]
        y0 = slab.y * view.stride - view.padding[0]
        ring_y = y0 % plan.ring_rows if plan.ring_rows and y0 >= 0 else y0
        row_at = ring_y if plan.ring_rows else y0 - place[1]
        skip, sub = divmod(x0, p.cell_words)
        origin = held.cell(channel - place[0], row_at + ky) + skip
        steps = block.steps(slab.cols, slab.rows)
        across = -(-slab.cols // block.row_groups)
        columns = held.pitch if view.vector else columns_read(view, across, block.row_groups, x0, p)
        quarters = plan.quarters(block, slab, piece, p)
        tile = plan.tile(steps, quarters, across)
        step_cells, step_sub = divmod(block.groups * view.stride, p.cell_words)
        pooled = layer.pool is not None
        cols = layer.out_shape[2] if pooled else slab.cols
        emit = None
        writes: tuple[Cells, ...] = ()
        to_y = 0 if plan.spilled else slab.out_y
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
            "": pair_of(origin, p), "step_y_": pair_of(view.stride * held.pitch * (1 + block.paired), p),
            "to_": pair_of(to_cell, p), "to_y_": pair_of(out.pitch, p), "to_n_": pair_of(out.plane, p),
        }  # fmt: skip
        places: dict[str, Any] = {f"{name}row": row for name, (row, _) in pairs.items()}
        places |= {f"{name}bank": bank for name, (_, bank) in pairs.items()}
        places |= quarter_fields(quarters, tile, across)
        compute = Compute(
            source=held.buffer, sub=sub, x0=x0, y0=y0, stride=view.stride, in_w=view.width, in_h=view.height,
            step_cells=step_cells, step_sub=step_sub, ring_y=ring_y if plan.ring_rows else 0, ring_rows=plan.ring_rows,
            ring_back=plan.ring_rows * held.pitch // p.banks, columns=columns, cols=slab.cols, rows=slab.rows,
            lines=piece.lines, last_lanes=piece.last_lanes, neurons=block.neurons, groups=block.groups,
            paired=int(block.paired), tile=tile, sum_at=sum_at, sum_first=plan.sums[0], sum_last=plan.sums[1],
            sb_row=sb_row, load_bias=int(load_bias), bias_row=bias_row, bias_bank=bias_bank,
            first=int(is_first), finish=int(is_last),
            hold=int(is_last and plan.saved is not None), relu=int(layer.relu),
            scores=int(self.last_layer and is_last), score_base=block.first if self.last_layer else 0,
            target=out.buffer, to_sub=to_sub, to_cols=cols, vector=int(plan.vector), reciprocal=_reciprocals(layer),
            **pool_fields(layer, slab.y), **places,
        )  # fmt: skip
        reads = self._read(slab, piece, held, place, ring_y)
        weights = Cells(int(Buffer.SB), sb_row, sb_row + piece.lines)
        bias = (Cells(int(Buffer.SB), bias_row, bias_row + 1),) if load_bias else ()
        self.parent.emit(Op(compute, (*reads, weights, *bias), writes, emit=emit))
        if compute.hold:
            self.limbs.save(compute, block, slab)

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
