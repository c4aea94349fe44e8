"""The program format: every field keeps every value, nothing overlaps, and what does not fit is refused."""

import random
from typing import Any

import pytest

from hw.errors import BadInput
from hw.instructions import UNUSED
from hw.isa import (
    KINDS,
    MAX_INCREMENTS,
    OPCODE_BITS,
    Base,
    Buffer,
    Compute,
    Decide,
    End,
    Entry,
    Field,
    Instruction,
    Isa,
    Load,
    Opcode,
    Pool,
    Store,
    Window,
    isa,
    replace_waits,
)
from hw.params import PRESETS, preset
from tests.hw.sim import lone

ENUMS = {"buffer": Buffer, "base": Base, "pool": Pool}
MACHINES = [*(preset(name) for name in PRESETS), lone(), preset("odd").replace(increments=MAX_INCREMENTS)]


def limits(field: Field) -> tuple[int, int]:
    return (-(1 << (field.width - 1)), (1 << (field.width - 1)) - 1) if field.signed else (0, (1 << field.width) - 1)


def random_value(rng: random.Random, field: Field) -> Any:
    low, high = limits(field)
    if field.name in ENUMS:
        return rng.choice(list(ENUMS[field.name]))
    if field.name in ("source", "target"):
        return rng.choice((Buffer.NBIN, Buffer.NBOUT))
    values = tuple(rng.choice((low, high, rng.randint(low, high))) for _ in range(field.count))
    return values if field.count > 1 else values[0]


def random_instruction(rng: random.Random, i: Isa, opcode: Opcode) -> Instruction:
    return KINDS[opcode](**{field.name: random_value(rng, field) for field in i.fields[opcode]})


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_every_instruction_survives_its_bytes(p: Any) -> None:
    i, rng, seen = isa(p), random.Random(2), set()
    for opcode in Opcode:
        for _ in range(30):
            instruction = random_instruction(rng, i, opcode)
            raw = i.encode(instruction)
            assert len(raw) == i.instruction_bytes == i.instruction_beats * p.dram_beat_bytes
            assert i.decode(raw) == instruction
            seen.add(raw)
    assert len(seen) > 160  # a small field repeats itself now and then


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_fields_lie_side_by_side_above_the_opcode(p: Any) -> None:
    """A field at its largest with all others 0 sets exactly its own bits, in list order."""
    i = isa(p)
    for opcode, fields in i.fields.items():
        at = OPCODE_BITS
        zero = {f.name: (0,) * f.count if f.count > 1 else 0 for f in fields}
        for field in fields:
            ones = (-1,) * field.count if field.signed else ((1 << field.width) - 1,) * field.count
            instruction = KINDS[opcode](**{**zero, field.name: ones if field.count > 1 else ones[0]})
            word = int.from_bytes(i.encode(instruction), "little")
            assert word == ((1 << field.bits) - 1) << at | opcode
            at += field.bits
        assert at <= i.instruction_bits
    longest = max(sum(f.bits for f in fields) for fields in i.fields.values()) + OPCODE_BITS
    assert i.instruction_bits - longest < p.beat_bits


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_a_value_too_large_or_small_is_refused(p: Any) -> None:
    i, rng, refused = isa(p), random.Random(3), 0
    for opcode, fields in i.fields.items():
        for field in fields:
            good = {f.name: random_value(rng, f) for f in fields}
            low, high = limits(field)
            for bad in (low - 1, high + 1):
                value = (*good[field.name][1:], bad) if field.count > 1 else bad
                wanted = f"^{field.name} of {opcode.name} wants {low} to {high}, not {bad}$"
                with pytest.raises(BadInput, match=wanted):
                    i.encode(KINDS[opcode](**{**good, field.name: value}))
                refused += 1
    assert refused == 2 * sum(len(fields) for fields in i.fields.values())


def test_too_many_values_are_refused_and_too_few_are_zero() -> None:
    i = isa(preset("small"))
    with pytest.raises(BadInput, match="^address of ENTRY wants 4 values, not 5$"):
        i.encode(Entry((1,) * 5, (1,) * 4))
    assert i.decode(i.encode(Entry((5, 6), (7,)))) == Entry((5, 6, 0, 0), (7, 0, 0, 0))


@pytest.mark.parametrize("code", [0, *range(len(Opcode) + 1, 1 << OPCODE_BITS)])
def test_an_unknown_opcode_is_refused(code: int) -> None:
    i = isa(preset("small"))
    with pytest.raises(BadInput, match=f"^an opcode from 1 to 7 is wanted, not {code}$"):
        i.decode(code.to_bytes(i.instruction_bytes, "little"))


@pytest.mark.parametrize(
    ("opcode", "field", "code", "message"),
    [
        (Opcode.LOAD, "buffer", 3, "^buffer of LOAD wants 0 to 2, not 3$"),
        (Opcode.STORE, "base", 3, "^base of STORE wants 0 to 2, not 3$"),
        (Opcode.COMPUTE, "pool", 3, "^pool of COMPUTE wants 0 to 2, not 3$"),
    ],
)
def test_a_code_without_a_meaning_is_refused(opcode: Opcode, field: str, code: int, message: str) -> None:
    i = isa(preset("small"))
    at = OPCODE_BITS + sum(f.bits for f in i.fields[opcode][: [f.name for f in i.fields[opcode]].index(field)])
    word = int.from_bytes(i.encode(KINDS[opcode]()), "little")
    with pytest.raises(BadInput, match=message):
        i.decode((word | code << at).to_bytes(i.instruction_bytes, "little"))


def test_kinds_are_complete_and_isas_are_cached() -> None:
    assert {Entry, Load, Store, Window, Compute, Decide, End} == set(KINDS.values())
    assert all(vars(KINDS[opcode])["opcode"] == opcode for opcode in Opcode)
    assert isa(preset("odd")) is isa(preset("odd"))
    assert isa(preset("odd")).params is preset("odd")


def test_waits_can_be_replaced() -> None:
    load = Load(wait_dma=1, wait_read=2, row=5)
    assert replace_waits(load, wait_dma=7) == Load(wait_dma=7, wait_read=2, row=5)


def test_the_narrowest_fields_hold_the_machine() -> None:
    """Rows, words, beats and counts of every machine have a field wide enough."""
    for p in MACHINES:
        i = isa(p)
        by_name = {(op, f.name): f for op, fields in i.fields.items() for f in fields}
        least = {
            (Opcode.LOAD, "row"): max(*p.buffer_rows, p.sb_rows) - 1,
            (Opcode.LOAD, "length"): max(*(rows * p.banks // p.beat_cells for rows in p.buffer_rows), p.neurons),
            (Opcode.LOAD, "last_words"): max(p.synapses, p.beat_words),
            (Opcode.LOAD, "groups"): p.groups,
            (Opcode.LOAD, "step_bank"): p.banks - 1,
            (Opcode.LOAD, "step_row"): max(p.buffer_rows) - 1,
            (Opcode.LOAD, "address"): p.dram_beats - 1,
            (Opcode.COMPUTE, "row"): max(p.buffer_rows) - 1,
            (Opcode.COMPUTE, "to_row"): max(p.buffer_rows) - 1,
            (Opcode.COMPUTE, "bank"): p.banks - 1,
            (Opcode.COMPUTE, "sub"): p.cell_words - 1,
            (Opcode.COMPUTE, "to_sub"): p.cell_words - 1,
            (Opcode.COMPUTE, "step_cells"): min(p.groups, p.banks - 1) // p.cell_words,
            (Opcode.COMPUTE, "columns"): UNUSED,
            (Opcode.COMPUTE, "groups"): p.groups,
            (Opcode.WINDOW, "taps"): p.synapses,
            (Opcode.WINDOW, "spacing"): p.banks - 1,
            (Opcode.WINDOW, "slot_run"): p.synapses - 1,
            (Opcode.WINDOW, "slot_column"): UNUSED,
            (Opcode.WINDOW, "slot_carry"): ((p.synapses - 1) * (p.banks - 1) + UNUSED - 1) // p.banks,
            (Opcode.COMPUTE, "sb_row"): p.sb_rows - 1,
            (Opcode.COMPUTE, "bias_bank"): p.neurons - 1,
            (Opcode.COMPUTE, "neurons"): p.neurons,
            (Opcode.COMPUTE, "last_lanes"): p.synapses,
            (Opcode.COMPUTE, "tile"): p.accumulators,
            (Opcode.COMPUTE, "sum_at"): p.accumulators - 1,
            (Opcode.COMPUTE, "sum_first"): p.accumulators - 1,
            (Opcode.COMPUTE, "sum_last"): p.accumulators - 1,
            (Opcode.DECIDE, "increment"): MAX_INCREMENTS - 1,
        }
        for key, value in least.items():
            assert value <= limits(by_name[key])[1], key
