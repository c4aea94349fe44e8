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

MACHINES = [*(preset(name) for name in SHAPES), lone(cell_words=1, banks=2)]
ORDER = ("gather", "output", "load", "store")
ROWS = 8


def port_on_buffer(p: TileParams) -> tuple[Module, NeuronBuffer, BufferPort]:
    module = Module()
    module.submodules.buffer = buffer = NeuronBuffer(isa(p), ROWS)
    module.submodules.port = port = BufferPort(isa(p), buffer)
    return module, buffer, port


def cells_of(p: TileParams, at: int, mask: int, count: int) -> list[int]:
    """Cells from ``at`` on in which a mask of ``count`` words has a bit."""
    return sorted({at + w // p.cell_words for w in range(count) if mask >> w & 1})


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_requests_of_different_banks_are_served_together(p: TileParams) -> None:
    """All four ask at random and repeat what was refused; grants follow from the banks, words from a dictionary."""
    rng, size = random.Random(100), p.cell_words
    module, buffer, port = port_on_buffer(p)
    full = (1 << p.beat_words) - 1

    def request(name: str) -> dict[str, Any]:
        at = rng.randrange((ROWS - 1) * p.banks)
        if name == "gather":
            banks = rng.getrandbits(p.banks) & rng.getrandbits(p.banks)
            rows = [rng.randrange(ROWS) for _ in range(p.banks)]
            return {"cells": [rows[b] * p.banks + b for b in range(p.banks) if banks >> b & 1], "banks": banks,
                    "rows": rows}  # fmt: skip
        count = size if name == "output" else p.beat_words
        mask = rng.choice((full, full >> rng.randrange(p.beat_words), rng.getrandbits(p.beat_words)))
        mask &= (1 << count) - 1
        return {"cells": cells_of(p, at, mask, count), "at": at, "mask": mask, "words": words(rng, p.fmt.width, count)}

    async def bench(ctx: Any) -> None:
        store = dict.fromkeys(range(ROWS * p.row_words), 0)  # by word
        asking: dict[str, dict[str, Any]] = {}
        seen = dict.fromkeys((*ORDER, "urgent", "together", "held"), 0)
        refused = False  # the load, in the cycle before
        out = [0] * p.row_words
        for _ in range(1500):
            for name in ORDER:
                if name not in asking and rng.random() < 0.5:
                    asking[name] = request(name)
                ctx.set(getattr(port, name), name in asking)
            hold = rng.random() < 0.3
            ctx.set(port.hold, hold)
            for name, r in asking.items():
                if name == "gather":
                    ctx.set(port.gather_banks, r["banks"])
                    for b in range(p.banks):
                        ctx.set(getattr(port, f"gather_row_{b}"), r["rows"][b])
                    continue
                ctx.set(getattr(port, f"{name}_at"), {"row": r["at"] // p.banks, "bank": r["at"] % p.banks})
                ctx.set(getattr(port, f"{name}_mask"), r["mask"])
                if name != "store":
                    ctx.set(port.output_cell if name == "output" else port.load_words, r["words"])
            # the order, by banks
            taken: set[int] = set()
            wanted = []
            urgent = refused and "load" in asking
            for name in ("load", "gather", "output", "store") if urgent else ORDER:
                if name not in asking or (name == "store" and hold):
                    continue
                banks = {cell % p.banks for cell in asking[name]["cells"]}
                if not banks & taken:
                    taken |= banks
                    wanted.append(name)
            assert [name for name in ORDER if ctx.get(getattr(port, f"{name}_granted"))] == sorted(
                wanted, key=ORDER.index
            )
            refused = "load" in asking and "load" not in wanted
            seen["urgent"] += urgent
            seen["together"] += len(wanted) > 1
            seen["held"] += hold and "store" in asking
            await ctx.tick()
            for name in wanted:
                r = asking.pop(name)
                seen[name] += 1
                if name in ("gather", "store"):
                    for cell in r["cells"]:
                        b = cell % p.banks
                        out[b * size : (b + 1) * size] = [store[cell * size + s] for s in range(size)]
                else:
                    for w, word in enumerate(r["words"]):
                        if r["mask"] >> w & 1:
                            store[r["at"] * size + w] = word
                if name == "store":
                    got = list(ctx.get(port.store_words))
                    for w in range(p.beat_words):
                        if r["mask"] >> w & 1:
                            assert got[w] == store[r["at"] * size + w]
            assert list(ctx.get(buffer.data)) == out  # no other bank was read
        assert min(seen.values()) > 30, seen

    simulate(module, bench)


def test_a_load_is_refused_once_at_most() -> None:
    """Whatever asks for its banks, a load that stands is served at the latest in its second cycle."""
    p = preset("odd")
    module, _, port = port_on_buffer(p)

    async def bench(ctx: Any) -> None:
        ctx.set(port.gather, 1)
        ctx.set(port.gather_banks, (1 << p.banks) - 1)
        ctx.set(port.load, 1)
        ctx.set(port.load_mask, 1)
        for cycle in range(20):
            assert ctx.get(port.load_granted) == cycle % 2
            assert ctx.get(port.gather_granted) == 1 - cycle % 2
            await ctx.tick()
        ctx.set(port.gather_banks, 0)
        for _ in range(2):  # a gather of no bank meets nobody
            assert ctx.get(port.gather_granted)
            assert ctx.get(port.load_granted)
            await ctx.tick()

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
