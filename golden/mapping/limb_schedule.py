"""Computes and transfers of a layer's kept sums: they leave as limbs, and begin as the limbs of a smaller increment."""

from collections.abc import Sequence
from dataclasses import replace

from golden.mapping.emission import Emission
from golden.mapping.layer_plan import LayerPlan
from golden.mapping.layout import DramMap, MapLayout, pair_of
from golden.mapping.limbs import limb_buffer, limb_layout, limb_view
from golden.mapping.ops import Cells, Emit, Op
from golden.mapping.pieces import Block
from golden.mapping.slabs import Slab
from golden.mapping.view import cells_of, window_of
from hw.instructions import Buffer, Compute, Pool


class LimbScheduler:
    """Emits what is beside the pieces of one layer. maps: of the limbs in DRAM, lowest digits first."""

    def __init__(self, parent: Emission, index: int, plan: LayerPlan, maps: Sequence[DramMap]) -> None:
        self.parent, self.index, self.plan, self.p, self.maps = parent, index, plan, parent.p, maps
        self.loads = self.stores = 0

    def restore(self, block: Block, slab: Slab, sum_at: int) -> None:
        """Sums of a slab begin as their limbs."""
        p, plan, layer = self.p, self.plan, self.plan.layer
        assert plan.restored is not None
        shape = limb_layout(layer, block, slab.rows, p)
        assert shape is not None
        pitch, plane, reach = shape
        view, width = limb_view(layer, block), layer.sum_shape[2]
        row = self.parent.ones(block)
        step_cells, step_sub = divmod(block.groups, p.cell_words)
        step_y = pair_of(pitch, p)
        for number, dram in enumerate(self.maps):
            held = limb_buffer(plan.restored, plan.source, self.loads, pitch, plane)
            self.loads += 1
            channels, rows = (block.first, block.first + block.neurons), (slab.y, slab.y + slab.rows)
            self.parent.move(False, held, dram, channels, rows, (block.first, slab.y))
            self.parent.emit_window(window_of(view, pitch, plane, 0, reach, p))
            at = pair_of(held.base, p)
            steps = block.steps(width, slab.rows)
            compute = Compute(
                source=plan.source, row=at[0], bank=at[1], in_w=width, in_h=slab.rows, step_cells=step_cells,
                step_sub=step_sub, step_y_row=step_y[0], step_y_bank=step_y[1], columns=reach.columns, cols=width,
                rows=slab.rows, lines=1, last_lanes=block.neurons, neurons=block.neurons, groups=block.groups,
                tile=plan.tile(steps), sum_at=sum_at, sum_first=plan.sums[0], sum_last=plan.sums[1], sb_row=row,
                first=int(number == 0), zero=int(number == 0), shift=number, finish=0, target=plan.target,
                to_cols=width,
            )  # fmt: skip
            reads = tuple(
                Cells(int(plan.source), held.cell(c, 0), held.cell(c, slab.rows - 1) + cells_of(width, p))
                for c in range(block.neurons)
            )
            self.parent.emit(Op(compute, (*reads, Cells(int(Buffer.SB), row, row + 1))))

    def save(self, last: Compute, block: Block, slab: Slab) -> None:
        """Sums that compute ``last`` has emitted and held leave as limbs."""
        p, plan, width = self.p, self.plan, self.plan.layer.sum_shape[2]
        assert plan.saved is not None
        pitch = cells_of(width, p)
        plane = slab.rows * pitch
        for number, dram in enumerate(self.maps):
            held = limb_buffer(plan.saved, plan.target, self.stores, pitch, plane)
            self.stores += 1
            top = number == len(self.maps) - 1
            self.parent.emit(self._leaves(last, block, slab, held, number, top))
            channels, rows = (block.first, block.first + block.neurons), (slab.y, slab.y + slab.rows)
            self.parent.move(True, held, dram, channels, rows, (block.first, slab.y))

    def _leaves(self, last: Compute, block: Block, slab: Slab, held: MapLayout, number: int, top: bool) -> Op:
        p, (_, height, width) = self.p, self.plan.layer.sum_shape
        to, to_y, to_n = (pair_of(cells, p) for cells in (held.base, held.pitch, held.plane))
        compute = replace(
            last, lines=1, last_lanes=0, quarters=0, quarter_columns=0, quarter_tile=0, row_rest=0, load_bias=0,
            first=0, hold=int(not top), limb=number + 1, limb_top=int(top), relu=0, pool=Pool.NONE, pool_size=1,
            pool_stride=1, pool_w=width, pool_h=height, pool_y=0, pool_phase=0, pool_slot=0, reciprocal=(0, 0, 0, 0),
            to_row=to[0], to_bank=to[1], to_sub=0, to_cols=width, to_y_row=to_y[0], to_y_bank=to_y[1],
            to_n_row=to_n[0], to_n_bank=to_n[1], vector=0,
        )  # fmt: skip
        emit = Emit(
            self.index, block.first, block.neurons, slab.y, slab.y + slab.rows, 0, width, 0, 0, number + 1, int(top)
        )
        end = held.base + block.neurons * held.plane
        return Op(compute, writes=(Cells(int(held.buffer), held.base, end),), emit=emit)
