"""The DMA engine against transfers carried out on dictionaries: requester alone, consumer alone, and the whole."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.dma import PATIENCE, Dma, DmaConsumer, DmaRequester
from hw.isa import Base, Buffer, Load, Store, isa, replace_waits
from hw.params import TileParams, preset
from hw.signatures import LOADED
from tests.hw.dma_model import Machine, map_words, random_transfer, weight_lines
from tests.hw.sim import SHAPES, lone, plain, simulate, words

MACHINES = [*(preset(name) for name in SHAPES), lone(cell_words=1, banks=2)]


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
    module = Module()
    module.submodules.dma = dut = Dma(i)
    r, c = dut.requester, dut.consumer

    async def bench(ctx: Any) -> None:
        ctx.set(r.image, image)
        ctx.set(r.result, result)
        flying: deque[int] = deque()
        sent, most, cycle, offered, carried, parts, aside = 0, 0, 0, None, 0, 0, 0
        while ctx.get(dut.dma_done) < len(transfers):
            slow = cycle // 200 % 3
            ready, grant = rng.random() < (0.9, 0.4, 0.9)[slow], rng.random() < (0.9, 0.4, 0.05)[slow]
            ctx.set(dut.head_valid, sent < len(transfers) and (offered == sent or rng.random() < 0.8))
            if ctx.get(dut.head_valid):
                offered = sent
                fields = plain(i, transfers[sent])
                ctx.set(dut.head, {"store": isinstance(transfers[sent], Store), "fields": fields})
            ctx.set(r.req_ready, ready)
            for signal in (r.store_granted, c.sb_granted):
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
                    stored = machine.read_words(ctx.get(r.store_source), at.row, at.bank, ctx.get(r.store_mask))
            waiting: set[int] = set()  # banks: a cell never goes before an older one of its bank
            for beat in LOADED:
                at, cells = ctx.get(getattr(c, f"{beat}_at")), ctx.get(getattr(c, f"{beat}_cells"))
                banks = {k: (at.bank + k) % p.banks for k in range(p.beat_cells) if cells >> k & 1}
                here = {k for k in banks if rng.random() < (0.9, 0.4, 0.05)[slow]}
                written = [k for k, bank in banks.items() if k in here and bank not in waiting]
                waiting |= set(banks.values())
                ctx.set(getattr(c, f"{beat}_written"), sum(1 << k for k in written))
                mask = sum(((1 << p.cell_words) - 1) << k * p.cell_words for k in written)
                mask &= ctx.get(getattr(c, f"{beat}_mask"))
                words = list(ctx.get(getattr(c, f"{beat}_words")))
                machine.write_words(ctx.get(c.load_target), at.row, at.bank, mask, words)
                parts += 0 < len(written) < len(banks)
                aside += beat == "late" and cells > 0
            if enables := ctx.get(c.sb_write):
                ctx.set(c.sb_granted, grant)
                if grant:
                    lines = [list(line) for line in ctx.get(c.sb_lines)]
                    picks = list(ctx.get(c.sb_pick))
                    machine.write_sb(enables, ctx.get(c.sb_row), ctx.get(c.sb_lanes), lines, picks)
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
                ctx.set(r.store_words, stored)
            if ctx.get(dut.dma_done) > carried:  # in order, and no sooner than all of it is there
                wanted.carry_out(transfers[carried])
                carried += 1
                assert machine.buffers == wanted.buffers
                assert machine.sb == wanted.sb
        assert (parts > 20 and aside > 20) or p.beat_cells == 1
        assert sent == len(transfers)
        assert 1 < most <= p.dram_outstanding
        for _ in range(20):
            assert not ctx.get(r.req_valid)
            assert not ctx.get(c.load_cells) | ctx.get(c.late_cells)
            assert not ctx.get(c.sb_write)
            await ctx.tick()
        assert ctx.get(dut.dma_done) == len(transfers)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.dma_done) == 0

    simulate(module, bench, limit=60_000)
    assert machine.dram == wanted.dram
    assert sum(len(words) for words in wanted.buffers) > 20
    assert len(wanted.sb) > 20
    assert len(wanted.dram) > 20


@pytest.mark.parametrize("wait", ["wait_dma", "wait_read", "wait_written"])
def test_a_head_waits_for_its_counts(wait: str) -> None:
    """A transfer starts in the very cycle in which its count is reached, and not before."""
    p = preset("small")
    i, dut = isa(p), Dma(isa(p))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.rsp_valid, 0)
        ctx.set(dut.consumer.load_written, (1 << p.beat_cells) - 1)
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

    async def bench(ctx: Any) -> None:
        for buffer in (Buffer.NBIN, Buffer.NBOUT, Buffer.SB) * 3:
            length, runs, stride = rng.randint(1, 5), rng.randint(1, 3), rng.randint(3, 9)
            base = rng.choice(list(Base))
            ctx.set(dut.image, 1000)
            ctx.set(dut.result, 2000)
            load = Load(buffer=buffer, base=base, address=7, run_beats=stride, runs=runs, length=length)
            ctx.set(dut.head, {"store": 0, "fields": plain(i, load)})
            ctx.set(dut.head_valid, 1)
            ctx.set(dut.waits_met, 1)
            for accept_ready in (0, 1):  # the consumer must have room too
                ctx.set(dut.accept_ready, accept_ready)
                assert ctx.get(dut.accepted) == ctx.get(dut.head_ready) == accept_ready
            await ctx.tick()
            ctx.set(dut.head_valid, 0)
            origin = {Base.ABSOLUTE: 0, Base.IMAGE: 1000, Base.RESULT: 2000}[base] + 7
            beats = -(-length // p.lines_per_beat) if buffer == Buffer.SB else length
            expected = [origin + run * stride + beat for run in range(runs) for beat in range(beats)]
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
def test_a_store_writes_a_beat_a_cycle(p: TileParams) -> None:
    """Without stalls: buffer reads in a row, each beat at the DRAM two cycles later, whole, with zeros at its end."""
    i, rng, dut = isa(p), random.Random(113), DmaRequester(isa(p))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.req_ready, 1)
        ctx.set(dut.store_granted, 1)
        last_words = p.beat_words - 1 or 1
        store = Store(buffer=Buffer.NBOUT, address=5, length=4, runs=2, run_beats=7, last_words=last_words)
        ctx.set(dut.head, {"store": 1, "fields": plain(i, store)})
        ctx.set(dut.head_valid, 1)
        ctx.set(dut.waits_met, 1)
        ctx.set(dut.accept_ready, 1)
        await ctx.tick()
        ctx.set(dut.head_valid, 0)
        given: list[list[int]] = []
        for cycle in range(8 + 2):
            assert ctx.get(dut.store_read) == (cycle < 8)
            assert ctx.get(dut.req_valid) == ctx.get(dut.req_write) == (cycle >= 2)
            assert ctx.get(dut.stored) == (cycle == 9)
            if cycle >= 2:
                beat, k = given[cycle - 2], cycle - 2
                count = last_words if k % 4 == 3 else p.beat_words
                assert map_words(p, ctx.get(dut.req_data)) == beat[:count] + [0] * (p.beat_words - count)
                assert ctx.get(dut.req_address) == 5 + k // 4 * 7 + k % 4
                assert ctx.get(dut.req_mask) == (1 << p.lines_per_beat) - 1
            given.append(words(rng, p.fmt.width, p.beat_words))
            await ctx.tick()
            ctx.set(dut.store_words, given[-1])
        assert not ctx.get(dut.req_valid)

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_consumer_keeps_up_without_stalls(p: TileParams) -> None:
    """A beat a cycle into a neuron buffer and into SB, its words or its lines unchanged."""
    i, rng, dut = isa(p), random.Random(112), DmaConsumer(isa(p))
    per = p.lines_per_beat

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load_written, (1 << p.beat_cells) - 1)
        ctx.set(dut.sb_granted, 1)
        for buffer, length in ((Buffer.NBIN, 6), (Buffer.NBOUT, 5), (Buffer.SB, p.neurons)):
            load = Load(buffer=buffer, length=length, last_words=p.synapses, row=2, run_beats=9)
            ctx.set(dut.transfer, {"store": 0, "fields": plain(i, load)})
            ctx.set(dut.push, 1)
            assert ctx.get(dut.ready)
            await ctx.tick()
            ctx.set(dut.push, 0)
            await ctx.tick()  # out of the queue
            await ctx.tick()
            beats = [rng.getrandbits(p.beat_bits) for _ in range(-(-length // per) if buffer == Buffer.SB else length)]
            ctx.set(dut.beat_valid, 1)
            for k, beat in enumerate(beats):
                ctx.set(dut.beat, beat)
                assert ctx.get(dut.beat_taken)
                if buffer == Buffer.SB:
                    assert ctx.get(dut.sb_write) == ((1 << p.neurons) - 1) & (((1 << per) - 1) << k * per)
                    assert [list(line) for line in ctx.get(dut.sb_lines)] == weight_lines(p, beat)
                else:
                    assert ctx.get(dut.load_taken)
                    assert ctx.get(dut.load_target) == buffer
                    assert list(ctx.get(dut.load_words)) == map_words(p, beat)
                assert ctx.get(dut.retired) == (k == len(beats) - 1)
                await ctx.tick()
            ctx.set(dut.beat_valid, 0)

    simulate(dut, bench)


def test_a_beat_that_waits_stands_aside_and_becomes_urgent() -> None:
    """The next beat begins while one is late, a third does not; a transfer ends with its last cell."""
    p = preset("paper32")
    i, dut = isa(p), DmaConsumer(isa(p))
    full = (1 << p.beat_cells) - 1
    assert p.beat_cells >= 3

    async def bench(ctx: Any) -> None:
        async def cycle(late: int, load: int) -> tuple[int, int, int, int]:
            """Cells of both that are written; (late_cells, load_cells, beat_taken, urgent) of the cycle."""
            ctx.set(dut.late_written, late)
            ctx.set(dut.load_written, load)
            seen = ctx.get(dut.late_cells), ctx.get(dut.load_cells), ctx.get(dut.beat_taken), ctx.get(dut.urgent)
            assert ctx.get(dut.load_taken) == seen[2]
            ended = ctx.get(dut.retired)
            await ctx.tick()
            retired.append(ended)
            return seen

        retired: list[int] = []
        load = Load(buffer=Buffer.NBOUT, length=3, last_words=p.cell_words + 1, row=2, bank=p.banks - 1)
        ctx.set(dut.transfer, {"store": 0, "fields": plain(i, load)})
        ctx.set(dut.push, 1)
        await ctx.tick()
        ctx.set(dut.push, 0)
        await ctx.tick()
        await ctx.tick()
        assert await cycle(0, 0) == (0, 0, 0, 0)  # no answer yet: nobody waits
        ctx.set(dut.beat_valid, 1)
        beats = [sum((k + 1) << 8 * p.word_bytes * w for w in range(p.beat_words)) for k in range(3)]
        ctx.set(dut.beat, beats[0])
        assert await cycle(0, full ^ 1) == (0, full, 1, 0)  # its first cell is put aside
        ctx.set(dut.beat, beats[1])
        assert list(ctx.get(dut.late_words)) == map_words(p, beats[0])
        assert (ctx.get(dut.late_at).row, ctx.get(dut.late_at).bank) == (2, p.banks - 1)
        assert (ctx.get(dut.load_at).row, ctx.get(dut.load_at).bank) == (3, p.beat_cells - 1)
        assert await cycle(0, 2) == (1, full, 0, 0)
        for waited in range(1, PATIENCE):
            assert await cycle(0, 0) == (1, full ^ 2, 0, 0), waited
        assert await cycle(0, 0) == (1, full ^ 2, 0, 1)
        assert await cycle(0, 4) == (1, full ^ 2, 0, 1)  # it stays until the beat goes
        assert await cycle(1, 1) == (1, full ^ 6, 1, 1)
        ctx.set(dut.beat, beats[2])
        assert await cycle(0, 3) == (full ^ 7, 3, 0, 0)  # the last beat is written but waits for the one before
        ctx.set(dut.load_written, 0)
        for waited in range(1, PATIENCE):
            assert await cycle(0, 0) == (full ^ 7, 0, 0, 0), waited
        assert not any(retired)
        assert await cycle(full ^ 7, 0) == (full ^ 7, 0, 1, 1)
        assert retired.pop() == 1
        assert not any(retired)
        assert await cycle(0, 0) == (0, 0, 0, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["small", "odd", "paper32"])
def test_weights_that_wait_for_sb_crowd_out_the_reads(name: str) -> None:
    """The cycle after ``crowd`` answers of a load of weights wait, until fewer do; a map's never."""
    p = preset(name)
    i = isa(p)
    beats = p.dram_outstanding
    assert 1 <= p.crowd < beats
    for buffer in (Buffer.SB, Buffer.NBIN):
        load = Load(buffer=buffer, length=p.lines_per_beat if buffer == Buffer.SB else 1, runs=beats, run_beats=1)
        module = Module()
        module.submodules.dma = dut = Dma(i)
        seen: list[tuple[int, int]] = []  # answers that wait, and whether the next cycle is crowded

        async def bench(ctx: Any, dut: Dma = dut, load: Load = load, seen: list[tuple[int, int]] = seen) -> None:
            ctx.set(dut.requester.req_ready, 1)
            ctx.set(dut.head, {"store": 0, "fields": plain(i, load)})
            ctx.set(dut.head_valid, 1)
            await ctx.tick()
            ctx.set(dut.head_valid, 0)
            for _ in range(2 * beats):  # all are asked for, and the consumer has begun
                await ctx.tick()
            waiting = 0
            for cycle in range(2 * beats):
                ctx.set(dut.rsp_valid, cycle < beats)
                ctx.set(dut.consumer.sb_granted, cycle > beats)
                waiting -= ctx.get(dut.consumer.beat_taken)
                before = waiting + ctx.get(dut.consumer.beat_taken)
                await ctx.tick()
                waiting += cycle < beats
                seen.append((before, ctx.get(dut.crowded)))

        simulate(module, bench)
        for waiting, crowded in seen:
            assert crowded == (buffer == Buffer.SB and waiting >= p.crowd), (buffer, waiting)
        aside = buffer == Buffer.NBIN  # its first beat is put aside
        assert max(waiting for waiting, _ in seen) == beats - aside
        assert (seen[-1][0] < beats - 2) == (not aside)
