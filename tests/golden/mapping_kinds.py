"""Every way in which the mapper can run a layer, by name, which of them a program meets, and mappings by chance."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from unittest import mock

from golden.mapping import Mapped, map_network
from golden.mapping.fusion import cut_networks, fused_sizes
from golden.mapping.layer_plan import Input, LayerPlan, Order
from golden.mapping.plan import Planner
from golden.mapping.slabs import input_rows
from golden.mapping.view import columns_read
from golden.network import Network
from hw.instructions import Base, Buffer, Compute, Load, Pool, Store
from hw.params import QUARTERS, TileParams

KINDS = (
    # where the input comes from
    "resident map", "resident vector", "whole map streamed", "ring of rows", "ring that wraps in a compute",
    "ring over padding", "overlapping planes", "rows as they appear", "areas of rows", "areas of channels",
    "areas kept for all blocks", "areas in turn", "vector streamed whole", "vector streamed in areas",
    "fully connected window", "fused areas in turn", "one fused area",
    # where the output goes
    "resident output", "vector output", "spilled by rows", "spilled by planes", "one stage", "stages in turn",
    "output fed on",
    "output within a cell",
    # how weights are taken
    "chained pieces, streamed", "chained pieces, resident", "chained pieces, vector",
    "last words apart",
    "piece within a row of the window", "cut window", "weights loaded again", "cut load", "several tiles",
    "line in quarters", "quarters of a row's rest", "quarters of a chained piece", "quarters in several tiles",
    # blocks and slabs
    "several blocks", "rest first", "cut block", "several slabs", "slabs first", "blocks last", "split columns",
    "groups", "most groups", "unfilled step", "steps of two rows", "step of one row of two",
    "more columns than least", "gated channels",
    # layers
    "padded", "strided", "one-row kernel", "one-column kernel", "no relu", "max pooling", "average pooling",
    "overlapping pooling", "gapped pooling", "clipped pooling", "pooling in slabs",
)  # fmt: skip

# What a tile cannot do. odd: two lines to a beat leave no place to cut 2, three groups are not those of two rows, five
# lanes have no quarters.
IMPOSSIBLE: dict[str, set[str]] = {
    "small": set(),
    "odd": {"cut block", "steps of two rows", "step of one row of two"}
    | {kind for kind in KINDS if "quarters" in kind},
}


def map_by_chance(networks: Sequence[Network], p: TileParams, rng: random.Random) -> Mapped:
    """A program of plans that are drawn from all possible ones: each has to be right, not only the cheapest."""
    cut = cut_networks(networks, rng.choice(fused_sizes(networks, p)), p)

    def cost(plan: LayerPlan, *_: object) -> float:
        """Layers that go together and parts of rows, of which there are few among many plans, are cheap."""
        if plan.kind == Input.ROWS:
            return rng.random() - 1
        rare = (plan.feeds or plan.kind == Input.FUSED, plan.slabs[0].cols < plan.layer.sum_shape[2])
        return rng.random() * 0.1 ** sum(rare)

    special = rng.choice(((), (Input.OVERLAP,), (Input.ROWS,)))
    with (
        mock.patch("golden.mapping.candidates.cost_of", side_effect=cost),
        mock.patch("golden.mapping.rows.cost_of", side_effect=cost),
        mock.patch("golden.mapping.mapper.Planner", partial(Planner, special=special)),
    ):
        return map_network(cut, p, search=False)


def kinds_of(mapped: Mapped, increment: int) -> Counter[str]:
    """How many layers or instructions of an increment are of each kind."""
    p, plans = mapped.params, mapped.plans[increment]
    found: Counter[str] = Counter()
    for plan in plans:
        found.update(_input(plan))
        found.update(_output(plan))
        found.update(_work(plan, p))
        if not plan.layer.fc:
            found.update(_layer(plan))
    found.update(_instructions(mapped, increment))
    found["gated channels"] += increment < len(mapped.networks) - 1
    return found


def _input(plan: LayerPlan) -> Iterator[str]:
    channels, height, _ = plan.layer.in_shape
    vector, fc = plan.view.vector, plan.layer.fc
    if fc and not vector:
        yield "fully connected window"
    if plan.kind == Input.RESIDENT:
        yield "resident vector" if vector else "resident map"
    elif plan.kind == Input.RING:
        yield "vector streamed whole" if vector else "ring of rows" if plan.ring_rows else "whole map streamed"
        if plan.ring_rows and plan.layer.padding[0]:
            yield "ring over padding"
    elif plan.kind == Input.OVERLAP:
        yield "overlapping planes"
    elif plan.kind == Input.ROWS:
        yield "rows as they appear"
    elif plan.kind == Input.FUSED:
        assert plan.areas is not None
        yield "one fused area" if plan.areas.count == 1 else "fused areas in turn"
    elif vector:
        yield "vector streamed in areas"
    else:
        assert plan.areas is not None
        if any(input_rows(plan.layer, slab) != (0, height) for slab in plan.slabs):
            yield "areas of rows"
        if any(piece.channels < channels for piece in plan.pieces):
            yield "areas of channels"
        if len(plan.slabs) * len(plan.pieces) > plan.areas.count:
            yield "areas in turn"
        elif len(plan.blocks) > 1:
            yield "areas kept for all blocks"


def _output(plan: LayerPlan) -> Iterator[str]:
    if plan.stage is None:
        yield "vector output" if plan.vector else "resident output"
    elif plan.feeds:
        yield "output fed on"
    else:
        yield "one stage" if plan.stage.count == 1 else "stages in turn"


def _work(plan: LayerPlan, p: TileParams) -> Iterator[str]:
    view, width = plan.view, plan.layer.sum_shape[2]
    if len(plan.pieces) > 1:
        kind = "vector" if view.vector else "resident" if plan.kind == Input.RESIDENT else "streamed"
        yield f"chained pieces, {kind}"
        n, *pixels = plan.layer.in_shape
        last = (n - 1) // p.neurons * p.neurons // view.taps
        if view.vector and pixels == [1, 1] and [piece.line for piece in plan.pieces] == [0, last]:
            yield "last words apart"
        if any(piece.line * view.taps % view.kernel_w for piece in plan.pieces) and not view.vector:
            yield "piece within a row of the window"
    if len(view.segments) > 1:
        yield "cut window"
    if len(plan.blocks) > 1:
        yield "several blocks"
    if plan.blocks[0].first:
        yield "rest first"
    if any(block.offset for block in plan.blocks):
        yield "cut block"
    if len(plan.slabs) > 1:
        yield "several slabs"
    if plan.order == Order.SLAB_BLOCK_PIECE:
        yield "slabs first"
    if plan.order == Order.SLAB_PIECE_BLOCK and plan.kind != Input.FUSED:
        yield "blocks last"
    if any(slab.cols < width for slab in plan.slabs):
        yield "split columns"
    if any(block.groups > 1 for block in plan.blocks):
        yield "groups"
    if any(block.groups == p.groups for block in plan.blocks):
        yield "most groups"
    if any(slab.cols % block.row_groups for slab in plan.slabs for block in plan.blocks):
        yield "unfilled step"
    if any(block.paired for block in plan.blocks):
        yield "steps of two rows"
        if any(slab.rows % 2 for slab in plan.slabs):
            yield "step of one row of two"
    if not view.vector and plan.reach.columns > columns_read(view, width, 1, -view.padding[1], p):
        yield "more columns than least"


def _layer(plan: LayerPlan) -> Iterator[str]:
    layer = plan.layer
    if any(layer.padding):
        yield "padded"
    if layer.stride > 1:
        yield "strided"
    if layer.kernel[0] == 1:
        yield "one-row kernel"
    if layer.kernel[1] == 1:
        yield "one-column kernel"
    if not layer.relu:
        yield "no relu"
    if pool := layer.pool:
        yield "max pooling" if pool.kind == Pool.MAX else "average pooling"
        if pool.stride < pool.size:
            yield "overlapping pooling"
        if pool.stride > pool.size:
            yield "gapped pooling"
        ends = ((windows - 1) * pool.stride + pool.size for windows in layer.out_shape[1:])
        if any(end > length for end, length in zip(ends, layer.sum_shape[1:], strict=True)):
            yield "clipped pooling"
        if len(plan.slabs) > 1:
            yield "pooling in slabs"


def _quarters(c: Compute) -> Iterator[str]:
    yield "line in quarters"
    if c.row_steps > QUARTERS and c.row_steps % QUARTERS:
        yield "quarters of a row's rest"
    if not (c.first and c.finish):
        yield "quarters of a chained piece"
    if c.steps > c.tile:
        yield "quarters in several tiles"


def _instructions(mapped: Mapped, increment: int) -> Iterator[str]:
    p, plans, code = mapped.params, mapped.plans[increment], mapped.segments[increment]
    rows = {plan.layer.out_shape[2] for plan in plans if plan.spilled}
    lines = {piece.lines for plan in plans for piece in plan.pieces} | {1}  # 1: of biases
    loaded = set()
    for item in code:
        if isinstance(item, Store) and item.base == Base.ABSOLUTE:
            words = (item.length - 1) * p.beat_words + item.last_words
            yield "spilled by rows" if words in rows else "spilled by planes"
        elif isinstance(item, Load) and item.buffer == Buffer.SB:
            if item.runs not in lines:
                yield "cut load"
            if item.address in loaded:
                yield "weights loaded again"
            loaded.add(item.address)
        elif isinstance(item, Compute):
            if item.steps > item.tile:
                yield "several tiles"
            if item.quarters:
                yield from _quarters(item)
            if item.to_sub and item.finish:
                yield "output within a cell"
            kernel = max(1, max(plan.view.kernel_h for plan in plans if plan.ring_rows)) if item.ring_rows else 0
            if item.ring_rows and item.ring_y + (item.rows - 1) * item.stride + kernel > item.ring_rows:
                yield "ring that wraps in a compute"
