"""Values of RTL signals, cycle by cycle: the stimulus of a gate simulation and what it is compared with."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trace:
    """bits [cycles + 1, sum of widths] of 0 and 1: row k holds the settled values of cycle k, that is from the clock
    edge that begins it to the next; row 0 is the state that the run starts from.

    places: first column and width of each signal by its path within the traced module, parts joined by ".".
    """

    places: dict[str, tuple[int, int]]
    bits: np.ndarray

    @property
    def cycles(self) -> int:
        return len(self.bits) - 1

    def of(self, name: str) -> np.ndarray:
        """Bits [cycles + 1, width], lowest first, of one signal."""
        first, width = self.places[name]
        return self.bits[:, first : first + width]
