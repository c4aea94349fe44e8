"""How well a choice does on images it was not made on: K-fold cross-validation, with a bootstrap interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.planner.case import Case, Outcome
from golden.planner.choice import Choice, choices, choose
from golden.planner.goals import Goal
from golden.planner.levels import Score
from hw.errors import BadInput

CONFIDENCE = 0.99
RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean over images, and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Every image under the choice that was made without it. choices: of the folds, in turn."""

    choices: tuple[Choice, ...]
    drop: Estimate
    saving: Estimate
    confidence: float
    resamples: int


def folds(images: int, count: int, seed: int) -> list[NDArray[np.int64]]:
    """Numbers 0 to ``images`` in ``count`` random parts, as equal as may be."""
    if not 2 <= count <= images:
        raise BadInput(f"cross-validation wants 2 to {images} folds, not {count}")
    return [np.sort(part) for part in np.array_split(np.random.default_rng(seed).permutation(images), count)]


def cross_validate(
    case: Case, scores: Sequence[Score], goal: Goal, count: int, seed: int, step: Callable[[int], None] = lambda _: None
) -> CrossValidation:
    """Choose on all folds but one, look at that one, by turns: everything is chosen anew, N and the score too.

    step: called with the number of folds that are done.
    """
    made, drops, savings = [], [], []
    parts = folds(case.images, count, seed)
    for number, part in enumerate(parts):
        rest = np.concatenate([other for other in parts if other is not part])
        choice = choose(choices(case.part(rest), scores, goal))
        outcome = case.part(part).chain(choice.increments, choice.score.name).outcome(choice.thresholds)
        made.append(choice)
        drops.append(difference(outcome))
        savings.append(1 - outcome.paid)
        step(number + 1)
    drop, saving = bootstrap(np.concatenate(drops), np.concatenate(savings), seed)
    return CrossValidation(tuple(made), drop, saving, CONFIDENCE, RESAMPLES)


def difference(outcome: Outcome) -> NDArray[np.float64]:
    """Of every image: 1 when only the full network decides it rightly, -1 when only the outcome does, else 0."""
    return outcome.lost.astype(np.float64) - outcome.gained


def bootstrap(
    drops: NDArray[np.float64], savings: NDArray[np.float64], seed: int, resamples: int = RESAMPLES
) -> tuple[Estimate, Estimate]:  # fmt: skip
    """Means of two values of the same images, with percentile intervals: images drawn with replacement.

    Images with equal values are interchangeable, so how often each kind is drawn is drawn, not every image.
    """
    kinds, counts = np.unique(np.stack([drops, savings], 1), axis=0, return_counts=True)
    images = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, resamples)
    means = drawn @ kinds / images
    edges = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    exact = counts @ kinds / images
    drop, saving = (Estimate(float(exact[k]), float(edges[0, k]), float(edges[1, k])) for k in range(2))
    return drop, saving
