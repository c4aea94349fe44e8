"""Tests that fail, crash or never end: the runner must say so for each."""

import os
import signal
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge


@cocotb.test()
async def fails(dut: Any) -> None:
    await RisingEdge(dut.clk)
    assert dut.value.value == 12345, "value is not 12345"


@cocotb.test()
async def crashes(dut: Any) -> None:
    await RisingEdge(dut.clk)
    os.kill(os.getpid(), signal.SIGSEGV)


@cocotb.test()
async def leaves(dut: Any) -> None:
    await RisingEdge(dut.clk)
    os._exit(0)


@cocotb.test()
async def never_ends(dut: Any) -> None:
    dut.rst.value = 1
    await RisingEdge(dut.done)
