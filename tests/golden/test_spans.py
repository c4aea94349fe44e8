"""Which layer is computed when: every layer's computes do its multiplications, fused layers take turns."""

import random
from itertools import pairwise

import pytest

from golden.mapping import Mapped, map_network
from golden.spans import compute_layers, layer_spans
from golden.timing import Ideal, predict
from hw.errors import BadInput
from hw.instructions import Compute, Window
from hw.params import preset
from tests.golden.mapping_kinds import map_by_chance
from tests.golden.random_networks import fused_module, increments, networks, random_case

MEMORY = Ideal()


def macs_by_layer(mapped: Mapped, increment: int) -> list[int]:
    """Multiplications that the computes of each layer ask for."""
    segment, window, done = mapped.fresh[increment], None, [0] * len(mapped.fresh[increment].plans)
    layers = iter(compute_layers(segment))
    for item in segment.code:
        if isinstance(item, Window):
            window = item
        elif isinstance(item, Compute):
            assert window is not None
            lanes = (item.lines - 1) * window.taps + item.last_lanes
            done[next(layers)] += item.rows * item.cols * item.neurons * lanes
    return done


def check(mapped: Mapped, increment: int) -> bool:
    """Whether computes of two layers took turns."""
    wanted = [layer.macs for layer in mapped.networks[increment].layers]
    assert macs_by_layer(mapped, increment) == wanted
    spans, cycles = layer_spans(mapped, increment, MEMORY), predict(mapped, increment, MEMORY).cycles
    assert {span.layer for span in spans} == set(range(len(wanted)))
    assert all(one.end == other.first and one.layer != other.layer for one, other in pairwise(spans))
    assert 1 < spans[0].first < spans[-1].end == cycles + 1
    assert all(span.first < span.end for span in spans)
    return len(spans) > len(wanted)


@pytest.mark.parametrize("name", ["small", "odd"])
def test_layers_of_random_networks(name: str) -> None:
    p = preset(name)
    for seed in (0, 2, 5, 8, 11):
        nets = random_case(seed, p)[0]
        mapped = map_network(nets, p)
        for increment in range(len(nets)):
            assert not check(mapped, increment)


def test_fused_layers_take_turns() -> None:
    p, rng = preset("small"), random.Random(5)
    turns = 0
    for _ in range(40):
        module, shape = fused_module(rng, p)
        nets = networks(increments(module, (1.0,), shape), shape, p)
        try:
            mapped = map_by_chance(nets, p, rng)
        except BadInput:
            continue
        took_turns = check(mapped, 0)
        fused = any(plan.feeds for plan in mapped.fresh[0].plans)
        assert fused or not took_turns
        turns += took_turns
    assert turns >= 3
