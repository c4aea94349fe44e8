"""Bench of post-processing with fused pooling: golden's pooled maps in their cells, in bands of rows, under stalls."""

from dataclasses import replace
from typing import Any

import cocotb
import torch

from cosim.bench_output import grant, put, random_layout, taken
from cosim.port import BlockPort, encode, join
from golden.integer import pool_map, reciprocal
from golden.mapping.slabs import open_rows, pool_fields
from golden.network import Layer, Pooling
from hw.isa import Compute, Pool

MAPS = 20

Maps = list[list[list[int]]]  # channel, row, word


def random_layer(port: BlockPort, groups: int) -> Layer:
    """A layer with a pooling that the tile has room for; every fourth one is not pooled."""
    rng = port.rng
    while True:
        height, width = rng.randint(2, 9), rng.randint(2, 12)
        size = rng.randint(1, min(7, height, width))
        pool = Pooling(rng.choice((Pool.MAX, Pool.AVERAGE)), size, rng.randint(1, 4), rng.random() < 0.6)
        sums = (1, height, width)
        taken = None if port.chance(0.25) else pool
        layer = Layer("random", False, torch.zeros(1, 1, 1, 1), torch.zeros(1), (1, 1), 1, (0, 0), False, taken,
                      sums, sums)  # fmt: skip
        if open_rows(layer) * -(-width // groups) <= port.params.pool_entries:
            return layer


def compute_of(layer: Layer, y: int, rows: int, layout: Compute) -> Compute:
    (_, height, width), (_, pool_h, pool_w) = layer.sum_shape, layer.out_shape
    fields = pool_fields(layer, y)
    pool = layer.pool
    if pool is not None:
        last_w, last_h = (
            min(pool.size, length - (windows - 1) * pool.stride)
            for length, windows in ((width, pool_w), (height, pool_h))
        )
        counts = (pool.size**2, last_w * pool.size, pool.size * last_h, last_w * last_h)
        fields["reciprocal"] = tuple(reciprocal(count) if pool.kind == Pool.AVERAGE else 0 for count in counts)
    return replace(layout, cols=width, rows=rows, to_cols=pool_w, **fields)


def bands(port: BlockPort, layer: Layer, layout: Compute) -> list[Compute]:
    """The computes of a map, cut at random rows; each starts to write where the one before has ended."""
    height, found, y, done = layer.sum_shape[1], [], 0, 0
    banks = port.params.banks
    start, step = layout.to_row * banks + layout.to_bank, layout.to_y_row * banks + layout.to_y_bank
    space = banks << port.isa.row_bits
    while y < height:
        rows = port.rng.randint(1, height - y)
        to_row, to_bank = divmod((start + done * step) % space, banks)
        found.append(compute_of(layer, y, rows, replace(layout, to_row=to_row, to_bank=to_bank)))
        y += rows
        if layer.pool is None:
            done = y
        else:
            ends = [min(w * layer.pool.stride + layer.pool.size, height) for w in range(layer.out_shape[1])]
            done = sum(end <= y for end in ends)
    return found


def steps_of(port: BlockPort, c: Compute, maps: Maps) -> list[list[int]]:
    """Results of each step of a compute, other lanes noise."""
    p, found = port.params, []
    for y in range(c.out_y, c.out_y + c.rows):
        for x in range(0, c.cols, c.groups):
            words = [pixels[y][at] for at in range(x, min(x + c.groups, c.cols)) for pixels in maps]
            found.append(words + port.words(p.fmt.width, p.neurons - len(words)))
    return found


async def run(port: BlockPort, computes: list[Compute], maps: Maps, stalls: float) -> tuple[dict[int, int], int]:
    """Post-process a map; returns the words by their place in the buffer and the updates of pooling windows."""
    p = port.params
    found: dict[int, int] = {}
    steps = [step for c in computes for step in steps_of(port, c, maps)]
    start, updates, pushed, completed, drained = port.get("written"), 0, 0, 0, 0
    open_steps = 0  # of the computes pushed
    while (port.get("written") - start) % (1 << 16) < len(computes):
        push = pushed < len(computes) and bool(port.get("ready")) and not port.chance(stalls)
        complete = completed < min(open_steps, drained + p.accumulators) and not port.chance(stalls)
        granted = grant(port, stalls)
        port.set(
            push=push, config=encode(port.isa, computes[pushed]) if push else 0, complete=complete, granted=granted,
            words=join(steps[drained], p.fmt.width) if drained < completed else 0,
        )  # fmt: skip
        await port.settle()
        updates += port.get("updates")
        if port.get("drained"):
            assert drained < completed
            drained += 1
        for cell in taken(port, granted):
            put(port, found, *cell)
        if push:
            c = computes[pushed]
            open_steps += -(-c.cols // c.groups) * c.rows
        pushed, completed = pushed + push, completed + complete
        await port.step()
    assert drained == completed == len(steps)
    return found, updates


@cocotb.test()
async def pool(dut: Any) -> None:
    """Maximum and average of every window, clipped or not, and maps that are not pooled, word by word."""
    port = BlockPort(dut, "pool")
    p, rng = port.params, port.rng
    fmt, kinds = p.fmt, dict.fromkeys(Pool, 0)
    await port.reset()
    for number in range(MAPS):
        groups = rng.randint(1, p.groups)
        layer = random_layer(port, groups)
        _, height, width = layer.sum_shape
        _, rows, cols = layer.out_shape
        cells = (-(-(cols - 1) // p.cell_words) + 3) * rows + 3  # of a channel at most, see random_layout
        neurons = rng.randint(1, min(p.neurons // groups, ((p.banks << port.isa.row_bits) - 1) // cells))
        layout = random_layout(port, cols, rows, neurons)
        maps = [[port.words(fmt.width, width) for _ in range(height)] for _ in range(neurons)]
        computes = bands(port, layer, replace(layout, groups=groups))
        found, updates = await run(port, computes, maps, (0.0, 0.4)[number % 2])
        golden = torch.tensor(maps, dtype=torch.int64)
        if layer.pool is not None:
            golden = pool_map(golden, layer.pool, fmt)
            assert updates > 0
        else:
            assert updates == 0
        wanted = {
            place: int(golden[n, y, x])
            for n in range(neurons)
            for y in range(rows)
            for x in range(cols)
            for place in [address(port, layout, x, y, n)]
        }
        assert len(wanted) == golden.numel()
        assert found == wanted
        kinds[Pool.NONE if layer.pool is None else layer.pool.kind] += len(wanted)
    assert min(kinds.values()) > 5
    cocotb.log.info("pool: %s words", kinds)


def address(port: BlockPort, c: Compute, x: int, y: int, n: int) -> int:
    """Word of column x, row y, channel n in a buffer as large as the row field allows."""
    p = port.params
    cell = (c.to_row + y * c.to_y_row + n * c.to_n_row) * p.banks + c.to_bank + y * c.to_y_bank + n * c.to_n_bank
    return (cell * p.cell_words + c.to_sub + x) % (p.row_words << port.isa.row_bits)
