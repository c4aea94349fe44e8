"""Where the limbs of kept sums lie: maps in DRAM, areas of the neuron buffers, windows through which they are read.

The sums of a block's slab leave as so many maps of words, a limb each. They become sums again through windows of 1 x 1:
a neuron's lane has the weight 1 on its own channel.
"""

from dataclasses import replace

from golden.mapping.layer_plan import Input, LayerPlan, LimbAreas
from golden.mapping.layout import DramMap, MapLayout, extent
from golden.mapping.pieces import Block
from golden.mapping.plan_places import cells_in
from golden.mapping.view import Reach, View, cells_of, columns_read, pitches
from golden.network import Layer
from hw.instructions import UNUSED, Base, Buffer
from hw.params import TileParams


def limbs_needed(layer: Layer, p: TileParams) -> int:
    """Limbs that hold any sum of the layer, whatever its inputs are."""
    weights = layer.weight.flatten(1).abs().sum(1).tolist()
    biases = layer.bias.abs().tolist()
    most = max(weight * -p.fmt.low + (bias << p.fmt.frac) for weight, bias in zip(weights, biases, strict=True))
    return max(1, -(-int(most).bit_length() // (p.fmt.width - 1)))


def limb_map(layer: Layer, channels: int, address: int, p: TileParams) -> DramMap:
    """Where a limb of the sums of ``channels`` channels lies; without gaps between rows of whole cells."""
    _, height, width = layer.sum_shape
    shape = (channels, height, width)
    return DramMap.of(shape, Base.ABSOLUTE, address, p, dense=width % p.cell_words == 0)


def limb_view(layer: Layer, block: Block) -> View:
    """How a block's limbs are read."""
    _, height, width = layer.sum_shape
    return View(1, 1, block.neurons, height, width, 1, (0, 0), block.neurons, block.neurons, False)


def limb_layout(layer: Layer, block: Block, rows: int, p: TileParams) -> tuple[int, int, Reach] | None:
    """(pitch, plane, reach) of a block's limb of ``rows`` rows that is read; None where banks do not allow it."""
    view, width = limb_view(layer, block), layer.sum_shape[2]
    reach = Reach(columns_read(view, -(-width // block.groups), block.groups, 0, p))
    if reach.columns >= UNUSED or block.neurons > p.synapses:
        return None
    pair = pitches(view, rows, reach, block.neurons, False, p)
    return (*pair, reach) if pair else None


def with_limbs(plan: LayerPlan, p: TileParams) -> LayerPlan | None:
    """The plan with room for its limbs, None where there is none; a plan of no kept sums as it is."""
    layer, slabs = plan.layer, plan.slabs
    if not layer.sums.limbs:
        return plan
    width, dram = layer.sum_shape[2], limb_map(layer, 1, 0, p)
    if any(slab.cols < width or (dram.dense and slab.y * dram.row_cells % p.beat_cells) for slab in slabs):
        return None  # parts of rows, and rows that start within a beat
    rows = max(slab.rows for slab in slabs)
    found: LayerPlan | None = plan
    if layer.sums.channels:
        found = _restored(plan, rows, p)
    if found is not None and layer.sums.saved:
        found = _saved(found, rows, p)
    return found


def _restored(plan: LayerPlan, rows: int, p: TileParams) -> LayerPlan | None:
    """Areas beside the input."""
    layer, room, need = plan.layer, cells_in(plan.source, p), 0
    for block in plan.blocks:
        if block.first < layer.sums.channels:
            shape = limb_layout(layer, block, rows, p)
            if shape is None:
                return None
            need = max(need, extent(block.neurons, rows, layer.sum_shape[2], *shape[:2], p))
    if plan.kind == Input.AREAS and plan.areas is not None:
        each = plan.areas.cells
        count = max(0, min(2, (room - min(2, plan.areas.count) * each) // need)) or min(1, (room - each) // need)
        areas = replace(plan.areas, count=min(plan.areas.count, (room - count * need) // each))
        return replace(plan, areas=areas, restored=LimbAreas(0, count, need)) if count > 0 else None
    channels, in_rows, in_width = layer.in_shape
    size = extent(channels, plan.ring_rows or in_rows, in_width, plan.input.pitch, plan.input.plane, p)
    used = plan.input.base + size
    count = min(2, (room - used) // need)
    return replace(plan, restored=LimbAreas(used, count, need)) if count > 0 else None


def _saved(plan: LayerPlan, rows: int, p: TileParams) -> LayerPlan | None:
    """Areas beside the output."""
    layer, room, stage = plan.layer, cells_in(plan.target, p), plan.stage
    need = max(block.neurons for block in plan.blocks) * rows * cells_of(layer.sum_shape[2], p)
    if stage is None:
        n, out_h, out_w = layer.out_shape
        used = plan.output.base + extent(n, out_h, out_w, plan.output.pitch, plan.output.plane, p)
    else:
        stage = replace(stage, count=max(1, min(stage.count, (room - 2 * need) // stage.cells)))
        used = stage.count * stage.cells
    count = min(4, (room - used) // need)
    return replace(plan, stage=stage, saved=LimbAreas(used, count, need)) if count > 0 else None


def limb_buffer(areas: LimbAreas, buffer: Buffer, number: int, pitch: int, plane: int) -> MapLayout:
    """The ``number``-th use of an area."""
    return MapLayout(buffer, areas.base + number % areas.count * areas.cells, pitch, plane)
