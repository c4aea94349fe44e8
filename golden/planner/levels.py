"""Margins and thresholds as whole numbers: exact comparisons, and only thresholds that a report can state exactly.

A threshold is a level times the score's step. The level of a margin is the least one whose threshold it lies below.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.margin import Scores, raw_margin, softmax_terms
from hw.errors import BadInput
from hw.params import NumberFormat
from hw.softmax import FRACTION, ONE

RAW_STEPS = 1024  # a raw threshold is a multiple of 1/1024: the same number in <16,10> and in <32,16>
SCORES = ("raw", "softmax")
Levels = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """A kind of margin in a number format. name: raw or softmax. step: register units of a level."""

    name: str
    fmt: NumberFormat

    def __post_init__(self) -> None:
        if self.name not in SCORES:
            raise BadInput(f"score wants {' or '.join(SCORES)}, not {self.name!r}")

    @property
    def softmax(self) -> bool:
        return self.name == "softmax"

    @property
    def step(self) -> int:
        """Register units of a level; a raw one is 2**-(2*frac), a softmax one 2**-16."""
        return 1 if self.softmax else max(1, (1 << (2 * self.fmt.frac)) // RAW_STEPS)

    @property
    def _unit(self) -> int:
        return ONE if self.softmax else 1 << (2 * self.fmt.frac)

    @property
    def most(self) -> int:
        """The largest level whose threshold the register takes."""
        return ONE if self.softmax else ((1 << 63) - 1) // self.step

    def levels(self, wide: Scores) -> Levels:
        """Least level [images] under which each image escalates; more than ``most`` where none does."""
        return np.minimum(self._exact(wide)[0] // self.step, self.most) + 1

    def margins(self, wide: Scores) -> NDArray[np.float64]:
        """Margins [images] in the score's own units, for pictures."""
        whole, rest = self._exact(wide)
        return (whole + rest) / self._unit

    def threshold(self, level: int) -> float:
        """The threshold of a level in the score's own units."""
        return int(level) * self.step / self._unit

    def register(self, level: int) -> int:
        """The register value of a level's threshold."""
        return int(level) * self.step

    def _exact(self, wide: Scores) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Margins [images] in register units: whole part and rest. A margin is below a threshold when that is at least
        its whole part and 1, whatever the rest."""
        if not self.softmax:
            return np.minimum(raw_margin(wide), np.uint64((1 << 63) - 1)).astype(np.int64), np.zeros(len(wide))
        second, total = softmax_terms(wide, self.fmt)
        whole, rest = np.divmod((ONE - second) << FRACTION, total)
        return whole, rest / total
