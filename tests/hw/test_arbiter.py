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
from hw.signatures import LOADED, RESULTS
from tests.hw.sim import SHAPES, lone, simulate, words

MACHINES = [*(preset(name) for name in SHAPES), lone(cell_words=1, banks=2)]
ORDER = ("gather", *RESULTS, "store")
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
    """All ask at random and repeat what was refused; grants follow from the banks, words from a dictionary. The beats
    of loads are written cell by cell."""
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
        count = size if name in RESULTS else p.beat_words
        mask = rng.choice((full, full >> rng.randrange(p.beat_words), rng.getrandbits(p.beat_words)))
        mask &= (1 << count) - 1
        return {"cells": cells_of(p, at, mask, count), "at": at, "mask": mask, "words": words(rng, p.fmt.width, count)}

    async def bench(ctx: Any) -> None:
        store = dict.fromkeys(range(ROWS * p.row_words), 0)  # by word
        asking: dict[str, dict[str, Any]] = {}
        seen = dict.fromkeys((*ORDER, *LOADED, "urgent", "together", "held"), 0)
        parts = 0  # cycles in which a beat was written but for some cells
        out = [0] * p.row_words
        for _ in range(1500):
            for name in (*ORDER, *LOADED):
                if name not in asking and rng.random() < 0.5:
                    asking[name] = request(name)
            for name in ORDER:
                ctx.set(getattr(port, name), name in asking)
            hold, load, urgent = rng.random() < 0.3, rng.random() < 0.9, rng.random() < 0.3
            ctx.set(port.hold, hold)
            ctx.set(port.load, load)
            ctx.set(port.urgent, urgent)
            for beat in LOADED:
                ctx.set(getattr(port, f"{beat}_cells"), 0)
            for name, r in asking.items():
                if name == "gather":
                    ctx.set(port.gather_banks, r["banks"])
                    for b in range(p.banks):
                        ctx.set(getattr(port, f"gather_row_{b}"), r["rows"][b])
                    continue
                ctx.set(getattr(port, f"{name}_at"), {"row": r["at"] // p.banks, "bank": r["at"] % p.banks})
                ctx.set(getattr(port, f"{name}_mask"), r["mask"])
                if name != "store":
                    ctx.set(getattr(port, f"{name}_cell" if name in RESULTS else f"{name}_words"), r["words"])
                if name in LOADED:
                    ctx.set(getattr(port, f"{name}_cells"), sum(1 << cell - r["at"] for cell in r["cells"]))
            # the order, by banks
            wants: dict[int, tuple[str, int]] = {}  # by bank, the cell that a load would write
            for beat in LOADED if load else ():
                for cell in asking[beat]["cells"] if beat in asking else ():
                    wants.setdefault(cell % p.banks, (beat, cell))
            taken = set(wants) if urgent else set()
            wanted: list[str] = []
            for name in ORDER:
                if name == "store":
                    loads = {bank: cell for bank, cell in wants.items() if urgent or bank not in taken}
                    taken |= set(loads)
                if name not in asking or (name == "store" and hold):
                    continue
                if name == "second" and wanted[-1:] != ["output"]:  # it goes with the first one only
                    continue
                banks = {cell % p.banks for cell in asking[name]["cells"]}
                if not banks & taken:
                    taken |= banks
                    wanted.append(name)
            assert [name for name in ORDER if ctx.get(getattr(port, f"{name}_granted"))] == wanted
            for beat in LOADED:
                cells = [cell - asking[beat]["at"] for of, cell in loads.values() if of == beat]
                assert ctx.get(getattr(port, f"{beat}_written")) == sum(1 << cell for cell in cells)
                if cells:
                    parts += len(cells) < len(asking[beat]["cells"])
            seen["urgent"] += urgent and bool(wants)
            seen["together"] += len(wanted) + bool(loads) > 1
            seen["held"] += hold and "store" in asking
            await ctx.tick()
            for beat, cell in loads.values():
                r = asking[beat]
                r["cells"].remove(cell)
                for w in range((cell - r["at"]) * size, (cell - r["at"] + 1) * size):
                    if r["mask"] >> w & 1:
                        store[r["at"] * size + w] = r["words"][w]
            for beat in LOADED:
                if beat in asking and not asking[beat]["cells"]:
                    asking.pop(beat)
                    seen[beat] += 1
            for name in wanted:
                r = asking.pop(name)
                seen[name] += 1
                if name in RESULTS:
                    for w, word in enumerate(r["words"]):
                        if r["mask"] >> w & 1:
                            store[r["at"] * size + w] = word
                    continue
                for cell in r["cells"]:
                    b = cell % p.banks
                    out[b * size : (b + 1) * size] = [store[cell * size + s] for s in range(size)]
                if name == "store":
                    got = list(ctx.get(port.store_words))
                    for w in range(p.beat_words):
                        if r["mask"] >> w & 1:
                            assert got[w] == store[r["at"] * size + w]
            assert list(ctx.get(buffer.data)) == out  # no other bank was read
        assert min(seen.values()) > 30, seen
        assert parts > 30 or p.beat_cells == 1

    simulate(module, bench)


def test_only_an_urgent_load_goes_before_a_gather() -> None:
    p = preset("odd")
    module, _, port = port_on_buffer(p)

    async def bench(ctx: Any) -> None:
        ctx.set(port.gather, 1)
        ctx.set(port.load, 1)
        for beat in LOADED:
            ctx.set(getattr(port, f"{beat}_cells"), 1)
            ctx.set(getattr(port, f"{beat}_mask"), 1)
        ctx.set(port.load_at, {"row": 0, "bank": 1})
        for cycle in range(20):
            urgent = cycle % 3 == 2
            ctx.set(port.urgent, urgent)
            ctx.set(port.gather_banks, (1 << p.banks) - 1)
            assert (ctx.get(port.late_written), ctx.get(port.load_written)) == (urgent, urgent)
            assert ctx.get(port.gather_granted) != urgent
            ctx.set(port.gather_banks, 2)  # the late beat's bank is free
            assert (ctx.get(port.late_written), ctx.get(port.load_written)) == (1, urgent)
            ctx.set(port.gather_banks, 0)  # a gather of no bank meets nobody
            assert (ctx.get(port.late_written), ctx.get(port.load_written)) == (1, 1)
            assert ctx.get(port.gather_granted)
            await ctx.tick()

    simulate(module, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_dram_requests_and_answers(p: TileParams) -> None:
    """Fetch goes first unless it yields; reads stay within ``dram_outstanding``; a waiting request does not change;
    answers come in order."""
    rng, dut = random.Random(101), DramArbiter(isa(p))
    port = dut.port

    async def bench(ctx: Any) -> None:
        waiting: tuple[str, int, int, int] | None = None  # in the register: asker, address, beat, mask
        asked: deque[str] = deque()  # accepted reads without an answer
        yielded = 0
        flying = most = full_writes = 0  # those of them that the DRAM has taken
        taken = {"fetch": 0, "dma": 0, "write": 0}
        for cycle in range(800):
            busy = cycle // 100 % 2 == 1  # every other hundred cycles few answers come: the port fills up
            fetch, dma, write = rng.random() < 0.5, rng.random() < 0.7, rng.random() < 0.4
            yields = rng.random() < 0.3
            ready, respond = rng.random() < 0.7, flying > 0 and rng.random() < (0.05 if busy else 0.9)
            addresses = {"fetch": rng.randrange(p.dram_beats), "dma": rng.randrange(p.dram_beats)}
            beat, mask = rng.getrandbits(p.beat_bits), rng.getrandbits(p.lines_per_beat)
            for name, value in (
                ("fetch_valid", fetch), ("fetch_address", addresses["fetch"]), ("dma_valid", dma), ("dma_write", write),
                ("dma_address", addresses["dma"]), ("dma_data", beat), ("dma_mask", mask), ("fetch_yields", yields),
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
                first = fetch and room and not (dma and yields)
                goes = "fetch" if first else "write" if dma and write else "dma" if dma and room else None
                yielded += fetch and goes in ("dma", "write") and yields
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
        assert yielded > 10
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
