"""The margin rule (T16 section 4.2): top-1 minus top-2 of the scores against a threshold, raw or as softmax.

Bit exact to the margin controller: raw margins are differences of exact sums; the softmax margin is the division-free
test of hw.softmax.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.params import NumberFormat
from hw.softmax import (
    COARSE,
    FINE,
    FINE_BITS,
    FRACTION,
    LARGEST,
    ONE,
    SCORE_BITS,
    SCORE_FRACTION,
)

Scores = NDArray[np.int64]  # [images, classes], exact sums
RAW_BITS = 64


def raw_threshold(real: float, fmt: NumberFormat) -> int:
    """Register value of a threshold on raw scores: units of 2**-(2*frac), rounded half up."""
    if not math.isfinite(real) or real < 0:
        raise BadInput(f"a raw margin threshold wants a finite number of at least 0, not {real}")
    mantissa, scale = real.as_integer_ratio()
    value = ((mantissa << (2 * fmt.frac + 1)) + scale) // (2 * scale)
    if value >> RAW_BITS:
        raise BadInput(f"a raw margin threshold in {fmt} wants less than 2**{RAW_BITS - 2 * fmt.frac}, not {real}")
    return value


def softmax_threshold(theta: float) -> int:
    """Register value of a threshold on softmax scores: units of 2**-16, rounded half up."""
    if not 0 <= theta <= 1:
        raise BadInput(f"a softmax margin threshold wants a number from 0 to 1, not {theta}")
    return math.floor(theta * ONE + 0.5)


def winner(wide: Scores) -> NDArray[np.int64]:
    """First class with the largest score."""
    return np.argmax(wide, axis=1)


def raw_margin(wide: Scores) -> NDArray[np.uint64]:
    """Top-1 minus top-2; the largest register value when there is one class only."""
    if wide.shape[1] < 2:
        return np.full(len(wide), (1 << RAW_BITS) - 1, dtype=np.uint64)
    top = np.sort(wide, axis=1)[:, -2:].astype(np.uint64)  # modulo 2**64: a difference of int64 may need 64 bits
    return top[:, 1] - top[:, 0]


def softmax_terms(wide: Scores, fmt: NumberFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(second, total): e^-(z1-z2) and sum of e^-(z1-zi), with 16 fraction bits each."""
    shift = 2 * fmt.frac - SCORE_FRACTION
    high = (1 << (SCORE_BITS - 1)) - 1
    if shift >= 0:
        codes = np.clip(wide >> shift, -high - 1, high)
    else:
        codes = np.clip(np.clip(wide, -high - 1, high) << -shift, -high - 1, high)
    distance = codes.max(axis=1, keepdims=True) - codes
    near = np.minimum(distance, LARGEST - 1)
    product = np.array(COARSE)[near >> FINE_BITS] * np.array(FINE)[near & ((1 << FINE_BITS) - 1)]
    exponentials = np.where(distance >= LARGEST, 0, (product + (ONE >> 1)) >> FRACTION)
    second = np.sort(exponentials, axis=1)[:, -2] if wide.shape[1] > 1 else np.zeros(len(wide), dtype=np.int64)
    return second, exponentials.sum(axis=1)


def below(wide: Scores, threshold: int, fmt: NumberFormat, softmax: bool = False) -> NDArray[np.bool_]:
    """Which images' margins lie below the register value ``threshold``."""
    if softmax:
        second, total = softmax_terms(wide, fmt)
        return ((ONE - second) << FRACTION) < threshold * total
    return raw_margin(wide) < np.uint64(threshold)


def stops(
    wide: Sequence[Scores], thresholds: Sequence[int], fmt: NumberFormat, capacity: int, softmax: bool = False
) -> NDArray[np.int64]:
    """Increment at which each image stops: the first whose margin is not below its threshold, or ``capacity``.

    wide: scores of each increment for the same images. thresholds: register value of each increment but the last.
    """
    if not 0 <= capacity < len(wide):
        raise BadInput(f"capacity wants an increment from 0 to {len(wide) - 1}, not {capacity}")
    if len(thresholds) < capacity:
        raise BadInput(f"{capacity} thresholds are wanted for capacity {capacity}, not {len(thresholds)}")
    at = np.full(len(wide[0]), capacity, dtype=np.int64)
    for increment in reversed(range(capacity)):
        at[~below(wide[increment], thresholds[increment], fmt, softmax)] = increment
    return at
