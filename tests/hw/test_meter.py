"""EnergyMeter: golden's weighted sum of what came, cycles by the cycle, its latency, and sums that are too large."""

import random
from typing import Any

import pytest

from golden.budget import metered
from hw.events import ENERGY_BITS, METERED, WEIGHT_BITS
from hw.host import HostRegister, weight_word
from hw.meter import EnergyMeter
from tests.hw.sim import simulate

WIDTHS = {name: 1 + 3 * number % 10 for number, name in enumerate(METERED)} | {"cycles": 1}


async def weigh(ctx: Any, dut: EnergyMeter, weights: list[int]) -> None:
    for name, weight in zip(METERED, weights, strict=True):
        ctx.set(dut.host.write, 1)
        ctx.set(dut.host.address, HostRegister.WEIGHT)
        ctx.set(dut.host.data, weight_word(name, weight))
        await ctx.tick()
    ctx.set(dut.host.address, HostRegister.ENERGY_BUDGET)  # another register's write is none of a weight
    ctx.set(dut.host.data, (1 << 64) - 1)
    await ctx.tick()
    ctx.set(dut.host.write, 0)


async def image(ctx: Any, dut: EnergyMeter, cycles: int, amount: Any) -> dict[str, int]:
    """One image of ``cycles`` cycles, the one of done left out; amount(name, cycle): what comes. Returns the counts."""
    counts = dict.fromkeys(METERED, 0)
    ctx.set(dut.clear, 1)
    await ctx.tick()
    ctx.set(dut.clear, 0)
    ctx.set(dut.busy, 1)
    for cycle in range(cycles):
        for name in METERED:
            came = 1 if name == "cycles" else amount(name, cycle)
            ctx.set(getattr(dut, name), came)
            counts[name] += came
        assert not ctx.get(dut.rest)
        await ctx.tick()
    for name in METERED:
        ctx.set(getattr(dut, name), 0)
    ctx.set(dut.done, 1)
    await ctx.tick()
    ctx.set(dut.done, 0)
    ctx.set(dut.busy, 0)
    waited = 1
    while not ctx.get(dut.measured):
        assert not ctx.get(dut.rest)
        await ctx.tick()
        waited += 1
        assert waited <= dut.latency
    assert waited == dut.latency
    assert ctx.get(dut.rest)
    return counts


def test_every_image_is_goldens_sum() -> None:
    rng = random.Random(70)
    dut = EnergyMeter(WIDTHS)

    async def bench(ctx: Any) -> None:
        for number in range(12):
            if number % 3 == 0:
                weights = [rng.randrange(1 << rng.randint(1, WEIGHT_BITS)) for _ in METERED]
                await weigh(ctx, dut, weights)
            busy = rng.random()

            def amount(name: str, cycle: int, busy: float = busy) -> int:
                return (
                    rng.choice((rng.getrandbits(WIDTHS[name]), (1 << WIDTHS[name]) - 1)) if rng.random() < busy else 0
                )

            cycles = rng.randint(1, 90)
            counts = await image(ctx, dut, cycles, amount)
            for _ in range(rng.choice((0, 1, 5))):  # it stands until the next image begins
                assert ctx.get(dut.energy) == metered(counts, weights)
                assert ctx.get(dut.image_cycles) == cycles
                await ctx.tick()
                assert not ctx.get(dut.measured)

    simulate(dut, bench)


@pytest.mark.parametrize("name", METERED)
def test_every_event_has_its_weight(name: str) -> None:
    """All others weigh nothing; the last cycle's amount counts as the first one's does."""
    dut = EnergyMeter(WIDTHS)
    number = METERED.index(name)

    async def bench(ctx: Any) -> None:
        await weigh(ctx, dut, [(1 << WEIGHT_BITS) - 1 if place == number else 0 for place in range(len(METERED))])
        counts = await image(ctx, dut, 50, lambda event, cycle: int(cycle in (0, 20, 49)))
        assert counts[name] == (50 if name == "cycles" else 3)
        assert ctx.get(dut.energy) == counts[name] * ((1 << WEIGHT_BITS) - 1)

    simulate(dut, bench)


def test_a_sum_that_is_too_large_stays_all_ones() -> None:
    wide = WIDTHS | {"multiply": 13}
    dut = EnergyMeter(wide)
    heavy = [(1 << WEIGHT_BITS) - 1 if name == "multiply" else 0 for name in METERED]

    async def bench(ctx: Any) -> None:
        await weigh(ctx, dut, heavy)
        for cycles, full in ((2048, False), (2060, True), (2500, True), (40, False)):
            counts = await image(ctx, dut, cycles, lambda event, cycle: ((1 << 13) - 1) * (event == "multiply"))
            exact = counts["multiply"] * ((1 << WEIGHT_BITS) - 1)
            assert (exact >= 1 << ENERGY_BITS) == full
            assert ctx.get(dut.energy) == metered(counts, heavy) == min(exact, (1 << ENERGY_BITS) - 1)

    simulate(dut, bench)
