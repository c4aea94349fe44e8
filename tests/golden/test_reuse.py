"""Escalated runs that take over maps of the smaller increment: right words, kept channels not computed again."""

import random
from collections import Counter

import pytest

from golden.mapping import Mapped
from golden.mapping.reuse import stable_layers
from golden.network import Network
from golden.verify import verify
from hw.errors import BadInput
from hw.params import TileParams, preset
from tests.golden.kept import causal, map_kept
from tests.golden.random_networks import images, random_case
from tests.golden.test_mapping import check_runs

RUNS = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1))  # first increment, escalations
NAMES = ("small", "odd", "paper16")


def drawn(seed: int, p: TileParams, block_causal: bool) -> tuple[list[Network], tuple[int, int, int]]:
    nets, shape = random_case(seed, p)
    return (causal(nets) if block_causal else nets), shape


def computed(mapped: Mapped, increment: int) -> list[int]:
    """The first channel of every layer that the resumed segment computes."""
    segment = mapped.resumed[increment]
    assert segment is not None
    layers = range(len(mapped.networks[0].layers))
    return [min(e.channel for e in segment.emits if e.layer == layer) for layer in layers]


@pytest.mark.parametrize("block_causal", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_random_networks(name: str, block_causal: bool) -> None:
    p, rng = preset(name), random.Random(7)
    seen: Counter[str] = Counter()
    for seed in range(100, 140):
        nets, shape = drawn(seed, p, block_causal)
        try:
            mapped = map_kept(nets, p, rng if seed % 2 else None)
        except BadInput:
            continue
        verify(mapped)
        assert check_runs(mapped, images(1, shape, p, seed), RUNS) > 0
        stable = stable_layers(nets)
        for step, (few, more) in enumerate(zip(nets, nets[1:], strict=False)):
            hidden = len(nets[0].layers) - 1
            assert stable[step] >= ({*range(hidden)} if block_causal else {*range(min(hidden, 1))})
            for layer, first in enumerate(computed(mapped, step + 1)):
                old = few.layers[layer].out_shape[0]
                if layer not in stable[step]:
                    assert first == 0
                    continue
                least = min(old, more.layers[layer].out_shape[0] - 1)
                assert least - p.lines_per_beat < first <= least
                segment = mapped.resumed[step + 1]
                assert segment is not None
                plan = segment.plans[layer]
                kind = "vector" if plan.vector else "resident" if plan.stage is None else "spilled"
                seen[f"layer {layer and 1}, {kind}"] += first > 0
    print(name, dict(seen))
    wanted = {"layer 0, resident", "layer 0, spilled"}
    assert wanted | ({"layer 1, vector", "layer 1, resident"} if block_causal else set()) <= seen.keys()
