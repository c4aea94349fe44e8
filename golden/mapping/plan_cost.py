"""Estimated cost of a layer's plan."""

from golden.limits import BURST_NS
from golden.mapping.layer_plan import Areas, Input, LayerPlan, Order, vector_rows
from golden.mapping.layout import DramMap, line_beats
from golden.mapping.limbs import limb_map
from golden.mapping.pieces import Piece
from golden.mapping.slabs import Slab, input_rows
from golden.mapping.view import View, cells_of
from golden.network import Layer
from hw.instructions import Base
from hw.params import TileParams

# Of the estimate only: cycles of a transfer's start, of taking a compute.
TRANSFER_CYCLES = 2.0
COMPUTE_CYCLES = 2.0
FIRST_CHANNELS = 4  # a streamed map of so few channels is the image: nothing could be loaded before
SB_WEIGHT = 0.02  # price of a weight-row read, in cycles: between equals the plan with fewer reads wins


def cost_of(plan: LayerPlan, ring: int, prices: tuple[float, float], p: TileParams) -> float:
    """Estimate of a layer's cycles, a price and no promise; ``plan.cost`` is not looked at.

    ring: rows of SB for weights. prices: of a cycle of computing and of one of DRAM time.
    """
    layer, view, kind = plan.layer, plan.view, plan.kind
    blocks, pieces, slabs = plan.blocks, plan.pieces, plan.slabs
    areas, stage = plan.areas, plan.stage
    n, out_h, _ = layer.out_shape
    channels, height, _ = layer.in_shape
    chained, most = plan.chained, plan.sums[1] - plan.sums[0] + 1
    once = plan.order != Order.BLOCK_SLAB_PIECE  # a slab of all blocks
    compute = reads = loads = beats = 0.0
    row_beats = DramMap.of(layer.in_shape, Base.ABSOLUTE, 0, p).run_beats
    beats_per_line = [line_beats(block.neurons, p) for block in blocks]
    again = 1 if view.lines <= ring else len(slabs)
    if kind != Input.RESIDENT and layer.in_shape[0] <= FIRST_CHANNELS:  # nothing runs until the first rows are there
        first, end = input_rows(layer, slabs[0])
        compute += (end - first) * channels * row_beats * BURST_NS / p.clock_ns
    if once:
        compute += len(slabs) * len(blocks)  # biases change with the block
    sums, digit = layer.sums, _limb_beats(layer, p)
    for block, per_line in zip(blocks, beats_per_line, strict=True):
        begins = plan.first_piece(block)
        lines = view.lines - (begins.line if begins is not pieces[0] else 0)
        restored, saved = sums.limbs * (block.first < sums.channels), sums.limbs * sums.saved
        beats += (restored + saved) * block.neurons * digit
        loads += (restored + saved) * len(slabs)
        for slab in slabs:
            steps = block.steps(slab.cols, slab.rows)
            words = block.neurons * block.groups
            emitted = words * (slab.out_end - slab.out_y) / max(slab.rows, 1)  # per step and row of sums
            drain = max(1.0, emitted / p.cell_words)
            quarters = plan.quarters(block, slab, max(pieces, key=lambda piece: piece.line), p)
            computing = steps * lines - slab.rows * quarters.saved
            if chained and steps > most // 2:
                compute += computing + steps * drain
            else:
                compute += max(computing, steps * drain)
            compute += steps * (restored + saved * max(1.0, words / p.cell_words))
            compute += COMPUTE_CYCLES * len(pieces) * (2 if chained else 1)
            reads += lines * -(-steps // plan.tile(steps, quarters, -(-slab.cols // block.row_groups)))
            loads += len(pieces)
        beats += again * lines * per_line
    if kind in (Input.RING, Input.OVERLAP):
        held = plan.rows_held(p)
        passes = 1 if not held or once else len(blocks)
        beats += passes * channels * height * row_beats
        loads += passes * height
        if held:
            spans = [input_rows(layer, slab) for slab in slabs]
            spare = held - max(end - first for first, end in spans)
            new = max((after[1] - before[1] for before, after in zip(spans, spans[1:], strict=False)), default=0)
            if spare < new:  # a slab's rows cannot be loaded under the one before
                late = (new - max(spare, 0)) * channels * row_beats * BURST_NS / p.clock_ns + 20
                compute += late * len(slabs) * passes
    if kind == Input.AREAS and areas is not None:
        passes = 1 if len(slabs) * len(pieces) <= areas.count or once else len(blocks)
        if _whole_planes(layer, view, slabs, areas, p):
            per_channel = DramMap.of(layer.in_shape, Base.ABSOLUTE, 0, p, True).run_beats
            moved = len(slabs) * sum(piece.channels for piece in pieces) * per_channel
            loads += passes * len(slabs) * len(pieces)
        else:
            moved = sum(_area_rows(layer, view, slab, piece) for slab in slabs for piece in pieces) * row_beats
            loads += passes * len(slabs) * sum(min(piece.channels, height) for piece in pieces)
        beats += passes * moved
        if areas.count == 1:
            compute += moved * passes * BURST_NS / p.clock_ns
    out_beats = out_h * DramMap.of(layer.out_shape, Base.ABSOLUTE, 0, p).run_beats  # of a channel
    if layer.kept and stage is None:
        beats += layer.kept * out_beats
    if plan.spilled and stage is not None:
        stored = (n - layer.kept) * out_beats
        beats += 2 * stored + layer.kept * out_beats
        loads += len(slabs) * len(blocks)
        if stage.count == 1:
            compute += stored * BURST_NS / p.clock_ns
    dma = beats * BURST_NS / p.clock_ns + loads * TRANSFER_CYCLES
    return prices[0] * compute + prices[1] * dma + SB_WEIGHT * reads


def _limb_beats(layer: Layer, p: TileParams) -> int:
    """Beats of a limb of one channel's sums."""
    return limb_map(layer, 1, 0, p).beats if layer.sums.limbs else 0


def _whole_planes(layer: Layer, view: View, slabs: tuple[Slab, ...], areas: Areas, p: TileParams) -> bool:
    """Whether areas take whole planes, which can then lie in DRAM without gaps between rows."""
    _, height, width = layer.in_shape
    whole = all(input_rows(layer, slab) == (0, height) for slab in slabs)
    return whole and not view.vector and width % p.cell_words == 0 and areas.pitch == cells_of(width, p)


def _area_rows(layer: Layer, view: View, slab: Slab, piece: Piece) -> int:
    if view.vector:
        first, end = vector_rows(layer, view, piece)
        return end - first
    first, end = input_rows(layer, slab)
    return piece.channels * (end - first)
