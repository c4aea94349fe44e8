"""Decides, layer by layer, where maps lie, what is streamed, and how a layer is cut into steps.

A layer reads one neuron buffer and writes the other. Its input is resident when the layer before left it there, else
it is streamed from DRAM: row by row through a ring, or in areas that hold the channels of a piece of weight lines and
the rows of a slab. Its output stays in the other buffer, laid out as the next layer wants it, or is spilled to DRAM
slab by slab. The plans of a network are those with the least estimated cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from golden.mapping.layer_plan import Input, LayerPlan
from golden.mapping.layout import MapLayout, extent
from golden.mapping.pieces import Block, pieces_of, split, steps_of
from golden.mapping.plan_cost import cost_of
from golden.mapping.plan_places import cells_in, places, stage_of
from golden.mapping.slabs import Slab, open_rows, slabs_of
from golden.mapping.view import View, cells_of, columns_read, pitches, view_of
from golden.network import Layer, Network
from hw.errors import BadInput
from hw.instructions import MAP_BITS, POOL_BITS, UNUSED, Buffer
from hw.params import TileParams


@dataclass(frozen=True)
class _State:
    """Before a layer: its input's layout (None: in DRAM) and columns, and the buffer that it is or may be in."""

    resident: MapLayout | None
    columns: int
    source: Buffer


class Planner:
    """Plans networks for one set of tile parameters; ``bias_rows`` rows of SB are taken.

    prices: of a cycle of computing and of one of DRAM time; which of them holds a network back shows only when all its
    layers are put together.
    """

    def __init__(self, params: TileParams, bias_rows: int, prices: tuple[float, float] = (1.0, 0.1)) -> None:
        self.p = params
        self.prices = prices
        self.ring = params.sb_rows - bias_rows
        if self.ring < 1:
            raise BadInput(
                f"biases fill {bias_rows} rows of SB, but {params.name} has {params.sb_rows}; use fewer neurons"
            )

    def network(self, network: Network) -> list[LayerPlan]:
        """A plan for every layer."""
        for layer in network.layers:
            self._check(layer)
        stuck: list[int] = []

        @lru_cache
        def best(index: int, state: _State) -> tuple[float, tuple[LayerPlan, ...]] | None:
            if index == len(network.layers):
                return 0.0, ()
            found: tuple[float, tuple[LayerPlan, ...]] | None = None
            following = network.layers[index + 1] if index + 1 < len(network.layers) else None
            plans = self._cheapest(network.layers[index], following, state)
            if not plans:
                stuck.append(index)
            for plan, after in plans:
                rest = best(index + 1, after)
                if rest is not None and (found is None or plan.cost + rest[0] < found[0]):
                    found = (plan.cost + rest[0], (plan, *rest[1]))
            return found

        starts = [best(0, _State(None, 0, buffer)) for buffer in (Buffer.NBIN, Buffer.NBOUT)]
        chosen = min((start for start in starts if start is not None), key=lambda start: start[0], default=None)
        if chosen is None:
            raise BadInput(self._misfit(network.layers[max(stuck)]))
        return list(chosen[1])

    def alternatives(self, network: Network, plans: Sequence[LayerPlan], index: int, most: int) -> list[LayerPlan]:
        """The cheapest ``most`` other plans of layer ``index`` between the same layouts, one of a kind."""
        plan, layer = plans[index], network.layers[index]
        following = network.layers[index + 1] if index + 1 < len(network.layers) else None
        resident = plan.input if plan.kind == Input.RESIDENT else None
        state = _State(resident, plan.columns if resident is not None else 0, plan.source)
        output = plan.output if plan.stage is None else None
        found: dict[tuple[object, ...], LayerPlan] = {}
        for other in self._plans(layer, following, state, output, plan.stage is not None):
            kind = (other.kind, len(other.pieces), len(other.slabs), other.slabs_first)
            if kind not in found or other.cost < found[kind].cost:
                found[kind] = other
        return sorted(found.values(), key=lambda other: other.cost)[:most]

    def _check(self, layer: Layer) -> None:
        p = self.p
        view = view_of(layer, p)
        most = (1 << POOL_BITS) - 1
        if layer.stride > most:
            raise BadInput(
                f"layer {layer.name}: strides up to {most} are wanted, not {layer.stride}; use a smaller one"
            )
        if layer.pool is not None and max(layer.pool.size, layer.pool.stride) > most:
            raise BadInput(
                f"layer {layer.name}: pooling windows and strides up to {most} are wanted, not {layer.pool.size} and "
                f"{layer.pool.stride}; use smaller windows"
            )
        most = (1 << (MAP_BITS - 1)) - 1  # pixel positions are signed
        if not layer.fc and max(*layer.in_shape[1:], *layer.sum_shape[1:]) > most:
            raise BadInput(
                f"layer {layer.name}: maps up to {most} pixels wide and high are wanted, not "
                f"{layer.in_shape[1]}x{layer.in_shape[2]}; use smaller images"
            )
        if view.lines >> 12:
            raise BadInput(f"layer {layer.name}: fewer than 4096 weight lines a neuron are wanted, not {view.lines}")
        if layer.pool is not None and open_rows(layer) * layer.sum_shape[2] > p.pool_entries:
            raise BadInput(
                f"layer {layer.name}: {open_rows(layer)} rows of {layer.sum_shape[2]} sums for pooling at once, "
                f"but {p.name} has pool_entries {p.pool_entries}; use a smaller map or a larger tile"
            )

    def _misfit(self, layer: Layer) -> str:
        p = self.p
        channels, height, width = layer.in_shape
        n, out_h, out_w = layer.out_shape
        return (
            f"layer {layer.name} does not fit {p.name}: input {channels}x{height}x{width}, output {n}x{out_h}x{out_w}, "
            f"{layer.inputs} synapses a neuron ({view_of(layer, p).lines} weight lines), but NBin holds "
            f"{p.nbin_rows * p.row_words} words, NBout {p.nbout_rows * p.row_words}, SB {self.ring} lines, "
            f"{p.accumulators} accumulators; use smaller maps or a larger tile"
        )

    # -- candidates ----------------------------------------------------------------------------------------------

    def _cheapest(self, layer: Layer, following: Layer | None, state: _State) -> list[tuple[LayerPlan, _State]]:
        """The cheapest plan for every state that it can leave behind."""
        found: dict[_State, LayerPlan] = {}
        for output, stage_wanted, after in self._outputs(layer, following, Buffer(1 - state.source)):
            for plan in self._plans(layer, following, state, output, stage_wanted):
                if after not in found or plan.cost < found[after].cost:
                    found[after] = plan
        return [(plan, after) for after, plan in found.items()]

    def _outputs(
        self, layer: Layer, following: Layer | None, target: Buffer
    ) -> Iterator[tuple[MapLayout | None, bool, _State]]:
        """(layout of the whole output or None, whether it is spilled, the state behind it)."""
        p = self.p
        n, height, width = layer.out_shape
        if following is None:
            yield MapLayout(target, 0, 1, 1), False, _State(None, 0, target)
            return
        view = view_of(following, p)
        if view.vector:
            cells = cells_of(width, p)
            whole = cells_of(n, p) if height * width == 1 else n * height * cells
            if whole <= cells_in(target, p):
                yield (
                    MapLayout(target, 0, cells, height * cells),
                    False,
                    _State(MapLayout(target, 0, view.taps // p.cell_words, view.taps // p.cell_words), 0, target),
                )
        else:
            for columns in self._columns(following, view):
                pair = pitches(view, height, columns, n, False, p)
                if pair and extent(n, height, width, *pair, p) <= cells_in(target, p):
                    layout = MapLayout(target, 0, *pair)
                    yield layout, False, _State(layout, columns, target)
        if height * width > 1:
            for source in (target, Buffer(1 - target)):
                yield None, True, _State(None, 0, source)

    def _columns(self, layer: Layer, view: View) -> list[int]:
        """Sensible numbers of cells of a run to read at a time: every one that makes the layer quicker."""
        p = self.p
        if view.vector:
            return [0]
        least = columns_read(view, layer.sum_shape[2], 1, -view.padding[1], p)
        found: list[int] = []
        quickest = None
        for columns in range(least, min(UNUSED, p.banks + 1)):
            if pitches(view, layer.in_shape[1], columns, view.channels, False, p) is None:
                continue
            steps = self._steps(layer, split(layer, columns, False, p))
            if quickest is None or steps < quickest:
                found.append(columns)
                quickest = steps
        return found

    def _steps(self, layer: Layer, blocks: tuple[Block, ...]) -> int:
        _, height, width = layer.sum_shape
        return sum(steps_of(width, height, block.groups) for block in blocks)

    def _plans(
        self, layer: Layer, following: Layer | None, state: _State, output: MapLayout | None, spilled: bool
    ) -> Iterator[LayerPlan]:  # fmt: skip
        view = view_of(layer, self.p)
        if state.resident is not None:
            yield from self._with(layer, following, view, state, Input.RESIDENT, state.columns, output, spilled)
            return
        for columns in self._columns(layer, view):
            yield from self._with(layer, following, view, state, Input.RING, columns, output, spilled)
            yield from self._with(layer, following, view, state, Input.AREAS, columns, output, spilled)

    def _with(
        self, layer: Layer, following: Layer | None, view: View, state: _State, kind: Input, columns: int,
        output: MapLayout | None, spilled: bool,
    ) -> Iterator[LayerPlan]:  # fmt: skip
        p = self.p
        blocks = split(layer, columns, not layer.fc, p)
        target = Buffer(1 - state.source)
        for step in self._line_steps(view, kind):
            pieces = tuple(pieces_of(view, step))
            if max(piece.lines for piece in pieces) > self.ring:
                continue
            for rows, cols in self._shapes(layer, blocks, len(pieces) > 1, kind, spilled):
                slabs = slabs_of(layer, rows, cols)
                if cols < layer.sum_shape[2] and not self._within(view, blocks, slabs, columns):
                    continue
                stage = stage_of(layer, slabs, target, p) if spilled else None
                if spilled and stage is None:
                    continue
                held = output or MapLayout(target, 0, *((stage.pitch, stage.plane) if stage else (1, 1)))
                single = layer.out_shape[1] * layer.out_shape[2] == 1 and not spilled
                vector = single and (following is None or view_of(following, p).vector)
                found = (
                    [(state.resident, 0, None)]
                    if state.resident is not None
                    else places(layer, state.source, kind, columns, pieces, slabs, p)
                )
                for place, ring_rows, areas in found:
                    for first in (False, True) if self._together(layer, view, blocks, slabs) else (False,):
                        if first and areas is not None and len(pieces) > areas.count:
                            continue  # an area would be loaded for every block all the same
                        plan = LayerPlan(
                            layer, view, state.source, target, kind, place, ring_rows, areas, columns, held, stage,
                            vector, blocks, pieces, slabs, first, 0.0,
                        )  # fmt: skip
                        yield replace(plan, cost=cost_of(plan, self.ring, self.prices, p))

    def _within(self, view: View, blocks: tuple[Block, ...], slabs: tuple[Slab, ...], columns: int) -> bool:
        """Whether slabs that start within a row read no more than ``columns`` cells of a run either."""

        def read(slab: Slab, groups: int) -> int:
            return columns_read(view, -(-slab.cols // groups), groups, slab.x * view.stride - view.padding[1], self.p)

        return all(read(slab, block.groups) <= columns for slab in slabs for block in blocks)

    def _together(self, layer: Layer, view: View, blocks: tuple[Block, ...], slabs: tuple[Slab, ...]) -> bool:
        """Whether a slab can be computed for every block before the next one.

        All weights have to fit, no window may stay open, and the areas of a spilled output hold whole rows of a block.
        """
        pool = layer.pool
        if slabs[0].cols < layer.sum_shape[2]:
            return False
        closed = pool is None or (pool.size == pool.stride and all(slab.y % pool.stride == 0 for slab in slabs))
        return closed and len(slabs) > 1 and len(blocks) > 1 and len(blocks) * view.lines <= self.ring

    def _line_steps(self, view: View, kind: Input) -> list[int]:
        """Weight lines of a piece to try."""
        if view.vector:
            return sorted({max(1, min(view.lines, self.ring // parts)) for parts in (3, 6)})
        if kind == Input.RING:
            return [view.lines]
        most = min(view.lines, self.ring)
        if kind == Input.RESIDENT:
            return [most] if view.lines <= self.ring else [max(1, self.ring // 3)]
        return sorted({most, *(n for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26) if n < most)})

    def _shapes(
        self, layer: Layer, blocks: tuple[Block, ...], chained: bool, kind: Input, spilled: bool
    ) -> Iterator[tuple[int, int]]:
        """Rows and columns of a slab. Pooling wants whole rows; a sum over several computes wants one tile."""
        p = self.p
        _, height, width = layer.sum_shape
        most = p.accumulators
        per_row = max(-(-width // block.groups) for block in blocks)
        if kind == Input.RESIDENT and not chained and not spilled:
            yield height, width
            return
        for rows in sorted({min(n, height) for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, height)}):
            if not chained or rows * per_row <= most:
                yield rows, width
        if layer.pool is None and chained and per_row > most // 2 and kind != Input.RING:
            yield 1, max(1, most // 2)
