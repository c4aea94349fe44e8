"""Shared modules: one Verilog module for equal instances, the component itself in Python's simulator."""

from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.shared import VerilogPlatform, shared
from tests.hw.sim import simulate


class Adder(Component):
    """Adds ``step`` to a register in every cycle."""

    def __init__(self) -> None:
        super().__init__({"step": In(4), "total": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.total.eq(self.total + self.step)
        return m


class Pair(Component):
    """Two shared adders with steps 1 and 3."""

    def __init__(self) -> None:
        super().__init__({"first": Out(8), "second": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        adders = [shared(m, platform, "adder", k, Adder) for k in range(2)]
        m.d.comb += [adders[0].step.eq(1), adders[1].step.eq(3)]
        m.d.comb += [self.first.eq(adders[0].total), self.second.eq(adders[1].total)]
        return m


def test_in_python_each_instance_works() -> None:
    dut = Pair()

    async def bench(ctx: Any) -> None:
        for k in range(10):
            assert (ctx.get(dut.first), ctx.get(dut.second)) == (k, 3 * k)
            await ctx.tick()

    simulate(dut, bench)


def test_in_verilog_there_is_one_module() -> None:
    platform = VerilogPlatform()
    text = verilog.convert(Pair(), name="pair", platform=platform, emit_src=False, strip_internal_attrs=True)
    assert list(platform.modules) == ["adder"]
    assert "module adder" not in text
    for k in range(2):
        assert f"adder adder_{k} (" in text.replace("\\", "")
    assert text.count(".step(") == text.count(".total(") == 2
    assert isinstance(platform.modules["adder"].total, Signal)
    assert "module adder" in verilog.convert(platform.modules["adder"], name="adder", platform=platform)
