"""Increments of a network to program and DRAM image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.mapping.dram_image import pack_lines
from golden.mapping.emission import Constants
from golden.mapping.fusion import cut_networks, fused_sizes
from golden.mapping.layer_plan import Input, LayerPlan
from golden.mapping.layout import DramMap, run_beats
from golden.mapping.mapped import Mapped
from golden.mapping.ops import Emit, Op, Region, hoist, with_waits
from golden.mapping.pieces import Block, blocks, pack_weights
from golden.mapping.plan import Planner
from golden.mapping.schedule import schedule, scores_store
from golden.mapping.slabs import input_rows
from golden.mapping.view import cells_of, view_of
from golden.network import Layer, Network
from golden.timing import DDR3, predict
from hw.errors import BadInput
from hw.instructions import (
    CLASS_BITS,
    MAX_INCREMENTS,
    SYNC_BITS,
    Base,
    Compute,
    Decide,
    End,
    Entry,
    Instruction,
    Load,
    Store,
)
from hw.isa import Isa, isa
from hw.params import TileParams

MOST_CLASSES = 1 << CLASS_BITS  # that score_base can number
PRICES = ((1.0, 0.1), (1.0, 0.4), (1.0, 1.0), (0.3, 1.0))  # of computing and of DRAM time, tried in turn
ALTERNATIVES = 10  # other plans of a layer that are tried
SEARCHED_OPERATIONS = 10_000  # of all tries of a layer together, at most
CUTS = 4  # blocks of a layer, at most, that start within a block of weights


def map_network(networks: Sequence[Network], params: TileParams, *, search: bool = True) -> Mapped:
    """Program and image of quantised ``networks``, each a prefix (in channels) of the next.

    search: try several plans of every layer and take those with the fewest predicted cycles (golden.timing); without
    it the plans that a rough estimate likes best, which takes a fraction of the time.

    Only the last layer is stored per increment. Raises BadInput for networks that are not nested, whose sums could
    overflow an accumulator, or that do not fit, with the sizes.
    """
    nets = tuple(networks)
    check_nested(nets, params)
    for network in nets:
        check_sums(network, params)
    sizes = fused_sizes(nets, params) if search else [0]
    found = [_Mapper(cut_networks(nets, size, params) if size else nets, params, search) for size in sizes]
    mapped = [mapper.run() for mapper in found]
    return min(zip(found, mapped, strict=True), key=lambda pair: pair[0].score)[1]


def check_nested(nets: tuple[Network, ...], p: TileParams) -> None:
    """Refuse increments that are not quantised to the tile's format, or not prefixes of the last one."""
    most = min(p.increments, MAX_INCREMENTS)
    if not 1 <= len(nets) <= most:
        raise BadInput(f"{p.name} wants 1 to {most} increments, not {len(nets)}")
    full = nets[-1]
    for number, net in enumerate(nets):
        if net.fmt != p.fmt:
            raise BadInput(f"increment {number} wants weights quantised to {p.fmt}, not {net.fmt or 'real numbers'}")
        if len(net.layers) != len(full.layers) or net.input_shape != full.input_shape or net.classes != full.classes:
            raise BadInput(f"increment {number} wants the layers, input and classes of the largest increment")
        if net.classes > MOST_CLASSES:
            raise BadInput(f"layer {net.layers[-1].name}: at most {MOST_CLASSES} classes are wanted, not {net.classes}")
        for index, (layer, whole) in enumerate(zip(net.layers, full.layers, strict=True)):
            same = all(
                getattr(layer, f) == getattr(whole, f) for f in ("fc", "kernel", "stride", "padding", "relu", "pool")
            )
            if not same or layer.sum_shape[1:] != whole.sum_shape[1:]:
                raise BadInput(
                    f"increment {number}, layer {layer.name}: wants the shape of the largest increment's layer"
                )
            if index == len(full.layers) - 1:
                continue
            out, inputs = layer.weight.shape[:2]
            prefix = whole.weight[:out, :inputs]
            if out > len(whole.weight) or not prefix.equal(layer.weight) or not whole.bias[:out].equal(layer.bias):
                raise BadInput(
                    f"increment {number}, layer {layer.name}: weights want to be the first {out} x {inputs} of the "
                    f"largest increment's; train the increments nested"
                )


def check_sums(network: Network, p: TileParams) -> None:
    """Refuse a layer whose sums of products could overflow an accumulator, whatever its inputs are."""
    limit = 1 << (p.accumulator_width - 1)
    for layer in network.layers:
        weights = layer.weight.flatten(1).abs().sum(1).tolist()
        for neuron, (weight, bias) in enumerate(zip(weights, layer.bias.abs().tolist(), strict=True)):
            largest = weight * -p.fmt.low + (bias << p.fmt.frac) + p.fmt.half
            if largest >= limit:
                raise BadInput(
                    f"layer {layer.name}: a sum of neuron {neuron} can reach {largest}, but accumulators of {p.name} "
                    f"hold less than {limit} ({p.accumulator_width} bits); use smaller weights or wider accumulators"
                )


class _Constants:
    """Weights and biases as they follow the program in DRAM: bytes, and the beat at which each table starts."""

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.raw = bytearray()

    def add(self, lines: np.ndarray) -> int:
        at = len(self.raw) // self.p.dram_beat_bytes
        if lines.size:  # a network of one layer has no hidden biases
            self.raw += pack_lines(lines, self.p)
        return at

    def mark(self) -> int:
        return len(self.raw)

    def back_to(self, mark: int) -> None:
        del self.raw[mark:]

    def since(self, mark: int) -> bytes:
        return bytes(self.raw[mark:])


@dataclass(frozen=True)
class _Shared:
    """Beats of the hidden layers' biases and weights, and the lines of a block of each."""

    biases: int
    weights: tuple[int, ...]
    lines: tuple[int, ...]


def _words(layer: Layer, first: int, p: TileParams) -> np.ndarray:
    return layer.bias[first : first + p.neurons].numpy()


@dataclass(frozen=True)
class _Candidate:
    """One way to run an increment: predicted cycles, plans, operations, scratch area, constants of its own."""

    cycles: int
    plans: tuple[LayerPlan, ...]
    ops: tuple[Op, ...]
    scratch_beats: int
    constants: bytes


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
    def __init__(self, nets: tuple[Network, ...], params: TileParams, search: bool) -> None:
        self.nets = nets
        self.search = search
        self.p = params
        self.isa: Isa = isa(params)
        self.score = 0.0  # of all increments: sum of the logarithms of their predicted cycles

    def run(self) -> Mapped:
        p = self.p
        constants = _Constants(p)
        shared = self._shared(constants)
        plans, sequences, scratch_beats = [], [], 0
        for net in self.nets:
            own = constants.mark()

            def build(chosen: list[LayerPlan], net: Network = net, own: int = own) -> _Candidate:
                constants.back_to(own)
                tables = self._constants(constants, shared, net, chosen)
                maps, beats = self._scratch(chosen)
                ops = hoist(schedule(chosen, tables, maps, p), p)
                ops = with_waits([*ops, scores_store(chosen[-1], p)], p)
                cycles = self._predicted(ops, len(constants.raw) // p.dram_beat_bytes, beats) if self.search else 0
                return _Candidate(cycles, tuple(chosen), tuple(ops), beats, constants.since(own))

            best = self._improved(net, build)
            constants.back_to(own)
            constants.raw += best.constants
            self.score += math.log(max(best.cycles, 1))
            plans.append(list(best.plans))
            sequences.append(list(best.ops))
            scratch_beats = max(scratch_beats, best.scratch_beats)
        return self._assemble(plans, constants, sequences, scratch_beats)

    def _improved(self, net: Network, build: Callable[[list[LayerPlan]], "_Candidate"]) -> "_Candidate":
        """The quickest of the plans at several prices, then with other plans of single layers as long as that helps."""
        if not self.search:
            return build(Planner(self.p, self._bias_rows(net), PRICES[1]).network(net))
        planners = [Planner(self.p, self._bias_rows(net), prices) for prices in PRICES]
        candidates = [build(planner.network(net)) for planner in planners]
        best = min(candidates, key=lambda candidate: candidate.cycles)
        planner = planners[candidates.index(best)]
        for index in range(len(net.layers)):
            most = min(ALTERNATIVES, SEARCHED_OPERATIONS // len(best.ops))
            for other in planner.alternatives(net, best.plans, index, most):
                tried = build([*best.plans[:index], other, *best.plans[index + 1 :]])
                best = min(best, tried, key=lambda candidate: candidate.cycles)
        for index in range(len(net.layers)):
            for other in best.plans[index].shorter_tiles():
                tried = build([*best.plans[:index], other, *best.plans[index + 1 :]])
                best = min(best, tried, key=lambda candidate: candidate.cycles)
        return best

    # -- constants -----------------------------------------------------------------------------------------------

    def _hidden_blocks(self, net: Network) -> list[tuple[int, int]]:
        """(block, layer) of every hidden layer, lowest blocks first: a smaller increment's are the first of them."""
        layers = enumerate(net.layers[:-1])
        return sorted(
            (b, index) for index, layer in layers for b in range(len(list(blocks(len(layer.weight), self.p))))
        )

    def _bias_order(self, net: Network) -> list[tuple[int, int]]:
        """The largest increment's bias lines up to the last one that ``net`` needs."""
        order = self._hidden_blocks(self.nets[-1])
        mine = set(self._hidden_blocks(net))
        return order[: max((order.index(item) + 1 for item in mine), default=0)]

    def _bias_rows(self, net: Network) -> int:
        """SB rows of biases at most: hidden layers' lines, then from a new row on the classifier's and cut blocks'."""
        n = self.p.neurons
        own = len(list(blocks(net.classes, self.p))) + CUTS * len(net.layers)
        own += sum(-(-layer.in_shape[0] // layer.cuts[0]) for layer in net.layers if layer.cuts)
        return -(-len(self._bias_order(net)) // n) + -(-own // n)

    def _bias_lines(self, biases: list[np.ndarray]) -> np.ndarray:
        """Bias lines by SB row and bank, [rows, neurons, synapses]."""
        n = self.p.neurons
        table = np.zeros((-(-len(biases) // n) * n, self.p.synapses), dtype=np.int64)
        for at, words in enumerate(biases):
            table[at, : len(words)] = words
        return table.reshape(-1, n, self.p.synapses)

    def _shared(self, constants: _Constants) -> "_Shared":
        """Biases and weights of the hidden layers, stored once for all increments."""
        p, full = self.p, self.nets[-1]
        hidden = [_words(full.layers[index], b * p.neurons, p) for b, index in self._hidden_blocks(full)]
        bias_at = constants.add(self._bias_lines(hidden))
        weights = tuple(constants.add(pack_weights(layer, p)) for layer in full.layers[:-1])
        return _Shared(bias_at, weights, tuple(view_of(layer, p).lines for layer in full.layers[:-1]))

    def _constants(
        self, constants: _Constants, shared: "_Shared", net: Network, chosen: list[LayerPlan]
    ) -> Constants:  # fmt: skip
        """Where ``net`` finds its constants; adds its own: the classifier's, biases of cut blocks."""
        p, n = self.p, self.p.neurons
        last = len(net.layers) - 1
        cut: list[tuple[int, Block]] = [
            (index, block)
            for index, plan in enumerate(chosen)
            for block in plan.blocks
            if block.offset or index == last
        ]
        own_bias = constants.add(self._bias_lines([_words(net.layers[i], block.first, p) for i, block in cut]))
        own = constants.add(pack_weights(net.layers[last], p))
        order = self._bias_order(net)
        rows, own_rows = -(-len(order) // n), -(-len(cut) // n)
        places = {(index, b * n): divmod(at, n) for at, (b, index) in enumerate(order)}
        places |= {(i, block.first): (rows + at // n, at % n) for at, (i, block) in enumerate(cut)}
        tables = [(shared.biases, 0, len(order))] if rows else []
        tables.append((own_bias, rows, len(cut)))
        lines = (*shared.lines, view_of(net.layers[last], p).lines)
        return Constants((*shared.weights, own), lines, tuple(tables), places, rows + own_rows)

    def _predicted(self, ops: list[Op], constant_beats: int, scratch_beats: int) -> int:
        """Cycles of an increment's operations, were it the only one in DRAM."""
        p, first = self.p, self.isa.instruction_beats
        constants_at = first * (len(ops) + 3)  # Entry, Decide, End
        scratch_at = constants_at + constant_beats
        code = _code(ops, constants_at, scratch_at)
        channels, height, width = self.nets[0].input_shape
        image_beats = channels * height * run_beats(width, p)
        segment = (*code[:-1], Decide(0, 1), code[-1], End())
        trial = _Trial(p, 0, (first,), scratch_at + scratch_beats, image_beats, 1, (segment,))
        return predict(trial, 0, DDR3()).cycles

    # -- addresses -----------------------------------------------------------------------------------------------

    def _scratch(self, chosen: list[LayerPlan]) -> tuple[list[DramMap], int]:
        """Every layer's input in DRAM (scratch addresses from the area's start), and the beats used of the area."""
        at, maps = 0, [DramMap.of(chosen[0].layer.in_shape, Base.IMAGE, 0, self.p)]
        for index, plan in enumerate(chosen):
            following = chosen[index + 1] if index + 1 < len(chosen) else None
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

    def _assemble(
        self, plans: list[list[LayerPlan]], constants: _Constants, sequences: list[list[Op]], scratch_beats: int
    ) -> Mapped:
        p, beats = self.p, self.isa.instruction_beats
        lengths = [len(ops) + 2 for ops in sequences]  # Decide and End
        if max(lengths) >> SYNC_BITS:
            raise BadInput(
                f"a program segment holds less than {1 << SYNC_BITS} instructions, {max(lengths)} are needed"
            )
        addresses = [beats * (1 + sum(lengths[:i])) for i in range(len(lengths) + 1)]
        constants_at = addresses.pop()
        scratch_at = constants_at + len(constants.raw) // p.dram_beat_bytes
        image_at = scratch_at + scratch_beats
        channels, height, width = self.nets[0].input_shape
        image_beats = channels * height * run_beats(width, p)
        result_beats = run_beats(self.nets[0].classes, p)
        if image_at + image_beats + result_beats > p.dram_beats:
            raise BadInput(
                f"program, weights and maps want {(image_at + image_beats + result_beats) * p.dram_beat_bytes} bytes "
                f"of DRAM, but {p.name} has {p.dram_bytes}; use a smaller network"
            )
        segments = []
        for number, ops in enumerate(sequences):
            code = _code(ops, constants_at, scratch_at)
            last = number == len(sequences) - 1
            following = (0, 0) if last else (addresses[number + 1], lengths[number + 1])
            segments.append((*code[:-1], Decide(number, int(last), *following), code[-1], End()))
        entry = Entry(tuple(addresses), tuple(lengths))
        program = b"".join(self.isa.encode(item) for item in (entry, *(i for code in segments for i in code)))
        return Mapped(
            params=p, networks=self.nets, image=program + bytes(constants.raw), program_address=0,
            segment_addresses=tuple(addresses), scratch_address=scratch_at, scratch_beats=scratch_beats,
            image_address=image_at, image_beats=image_beats, result_address=image_at + image_beats,
            result_beats=result_beats, segments=tuple(segments),
            emits=tuple(tuple(_emits(ops)) for ops in sequences), plans=tuple(tuple(chosen) for chosen in plans),
        )  # fmt: skip


def _code(ops: Sequence[Op], constants_at: int, scratch_at: int) -> list[Instruction]:
    """The instructions of operations, with the addresses at which constants and scratch area lie."""
    base = {Region.CONSTANTS: constants_at, Region.SCRATCH: scratch_at}
    code: list[Instruction] = []
    for op in ops:
        moved = op.instruction
        if isinstance(moved, Load | Store):
            moved = replace(moved, address=moved.address + base.get(op.region, 0))
        code.append(moved)
    return code


def _emits(ops: Sequence[Op]) -> list[Emit]:
    return [op.emit for op in ops if isinstance(op.instruction, Compute) and op.emit is not None]
