"""The choice of N, of the increments and of the thresholds: every subset of the increments, each with its best ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from golden.planner.case import Case
from golden.planner.goals import Goal
from golden.planner.levels import Score
from golden.planner.search import search


@dataclass(frozen=True)
class Choice:
    """increments: numbers, the last one that of the full network. thresholds: levels of the score, of every increment
    but the last. value: of the goal. exact: every combination of thresholds was tried."""

    increments: tuple[int, ...]
    score: Score
    thresholds: tuple[int, ...]
    value: float
    saving: float
    exact: bool


def subsets(count: int) -> list[tuple[int, ...]]:
    """All chains of ``count`` increments that end at the last one, short ones first."""
    earlier = range(count - 1)
    return [(*chosen, count - 1) for size in range(count) for chosen in combinations(earlier, size)]


def choices(case: Case, scores: Sequence[Score], goal: Goal) -> list[Choice]:
    """The best thresholds of every subset and score that the goal allows; the full network alone is always there."""
    found = []
    for subset in subsets(len(case.right)):
        for score in scores if len(subset) > 1 else scores[:1]:
            best = search(case.chain(subset, score.name), goal, score.most)
            if best is not None:
                found.append(Choice(subset, score, best.thresholds, best.value, best.saving, best.exact))
    return found


def choose(found: Sequence[Choice]) -> Choice:
    """The best of them; of equal ones that with the fewest increments."""
    return max(found, key=lambda choice: (choice.value, choice.saving, -len(choice.increments)))
