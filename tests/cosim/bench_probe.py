"""Tests that pass: cocotb's triggers and the views, on a clock that the simulation's program owns."""

import os
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer, ValueChange

from cosim import memory
from hw.errors import BadInput


async def _start(dut: Any, limit: int) -> None:
    dut.rst.value = 1
    dut.start.value = 0
    dut.limit.value = limit
    dut.written.value = 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0


@cocotb.test()
async def triggers(dut: Any) -> None:
    """Edges come every 4 ns; what is written between edges is seen by the next, at an edge by the one after."""
    await _start(dut, 100)
    for i in range(20):
        dut.written.value = i  # at the time of an edge
        before = get_sim_time("ps")
        await RisingEdge(dut.clk)
        assert get_sim_time("ps") == before + 4000
        assert dut.follows.value == i
    await FallingEdge(dut.clk)
    dut.written.value = 77
    await ReadOnly()
    assert dut.follows.value == 19
    await Timer(1999, "ps")
    assert dut.follows.value == 19
    await Timer(1, "ps")  # a timer that ends with the edge runs after it
    assert dut.follows.value == 77
    dut.written.value = 78
    await Timer(3999, "ps")
    dut.written.value = 79
    await RisingEdge(dut.clk)
    assert dut.follows.value == 79
    cycles = memory.cycles()
    await ClockCycles(dut.clk, 7)
    assert memory.cycles() == cycles + 7
    await ValueChange(dut.value)
    await RisingEdge(dut.done)
    assert dut.value.value == 100


@cocotb.test()
async def views(dut: Any) -> None:
    """A wide array as bytes: 32-bit words, lowest first."""
    await _start(dut, 10)
    await RisingEdge(dut.done)
    wide = memory.view("probe", "wide", "<u4").reshape(16, 3)
    for i in range(1, 10):
        assert wide[i].tolist() == [i, 0xFFFFFFFF - i, i]
    wide[5] = [1, 2, 3]
    assert np.array_equal(memory.view("probe", "wide")[60:72].view("<u4"), [1, 2, 3])
    with pytest.raises(BadInput, match=r"a public variable is wanted, probe\.nothing is none: name it"):
        memory.view("probe", "nothing")
    with pytest.raises(BadInput, match="activity windows want a simulation built with trace_saif=True: build it so"):
        memory.saif_open("never.saif")


@cocotb.test()
async def long_run(dut: Any) -> None:
    """Nothing of Python runs until `done` rises."""
    await _start(dut, int(os.environ["PROBE_CYCLES"]))
    await RisingEdge(dut.done)
    assert dut.value.value == int(os.environ["PROBE_CYCLES"])
