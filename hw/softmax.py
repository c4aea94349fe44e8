"""Tables and sizes of the division-free softmax margin. Leaf: standard library only.

The softmax margin of scores z is (e^z1 - e^z2) / sum e^zi. With d_i = z1 - z_i it is below a threshold t exactly when
1 - e^-d2 < t * sum e^-di: no division. Scores are taken as codes with ``SCORE_FRACTION`` fraction bits, saturated to
``SCORE_BITS``; e^-d of d = 64 * j + k codes is COARSE[j] * FINE[k], rounded to ``FRACTION`` fraction bits.
"""

import math

FRACTION = 16
SCORE_FRACTION = 8
SCORE_BITS = 20
FINE_BITS = 6
COARSE_BITS = 6
ONE = 1 << FRACTION


def _table(step: float, size: int) -> tuple[int, ...]:
    return tuple(math.floor(ONE * math.exp(-step * index) + 0.5) for index in range(size))


FINE = _table(2.0**-SCORE_FRACTION, 1 << FINE_BITS)
COARSE = _table(2.0 ** (FINE_BITS - SCORE_FRACTION), 1 << COARSE_BITS)
LEAST_CLASSES = 16  # classes that the softmax mode has room for, on every tile
LARGEST = 1 << (FINE_BITS + COARSE_BITS)  # a distance this large counts as e^-d = 0


def score_rows(neurons: int) -> int:
    """Vectors of ``neurons`` scores that the softmax mode keeps."""
    return -(-LEAST_CLASSES // neurons)


def score_code(wide: int, frac: int) -> int:
    """Code of an exact sum with ``2 * frac`` fraction bits: floor, then saturate."""
    shift = 2 * frac - SCORE_FRACTION
    code = wide >> shift if shift >= 0 else wide << -shift
    return max(-(1 << (SCORE_BITS - 1)), min((1 << (SCORE_BITS - 1)) - 1, code))


def exponential(distance: int) -> int:
    """e^-d with ``FRACTION`` fraction bits for a distance >= 0 between two score codes."""
    if distance >= LARGEST:
        return 0
    product = COARSE[distance >> FINE_BITS] * FINE[distance & ((1 << FINE_BITS) - 1)]
    return (product + (ONE >> 1)) >> FRACTION
