"""Levels against the margin rule of the tile: the same decisions at every threshold."""

import numpy as np
import pytest

from golden.margin import below, raw_margin, raw_threshold, softmax_threshold
from golden.planner.levels import SCORES, Score
from hw.errors import BadInput
from hw.params import NumberFormat
from hw.softmax import ONE

FORMATS = [NumberFormat(32, 16), NumberFormat(16, 10), NumberFormat(8, 3)]


def wide_scores(fmt: NumberFormat, images: int = 400) -> np.ndarray:
    """Margins from 0 to some units, ties and very large ones among them."""
    rng = np.random.default_rng(fmt.width)
    unit = 1 << (2 * fmt.frac)
    wide = (rng.normal(0, 3, (images, 10)) * unit).astype(np.int64)
    wide[:20] = 0
    wide[20:40, 0] = 60 * unit  # softmax margins of 1
    wide[40:60] = wide[40:60] // unit * unit  # margins that equal thresholds
    return wide


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("name", SCORES)
def test_a_level_is_the_least_that_escalates(fmt: NumberFormat, name: str) -> None:
    score, wide = Score(name, fmt), wide_scores(fmt)
    levels = score.levels(wide)
    assert levels.min() == 1, "no threshold is 0 below a margin"
    tried = 0
    for level in {0, 1, score.most, *np.unique(levels[levels <= score.most])[::7].tolist()}:
        escalates = below(wide, score.register(level), fmt, score.softmax)
        assert (escalates == (levels <= level)).all(), level
        tried += 1
    assert tried > 10


def test_certain_softmax_decisions_never_escalate() -> None:
    score = Score("softmax", FORMATS[0])
    levels = score.levels(wide_scores(FORMATS[0]))
    assert (levels[20:40] > score.most).all()
    assert score.register(score.most) == softmax_threshold(1.0) == ONE


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_report_turns_a_threshold_into_the_same_register(fmt: NumberFormat) -> None:
    raw, soft = Score("raw", fmt), Score("softmax", fmt)
    for level in (0, 1, 2, 777, 4096, 65_536):
        assert raw_threshold(raw.threshold(level), fmt) == raw.register(level)
        assert softmax_threshold(soft.threshold(level)) == soft.register(level)


def test_raw_thresholds_are_the_same_numbers_in_both_formats() -> None:
    for level in (1, 1463, 2918):
        assert {Score("raw", fmt).threshold(level) for fmt in FORMATS[:2]} == {level / 1024}


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_margins_in_real_units(fmt: NumberFormat) -> None:
    wide = wide_scores(fmt)
    assert (Score("raw", fmt).margins(wide) == raw_margin(wide) / 4.0**fmt.frac).all()
    found = Score("softmax", fmt).margins(wide)
    assert ((found >= 0) & (found <= 1)).all()
    terms = np.exp(wide / 4.0**fmt.frac)
    top = np.sort(terms, 1)
    assert np.allclose(found, (top[:, -1] - top[:, -2]) / terms.sum(1), atol=0.01)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(BadInput, match="score wants raw or softmax, not 'mean'"):
        Score("mean", FORMATS[0])
