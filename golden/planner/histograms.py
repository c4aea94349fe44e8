"""Score margins of right and of wrong decisions (T16 Figure 7), as histograms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = {False: 40, True: 20}  # softmax margins of wrong decisions are spread thin
BEYOND = 0.005  # share of the images that may lie beyond the last edge of unbounded margins


@dataclass(frozen=True)
class Histogram:
    """Images per bin of one increment; the last bin holds those beyond the last edge too."""

    right: tuple[int, ...]
    wrong: tuple[int, ...]


def edges(margins: Sequence[NDArray[np.float64]], softmax: bool) -> list[float]:
    """Even edges from 0, common to all increments: to 1 for softmax margins, to a round number for raw ones."""
    most = 1.0
    if not softmax:
        reach = max(float(np.quantile(values, 1 - BEYOND)) for values in margins)
        grain = 10.0 ** np.floor(np.log10(reach)) / 2 if reach > 0 else 1.0
        most = float(np.ceil(reach / grain) * grain) or 1.0
    return [float(edge) for edge in np.linspace(0, most, BINS[softmax] + 1)]


def histogram(margins: NDArray[np.float64], right: NDArray[np.bool_], at: Sequence[float]) -> Histogram:
    """Counts of right and of wrong decisions between the edges ``at``."""
    inside = np.minimum(margins, at[-1])
    counts = [np.histogram(inside[chosen], at)[0].tolist() for chosen in (right, ~right)]
    return Histogram(tuple(counts[0]), tuple(counts[1]))
