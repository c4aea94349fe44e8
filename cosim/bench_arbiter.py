"""Bench of the DRAM arbiter: fetch goes first unless it yields, answers go to who asked, never too many
reads in flight."""

from collections import deque
from typing import Any

import cocotb

from cosim.port import BlockPort

CYCLES = 2500


@cocotb.test()
async def arbiter(dut: Any) -> None:
    """Requests leave in the order in which they were taken, unchanged until the DRAM takes them."""
    port = BlockPort(dut, "arbiter")
    p, rng = port.params, port.rng
    await port.reset()
    askers: deque[str] = deque()  # of reads that were taken and not answered
    in_dram = 0  # reads that the DRAM has taken and not answered
    due: deque[dict[str, int]] = deque()  # taken requests that the DRAM has not taken
    seen = {"fetch": 0, "read": 0, "write": 0, "answers": 0, "full": 0, "both": 0, "yielded": 0}
    wants: dict[str, Any] = {}
    for _ in range(CYCLES):
        if "fetch" not in wants and port.chance(0.4):
            wants["fetch"] = rng.randrange(p.dram_beats)
        if "dma" not in wants and port.chance(0.7):
            beat, mask = rng.getrandbits(p.beat_bits), rng.getrandbits(p.lines_per_beat)
            wants["dma"] = (port.chance(0.4), rng.randrange(p.dram_beats), beat, mask)
        write, address, data, mask = wants.get("dma", (False, 0, 0, 0))
        yields = port.chance(0.3)
        answer, grant = in_dram > 0 and port.chance(0.35), port.chance(0.8)  # late: the askers run full now and then
        port.set(
            fetch_valid="fetch" in wants, fetch_address=wants.get("fetch", 0), dma_valid="dma" in wants,
            dma_write=write, dma_address=address, dma_data=data, dma_mask=mask, port__req_ready=grant,
            port__rsp_valid=answer, fetch_yields=yields,
        )  # fmt: skip
        await port.settle()
        fetched, served = "fetch" in wants and port.get("fetch_ready"), "dma" in wants and port.get("dma_ready")
        full = len(askers) == p.dram_outstanding
        assert not (fetched and served)
        assert not (full and (fetched or (served and not write)))
        if len(wants) == 2 and served and not yields:  # fetch goes first, unless only a write has room
            assert full
            assert write
        assert not (len(wants) == 2 and yields and fetched)
        seen["yielded"] += len(wants) == 2 and yields and served
        seen["both"] += len(wants) == 2
        seen["full"] += full
        assert port.get("port__req_valid") == len(due)
        assert port.get("empty") == (not due)
        for name, value in due[0].items() if due else ():
            assert port.get(f"port__{name}") == value
        expected = askers[0] if answer else ""
        assert (port.get("fetch_rsp"), port.get("dma_rsp")) == (expected == "fetch", expected == "dma")
        if answer:
            askers.popleft()
            in_dram -= 1
            seen["answers"] += 1
        if due and grant:
            in_dram += not due.popleft()["req_write"]
        if fetched:
            askers.append("fetch")
            due.append({"req_write": 0, "req_address": wants.pop("fetch")})
            seen["fetch"] += 1
        if served:
            due.append({"req_write": int(write), "req_address": address})
            if write:
                due[-1] |= {"req_data": data, "req_mask": mask}
            else:
                askers.append("dma")
            seen["write" if write else "read"] += 1
            del wants["dma"]
        await port.step()
    assert min(seen.values()) > CYCLES // 40, seen
    cocotb.log.info("arbiter: %s", seen)
