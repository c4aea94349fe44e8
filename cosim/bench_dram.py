"""Bench of the DRAM model alone: random traffic against a Python memory and the replay, and every refusal.

Settings from the environment: DRAM_CONFIG (DramConfig as JSON), DRAM_STEADY and DRAM_REQUESTS (requests of the random
traffic that leave no time for a refresh, and with gaps of all lengths).
"""

import os
import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from cosim.dram import COUNTERS, DramConfig, Request, replay
from cosim.memory import DramView, fault_line, view
from golden.dram_timing import Refresh


@dataclass(frozen=True)
class _Wanted:
    write: bool
    address: int
    data: int = 0
    mask: int = 0


class Port:
    """Drives the request side and samples the response side, one call of `cycle` per clock cycle."""

    def __init__(self, dut: Any, config: DramConfig) -> None:
        self.dut = dut
        self.view = DramView("dram", config)
        self.config = config
        self.accepted: list[Request] = []
        self.responses: list[tuple[int, int]] = []  # edge at which the tile samples it, data
        self.refreshes: list[Refresh] = []
        self._counts = [view("dram", name, "<i8") for name in ("refreshes", "forced_refreshes")]
        self._owed = view("dram", "owed", "<i4")
        self._forced = 0

    async def reset(self) -> None:
        self.dut.rst.value = 1
        self.dut.req_valid.value = 0
        for _ in range(2):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)  # the model raises ready at this edge, time 0

    async def cycle(self, wanted: _Wanted | None) -> bool:
        """Offer ``wanted`` at the next edge; True when it was accepted there."""
        dut = self.dut
        ready = bool(dut.req_ready.value)  # a register: its value now is its value at the edge
        dut.req_valid.value = int(wanted is not None)
        if wanted is not None:
            dut.req_write.value = int(wanted.write)
            dut.req_address.value = wanted.address
            dut.req_data.value = wanted.data
            dut.req_mask.value = wanted.mask
        await RisingEdge(dut.clk)
        edge_ps = self.view.edge_ps
        if dut.rsp_valid.value:
            self.responses.append((edge_ps + self.config.clock_ps, int(dut.rsp_data.value)))
        refreshes, forced = (int(count[0]) for count in self._counts)
        owed = int(self._owed[0])
        assert abs(owed) <= self.config.timing.refreshes_moved
        if refreshes > len(self.refreshes):
            self.refreshes.append(Refresh(edge_ps, owed, forced > self._forced))
            self._forced = forced
        if wanted is None or not ready:
            return False
        self.accepted.append(Request(edge_ps, wanted.write, wanted.address))
        return True


def _traffic(config: DramConfig, rng: random.Random, loaded: int, count: int) -> list[_Wanted]:
    """Streams, strides over rows and single accesses; reads only where the host loaded, writes there too."""
    wanted: list[_Wanted] = []
    while len(wanted) < count:
        length = rng.choice([1, 1, 2, 8, 40])
        stride = rng.choice([1, 1, 1, config.row_beats, config.row_beats * config.timing.banks, 3])
        start = rng.randrange(loaded)
        write = rng.random() < 0.4
        for i in range(length):
            address = (start + i * stride) % loaded
            data, mask = rng.getrandbits(8 * config.beat_bytes), rng.getrandbits(config.lines)
            wanted.append(_Wanted(write, address, data, mask) if write else _Wanted(False, address))
    return wanted[:count]


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """Data, order, every time and every counter equal the Python memory and the replay."""
    config = DramConfig.from_json(os.environ["DRAM_CONFIG"])
    rng = random.Random(cocotb.RANDOM_SEED)
    port = Port(dut, config)
    await port.reset()
    loaded = config.memory_beats - 1
    content = bytearray(rng.randbytes(loaded * config.beat_bytes))
    port.view.write_bytes(0, content)
    assert port.view.unwritten(0, len(content)) == 0
    line_bytes = config.beat_bytes // config.lines
    expected: list[int] = []
    steady, mixed = (int(os.environ[f"DRAM_{what}"]) for what in ("STEADY", "REQUESTS"))
    traffic = deque(_traffic(config, rng, loaded, steady + mixed))
    requests = len(traffic)
    # a gap that gives no time for a refresh: while its first cycles pass, the last request is not complete
    short = min(config.timing.t_idle, config.timing.t_idle_early) // config.clock_ps
    idle = 0
    stalled: _Wanted | None = None
    while traffic or stalled:
        if stalled is None and idle == 0:
            if len(traffic) > mixed:
                idle = rng.randint(short // 2, short)
            elif rng.random() < 0.1:
                idle = int(2 ** rng.uniform(0, 11))
        for _ in range(idle):
            await port.cycle(None)
        idle = 0
        wanted = stalled or traffic.popleft()
        if not await port.cycle(wanted):
            stalled = wanted  # it stays, unchanged, until it is accepted
            continue
        stalled = None
        base = wanted.address * config.beat_bytes
        if wanted.write:
            data = wanted.data.to_bytes(config.beat_bytes, "little")
            for line in range(config.lines):
                if wanted.mask >> line & 1:
                    part = slice(line * line_bytes, (line + 1) * line_bytes)
                    content[base + part.start : base + part.stop] = data[part]
        else:
            expected.append(int.from_bytes(content[base : base + config.beat_bytes], "little"))
    while len(port.responses) < len(expected):
        await port.cycle(None)
    for _ in range(5000):  # idle through refreshes
        await port.cycle(None)

    assert len(port.accepted) == requests
    assert [data for _, data in port.responses] == expected
    assert port.view.read_bytes(0, len(content)) == bytes(content)
    trace, done_ps = port.view.trace()
    assert trace == port.accepted
    truth = replay(config, trace, port.view.edge_ps)
    assert done_ps == truth.done_ps
    assert [edge for edge, _ in port.responses] == truth.response_ps
    assert port.view.counters() == truth.counters
    assert port.refreshes == truth.refreshes
    assert len(truth.refreshes) == truth.counters["refreshes"]
    kinds = Counter("forced" if r.forced else "late" if r.owed >= 0 else "early" for r in truth.refreshes)
    moved = config.timing.refreshes_moved
    if config.ideal is None:
        assert all(truth.counters[name] > 0 for name in COUNTERS), truth.counters
        assert kinds["forced"] == truth.counters["forced_refreshes"]
        assert min(kinds[kind] for kind in ("forced", "late", "early")[: 3 if moved else 1]) > 0, kinds
        assert max(r.owed for r in truth.refreshes) == moved
        assert min(r.owed for r in truth.refreshes) == -moved
    assert not dut.fault.value
    cocotb.log.info("compared %d requests, %d responses, %s, %s", requests, len(expected), truth.counters, dict(kinds))


async def _accept(port: Port, wanted: list[_Wanted]) -> None:
    for request in wanted:
        while not await port.cycle(request):
            pass
    await port.cycle(None)


async def _fault_after(port: Port, wanted: list[_Wanted]) -> str:
    await _accept(port, wanted)
    return _fault(port)


def _fault(port: Port) -> str:
    assert port.dut.fault.value, "the model refused nothing"
    return fault_line(int(port.dut.fault_kind.value), int(port.dut.fault_address.value), port.config)


@cocotb.test()
async def refusals(dut: Any) -> None:
    """Requests beyond the memory, reads of what nobody wrote, requests that change; the first one stays."""
    config = DramConfig.from_json(os.environ["DRAM_CONFIG"])
    port = Port(dut, config)
    beat, everything = config.beat_bytes, (1 << config.lines) - 1
    await port.reset()
    port.view.forget()
    port.view.set_size(8 * beat)
    port.view.write_bytes(0, bytes(3 * beat))

    line = await _fault_after(port, [_Wanted(False, 2), _Wanted(False, 8), _Wanted(False, 5)])
    assert line == f"DRAM refused a request beyond the memory: beat 8 (byte {8 * beat})"
    await port.reset()
    assert not dut.fault.value
    line = await _fault_after(port, [_Wanted(True, 9, 1, everything)])
    assert line == f"DRAM refused a request beyond the memory: beat 9 (byte {9 * beat})"

    await port.reset()
    line = await _fault_after(port, [_Wanted(False, 1), _Wanted(False, 3)])
    assert line == f"DRAM refused a read of a line never written: beat 3 (byte {3 * beat})"

    await port.reset()  # a write makes a line readable; half a beat does not
    await _accept(port, [_Wanted(True, 3, 7, everything), _Wanted(False, 3)])
    assert not dut.fault.value
    assert port.view.unwritten(0, 4 * beat) == 0
    assert port.view.unwritten(0, 8 * beat) == 4 * config.lines
    if config.lines > 1:
        line = await _fault_after(port, [_Wanted(True, 4, 7, 1), _Wanted(False, 4)])
        assert line == f"DRAM refused a read of a line never written: beat 4 (byte {4 * beat})"

    await port.reset()  # fill the model, then change what waits
    count = 0
    while await port.cycle(_Wanted(False, 0)):
        count += 1
    assert count >= config.depth
    await port.cycle(_Wanted(False, 1))
    await port.cycle(None)
    assert _fault(port) == "DRAM refused a request that changed before it was accepted: beat 0 (byte 0)"
