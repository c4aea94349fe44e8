"""The testbench around a tile that only copies: bulk views, the capture and both sticky faults."""

import os
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cosim import memory
from cosim.dram import DramConfig, replay
from hw.errors import BadInput


async def _reset(dut: Any) -> memory.DramView:
    dut.rst.value = 1
    dut.start.value = 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return memory.DramView("testbench.dram", DramConfig.from_json(os.environ["DRAM_CONFIG"]))


async def _copy(dut: Any, beats: int, image: int, result: int) -> None:
    dut.program_address.value = beats
    dut.image_address.value = image
    dut.result_address.value = result
    dut.start.value = 1
    await RisingEdge(dut.busy)
    dut.start.value = 0
    await FallingEdge(dut.busy)


@cocotb.test()
async def copies(dut: Any) -> None:
    view = await _reset(dut)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    data = rng.integers(0, 256, 100 * 16, dtype=np.uint8)
    data[15::16] = np.arange(100) % 16 << 4  # every mask occurs
    view.write_bytes(40 * 16, data)
    count = memory.view("testbench", "capture_count", "<u4")
    for run in range(2):
        count[0] = 0
        await _copy(dut, 100, 40, 1000 + 200 * run)
        assert view.read_bytes((1000 + 200 * run) * 16, data.size) == data.tobytes()
        words = data.view("<u2").reshape(100, 8)
        masks = words[:, 7] >> 12
        assert set(masks) == set(range(16))
        logged = words[:, :4][(masks[:, None] >> np.arange(4) & 1).astype(bool)]  # beat by beat, low word first
        assert count[0] == len(logged)
        assert np.array_equal(memory.view("testbench", "capture", "<u4")[: len(logged)], logged)
    assert not dut.dram_fault.value
    assert not dut.capture_fault.value
    trace, done_ps = view.trace()
    truth = replay(view.config, trace, view.edge_ps)
    assert len(trace) == 400
    assert (done_ps, view.counters()) == (truth.done_ps, truth.counters)


@cocotb.test()
async def overflow_and_refusal(dut: Any) -> None:
    view = await _reset(dut)
    view.write_bytes(0, b"".join(bytes(15) + bytes([mask]) for mask in [0x40] + 64 * [0xF0]))
    count = memory.view("testbench", "capture_count", "<u4")
    await _copy(dut, 64, 0, 1000)
    assert (count[0], int(dut.capture_fault.value)) == (253, 0)
    count[0] = 0
    await _copy(dut, 65, 0, 1000)
    assert dut.capture_fault.value  # 256 words fit, not 257
    assert count[0] == 253
    view.forget()
    view.write_bytes(5 * 16 + 8, bytes(8))  # half of beat 5
    assert (view.unwritten(80, 16), view.unwritten(88, 8)) == (1, 0)
    await _copy(dut, 1, 5, 1000)
    assert dut.dram_fault.value
    line = memory.fault_line(int(dut.dram_fault_kind.value), int(dut.dram_fault_address.value), view.config)
    assert line == "DRAM refused a read of a line never written: beat 5 (byte 80)"


@cocotb.test()
async def views_refuse(dut: Any) -> None:
    view = await _reset(dut)
    size = view.config.memory_beats * 16
    assert view.size == size
    with pytest.raises(BadInput, match=f"DRAM bytes want to lie in 0 to {size}, not {size - 1} to {size + 1}"):
        view.write_bytes(size - 1, bytes(2))
    with pytest.raises(BadInput, match=f"DRAM size wants 1 to {size} bytes, not {size + 1}: build with more memory"):
        view.set_size(size + 1)
    view.set_size(17)
    assert view.size == 32
    with pytest.raises(BadInput, match="DRAM bytes want to lie in 0 to 32, not 31 to 33"):
        view.read_bytes(31, 2)
    view.set_size(size)
    view.forget()
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    wanted = np.zeros(size // 8, bool)
    for _ in range(300):
        offset, length = int(rng.integers(0, 4000)), int(rng.integers(1, 90))
        view.write_bytes(offset, bytes(length))
        wanted[offset // 8 : (offset + length - 1) // 8 + 1] = True
    assert [view.unwritten(8 * line, 8) for line in range(600)] == [int(not w) for w in wanted[:600]]
    assert view.unwritten(0, size) == int((~wanted).sum())
    assert b"".join([view.read_bytes(0, 4)]) == bytes(4)


@cocotb.test()
async def wrong_configuration(dut: Any) -> None:
    config = DramConfig.from_json(os.environ["DRAM_CONFIG"].replace('"memory_beats": 65536', '"memory_beats": 4096'))
    with pytest.raises(BadInput, match=r"testbench\.dram\.memory wants 65536 bytes by its configuration, not 1048576"):
        memory.DramView("testbench.dram", config)
