"""Which layers can be fused with the one before them, and where their weight lines are cut for it."""

from collections.abc import Sequence
from dataclasses import replace

from golden.network import Layer, Network
from hw.params import TileParams


def fusable(layer: Layer, p: TileParams) -> bool:
    """Whether a layer is small enough to hold all its sums while the layer before it runs."""
    neurons, height, width = layer.sum_shape
    return not layer.fc and height * width * neurons <= p.accumulators * p.neurons // 2


def fits(size: int, p: TileParams) -> bool:
    """Whether each block of ``size`` channels lies in one block of weights and starts at a beat boundary there."""
    return p.neurons % size == 0 and (size == p.neurons or size % p.lines_per_beat == 0)


def fused_sizes(networks: Sequence[Network], p: TileParams) -> list[int]:
    """Blocks of channels to try between two fused layers of any of the networks; 0: none."""
    if not any(fusable(layer, p) for net in networks for layer in net.layers[1:]):
        return [0]
    sizes = {p.neurons // parts for parts in (1, 2, 4)}
    return [0, *sorted(size for size in sizes if size > 1 and fits(size, p))]


def cut_networks(networks: Sequence[Network], size: int, p: TileParams) -> tuple[Network, ...]:
    """The networks with weight lines of fusable layers cut every ``size`` input channels, alike in all of them."""
    if not size:
        return tuple(networks)
    fused = {i for i in range(1, len(networks[0].layers)) if any(fusable(net.layers[i], p) for net in networks)}
    return tuple(
        replace(net, layers=tuple(_cut(layer, size) if i in fused else layer for i, layer in enumerate(net.layers)))
        for net in networks
    )


def _cut(layer: Layer, size: int) -> Layer:
    return replace(layer, cuts=tuple(range(size, layer.in_shape[0], size)))
