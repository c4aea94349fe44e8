"""What a choice is made on: margins and decisions of every increment on the same images, and what runs cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.planner.costs import Costs
from golden.planner.levels import Levels, Score
from golden.planner.validation import Validation


@dataclass(frozen=True, eq=False)
class Case:
    """levels: [increments, images] by name of the score. right: [increments, images]. costs: of the same increments."""

    levels: Mapping[str, Levels]
    right: NDArray[np.bool_]
    costs: Costs

    @classmethod
    def of(cls, found: Validation, scores: Sequence[Score], costs: Costs) -> "Case":
        levels = {score.name: np.array([score.levels(wide) for wide in found.scores]) for score in scores}
        return cls(levels, found.right(), costs)

    @property
    def images(self) -> int:
        return self.right.shape[1]

    @property
    def full_cost(self) -> float:
        """Of an image on the last increment alone: what a saving is a share of."""
        return self.costs.alone[-1]

    @property
    def full_accuracy(self) -> float:
        return float(np.mean(self.right[-1]))

    def part(self, images: NDArray[np.int64]) -> "Case":
        """The same for some of the images."""
        levels = {name: values[:, images] for name, values in self.levels.items()}
        return Case(levels, self.right[:, images], self.costs)

    def chain(self, subset: Sequence[int], score: str) -> "Chain":
        """A run through the increments ``subset``, whose last one is the full network."""
        rows = list(subset)
        paid = np.array(self.costs.paid(rows)) / self.full_cost
        return Chain(self.levels[score][rows[:-1]], self.right[rows], paid)


@dataclass(frozen=True, eq=False)
class Chain:
    """levels: [stages - 1, images]. right: [stages, images]. paid: [stages], share of the full network's cost that a
    run has cost when it stops at each stage; it rises."""

    levels: Levels
    right: NDArray[np.bool_]
    paid: NDArray[np.float64]

    @property
    def images(self) -> int:
        return self.right.shape[1]

    def lost(self) -> NDArray[np.bool_]:
        """[stages, images]: only the full network is right."""
        return self.right[-1] & ~self.right

    def gained(self) -> NDArray[np.bool_]:
        """[stages, images]: only this stage is right."""
        return self.right & ~self.right[-1]

    def stops(self, thresholds: Sequence[int]) -> NDArray[np.int64]:
        """Stage [images] at which each image stops under ``thresholds`` (levels, of every stage but the last)."""
        at = np.full(self.images, len(self.right) - 1, dtype=np.int64)
        for stage in reversed(range(len(thresholds))):
            at[self.levels[stage] > thresholds[stage]] = stage
        return at

    def outcome(self, thresholds: Sequence[int]) -> "Outcome":
        at = self.stops(thresholds)
        every = np.arange(self.images)
        return Outcome(at, self.right[at, every], self.lost()[at, every], self.gained()[at, every], self.paid[at])


@dataclass(frozen=True, eq=False)
class Outcome:
    """Image by image, [images] each: stage at which it stopped; whether the decision is right, and is right only on the
    full network (lost) or only here (gained); share of the full network's cost that it paid."""

    stops: NDArray[np.int64]
    right: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    gained: NDArray[np.bool_]
    paid: NDArray[np.float64]

    @property
    def saving(self) -> float:
        return 1 - float(np.mean(self.paid))

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.right))

    @property
    def drop(self) -> float:
        """Accuracy of the full network less this one's."""
        return float(np.mean(self.lost)) - float(np.mean(self.gained))
