"""Goals: the bound of the drop by hand, and that needless escalations never help."""

import math

import numpy as np
import pytest

from golden.planner.goals import MOST_ERRORS, NEVER, MostSaving, Product, drop_bound
from hw.errors import BadInput


def bound(lost: int, gained: int, images: int, errors: float) -> float:
    return float(drop_bound(np.array(lost), np.array(gained), images, errors))


def test_bound_by_hand() -> None:
    # 12 lost, 4 gained of 998: (13 - 5) / 1000, variance (13 + 5) / 1000 - 0.008^2
    assert bound(12, 4, 998, 0) == pytest.approx(0.008)
    assert bound(12, 4, 998, 2) == pytest.approx(0.008 + 2 * math.sqrt((0.018 - 0.000064) / 1000))
    assert bound(0, 0, 9998, 1) == pytest.approx(math.sqrt(2) / 10_000)


def test_the_error_is_about_the_sampling_error_of_the_drop() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(5000, [0.02, 0.01, 0.97], 4000)
    drops = (drawn[:, 0] - drawn[:, 1]) / 5000
    assert bound(100, 50, 5000, 1) - bound(100, 50, 5000, 0) == pytest.approx(drops.std(), rel=0.05)


@pytest.mark.parametrize("errors", [0.0, 1.0, MOST_ERRORS])
def test_stopping_a_right_decision_never_raises_the_bound(errors: float) -> None:
    """What `candidates` relies on: it takes one from lost, or adds one to gained."""
    for images in (60, 10_000):
        for lost in range(30):
            for gained in range(30):
                here = bound(lost, gained, images, errors)
                assert bound(lost, gained + 1, images, errors) <= here + 1e-15
                if lost:
                    assert bound(lost - 1, gained, images, errors) <= here + 1e-15


def test_saving_under_the_limit() -> None:
    saving, lost, gained = np.array([0.9, 0.8, 0.7]), np.array([30, 20, 9]), np.array([0, 10, 0])
    values = MostSaving(0.01, 0).value(saving, lost, gained, 0.9, 998)
    assert values.tolist() == [NEVER, 0.8, 0.7]
    assert MostSaving(0.01, 1).value(saving, lost, gained, 0.9, 998).tolist() == [NEVER, NEVER, NEVER]


def test_product_by_hand() -> None:
    values = Product().value(np.array([0.5, 0.4]), np.array([10, 0]), np.array([0, 10]), 0.9, 1000)
    assert values == pytest.approx([0.5 * 0.89, 0.4 * 0.91])


def test_bad_limits_are_refused() -> None:
    with pytest.raises(BadInput, match="the accuracy drop wants a limit of 0 to 100 points, not -1"):
        MostSaving(-0.01, 1)
    with pytest.raises(BadInput, match="the accuracy drop wants a limit of 0 to 100 points, not nan"):
        MostSaving(math.nan, 1)
    with pytest.raises(BadInput, match="the accuracy drop wants 0 to 3 standard errors, not 3.5"):
        MostSaving(0.01, 3.5)
