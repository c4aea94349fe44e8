"""Tiles, nested networks and images for the tests of whole tiles: every build is shared through the build cache."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cosim.dram import Ideal
from cosim.runner import Build
from cosim.simulate import tile_build
from golden.network import Network, Shape, read
from golden.networks import IncrementalNetwork
from golden.quantise import quantise, quantise_network
from hw.params import TileParams, preset

MEMORY_BEATS = 1 << 17  # of `tilewatt report`: paper32 is then built once for both
IDEAL = Ideal()


def params_of(name: str) -> TileParams:
    """The preset with toggle counters, as `tilewatt report` builds it."""
    return preset(name).replace(activity=True)


@functools.lru_cache(maxsize=16)
def tile(name: str, ideal: Ideal | None = None, trace_saif: bool = False) -> Build:
    """The simulation of a preset's tile; built at the first call on this machine."""
    return tile_build(params_of(name), MEMORY_BEATS, ideal=ideal, trace_saif=trace_saif)


def modules(full: nn.Sequential, fractions: Sequence[float], seed: int) -> list[nn.Sequential]:
    """The increments of ``full`` as plain modules, with random weights."""
    torch.manual_seed(seed)
    for layer in full:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    whole = IncrementalNetwork(full, fractions)
    return [whole.increment(index) for index in range(len(fractions))]


def integer(nets: Sequence[nn.Module], shape: Shape, p: TileParams) -> list[Network]:
    return [quantise_network(read(net, shape), p.fmt) for net in nets]


def images(count: int, shape: Shape, p: TileParams, seed: int) -> Tensor:
    """Codes of random images between -1 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return quantise(2 * torch.rand((count, *shape), generator=generator) - 1, p.fmt)
