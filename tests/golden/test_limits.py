"""Both floors against a roofline study of the same networks, and against what must hold for any network.

``STUDY`` is copied from the table that the roofline study of the same networks wrote (its rows OVERLAPPED and
PIPELINED_SB80K, column limit_a, one decimal); the study is a program of its own that shares nothing with this one.
"""

import math
from collections.abc import Callable

import pytest
from torch import nn

from golden.limits import limit_cycles, limit_sbcap
from golden.network import Network, read
from golden.networks import INPUT_SHAPES, find_network, narrow
from golden.quantise import quantise_network
from hw.params import TileParams, preset

STUDY = [
    # network, fraction, preset, multiplications, weights, limit, limit with prefetch into free SB
    ("lenet", 0.1, "paper32", 49300, 4800, 436.2, 437.2),
    ("lenet", 0.1, "paper16", 49300, 4800, 218.1, 225.2),
    ("lenet", 0.5, "paper32", 646500, 109000, 8576.9, 8636.1),
    ("lenet", 0.5, "paper16", 646500, 109000, 4288.4, 4596.8),
    ("lenet", 1.0, "paper32", 2293000, 430500, 33694.1, 37487.3),
    ("lenet", 1.0, "paper16", 2293000, 430500, 16847.0, 21668.9),
    ("convnet", 0.3, "paper32", 3078524, 61409, 12025.5, 12160.1),
    ("convnet", 0.3, "paper16", 3078524, 61409, 12025.5, 12160.1),
    ("convnet", 1.0, "paper32", 30728712, 660408, 120034.0, 122655.2),
    ("convnet", 1.0, "paper16", 30728712, 660408, 120034.0, 120089.7),
    ("alexnet", 0.25, "paper32", 1231360, 7960, 4810.0, 4905.6),
    ("alexnet", 0.25, "paper16", 1231360, 7960, 4810.0, 4881.7),
    ("alexnet", 0.75, "paper32", 7380480, 52680, 28830.0, 28877.6),
    ("alexnet", 1.0, "paper32", 12298240, 89440, 48040.0, 48082.8),
    ("alexnet", 1.0, "paper16", 12298240, 89440, 48040.0, 48082.8),
]


def network_at(name: str, fraction: float, p: TileParams) -> Network:
    return quantise_network(read(narrow(find_network(name)(), fraction), INPUT_SHAPES[name]), p.fmt)


@pytest.mark.parametrize(("name", "fraction", "tile", "macs", "weights", "limit", "capped"), STUDY)
def test_limits_are_those_of_the_study(
    name: str, fraction: float, tile: str, macs: int, weights: int, limit: float, capped: float
) -> None:
    p = preset(tile)
    network = network_at(name, fraction, p)
    assert sum(layer.macs for layer in network.layers) == macs
    assert sum(layer.weight.numel() for layer in network.layers) == weights
    assert limit_cycles(network, p) in (math.ceil(limit - 0.05), math.ceil(limit + 0.05))
    assert round(limit_sbcap(network, p), 1) == capped


@pytest.mark.parametrize("name", ["lenet", "convnet", "alexnet"])
def test_an_sb_that_holds_everything_leaves_only_the_order_of_the_loads(name: str) -> None:
    """With room for all weights nothing is ever freed: loads run through, and the recurrence is a plain running max."""
    p = preset("paper32")
    network = network_at(name, 0.25, p)
    huge = p.replace(sb_rows=1 << 12)
    assert huge.sb_bytes > sum(layer.weight.numel() for layer in network.layers) * p.word_bytes
    loaded, computed = math.prod(network.input_shape) * 4 / 51.2, 0.0
    first = True
    for layer in network.layers:
        weights = layer.weight.numel() * 4
        pieces = math.ceil(weights / 1024)
        if first:  # the image comes in equal shares with the first layer's pieces
            weights, loaded, first = weights + math.prod(network.input_shape) * 4, 0.0, False
        for _ in range(pieces):
            loaded += weights / 51.2 / pieces
            computed = max(computed, loaded) + layer.macs / 256 / pieces
    assert limit_sbcap(network, huge) == pytest.approx(computed, rel=1e-12)


@pytest.mark.parametrize("tile", ["paper32", "paper16", "small", "odd"])
@pytest.mark.parametrize("name", ["lenet", "convnet", "alexnet"])
def test_a_capped_prefetch_is_never_faster(name: str, tile: str) -> None:
    p = preset(tile)
    for fraction in (0.1, 0.5, 1.0):
        network = network_at(name, fraction, p)
        assert math.ceil(limit_sbcap(network, p)) >= limit_cycles(network, p)
        assert limit_sbcap(network, p) >= limit_sbcap(network, p.replace(sb_rows=1 << 12)) - 1e-6


def one_layer(make: Callable[[], nn.Module], shape: tuple[int, int, int], p: TileParams) -> Network:
    return quantise_network(read(make(), shape), p.fmt)


def test_an_sb_of_one_piece_runs_load_and_compute_by_turns() -> None:
    """4 pieces of 1024 bytes and an SB of 1024: every load waits for the computing before it."""
    p = preset("small").replace(sb_rows=32)
    assert p.sb_bytes == 1024
    network = one_layer(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 32)), (1, 8, 8), p)
    load = (32 * 64 * 2 + 64 * 2) / 51.2
    compute = 32 * 64 / 16
    assert limit_sbcap(network, p) == pytest.approx(load + compute, rel=1e-12)
