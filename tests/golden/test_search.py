"""Search of plans: the cheapest first, a few others behind it, plans of single layers tried, by what ``build`` says."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from golden.mapping.layer_plan import LayerPlan
from golden.mapping.ops import Op
from golden.mapping.plan import Planner
from golden.mapping.search import ALTERNATIVES, FINALISTS, PRICES, SPECIAL, search_plans
from golden.network import Network
from hw.instructions import Load
from hw.params import TileParams, preset
from tests.golden.random_networks import networks

Plans = tuple[LayerPlan, ...]
BIAS_ROWS = 4


@dataclass(frozen=True)
class Built:
    price: float
    plans: Plans
    ops: tuple[Op, ...]


class Builder:
    """Prices plans by a function of them; remembers all that were built. operations: of every program."""

    def __init__(self, price: Callable[[Plans], float], operations: int = 1) -> None:
        self.price, self.ops = price, (Op(Load()),) * operations
        self.built: list[Built] = []

    def __call__(self, plans: list[LayerPlan]) -> Built:
        self.built.append(Built(self.price(tuple(plans)), tuple(plans), self.ops))
        return self.built[-1]


@pytest.fixture(scope="module")
def net() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 60), nn.ReLU(), nn.Linear(60, 7),
    )  # fmt: skip
    return networks([module], (1, 14, 14), preset("small"))[0]


def by_chance(seed: int) -> Callable[[Plans], float]:
    """A price of its own for every plan of every layer; the network's is their sum."""
    rng, known = random.Random(seed), dict[tuple[int, LayerPlan], float]()
    return lambda plans: sum(known.setdefault(one, rng.random()) for one in enumerate(plans))


def unpriced(plans: Plans) -> Plans:
    return tuple(replace(plan, cost=0.0) for plan in plans)


def differ(one: Plans, other: Plans) -> list[int]:
    """Layers whose plans differ."""
    return [index for index, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]


def starts(net: Network, p: TileParams) -> list[Plans]:
    """What the planner likes best at every price, each once."""
    planners = (Planner(p, BIAS_ROWS, at, special) for at in PRICES for special in SPECIAL)
    found: dict[Plans, Plans] = {}
    for plans in (tuple(planner.network(net)) for planner in planners):
        found.setdefault(unpriced(plans), plans)
    return list(found.values())


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_is_first_and_the_next_ones_are_behind_it(net: Network, seed: int) -> None:
    build = Builder(by_chance(seed))
    found = search_plans(net, preset("small"), BIAS_ROWS, build)
    assert len(build.built) > FINALISTS
    assert len(found) == FINALISTS
    assert [one.price for one in found] == sorted(one.price for one in found)
    assert found[0].price == min(one.price for one in build.built) < build.built[0].price
    handed_on = {one.plans for one in found}
    assert {one.plans for one in build.built if one.price < found[-1].price} <= handed_on
    assert handed_on <= {one.plans for one in build.built}


def test_few_programs_are_all_handed_on(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Planner, "alternatives", lambda *_: [])
    monkeypatch.setattr(LayerPlan, "shorter_tiles", lambda _: iter(()))
    p = preset("small")
    build = Builder(by_chance(0))
    found = search_plans(net, p, BIAS_ROWS, build)
    assert [unpriced(one.plans) for one in build.built] == [unpriced(plans) for plans in starts(net, p)]
    assert 1 < len(found) == len(build.built) <= FINALISTS
    assert [one.price for one in found] == sorted(one.price for one in build.built)


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_other_plans_of_single_layers_are_tried_as_long_as_that_helps(net: Network, seed: int) -> None:
    p = preset("small")
    build = Builder(by_chance(seed))
    search_plans(net, p, BIAS_ROWS, build)
    first = len(starts(net, p))
    best = min(build.built[:first], key=lambda one: one.price)
    tried: set[int] = set()
    helped = 0
    for one in build.built[first:]:  # each is the best one so far but for one layer
        layers = differ(one.plans, best.plans)
        assert len(layers) <= 1
        tried.update(layers)
        helped += one.price < best.price
        best = min(best, one, key=lambda built: built.price)
    known = [unpriced(one.plans) for one in build.built]
    assert all(plans not in known[:at] for at, plans in enumerate(known)), "a program is looked at once"
    assert tried == set(range(len(net.layers)))
    assert helped > 1


@pytest.mark.parametrize("operations", [1, 2_000, 20_000])
def test_longer_programs_have_fewer_alternatives(
    net: Network, operations: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    asked: list[tuple[int, int]] = []
    alternatives = Planner.alternatives

    def noted(self: Planner, network: Network, plans: Plans, index: int, most: int) -> list[LayerPlan]:
        asked.append((index, most))
        return alternatives(self, network, plans, index, most)

    monkeypatch.setattr(Planner, "alternatives", noted)
    search_plans(net, preset("small"), BIAS_ROWS, Builder(by_chance(0), operations))
    most = {1: ALTERNATIVES, 2_000: 5, 20_000: 0}[operations]
    assert asked == [(index, most) for index in (0, 1, 2, 3, 0)]


def test_shorter_tiles_are_tried_of_the_best(net: Network) -> None:
    """Where shorter tiles of the first layer alone help, the cheapest has them."""
    p = preset("small")
    whole = {plans[0].most_steps for plans in starts(net, p)}

    def price(plans: Plans) -> float:
        return 1.0 if plans[0].most_steps < min(whole) else 2.0

    build = Builder(price)
    found = search_plans(net, p, BIAS_ROWS, build)
    shorter = [one for one in build.built if one.price == 1.0]
    assert shorter
    assert found[0] == shorter[0]
    assert unpriced((replace(found[0].plans[0], most_steps=0),)) in [
        unpriced((replace(one.plans[0], most_steps=0),)) for one in build.built if one.price == 2.0
    ]
