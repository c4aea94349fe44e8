"""The margin rule against its definition in Python integers and fractions."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from golden.margin import below, raw_margin, raw_threshold, softmax_terms, softmax_threshold, stops, winner
from hw.errors import BadInput
from hw.params import NumberFormat
from hw.softmax import ONE, exponential, score_code

FORMATS = [NumberFormat(32, 16), NumberFormat(16, 10), NumberFormat(8, 3)]


def _scores(seed: int, images: int, classes: int, fmt: NumberFormat) -> np.ndarray:
    rng = random.Random(seed)
    spread = 1 << rng.randint(2 * fmt.frac - 2, 2 * fmt.frac + 6)
    rows = [[rng.randint(-spread, spread) for _ in range(classes)] for _ in range(images)]
    for row in rows[::3]:
        row[rng.randrange(classes)] = max(row)  # ties at the top
    return np.array(rows, dtype=np.int64)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("classes", [2, 3, 10, 16])
def test_margins_equal_the_definition(fmt: NumberFormat, classes: int) -> None:
    wide = _scores(classes, 60, classes, fmt)
    threshold, theta = int(np.median(raw_margin(wide))), softmax_threshold(0.7)
    raw, soft = below(wide, threshold, fmt), below(wide, theta, fmt, softmax=True)
    second, total = softmax_terms(wide, fmt)
    for i, row in enumerate(wide.tolist()):
        ordered = sorted(row, reverse=True)
        assert int(raw_margin(wide)[i]) == ordered[0] - ordered[1]
        assert winner(wide)[i] == row.index(ordered[0])
        assert raw[i] == (ordered[0] - ordered[1] < threshold)
        codes = [score_code(value, fmt.frac) for value in row]
        terms = sorted((exponential(max(codes) - code) for code in codes), reverse=True)
        assert terms[0] == ONE
        assert (int(second[i]), int(total[i])) == (terms[1], sum(terms))
        assert soft[i] == ((ONE - terms[1]) << 16 < theta * sum(terms))
    assert 0 < raw.sum() < 60


def test_softmax_margin_follows_the_real_softmax() -> None:
    fmt = NumberFormat(32, 16)
    wide = _scores(7, 200, 10, fmt)
    second, total = softmax_terms(wide, fmt)
    real = wide / 2.0 ** (2 * fmt.frac)
    exponentials = np.exp(real - real.max(axis=1, keepdims=True))
    exact = (1 - np.sort(exponentials, axis=1)[:, -2]) / exponentials.sum(axis=1)
    assert np.abs((ONE - second) / total - exact).max() < 0.01


def test_extreme_scores_do_not_overflow() -> None:
    fmt = NumberFormat(32, 16)
    wide = np.array([[(1 << 62), -(1 << 62), 0], [-(1 << 62), 3, (1 << 62)]], dtype=np.int64)
    assert raw_margin(wide).tolist() == [1 << 62, (1 << 62) - 3]
    edge = np.array([[(1 << 63) - 1, -(1 << 63)]], dtype=np.int64)
    assert raw_margin(edge).tolist() == [(1 << 64) - 1]
    assert softmax_terms(edge, fmt)[0].tolist() == [0]
    assert softmax_terms(edge, NumberFormat(8, 3))[0].tolist() == [0]


def test_one_class_never_escalates() -> None:
    fmt = NumberFormat(16, 10)
    wide = np.array([[5]], dtype=np.int64)
    assert not below(wide, (1 << 64) - 1, fmt)[0]
    assert not below(wide, ONE, fmt, softmax=True)[0]
    assert winner(wide).tolist() == [0]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_thresholds_are_rounded_half_up(fmt: NumberFormat) -> None:
    for real in (0.0, 0.1, 0.5, 1 / 3, 2.0 ** (-2 * fmt.frac - 1), 7.3):
        assert raw_threshold(real, fmt) == math.floor(Fraction(real) * 4**fmt.frac + Fraction(1, 2))
    assert [softmax_threshold(theta) for theta in (0, 0.5, 1, 2.0**-17)] == [0, 1 << 15, 1 << 16, 1]


def test_an_equal_margin_stops() -> None:
    fmt = NumberFormat(16, 10)
    unit = 1 << 20
    wide = np.array([[unit, 0], [unit - 1, 0], [0, unit + 1]], dtype=np.int64)
    assert below(wide, raw_threshold(1.0, fmt), fmt).tolist() == [False, True, False]


def test_stops_at_the_first_increment_that_is_sure_or_at_capacity() -> None:
    fmt = NumberFormat(16, 10)
    unit = 1 << 20
    wide = [
        np.array([[a * unit, 0] for a in row], dtype=np.int64) for row in ([3, 0, 0, 1], [0, 3, 0, 1], [0, 0, 0, 0])
    ]
    thresholds = [raw_threshold(2.0, fmt), raw_threshold(0.5, fmt)]
    assert stops(wide, thresholds, fmt, capacity=2).tolist() == [0, 1, 2, 1]
    assert stops(wide, thresholds, fmt, capacity=1).tolist() == [0, 1, 1, 1]
    assert stops(wide, thresholds, fmt, capacity=0).tolist() == [0, 0, 0, 0]


def test_refusals() -> None:
    fmt = NumberFormat(32, 16)
    with pytest.raises(BadInput, match="a raw margin threshold wants a finite number of at least 0, not -0.5"):
        raw_threshold(-0.5, fmt)
    with pytest.raises(BadInput, match=r"a raw margin threshold in <32,16> wants less than 2\*\*32, not 5000000000.0"):
        raw_threshold(5e9, fmt)
    with pytest.raises(BadInput, match="a softmax margin threshold wants a number from 0 to 1, not 1.5"):
        softmax_threshold(1.5)
    with pytest.raises(BadInput, match="a softmax margin threshold wants a number from 0 to 1, not nan"):
        softmax_threshold(float("nan"))
    wide = [np.zeros((1, 2), dtype=np.int64)] * 2
    with pytest.raises(BadInput, match="capacity wants an increment from 0 to 1, not 2"):
        stops(wide, [0], fmt, capacity=2)
    with pytest.raises(BadInput, match="1 thresholds are wanted for capacity 1, not 0"):
        stops(wide, [], fmt, capacity=1)
