"""Instruction fetch: the whole segment in order, a few instructions ahead, never more, under stalls of all sides."""

import random
from collections import deque
from typing import Any

import pytest

from hw.fetch import FETCH_AHEAD, FETCH_FIRST, FETCH_TOGETHER, Fetch
from hw.isa import isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, simulate

MACHINES = [*(preset(name) for name in SHAPES), lone()]


def content(p: TileParams, address: int) -> int:
    return random.Random(address).getrandbits(p.beat_bits)


@pytest.mark.parametrize("stalls", [0.0, 0.6])
@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_segments_arrive_whole_and_in_order(p: TileParams, stalls: float) -> None:
    i, rng, dut = isa(p), random.Random(90), Fetch(isa(p))
    beats = i.instruction_beats

    async def bench(ctx: Any) -> None:
        most = 0
        lengths = [1, 9, 0, 3, 14]
        address = 0
        for number, length in enumerate(lengths):
            if number == 0 or ctx.get(dut.done):
                assert ctx.get(dut.done)
                assert not ctx.get(dut.req_valid)
            address = rng.randrange(p.dram_beats - (length + 7) * beats)
            ctx.set(dut.start, 1)
            ctx.set(dut.address, address)
            ctx.set(dut.length, length)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.address, 0)
            ctx.set(dut.length, 77)
            asked: list[int] = []
            answers: deque[int] = deque()
            got: list[int] = []
            stalled: int | None = None
            more = rng.choice((0, 1, 7)) if length else 0  # that follow while it goes on
            while not ctx.get(dut.done):
                ctx.set(dut.req_ready, rng.random() >= stalls)
                respond = bool(answers) and rng.random() >= stalls
                ctx.set(dut.rsp_valid, respond)
                ctx.set(dut.rsp, content(p, answers.popleft()) if respond else 1)
                ready = rng.random() >= stalls * 1.2
                ctx.set(dut.ready, ready)
                if ctx.get(dut.req_valid):
                    if stalled is not None:
                        assert ctx.get(dut.req_address) == stalled  # an unanswered request stays
                    stalled = None if ctx.get(dut.req_ready) else ctx.get(dut.req_address)
                    if ctx.get(dut.req_ready):
                        asked.append(ctx.get(dut.req_address))
                        answers.append(asked[-1])
                else:
                    assert stalled is None
                if ctx.get(dut.valid) and ready:
                    got.append(ctx.get(dut.instruction))
                held = -(-len(asked) // beats) - len(got)
                most = max(most, held)
                extends = more > 0 and rng.random() < 0.2
                ctx.set(dut.extend, extends)
                ctx.set(dut.length, more if extends else 77)
                if extends:
                    length, more = length + more, 0
                await ctx.tick()
            ctx.set(dut.extend, 0)
            ctx.set(dut.ready, 0)
            ctx.set(dut.rsp_valid, 0)
            assert asked == list(range(address, address + length * beats))  # the bursts do not depend on the taker
            assert got == [
                sum(content(p, address + k * beats + b) << (p.beat_bits * b) for b in range(beats))
                for k in range(length)
            ]
        assert 0 < most <= FETCH_AHEAD

    simulate(dut, bench)


def test_it_asks_for_several_together() -> None:
    """Nobody takes: exactly FETCH_AHEAD instructions are asked for; the next ones, one behind the other, once there is
    room for FETCH_TOGETHER; the last ones of a segment are no fewer for that."""
    p = preset("small")
    i, dut = isa(p), Fetch(isa(p))
    length = 2 * FETCH_AHEAD + FETCH_TOGETHER - 1
    assert 1 < FETCH_TOGETHER < FETCH_AHEAD

    async def bench(ctx: Any) -> None:
        asked = 0

        async def run(cycles: int) -> None:
            nonlocal asked
            for _ in range(cycles):
                asking = ctx.get(dut.req_valid)
                asked += asking
                await ctx.tick()
                ctx.set(dut.rsp_valid, asking)

        ctx.set(dut.req_ready, 1)
        ctx.set(dut.start, 1)
        ctx.set(dut.length, length)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await run(60)
        assert asked == FETCH_AHEAD * i.instruction_beats
        for taken in range(1, length + 1):
            ctx.set(dut.ready, 1)
            assert ctx.get(dut.valid)
            await run(1)
            ctx.set(dut.ready, 0)
            await run(30)
            wanted = FETCH_AHEAD + taken // FETCH_TOGETHER * FETCH_TOGETHER
            assert asked == min(wanted, length) * i.instruction_beats, taken
        assert ctx.get(dut.done)

    simulate(dut, bench)


def test_it_yields_until_a_compute_starts() -> None:
    """With FETCH_FIRST instructions asked for it may wait, until the segment's first compute."""
    p = preset("small")
    i, dut = isa(p), Fetch(isa(p))

    async def bench(ctx: Any) -> None:
        async def begin() -> int:
            """Beats that it asks for before it yields."""
            ctx.set(dut.start, 1)
            ctx.set(dut.length, FETCH_AHEAD)
            await ctx.tick()
            ctx.set(dut.start, 0)
            asked = 0
            while not ctx.get(dut.yields):
                asked += ctx.get(dut.req_valid)
                await ctx.tick()
            return asked

        ctx.set(dut.req_ready, 1)
        for _ in range(2):
            assert await begin() == (FETCH_FIRST - 1) * i.instruction_beats + 1
            ctx.set(dut.working, 1)
            await ctx.tick()
            ctx.set(dut.working, 0)
            for _ in range(3 * i.instruction_beats):
                assert not ctx.get(dut.yields)
                await ctx.tick()
            ctx.set(dut.ready, 1)
            ctx.set(dut.rsp_valid, 1)
            while not ctx.get(dut.done):
                await ctx.tick()
            ctx.set(dut.ready, 0)
            ctx.set(dut.rsp_valid, 0)

    simulate(dut, bench)


def test_a_segment_can_start_in_the_cycle_that_ends_the_last() -> None:
    """Control leaves the Entry this way: its only instruction is taken as the next segment begins."""
    p = preset("odd")
    i, dut = isa(p), Fetch(isa(p))

    async def bench(ctx: Any) -> None:
        async def begin(address: int, length: int) -> None:
            ctx.set(dut.start, 1)
            ctx.set(dut.address, address)
            ctx.set(dut.length, length)

        async def until_valid() -> list[int]:
            asked = []
            while not ctx.get(dut.valid):
                asking = ctx.get(dut.req_valid)
                asked += [ctx.get(dut.req_address)] * asking
                await ctx.tick()
                ctx.set(dut.rsp_valid, asking)
                ctx.set(dut.start, 0)
            return asked

        ctx.set(dut.req_ready, 1)
        await begin(100, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert await until_valid() == list(range(100, 100 + i.instruction_beats))
        ctx.set(dut.ready, 1)
        await begin(500, 2)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.ready, 0)
        ctx.set(dut.rsp_valid, 0)
        assert not ctx.get(dut.done)
        assert (await until_valid())[: i.instruction_beats] == list(range(500, 500 + i.instruction_beats))

    simulate(dut, bench)
