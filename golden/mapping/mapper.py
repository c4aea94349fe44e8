"""Increments of a network to program and DRAM image."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_high

import numpy as np

from golden.counts import count
from golden.mapping.assembly import Planned, assemble, code_of
from golden.mapping.banks import Choice, gaps, quickest
from golden.mapping.emission import Constants
from golden.mapping.fusion import cut_networks, fused_sizes
from golden.mapping.layer_plan import Input, LayerPlan
from golden.mapping.layout import DramMap, run_beats
from golden.mapping.limbs import limb_map
from golden.mapping.mapped import Mapped
from golden.mapping.nested import check_nested, check_sums, same_classifier
from golden.mapping.ops import Op, hoist, with_waits
from golden.mapping.pieces import Block, blocks, pack_weights
from golden.mapping.plan import Planner
from golden.mapping.reuse import (
    SUMS,
    Kept,
    Places,
    choose,
    cut_at_increments,
    goes_on,
    kept_map,
    places_of,
    stable_layers,
    summable,
)
from golden.mapping.schedule import schedule, scores_store
from golden.mapping.search import PRICES, search_plans
from golden.mapping.slabs import input_rows
from golden.mapping.tables import Shared, Tables, WeightTable
from golden.mapping.view import cells_of, view_of
from golden.network import Layer, Network
from golden.timing import DDR3, Ideal, predict
from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import Base, Decide, End, Instruction
from hw.isa import Isa, isa
from hw.params import TileParams

CUTS = 4  # blocks of a layer, at most, that start within a block of weights


def map_network(
    networks: Sequence[Network], params: TileParams, *, search: bool = True, reuse: str | None = None,
    escalation_rate: float = 0.5, prices: Mapping[str, float] | None = None,
) -> Mapped:  # fmt: skip
    """Program and image of quantised ``networks``, each a prefix (in channels) of the next.

    search: try several plans of every layer and take those with the fewest predicted cycles (golden.timing); without
    it the plans that a rough estimate likes best, which takes a fraction of the time.
    prices: of events by their names in hw.events, "cycles" among them, say energies: the search takes the plans with
    the least sum of prices. Without prices: the fewest cycles.
    reuse: an escalated run takes over maps and sums of the smaller increment (golden.mapping.reuse) where that costs
    less than to compute them anew. "time": per layer, the predicted cycles that keeping adds to the smaller increment,
    which every run pays, are compared with those that it saves the larger one, times ``escalation_rate``, the share of
    runs that escalate (of plans made without search). "work": likewise the cycles in which the NFU computes, whatever
    else holds the program back. None: an escalated run starts anew.

    Only the last layer is stored per increment, and only its biases where the increments share its weights. Raises
    BadInput for networks that are not nested, whose sums could overflow an accumulator, or that do not fit, with the
    sizes.
    """
    nets = tuple(networks)
    check_nested(nets, params)
    if reuse not in (None, "time", "work"):
        raise BadInput(f"reuse wants time, work or None, not {reuse!r}")
    if not 0 <= escalation_rate < math.inf:
        raise BadInput(f"escalation_rate wants a number of at least 0, not {escalation_rate}")
    for network in nets:
        check_sums(network, params)
    if unknown := set(prices or ()) - {*(event.name for event in WORK), "cycles"}:
        raise BadInput(f"prices want names of events, not {', '.join(sorted(unknown))}")
    ways = [cut_networks(nets, size, params) for size in (fused_sizes(nets, params) if search else [0])]
    found = [_Mapper(way, params, search, reuse, escalation_rate, prices) for way in ways]
    if reuse is not None:
        found.append(_Mapper(cut_at_increments(nets), params, search, reuse, escalation_rate, prices))
    finish = [mapper.run() for mapper in found]
    if reuse is not None and not found[-1].keeps_sums:  # there was nothing to cut for
        found.pop()
    return min(zip(found, finish, strict=False), key=lambda pair: pair[0].score)[1]()


def _words(layer: Layer, first: int, p: TileParams) -> np.ndarray:
    return layer.bias[first : first + p.neurons].numpy()


@dataclass(frozen=True)
class _Candidate:
    """One way to run an increment: its price, plans, operations, scratch area, constants of its own and where it finds
    all of them. others: the next best ways, which have the same constants."""

    price: float
    plans: tuple[LayerPlan, ...]
    ops: tuple[Op, ...]
    scratch_beats: int
    constants: bytes
    tables: Constants
    others: tuple["_Candidate", ...] = ()

    @property
    def ways(self) -> tuple["_Candidate", ...]:
        """It and the others."""
        return (self, *self.others)


def _work(found: _Candidate, p: TileParams) -> int:
    """Cycles in which the NFU computes."""
    return count([op.instruction for op in found.ops], p)["compute_cycles"]


@dataclass(frozen=True)
class _Trial:
    """A program of one increment as golden.timing wants it."""

    params: TileParams
    program_address: int
    segment_addresses: tuple[int, ...]
    image_address: int
    image_beats: int
    result_beats: int
    segments: tuple[tuple[Instruction, ...], ...]


class _Mapper:
    """rate: of escalations. score: expected work of an escalating run where that is what counts, and of all increments
    the sum of the logarithms of their predicted cycles."""

    def __init__(
        self, nets: tuple[Network, ...], params: TileParams, search: bool, reuse: str | None, rate: float,
        prices: Mapping[str, float] | None,
    ) -> None:  # fmt: skip
        self.nets, self.search, self.reuse, self.rate, self.prices = nets, search, reuse, rate, prices
        self.p = params
        self.isa: Isa = isa(params)
        self.predicts = search or reuse is not None
        self.score, self.keeps_sums = (0.0, 0.0), False

    def run(self) -> Callable[[], Mapped]:
        """Plans everything; what it gives puts it together."""
        p, nets = self.p, self.nets
        constants = Tables(p)
        shared = self._shared(constants)
        kept = [Kept() for _ in nets]
        places = Places()
        if self.reuse is not None and len(nets) > 1:
            kept = self._choose(constants, shared)
            places = places_of(nets, frozenset().union(*(one.stored for one in kept)), p)
            self.keeps_sums = bool(places.limbs)
            if self.keeps_sums:
                ones = constants.add(np.eye(p.neurons, p.synapses, dtype=np.int64))
                shared = replace(shared, ones=ones, beats=constants.beats)
        fresh, resumed = [], []
        for k in range(len(nets)):
            fresh.append(self._segment(constants, shared, k, kept[0] if k == 0 else Kept(), places))
        for k in range(len(nets)):
            found = None
            if k and kept[k] != Kept():
                found = self._segment(constants, shared, k, kept[k], places, fresh[k].tables.weights[-1])
            resumed.append(found)
        every = [*fresh, *(found for found in resumed if found is not None)]
        chain = [one if later is None else later for one, later in zip(fresh, resumed, strict=True)]
        work = sum(self.rate**k * _work(found, p) for k, found in enumerate(chain)) if self.reuse == "work" else 0.0
        self.score = work, sum(math.log(max(found.price, 1)) for found in (*fresh, *chain))
        scratch_beats = max(way.scratch_beats for found in every for way in found.ways)
        together = places.beats > 0  # kept maps lie where every segment looks for them
        if self.search and scratch_beats:
            scratch_beats += max(gaps(p))

        def assembled(choice: Choice) -> Mapped:
            chosen = [one.ways[number] for one, number in zip(fresh, choice.programs, strict=True)]
            planned = [Planned(found.plans, found.ops, at) for found, at in zip(chosen, choice.scratch, strict=True)]
            later = [
                None if found is None else Planned(found.plans, found.ops, at)
                for found, at in zip(resumed, choice.scratch, strict=True)
            ]
            raw = bytes(constants.raw)
            return assemble(nets, planned, later, raw, shared.beats, scratch_beats, choice.gaps, p)

        if not self.search:
            return lambda: assembled(Choice.first(len(nets)))
        return lambda: quickest(assembled, [len(one.ways) for one in fresh], together)

    def _choose(self, constants: Tables, shared: Shared) -> list[Kept]:
        """What the segments of an escalated run keep, by the cost of quickly made plans."""
        stable = stable_layers(self.nets)
        sums = summable(self.nets, stable, self.p)
        stable = [layers | {SUMS} if wanted else layers for layers, wanted in zip(stable, sums, strict=True)]
        places = places_of(self.nets, frozenset().union(*stable), self.p)
        quick = _Mapper(self.nets, self.p, False, None, 0.0, None)
        found: dict[tuple[int, Kept], float] = {}

        def cost(k: int, kept: Kept) -> float:
            if (k, kept) not in found:
                mark = constants.mark()
                try:
                    candidate = quick._segment(constants, shared, k, kept, places)
                    beats = len(constants.raw) // self.p.dram_beat_bytes
                    work = self.reuse == "work"
                    found[k, kept] = _work(candidate, self.p) if work else self._predicted(candidate, beats)
                except BadInput:  # no room for it
                    found[k, kept] = math.inf
                constants.back_to(mark)
            return found[k, kept]

        return choose(stable, self.rate, cost)

    def _segment(
        self, constants: Tables, shared: Shared, k: int, kept: Kept, places: Places,
        classifier: WeightTable | None = None,
    ) -> "_Candidate":  # fmt: skip
        """Increment ``k`` that takes over and leaves what is ``kept``; adds its constants. classifier: its last layer's
        weights, were they there already."""
        p, own = self.p, constants.mark()
        net = goes_on(self.nets, k, kept, p) if kept != Kept() else self.nets[k]
        used = places if kept != Kept() else Places()
        limbs = [limb_map(net.layers[1], net.channels[1], at, p) for at in used.limbs]

        def build(chosen: list[LayerPlan]) -> _Candidate:
            constants.back_to(own)
            tables = self._constants(constants, shared, net, chosen, classifier)
            maps, beats = self._scratch(chosen, kept, used)
            ops = hoist(schedule(chosen, tables, maps, p, kept.stored, limbs), p)
            ops = with_waits([*ops, scores_store(chosen[-1], p)], p)
            found = _Candidate(0.0, tuple(chosen), tuple(ops), beats, constants.since(own), tables)
            if not self.predicts:
                return found
            return self._priced(found, constants.beats)

        rows = self._bias_rows(net)
        if self.search:
            best, *others = search_plans(net, p, rows, build)
        else:
            best, others = build(Planner(p, rows, PRICES[1]).network(net)), []
        if self.reuse is None and self.prices is None:  # the quickest of them depends on places in DRAM
            best = replace(best, others=tuple(one for one in others if one.constants == best.constants))
        constants.back_to(own)
        constants.raw += best.constants
        return best

    def _priced(self, found: _Candidate, constant_beats: int) -> _Candidate:
        """With what the search makes least: predicted cycles, or the prices of all events."""
        cycles = self._predicted(found, constant_beats)
        if self.prices is None:
            return replace(found, price=cycles)
        events = {**count([op.instruction for op in found.ops], self.p), "cycles": cycles}
        return replace(found, price=sum(price * events[name] for name, price in self.prices.items()))

    # -- constants -----------------------------------------------------------------------------------------------

    def _hidden_blocks(self, net: Network) -> list[tuple[int, int]]:
        """(block, layer) of every hidden layer, lowest blocks first."""
        layers = enumerate(net.layers[:-1])
        return sorted((b, index) for index, layer in layers for b, _ in enumerate(blocks(len(layer.weight), self.p)))

    def _bias_order(self, net: Network) -> list[tuple[int, int]]:
        """The bias lines of the hidden layers that ``net`` needs, in their order in DRAM: behind those of a smaller
        increment stand those that a larger one adds."""
        order = dict.fromkeys(line for one in self.nets for line in self._hidden_blocks(one))
        mine = set(self._hidden_blocks(net))
        return [line for line in order if line in mine]

    def _bias_rows(self, net: Network) -> int:
        """SB rows of biases at most: hidden layers' lines, then from a new row on the classifier's and cut blocks'."""
        n = self.p.neurons
        own = len(list(blocks(net.classes, self.p))) + CUTS * len(net.layers)
        own += sum(-(-layer.in_shape[0] // layer.cuts[0]) for layer in net.layers if layer.cuts)
        own += sum(CUTS for layer in net.layers if layer.kept or layer.sums.channels)
        return -(-len(self._bias_order(net)) // n) + -(-own // n)

    def _bias_lines(self, biases: list[np.ndarray]) -> list[np.ndarray]:
        """Bias lines of each SB row, [banks, synapses]."""
        table = np.zeros((len(biases), self.p.synapses), dtype=np.int64)
        for at, words in enumerate(biases):
            table[at, : len(words)] = words
        return [table[first : first + count] for first, count in blocks(len(biases), self.p)]

    def _weights(self, constants: Tables, layer: Layer) -> WeightTable:
        """Adds a layer's weights."""
        at = constants.add(*pack_weights(layer, self.p))
        return WeightTable(at, view_of(layer, self.p).lines, len(layer.weight))

    def _shared(self, constants: Tables) -> Shared:
        """Biases and weights of the hidden layers and of a shared classifier, stored once for all increments."""
        p, full = self.p, self.nets[-1]
        hidden = [_words(full.layers[index], b * p.neurons, p) for b, index in self._bias_order(full)]
        bias_at = constants.add(*self._bias_lines(hidden))
        weights = tuple(self._weights(constants, layer) for layer in full.layers[:-1])
        shared = same_classifier(self.nets)
        classifier = self._weights(constants, full.layers[-1]) if shared else None
        return Shared(bias_at, weights, classifier, constants.beats)

    def _constants(
        self, constants: Tables, shared: Shared, net: Network, chosen: list[LayerPlan],
        classifier: WeightTable | None,
    ) -> Constants:  # fmt: skip
        """Where ``net`` finds its constants; adds its own: the classifier's (its weights unless they are there), biases
        of cut blocks."""
        p, n = self.p, self.p.neurons
        last = len(net.layers) - 1
        cut: list[tuple[int, Block]] = [
            (index, block)
            for index, plan in enumerate(chosen)
            for block in plan.blocks
            if block.offset or index == last
        ]
        own_bias = constants.add(*self._bias_lines([_words(net.layers[i], block.first, p) for i, block in cut]))
        own = shared.classifier or classifier or self._weights(constants, net.layers[last])
        order = self._bias_order(net)
        rows, own_rows = -(-len(order) // n), -(-len(cut) // n)
        places = {(index, b * n): divmod(at, n) for at, (b, index) in enumerate(order)}
        places |= {(i, block.first): (rows + at // n, at % n) for at, (i, block) in enumerate(cut)}
        tables = [(shared.biases, 0, len(order))] if rows else []
        tables.append((own_bias, rows, len(cut)))
        return Constants((*shared.weights, own), tuple(tables), places, rows + own_rows, shared.beats, shared.ones)

    def _predicted(self, found: "_Candidate", constant_beats: int) -> float:
        """Cycles of an increment's operations, were it the only one in DRAM, the image in other banks than what is used
        first: the mean of those on DDR3 and on ideal memory, as its places, which are chosen later, may hit or miss
        rows."""
        p, first, ops, scratch_beats = self.p, self.isa.instruction_beats, found.ops, found.scratch_beats
        constants_at = first * (len(ops) + 3)  # Entry, Decide, End
        scratch_at = constants_at + constant_beats
        code = code_of(ops, constants_at, 0, scratch_at)
        channels, height, width = self.nets[0].input_shape
        image_beats = channels * height * run_beats(width, p)
        segment = (*code[:-1], Decide(0, 1), code[-1], End())
        image_at = scratch_at + scratch_beats + median_high(gaps(p))
        trial = _Trial(p, 0, (first,), image_at, image_beats, 1, (segment,))
        return sum(predict(trial, 0, memory).cycles for memory in (DDR3(), Ideal())) / 2

    # -- addresses -----------------------------------------------------------------------------------------------

    def _scratch(self, chosen: list[LayerPlan], kept: Kept, places: Places) -> tuple[list[DramMap], int]:
        """Every layer's input in DRAM (scratch addresses from the area's start), and the beats used of the area."""
        at, maps = places.beats, [DramMap.of(chosen[0].layer.in_shape, Base.IMAGE, 0, self.p)]
        for index, plan in enumerate(chosen):
            following = chosen[index + 1] if index + 1 < len(chosen) else None
            if following is not None and index in kept.found | kept.stored:
                maps.append(kept_map(plan.layer, following.layer, places.at[index], self.p))
                continue
            dense = following is not None and self._dense(plan, following)
            maps.append(DramMap.of(plan.layer.out_shape, Base.ABSOLUTE, at, self.p, dense))
            if plan.spilled:
                at += maps[-1].beats
        return maps, at

    def _dense(self, plan: LayerPlan, following: LayerPlan) -> bool:
        """Whether a spilled map may lie plane by plane: both sides move whole cells of rows without gaps."""
        p = self.p
        _, height, width = plan.layer.out_shape
        cells = cells_of(width, p)
        if not plan.spilled or width % p.cell_words or following.kind != Input.AREAS or following.view.vector:
            return False
        whole = all(input_rows(following.layer, slab) == (0, height) for slab in following.slabs)
        beats = all(slab.out_y * cells % p.beat_cells == 0 for slab in plan.slabs)
        assert following.areas is not None
        assert plan.stage is not None
        return whole and beats and following.areas.pitch == cells == plan.stage.pitch
