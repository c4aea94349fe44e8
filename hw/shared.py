"""Repeated blocks: one Verilog module for all equal instances.

Amaranth writes a module per instance; 16 equal neurons would become 16 modules, which costs synthesis and compile time.
``shared`` places an ``Instance`` of a module that is converted once when Verilog is generated, and the component itself
when it is simulated in Python.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import Component, Flow


class VerilogPlatform:
    """Collects the components that become modules of their own, by module name."""

    def __init__(self) -> None:
        self.modules: dict[str, Component] = {}


def shared(m: Module, platform: Any, name: str, index: int, factory: Callable[[], Component]) -> Any:
    """Place instance ``index`` of module ``name`` and return its interface; equal names must mean equal factories."""
    label = f"{name}_{index}"
    if not isinstance(platform, VerilogPlatform):
        component = factory()
        m.submodules[label] = component
        return component
    if name not in platform.modules:
        platform.modules[name] = factory()
    signature = platform.modules[name].signature
    interface = signature.create(path=(label,))
    ports = {
        f"{'o' if member.flow == Flow.Out else 'i'}_{'__'.join(map(str, path))}": Value.cast(value)
        for path, member, value in signature.flatten(interface)
    }
    m.submodules[label] = Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
    return interface
