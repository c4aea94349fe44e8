"""Networks whose escalated runs take maps or sums over, mapped so that they take over all that they can."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from unittest import mock

from golden.counts import count
from golden.mapping import Mapped, map_network
from golden.mapping.layer_plan import Input, LayerPlan
from golden.mapping.mapped import Segment
from golden.mapping.reuse import NONE, Kept, cut_at_increments
from golden.network import Layer, Network, Shape
from hw.errors import BadInput
from hw.instructions import Compute, Window
from hw.params import TileParams
from tests.golden.random_networks import random_case

WAYS = ("maps", "sums", "causal")


def causal(nets: Sequence[Network]) -> list[Network]:
    """The networks with weights 0 where a channel of an increment reads one that a later increment brings."""

    def cut(index: int, number: int, layer: Layer) -> Layer:
        if number in (0, len(nets[0].layers) - 1):
            return layer
        weight = layer.weight.clone()
        for smaller in nets[:index]:
            out, inputs = smaller.layers[number].weight.shape[:2]
            weight[:out, inputs:] = 0
        return replace(layer, weight=weight)

    return [
        replace(net, layers=tuple(cut(index, number, layer) for number, layer in enumerate(net.layers)))
        for index, net in enumerate(nets)
    ]


def _keep_all(stable: Sequence[frozenset[int]], _rate: float, _cost: object) -> list[Kept]:
    return [Kept(found, stored) for found, stored in pairwise((NONE, *stable, NONE))]


def map_kept(nets: Sequence[Network], p: TileParams, rng: random.Random | None = None) -> Mapped:
    """A program that keeps whatever can be kept; its plans are drawn from all possible ones when there is an rng.
    Weight lines are cut as they are in ``nets``."""

    def cost(plan: LayerPlan, *_: object) -> float:
        """Fused layers, of which there are few among many plans, are cheap."""
        assert rng is not None
        return rng.random() * (0.1 if plan.feeds or plan.kind == Input.FUSED else 1)

    with (
        mock.patch("golden.mapping.mapper.choose", side_effect=_keep_all),
        mock.patch("golden.mapping.mapper.cut_at_increments", side_effect=tuple),
        mock.patch("golden.mapping.candidates.cost_of", side_effect=cost) if rng is not None else nullcontext(),
    ):
        return map_network(nets, p, search=False, reuse="time")


def kept_cases(p: TileParams, way: str, seeds: range, number: int) -> Iterator[tuple[int, Mapped, Shape]]:
    """Up to ``number`` random networks of three increments that fit, with maps, with sums, or block-causal."""
    rng = random.Random(seeds[0])
    for seed in seeds:
        nets, shape = random_case(seed, p)
        if way == "sums" and (len(nets[0].layers) < 3 or nets[0].layers[1].fc):
            continue
        nets = causal(nets) if way == "causal" else list(cut_at_increments(nets)) if way == "sums" else nets
        try:
            mapped = map_kept(nets, p, rng if seed % 2 else None)
        except BadInput:
            continue
        yield seed, mapped, shape
        number -= 1
        if not number:
            return
    raise AssertionError(f"{number} networks are missing")


def layer_counts(segment: Segment, p: TileParams) -> list[Counter[str]]:
    """Events of every layer's computes; of layers that run one after the other."""
    found = [Counter[str]() for _ in segment.plans]
    emits = iter(segment.emits)
    windows, waiting = list[Window](), Counter[str]()
    for item in segment.code:
        if isinstance(item, Window):
            windows = [item]
        elif isinstance(item, Compute):
            counts = count([*windows, item], p)
            waiting.update({name: counts[name] for name in ("compute_cycles", "multiply")})
            if item.finish:
                found[next(emits).layer].update(waiting)
                waiting.clear()
    return found
