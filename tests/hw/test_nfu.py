"""NFU-1, NFU-2, the accumulators and NFU-3, each against integers of Python; gating by value and by stillness."""

import random
from typing import Any

import pytest

from hw.isa import isa
from hw.nfu import Accumulators, Activation, Products, Sum
from hw.params import NumberFormat, TileParams, preset
from tests.hw.sim import SHAPES, elaborated, lone, simulate, state_of, word, words, wrap

MACHINES = [*(preset(name) for name in SHAPES), preset("paper16"), lone(groups=1)]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_products_are_exact_and_gated_lanes_hold(p: TileParams) -> None:
    rng, held = random.Random(10), [0] * p.synapses
    dut = Products(p)
    assert Products.latency == 1

    async def bench(ctx: Any) -> None:
        for _ in range(200):
            operands, weights = words(rng, p.fmt.width, p.synapses), words(rng, p.fmt.width, p.synapses)
            lanes = rng.choice((0, (1 << p.synapses) - 1, rng.getrandbits(p.synapses)))
            ctx.set(dut.operands, operands)
            ctx.set(dut.weights, weights)
            ctx.set(dut.lanes, lanes)
            assert [ctx.get(q) for q in dut.products] == held  # nothing passes before the edge
            await ctx.tick()
            for e in range(p.synapses):
                if lanes >> e & 1:
                    held[e] = operands[e] * weights[e]
            assert [ctx.get(q) for q in dut.products] == held

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_sum_masks_lanes_and_holds_without_enable(p: TileParams) -> None:
    """A register a bank of accumulators: the sum of all lanes, or, split, of the bank's quarter of them."""
    rng, dut, banks = random.Random(11), Sum(p), p.sum_banks
    assert Sum.latency == 1

    async def bench(ctx: Any) -> None:
        held = [0] * banks
        for _ in range(200):
            # products of real words: with <32,16> sixteen extreme ones wrap, as exact sums modulo 2**64 do
            values = [word(rng, p.fmt.width) * word(rng, p.fmt.width) for _ in range(p.synapses)]
            lanes, split = rng.getrandbits(p.synapses), rng.getrandbits(1)
            en = rng.getrandbits(banks) if banks > 1 else int(rng.random() < 0.7)
            for e, value in enumerate(values):
                ctx.set(getattr(dut, f"product_{e}"), value)
            ctx.set(dut.lanes, lanes)
            ctx.set(dut.en, en)
            ctx.set(dut.split, split)  # which tiles without quarters ignore
            assert list(ctx.get(dut.total)) == held
            await ctx.tick()
            for b in range(banks):
                size = p.quarter_lanes
                whole = not (split and size)
                counted = [v for e, v in enumerate(values) if lanes >> e & 1 and (whole or e // size == b)]
                held[b] = wrap(sum(counted), p.accumulator_width) if en >> b & 1 else held[b]
            assert list(ctx.get(dut.total)) == held

    simulate(dut, bench)


def test_the_accumulator_width_holds_every_sum_of_a_line() -> None:
    """With words up to 28 bits a line of the largest products never wraps."""
    for p in (preset("small"), preset("paper16"), lone(groups=1)):
        dut = Sum(p)
        extreme = p.fmt.low * p.fmt.low

        async def bench(ctx: Any, p: TileParams = p, dut: Any = dut, extreme: int = extreme) -> None:
            for e in range(p.synapses):
                ctx.set(getattr(dut, f"product_{e}"), extreme)
            ctx.set(dut.lanes, (1 << p.synapses) - 1)
            ctx.set(dut.en, 1)
            await ctx.tick()
            assert ctx.get(dut.total[0]) == p.synapses * extreme

        simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_accumulators_against_a_list(p: TileParams) -> None:
    """In every bank a word of its own is read and may be written; the lowest bits of a number are its bank."""
    rng, width, banks = random.Random(12), p.accumulator_width, p.sum_banks
    dut = Accumulators(p)

    async def bench(ctx: Any) -> None:
        stored = [0] * p.accumulators
        for _ in range(300):
            en, first = rng.getrandbits(banks), rng.random() < 0.3
            index = [rng.randrange(p.accumulators // banks) for _ in range(banks)]
            numbers, drain = [row * banks + b for b, row in enumerate(index)], rng.randrange(p.accumulators)
            addend, bias = words(rng, width, banks), word(rng, width)
            for name, value in (("en", en), ("first", first), ("index", index), ("drain_index", drain)):
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.addend, addend)
            ctx.set(dut.bias, bias)
            before = [stored[number] for number in numbers]
            written = [wrap((bias if first else was) + add, width) for was, add in zip(before, addend, strict=True)]
            assert list(ctx.get(dut.stored)) == before
            assert list(ctx.get(dut.written)) == written
            assert ctx.get(dut.drain) == stored[drain]  # the same cycle, before this cycle's write
            await ctx.tick()
            for b, number in enumerate(numbers):
                stored[number] = written[b] if en >> b & 1 else stored[number]
            for k in range(p.accumulators):
                ctx.set(dut.drain_index, k)
                assert ctx.get(dut.drain) == stored[k]

    simulate(dut, bench)


FORMATS = [NumberFormat(32, 16), NumberFormat(16, 10), NumberFormat(16, 0), NumberFormat(8, 7), NumberFormat(12, 1)]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_activation_is_the_one_rounding_rule(fmt: NumberFormat) -> None:
    p = preset("small").replace(fmt=fmt, accumulator_width=64 if fmt.width == 32 else 40)
    p = p if fmt.width < 32 else p.replace(dram_beat_bytes=16)
    rng, dut = random.Random(13), Activation(p)
    assert Activation.latency == 0
    edge = 1 << (p.accumulator_width - 1)
    near = [0, -1, 1, -edge, edge - 1, edge - fmt.half, edge - fmt.half - 1, -fmt.half, -fmt.half - 1, fmt.half - 1]
    near += [(code << fmt.frac) + d for code in (fmt.low, fmt.high, -1, 0) for d in (-fmt.half - 1, -fmt.half, -1, 0)]
    near += [(code << fmt.frac) + d for code in (fmt.low, fmt.high, -1, 0) for d in (1, fmt.half - 1, fmt.half)]

    async def bench(ctx: Any) -> None:
        for wide in [*near, *(word(rng, p.accumulator_width) >> rng.randrange(40) for _ in range(300))]:
            if not -edge <= wide < edge:
                continue
            for relu in (0, 1):
                ctx.set(dut.wide, wide)
                ctx.set(dut.relu, relu)
                narrow = fmt.narrow(wide)
                assert ctx.get(dut.word) == (max(narrow, 0) if relu else narrow), (wide, relu)

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_limbs_are_digits_that_add_up(p: TileParams) -> None:
    """Every digit of a sum, and the rest above it where that fits a word; the limbs' sum is the sum, relu or not."""
    rng, dut, digits = random.Random(14), Activation(p), p.fmt.width - 1
    limbs, edge = isa(p).limbs, 1 << (p.accumulator_width - 1)
    assert limbs * digits >= p.accumulator_width > (limbs - 1) * digits

    async def bench(ctx: Any) -> None:
        async def limb(number: int, top: bool) -> int:
            ctx.set(dut.limb, number)
            ctx.set(dut.limb_top, top)
            ctx.set(dut.relu, rng.getrandbits(1))
            found: int = ctx.get(dut.word)
            return found

        for wide in [
            0,
            -1,
            1,
            -edge,
            edge - 1,
            *(word(rng, p.accumulator_width) >> rng.randrange(40) for _ in range(99)),
        ]:
            ctx.set(dut.wide, wide)
            for count in range(1, limbs + 1):
                parts = [await limb(number, False) for number in range(1, count)]
                assert parts == [wide >> k * digits & ((1 << digits) - 1) for k in range(count - 1)]
                top = await limb(count, True)
                assert top == wrap(wide >> (count - 1) * digits, p.fmt.width)
                restored = sum(part << k * digits for k, part in enumerate([*parts, top]))
                fits = -(1 << count * digits) <= wide < 1 << count * digits
                assert (restored == wide) == fits
            assert (await limb(0, True)) in (p.fmt.narrow(wide), max(p.fmt.narrow(wide), 0))

    simulate(dut, bench)


def test_without_activity_nothing_counts_toggles() -> None:
    """The registers of a build without activity are the data registers alone."""
    p = preset("small")
    for dut, wanted in ((Products(p), p.synapses), (Sum(p), p.sum_banks)):
        fragment, found = elaborated(dut)
        assert len(found) == wanted

        async def bench(ctx: Any, dut: Any = dut, found: dict[str, Any] = found) -> None:
            ctx.set(dut.lanes, 0)
            before = state_of(ctx, found)
            for e in range(p.synapses):
                if isinstance(dut, Sum):
                    ctx.set(getattr(dut, f"product_{e}"), 77)
            await ctx.tick()
            assert state_of(ctx, found) == before
            assert ctx.get(dut.toggles) == 0

        simulate(fragment, bench)
