"""Pooling of a Compute's results: down the rows first, then across the columns (hw.instructions.Compute).

Part of golden.interpret.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.instructions import RECIPROCAL_BITS, Compute, Pool
from hw.params import TileParams

Ints = NDArray[np.int64]


class Pooling:
    """Window rows that are open between the computes of a block: maxima or sums of every map column, by number."""

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.open: dict[int, Ints] = {}

    def take(self, c: Compute, results: Ints, count: Counter[str]) -> Ints:
        """Take rows of results [rows, cols, channels]; pooled rows [rows, pool_w, channels] that end with them."""
        p = self.p
        rows, steps = -(-c.pool_size // c.pool_stride), c.row_steps
        if rows * steps > p.pool_entries:
            raise BadInput(
                f"{rows} rows of pooling windows over {steps} steps want {rows * steps} entries, but there are "
                f"{p.pool_entries}"
            )
        if c.out_y == 0:
            self.open = {}
        found = []
        for y, row in enumerate(results, c.out_y):
            for window in range(c.pool_h):
                tap = y - window * c.pool_stride
                if not 0 <= tap < c.pool_size:
                    continue
                count["pool_update"] += row.size
                if tap == 0:
                    self.open[window] = row
                elif window not in self.open:
                    raise BadInput(f"row {y} is pooled, but the rows of its window from row {y - tap} on were not")
                else:
                    held = self.open[window]
                    self.open[window] = np.maximum(held, row) if c.pool == Pool.MAX else held + row
                if tap == c.pool_size - 1 or y == c.out_h - 1:
                    found.append(self._across(c, self.open.pop(window), tap < c.pool_size - 1, count))
        return np.array(found, dtype=np.int64).reshape(len(found), c.pool_w, c.neurons)

    def _across(self, c: Compute, row: Ints, clipped_y: bool, count: Counter[str]) -> Ints:
        found = []
        for window in range(c.pool_w):
            held = row[window * c.pool_stride : window * c.pool_stride + c.pool_size]
            count["pool_update"] += held.size
            if c.pool == Pool.MAX:
                found.append(held.max(axis=0))
                continue
            scale = c.reciprocal[int(len(held) < c.pool_size) + 2 * int(clipped_y)]
            mean = (held.sum(axis=0) * scale + (1 << (RECIPROCAL_BITS - 1))) >> RECIPROCAL_BITS
            found.append(mean.clip(self.p.fmt.low, self.p.fmt.high))
        return np.array(found)
