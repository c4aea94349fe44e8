"""Sums that stay in their accumulators, leave as limbs, and are made of limbs again: for hand-made programs."""

import random
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw.instructions import UNUSED, Compute, Pool
from hw.isa import isa
from hw.params import TileParams
from tests.golden.maps import Map, random_place

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Restored:
    """Sums [neurons, rows, cols] as limbs of the same shape, the lowest digits first; where their maps lie and end."""

    wide: Ints
    limbs: tuple[Ints, ...]
    cells: tuple[int, ...]
    end: int
    place: Map
    columns: int


def restored(
    rng: random.Random, p: TileParams, shape: tuple[int, int, int], groups: int, first_cell: int
) -> Restored | None:  # fmt: skip
    """Random sums as limbs behind ``first_cell``; now and then none, or none that fit."""
    neurons, rows, cols = shape
    bits = rng.randint(4, p.accumulator_width - 2)
    count = min(-(-bits // (p.fmt.width - 1)) + rng.randrange(2), 1 + isa(p).shifts)
    columns = -(-(p.cell_words - 1 + groups) // p.cell_words)
    if rng.random() < 0.4 or columns >= UNUSED:
        return None
    place = random_place(rng, p, Map(1, 1, -(-cols // p.cell_words), 0), neurons, columns, 0, rows)
    if place is None:
        return None
    *cells, end = (first_cell + k * neurons * place.plane for k in range(count + 1))
    if end > p.nbin_rows * p.banks:
        return None
    wide = np.array([rng.randrange(-(1 << bits), 1 << bits) for _ in range(neurons * rows * cols)]).reshape(shape)
    limbs = tuple(_digit(wide, k + 1, k == count - 1, p) for k in range(count))
    return Restored(wide, limbs, tuple(cells), end, place, columns)


def _digit(wide: Ints, number: int, top: bool, p: TileParams) -> Ints:
    """A limb of sums; a topmost one that fits no word is cut to one."""
    cut = np.array([p.fmt.limb(int(value), number, top) for value in wide.reshape(-1)]).reshape(wide.shape)
    half = 1 << (p.fmt.width - 1)
    return (cut + half) % (2 * half) - half if top else cut


def kept_ways(c: Compute, p: TileParams) -> Counter[str]:
    """What of the ways to keep and restore sums a compute has; every way is named."""
    found = {
        "sums that stay": c.hold,
        "sums that stay when pooled": c.hold and c.pool != Pool.NONE,
        "left again": not c.last_lanes,
        "lines for sums that stayed": c.wait_written > 0 and c.last_lanes > 0,
        "started at zero": c.zero,
    }
    for limb in range(1, 1 + isa(p).limbs):
        found |= {f"limb {limb}": c.limb == limb and not c.limb_top, f"top limb {limb}": c.limb == limb and c.limb_top}
    found |= {f"restored limb {shift + 1}": c.shift == shift for shift in range(1, 1 + isa(p).shifts)}
    return Counter({name: int(way) for name, way in found.items()})


def pooled(c: Compute) -> Compute:
    """The compute with max pooling 2/2 of whole windows, where there is one, else 1/1."""
    size = 2 if min(c.rows, c.cols) > 1 else 1
    return replace(
        c, pool=Pool.MAX, pool_size=size, pool_stride=size, out_w=c.cols, out_h=c.rows, pool_w=c.cols // size,
        pool_h=c.rows // size, to_cols=c.cols // size,
    )  # fmt: skip


def left_as(c: Compute, wide: Ints, p: TileParams) -> Ints:
    """What NFU-3 and pooling make of sums [channels, rows, cols]."""
    if c.limb:
        return _digit(wide, c.limb, bool(c.limb_top), p)
    words = ((wide + p.fmt.half) >> p.fmt.frac).clip(0 if c.relu else p.fmt.low, p.fmt.high)
    if c.pool == Pool.NONE:
        return words
    size, found = c.pool_size, words[:, : c.pool_h * c.pool_size, : c.pool_w * c.pool_size]
    return found.reshape(len(found), c.pool_h, size, c.pool_w, size).max(axis=(2, 4))
