"""Search of one increment's plans by what they cost as a program."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from golden.mapping.layer_plan import Input, LayerPlan
from golden.mapping.ops import Op
from golden.mapping.plan import Planner
from golden.network import Network
from hw.params import TileParams

PRICES = ((1.0, 0.1), (1.0, 0.4), (1.0, 1.0), (0.3, 1.0))  # of computing and of DRAM time, tried in turn
SPECIAL = ((), (Input.OVERLAP,), (Input.ROWS,))  # ways to hold a part of a map that are looked at, tried in turn
ALTERNATIVES = 10  # other plans of a layer that are tried
SEARCHED_OPERATIONS = 10_000  # of all tries of a layer together, at most
FINALISTS = 6  # programs that are handed on, the cheapest first


class Priced(Protocol):
    """A program that was built of plans."""

    @property
    def price(self) -> float: ...
    @property
    def plans(self) -> tuple[LayerPlan, ...]: ...
    @property
    def ops(self) -> tuple[Op, ...]: ...


Found = TypeVar("Found", bound=Priced)


def search_plans(
    net: Network, p: TileParams, bias_rows: int, build: Callable[[list[LayerPlan]], Found]
) -> list[Found]:  # fmt: skip
    """The cheapest of the plans at several prices, then with other plans of single layers as long as that helps; behind
    it the cheapest others that were tried. bias_rows: rows of SB that are taken."""
    finalists: list[Found] = []
    seen: set[tuple[LayerPlan, ...]] = set()

    def tried(plans: Sequence[LayerPlan], best: Found | None = None) -> Found:
        """The cheaper of ``best`` and the program of ``plans``, unless that was looked at before."""
        known = tuple(replace(plan, cost=0.0) for plan in plans)
        if best is not None and known in seen:
            return best
        seen.add(known)
        found = build(list(plans))
        finalists.append(found)
        finalists.sort(key=_price)
        del finalists[FINALISTS:]
        return found if best is None else min(best, found, key=_price)

    planners: dict[tuple[LayerPlan, ...], tuple[Planner, list[LayerPlan]]] = {}
    for planner in (Planner(p, bias_rows, prices, special) for prices in PRICES for special in SPECIAL):
        plans = planner.network(net)
        # at several prices the same plans are often the cheapest
        planners.setdefault(tuple(replace(plan, cost=0.0) for plan in plans), (planner, plans))
    best, planner = min(((tried(plans), planner) for planner, plans in planners.values()), key=lambda one: one[0].price)
    for index in [*range(len(net.layers)), 0]:  # what suits the first layer may have changed with those behind
        most = min(ALTERNATIVES, SEARCHED_OPERATIONS // len(best.ops))
        for other in planner.alternatives(net, best.plans, index, most):
            best = tried([*best.plans[:index], other, *best.plans[index + 1 :]], best)
    for index in range(len(net.layers)):
        for other in best.plans[index].shorter_tiles():
            best = tried([*best.plans[:index], other, *best.plans[index + 1 :]], best)
    return finalists


def _price(found: Priced) -> float:
    return found.price
