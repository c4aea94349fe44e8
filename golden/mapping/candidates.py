"""The plans that a layer, or two layers fused, could take: every combination of places and cuts that fits."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from golden.mapping.fusion import fits
from golden.mapping.layer_plan import PARTS, Areas, Input, LayerPlan, Order
from golden.mapping.layout import MapLayout, extent
from golden.mapping.limbs import with_limbs
from golden.mapping.pieces import (
    Block,
    Piece,
    block_of,
    cycles_of,
    line_of,
    pieces_at,
    pieces_between,
    pieces_of,
    split,
)
from golden.mapping.plan_cost import FIRST_CHANNELS, cost_of
from golden.mapping.plan_places import cells_in, places, stage_of
from golden.mapping.slabs import Slab, slabs_of
from golden.mapping.view import Reach, View, cells_of, columns_read, pitches, view_of
from golden.network import Layer
from hw.instructions import UNUSED, Buffer
from hw.params import QUARTERS, TileParams

LEADS = ((1, 2), (2, 2), (1, 99), (2, 99))  # rows of the first slab, and how many times as many the next ones have
FUSED_AREAS = 3  # at most, between two fused layers
NOTHING = Reach(0)  # of a vector, and of a map that is not there


@dataclass(frozen=True)
class State:
    """Before a layer: its input's layout (None: in DRAM) and reach, and the buffer that it is or may be in."""

    resident: MapLayout | None
    reach: Reach
    source: Buffer


@dataclass(frozen=True)
class Goal:
    """What becomes of a layer's results: their layout; or they are ``spilled``; or ``areas`` feed them to the next
    layer, block by block. sums: first and last accumulator."""

    sums: tuple[int, int]
    output: MapLayout | None = None
    spilled: bool = False
    areas: Areas | None = None


def _held(blocks: tuple[Block, ...], slab: Slab) -> int:
    """Accumulators that hold the sums of all blocks side by side."""
    return sum(block.steps(slab.cols, slab.rows) for block in blocks)


def _most_steps(sums: tuple[int, int]) -> int:
    """Half the accumulators, so that one tile drains under the next."""
    return max(1, (sums[1] - sums[0] + 1) // 2)


class Candidates:
    """Plans for one set of tile parameters. ring: rows of SB for weights. prices: see golden.mapping.plan_cost.
    special: inputs of PARTS that are looked at."""

    def __init__(
        self, params: TileParams, ring: int, prices: tuple[float, float], special: Collection[Input] = PARTS
    ) -> None:  # fmt: skip
        self.p, self.ring, self.prices, self.special = params, ring, prices, special
        self.all_sums = (0, params.accumulators - 1)

    def cheapest(self, layer: Layer, following: Layer | None, state: State) -> list[tuple[LayerPlan, State]]:
        """The cheapest plan for every state that it can leave behind."""
        found: dict[State, LayerPlan] = {}
        for output, stage_wanted, after in self.outputs(layer, following, Buffer(1 - state.source)):
            for plan in self.plans(layer, following, state, output, stage_wanted):
                if after not in found or plan.cost < found[after].cost:
                    found[after] = plan
        return [(plan, after) for after, plan in found.items()]

    def outputs(
        self, layer: Layer, following: Layer | None, target: Buffer
    ) -> Iterator[tuple[MapLayout | None, bool, State]]:
        """(layout of the whole output or None, whether it is spilled, the state behind it)."""
        p = self.p
        n, height, width = layer.out_shape
        if following is None:
            yield MapLayout(target, 0, 1, 1), False, State(None, NOTHING, target)
            return
        view = view_of(following, p)
        if view.vector:
            cells = cells_of(width, p)
            whole = cells_of(n, p) if height * width == 1 else n * height * cells
            if whole <= cells_in(target, p):
                yield (
                    MapLayout(target, 0, cells, height * cells),
                    False,
                    State(MapLayout(target, 0, view.taps // p.cell_words, view.taps // p.cell_words), NOTHING, target),
                )
        else:
            for reach in self.reaches(following, view):
                pair = pitches(view, height, reach, n, False, p)
                if pair and extent(n, height, width, *pair, p) <= cells_in(target, p):
                    layout = MapLayout(target, 0, *pair)
                    yield layout, False, State(layout, reach, target)
        if height * width > 1:
            for source in (target, Buffer(1 - target)):
                yield None, True, State(None, NOTHING, source)

    def reaches(self, layer: Layer, view: View) -> list[Reach]:
        """What is sensible to read of a run at a time: everything that makes the layer quicker, or blocks of it that a
        layer fused with it may want."""
        p, width = self.p, layer.sum_shape[2]
        if view.vector:
            return [NOTHING]
        least = columns_read(view, width, 1, -view.padding[1], p)
        found: list[Reach] = []
        sizes = [size for size in (p.neurons // 2, p.neurons // 4) if 0 < size <= layer.sum_shape[0]]
        quickest = [math.inf] * (1 + len(sizes))
        gaps = (False,) if layer.sums.limbs else (False, True)  # limbs go row by row
        for gap, columns in product(gaps, range(least, min(UNUSED, p.banks + 1))):
            reach = Reach(columns, gap)
            if pitches(view, layer.in_shape[1], reach, view.channels, False, p) is None:
                continue
            ways = [split(layer, reach, False, p), *([block_of(layer, reach, 0, size, p)] for size in sizes)]
            cycles = [sum(cycles_of(layer, block, reach, p) for block in way) for way in ways]
            if any(now < best for now, best in zip(cycles, quickest, strict=True)):
                found.append(reach)
                quickest = [min(pair) for pair in zip(cycles, quickest, strict=True)]
        return found

    def plans(
        self, layer: Layer, following: Layer | None, state: State, output: MapLayout | None, spilled: bool
    ) -> Iterator[LayerPlan]:  # fmt: skip
        """Plans that leave the output in a layout or, None, in DRAM."""
        yield from self.towards(layer, following, state, Goal(self.all_sums, output, spilled))

    def towards(self, layer: Layer, following: Layer | None, state: State, goal: Goal) -> Iterator[LayerPlan]:
        """Plans that reach a goal."""
        view = view_of(layer, self.p)
        if state.resident is not None:
            yield from self._with(layer, following, view, state, Input.RESIDENT, state.reach, goal)
            return
        for reach in self.reaches(layer, view):
            yield from self._with(layer, following, view, state, Input.RING, reach, goal)
            if not view.vector and Input.OVERLAP in self.special:
                yield from self._with(layer, following, view, state, Input.OVERLAP, reach, goal)
            yield from self._with(layer, following, view, state, Input.AREAS, reach, goal)

    def _with(
        self, layer: Layer, following: Layer | None, view: View, state: State, kind: Input, reach: Reach, goal: Goal
    ) -> Iterator[LayerPlan]:  # fmt: skip
        p = self.p
        blocks = split(layer, reach, not layer.fc, p)
        if goal.areas is not None:
            assert following is not None
            blocks = self._blocks_of(layer, reach, following.cuts[0])
        target = Buffer(1 - state.source)
        for pieces in self._pieces(layer, view, kind, goal):
            if max(piece.lines for piece in pieces) > self.ring:
                continue
            for slabs in self._slabs(layer, blocks, len(pieces) > 1 or layer.sums.saved, kind, goal):
                if slabs[0].cols < layer.sum_shape[2] and not self._within(view, blocks, slabs, reach):
                    continue
                stage = stage_of(layer, slabs, target, p) if goal.spilled else goal.areas
                if goal.spilled and stage is None:
                    continue
                held = goal.output or MapLayout(target, 0, *((stage.pitch, stage.plane) if stage else (1, 1)))
                found = (
                    [(state.resident, 0, None)]
                    if state.resident is not None
                    else places(layer, state.source, kind, reach, pieces, slabs, p)
                )
                vector = self.vector(layer, following, stage)
                for place, ring_rows, areas in found:
                    for order in self._orders(layer, view, blocks, pieces, slabs, areas, goal):
                        plan = LayerPlan(
                            layer, view, state.source, target, kind, place, ring_rows, areas, reach, held, stage,
                            vector, blocks, pieces, slabs, order, goal.sums, goal.areas is not None,
                            _most_steps(goal.sums), 0.0,
                        )  # fmt: skip
                        fitted = with_limbs(plan, p)
                        if fitted is not None:
                            yield replace(fitted, cost=cost_of(fitted, self.ring, self.prices, p))

    def _pieces(self, layer: Layer, view: View, kind: Input, goal: Goal) -> Iterator[tuple[Piece, ...]]:
        """Ways to cut a layer's weight lines into pieces."""
        begin = line_of(view, layer.sums.inputs)[0] if layer.sums.channels else 0
        for step in self._line_steps(view, kind, goal):
            pieces = pieces_of(view, step, begin)
            yield pieces if layer.sums.limbs else self._tail_first(pieces)
        n, *pixels = layer.in_shape
        last = (n - 1) // self.p.neurons * self.p.neurons // view.taps
        if last and pixels == [1, 1] and layer.out_shape[0] <= self.p.neurons:
            yield pieces_at(view, (0, last, view.lines))  # the last lines wait for the last block of the layer before

    def _tail_first(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """A piece whose last line may be in quarters before the others: sums that end four at a time would not leave
        their accumulators as quickly, and the next ones wait for these."""
        tail = pieces[-1]
        short = 0 < tail.last_lanes <= (QUARTERS - 1) * self.p.quarter_lanes and tail.lines > 1
        return (tail, *pieces[:-1]) if short else pieces

    def vector(self, layer: Layer, following: Layer | None, stage: Areas | None) -> bool:
        """Whether the results are one pixel that the next layer reads as a vector."""
        single = layer.out_shape[1] * layer.out_shape[2] == 1 and stage is None
        return single and (following is None or view_of(following, self.p).vector)

    def _orders(
        self, layer: Layer, view: View, blocks: tuple[Block, ...], pieces: tuple[Piece, ...], slabs: tuple[Slab, ...],
        areas: Areas | None, goal: Goal,
    ) -> Iterator[Order]:  # fmt: skip
        """Orders of the loops that work and could make a difference."""
        yield Order.BLOCK_SLAB_PIECE
        if goal.areas is not None or len(blocks) == 1:
            return
        # else an area would be loaded for every block all the same
        if self._together(layer, view, blocks, slabs) and (areas is None or len(pieces) <= areas.count):
            yield Order.SLAB_BLOCK_PIECE
        held = _held(blocks, slabs[0])
        whole = layer.pool is None or len(slabs) == 1
        whole &= not goal.spilled or slabs[0].cols == layer.sum_shape[2]  # a block's columns share an area
        if len(pieces) > 1 and areas is not None and whole and held <= goal.sums[1] - goal.sums[0] + 1:
            yield Order.SLAB_PIECE_BLOCK

    def _within(self, view: View, blocks: tuple[Block, ...], slabs: tuple[Slab, ...], reach: Reach) -> bool:
        """Whether slabs that start within a row read no more than ``reach`` of a run either, of one row."""

        def read(slab: Slab, groups: int) -> int:
            return columns_read(view, -(-slab.cols // groups), groups, slab.x * view.stride - view.padding[1], self.p)

        return not any(block.paired for block in blocks) and all(
            read(slab, block.groups) <= reach.columns for slab in slabs for block in blocks
        )

    def _together(self, layer: Layer, view: View, blocks: tuple[Block, ...], slabs: tuple[Slab, ...]) -> bool:
        """Whether a slab can be computed for every block before the next one.

        All weights have to fit, no window may stay open, and the areas of a spilled output hold whole rows of a block.
        """
        pool = layer.pool
        if slabs[0].cols < layer.sum_shape[2]:
            return False
        closed = pool is None or (pool.size == pool.stride and all(slab.y % pool.stride == 0 for slab in slabs))
        return closed and len(slabs) > 1 and len(blocks) > 1 and len(blocks) * view.lines <= self.ring

    def _line_steps(self, view: View, kind: Input, goal: Goal) -> list[int]:
        """Weight lines of a piece to try."""
        if view.vector:
            return sorted({max(1, min(view.lines, self.ring // parts)) for parts in (3, 6)})
        if kind in (Input.RING, Input.OVERLAP):
            return [view.lines]
        most = min(view.lines, self.ring)
        if kind == Input.RESIDENT:
            if goal.areas is not None and goal.areas.count == 1 and 1 < view.lines <= self.ring:
                return [most, -(-most // 2)]  # the next layer reads the area before the last piece writes it
            return [most] if view.lines <= self.ring else [max(1, self.ring // 3)]
        return sorted({most, *(n for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26) if n < most)})

    def _slabs(
        self, layer: Layer, blocks: tuple[Block, ...], chained: bool, kind: Input, goal: Goal
    ) -> Iterator[tuple[Slab, ...]]:
        """Ways to cut the sums into slabs. Before the rows of an image's first slab nothing runs: it may be shorter,
        and the next one, so that each is loaded while the one before is computed."""
        streamed = kind in (Input.RING, Input.OVERLAP) and layer.in_shape[0] <= FIRST_CHANNELS
        for rows, cols in self._shapes(layer, blocks, chained, kind, goal):
            yield slabs_of(layer, rows, cols)
            for lead, growth in LEADS if streamed else ():
                if lead < rows:
                    yield slabs_of(layer, rows, cols, lead, growth)

    def _shapes(
        self, layer: Layer, blocks: tuple[Block, ...], chained: bool, kind: Input, goal: Goal
    ) -> Iterator[tuple[int, int]]:
        """Rows and columns of a slab. Pooling wants whole rows; a sum over several computes wants one tile."""
        _, height, width = layer.sum_shape
        most = goal.sums[1] - goal.sums[0] + 1
        per_row = max(-(-width // block.row_groups) for block in blocks)
        if kind == Input.RESIDENT and not chained and not goal.spilled:
            yield from ((rows, width) for rows in sorted({height, -(-height // 2), -(-height // 4)}, reverse=True))
            return
        for rows in sorted({min(n, height) for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, height)}):
            if not chained or rows * per_row <= most:
                yield rows, width
        if layer.pool is None and chained and per_row > most // 2 and kind not in (Input.RING, Input.OVERLAP):
            yield 1, max(1, most // 2)

    # -- two layers, of which the second takes the first one's results block by block ------------------------------

    def fused(
        self, layer: Layer, second: Layer, following: Layer | None, state: State
    ) -> list[tuple[LayerPlan, LayerPlan, State]]:
        """The cheapest pair for every state that it can leave behind. The blocks are those between second's cuts."""
        cuts, channels = second.cuts, second.in_shape[0]
        if not cuts or cuts != tuple(range(cuts[0], channels, cuts[0])) or not fits(cuts[0], self.p):
            return []
        if layer.kept or layer.sums.limbs or second.sums.limbs:
            return []
        view, target = view_of(second, self.p), Buffer(1 - state.source)
        if view.vector:
            return []
        found: dict[State, tuple[LayerPlan, LayerPlan]] = {}
        pieces = pieces_between(view, (0, *cuts, channels))
        if len(pieces) == 1 or max(piece.lines for piece in pieces) > self.ring:
            return []
        for reach in self.reaches(second, view):
            blocks, slabs = split(second, reach, False, self.p), slabs_of(second, *second.sum_shape[1:])
            held = _held(blocks, slabs[0])
            areas = self._fused_areas(second, view, reach, target)
            if areas is None or held > self.p.accumulators - 2:
                continue
            for first_held in self._shares(held):
                goal = Goal((0, first_held - 1), areas=areas)
                before = min(self.towards(layer, second, state, goal), key=lambda plan: plan.cost, default=None)
                if before is None:
                    continue
                for output, spilled, after in self.outputs(second, following, state.source):
                    if spilled:
                        continue
                    assert output is not None
                    place = MapLayout(target, 0, areas.pitch, areas.plane)
                    plan = LayerPlan(
                        second, view, target, state.source, Input.FUSED, place, 0, areas, reach, output, None,
                        self.vector(second, following, None), blocks, pieces, slabs, Order.SLAB_PIECE_BLOCK,
                        (first_held, self.all_sums[1]), False, 1, 0.0,
                    )  # fmt: skip
                    plan = replace(plan, cost=cost_of(plan, self.ring, self.prices, self.p))
                    if after not in found or before.cost + plan.cost < sum(other.cost for other in found[after]):
                        found[after] = before, plan
        return [(*pair, after) for after, pair in found.items()]

    def _shares(self, held: int) -> Iterable[int]:
        """Accumulators of the first of two fused layers, whose second one holds so many sums: all others, or of them a
        number that four divides, for lines in quarters."""
        free = self.p.accumulators - held
        return {free, free // QUARTERS * QUARTERS or free} if self.p.quarter_lanes else {free}

    def feeding(self, layer: Layer, second: Layer, state: State, plan: LayerPlan) -> Iterator[LayerPlan]:
        """Other plans of the first of two fused layers, whose results go where those of ``plan`` go."""
        yield from self.towards(layer, second, state, Goal(plan.sums, areas=plan.stage))

    def _fused_areas(self, layer: Layer, view: View, reach: Reach, source: Buffer) -> Areas | None:
        """Areas for the channels between two cuts."""
        channels, height, width = layer.in_shape
        pair = pitches(view, height, reach, layer.cuts[0], False, self.p)
        if pair is None:
            return None
        cells = extent(layer.cuts[0], height, width, *pair, self.p)
        count = min(cells_in(source, self.p) // cells, FUSED_AREAS)
        return Areas(count, cells, *pair) if count else None

    def _blocks_of(self, layer: Layer, reach: Reach, size: int) -> tuple[Block, ...]:
        """Blocks of ``size`` channels."""
        channels = layer.sum_shape[0]
        return tuple(
            block_of(layer, reach, first, min(size, channels - first), self.p) for first in range(0, channels, size)
        )
