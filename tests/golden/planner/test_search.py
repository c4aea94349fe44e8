"""The search against trying every threshold there is."""

import itertools

import numpy as np
import pytest

from golden.planner.case import Chain
from golden.planner.goals import NEVER, Goal, MostSaving, Product
from golden.planner.search import best, candidates, search
from tests.golden.planner import made

MOST = 6
GOALS: list[Goal] = [MostSaving(0.05, 0), MostSaving(0.1, 1), MostSaving(0.2, 3), Product()]


def value(chain: Chain, goal: Goal, thresholds: tuple[int, ...]) -> tuple[float, float]:
    outcome = chain.outcome(thresholds)
    full = float(chain.right[-1].mean())
    lost, gained = np.array(outcome.lost.sum()), np.array(outcome.gained.sum())
    return float(goal.value(np.array(outcome.saving), lost, gained, full, chain.images)), outcome.saving


def brute(chain: Chain, goal: Goal) -> float:
    """Of all thresholds, whether they can help or not."""
    grids = itertools.product(range(MOST + 1), repeat=len(chain.levels))
    return max(value(chain, goal, thresholds)[0] for thresholds in grids)


@pytest.mark.parametrize("goal", GOALS, ids=repr)
@pytest.mark.parametrize("increments", [2, 3, 4])
def test_nothing_is_better_than_what_is_found(increments: int, goal: Goal) -> None:
    found_some = 0
    for seed in range(6):
        chain = made.chain(50, increments, seed, MOST)
        found, wanted = search(chain, goal, MOST), brute(chain, goal)
        if found is None:
            assert wanted == NEVER
            continue
        found_some += 1
        assert found.exact
        assert (found.value, found.saving) == pytest.approx(value(chain, goal, found.thresholds))
        assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found_some >= 3


@pytest.mark.parametrize("goal", [MostSaving(0.05, 1), Product()], ids=repr)
def test_a_search_that_cannot_try_all_is_mended_to_nearly_the_best(goal: Goal) -> None:
    for seed in range(4):
        chain = made.chain(400, 4, seed, most=200)
        exact, quick = search(chain, goal, 200), search(chain, goal, 200, cells=2000)
        assert exact is not None
        assert quick is not None
        assert exact.exact
        assert not quick.exact
        assert quick.value <= exact.value + 1e-12
        assert quick.value >= 0.97 * exact.value
        assert quick.value == pytest.approx(value(chain, goal, quick.thresholds)[0])


def test_candidates_lie_just_past_images_that_a_later_increment_rescues() -> None:
    levels = np.array([[1, 2, 3, 3, 5, 9]])
    right = np.array([[True, False, False, True, False, False], [True, True, False, False, True, True]])
    chain = Chain(levels, right, np.array([0.1, 1.1]))
    assert candidates(chain, 0, 6).tolist() == [0, 2, 5]


def test_an_image_on_the_threshold_stops_and_one_below_pays() -> None:
    chain = Chain(np.array([[3, 4]]), np.array([[True, True], [True, True]]), np.array([0.25, 1.25]))
    outcome = chain.outcome([3])  # a level of 3 escalates at 3, one of 4 does not
    assert outcome.stops.tolist() == [1, 0]
    assert outcome.paid.tolist() == [1.25, 0.25]
    assert outcome.saving == pytest.approx(0.25)


def test_of_equal_choices_the_more_accurate_then_the_lower_thresholds() -> None:
    # Both thresholds escalate one image; only the first increment's image gets right by it
    levels = np.array([[1, 2]])
    right = np.array([[False, False], [True, True]])
    chain = Chain(levels, right, np.array([0.5, 1.0]))
    found = best(chain, [np.array([0, 1, 2])], Product())
    assert found is not None
    assert found.thresholds == (1,)  # 0.5 * 0 < 0.25 * 0.5 > 0 * 1


def test_one_increment_has_no_threshold() -> None:
    found = search(made.case(20, 3, 1).chain([2], "raw"), MostSaving(0.0, 1), MOST)
    assert found is not None
    assert (found.thresholds, found.saving) == ((), 0.0)
