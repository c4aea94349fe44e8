"""The thresholds of a chain of increments that serve a goal best, over all thresholds there are.

Which thresholds have to be tried: raising one past an image costs, and can only help where the stage's decision on that
image is wrong and a later stage's is right. So the best thresholds are 0 or lie just past such an image, and among
those the search is exact: every combination is evaluated, by counts over a grid instead of over images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from golden.planner.case import Chain
from golden.planner.goals import Goal, Numbers

MOST_CELLS = 1 << 25  # combinations that are evaluated at once; more are thinned out first and then mended pair by pair
Lists = Sequence[NDArray[np.int64]]


@dataclass(frozen=True)
class Found:
    """thresholds: levels. value: of the goal. saving. exact: every combination was tried."""

    thresholds: tuple[int, ...]
    value: float
    saving: float
    exact: bool = True


def candidates(chain: Chain, stage: int, most: int) -> NDArray[np.int64]:
    """Levels that the threshold of a stage may best have, rising, from 0 on (no image escalates)."""
    rescued = ~chain.right[stage] & chain.right[stage + 1 :].any(0)
    levels = np.unique(chain.levels[stage][rescued])
    return np.concatenate([[0], levels[levels <= most]])


def search(chain: Chain, goal: Goal, most: int, cells: int = MOST_CELLS) -> Found | None:
    """The best thresholds; None where the goal allows none. most: the largest level a register takes."""
    if len(chain.right) == 1:
        return Found((), 0.0, 1 - float(chain.paid[0]))
    lists = [candidates(chain, stage, most) for stage in range(len(chain.levels))]
    if math.prod(map(len, lists)) <= cells:
        return best(chain, lists, goal)
    share = (cells / math.prod(map(len, lists))) ** (1 / len(lists))
    found = best(chain, [_thinned(levels, max(2, int(len(levels) * share))) for levels in lists], goal)
    while found is not None:
        mended = found
        for free in combinations(range(len(lists)), min(2, len(lists) - 1)):
            fixed = [np.array([level]) for level in mended.thresholds]
            tried = best(chain, [lists[k] if k in free else fixed[k] for k in range(len(lists))], goal)
            if tried is not None and (tried.value, tried.saving) > (mended.value, mended.saving):
                mended = tried
        if mended is found:
            return Found(found.thresholds, found.value, found.saving, exact=False)
        found = mended
    return None


def _thinned(levels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return levels[np.unique(np.linspace(0, len(levels) - 1, count).round().astype(int))]


def best(chain: Chain, lists: Lists, goal: Goal) -> Found | None:
    """The best of all combinations of one threshold out of each list (rising levels, one list a stage but the last).

    Of equal ones that with the higher accuracy, then with the lower thresholds.
    """
    grid = _Grid(chain, lists, goal)
    found: tuple[float, float, tuple[int, ...], float] | None = None
    for head in product(*(range(len(levels)) for levels in lists[:-2])):
        tried = grid.tail(head)
        if tried is not None and (found is None or tried[:2] > found[:2]):
            found = tried
    return None if found is None else Found(found[2], found[0], found[3])


class _Grid:
    """All thresholds of the last two stages at once, those before given. place: number of the first threshold of the
    stage's list under which an image escalates."""

    def __init__(self, chain: Chain, lists: Lists, goal: Goal) -> None:
        self.chain, self.lists, self.goal = chain, lists, goal
        self.place = [np.searchsorted(levels, row) for levels, row in zip(lists, chain.levels, strict=True)]
        self.lost, self.gained = chain.lost(), chain.gained()
        self.steps = np.diff(chain.paid)
        self.full_accuracy = float(np.mean(chain.right[-1]))

    def tail(self, head: tuple[int, ...]) -> tuple[float, float, tuple[int, ...], float] | None:
        """(value, accuracy gained, thresholds, saving) of the best combination that begins with ``head``."""
        chain, images = self.chain, self.chain.images
        reach = np.ones(images, dtype=bool)
        lost = gained = 0
        paid = images * float(chain.paid[0])
        for stage, number in enumerate(head):
            stopped = reach & (self.place[stage] > number)
            lost, gained = lost + int(self.lost[stage][stopped].sum()), gained + int(self.gained[stage][stopped].sum())
            reach &= ~stopped
            paid += float(self.steps[stage]) * int(reach.sum())
        first, last = len(head), len(self.lists) - 1
        if first == last:  # one threshold only: a plane of one row, which every image reaches free of cost
            place, rows, step = np.zeros(images, dtype=np.int64), 1, 0.0
            weights = np.zeros((2, images), dtype=bool)
        else:
            place, rows, step = self.place[first], len(self.lists[first]), float(self.steps[first])
            weights = np.array([self.lost[first], self.gained[first]])
        plane = _Plane(place[reach], rows, self.place[last][reach], len(self.lists[last]))
        left_lost = lost + plane.stopped(weights[0][reach]) + plane.left(self.lost[last][reach])
        left_gained = gained + plane.stopped(weights[1][reach]) + plane.left(self.gained[last][reach])
        cost = paid + step * plane.reached() + float(self.steps[last]) * plane.passed()
        saving: Numbers = 1 - cost / images
        value = self.goal.value(saving, left_lost, left_gained, self.full_accuracy, images)
        most = float(value.max())
        if most == -np.inf:
            return None
        accuracy = np.where(value == most, left_gained - left_lost, -np.inf)
        row, column = divmod(int(accuracy.argmax()), accuracy.shape[1])
        numbers = [*head, column] if first == last else [*head, row, column]
        thresholds = tuple(int(levels[number]) for levels, number in zip(self.lists, numbers, strict=True))
        return most, float(accuracy[row, column]), thresholds, float(saving[row, column])


class _Plane:
    """Counts over images by row and column: numbers of the thresholds of two stages under which they escalate, as many
    as there are thresholds where none does."""

    def __init__(
        self, rows: NDArray[np.int64], row_count: int, columns: NDArray[np.int64], column_count: int
    ) -> None:  # fmt: skip
        self.place, self.row_count, self.columns, self.column_count = rows, row_count, columns, column_count

    def reached(self) -> NDArray[np.int64]:
        """[rows, 1]: images that escalate at the first stage."""
        return np.bincount(self.place, minlength=self.row_count + 1).cumsum()[:-1, None]

    def stopped(self, weight: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[rows, 1]: images of ``weight`` that stop at the first stage."""
        sums = np.bincount(self.place[weight], minlength=self.row_count + 1).cumsum()
        return (sums[-1] - sums[:-1])[:, None]

    def passed(self) -> NDArray[np.int64]:
        """[rows, columns]: images that escalate at both stages."""
        return self._sums(np.ones(len(self.place), dtype=bool))[:, :-1]

    def left(self, weight: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[rows, columns]: images of ``weight`` that escalate at the first stage and stop at the second."""
        sums = self._sums(weight)
        return sums[:, -1:] - sums[:, :-1]

    def _sums(self, weight: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[rows, columns + 1]: images of ``weight`` that escalate at both; last column: whatever the second does."""
        shape = self.row_count + 1, self.column_count + 1
        place = (self.place * shape[1] + self.columns)[weight]
        return np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape).cumsum(0).cumsum(1)[:-1]
