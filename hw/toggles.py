"""Registers that count their own bit changes, for activity without a waveform file.

With ``activity`` a bank of registers is an instance of ``hw/verilog/toggle_register.sv`` (``$countones`` is the only
quick way in a simulator); without, plain registers and no counter.
"""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Signal, Value

from hw.events import COUNTER_BITS


def registers(
    m: Module, name: str, activity: bool, enables: list[Value], values: list[Value], clear: Value
) -> tuple[list[Any], Signal | None]:
    """Registers ``q[i] <= values[i]`` when ``enables[i]``; returns them and the running number of bit changes.

    All values have one width and signedness. The count is None without activity; it lags the registers by a cycle.
    """
    shape = values[0].shape()
    outputs = [Signal(shape, name=f"{name}_{i}") for i in range(len(values))]
    if not activity:
        for q, en, d in zip(outputs, enables, values, strict=True):
            with m.If(en):
                m.d.sync += q.eq(d)
        return outputs, None
    count = Signal(COUNTER_BITS, name=f"{name}_toggles")
    m.submodules[f"{name}_bank"] = Instance(
        "toggle_register",
        p_LANES=len(values),
        p_WIDTH=shape.width,
        p_COUNTER_BITS=COUNTER_BITS,
        i_clk=ClockSignal(),
        i_rst=ResetSignal(),
        i_clear=clear,
        i_en=Cat(*enables),
        i_d=Cat(*(value[: shape.width] for value in values)),
        o_q=Cat(*outputs),
        o_toggles=count,
    )
    return outputs, count


def probe(m: Module, name: str, en: Value, before: Value, after: Value, clear: Value) -> Signal:
    """Running number of bits in which ``after`` differs from ``before`` in cycles with ``en`` (activity only)."""
    count = Signal(COUNTER_BITS, name=f"{name}_toggles")
    m.submodules[f"{name}_probe"] = Instance(
        "toggle_probe",
        p_WIDTH=len(before),
        p_COUNTER_BITS=COUNTER_BITS,
        i_clk=ClockSignal(),
        i_rst=ResetSignal(),
        i_clear=clear,
        i_en=en,
        i_was=before,
        i_becomes=after,
        o_toggles=count,
    )
    return count
