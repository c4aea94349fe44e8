"""Equations 1 to 4 of T16 (Tann et al. 2016, section 4.2), each as a function.

Increments are counted from 0. stop: P(SM_i > theta_i | f_i) per increment, 1 for the last, which has no threshold. A
margin that equals its threshold stops, here as on the tile: the probabilities "above" are those of SM >= theta.
"""

from collections.abc import Sequence

from hw.errors import BadInput


def expected_cost(paid: Sequence[float], stop: Sequence[float]) -> float:
    """Equation 1: expected cost E of an image.

    paid: what a run that stops at the increment has cost in all. T16's sum of f_j over j <= i is
    ``itertools.accumulate(fractions)``: every increment that is passed is paid whole. Energies or MACs in place of
    fractions, and less than a whole increment where work is kept, go in the same way. The probability of stopping at
    an increment is taken as the rise of ``stop`` over the increment before.
    """
    _same_length(paid=paid, stop=stop)
    return sum(cost * (after - before) for cost, before, after in zip(paid, [0.0, *stop], stop, strict=False))


def stop_probability(correct: float, right_above: float, wrong_above: float) -> float:
    """Equation 2: P(SM_i > theta_i | f_i), from the increment's accuracy ``correct`` and the shares of its right and of
    its wrong decisions whose margin is above the threshold."""
    return correct * right_above + (1 - correct) * wrong_above


def expected_accuracy(correct: Sequence[float], right_above: Sequence[float], stop: Sequence[float]) -> float:
    """Equation 3: expected accuracy net_acc = T_1, for the events it describes: an increment stops and is right, or it
    does not stop and the rest decides,

        T_i = P(f_i correct) P(SM_i > theta_i | f_i correct) + P(SM_i < theta_i) T_(i+1),    T_N = P(f_N correct).

    T16 prints the first term as P(SM_i < theta_i | f_i correct), which grows where the accuracy falls:
    `printed_accuracy`. correct: accuracies. right_above: as in equation 2, of every increment but the last.
    """
    _same_length(correct=correct, stop=stop, right_above=[*right_above, 1.0])
    found = correct[-1]
    for right, above, final in zip(correct[-2::-1], right_above[::-1], stop[-2::-1], strict=True):
        found = right * above + (1 - final) * found
    return found


def printed_accuracy(correct: Sequence[float], right_above: Sequence[float], stop: Sequence[float]) -> float:
    """Equation 3 as T16 prints it, with T_i = P(SM_i < theta_i | f_i correct) + P(SM_i < theta_i) T_(i+1)."""
    _same_length(correct=correct, stop=stop, right_above=[*right_above, 1.0])
    found = correct[-1]
    for above, final in zip(right_above[::-1], stop[-2::-1], strict=True):
        found = (1 - above) + (1 - final) * found
    return found


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Equation 4: argmin over [E, 1 - net_acc]. Two aims have no single minimum: the numbers of those ``points`` that
    no other point beats in one aim without losing in the other."""

    def beaten(cost: float, wrong: float) -> bool:
        return any(e <= cost and w <= wrong and (e, w) != (cost, wrong) for e, w in points)

    return [number for number, point in enumerate(points) if not beaten(*point)]


def ideal_stops(correct: Sequence[float]) -> list[float]:
    """P(SM_i > theta_i | f_i) under the assumption that T16 chooses N and the fractions by: a margin is above its
    threshold exactly when the decision is right, so that equation 2 gives the accuracy. The last increment always
    stops."""
    return [*correct[:-1], 1.0]


def _same_length(**lists: Sequence[float]) -> None:
    if len({len(values) for values in lists.values()}) != 1 or not all(lists.values()):
        raise BadInput(f"the equations want a value per increment, not { ({k: len(v) for k, v in lists.items()}) }")
