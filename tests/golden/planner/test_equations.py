"""T16's equations against small cases worked out by hand."""

from itertools import accumulate

import pytest

from golden.planner.equations import (
    expected_accuracy,
    expected_cost,
    front,
    ideal_stops,
    printed_accuracy,
    stop_probability,
)
from golden.planner.predicted import ideal_cost, predicted
from hw.errors import BadInput
from tests.golden.planner import made


def test_equation_1_by_hand() -> None:
    # f = 0.25 and 1: 80 % stop at 0.25, the others have paid 0.25 + 1
    assert expected_cost(list(accumulate([0.25, 1.0])), [0.8, 1.0]) == pytest.approx(0.25 * 0.8 + 1.25 * 0.2)
    # f = 0.25, 0.5, 1: sums 0.25, 0.75, 1.75; stop 0.5, then 0.75 of all, then all
    three = expected_cost(list(accumulate([0.25, 0.5, 1.0])), [0.5, 0.75, 1.0])
    assert three == pytest.approx(0.25 * 0.5 + 0.75 * 0.25 + 1.75 * 0.25)
    assert expected_cost([1.0], [1.0]) == 1.0


def test_equation_2_by_hand() -> None:
    assert stop_probability(0.9, 0.8, 0.1) == pytest.approx(0.73)
    assert stop_probability(0.9, 1.0, 0.0) == pytest.approx(0.9)  # T16's assumption


def test_equation_3_by_hand() -> None:
    # T_2 = 0.95; T_1 = 0.9 * 0.8 + (1 - 0.73) * 0.95
    assert expected_accuracy([0.9, 0.95], [0.8], [0.73, 1.0]) == pytest.approx(0.72 + 0.27 * 0.95)
    # T_3 = 0.99; T_2 = 0.95 * 0.9 + 0.1 * 0.99 = 0.954; T_1 = 0.9 * 0.8 + 0.27 * 0.954
    assert expected_accuracy([0.9, 0.95, 0.99], [0.8, 0.9], [0.73, 0.9, 1.0]) == pytest.approx(0.72 + 0.27 * 0.954)
    assert expected_accuracy([0.9], [], [1.0]) == 0.9


def test_equation_3_as_printed_by_hand() -> None:
    assert printed_accuracy([0.9, 0.95], [0.8], [0.73, 1.0]) == pytest.approx(0.2 + 0.27 * 0.95)
    assert printed_accuracy([0.9], [], [1.0]) == 0.9
    # It falls when more right decisions stop: not what an accuracy does
    assert printed_accuracy([0.9, 0.95], [0.9], [0.82, 1.0]) < printed_accuracy([0.9, 0.95], [0.8], [0.73, 1.0])


def test_equation_4_keeps_what_nothing_beats() -> None:
    assert front([(0.5, 0.1), (0.2, 0.2), (0.5, 0.2), (0.1, 0.4), (0.3, 0.2)]) == [0, 1, 3]
    assert front([(0.5, 0.1), (0.5, 0.1)]) == [0, 1]


def test_ideal_margins_stop_the_right_ones() -> None:
    assert ideal_stops([0.9, 0.95, 0.97]) == [0.9, 0.95, 1.0]
    assert ideal_stops([0.9]) == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_two_increments_cost_what_equations_1_and_2_say(seed: int) -> None:
    """With one threshold the equations leave nothing out: they equal Algorithm 3 image by image."""
    chain = made.chain(200, 2, seed)
    for threshold in (0, 2, 4, 6):
        outcome, said = chain.outcome([threshold]), predicted(chain, [threshold])
        assert said.cost == pytest.approx(1 - outcome.saving)
        assert said.stop[0] == pytest.approx((outcome.stops == 0).mean())
        assert said.redo == pytest.approx((outcome.stops > 0).mean())
        above = chain.levels[0] > threshold
        assert said.right_above[0] == pytest.approx(above[chain.right[0]].mean())
        assert said.wrong_above[0] == pytest.approx(above[~chain.right[0]].mean())


def test_ideal_cost_of_two_increments() -> None:
    chain = made.chain(200, 2, 1)
    accuracy = float(chain.right[0].mean())
    assert ideal_cost(chain) == pytest.approx(chain.paid[0] * accuracy + chain.paid[1] * (1 - accuracy))


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(BadInput, match="want a value per increment, not {'paid': 2, 'stop': 1}"):
        expected_cost([1.0, 2.0], [1.0])
    with pytest.raises(BadInput, match="want a value per increment"):
        expected_accuracy([0.9, 0.9], [], [0.5, 1.0])
    with pytest.raises(BadInput, match="want a value per increment"):
        printed_accuracy([], [], [])
