"""Networks whose escalated runs take maps over, mapped so that they take over all that they can."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from unittest import mock

from golden.mapping import Mapped, map_network
from golden.mapping.reuse import NONE, Kept
from golden.network import Layer, Network
from hw.params import TileParams


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


def keep_all(stable: Sequence[frozenset[int]], _rate: float, _cost: object) -> list[Kept]:
    return [Kept(found, stored) for found, stored in pairwise((NONE, *stable, NONE))]


def map_kept(nets: Sequence[Network], p: TileParams, rng: random.Random | None = None) -> Mapped:
    """A program that keeps whatever can be kept; its plans are drawn from all possible ones when there is an rng."""
    with mock.patch("golden.mapping.mapper.choose", side_effect=keep_all):
        if rng is None:
            return map_network(nets, p, search=False, reuse="time")
        with mock.patch("golden.mapping.candidates.cost_of", side_effect=lambda *_: rng.random()):
            return map_network(nets, p, search=False, reuse="time")
