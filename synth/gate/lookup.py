"""Many Liberty tables looked up at once."""

import numpy as np

from synth.gate.library import Table


class Tables:
    """Tables of any sizes by number; ``at`` interpolates them linearly in both axes and goes on linearly beyond them.

    ``add`` gives a table its number; the same table object keeps one number.
    """

    def __init__(self) -> None:
        self._tables: list[Table] = []
        self._numbers: dict[int, int] = {}
        self._arrays: tuple[np.ndarray, ...] | None = None

    def add(self, table: Table) -> int:
        if id(table) not in self._numbers:
            self._numbers[id(table)] = len(self._tables)
            self._tables.append(table)  # kept, so that its id stays its own
            self._arrays = None
        return self._numbers[id(table)]

    def _padded(self) -> tuple[np.ndarray, ...]:
        """Axes padded by infinity, which is never reached; an axis of one point becomes two equal ones."""
        if self._arrays is None:
            most_slews = max([2] + [len(table.slews_ns) for table in self._tables])
            most_loads = max([2] + [len(table.loads_pf) for table in self._tables])
            slews = np.full((len(self._tables), most_slews), np.inf)
            loads = np.full((len(self._tables), most_loads), np.inf)
            values = np.zeros((len(self._tables), most_slews, most_loads))
            for number, table in enumerate(self._tables):
                x, y, z = table.slews_ns, table.loads_pf, table.values
                if len(x) == 1:
                    x, z = np.array([0.0, 1.0]), np.repeat(z, 2, axis=0)
                if len(y) == 1:
                    y, z = np.array([0.0, 1.0]), np.repeat(z, 2, axis=1)
                slews[number, : len(x)], loads[number, : len(y)] = x, y
                values[number, : len(x), : len(y)] = z
            last_slews = np.sum(np.isfinite(slews), axis=1) - 2
            last_loads = np.sum(np.isfinite(loads), axis=1) - 2
            self._arrays = (slews, loads, values, last_slews, last_loads)
        return self._arrays

    def at(self, numbers: np.ndarray, slews_ns: np.ndarray, loads_pf: np.ndarray) -> np.ndarray:
        """Values [n] of tables ``numbers`` [n] at ``slews_ns`` [n] and ``loads_pf`` [n]."""
        slews, loads, values, last_slews, last_loads = self._padded()
        i, u = _segment(slews[numbers], last_slews[numbers], slews_ns)
        j, v = _segment(loads[numbers], last_loads[numbers], loads_pf)
        low = values[numbers, i, j] * (1 - v) + values[numbers, i, j + 1] * v
        high = values[numbers, i + 1, j] * (1 - v) + values[numbers, i + 1, j + 1] * v
        return low * (1 - u) + high * u


def _segment(axis: np.ndarray, last: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the interval of each row of ``axis`` that holds or is next to ``at``, and the place in it (0 to 1)."""
    k = np.minimum(np.sum(axis[:, 1:] <= at[:, None], axis=1), last)
    rows = np.arange(len(axis))
    low, high = axis[rows, k], axis[rows, k + 1]
    return k, (at - low) / (high - low)
