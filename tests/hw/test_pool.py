"""Fused pooling against windows taken from the whole map, in bands of rows, under stalls; its cycles by formula."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.isa import RECIPROCAL_BITS, Compute, Isa, Pool, isa
from hw.params import TileParams, preset
from hw.pool import PoolLane, PoolSequencer
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of, word

Map = list[list[int]]  # rows of words


def caffe(out: int, size: int, stride: int) -> int:
    """Windows over ``out`` pixels, Caffe's ceil rule without padding."""
    return -(-(out - size) // stride) + 1


def clip(out: int, size: int, stride: int, windows: int) -> int:
    """Words along one side of the last window."""
    return min(size, out - (windows - 1) * stride)


def geometry(p: TileParams, size: int, stride: int, out_w: int, out_h: int, kind: Pool) -> Compute:
    """The pooling fields of a Compute over the whole map."""
    pool_w, pool_h = caffe(out_w, size, stride), caffe(out_h, size, stride)
    assert pool_w * -(-size // stride) <= p.pool_entries
    last_w, last_h = clip(out_w, size, stride, pool_w), clip(out_h, size, stride, pool_h)
    counts = (size * size, last_w * size, size * last_h, last_w * last_h)
    scale = 1 << RECIPROCAL_BITS
    a, b, c, d = ((2 * scale + count) // (2 * count) for count in counts)
    return Compute(
        pool=kind, pool_size=size, pool_stride=stride, out_w=out_w, out_h=out_h, pool_w=pool_w, pool_h=pool_h,
        cols=out_w, rows=out_h, reciprocal=(a, b, c, d),
    )  # fmt: skip


def band(whole: Compute, out_y: int, rows: int) -> Compute:
    """The part of ``whole`` that computes ``rows`` rows from ``out_y``."""
    first = out_y // whole.pool_stride
    open_rows = -(-whole.pool_size // whole.pool_stride)
    return replace(
        whole, rows=rows, out_y=out_y, pool_y=first, pool_phase=out_y % whole.pool_stride, pool_slot=first % open_rows
    )


def pooled(p: TileParams, c: Compute, pixels: Map) -> list[int]:
    """Every window in raster order: its maximum, or its exact mean rounded half up through the reciprocal."""
    found = []
    for wy in range(c.pool_h):
        for wx in range(c.pool_w):
            rows = pixels[wy * c.pool_stride : wy * c.pool_stride + c.pool_size]
            taken = [row[wx * c.pool_stride : wx * c.pool_stride + c.pool_size] for row in rows]
            words = [value for row in taken for value in row]
            if c.pool == Pool.MAX:
                found.append(max(words))
            else:
                reciprocal = (2 * (1 << RECIPROCAL_BITS) + len(words)) // (2 * len(words))
                mean = (sum(words) * reciprocal + (1 << (RECIPROCAL_BITS - 1))) >> RECIPROCAL_BITS
                found.append(p.fmt.saturate(mean))
    return found


class Pooling:
    """A sequencer with one lane, driven pixel by pixel."""

    def __init__(self, i: Isa) -> None:
        self.i = i
        self.module = Module()
        self.module.submodules.sequencer = self.sequencer = PoolSequencer(i)
        self.module.submodules.lane = self.lane = PoolLane(i.params)
        self.module.d.comb += self.lane.control.eq(self.sequencer.control)

    async def start(self, ctx: Any, c: Compute) -> None:
        ctx.set(self.sequencer.config, plain(self.i, c))
        ctx.set(self.sequencer.start, 1)
        await ctx.tick()
        ctx.set(self.sequencer.start, 0)

    async def feed(self, ctx: Any, rng: random.Random, value: int, stalls: float) -> tuple[list[int], int, int]:
        """One pixel; returns what was emitted, the updates and the cycles it took."""
        s, emitted, updates, cycles = self.sequencer, [], 0, 0
        ctx.set(self.lane.word, value)
        ctx.set(s.valid, 1)
        while True:
            ctx.set(s.emit_ready, rng.random() >= stalls)
            if ctx.get(s.emit) and ctx.get(s.emit_ready):
                emitted.append(ctx.get(self.lane.result))
            ready = ctx.get(s.ready)
            updates += ctx.get(s.updates)
            cycles += 1
            await ctx.tick()
            if ready:
                ctx.set(s.valid, 0)
                ctx.set(s.emit_ready, rng.getrandbits(1))
                assert not ctx.get(s.emit)
                return emitted, updates, cycles


def shapes(p: TileParams) -> list[tuple[int, int, int, int]]:
    """(size, stride, out_w, out_h): the networks' 2/2 and 3/2, overlap of three, gaps, clipped edges, the largest."""
    wanted = [(2, 2, 6, 4), (3, 2, 6, 6), (3, 2, 5, 7), (3, 1, 5, 4), (2, 3, 7, 8), (1, 1, 3, 2), (1, 1, 1, 4)]
    wanted += [(7, 7, 7, 7), (3, 2, 2, 2)]
    return [s for s in wanted if caffe(s[2], s[0], s[1]) * -(-s[0] // s[1]) <= p.pool_entries]


@pytest.mark.parametrize("kind", [Pool.MAX, Pool.AVERAGE])
@pytest.mark.parametrize("p", [*(preset(name) for name in SHAPES), lone()], ids=lambda p: p.name)
def test_pooling_in_bands_under_stalls(p: TileParams, kind: Pool) -> None:
    rng, rig, seen = random.Random(50), Pooling(isa(p)), []

    async def bench(ctx: Any) -> None:
        for size, stride, out_w, out_h in shapes(p):
            whole = geometry(p, size, stride, out_w, out_h, kind)
            pixels = [[word(rng, p.fmt.width) for _ in range(out_w)] for _ in range(out_h)]
            got, updates, y = [], 0, 0
            while y < out_h:
                rows = rng.randint(1, out_h - y)
                await rig.start(ctx, band(whole, y, rows))
                for row in pixels[y : y + rows]:
                    for value in row:
                        emitted, taken, _ = await rig.feed(ctx, rng, value, 0.4)
                        got += emitted
                        updates += taken
                        for _ in range(rng.choice((0, 0, 1))):
                            await ctx.tick()
                y += rows
            assert got == pooled(p, whole, pixels)
            covered = [
                sum(min(size, out - w * stride) for w in range(n))
                for out, n in ((out_w, whole.pool_w), (out_h, whole.pool_h))
            ]
            assert updates == covered[0] * covered[1]
            seen.append(len(got))

    simulate(rig.module, bench)
    assert len(seen) == len(shapes(p)) >= 2
    assert sum(seen) >= 2


def test_pooling_takes_the_cycles_it_claims() -> None:
    """Two cycles a window that holds the pixel, one when the pixel is its first; one for a place without a window."""
    p = preset("small")
    rng, rig = random.Random(51), Pooling(isa(p))

    def walked(c: Compute, x: int, y: int) -> int:
        total = 0
        sides = []
        for at, count in ((x, c.pool_w), (y, c.pool_h)):
            last = at // c.pool_stride
            oldest = max(
                back for back in range(7) if back == 0 or at % c.pool_stride + back * c.pool_stride < c.pool_size
            )
            sides.append([(w, at - w * c.pool_stride, count) for w in range(last - oldest, last + 1)])
        for wx, tap_x, pool_w in sides[0]:
            for wy, tap_y, pool_h in sides[1]:
                exists = 0 <= wx < pool_w and 0 <= wy < pool_h and tap_x < c.pool_size and tap_y < c.pool_size
                total += 2 if exists and (tap_x, tap_y) != (0, 0) else 1
        return total

    async def bench(ctx: Any) -> None:
        pixels = 0
        for size, stride, out_w, out_h in shapes(p):
            c = geometry(p, size, stride, out_w, out_h, Pool.MAX)
            await rig.start(ctx, c)
            for y in range(out_h):
                for x in range(out_w):
                    _, _, cycles = await rig.feed(ctx, rng, 1, 0.0)
                    assert cycles == walked(c, x, y)
                    pixels += 1
        assert pixels > 150

    simulate(rig.module, bench)


def test_without_pooling_a_vector_passes_in_a_cycle() -> None:
    rng, rig = random.Random(52), Pooling(isa(preset("odd")))

    async def bench(ctx: Any) -> None:
        await rig.start(ctx, Compute(cols=4, rows=3, out_w=4, out_h=3))
        for value in range(-6, 6):
            assert await rig.feed(ctx, rng, value, 0.0) == ([value], 0, 1)
        for value in range(-6, 6):
            emitted, updates, _ = await rig.feed(ctx, rng, value, 0.5)
            assert (emitted, updates) == ([value], 0)

    simulate(rig.module, bench)


@pytest.mark.parametrize("name", SHAPES)
def test_extreme_means_saturate(name: str) -> None:
    """A reciprocal rounded up (1/49 is) lifts the mean of extreme words over the edge of a wide format."""
    p = preset(name)
    rng, rig = random.Random(53), Pooling(isa(p))

    async def bench(ctx: Any) -> None:
        for size in (3, 5, 6, 7):
            c = geometry(p, size, size, size, size, Pool.AVERAGE)
            for value in (p.fmt.low, p.fmt.high):
                await rig.start(ctx, c)
                got = []
                for _ in range(size * size):
                    got += (await rig.feed(ctx, rng, value, 0.0))[0]
                assert got == pooled(p, c, [[value] * size] * size)
                assert p.fmt.low <= got[0] <= p.fmt.high

    simulate(rig.module, bench)


def test_an_idle_pool_is_still() -> None:
    """Without a vector neither the sequencer nor the lane changes a register, whatever the other inputs do."""
    i = isa(preset("small"))
    rng, rig = random.Random(54), Pooling(i)
    fragment, found = elaborated(rig.module)

    async def bench(ctx: Any) -> None:
        await rig.start(ctx, geometry(i.params, 3, 2, 6, 6, Pool.MAX))
        for value in range(8):
            await rig.feed(ctx, rng, value, 0.0)
        before = state_of(ctx, found)
        for _ in range(20):
            ctx.set(rig.lane.word, rng.randint(-9, 9))
            ctx.set(rig.sequencer.emit_ready, rng.getrandbits(1))
            await ctx.tick()
            assert state_of(ctx, found) == before
        await rig.feed(ctx, rng, 3, 0.0)
        assert state_of(ctx, found) != before

    simulate(fragment, bench)
