"""Decides, layer by layer, where maps lie, what is streamed, and how a layer is cut into steps.

A layer reads one neuron buffer and writes the other. Its input is resident when the layer before left it there, else
it is streamed from DRAM: row by row through a ring, or in areas that hold the channels of a piece of weight lines and
the rows of a slab. Its output stays in the other buffer, laid out as the next layer wants it, or is spilled to DRAM
slab by slab. The plans of a network are those with the least estimated cost.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache

from golden.mapping.candidates import NOTHING, Candidates, State
from golden.mapping.layer_plan import PARTS, Input, LayerPlan
from golden.mapping.rows import by_rows
from golden.mapping.slabs import open_rows
from golden.mapping.view import view_of
from golden.network import Layer, Network
from hw.errors import BadInput
from hw.instructions import MAP_BITS, POOL_BITS, Buffer
from hw.params import TileParams


class Planner:
    """Plans networks for one set of tile parameters; ``bias_rows`` rows of SB are taken.

    prices: of a cycle of computing and of one of DRAM time; which of them holds a network back shows only when all its
    layers are put together. special: inputs of PARTS that are looked at; they may look better than they are, as what
    they do to the layers behind them is not priced.
    """

    def __init__(
        self, params: TileParams, bias_rows: int, prices: tuple[float, float] = (1.0, 0.1),
        special: Collection[Input] = PARTS,
    ) -> None:  # fmt: skip
        self.p = params
        ring = params.sb_rows - bias_rows
        if ring < 1:
            raise BadInput(
                f"biases fill {bias_rows} rows of SB, but {params.name} has {params.sb_rows}; use fewer neurons"
            )
        self.candidates = Candidates(params, ring, prices, special)
        self._all = Candidates(params, ring, prices)

    def network(self, network: Network) -> list[LayerPlan]:
        """A plan for every layer."""
        for layer in network.layers:
            self._check(layer)
        stuck: list[int] = []

        @lru_cache
        def best(index: int, state: State) -> tuple[float, tuple[LayerPlan, ...]] | None:
            if index == len(network.layers):
                return 0.0, ()
            found: tuple[float, tuple[LayerPlan, ...]] | None = None
            following = network.layers[index + 1] if index + 1 < len(network.layers) else None
            layer = network.layers[index]
            ways: list[tuple[tuple[LayerPlan, ...], State]]
            ways = [((plan,), after) for plan, after in self.candidates.cheapest(layer, following, state)]
            if not ways:
                stuck.append(index)
            if following is not None:
                behind = network.layers[index + 2] if index + 2 < len(network.layers) else None
                pairs = self.candidates.fused(layer, following, behind, state)
                if Input.ROWS in self.candidates.special:
                    pairs += by_rows(self.candidates, layer, following, behind, state)
                ways += [((plan, second), after) for plan, second, after in pairs]
            for plans, after in ways:
                rest = best(index + len(plans), after)
                cost = sum(plan.cost for plan in plans)
                if rest is not None and (found is None or cost + rest[0] < found[0]):
                    found = (cost + rest[0], (*plans, *rest[1]))
            return found

        starts = [best(0, State(None, NOTHING, buffer)) for buffer in (Buffer.NBIN, Buffer.NBOUT)]
        chosen = min((start for start in starts if start is not None), key=lambda start: start[0], default=None)
        if chosen is None:
            raise BadInput(self._misfit(network.layers[max(stuck)]))
        return list(chosen[1])

    def alternatives(self, network: Network, plans: Sequence[LayerPlan], index: int, most: int) -> list[LayerPlan]:
        """The cheapest ``most`` other plans of layer ``index`` between the same layouts, one of a kind."""
        plan, layer = plans[index], network.layers[index]
        if plan.kind in (Input.FUSED, Input.ROWS) or index + 1 < len(plans) and plans[index + 1].kind == Input.ROWS:
            return []
        following = network.layers[index + 1] if index + 1 < len(network.layers) else None
        resident = plan.input if plan.kind == Input.RESIDENT else None
        state = State(resident, plan.reach if resident is not None else NOTHING, plan.source)
        output = plan.output if plan.stage is None else None
        found: dict[tuple[object, ...], LayerPlan] = {}
        if plan.feeds and following is not None:
            others = self._all.feeding(layer, following, state, plan)
        else:
            others = self._all.plans(layer, following, state, output, plan.stage is not None)
        for other in others:
            lead = (
                tuple(slab.rows for slab in other.slabs[:2]) if other.slabs[0].rows < other.slabs[-2:][0].rows else ()
            )
            kind = (other.kind, len(other.pieces), len(other.slabs), other.order, lead)
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
            f"{p.nbin_rows * p.row_words} words, NBout {p.nbout_rows * p.row_words}, SB {self.candidates.ring} lines, "
            f"{p.accumulators} accumulators; use smaller maps or a larger tile"
        )
