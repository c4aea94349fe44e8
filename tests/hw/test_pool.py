"""Vertical pooling against window rows taken from the whole map, in bands of rows, under stalls; cycles by formula."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.isa import Compute, Isa, Pool, isa
from hw.params import TileParams, preset
from hw.pool import PoolLane, PoolSequencer
from tests.hw.pool_model import band, down, ends_in, fits, geometry, open_rows, window_rows
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of, word

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1)]


class Pooling:
    """A sequencer with one lane, driven step by step."""

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
        await ctx.tick()  # the first entry is read

    async def feed(
        self, ctx: Any, rng: random.Random, value: int, stalls: float
    ) -> tuple[list[tuple[int, int]], int, int]:
        """One step; returns its results with whether they are clipped, its updates and the cycles it took."""
        s, found, updates, cycles = self.sequencer, [], 0, 0
        ctx.set(self.lane.word, value)
        ctx.set(s.valid, 1)
        while True:
            room = rng.random() >= stalls
            ctx.set(s.room, room)
            result, clipped = ctx.get(s.control.result), ctx.get(s.clipped)
            assert room or not result
            ready = ctx.get(s.ready)
            updates += ctx.get(s.updates)
            cycles += 1
            await ctx.tick()
            found += [(ctx.get(self.lane.pooled), clipped)] * result
            if ready:
                ctx.set(s.valid, 0)
                ctx.set(s.room, rng.getrandbits(1))
                assert not ctx.get(s.control.result)
                return found, updates, cycles


def shapes(p: TileParams) -> list[tuple[int, int, int, int, int, bool]]:
    """(size, stride, out_w, out_h, groups, floor): windows apart, side by side, overlapping, clipped, the largest."""
    wanted = [(2, 2, 6, 4), (2, 2, 5, 5), (3, 2, 6, 6), (3, 2, 5, 7), (3, 3, 7, 8), (3, 1, 5, 4), (2, 1, 4, 4)]
    wanted += [(2, 3, 7, 8), (1, 1, 3, 2), (1, 1, 1, 4), (7, 7, 7, 7), (7, 1, 8, 14), (7, 3, 7, 14), (3, 2, 2, 2)]
    found = []
    for size, stride, out_w, out_h in wanted:
        for groups in sorted({1, 2, p.groups}):
            for floor in (False, True):
                if groups <= p.groups and fits(p, size, stride, out_w, groups) and not (floor and size > out_w):
                    found.append((size, stride, out_w, out_h, groups, floor))
    return found


def steps(c: Compute) -> int:
    """Steps of a row."""
    return -(-c.cols // c.groups)


@pytest.mark.parametrize("kind", [Pool.MAX, Pool.AVERAGE])
@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_window_rows_in_bands_under_stalls(p: TileParams, kind: Pool) -> None:
    """The lane stands for pixel 0 of each step: what it sums is column step * groups of the map."""
    rng, rig, seen = random.Random(50), Pooling(isa(p)), []

    async def bench(ctx: Any) -> None:
        for size, stride, out_w, out_h, groups, floor in shapes(p):
            whole = geometry(p, size, stride, out_w, out_h, kind, groups=groups, floor=floor)
            pixels = [[word(rng, p.fmt.width) for _ in range(steps(whole))] for _ in range(out_h)]
            got, wanted, updates, y = [], [], 0, 0
            while y < out_h:
                rows = rng.randint(1, out_h - y)
                await rig.start(ctx, band(whole, y, rows))
                for line in pixels[y : y + rows]:
                    for value in line:
                        found, taken, _ = await rig.feed(ctx, rng, value, 0.4)
                        got += found
                        updates += taken
                        for _ in range(rng.choice((0, 0, 1))):
                            await ctx.tick()
                y += rows
            for y in range(out_h):
                ended = ends_in(whole, y)
                if ended is not None:
                    clipped = ended * stride + size > out_h
                    wanted += [(value, clipped) for value in down(whole, pixels, ended)]
            assert got == wanted
            assert updates == steps(whole) * sum(len(window_rows(whole, y)) for y in range(out_h))
            seen.append(len(got))

    simulate(rig.module, bench, limit=60_000)
    assert len(seen) == len(shapes(p)) >= 2
    assert sum(seen) >= 2


def test_pooling_takes_the_cycles_it_claims() -> None:
    """One cycle a window row, and for a step that is in none; one more where the next step wants the entry again."""
    p = preset("small")
    rng, rig = random.Random(51), Pooling(isa(p))
    seen = set()

    async def bench(ctx: Any) -> None:
        for size, stride, out_w, out_h, groups, floor in shapes(p):
            c = geometry(p, size, stride, out_w, out_h, Pool.MAX, groups=groups, floor=floor)
            await rig.start(ctx, c)
            for y in range(out_h):
                # the last entry of the row before was written in the cycle before this row's first one wants it
                late = steps(c) == 1 and y > 0 and window_rows(c, y - 1)[-1:] == window_rows(c, y)[:1]
                late = late and window_rows(c, y)[0] != ends_in(c, y - 1)
                wanted = len(window_rows(c, y)) or 1
                for _ in range(steps(c)):
                    _, _, cycles = await rig.feed(ctx, rng, 1, 0.0)
                    assert cycles == wanted + late
                seen.add((wanted, late))

    simulate(rig.module, bench)
    assert seen >= {(1, False), (1, True), (2, False), (3, False), (7, False)}


def test_entries_of_the_largest_row_are_all_used() -> None:
    """A map whose open window rows fill the memory exactly; every entry keeps its own sum."""
    p = preset("small").replace(pool_entries=14, groups=2)
    rng, rig = random.Random(52), Pooling(isa(p))
    c = geometry(p, 7, 1, 4, 9, Pool.AVERAGE, groups=2)
    assert open_rows(7, 1) * steps(c) == p.pool_entries

    async def bench(ctx: Any) -> None:
        pixels = [[word(rng, p.fmt.width) for _ in range(steps(c))] for _ in range(c.out_h)]
        await rig.start(ctx, c)
        got = []
        for line in pixels:
            for value in line:
                found, _, _ = await rig.feed(ctx, rng, value, 0.0)
                got += [value for value, _ in found]
        assert got == [value for w in range(c.pool_h) for value in down(c, pixels, w)]
        assert len(got) == 6

    simulate(rig.module, bench)


def test_an_idle_pool_is_still() -> None:
    """Without a vector neither the sequencer nor the lane changes a register, whatever the other inputs do."""
    i = isa(preset("small"))
    rng, rig = random.Random(54), Pooling(i)
    fragment, found = elaborated(rig.module)

    async def bench(ctx: Any) -> None:
        await rig.start(ctx, replace(geometry(i.params, 3, 2, 6, 6, Pool.MAX), groups=1))
        for value in range(8):
            await rig.feed(ctx, rng, value, 0.0)
        before = state_of(ctx, found)
        for _ in range(20):
            ctx.set(rig.lane.word, rng.randint(-9, 9))
            ctx.set(rig.sequencer.room, rng.getrandbits(1))
            await ctx.tick()
            assert state_of(ctx, found) == before
        await rig.feed(ctx, rng, 3, 0.0)
        assert state_of(ctx, found) != before

    simulate(fragment, bench)
