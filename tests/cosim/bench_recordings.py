"""Recorded windows in one process: two back to back and a later one; and what is refused."""

import json
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from cosim import memory
from hw.errors import BadInput

WINDOWS = (("a", 5, 20), ("b", 25, 7), ("c", 40, 1))  # name, edges from now to the first, cycles
LAST = 41


async def _count(dut: Any) -> None:
    dut.rst.value = 1
    dut.limit.value = 1 << 20
    dut.start.value = 0
    dut.written.value = 0xA5
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    await ClockCycles(dut.clk, 10)


@cocotb.test()
async def recordings(dut: Any) -> None:
    await _count(dut)
    memory.vcd_scope("probe", 1)
    now, value = memory.cycles(), int(dut.value.value)
    with pytest.raises(BadInput, match=f"recordings want edges to come, one after the other: {now} is past or within"):
        memory.vcd_window("past.vcd", now, 3)
    for name, first, cycles in WINDOWS:
        memory.vcd_window(f"{name}.vcd", now + first, cycles)
    with pytest.raises(BadInput, match=f"one after the other: {now + LAST - 1} is past or within the one before"):
        memory.vcd_window("within.vcd", now + LAST - 1, 3)
    with pytest.raises(BadInput, match="a recording wants at least 1 cycle, not 0"):
        memory.vcd_window("none.vcd", now + 100, 0)
    assert memory.vcd_left() == len(WINDOWS)
    await ClockCycles(dut.clk, 34)
    assert memory.vcd_left() == 1
    with pytest.raises(BadInput, match="scopes are wanted before the first recording begins"):
        memory.vcd_scope("probe", 2)
    await ClockCycles(dut.clk, 20)
    assert memory.vcd_left() == 0
    Path("seen.json").write_text(json.dumps(value))


@cocotb.test()
async def built_without(dut: Any) -> None:
    message = "recordings want a simulation built with trace_vcd=True: build it so"
    with pytest.raises(BadInput, match=message):
        memory.vcd_scope("probe", 1)
    with pytest.raises(BadInput, match=message):
        memory.vcd_window("none.vcd", 10, 1)
    assert memory.vcd_left() == 0


@cocotb.test()
async def not_writable(dut: Any) -> None:
    memory.vcd_window("no/such/folder.vcd", memory.cycles() + 2, 3)
    await ClockCycles(dut.clk, 10)
