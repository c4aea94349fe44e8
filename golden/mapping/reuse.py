"""What an escalated run can take over from the smaller increment: maps in DRAM whose values do not change.

The output maps of a hidden layer lie in DRAM channel after channel, so that an increment's channels are the first ones
of the next increment's map. They can be kept where the old channels' values stay: layer 0 reads the image; another
layer reads a map that stays, and its old channels give the new ones no weight (a block-causal network).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from golden.mapping.layout import DramMap
from golden.mapping.view import view_of
from golden.network import Layer, Network, Shape, causal_inputs
from hw.instructions import Base
from hw.params import TileParams

NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Kept:
    """What a segment of an increment takes over and leaves, by layer.

    found: whose old channels the segment before has left; stored: whose maps it leaves for the next one.
    """

    found: frozenset[int] = NONE
    stored: frozenset[int] = NONE


@dataclass(frozen=True)
class Places:
    """Beats at which kept maps start, from that of the scratch area, by layer; beats of all of them."""

    at: Mapping[int, int] = field(default_factory=dict)
    beats: int = 0


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


def goes_on(net: Network, before: Network, kept: frozenset[int], p: TileParams) -> Network:
    """``net`` whose layers ``kept`` compute only the channels that ``before`` does not have (and maybe a few more: a
    block's weights start at a beat boundary, and a block there is)."""

    def channels(index: int) -> int:
        old = min(before.layers[index].out_shape[0], net.layers[index].out_shape[0] - 1)
        block, rest = divmod(old, p.neurons)
        return block * p.neurons + rest // p.lines_per_beat * p.lines_per_beat

    layers = [replace(x, kept=channels(i)) if i in kept else x for i, x in enumerate(net.layers)]
    return replace(net, layers=tuple(layers))


def is_vector(layer: Layer, following: Layer, p: TileParams) -> bool:
    """Whether a layer's output is one pixel that the next layer reads as a vector; it lies in DRAM as one run."""
    return layer.out_shape[1] * layer.out_shape[2] == 1 and view_of(following, p).vector


def kept_map(layer: Layer, following: Layer, address: int, p: TileParams) -> DramMap:
    """Where a kept map of ``layer`` lies."""
    shape: Shape = (1, 1, layer.out_shape[0]) if is_vector(layer, following, p) else layer.out_shape
    return DramMap.of(shape, Base.ABSOLUTE, address, p)


def places_of(full: Network, layers: frozenset[int], p: TileParams) -> Places:
    """Places for maps of the largest increment, one behind the other."""
    found, at = {}, 0
    for index in sorted(layers):
        found[index] = at
        at += kept_map(full.layers[index], full.layers[index + 1], 0, p).beats
    return Places(found, at)


def choose(
    stable: Sequence[frozenset[int]], rate: float, cycles: Callable[[int, Kept], int]
) -> list[Kept]:  # fmt: skip
    """What each increment's segment of an escalated run takes over and leaves.

    Step by step, layer by layer from the first one on, a layer is kept when that lowers cycles(smaller increment) +
    rate * cycles(larger increment): storing costs the smaller one in every run, taking over saves cycles of the larger
    one in the share ``rate`` of runs that escalate.
    """
    kept = [NONE]
    for step, candidates in enumerate(stable):
        chosen = NONE

        def cost(layers: frozenset[int], step: int = step) -> float:
            return cycles(step, Kept(kept[step], layers)) + rate * cycles(step + 1, Kept(layers))

        best = cost(chosen)
        for index in sorted(candidates):
            tried = cost(chosen | {index})
            if tried < best:
                best, chosen = tried, chosen | {index}
        kept.append(chosen)
    return [Kept(found, stored) for found, stored in pairwise((*kept, NONE))]
