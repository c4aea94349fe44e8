"""Two layers by rows: the second takes the rows of the first one's map as they appear, and none of it is spilled.

Of a map that is too large for its buffer only the rows that some window still wants are there. Its planes overlap: a
channel's last rows lie where the next one's first rows were (Input.OVERLAP does the same with a map out of DRAM).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from golden.mapping.candidates import Candidates, Goal, State
from golden.mapping.layer_plan import Input, LayerPlan, Order
from golden.mapping.layout import MapLayout, extent
from golden.mapping.pieces import pieces_of, split
from golden.mapping.plan_cost import cost_of
from golden.mapping.plan_places import cells_in
from golden.mapping.slabs import Slab, input_rows, slabs_of
from golden.mapping.view import Reach, View, pitches, view_of
from golden.network import Layer
from hw.instructions import Buffer
from hw.params import TileParams


def turns(first: Sequence[Slab], second: Sequence[tuple[int, int]], held: int) -> list[tuple[int, int]] | None:
    """(layer 0 or 1, number of its slab) in the order in which two layers take turns; None if there is no such order.

    first: slabs of the first layer. second: rows [first, end) of its map that the second one's slabs want. held: rows
    that are there at a time. The first layer goes as far ahead as they allow, so that its results need not be waited
    for.
    """
    found: list[tuple[int, int]] = []
    a = b = 0
    while a < len(first) or b < len(second):
        ahead = first[a].out_end - second[b][0] <= held if a < len(first) and b < len(second) else a < len(first)
        if ahead:
            found.append((0, a))
            a += 1
        elif b < len(second) and second[b][1] <= (first[a - 1].out_end if a else 0):
            found.append((1, b))
            b += 1
        else:
            return None
    return found


def by_rows(
    candidates: Candidates, layer: Layer, second: Layer, following: Layer | None, state: State
) -> list[tuple[LayerPlan, LayerPlan, State]]:  # fmt: skip
    """The cheapest pair for every state that it can leave behind, of a map that does not fit whole."""
    p, view, target = candidates.p, view_of(second, candidates.p), Buffer(1 - state.source)
    kept = layer.kept or second.kept or layer.sums.limbs or second.sums.limbs
    if view.vector or kept or not _closed(layer) or not _closed(second):
        return []
    found: dict[State, tuple[LayerPlan, LayerPlan]] = {}
    for reach in candidates.reaches(second, view):
        for place, held in _places(second, view, reach, target, p):
            firsts = [
                plan
                for plan in candidates.towards(layer, second, state, Goal(candidates.all_sums, place))
                if len(plan.pieces) == 1 and _in_turns(plan)
            ]
            for output, spilled, after in candidates.outputs(second, following, state.source):
                if spilled or output is None:
                    continue
                seconds = _seconds(candidates, second, following, view, reach, place, output)
                for pair in _pairs(firsts, seconds, held, candidates.ring, p):
                    behind = _moved(after, pair[1].output.base)
                    if behind not in found or _cost(pair) < _cost(found[behind]):
                        found[behind] = pair
    return [(*pair, after) for after, pair in found.items()]


def _cost(pair: tuple[LayerPlan, LayerPlan]) -> float:
    return pair[0].cost + pair[1].cost


def _pairs(
    firsts: Sequence[LayerPlan], seconds: Iterable[LayerPlan], held: int, ring: int, p: TileParams
) -> Iterator[tuple[LayerPlan, LayerPlan]]:  # fmt: skip
    """Plans that can take turns: their weights fit the ``ring`` rows of SB together, the rows that are wanted the map's
    ``held`` ones, and the second one's output beside the first one's input."""
    for then in seconds:
        wanted = [input_rows(then.layer, slab) for slab in then.slabs]
        for before in firsts:
            lines = sum(len(plan.blocks) * plan.view.lines for plan in (before, then))
            moved = _beside(before, then, p)
            if lines <= ring and moved is not None and turns(before.slabs, wanted, held) is not None:
                yield before, moved


def _moved(state: State, base: int) -> State:
    """The state behind an output at cell ``base``."""
    return replace(state, resident=replace(state.resident, base=base)) if state.resident is not None else state


def _closed(layer: Layer) -> bool:
    """Whether no pooling window is open between slabs of some rows."""
    return not layer.fc and (layer.pool is None or layer.pool.size == layer.pool.stride)


def _in_turns(plan: LayerPlan) -> bool:
    """Whether another layer can run between the slabs: they are computed for all blocks and leave no window open."""
    pool = plan.layer.pool
    whole = plan.order == Order.SLAB_BLOCK_PIECE or len(plan.blocks) == 1
    return whole and (pool is None or all(slab.y % pool.stride == 0 for slab in plan.slabs))


def _places(
    layer: Layer, view: View, reach: Reach, source: Buffer, p: TileParams
) -> Iterator[tuple[MapLayout, int]]:  # fmt: skip
    """Where the map between lies, and rows of it that are there at a time: the most that fit."""
    channels, height, width = layer.in_shape
    for held in range(height, view.kernel_h, -1):
        pair = pitches(view, held, reach, channels, False, p)
        if pair and extent(channels, height, width, *pair, p) <= cells_in(source, p):
            if held < height:
                yield MapLayout(source, 0, *pair), held
            return


def _seconds(
    candidates: Candidates, layer: Layer, following: Layer | None, view: View, reach: Reach, place: MapLayout,
    output: MapLayout,
) -> Iterator[LayerPlan]:  # fmt: skip
    """Plans of the second layer, slab by slab for all blocks."""
    _, height, width = layer.sum_shape
    stride = layer.pool.stride if layer.pool is not None else 1
    blocks, pieces = split(layer, reach, True, candidates.p), pieces_of(view, view.lines)
    for rows in range(stride, height, stride):
        plan = LayerPlan(
            layer, view, place.buffer, output.buffer, Input.ROWS, place, 0, None, reach, output, None,
            candidates.vector(layer, following, None), blocks, pieces, slabs_of(layer, rows, width),
            Order.SLAB_BLOCK_PIECE, candidates.all_sums, False, candidates.p.accumulators // 2, 0.0,
        )  # fmt: skip
        yield replace(plan, cost=cost_of(plan, candidates.ring, candidates.prices, candidates.p))


def _beside(before: LayerPlan, then: LayerPlan, p: TileParams) -> LayerPlan | None:
    """The second plan with its output beside the first one's input, which is still read; None if there is no room."""
    cells, (n, height, width) = cells_in(then.target, p), then.layer.out_shape
    size = extent(n, height, width, then.output.pitch, then.output.plane, p)
    channels, rows, columns = before.layer.in_shape
    low, high = before.input.base, before.input.base
    if before.kind == Input.AREAS and before.areas is not None:
        low, high = cells - before.areas.count * before.areas.cells, cells
    else:
        high += extent(channels, before.ring_rows or rows, columns, before.input.pitch, before.input.plane, p)
    if size <= low:
        return then
    return replace(then, output=replace(then.output, base=cells - size)) if cells - size >= high else None
