"""Two activity windows in one process, each dumped whole."""

from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from cosim import memory
from hw.errors import BadInput


@cocotb.test()
async def windows(dut: Any) -> None:
    dut.rst.value = 1
    dut.limit.value = 1 << 20
    dut.start.value = 0
    dut.written.value = 0xFFFF
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    for name, length in (("first", 100), ("second", 37)):
        await ClockCycles(dut.clk, 13)
        memory.saif_open(f"{name}.saif")
        with pytest.raises(BadInput, match="one activity window at a time is wanted, one is open: close it first"):
            memory.saif_open("other.saif")
        start = int(dut.value.value)
        await ClockCycles(dut.clk, length)
        memory.saif_close()
        with open(f"{name}.txt", "w") as file:
            file.write(f"{start} {int(dut.value.value)}")
        await RisingEdge(dut.clk)
        with pytest.raises(BadInput, match="an open activity window is wanted, none is open"):
            memory.saif_close()
