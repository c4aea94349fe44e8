"""Yosys's JSON to a `Netlist`: numbered nets, blocks of cells, RTL names, and the signals at the boundary."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hw.errors import BadInput
from synth.gate.netlist import GONE, ONE, ZERO, Netlist

MADE = re.compile(r"\$(?=[a-z_]+\$)")
NUMBER = re.compile(r"\$\d+(?=\.|$)")

Bit = int | str
Signals = dict[str, tuple[int, ...]]
Names = dict[int, list[str]]  # of each net: the signals that have it


def read_netlist(path: Path, blocks: Mapping[str, str], top: str | None = None, clock: str = "clk") -> Netlist:
    """The netlist that `synthesis.synthesise` wrote.

    blocks: component of the cells below each path of instances; the longest that fits rules, "" serves all others.
    Inputs and outputs are those of the top's ports, of the boundary's instances (instance.port) and of SRAMs; a pin of
    an SRAM goes by a name that the RTL has for its net. BadInput names what has none, and cells outside all blocks.
    """
    modules = json.loads(path.read_text())["modules"]
    top = top or next(name for name, module in modules.items() if int(module["attributes"].get("top", "0"), 2))
    module = modules[top]
    return _Reader(path, top, module, blocks, clock, modules).netlist()


class _Reader:
    def __init__(self, path: Path, top: str, module: Any, blocks: Mapping[str, str], clock: str, modules: Any) -> None:
        self.path, self.top, self.module, self.clock = path, top, module, clock
        self.blocks = blocks
        self.numbers: dict[Bit, int] = {"0": ZERO, "x": ZERO, "z": ZERO, "1": ONE}  # what is free is taken as 0
        self.cells: dict[str, Any] = {}
        self.srams: dict[str, Any] = {}
        self.instances: dict[str, Any] = {}
        for name, cell in module["cells"].items():
            kind = cell["type"]
            attributes = modules.get(kind, {}).get("attributes", {})
            if kind == "$mem_v2":
                self.srams[name] = cell
            elif "boundary" in attributes:
                self.instances[name] = cell
            elif "blackbox" in attributes:
                self.cells[name] = cell
            else:
                raise BadInput(f"{path}: a netlist of library cells is wanted, {name} is a {kind}; synthesise it again")

    def net(self, bit: Bit) -> int:
        return self.numbers.setdefault(bit, len(self.numbers) - 2)

    def netlist(self) -> Netlist:
        pins: list[dict[str, int]] = []
        by_cell: set[int] = set()
        for cell in self.cells.values():
            pins.append({pin: self.net(bits[0]) for pin, bits in cell["connections"].items() if bits})
            by_cell |= {self.net(bits[0]) for _, bits in _pins(cell, "output")}
        ports = self.module["ports"]
        signals: Signals = {name: tuple(map(self.net, port["bits"])) for name, port in ports.items()}
        inputs = [name for name, port in ports.items() if port["direction"] == "input"]
        outputs = [name for name, port in ports.items() if port["direction"] == "output"]
        for instance, cell in self.instances.items():
            for direction, boundary in (("output", inputs), ("input", outputs)):
                for pin, bits in _pins(cell, direction):
                    signals[f"{instance}.{pin}"] = tuple(map(self.net, bits))
                    boundary.append(f"{instance}.{pin}")
        read = {sram: [self.net(bit) for bit in cell["connections"]["RD_DATA"]] for sram, cell in self.srams.items()}
        by_input = {net for name in inputs for net in signals[name]} | {net for nets in read.values() for net in nets}
        driven = by_cell | by_input | {ZERO, ONE}

        for name, entry in self.module["netnames"].items():
            if not entry.get("hide_name"):
                nets = tuple(net if (net := self.net(bit)) in driven else GONE for bit in entry["bits"])
                if any(net != GONE for net in nets):
                    signals.setdefault(name.removeprefix("\\"), nets)  # kept before names that begin with $
        names: Names = {}
        for name, nets in signals.items():
            for net in set(nets) - {GONE, ZERO, ONE}:
                names.setdefault(net, []).append(name)
        for sram, cell in self.srams.items():
            inputs += self._named(sram, "RD_DATA", read[sram], signals, names, inputs)
            for pin, bits in _pins(cell, "input"):
                told = [net for bit in bits if (net := self.net(bit)) in by_cell]
                outputs += self._named(sram, pin, told, signals, names, outputs)
        outputs = [name for name in outputs if signals[name] != signals[self.clock]]
        self._check_driven(driven)
        components = sorted(set(self.blocks.values()))
        block = np.array([components.index(self._component(name)) for name in self.cells], dtype=np.int32)
        return Netlist(
            self.top,
            len(set(self.numbers.values())),
            tuple(self.cells),
            tuple(cell["type"] for cell in self.cells.values()),
            tuple(pins),
            tuple(components),
            block,
            signals,
            tuple(inputs),
            tuple(outputs),
            self.clock,
        )

    def _named(
        self, sram: str, pin: str, nets: list[int], signals: Signals, names: Names, known: list[str]
    ) -> list[str]:
        """Signals not yet in ``known`` that together hold ``nets``: as few as serve, without other nets if possible."""
        chosen: list[str] = []
        block = f"{sram.rpartition('.')[0]}."
        wanted = set(nets)
        left = wanted - {net for name in known for net in signals[name]}
        while left:
            found = names.get(min(left))
            if not found:
                raise BadInput(
                    f"{self.path}: pin {pin} of SRAM {sram} has no name for a trace to hold: name its net in the RTL"
                )
            # a name of the SRAM's block that Verilator traces without an option and that another run of the generator
            # gives again, few strangers, many of the wanted, the same every time
            best = min(
                found,
                key=lambda name: (
                    name.rpartition(".")[2].startswith(("_", "$")),
                    not name.startswith(block),
                    len(set(signals[name]) - wanted),
                    -len(set(signals[name]) & left),
                    name,
                ),
            )
            chosen.append(best)
            left -= set(signals[best])
        return chosen

    def _check_driven(self, driven: set[int]) -> None:
        for name, cell in self.cells.items():
            for pin, bits in _pins(cell, "input"):
                if self.net(bits[0]) not in driven:
                    raise BadInput(f"{self.path}: nothing drives pin {pin} of {name}")

    def _component(self, cell: str) -> str:
        """Cells made in a block are called $flatten\\block.$abc$..., those of the top $abc$... or $auto$...."""
        instance = MADE.split(cell.removeprefix("$flatten\\"))[0].rstrip(".\\")
        instance = NUMBER.sub("", instance)  # a generator's, behind a name that was taken
        fits = [prefix for prefix in self.blocks if not prefix or f"{instance}.".startswith(f"{prefix}.")]
        if not fits:
            raise BadInput(f"{self.path}: cell {cell} lies in no block of {', '.join(self.blocks)}")
        return self.blocks[max(fits, key=len)]


def _pins(cell: Any, direction: str) -> list[tuple[str, list[Bit]]]:
    directions = cell["port_directions"]
    return [(pin, bits) for pin, bits in cell["connections"].items() if bits and directions[pin] == direction]
