"""What the equations of T16 predict for a chain of increments, beside what Algorithm 3 gives image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.planner.case import Chain
from golden.planner.equations import (
    expected_accuracy,
    expected_cost,
    ideal_stops,
    printed_accuracy,
    stop_probability,
)


@dataclass(frozen=True)
class Predicted:
    """Per increment of a chain. correct: P(f_i correct). right_above, wrong_above: P(SM_i > theta_i | right or wrong),
    1 for the last. stop: equation 2. cost, accuracy, accuracy_as_printed: equations 1 and 3; cost is a share of the
    full network's. redo: probability that the first increment is not the last one run."""

    correct: tuple[float, ...]
    right_above: tuple[float, ...]
    wrong_above: tuple[float, ...]
    stop: tuple[float, ...]
    cost: float
    accuracy: float
    accuracy_as_printed: float
    redo: float


def predicted(chain: Chain, thresholds: Sequence[int]) -> Predicted:
    """The equations with the probabilities counted on the chain's images; each increment over all of them."""
    correct = [float(share) for share in chain.right.mean(1)]
    right_above: list[float] = []
    wrong_above: list[float] = []
    for stage, threshold in enumerate(thresholds):
        above = chain.levels[stage] > threshold
        for chosen, into in ((chain.right[stage], right_above), (~chain.right[stage], wrong_above)):
            into.append(float(above[chosen].mean()) if chosen.any() else 0.0)
    counted = zip(correct[:-1], right_above, wrong_above, strict=True)
    stop = [*(stop_probability(*each) for each in counted), 1.0]
    return Predicted(
        tuple(correct),
        (*right_above, 1.0),
        (*wrong_above, 1.0),
        tuple(stop),
        expected_cost([float(share) for share in chain.paid], stop),
        expected_accuracy(correct, right_above, stop),
        printed_accuracy(correct, right_above, stop),
        1 - stop[0],
    )


def ideal_cost(chain: Chain) -> float:
    """Equation 1 under T16's assumption for the choice of N and the fractions (`equations.ideal_stops`)."""
    paid = [float(share) for share in chain.paid]
    return expected_cost(paid, ideal_stops([float(share) for share in np.mean(chain.right, 1)]))
