"""Control: dispatch, the walk from increment to increment, decisions, host registers, and what stops it."""

import random
from typing import Any

import pytest

from hw.control import Control
from hw.host import HostRegister, mode_word
from hw.instructions import ENTRY_AHEAD
from hw.isa import Compute, Decide, End, Entry, Instruction, Isa, Load, Opcode, Store, Window, isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, simulate

PROGRAM = 40
Segments = dict[int, list[Instruction]]


class Rig:
    """Plays fetch, queues and margin controller around a Control; keeps a log of what it does."""

    def __init__(self, p: TileParams, segments: Segments, seed: int = 130, stalls: float = 0.4) -> None:
        self.i: Isa = isa(p)
        self.p, self.segments, self.rng, self.stalls = p, segments, random.Random(seed), stalls
        self.dut = Control(self.i)
        self.transfer_bits = sum(field.bits for field in self.i.fields[Opcode.LOAD])
        self.log: list[Any] = []
        self.pending: list[int] = []
        self.below: list[bool] = []
        self.executed = self.cycles = 0
        self.offered = False

    async def host(self, ctx: Any, register: int, value: int) -> None:
        ctx.set(self.dut.host.write, 1)
        ctx.set(self.dut.host.address, register)
        ctx.set(self.dut.host.data, value)
        await ctx.tick()
        ctx.set(self.dut.host.write, 0)

    async def cycle(self, ctx: Any, start: bool = False) -> bool:
        """One cycle; True when the image is done."""
        dut, rng, go = self.dut, self.rng, lambda: self.rng.random() >= self.stalls
        ctx.set(dut.start, start)
        ctx.set(dut.program, PROGRAM)
        valid = bool(self.pending) and (self.offered or go())
        self.offered = valid  # an instruction once offered stays
        ctx.set(dut.fetch_valid, valid)
        ctx.set(dut.instruction, self.pending[0] if valid else rng.getrandbits(self.i.instruction_bits))
        ctx.set(dut.fetch_done, not self.pending)
        still = go()
        ctx.set(dut.still, still)
        ctx.set(dut.transfer_ready, go())
        ctx.set(dut.compute_ready, go())
        decided = go()
        ctx.set(dut.decided, decided)
        ctx.set(dut.below, self.below[0] if decided and self.below else rng.getrandbits(1))
        word = self.pending[0] if valid else 0
        taken = valid and ctx.get(dut.fetch_ready)
        assert not (ctx.get(dut.transfer_valid) and ctx.get(dut.compute_valid))
        if ctx.get(dut.transfer_valid):
            assert valid
            assert taken == ctx.get(dut.transfer_ready)
            transfer = ctx.get(dut.transfer)
            assert transfer.store == (word & 15 == Opcode.STORE)
            fields = transfer.fields.as_bits()
            assert fields == word >> 4 & ((1 << self.transfer_bits) - 1)
            if taken:
                self.log.append(("transfer", word))
        elif ctx.get(dut.compute_valid):
            assert taken == ctx.get(dut.compute_ready)
            assert ctx.get(dut.compute_is_window) == (word & 15 == Opcode.WINDOW)
            if taken:
                self.log.append(("compute", word))
        if ctx.get(dut.clear_counters):
            self.log.append("image")
        if ctx.get(dut.decide) and decided:
            assert ctx.get(dut.decision)
            self.log.append(("decide", ctx.get(dut.stopped), ctx.get(dut.threshold), ctx.get(dut.softmax)))
            self.below.pop(0)
        else:
            assert not ctx.get(dut.decision)
        if ctx.get(dut.increment_edge):
            self.log.append(("edge", ctx.get(dut.stopped)))
        done = bool(ctx.get(dut.done))
        self.executed += ctx.get(dut.executed)
        fetch = more = None
        if ctx.get(dut.fetch_start):
            fetch = ctx.get(dut.fetch_address), ctx.get(dut.fetch_length)
            assert ctx.get(dut.clear_sync) == (fetch[0] != PROGRAM)
        if ctx.get(dut.fetch_extend):
            more = ctx.get(dut.fetch_length)
            assert ctx.get(dut.clear_sync)
        await ctx.tick()
        self.cycles += 1
        if taken:
            self.pending.pop(0)
            self.offered = False
        if fetch:
            assert not self.pending  # a segment begins only when the last is over
            address, length = fetch
            segment = self.segments[address]
            if address == PROGRAM and length > 1:  # increment 0 is next: its segment lies behind
                segment = [*segment, *self.behind(0, ENTRY_AHEAD)]
            assert length == len(segment)
            self.pending = self.words(segment)
            self.log.append(("segment", address))
        if more is not None:
            assert len(self.pending) == ENTRY_AHEAD  # of the segment so far
            rest = self.behind(ENTRY_AHEAD, None)
            assert more == len(rest)
            self.pending += self.words(rest)
            entry = self.segments[PROGRAM][0]
            assert isinstance(entry, Entry)
            self.log.append(("segment", entry.address[0]))
        return done

    def words(self, items: list[Instruction]) -> list[int]:
        return [int.from_bytes(self.i.encode(item), "little") for item in items]

    def behind(self, first: int, end: int | None) -> list[Instruction]:
        """Instructions of the segment behind the Entry."""
        entry = self.segments[PROGRAM][0]
        return self.segments[entry.address[0]][first:end] if isinstance(entry, Entry) else [End()] * ENTRY_AHEAD

    async def image(self, ctx: Any, limit: int = 2000) -> None:
        done = await self.cycle(ctx, start=True)
        assert ctx.get(self.dut.busy)
        for _ in range(limit):
            if done:
                assert not ctx.get(self.dut.busy)
                return
            done = await self.cycle(ctx)
        raise AssertionError("the image never ended")


def ladder(p: TileParams) -> tuple[Segments, list[list[Instruction]]]:
    """A program of all increments: each works, decides, and goes on to an End that only the stopped one reaches."""
    n, i = p.increments, isa(p)
    lanes, slots = (0,) * p.synapses, (0,) * p.banks
    window = Window(1, 1, 0, 1, 0, 0, 0, 0, 0, (0,) * 6, lanes, lanes, lanes, slots, slots, slots)
    work: list[list[Instruction]] = [[Load(row=k), window, Compute(row=k + 1), Store(row=k + 2)] for k in range(n)]
    rest: list[Instruction] = [Compute(row=7), End()]
    length = len(work[0]) + 1 + len(rest)
    segments: Segments = {}
    for k in range(n):
        decide = Decide(k, int(k == n - 1), 1000 + (k + 1 if k < n - 1 else 0), length)
        segments[1000 + k] = [*work[k], decide, *rest]
    segments[PROGRAM] = [Entry(tuple(1000 + k for k in range(n)), (length,) * n)]
    assert i.beat_bits > 10
    return segments, work


@pytest.mark.parametrize("name", SHAPES)
def test_every_stop_under_every_capacity(name: str) -> None:
    """Escalation goes on while the margin is below, the increment is not the last and the capacity allows it."""
    p = preset(name)
    segments, work = ladder(p)
    rig = Rig(p, segments)
    n = p.increments
    encode = rig.i.encode

    def words(items: list[Instruction]) -> list[Any]:
        kinds = {Load: "transfer", Store: "transfer", Window: "compute", Compute: "compute"}
        return [(kinds[type(item)], int.from_bytes(encode(item), "little")) for item in items]

    async def bench(ctx: Any) -> None:
        assert not ctx.get(rig.dut.busy)
        for k in range(n):
            await rig.host(ctx, HostRegister.THRESHOLD + k, 10**17 + k)
        for capacity in [None, *range(n)]:  # without a write the largest increment is allowed
            if capacity is not None:
                await rig.host(ctx, HostRegister.CAPACITY, capacity)
            top = n - 1 if capacity is None else capacity
            for direct in (False, True):
                for softmax in (False, True):
                    await rig.host(ctx, HostRegister.MODE, mode_word(direct=direct, softmax=softmax))
                    for confident in range(n + 1):  # the increment at which the margin is large enough; n: never
                        rig.log, rig.executed = [], 0
                        rig.below = [k < confident for k in range(top if direct else 0, n)]
                        first = top if direct else 0
                        last = max(first, min(top, confident))
                        await rig.image(ctx)
                        wanted: list[Any] = ["image", ("segment", PROGRAM)]
                        for k in range(first, last + 1):
                            wanted += [("segment", 1000 + k), *words(work[k]), ("decide", k, 10**17 + k, softmax)]
                            if k == last:
                                wanted += words([Compute(row=7)])
                            wanted.append(("edge", k))
                        assert rig.log == wanted
                        assert ctx.get(rig.dut.stopped) == last
                        # the Entry, every segment up to its Decide, the last one whole
                        assert rig.executed == 1 + (last - first + 1) * (len(work[0]) + 1) + 2
        assert not ctx.get(rig.dut.fault)

    simulate(rig.dut, bench, limit=60_000)


def test_a_tile_with_budget_takes_the_smaller_capacity_and_waits() -> None:
    """The budgets' capacity and the host's: the smaller one counts. No image starts before the budgets have settled."""
    p = preset("small").replace(budget=True)
    segments, _ = ladder(p)
    rig = Rig(p, segments)
    n = p.increments

    async def bench(ctx: Any) -> None:
        for direct in (False, True):
            await rig.host(ctx, HostRegister.MODE, mode_word(direct=direct, softmax=False))
            for highest in range(n):
                await rig.host(ctx, HostRegister.CAPACITY, highest)
                for allowed in range(n):
                    capacity = min(highest, allowed)
                    ctx.set(rig.dut.allowed, allowed)
                    ctx.set(rig.dut.settled, 0)
                    rig.below, rig.log = [True] * n, []
                    for _ in range(5):
                        assert not await rig.cycle(ctx, start=True)
                        assert not ctx.get(rig.dut.busy)
                    assert rig.log == []
                    ctx.set(rig.dut.settled, 1)
                    assert ctx.get(rig.dut.capacity) == capacity
                    await rig.image(ctx)
                    assert ctx.get(rig.dut.stopped) == capacity
                    edges = [entry[1] for entry in rig.log if entry[0] == "edge"]
                    assert edges == list(range(capacity if direct else 0, capacity + 1))

    simulate(rig.dut, bench, limit=60_000)


def test_an_instruction_a_cycle_while_queues_have_room() -> None:
    p = preset("small")
    segments: Segments = {PROGRAM: [Entry((500,), (41,))], 500: [*[Load(row=k) for k in range(40)], End()]}
    rig = Rig(p, segments, stalls=0.0)

    async def bench(ctx: Any) -> None:
        await rig.host(ctx, HostRegister.CAPACITY, 0)
        await rig.image(ctx)
        assert sum(entry[0] == "transfer" for entry in rig.log) == 40
        assert rig.cycles == 1 + 1 + 40 + 1 + 1  # start, Entry, loads, End, edge

    simulate(rig.dut, bench)


def test_decide_and_end_wait_until_all_is_still() -> None:
    p = preset("small")
    segments: Segments = {PROGRAM: [Entry((500,), (3,))], 500: [Load(), Decide(0, 1), End()]}
    rig = Rig(p, segments, stalls=0.0)

    async def bench(ctx: Any) -> None:
        rig.below = [True]
        await rig.cycle(ctx, start=True)
        for _ in range(2):  # the Entry and the load
            await rig.cycle(ctx)
        for phase in ("decide", "end"):
            for _ in range(10):  # nothing is still: it stays where it is
                ctx.set(rig.dut.fetch_valid, 1)
                ctx.set(rig.dut.instruction, rig.pending[0])
                ctx.set(rig.dut.fetch_done, 0)
                ctx.set(rig.dut.still, 0)
                ctx.set(rig.dut.decided, 1)
                assert not ctx.get(rig.dut.fetch_ready)
                assert not ctx.get(rig.dut.decide)
                assert not ctx.get(rig.dut.increment_edge)
                await ctx.tick()
            if phase == "decide":
                await rig.cycle(ctx)
                await rig.cycle(ctx)
                assert rig.log[-1][0] == "decide"
        while not await rig.cycle(ctx):
            pass
        assert rig.log[-1] == ("edge", 0)

    simulate(rig.dut, bench)


@pytest.mark.parametrize("code", [0, 1, 8, 15])
def test_an_unknown_instruction_is_a_fault_that_stays(code: int) -> None:
    """In a segment: no unit gets it, the machine stops there, the fault stays. An Entry belongs at the front only."""
    p = preset("small")
    segments: Segments = {PROGRAM: [Entry((500,), (3,))], 500: [Load(), Load(row=1), End()]}
    rig = Rig(p, segments, stalls=0.0)

    async def bench(ctx: Any) -> None:
        await rig.cycle(ctx, start=True)
        await rig.cycle(ctx)
        assert not ctx.get(rig.dut.fault)
        rig.pending[0] = code
        for _ in range(5):
            await rig.cycle(ctx)
            assert ctx.get(rig.dut.fault)
        assert len(rig.pending) == 3
        assert [entry for entry in rig.log if entry[0] in ("transfer", "compute")] == []
        assert ctx.get(rig.dut.busy)

    simulate(rig.dut, bench)


def test_a_program_without_an_entry_is_a_fault() -> None:
    p = preset("small")
    load = Load(address=500)
    rig = Rig(p, {PROGRAM: [load]}, stalls=0.0)

    async def bench(ctx: Any) -> None:
        await rig.cycle(ctx, start=True)
        ctx.set(rig.dut.fetch_valid, 1)
        ctx.set(rig.dut.instruction, rig.pending[0])
        await ctx.tick()
        assert ctx.get(rig.dut.fault)

    simulate(rig.dut, bench)
