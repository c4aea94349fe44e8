"""Slabs: the output pixels that a layer computes at a time, the input rows they meet, and how they are pooled."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from golden.network import Layer
from hw.instructions import Pool


@dataclass(frozen=True)
class Slab:
    """Output pixels of a step, before pooling: ``cols`` x ``rows`` from (x, y); rows out_y .. out_end-1 leave it."""

    x: int
    y: int
    cols: int
    rows: int
    out_y: int
    out_end: int


def rows_emitted(layer: Layer, y: int, end: int) -> tuple[int, int]:
    """Pooled rows [first, end) whose last pixel row lies in rows [y, end) of the sums."""
    if layer.pool is None:
        return y, end
    height, pooled = layer.sum_shape[1], layer.out_shape[1]
    last = [min(r * layer.pool.stride + layer.pool.size, height) - 1 for r in range(pooled)]
    first = sum(row < y for row in last)
    return first, sum(row < end for row in last)


def input_rows(layer: Layer, slab: Slab) -> tuple[int, int]:
    """Input rows [first, end) that a slab's windows meet."""
    if layer.fc:
        return 0, layer.in_shape[1]
    first = slab.y * layer.stride - layer.padding[0]
    last = (slab.y + slab.rows - 1) * layer.stride - layer.padding[0] + layer.kernel[0]
    height = layer.in_shape[1]
    start = min(max(first, 0), height - 1)
    return start, max(min(last, height), start + 1)


def slabs_of(layer: Layer, rows: int, cols: int, lead: int = 0, growth: int = 1) -> tuple[Slab, ...]:
    """Slabs of at most ``cols`` x ``rows`` pixels, in raster order. lead: rows of the first ones, 0 for as many; the
    next ones have ``growth`` times as many as those before, until they have ``rows``."""
    _, height, width = layer.sum_shape
    found: list[Slab] = []
    edges, size = [0], lead or rows
    while edges[-1] < height:
        edges.append(min(edges[-1] + size, height))
        size = min(growth * size, rows) if lead else rows
    for y, end in pairwise(edges):
        emitted = rows_emitted(layer, y, end)
        found.extend(Slab(x, y, min(cols, width - x), end - y, *emitted) for x in range(0, width, cols))
    return tuple(found)


def open_rows(layer: Layer) -> int:
    """Rows of pooling windows that are open at a time."""
    return -(-layer.pool.size // layer.pool.stride) if layer.pool is not None else 0


def pool_fields(layer: Layer, y: int) -> dict[str, Any]:
    """The pooling fields of a Compute whose sums start at row ``y``."""
    _, height, width = layer.sum_shape
    _, pool_h, pool_w = layer.out_shape
    if layer.pool is None:
        return {"pool": Pool.NONE, "out_w": width, "out_h": height, "out_y": y, "pool_w": width, "pool_h": height}
    size, stride = layer.pool.size, layer.pool.stride
    return {
        "pool": layer.pool.kind,
        "pool_size": size,
        "pool_stride": stride,
        "out_w": width,
        "out_h": height,
        "out_y": y,
        "pool_w": pool_w,
        "pool_h": pool_h,
        "pool_y": y // stride,
        "pool_phase": y % stride,
        "pool_slot": y // stride % open_rows(layer),
    }
