"""The arbiters: the order of the requesters, the rows and lanes that reach the buffer, answers to who asked."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.arbiter import BufferPort, DramArbiter
from hw.buffers import NeuronBuffer
from hw.isa import isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, simulate, words

MACHINES = [*(preset(name) for name in SHAPES), lone()]
ORDER = ("load", "store", "output", "gather")


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_one_access_a_cycle_and_all_land(p: TileParams) -> None:
    """All four ask at random; only the first of the order is served, and the buffer ends up as a dictionary says."""
    i, rng, n, rows = isa(p), random.Random(100), p.synapses, 8
    module = Module()
    buffer = NeuronBuffer(i, rows)
    port = BufferPort(i, buffer)
    module.submodules.buffer, module.submodules.port = buffer, port
    mask = (1 << p.fmt.width) - 1

    async def bench(ctx: Any) -> None:
        store = {(row, bank): 0 for row in range(rows) for bank in range(n)}
        served = dict.fromkeys(ORDER, 0)
        for _ in range(400):
            asking = {name: rng.random() < 0.4 for name in ORDER}
            at = {name: rng.randrange((rows - 1) * n) for name in ("load", "store", "output")}
            lanes = {name: rng.getrandbits(n) for name in ("load", "store", "gather")}
            bank, gather_rows = rng.randrange(n), [rng.randrange(rows) for _ in range(n)]
            line, word = words(rng, p.fmt.width, n), rng.getrandbits(p.fmt.width)
            for name in ORDER:
                ctx.set(getattr(port, name), asking[name])
            for name, address in at.items():
                ctx.set(getattr(port, f"at_{name}"), {"row": address // n, "bank": address % n})
            for name, value in lanes.items():
                ctx.set(getattr(port, f"lanes_{name}"), value)
            ctx.set(port.origin, {"row": rng.randrange(rows), "bank": bank})
            for e in range(n):
                ctx.set(getattr(port, f"row_{e}"), gather_rows[e])
            ctx.set(port.line, line)
            ctx.set(port.word, word)
            first = next((name for name in ORDER if asking[name]), None)
            for name in ORDER:
                assert ctx.get(getattr(port, f"{name}_granted")) == (name == first)
            await ctx.tick()
            if first is None:
                continue
            served[first] += 1
            if first == "load":
                for e in range(n):
                    if lanes["load"] >> e & 1:
                        store[divmod(at["load"] + e, n)] = line[e] & mask
            elif first == "output":
                store[divmod(at["output"], n)] = word
            else:
                data = [value & mask for value in ctx.get(buffer.data)]
                for e in range(n):
                    if lanes[first] >> e & 1:
                        gathered = (gather_rows[e], (bank + e) % n)
                        wanted = divmod(at["store"] + e, n) if first == "store" else gathered
                        assert data[e] == store[wanted]
        assert min(served.values()) > 10

    simulate(module, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_dram_requests_and_answers(p: TileParams) -> None:
    """Fetch goes first; reads stay within ``dram_outstanding``; a waiting request does not change; answers in order."""
    rng, dut = random.Random(101), DramArbiter(isa(p))
    port = dut.port

    async def bench(ctx: Any) -> None:
        waiting: tuple[str, int, int, int] | None = None  # in the register: asker, address, beat, mask
        asked: deque[str] = deque()  # accepted reads without an answer
        flying = most = full_writes = 0  # those of them that the DRAM has taken
        taken = {"fetch": 0, "dma": 0, "write": 0}
        for cycle in range(800):
            busy = cycle // 100 % 2 == 1  # every other hundred cycles few answers come: the port fills up
            fetch, dma, write = rng.random() < 0.5, rng.random() < 0.7, rng.random() < 0.4
            ready, respond = rng.random() < 0.7, flying > 0 and rng.random() < (0.05 if busy else 0.9)
            addresses = {"fetch": rng.randrange(p.dram_beats), "dma": rng.randrange(p.dram_beats)}
            beat, mask = rng.getrandbits(p.beat_bits), rng.getrandbits(p.lines_per_beat)
            for name, value in (
                ("fetch_valid", fetch), ("fetch_address", addresses["fetch"]), ("dma_valid", dma), ("dma_write", write),
                ("dma_address", addresses["dma"]), ("dma_data", beat), ("dma_mask", mask),
            ):  # fmt: skip
                ctx.set(getattr(dut, name), value)
            ctx.set(port.req_ready, ready)
            ctx.set(port.rsp_valid, respond)
            # what waits stands at the port, whatever is asked meanwhile
            assert ctx.get(port.req_valid) == (waiting is not None) == (not ctx.get(dut.empty))
            if waiting:
                asker, address, data, lines = waiting
                assert (ctx.get(port.req_write), ctx.get(port.req_address)) == (asker == "write", address)
                if asker == "write":
                    assert (ctx.get(port.req_data), ctx.get(port.req_mask)) == (data, lines)
            # who goes next
            free, room = waiting is None or ready, len(asked) < p.dram_outstanding
            goes = None
            if free:
                goes = "fetch" if fetch and room else "write" if dma and write else "dma" if dma and room else None
            assert (ctx.get(dut.fetch_ready), ctx.get(dut.dma_ready)) == (goes == "fetch", goes in ("dma", "write"))
            full_writes += goes == "write" and not room
            answered = asked.popleft() if respond else None
            assert (ctx.get(dut.fetch_rsp), ctx.get(dut.dma_rsp)) == (answered == "fetch", answered == "dma")
            flying += (waiting is not None and ready and waiting[0] != "write") - respond
            if free:
                waiting = (goes, addresses["fetch" if goes == "fetch" else "dma"], beat, mask) if goes else None
            if goes:
                taken[goes] += 1
                if goes != "write":
                    asked.append(goes)
            most = max(most, len(asked))
            await ctx.tick()
        assert most == p.dram_outstanding
        assert full_writes > 0
        assert min(taken.values()) > 10

    simulate(dut, bench)


def test_a_request_a_cycle() -> None:
    """With a ready DRAM each request is at the port one cycle after it was taken, and one is taken every cycle."""
    p = preset("small")
    dut = DramArbiter(isa(p))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.port.req_ready, 1)
        ctx.set(dut.dma_valid, 1)
        ctx.set(dut.dma_write, 1)
        for k in range(20):
            ctx.set(dut.dma_address, 100 + k)
            assert ctx.get(dut.dma_ready)
            await ctx.tick()
            assert (ctx.get(dut.port.req_valid), ctx.get(dut.port.req_address)) == (1, 100 + k)

    simulate(dut, bench)
