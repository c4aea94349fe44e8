"""Field widths and encoding of the tile's program, for one set of parameters. Leaf: standard library only.

The instructions themselves, and how they order the machine's two queues, are hw.instructions.
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hw.errors import BadInput
from hw.instructions import (
    CLASS_BITS,
    COLUMN_BITS,
    INCREMENT_BITS,
    KERNEL_BITS,
    KINDS,
    LIMB_BITS,
    LINES_BITS,
    MAP_BITS,
    MAX_INCREMENTS,
    POOL_BITS,
    RECIPROCAL_BITS,
    SHIFT_BITS,
    SYNC_BITS,
    Base,
    Buffer,
    Compute,
    Decide,
    End,
    Entry,
    Instruction,
    Load,
    Opcode,
    Pool,
    Store,
    Window,
)
from hw.params import QUARTERS, TileParams, bits_for

__all__ = [
    "Base",
    "Buffer",
    "Compute",
    "Decide",
    "End",
    "Entry",
    "Field",
    "Instruction",
    "Isa",
    "KERNEL_BITS",
    "KINDS",
    "Load",
    "MAP_BITS",
    "MAX_INCREMENTS",
    "Opcode",
    "POOL_BITS",
    "Pool",
    "RECIPROCAL_BITS",
    "SYNC_BITS",
    "Store",
    "Window",
    "isa",
    "replace_waits",
]


@dataclass(frozen=True)
class Field:
    """One field of an instruction: ``count`` values of ``width`` bits, two's complement when ``signed``."""

    name: str
    width: int
    count: int = 1
    signed: bool = False

    @property
    def bits(self) -> int:
        return self.width * self.count


OPCODE_BITS = 4


class Isa:
    """Field widths of every instruction for one set of tile parameters. Field order is bit order, lowest first."""

    def __init__(self, params: TileParams) -> None:
        p = params
        self.params = p
        self.row_bits = bits_for(max(p.nbin_rows, p.nbout_rows))
        self.bank_bits = bits_for(p.banks)
        self.sub_bits = bits_for(p.cell_words)
        self.run_bits = bits_for(p.synapses)
        self.sb_row_bits = bits_for(p.sb_rows)
        self.neuron_bits = bits_for(p.neurons)
        self.beat_bits = bits_for(p.dram_beats)  # width of a DRAM address in beats
        digits = -(-p.accumulator_width // (p.fmt.width - 1))  # of a wide sum
        self.limbs = min(digits, (1 << LIMB_BITS) - 1)  # numbers of limbs, from 1 on
        self.shifts = min(digits - 1, (1 << SHIFT_BITS) - 1)  # digits to shift by, from 0 on
        self.fields: dict[Opcode, tuple[Field, ...]] = {
            Opcode.ENTRY: self._entry(),
            Opcode.LOAD: self._transfer(),
            Opcode.STORE: self._transfer(),
            Opcode.WINDOW: self._window(),
            Opcode.COMPUTE: self._compute(),
            Opcode.DECIDE: (
                Field("increment", INCREMENT_BITS),
                Field("last", 1),
                Field("address", self.beat_bits),
                Field("length", SYNC_BITS),
            ),
            Opcode.END: (),
        }
        used = OPCODE_BITS + max(sum(f.bits for f in fields) for fields in self.fields.values())
        self.instruction_beats = -(-used // p.beat_bits)
        self.instruction_bits = self.instruction_beats * p.beat_bits
        self.instruction_bytes = self.instruction_bits // 8

    def _entry(self) -> tuple[Field, ...]:
        n = self.params.increments
        return (Field("address", self.beat_bits, n), Field("length", SYNC_BITS, n))

    def _waits(self) -> tuple[Field, ...]:
        return tuple(Field(name, SYNC_BITS) for name in ("wait_dma", "wait_read", "wait_written"))

    def _pair(self, prefix: str) -> tuple[Field, ...]:
        return (Field(f"{prefix}row", self.row_bits), Field(f"{prefix}bank", self.bank_bits))

    def _transfer(self) -> tuple[Field, ...]:
        p = self.params
        row_bits = max(self.row_bits, self.sb_row_bits)
        return (
            *self._waits(),
            Field("buffer", 2),
            Field("base", 2),
            Field("address", self.beat_bits),
            Field("run_beats", 16),
            Field("runs", 12),
            Field("length", bits_for(max(p.nbin_rows * p.banks, p.nbout_rows * p.banks, p.neurons) + 1)),
            Field("last_words", bits_for(max(p.synapses, p.beat_words) + 1)),
            Field("row", row_bits),
            Field("bank", self.bank_bits),
            *self._pair("step_"),
            Field("groups", bits_for(p.groups + 1)),
        )

    def _window(self) -> tuple[Field, ...]:
        p = self.params
        return (
            Field("kernel_w", KERNEL_BITS),
            Field("kernel_h", KERNEL_BITS),
            Field("gap", 1),
            Field("taps", bits_for(p.synapses + 1)),
            Field("step_x", KERNEL_BITS),
            Field("step_y", KERNEL_BITS),
            Field("spacing", self.bank_bits),
            *self._pair("line_"),
            Field("delta", self.row_bits, 6),
            Field("kx", KERNEL_BITS, p.synapses),
            Field("ky", KERNEL_BITS, p.synapses),
            Field("row_offset", self.row_bits, p.synapses),
            Field("slot_run", self.run_bits, p.banks),
            Field("slot_column", COLUMN_BITS, p.banks),
            Field("slot_carry", bits_for(p.synapses), p.banks),
        )

    def _compute(self) -> tuple[Field, ...]:
        p = self.params
        return (
            *self._waits(),
            Field("source", 1),
            *self._pair(""),
            Field("sub", self.sub_bits),
            Field("x0", MAP_BITS, signed=True),
            Field("y0", MAP_BITS, signed=True),
            Field("stride", POOL_BITS),
            Field("in_w", MAP_BITS),
            Field("in_h", MAP_BITS),
            Field("step_cells", self.bank_bits),
            Field("step_sub", self.sub_bits),
            *self._pair("step_y_"),
            Field("ring_y", MAP_BITS, signed=True),
            Field("ring_rows", MAP_BITS),
            Field("ring_back", self.row_bits),
            Field("columns", COLUMN_BITS),
            Field("cols", MAP_BITS),
            Field("rows", MAP_BITS),
            Field("lines", LINES_BITS),
            Field("last_lanes", bits_for(p.synapses + 1)),
            Field("neurons", bits_for(p.neurons + 1)),
            Field("groups", bits_for(p.groups + 1)),
            Field("paired", 1),
            Field("tile", bits_for(p.accumulators + 1)),
            Field("quarters", bits_for(QUARTERS)),
            Field("quarter_columns", COLUMN_BITS),
            Field("quarter_tile", bits_for(p.accumulators + 1)),
            Field("row_rest", bits_for(QUARTERS + 1)),
            *(Field(name, bits_for(p.accumulators)) for name in ("sum_at", "sum_first", "sum_last")),
            Field("sb_row", self.sb_row_bits),
            Field("load_bias", 1),
            Field("bias_row", self.sb_row_bits),
            Field("bias_bank", self.neuron_bits),
            *(Field(name, 1) for name in ("first", "zero")),
            Field("shift", SHIFT_BITS),
            *(Field(name, 1) for name in ("finish", "hold")),
            Field("limb", LIMB_BITS),
            *(Field(name, 1) for name in ("limb_top", "relu", "scores")),
            Field("score_base", CLASS_BITS),
            Field("pool", 2),
            Field("pool_size", POOL_BITS),
            Field("pool_stride", POOL_BITS),
            *(Field(name, MAP_BITS) for name in ("out_w", "out_h", "out_y", "pool_w", "pool_h", "pool_y")),
            Field("pool_phase", POOL_BITS),
            Field("pool_slot", POOL_BITS),
            Field("reciprocal", RECIPROCAL_BITS + 1, 4),
            Field("target", 1),
            *self._pair("to_"),
            Field("to_sub", self.sub_bits),
            Field("to_cols", MAP_BITS),
            *self._pair("to_y_"),
            *self._pair("to_n_"),
            Field("vector", 1),
        )

    def encode(self, instruction: Instruction) -> bytes:
        """Little-endian bytes of one instruction; refuses a value that its field cannot hold."""
        word, at = int(instruction.opcode), OPCODE_BITS
        for field in self.fields[instruction.opcode]:
            value = getattr(instruction, field.name)
            values: tuple[int, ...] = tuple(value) if field.count > 1 else (value,)
            if len(values) > field.count:
                raise BadInput(
                    f"{field.name} of {instruction.opcode.name} wants {field.count} values, not {len(values)}"
                )
            low = -(1 << (field.width - 1)) if field.signed else 0
            high = (1 << (field.width - field.signed)) - 1
            for item in values:
                if not low <= item <= high:
                    raise BadInput(f"{field.name} of {instruction.opcode.name} wants {low} to {high}, not {item}")
            for index, item in enumerate(values):
                word |= (int(item) & ((1 << field.width) - 1)) << (at + index * field.width)
            at += field.bits
        return word.to_bytes(self.instruction_bytes, "little")

    def decode(self, raw: bytes) -> Instruction:
        """The instruction that ``encode`` made; refuses an unknown opcode and a code without a meaning."""
        word = int.from_bytes(raw, "little")
        code = word & ((1 << OPCODE_BITS) - 1)
        if code not in KINDS:
            raise BadInput(f"an opcode from {min(KINDS):d} to {max(KINDS):d} is wanted, not {code}")
        kind, at, found = KINDS[Opcode(code)], OPCODE_BITS, {}
        for field in self.fields[Opcode(code)]:
            values: list[Any] = []
            for index in range(field.count):
                value = (word >> (at + index * field.width)) & ((1 << field.width) - 1)
                if field.signed and value >> (field.width - 1):
                    value -= 1 << field.width
                values.append(value)
            at += field.bits
            found[field.name] = tuple(values) if field.count > 1 else values[0]
        types: dict[str, Any] = {"buffer": Buffer, "source": Buffer, "target": Buffer, "base": Base, "pool": Pool}
        for name in types.keys() & found.keys():
            if found[name] > max(types[name]):
                wanted = f"{min(types[name]):d} to {max(types[name]):d}"
                raise BadInput(f"{name} of {Opcode(code).name} wants {wanted}, not {found[name]}")
            found[name] = types[name](found[name])
        return kind(**found)


@lru_cache
def isa(params: TileParams) -> Isa:
    """The (cached) instruction set of ``params``."""
    return Isa(params)


def replace_waits(instruction: Any, **waits: int) -> Any:
    """A copy of an ordered instruction with other wait counts."""
    return dataclasses.replace(instruction, **waits)
