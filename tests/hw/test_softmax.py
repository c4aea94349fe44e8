"""Tables of the softmax margin against real exponentials."""

import math
import random

from hw.softmax import (
    COARSE,
    FINE,
    FRACTION,
    LARGEST,
    ONE,
    SCORE_BITS,
    SCORE_FRACTION,
    exponential,
    score_code,
)


def test_tables_are_rounded_exponentials() -> None:
    assert len(FINE) == len(COARSE) == 64
    assert FINE[0] == COARSE[0] == ONE == 1 << FRACTION
    assert [round(math.exp(-k / 256) * ONE) for k in range(64)] == list(FINE)
    assert [round(math.exp(-k / 4) * ONE) for k in range(64)] == list(COARSE)


def test_the_exponential_is_within_two_units_and_falls() -> None:
    """Half a unit of each table, half of the product's rounding: below 1.5 units of 2**-16, over every distance."""
    worst = max(abs(exponential(d) - math.exp(-d / (1 << SCORE_FRACTION)) * ONE) for d in range(LARGEST + 1))
    assert worst < 1.5
    assert exponential(0) == ONE
    assert exponential(LARGEST) == exponential(10 * LARGEST) == 0
    assert all(exponential(d + 1) <= exponential(d) for d in range(LARGEST))


def test_score_codes_floor_and_saturate() -> None:
    rng = random.Random(7)
    edge = 1 << (SCORE_BITS - 1)
    for frac in (0, 2, 4, 10, 16):
        for _ in range(200):
            wide = rng.randint(-(1 << 60), 1 << 60) >> rng.randrange(60)
            real = math.floor(wide * 2.0 ** (SCORE_FRACTION - 2 * frac)) if abs(wide) < 1 << 52 else None
            code = score_code(wide, frac)
            if real is not None:
                assert code == min(max(real, -edge), edge - 1)
            else:
                assert code == (edge - 1 if wide > 0 else -edge)
