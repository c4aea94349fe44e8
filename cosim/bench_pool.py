"""Bench of fused pooling: golden's pooled maps, computed in bands of rows, under stalls of both sides."""

from typing import Any

import cocotb
import torch

from cosim.port import BlockPort, encode, signed
from golden.integer import pool_map, reciprocal
from golden.mapping.plan import open_rows, pool_fields
from golden.network import Layer, Pooling
from hw.isa import Compute, Pool

MAPS = 16


def random_layer(port: BlockPort) -> Layer:
    """A layer with one output map and a pooling that the tile has room for."""
    rng = port.rng
    while True:
        height, width = rng.randint(2, 9), rng.randint(2, 9)
        size = rng.randint(1, min(4, height, width))
        pool = Pooling(rng.choice((Pool.MAX, Pool.AVERAGE)), size, rng.randint(1, 4), rng.random() < 0.6)
        shape = (1, height, width)
        layer = Layer("random", False, torch.zeros(1, 1, 1, 1), torch.zeros(1), (1, 1), 1, (0, 0), False, pool,
                      shape, shape)  # fmt: skip
        if open_rows(layer) * layer.out_shape[2] <= port.params.pool_entries:
            return layer


def compute_of(layer: Layer, y: int, rows: int) -> Compute:
    pool = layer.pool
    assert pool is not None
    (_, height, width), (_, pool_h, pool_w) = layer.sum_shape, layer.out_shape
    last_w, last_h = (
        min(pool.size, length - (windows - 1) * pool.stride) for length, windows in ((width, pool_w), (height, pool_h))
    )
    counts = (pool.size**2, last_w * pool.size, pool.size * last_h, last_w * last_h)
    a, b, c, d = (reciprocal(count) if pool.kind == Pool.AVERAGE else 0 for count in counts)
    return Compute(cols=width, rows=rows, reciprocal=(a, b, c, d), **pool_fields(layer, y))


async def pooled(port: BlockPort, layer: Layer, pixels: list[list[int]], stalls: float) -> list[int]:
    """Everything that leaves the block for one map, fed in random bands."""
    rng, width = port.rng, port.params.fmt.width
    found: list[int] = []
    y = 0
    while y < len(pixels):
        rows = rng.randint(1, len(pixels) - y)
        await port.cycle(config=encode(port.isa, compute_of(layer, y, rows)), start=1)
        port.set(start=0)
        for value in (value for row in pixels[y : y + rows] for value in row):
            while port.chance(stalls / 3):
                await port.cycle(valid=0)
            ready = 0
            while not ready:
                grant = not port.chance(stalls)
                port.set(valid=1, word=value & ((1 << width) - 1), emit_ready=grant)
                await port.settle()
                ready = port.get("ready")
                if port.get("emit") and grant:
                    found.append(signed(port.get("result"), width))
                await port.step()
            port.set(valid=0)
        y += rows
    return found


@cocotb.test()
async def pool(dut: Any) -> None:
    """Maximum and average of every window, clipped or not, in raster order."""
    port = BlockPort(dut, "pool")
    fmt, kinds = port.params.fmt, {Pool.MAX: 0, Pool.AVERAGE: 0}
    await port.reset()
    for number in range(MAPS):
        layer = random_layer(port)
        assert layer.pool is not None
        _, height, width = layer.sum_shape
        pixels = [port.words(fmt.width, width) for _ in range(height)]
        golden = pool_map(torch.tensor(pixels, dtype=torch.int64), layer.pool, fmt).flatten().tolist()
        assert await pooled(port, layer, pixels, (0.0, 0.4)[number % 2]) == golden
        kinds[layer.pool.kind] += len(golden)
    assert min(kinds.values()) > 5
    cocotb.log.info("pool: %s windows", kinds)
