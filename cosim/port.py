"""One block's ports in a running simulation of `cosim.blocks`: set, settle, look, step."""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import FallingEdge, RisingEdge

from hw.isa import Instruction, Isa, Opcode, isa
from hw.params import TileParams
from hw.signatures import instruction_layout

SIDECAR = "TILEWATT_BLOCKS"  # names the sidecar's file
CYCLE_LIMIT = 200_000  # of all benches of a run together


def signed(value: int, bits: int) -> int:
    """The lowest ``bits`` bits of ``value`` in two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def pack(layout: data.Layout, value: Any) -> int:
    """Bits of a value in the hardware's own layout."""
    packed = layout.const(value).as_value()
    return int(packed.value) & ((1 << len(packed)) - 1)


def join(words: list[int], bits: int) -> int:
    """Words of ``bits`` bits side by side, the first one lowest."""
    return sum((word & ((1 << bits) - 1)) << (bits * index) for index, word in enumerate(words))


def split(value: int, bits: int, count: int) -> list[int]:
    """``count`` signed words of ``bits`` bits each, the lowest first."""
    return [signed(value >> (bits * index), bits) for index in range(count)]


def encode(i: Isa, instruction: Instruction) -> int:
    """The fields of an instruction as a block takes them, without opcode; negative numbers wrap in their fields."""
    values: dict[str, Any] = {}
    for f in i.fields[instruction.opcode]:
        given = getattr(instruction, f.name)
        mask = -1 if f.signed else (1 << f.width) - 1
        values[f.name] = [int(item) & mask for item in given] if f.count > 1 else int(given) & mask
    return pack(instruction_layout(i, Opcode(instruction.opcode)), values)


class BlockPort:
    """Ports of one block. A cycle is: ``set`` inputs, ``await settle()``, ``get`` outputs, ``await step()``.

    Inputs keep their values; all are 0 after ``reset``. rng: of the simulation's seed and the block's name.
    """

    def __init__(self, dut: Any, name: str) -> None:
        sidecar = json.loads(Path(os.environ[SIDECAR]).read_text())
        self.params = TileParams.from_dict(sidecar["parameters"])
        self.isa = isa(self.params)
        self.rng = random.Random(f"{cocotb.RANDOM_SEED} {name}")
        self.dut = dut
        self._name = name
        prefix = f"{name}__"
        self._inputs = [port for port, way in sidecar["ports"].items() if way == "input" and port.startswith(prefix)]
        assert self._inputs, f"the simulation has no block {name}"

    async def reset(self) -> None:
        for port in self._inputs:
            getattr(self.dut, port).value = 0
        self.dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    def set(self, **values: int) -> None:
        for name, value in values.items():
            getattr(self.dut, f"{self._name}__{name}").value = int(value)

    def get(self, name: str) -> int:
        return int(getattr(self.dut, f"{self._name}__{name}").value)

    async def settle(self) -> None:
        """Until outputs have followed the inputs, half a cycle before the edge."""
        await FallingEdge(self.dut.clk)

    async def step(self) -> None:
        await RisingEdge(self.dut.clk)

    async def cycle(self, **values: int) -> None:
        """Set inputs and let one edge pass."""
        self.set(**values)
        await self.step()

    def word(self, bits: int) -> int:
        """A random signed word; the extremes, 0 and -1 come often."""
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        return self.rng.choice((low, high, 0, -1, *(self.rng.randint(low, high) for _ in range(4))))

    def words(self, bits: int, count: int) -> list[int]:
        return [self.word(bits) for _ in range(count)]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability
