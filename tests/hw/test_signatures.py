"""Layouts and the small helpers that the blocks share."""

import random
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib.wiring import Flow

from hw.isa import OPCODE_BITS, Opcode, isa
from hw.params import PRESETS, preset
from hw.signatures import (
    PairAdder,
    beat_layout,
    below,
    cell_layout,
    dram_port,
    instruction_layout,
    line_layout,
    pair_layout,
    popcount,
    rotate,
    row_layout,
)
from tests.hw.sim import SHAPES, lone, plain, simulate
from tests.hw.test_isa import random_instruction

MACHINES = [*(preset(name) for name in PRESETS), lone()]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_layouts_and_bytes_are_one_format(p: Any) -> None:
    """What the encoder writes is what the hardware's layout reads, field by field."""
    i, rng, compared = isa(p), random.Random(4), 0
    for opcode in Opcode:
        for _ in range(5):
            instruction = random_instruction(rng, i, opcode)
            word = int.from_bytes(i.encode(instruction), "little") >> OPCODE_BITS
            layout = instruction_layout(i, opcode)
            read = layout.from_bits(word & ((1 << layout.size) - 1))
            for field in i.fields[opcode]:
                wanted = getattr(instruction, field.name)
                got = read[field.name]
                assert (tuple(got) if field.count > 1 else got) == wanted
                compared += 1
            assert layout.const(plain(i, instruction)).as_value().value == word
    assert compared == 5 * sum(len(fields) for fields in i.fields.values())


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_the_dram_port_counts_in_beats(p: Any) -> None:
    members = dram_port(p).members
    assert members["req_address"].shape == (p.dram_beats - 1).bit_length()
    assert members["req_mask"].shape == p.lines_per_beat
    assert members["req_data"].shape == members["rsp_data"].shape == 8 * p.dram_beat_bytes
    assert {name for name in members if members[name].flow == Flow.In} == {"req_ready", "rsp_valid", "rsp_data"}
    assert line_layout(p).size == p.synapses * p.fmt.width
    assert cell_layout(p).size * p.beat_cells == beat_layout(p).size == p.beat_words * p.fmt.width
    assert cell_layout(p).size * p.banks == row_layout(p).size


@pytest.mark.parametrize("name", SHAPES)
def test_pairs_add_as_cell_addresses_do(name: str) -> None:
    i, rng = isa(preset(name)), random.Random(5)
    n, space = i.params.banks, (1 << i.row_bits) * i.params.banks
    m = Module()
    a = Signal(pair_layout(i))
    b = Signal(pair_layout(i))
    total = PairAdder(m, i).add(a, b.row, b.bank)

    async def bench(ctx: Any) -> None:
        for _ in range(300):
            left, right = rng.randrange(space), rng.randrange(space)
            ctx.set(a, {"row": left // n, "bank": left % n})
            ctx.set(b, {"row": right // n, "bank": right % n})
            got = ctx.get(total)
            assert got.row * n + got.bank == (left + right) % space
            assert got.bank < n

    simulate(m, bench)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8, 16, 33])
@pytest.mark.parametrize("left", [False, True])
def test_rotate(n: int, left: bool) -> None:
    m = Module()
    items = [Signal(unsigned(8), name=f"item_{k}") for k in range(n)]
    amount = Signal(range(n))
    turned = Signal(8 * n)
    m.d.comb += turned.eq(Cat(*rotate(items, amount, left=left)))

    async def bench(ctx: Any) -> None:
        for k, item in enumerate(items):
            ctx.set(item, k + 1)
        for by in range(n):
            ctx.set(amount, by)
            got = list(ctx.get(turned).to_bytes(n, "little"))
            place = {(k - by) % n: k + 1 for k in range(n)} if left else {(k + by) % n: k + 1 for k in range(n)}
            assert got == [place[k] for k in range(n)]

    simulate(m, bench)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_masks_and_their_counts(n: int) -> None:
    m = Module()
    count, mask, ones = Signal(range(n + 1)), Signal(n), Signal(range(n + 1))
    m.d.comb += [mask.eq(below(count, n)), ones.eq(popcount(mask))]

    async def bench(ctx: Any) -> None:
        for k in range(n + 1):
            ctx.set(count, k)
            assert ctx.get(mask) == (1 << k) - 1
            assert ctx.get(ones) == k

    simulate(m, bench)
    rng = random.Random(6)
    bits, number = Signal(n), Signal(range(n + 1))
    counting = Module()
    counting.d.comb += number.eq(popcount(bits))

    async def count_bits(ctx: Any) -> None:
        for _ in range(50):
            value = rng.getrandbits(n)
            ctx.set(bits, value)
            assert ctx.get(number) == value.bit_count()

    simulate(counting, count_bits)
