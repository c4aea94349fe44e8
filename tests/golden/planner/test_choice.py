"""The choice over chains, cross-validation and bootstrap."""

import numpy as np
import pytest

from golden.planner import resampling
from golden.planner.case import Case
from golden.planner.choice import Choice, choices, choose, subsets
from golden.planner.goals import MostSaving
from golden.planner.levels import Score
from golden.planner.resampling import bootstrap, cross_validate, difference, folds
from hw.errors import BadInput
from hw.params import preset
from tests.golden.planner import made

FMT = preset("paper32").fmt
BOTH = [Score("raw", FMT), Score("softmax", FMT)]


def test_subsets_end_at_the_full_network() -> None:
    assert subsets(3) == [(2,), (0, 2), (1, 2), (0, 1, 2)]
    assert subsets(1) == [(0,)]
    assert len(subsets(5)) == 16


def test_every_chain_and_score_is_tried_and_the_best_is_taken() -> None:
    case = made.case(300, 3, 1)
    found = choices(case, BOTH, MostSaving(0.05, 1))
    assert {(choice.increments, choice.score.name) for choice in found} == {
        ((2,), "raw"),
        *((subset, score) for subset in ((0, 2), (1, 2), (0, 1, 2)) for score in ("raw", "softmax")),
    }
    chosen = choose(found)
    assert chosen.saving == max(choice.saving for choice in found) > 0
    for choice in found:
        outcome = case.chain(choice.increments, choice.score.name).outcome(choice.thresholds)
        assert outcome.saving == pytest.approx(choice.saving)


def test_a_limit_that_nothing_keeps_leaves_the_full_network() -> None:
    found = choices(made.case(300, 3, 1), BOTH, MostSaving(0.0, 3))
    assert [choice.increments for choice in found] == [(2,)]
    assert choose(found).thresholds == ()


def test_of_equal_choices_the_shorter_chain() -> None:
    long = Choice((0, 1, 2), BOTH[0], (3, 0), 0.5, 0.5, True)
    short = Choice((0, 2), BOTH[0], (3,), 0.5, 0.5, True)
    assert choose([long, short]) is choose([short, long]) is short


def test_folds_part_the_images() -> None:
    parts = folds(103, 5, 1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(103))
    assert sorted(map(len, parts)) == [20, 20, 21, 21, 21]
    assert any((a != b).any() for a, b in zip(parts[2:], folds(103, 5, 2)[2:], strict=True))
    for count in (1, 104):
        with pytest.raises(BadInput, match=f"cross-validation wants 2 to 103 folds, not {count}"):
            folds(103, count, 1)


def test_no_image_is_seen_by_the_choice_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    case = made.case(90, 2, 1)
    marked = np.arange(90)
    marked_case = Case({"raw": np.stack([marked, marked]) + 1}, case.right, case.costs)
    seen: list[set[int]] = []

    def spy(part: Case, scores: list[Score], goal: MostSaving) -> list[Choice]:
        seen.append({int(level) - 1 for level in part.levels["raw"][0]})
        return choices(part, scores, goal)

    monkeypatch.setattr(resampling, "choices", spy)
    cross_validate(marked_case, BOTH[:1], MostSaving(0.1, 0), 3, 1)
    parts = [set(part.tolist()) for part in folds(90, 3, 1)]
    assert len(seen) == 3
    for judged, used in zip(parts, seen, strict=True):
        assert used == set(range(90)) - judged


def test_cross_validation_pools_what_each_fold_gives() -> None:
    case, goal = made.case(400, 3, 2), MostSaving(0.05, 1)
    done: list[int] = []
    found = cross_validate(case, BOTH, goal, 4, 7, done.append)
    assert done == [1, 2, 3, 4]
    drops, savings = [], []
    parts = folds(400, 4, 7)
    for number, part in enumerate(parts):
        rest = case.part(np.concatenate([other for k, other in enumerate(parts) if k != number]))
        choice = choose(choices(rest, BOTH, goal))
        assert choice == found.choices[number]
        outcome = case.part(part).chain(choice.increments, choice.score.name).outcome(choice.thresholds)
        drops.append(difference(outcome))
        savings.append(1 - outcome.paid)
    assert found.drop.value == pytest.approx(np.concatenate(drops).mean())
    assert found.saving.value == pytest.approx(np.concatenate(savings).mean())
    assert found.drop.low < found.drop.value < found.drop.high
    assert found.saving.low < found.saving.value < found.saving.high


def test_bootstrap_equals_drawing_images_and_follows_its_seed() -> None:
    rng = np.random.default_rng(3)
    drops = rng.choice([-1.0, 0.0, 1.0], 2000, p=[0.05, 0.85, 0.1])
    savings = rng.choice([0.9, 0.5, -0.1], 2000)
    drop, saving = bootstrap(drops, savings, 1)
    assert (drop, saving) == bootstrap(drops, savings, 1)
    assert drop.value == pytest.approx(drops.mean())
    for values, found in ((drops, drop), (savings, saving)):
        drawn = [values[rng.integers(0, 2000, 2000)].mean() for _ in range(3000)]
        assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.005, 0.995]), abs=0.004)
