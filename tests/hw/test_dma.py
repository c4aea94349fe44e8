"""The DMA engine against transfers carried out on dictionaries: requester alone, consumer alone, and the whole."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.dma import Dma, DmaConsumer, DmaRequester
from hw.isa import Base, Buffer, Load, Store, isa, replace_waits
from hw.params import TileParams, preset
from tests.hw.dma_model import Machine, beat_words, random_transfer
from tests.hw.sim import SHAPES, lone, plain, simulate

MACHINES = [*(preset(name) for name in SHAPES), lone()]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_the_whole_engine_moves_what_the_transfers_say(p: TileParams) -> None:
    """Random transfers in order, stalls on every side: the same words in DRAM and in all buffers as on dictionaries."""
    i, rng = isa(p), random.Random(110)
    image, result = p.dram_beats // 4, p.dram_beats // 2
    # a store waits for the loads before it: they land behind the requester
    transfers: list[Load | Store] = []
    for k in range(60):
        transfer = random_transfer(rng, i)
        transfers.append(replace_waits(transfer, wait_dma=k) if isinstance(transfer, Store) else transfer)
    wanted, machine = Machine(p, image, result), Machine(p, image, result)
    for transfer in transfers:
        wanted.carry_out(transfer)
    module = Module()
    module.submodules.dma = dut = Dma(i)
    r, c = dut.requester, dut.consumer

    async def bench(ctx: Any) -> None:
        ctx.set(r.image, image)
        ctx.set(r.result, result)
        flying: deque[int] = deque()
        sent, most, cycle, offered = 0, 0, 0, None
        while ctx.get(dut.dma_done) < len(transfers):
            slow = cycle // 200 % 3
            ready, grant = rng.random() < (0.9, 0.4, 0.9)[slow], rng.random() < (0.9, 0.4, 0.05)[slow]
            ctx.set(dut.head_valid, sent < len(transfers) and (offered == sent or rng.random() < 0.8))
            if ctx.get(dut.head_valid):
                offered = sent
                fields = plain(i, transfers[sent])
                ctx.set(dut.head, {"store": isinstance(transfers[sent], Store), "fields": fields})
            ctx.set(r.req_ready, ready)
            for signal in (r.store_granted, c.line_granted, c.sb_granted):
                ctx.set(signal, 0)
            respond = bool(flying) and rng.random() < (0.9, 0.5, 0.9)[slow]
            ctx.set(dut.rsp_valid, respond)
            if respond:
                ctx.set(dut.rsp, machine.read_beat(flying.popleft()))
            stored = None
            if ctx.get(r.store_read):
                ctx.set(r.store_granted, grant)
                if grant:
                    at = ctx.get(r.store_at)
                    stored = machine.read_line(ctx.get(r.store_source), at.row, at.bank, ctx.get(r.store_lanes))
            if ctx.get(c.line_write):
                ctx.set(c.line_granted, grant)
                if grant:
                    at, line = ctx.get(c.line_at), list(ctx.get(c.line))
                    machine.write_line(ctx.get(c.line_target), at.row, at.bank, ctx.get(c.line_lanes), line)
            if enables := ctx.get(c.sb_write):
                ctx.set(c.sb_granted, grant)
                if grant:
                    lines = [list(line) for line in ctx.get(c.sb_lines)]
                    machine.write_sb(enables, ctx.get(c.sb_row), ctx.get(c.sb_lanes), lines)
            if ctx.get(r.req_valid) and ready:
                address = ctx.get(r.req_address)
                if ctx.get(r.req_write):
                    machine.write_beat(address, ctx.get(r.req_data), ctx.get(r.req_mask))
                else:
                    flying.append(address)
            sent += ctx.get(dut.head_valid) & ctx.get(dut.head_ready)
            most = max(most, len(flying))
            cycle += 1
            await ctx.tick()
            if stored is not None:
                ctx.set(r.store_line, stored)
        assert sent == len(transfers)
        assert 1 < most <= p.dram_outstanding
        for _ in range(20):
            assert not ctx.get(r.req_valid)
            assert not ctx.get(c.line_write)
            assert not ctx.get(c.sb_write)
            await ctx.tick()
        assert ctx.get(dut.dma_done) == len(transfers)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.dma_done) == 0

    simulate(module, bench, limit=60_000)
    assert machine.buffers == wanted.buffers
    assert machine.sb == wanted.sb
    assert machine.dram == wanted.dram
    assert sum(len(words) for words in wanted.buffers) > 20
    assert len(wanted.sb) > 20
    assert len(wanted.dram) > 20


@pytest.mark.parametrize("wait", ["wait_dma", "wait_read", "wait_written"])
def test_a_head_waits_for_its_counts(wait: str) -> None:
    """A transfer starts in the very cycle in which its count is reached, and not before."""
    i = isa(preset("small"))
    dut = Dma(i)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.rsp_valid, 0)
        ctx.set(dut.consumer.line_granted, 1)
        if wait == "wait_dma":  # the first transfer's beat comes late
            ctx.set(dut.head, {"store": 0, "fields": plain(i, Load())})
            ctx.set(dut.head_valid, 1)
            assert ctx.get(dut.head_ready)
            await ctx.tick()
        wanted = 1 if wait == "wait_dma" else 3
        ctx.set(dut.head, {"store": 0, "fields": plain(i, replace_waits(Load(), **{wait: wanted}))})
        ctx.set(dut.head_valid, 1)
        counter = {"wait_read": dut.read_done, "wait_written": dut.written}.get(wait)
        for reached in range(wanted + 1):
            if counter is not None:
                ctx.set(counter, reached)
            for _ in range(4):
                ctx.set(dut.requester.req_ready, 1)
                if wait == "wait_dma":
                    assert ctx.get(dut.head_ready) == (ctx.get(dut.dma_done) >= 1)
                    ctx.set(dut.rsp_valid, reached == 1 and ctx.get(dut.dma_done) == 0)
                else:
                    assert ctx.get(dut.head_ready) == (reached == wanted)
                if ctx.get(dut.head_ready):
                    return
                await ctx.tick()
        raise AssertionError("the transfer never started")

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_requester_asks_beat_by_beat(p: TileParams) -> None:
    """A load of runs asks for each run's beats; no request while there is no room; a stalled one does not change."""
    i, rng, dut = isa(p), random.Random(111), DmaRequester(isa(p))
    per = p.lines_per_beat

    async def bench(ctx: Any) -> None:
        for _ in range(6):
            lines, runs, stride = rng.randint(1, 5), rng.randint(1, 3), rng.randint(3, 9)
            base = rng.choice(list(Base))
            ctx.set(dut.image, 1000)
            ctx.set(dut.result, 2000)
            load = Load(buffer=Buffer.NBIN, base=base, address=7, run_beats=stride, runs=runs, lines=lines)
            ctx.set(dut.head, {"store": 0, "fields": plain(i, load)})
            ctx.set(dut.head_valid, 1)
            ctx.set(dut.waits_met, 1)
            for accept_ready in (0, 1):  # the consumer must have room too
                ctx.set(dut.accept_ready, accept_ready)
                assert ctx.get(dut.accepted) == ctx.get(dut.head_ready) == accept_ready
            await ctx.tick()
            ctx.set(dut.head_valid, 0)
            origin = {Base.ABSOLUTE: 0, Base.IMAGE: 1000, Base.RESULT: 2000}[base] + 7
            expected = [origin + run * stride + beat for run in range(runs) for beat in range(-(-lines // per))]
            asked: list[int] = []
            for _ in range(60):
                room, ready = rng.random() < 0.6, rng.random() < 0.6
                ctx.set(dut.read_room, room)
                ctx.set(dut.req_ready, ready)
                more = len(asked) < len(expected)
                assert ctx.get(dut.req_valid) == (room and more)
                if room and more:
                    assert not ctx.get(dut.req_write)
                    assert ctx.get(dut.req_address) == expected[len(asked)]
                    asked += [ctx.get(dut.req_address)] * ready
                await ctx.tick()
            assert asked == expected

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_consumer_keeps_up_without_stalls(p: TileParams) -> None:
    """A line a cycle into a neuron buffer, a beat a cycle into SB; the beat leaves with its last line."""
    i, rng, dut = isa(p), random.Random(112), DmaConsumer(isa(p))
    per = p.lines_per_beat

    async def bench(ctx: Any) -> None:
        ctx.set(dut.line_granted, 1)
        ctx.set(dut.sb_granted, 1)
        for buffer, lines in ((Buffer.NBIN, 6), (Buffer.NBOUT, 5), (Buffer.SB, p.neurons)):
            load = Load(buffer=buffer, lines=lines, last_words=p.synapses, row=2, run_beats=9)
            ctx.set(dut.transfer, {"store": 0, "fields": plain(i, load)})
            ctx.set(dut.push, 1)
            assert ctx.get(dut.ready)
            await ctx.tick()
            ctx.set(dut.push, 0)
            await ctx.tick()  # out of the queue
            await ctx.tick()
            beats = [rng.getrandbits(p.beat_bits) for _ in range(-(-lines // per))]
            ctx.set(dut.beat_valid, 1)
            cycles, taken, got = 0, 0, []
            while True:
                ctx.set(dut.beat, beats[taken])
                if buffer == Buffer.SB:
                    first = taken * per
                    enabled = ((1 << p.neurons) - 1) & (((1 << per) - 1) << first)
                    assert ctx.get(dut.sb_write) == enabled
                    lines_now = [list(line) for line in ctx.get(dut.sb_lines)]
                    got += lines_now[: min(per, lines - first)]
                else:
                    assert ctx.get(dut.line_write)
                    assert ctx.get(dut.line_target) == buffer
                    got.append(list(ctx.get(dut.line)))
                retired = ctx.get(dut.retired)
                taken += ctx.get(dut.beat_taken)
                cycles += 1
                await ctx.tick()
                if retired:
                    break
            ctx.set(dut.beat_valid, 0)
            assert taken == len(beats)
            assert got == [line for beat in beats for line in beat_words(p, beat)][:lines]
            assert cycles == (len(beats) if buffer == Buffer.SB else lines)

    simulate(dut, bench)
