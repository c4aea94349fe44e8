"""Horizontal pooling: pixels out of steps, windows across x, means; a pixel a cycle, or two."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from hw.isa import Compute, Pool, isa
from hw.params import TileParams, preset
from hw.pool_row import PoolRow
from tests.hw.pool_model import Map, down, ends_in, geometry, pooled_row
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of, word

MACHINES = [p.replace(pool_entries=256) for p in (*(preset(name) for name in SHAPES), lone(groups=1))]


# size, stride, out_w
SHAPES_ACROSS = [
    (2, 2, 6),
    (2, 2, 5),
    (3, 2, 8),
    (3, 3, 7),
    (3, 1, 5),
    (2, 1, 4),
    (2, 3, 8),
    (1, 1, 3),
    (1, 2, 6),
    (1, 3, 8),
    (6, 5, 9),
    (7, 1, 9),
    (7, 4, 9),
]

Step = tuple[list[int], int, bool]  # words of all lanes, pixels, clipped_y


def steps_of(rng: random.Random, p: TileParams, c: Compute, rows: list[tuple[list[list[int]], bool]]) -> list[Step]:
    """Steps of rows; a row: words by pixel and channel, and whether its window row is clipped. Other lanes: noise."""
    found = []
    for pixels, clipped in rows:
        for x in range(0, len(pixels), c.groups):
            part = pixels[x : x + c.groups]
            words = [value for pixel in part for value in pixel]
            words += [rng.randint(-5, 5) for _ in range(p.neurons - len(words))]
            found.append((words, len(part), clipped))
    return found


async def run(
    ctx: Any, dut: Any, p: TileParams, c: Compute, steps: list[Step], rng: random.Random, stalls: float
) -> tuple[list[list[int]], int, int]:
    """Feed all steps; returns the output pixels, the updates and the cycles until the last step was taken."""
    ctx.set(dut.config, plain(isa(p), c))
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    got, updates, cycles, fed = [], 0, 0, 0
    while fed < len(steps) or ctx.get(dut.emit):
        valid = fed < len(steps) and rng.random() >= stalls
        words, pixels, clipped = steps[fed] if valid else ([9] * p.neurons, 1, False)
        ctx.set(dut.valid, valid)
        ctx.set(dut.words, words)
        ctx.set(dut.pixels, pixels)
        ctx.set(dut.clipped_y, clipped)
        take = rng.random() >= stalls
        ctx.set(dut.emit_ready, take)
        if ctx.get(dut.emit) and take:
            got.append([ctx.get(dut.vector[n]) for n in range(c.neurons)])
        cycles += fed < len(steps)
        fed += ctx.get(dut.ready)
        updates += ctx.get(dut.updates)
        await ctx.tick()
    ctx.set(dut.valid, 0)
    return got, updates, cycles


def maps_of(rng: random.Random, p: TileParams, c: Compute) -> list[Map]:
    return [[[word(rng, p.fmt.width) for _ in range(c.out_w)] for _ in range(c.out_h)] for _ in range(c.neurons)]


def row_cycles(c: Compute) -> int:
    """A pixel a cycle, and the next one of its step with it when no window ends in the first one."""
    ends = {min(w * c.pool_stride + c.pool_size, c.out_w) - 1 for w in range(c.pool_w)}
    x = cycles = 0
    while x < c.out_w:
        x += 1 if x in ends or x % c.groups == c.groups - 1 or x == c.out_w - 1 else 2
        cycles += 1
    return cycles


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("kind", [Pool.MAX, Pool.AVERAGE])
@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_windows_of_every_row(p: TileParams, kind: Pool, stalls: float) -> None:
    rng, dut, seen, part = random.Random(70), PoolRow(isa(p)), 0, 0

    async def bench(ctx: Any) -> None:
        nonlocal seen, part
        for size, stride, out_w in SHAPES_ACROSS:
            groups = rng.randint(1, p.groups)
            c = geometry(p, size, stride, out_w, size + 1, kind, groups=groups, floor=rng.random() < 0.3)
            c = replace(c, neurons=rng.randint(1, p.neurons // groups))
            maps = maps_of(rng, p, c)
            ended = [w for y in range(c.out_h) if (w := ends_in(c, y)) is not None]
            assert ended == list(range(c.pool_h))
            columns = [[down(c, pixels, w) for pixels in maps] for w in ended]
            rows = [
                ([[channel[x] for channel in channels] for x in range(out_w)], w * stride + size > c.out_h)
                for w, channels in zip(ended, columns, strict=True)
            ]
            steps = steps_of(rng, p, c, rows)
            part += steps[-1][1] < groups
            got, updates, cycles = await run(ctx, dut, p, c, steps, rng, stalls)
            wanted = [pooled_row(p, c, pixels, w) for w in ended for pixels in maps]
            by_pixel = [
                [wanted[k * c.neurons + n][x] for n in range(c.neurons)]
                for k in range(len(ended))
                for x in range(c.pool_w)
            ]
            assert got == by_pixel
            in_windows = sum(min(size, out_w - w * stride) for w in range(c.pool_w))
            assert updates == len(ended) * c.neurons * in_windows
            if not stalls:
                assert cycles == len(ended) * row_cycles(c)
            seen += len(got)

    simulate(dut, bench)
    assert seen >= 40
    assert part or p.groups == 1


def test_every_size_stride_and_width() -> None:
    """One row of every window, whole and clipped, in steps of some groups: words, order and cycles."""
    p = preset("small").replace(pool_entries=256)
    rng, dut, paired = random.Random(73), PoolRow(isa(p)), 0

    async def bench(ctx: Any) -> None:
        nonlocal paired
        for size, stride in itertools.product(range(1, 8), repeat=2):
            for out_w in range(size, size + 2 * stride + 2):
                kind, groups = rng.choice((Pool.MAX, Pool.AVERAGE)), rng.choice((2, 3, 4))
                c = geometry(p, size, stride, out_w, size, kind, groups=groups, floor=rng.random() < 0.3)
                c = replace(c, neurons=rng.randint(1, p.neurons // groups))
                maps = maps_of(rng, p, c)
                row = [list(words) for words in zip(*(down(c, pixels, 0) for pixels in maps), strict=True)]
                got, _, cycles = await run(ctx, dut, p, c, steps_of(rng, p, c, [(row, False)]), rng, 0.0)
                channels = [pooled_row(p, c, pixels, 0) for pixels in maps]
                assert got == [list(words) for words in zip(*channels, strict=True)], (size, stride, out_w, groups)
                assert cycles == row_cycles(c)
                paired += out_w - cycles

    simulate(dut, bench)
    assert paired > 500


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_without_pooling_pixels_pass(p: TileParams) -> None:
    rng, dut = random.Random(71), PoolRow(isa(p))

    async def bench(ctx: Any) -> None:
        for groups in range(1, p.groups + 1):
            c = Compute(cols=5, groups=groups, neurons=p.neurons // groups, out_w=5)
            for stalls in (0.0, 0.5):
                pixels = [[word(rng, p.fmt.width) for _ in range(c.neurons)] for _ in range(5)]
                steps = steps_of(rng, p, c, [(pixels, False)])
                assert sum(count for _, count, _ in steps) == 5
                got, updates, cycles = await run(ctx, dut, p, c, steps, rng, stalls)
                assert (got, updates) == (pixels, 0)
                assert stalls or cycles == 5

    simulate(dut, bench)


@pytest.mark.parametrize("name", SHAPES)
def test_extreme_means_saturate(name: str) -> None:
    """A reciprocal rounded up (1/49 is) lifts the mean of extreme words over the edge of a wide format."""
    p = preset(name)
    rng, dut = random.Random(53), PoolRow(isa(p))

    async def bench(ctx: Any) -> None:
        for size in (3, 5, 6, 7):
            c = geometry(p, size, size, size, size, Pool.AVERAGE)
            for value in (p.fmt.low, p.fmt.high):
                steps = steps_of(rng, p, c, [([[value * size]] * size, False)])
                got, _, _ = await run(ctx, dut, p, c, steps, rng, 0.0)
                assert got == [pooled_row(p, c, [[value] * size] * size, 0)]
                assert p.fmt.low <= got[0][0] <= p.fmt.high

    simulate(dut, bench)


def test_lanes_of_gated_channels_and_unused_windows_are_still() -> None:
    p, rng = preset("small"), random.Random(72)
    dut = PoolRow(isa(p))
    fragment, found = elaborated(dut)
    lanes = {path: s for path, s in found.items() if path.startswith("pool_row_lane_")}
    gated = {path: s for path, s in lanes.items() if path.startswith(("pool_row_lane_2", "pool_row_lane_3"))}
    unused = {path: s for path, s in lanes.items() if path.split("window_")[-1] in "12345"}
    assert len(gated) == 2 * 7
    assert len(unused) == 4 * 5

    async def bench(ctx: Any) -> None:
        async def work(neurons: int, size: int) -> None:
            c = replace(geometry(p, size, 1, 8, size, Pool.MAX), neurons=neurons)
            row = [[rng.randint(-999, 999) for _ in range(neurons)] for _ in range(8)]
            await run(ctx, dut, p, c, steps_of(rng, p, c, [(row, False)]), rng, 0.0)

        await work(4, 4)
        before, moving = state_of(ctx, gated), state_of(ctx, lanes)
        assert len(set(before.values())) > 4
        await work(2, 4)
        assert state_of(ctx, gated) == before
        assert state_of(ctx, lanes) != moving
        before, moving = state_of(ctx, unused), state_of(ctx, lanes)
        await work(4, 2)
        assert state_of(ctx, unused) == before
        assert state_of(ctx, lanes) != moving

    simulate(fragment, bench)
