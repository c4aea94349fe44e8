"""Counting registers: plain ones without activity; with it, cells that get the same values and enables."""

import random
import re
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Module, Signal, signed

from hw.toggles import probe, registers
from tests.hw.sim import simulate


def test_plain_registers_hold_without_their_enable() -> None:
    rng, m = random.Random(160), Module()
    enables = [Signal(name=f"en_{k}") for k in range(3)]
    values = [Signal(signed(5), name=f"d_{k}") for k in range(3)]
    held, count = registers(m, "bank", False, list(enables), list(values), Signal())
    assert count is None

    async def bench(ctx: Any) -> None:
        expected = [0, 0, 0]
        for _ in range(60):
            for k in range(3):
                en, value = rng.getrandbits(1), rng.randint(-16, 15)
                ctx.set(enables[k], en)
                ctx.set(values[k], value)
                expected[k] = value if en else expected[k]
            await ctx.tick()
            assert [ctx.get(q) for q in held] == expected

    simulate(m, bench)


def test_with_activity_the_cells_stand_in_their_place() -> None:
    m, inputs = Module(), [Signal(signed(5), name=f"d_{k}") for k in range(3)]
    enables, clear = [Signal(name=f"en_{k}") for k in range(3)], Signal(name="clear")
    held, count = registers(m, "bank", True, list(enables), list(inputs), clear)
    assert count is not None
    changes = probe(m, "accumulator", enables[0], inputs[0], inputs[1], clear)
    assert len(count) == len(changes) == 48
    ports = [*inputs, *enables, clear, *held, count, changes]
    text = verilog.convert(m, name="top", ports=ports, emit_src=False, strip_internal_attrs=True)
    assert len(re.findall(r"^  toggle_register #\(", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^  toggle_probe #\(", text, re.MULTILINE)) == 1
    assert re.search(r"\.LANES\(32'd3\)", text)
    assert len(re.findall(r"\.WIDTH\(32'd5\)", text)) == 2
