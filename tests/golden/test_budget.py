"""The budget run in golden: the meter's sum by hand, Algorithm 2 step by step, and the promise over random runs."""

import random
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from golden.budget import Budget, Controller, Step, Used, check_weights, guarded, late, metered, run, spread
from golden.mapping import map_network
from golden.timing import DDR3, predict_images
from hw.errors import BadInput
from hw.events import DELAY_BITS, ENERGY_BITS, METERED, WEIGHT_BITS
from hw.params import preset
from tests.golden.random_networks import increments, networks

COSTS = (10, 30, 60, 100)  # of increments, energy; a tenth of it in cycles


def fixed(number: int, capacity: int) -> Used:
    return Used(capacity, COSTS[capacity], COSTS[capacity] // 10)


def capacities(
    budgets: Sequence[Budget], *, remember: bool, image: Callable[[int, int], Used] = fixed
) -> tuple[list[int], list[bool]]:
    steps = run(budgets, len(COSTS) - 1, image, increments=len(COSTS), remember=remember)
    return [step.capacity for step in steps], [step.impossible for step in steps]


def test_the_meter_by_hand() -> None:
    counts = dict.fromkeys(METERED, 0) | {"multiply": 7, "cycles": 100, "dram_read": 3}
    weights = [{"multiply": 5, "cycles": 2, "dram_read": 1000}.get(name, 9) for name in METERED]
    assert metered(counts, weights) == 7 * 5 + 100 * 2 + 3 * 1000
    most = dict.fromkeys(METERED, 1 << 40)
    assert metered(most, [(1 << WEIGHT_BITS) - 1] * len(METERED)) == (1 << ENERGY_BITS) - 1


def test_a_smaller_budget_lowers_by_one_an_image() -> None:
    for remember in (False, True):
        found, reports = capacities([Budget(100)] * 2 + [Budget(35)] * 4, remember=remember)
        assert found == [3, 3, 2, 1, 1, 1]  # what is known of increment 3 lowers before an image is run
        assert not any(reports)


def test_a_loosened_budget_jumps_and_settles() -> None:
    """Algorithm 2 tries the largest increment again; with what it remembers the controller need not."""
    budgets = [Budget(35)] * 4 + [Budget(65)] * 4
    assert capacities(budgets, remember=False)[0] == [3, 2, 1, 1, 3, 2, 2, 2]
    assert capacities(budgets, remember=True)[0] == [3, 2, 1, 1, 2, 2, 2, 2]


def test_delay_and_energy_both_bind() -> None:
    for remember in (False, True):
        assert capacities([Budget(None, 6)] * 3, remember=remember)[0] == [3, 2, 2]
        assert capacities([Budget(1000, 3)] * 4, remember=remember)[0] == [3, 2, 1, 1]
        assert capacities([Budget(10, 1000)] * 5, remember=remember)[0] == [3, 2, 1, 0, 0]
        assert capacities([Budget()] * 3, remember=remember)[0] == [3, 3, 3]


def test_an_impossible_budget_is_reported_and_the_smallest_runs() -> None:
    budgets = [Budget(9)] * 6 + [Budget(10)] * 2
    found, reports = capacities(budgets, remember=True)
    assert found == [3, 2, 1, 0, 0, 0, 0, 0]
    assert reports == [False] * 3 + [True] * 3 + [False] * 2
    found, reports = capacities(budgets, remember=False)
    assert found == [3, 2, 1, 0, 0, 0, 3, 2]
    assert reports == [False] * 3 + [True] * 3 + [False] * 2


def test_one_budget_falls_while_the_other_rises() -> None:
    """Algorithm 2 as printed takes the branch of the fall alone and would stay low."""
    budgets = [Budget(35, 1000)] * 4 + [Budget(1000, 6)] * 4
    assert capacities(budgets, remember=False)[0] == [3, 2, 1, 1, 3, 2, 2, 2]
    assert capacities(budgets, remember=True)[0] == [3, 2, 1, 1, 2, 2, 2, 2]


def test_a_lowered_capacity_stays_down() -> None:
    """One image above the budget is enough, however many follow within it."""

    def image(number: int, capacity: int) -> Used:
        return Used(capacity, COSTS[capacity] + (5 if number == 2 else 0), 0)

    found, _ = capacities([Budget(62)] * 8, remember=True, image=image)
    assert found == [3, 2, 2, 1, 1, 1, 1, 1]


def test_escalation_under_a_budget() -> None:
    """An image that stops early and is above the budget lowers the capacity below where it stopped."""

    def image(number: int, capacity: int) -> Used:
        stopped = min(capacity, (0, 1, 3, 0, 2, 1)[number])
        return Used(stopped, COSTS[stopped], 0)

    found, reports = capacities([Budget(20)] * 6, remember=True, image=image)
    assert found == [3, 3, 0, 0, 0, 0]
    assert not any(reports)


@pytest.mark.parametrize("remember", [False, True])
@pytest.mark.parametrize("increments", [2, 3, 4, 8])
def test_the_promise_over_random_runs(increments: int, remember: bool) -> None:
    """Costs differ from image to image by less than the guard: the true budgets are kept."""
    rng = random.Random(100 * increments + remember)
    weights = [rng.randrange(1 << 10) for _ in METERED]
    per_cycle = weights[METERED.index("cycles")]
    guard, met, impossible = 20, 0, 0
    for _ in range(150):
        cycles = sorted(rng.sample(range(100, 5000), increments))
        energy = sorted(rng.sample(range(10**5, 10**7), increments))
        budgets: list[Budget] = []
        while len(budgets) < 60:
            parts = (rng.randint(10**5 // 2, 10**7 + 1000), rng.randint(50, 5100))
            budget = Budget(*(part if rng.random() < 0.7 else None for part in parts))
            budgets += [budget] * rng.randint(1, 12)

        def image(number: int, capacity: int, energy: Sequence[int] = energy, cycles: Sequence[int] = cycles) -> Used:
            more = rng.randint(0, guard)
            return Used(capacity, energy[capacity] + more * per_cycle, cycles[capacity] + more)

        written = [guarded(budget, guard, weights) for budget in budgets]
        steps = run(written, increments - 1, image, increments=increments, remember=remember)
        promised = [
            Step(budget, step.capacity, step.used, step.impossible) for budget, step in zip(budgets, steps, strict=True)
        ]
        assert late(promised, increments) == []
        met += sum(step.used.above(step.budget) for step in promised)
        impossible += sum(step.impossible for step in promised)
    assert met > 100
    assert impossible > 100


def test_remembering_settles_at_once() -> None:
    """Once every increment is known, no image is above a budget that is possible."""
    rng = random.Random(3)
    first = [Budget(10)] * 4
    after = [Budget(rng.randint(10, 110), rng.choice((None, rng.randint(1, 10)))) for _ in range(200)]
    steps = run(first + after, 3, fixed, increments=4, remember=True)[4:]
    assert not any(step.used.above(step.budget) for step in steps)
    best = [max(k for k in range(4) if not fixed(0, k).above(budget)) for budget in after]
    assert [step.capacity for step in steps] == best


def test_broken_promises_are_found() -> None:
    budget = Budget(50, 50)

    def steps(*energies: int, impossible: Sequence[int] = (), stopped: int = 0) -> list[Step]:
        return [Step(budget, 1, Used(stopped, e, 1), number in impossible) for number, e in enumerate(energies)]

    assert late(steps(60, 60, 40, 40), 3) == []
    assert late(steps(60, 60, 60, 40), 3) == [2]  # too late
    assert late(steps(60, 40, 60), 3) == [2]  # above it again
    assert late(steps(60, 60, 60, 60, impossible=(2, 3)), 3) == []
    assert late(steps(60, 60, 60, 60, impossible=(2, 3), stopped=1), 3) == [2, 3]  # not the smallest
    assert late(steps(60, 60, 60, 60, impossible=(3,)), 3) == [2]  # not reported
    slow = [Step(budget, 1, Used(0, 1, cycles), False) for cycles in (60, 40, 60)]
    assert late(slow, 3) == [2]
    again = [*steps(40, 40), *(Step(Budget(30), 1, step.used, False) for step in steps(40, 40, 20))]
    assert late(again, 3) == []  # a new budget, a new beginning
    assert late(again, 2) == [3]


def test_the_guard_is_taken_off_both() -> None:
    weights = [7 if name == "cycles" else 1000 for name in METERED]
    assert guarded(Budget(1000, 90), 20, weights) == Budget(1000 - 7 * 20, 70)
    assert guarded(Budget(100, 10), 20, weights) == Budget(0, 0)
    assert guarded(Budget(), 20, weights) == Budget()


def test_images_of_one_increment_differ() -> None:
    p = preset("small")
    torch.manual_seed(1)
    whole = nn.Sequential(nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 4))
    mapped = map_network(networks(increments(whole, (0.5, 1.0), (1, 8, 8)), (1, 8, 8), p), p)
    found = spread(mapped, images=24, pause=7)
    for increment, width in enumerate(found):
        cycles = [one.cycles for one in predict_images(mapped, increment, DDR3(), 24, pause=7)]
        assert width == max(cycles) - min(cycles) > 0
    assert len(found) == 2
    assert spread(mapped, images=1) == [0, 0]


@pytest.mark.parametrize(
    ("energy", "cycles", "message"),
    [
        (-1, None, rf"a budget of energy wants 0 to {(1 << ENERGY_BITS) - 2}, or None for none, not -1"),
        ((1 << ENERGY_BITS) - 1, None, "a budget of energy wants 0 to"),
        (None, (1 << DELAY_BITS) - 1, rf"a budget of cycles wants 0 to {(1 << DELAY_BITS) - 2}, or None for none"),
    ],
)
def test_a_wrong_budget_is_refused(energy: int | None, cycles: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Budget(energy, cycles)


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(BadInput, match=rf"the meter wants {len(METERED)} weights, one per event of METERED, not 3"):
        check_weights([1, 2, 3])
    with pytest.raises(BadInput, match="the weight of instructions wants 0 to 16777215, not 16777216: take a larger"):
        check_weights([1 << WEIGHT_BITS] * len(METERED))


def test_forgetting_tries_again() -> None:
    controller = Controller(4, remember=True)
    controller.set(Budget(20))
    for capacity in (3, 2, 1):
        assert controller.allowed == capacity
        controller.finish(fixed(0, capacity))
    assert controller.allowed == 0
    controller.forget()
    assert controller.allowed == 3
