"""Slabs: pixels, pooled rows and input rows, by brute force over windows."""

import random

import torch

from golden.mapping.slabs import input_rows, open_rows, pool_fields, rows_emitted, slabs_of
from golden.network import Layer, Pooling
from hw.instructions import Pool


def random_layer(rng: random.Random) -> Layer:
    kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), rng.randint(1, 3)
    padding = rng.randint(0, kernel[0] // 2), rng.randint(0, kernel[1] // 2)
    height, width = (k + rng.randint(0, 9) for k in kernel)
    sums = [(n + 2 * pad - k) // stride + 1 for n, pad, k in zip((height, width), padding, kernel, strict=True)]
    size = rng.randint(1, 3)
    pool = Pooling(Pool.MAX, size, rng.randint(1, 4), rng.random() < 0.5) if size <= min(sums) else None
    return Layer(
        name="a", fc=False, weight=torch.zeros(1, 1, *kernel, dtype=torch.int64),
        bias=torch.zeros(1, dtype=torch.int64), kernel=kernel, stride=stride, padding=padding, relu=False, pool=pool,
        in_shape=(1, height, width), sum_shape=(1, sums[0], sums[1]),
    )  # fmt: skip


def test_slabs_cover_every_pixel_and_emit_every_row_once() -> None:
    rng = random.Random(1)
    pooled = 0
    for _ in range(200):
        layer = random_layer(rng)
        _, height, width = layer.sum_shape
        slabs = slabs_of(layer, rng.randint(1, height), rng.randint(1, width) if layer.pool is None else width)
        pixels = [(y, x) for s in slabs for y in range(s.y, s.y + s.rows) for x in range(s.x, s.x + s.cols)]
        assert sorted(pixels) == [(y, x) for y in range(height) for x in range(width)]
        out = [row for s in slabs if s.x == 0 for row in range(s.out_y, s.out_end)]
        assert out == list(range(layer.out_shape[1]))
        for s in slabs:
            assert (s.out_y, s.out_end) == rows_emitted(layer, s.y, s.y + s.rows)
            for row in range(s.out_y, s.out_end):  # the row's last sums are in this slab
                last = row
                if layer.pool is not None:
                    pooled += 1
                    last = min(row * layer.pool.stride + layer.pool.size, height) - 1
                assert s.y <= last < s.y + s.rows
    assert pooled > 50


def test_input_rows_are_those_that_the_windows_meet() -> None:
    rng = random.Random(2)
    for _ in range(300):
        layer = random_layer(rng)
        height = layer.in_shape[1]
        for slab in slabs_of(layer, rng.randint(1, layer.sum_shape[1]), layer.sum_shape[2]):
            met = {
                y * layer.stride - layer.padding[0] + ky
                for y in range(slab.y, slab.y + slab.rows)
                for ky in range(layer.kernel[0])
            } & set(range(height))
            first, end = input_rows(layer, slab)
            assert (first, end) == (min(met), max(met) + 1)


def test_pool_fields_say_which_windows_are_open() -> None:
    rng = random.Random(3)
    met = 0
    for _ in range(200):
        layer = random_layer(rng)
        if layer.pool is None:
            assert pool_fields(layer, 0)["pool"] == Pool.NONE
            continue
        stride, size = layer.pool.stride, layer.pool.size
        for y in range(layer.sum_shape[1]):
            fields = pool_fields(layer, y)
            started = [row for row in range(layer.sum_shape[1]) if row * stride <= y]
            assert fields["pool_y"] == started[-1]
            assert fields["pool_phase"] == y - started[-1] * stride
            assert fields["pool_slot"] == started[-1] % open_rows(layer)
            windows = [row for row in started if y < row * stride + size]
            assert len(windows) <= open_rows(layer)
            met = max(met, len(windows))
    assert met == 3
