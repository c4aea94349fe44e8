"""Places in SB for pieces of weights."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class SynapseRows:
    """Rows ``first`` .. ``first + size - 1`` of SB. A piece stays until its rows are given to another one.

    New pieces go where the rows have been idle the longest, so that they can be loaded early. Pieces that are kept
    (the current block's, which every slab reads again) are not replaced while there is other room.
    """

    first: int
    size: int
    computes: int = 0  # that were scheduled so far
    held: dict[object, tuple[int, int]] = field(default_factory=dict)
    kept: set[object] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._used = np.zeros(self.size, dtype=np.int64)  # number of the last compute that reads a row

    def place(self, key: object, rows: int, keep: bool) -> tuple[int, bool]:
        """(first row, whether the piece has to be loaded) for the next compute."""
        missing = key not in self.held
        if missing:
            start = self._oldest(rows)
            end = start + rows
            for other in [k for k, (a, b) in self.held.items() if a < end and start < b]:
                del self.held[other]
            self.held[key] = (start, end)
        start, end = self.held[key]
        if keep:
            self.kept.add(key)
        self._used[start:end] = self.computes + 1
        return self.first + start, missing

    def _oldest(self, rows: int) -> int:
        """Start of the ``rows`` rows that were read the longest ago."""
        used = self._used.copy()
        for key in self.kept & self.held.keys():
            start, end = self.held[key]
            used[start:end] = np.iinfo(np.int64).max
        windows = np.lib.stride_tricks.sliding_window_view(used, rows).max(axis=1)
        if windows.min() == np.iinfo(np.int64).max:  # no room beside the kept ones
            windows = np.lib.stride_tricks.sliding_window_view(self._used, rows).max(axis=1)
        return int(windows.argmin())
