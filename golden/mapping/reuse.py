"""What an escalated run can take over from the smaller increment: maps whose values do not change, and sums.

The output maps of a hidden layer lie in DRAM channel after channel, so that an increment's channels are the first ones
of the next increment's map. They can be kept where the old channels' values stay: layer 0 reads the image; another
layer reads a map that stays, and its old channels give the new ones no weight (a block-causal network). Where they do,
the second layer's old sums can be kept, as limbs: the larger increment adds the products of the new channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from golden.mapping.layout import DramMap
from golden.mapping.limbs import limb_map, limbs_needed
from golden.mapping.pieces import line_of
from golden.mapping.view import view_of
from golden.network import Layer, Network, Shape, Sums, causal_inputs
from hw.instructions import Base
from hw.isa import isa
from hw.params import TileParams

NONE: frozenset[int] = frozenset()
SUMS = -1  # in place of a layer: the sums of the second one


@dataclass(frozen=True)
class Kept:
    """What a segment of an increment takes over and leaves: layers, or SUMS.

    found: whose old channels the segment before has left; stored: whose maps it leaves for the next one.
    """

    found: frozenset[int] = NONE
    stored: frozenset[int] = NONE


@dataclass(frozen=True)
class Places:
    """Beats at which kept maps start, from that of the scratch area, by layer; beats of all of them. limbs: beats at
    which those of the second layer's sums start."""

    at: Mapping[int, int] = field(default_factory=dict)
    beats: int = 0
    limbs: tuple[int, ...] = ()


def stable_layers(networks: Sequence[Network]) -> list[frozenset[int]]:
    """Per step from an increment to the next: hidden layers whose old channels' values the step does not change."""
    found = []
    for (few, more), spans in zip(pairwise(networks), causal_inputs(networks)[1:], strict=True):
        stable: list[int] = []
        for index in range(len(few.layers) - 1):
            before = few.layers[index].in_shape[0]
            old = [inputs for first, _, inputs in spans[index] if first < few.layers[index].out_shape[0]]
            if index == 0 or (stable[-1:] == [index - 1] and max(old) <= before):
                stable.append(index)
        assert all(more.layers[index].out_shape[0] >= few.layers[index].out_shape[0] for index in stable)
        found.append(frozenset(stable))
    return found


def summable(networks: Sequence[Network], stable: Sequence[frozenset[int]], p: TileParams) -> list[bool]:
    """Per step, whether the second layer's sums can be kept: a convolution whose old channels read new ones, and whose
    weight lines begin anew where the new ones do (see ``cut_at_increments``). Channels that were taken over as maps
    have no sums to keep."""
    if len(networks[0].layers) < 3 or networks[0].layers[1].fc or p.neurons > p.synapses:
        return [False] * len(stable)
    fits = sum_limbs(networks, p) <= min(isa(p).limbs, isa(p).shifts + 1)
    found = []
    for (few, more), *steady in zip(pairwise(networks), stable, (NONE, *stable[:-1]), strict=True):
        begins = line_of(view_of(more.layers[1], p), few.layers[1].in_shape[0])[1]
        found.append(fits and begins and 1 not in NONE.union(*steady) and _aligned(few.layers[1].out_shape[0], p) > 0)
    return found


def sum_limbs(networks: Sequence[Network], p: TileParams) -> int:
    """Limbs of the second layer's sums, of every increment but the last."""
    return max(limbs_needed(net.layers[1], p) for net in networks[:-1])


def cut_at_increments(networks: Sequence[Network]) -> tuple[Network, ...]:
    """The networks with the second layer's weight lines cut where an increment's input channels begin."""
    if len(networks[0].layers) < 3 or networks[0].layers[1].fc:
        return tuple(networks)
    cuts = tuple(sorted({net.layers[1].in_shape[0] for net in networks[:-1]}))
    return tuple(
        replace(net, layers=(net.layers[0], replace(net.layers[1], cuts=cuts), *net.layers[2:])) for net in networks
    )


def _aligned(channels: int, p: TileParams) -> int:
    """The most of ``channels`` behind which a block can start: its weights start at a beat boundary."""
    block, rest = divmod(channels, p.neurons)
    return block * p.neurons + rest // p.lines_per_beat * p.lines_per_beat


def goes_on(nets: Sequence[Network], number: int, kept: Kept, p: TileParams) -> Network:
    """Increment ``number`` whose layers compute only the channels that the one before does not have (and maybe a few
    more: a block starts at a beat boundary, and a block there is), and only the new part of kept sums."""
    net = nets[number]
    layers = list(net.layers)
    before = nets[number - 1].layers if number else ()
    for index in kept.found - {SUMS}:
        old = min(before[index].out_shape[0], layers[index].out_shape[0] - 1)
        layers[index] = replace(layers[index], kept=_aligned(old, p))
    if SUMS in kept.found | kept.stored:
        sums = Sums(sum_limbs(nets, p), SUMS in kept.stored)
        if SUMS in kept.found:
            sums = replace(sums, channels=_aligned(before[1].out_shape[0], p), inputs=before[1].in_shape[0])
        layers[1] = replace(layers[1], sums=sums)
    return replace(net, layers=tuple(layers))


def is_vector(layer: Layer, following: Layer, p: TileParams) -> bool:
    """Whether a layer's output is one pixel that the next layer reads as a vector; it lies in DRAM as one run."""
    return layer.out_shape[1] * layer.out_shape[2] == 1 and view_of(following, p).vector


def kept_map(layer: Layer, following: Layer, address: int, p: TileParams) -> DramMap:
    """Where a kept map of ``layer`` lies."""
    shape: Shape = (1, 1, layer.out_shape[0]) if is_vector(layer, following, p) else layer.out_shape
    return DramMap.of(shape, Base.ABSOLUTE, address, p)


def places_of(nets: Sequence[Network], layers: frozenset[int], p: TileParams) -> Places:
    """Places for maps of the largest increment, one behind the other."""
    full, found, at = nets[-1].layers, {}, 0
    limbs: tuple[int, ...] = ()
    for index in sorted(layers - {SUMS}):
        found[index] = at
        at += kept_map(full[index], full[index + 1], 0, p).beats
    if SUMS in layers:
        beats = limb_map(full[1], full[1].sum_shape[0], 0, p).beats
        limbs = tuple(at + number * beats for number in range(sum_limbs(nets, p)))
        at += len(limbs) * beats
    return Places(found, at, limbs)


def choose(
    stable: Sequence[frozenset[int]], rate: float, cost: Callable[[int, Kept], float]
) -> list[Kept]:  # fmt: skip
    """What each increment's segment of an escalated run takes over and leaves, of what each step's ``stable`` names.

    Step by step, layer by layer from the first one on, a layer is kept when that lowers cost(smaller increment) +
    rate * cost(larger increment): storing costs the smaller one in every run, taking over saves cycles of the larger
    one in the share ``rate`` of runs that escalate.
    """
    kept = [NONE]
    for step, candidates in enumerate(stable):
        chosen = NONE

        def both(layers: frozenset[int], step: int = step) -> float:
            return cost(step, Kept(kept[step], layers)) + rate * cost(step + 1, Kept(layers))

        best = both(chosen)
        for index in sorted(candidates, key=lambda index: (index == SUMS, index)):
            tried = both(chosen | {index})
            if tried < best:
                best, chosen = tried, chosen | {index}
        kept.append(chosen)
    return [Kept(found, stored) for found, stored in pairwise((*kept, NONE))]
