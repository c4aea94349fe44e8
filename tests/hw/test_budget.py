"""BudgetController: golden's choice after every image and every write, and how long it takes."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from amaranth.hdl import Value

from golden.budget import Budget, Controller, Used
from hw.budget import BudgetController
from hw.events import DELAY_BITS, ENERGY_BITS
from hw.host import HostRegister
from hw.params import preset
from tests.hw.sim import SHAPES, simulate


def play(name: str, seed: int, events: int = 250) -> None:
    """Images and writes in any order; the choice is compared after each."""
    p, rng = preset(name).replace(budget=True), random.Random(seed)
    dut = BudgetController(p)
    scales = {"energy": rng.choice((8, ENERGY_BITS)), "cycles": rng.choice((8, DELAY_BITS))}
    met = {"impossible": 0, "lowered": 0, "raised": 0, "same": 0}

    def value(part: str) -> int:
        return rng.randrange((1 << scales[part]) - 1)

    async def settle(ctx: Any) -> None:
        waited = 0
        while not ctx.get(dut.settled):
            await ctx.tick()
            waited += 1
            assert waited <= 1 + p.increments

    async def write(ctx: Any, register: int, data: int) -> None:
        ctx.set(dut.host.write, 1)
        ctx.set(dut.host.address, register)
        ctx.set(dut.host.data, data)
        await ctx.tick()
        ctx.set(dut.host.write, 0)

    async def bench(ctx: Any) -> None:
        golden = Controller(p.increments, remember=False)
        budget = Budget()
        for _ in range(events):
            before = golden.allowed
            event = rng.choices(("image", "budget", "remember", "weight"), (12, 4, 0.3, 0.3))[0]
            if event == "image":
                used = Used(rng.randint(0, golden.allowed), value("energy"), value("cycles"))
                for part, port in (("stopped", dut.stopped), ("energy", dut.energy), ("cycles", dut.cycles)):
                    ctx.set(port, getattr(used, part))
                ctx.set(dut.measured, 1)
                assert not ctx.get(dut.settled)
                await ctx.tick()
                ctx.set(dut.measured, 0)
                golden.finish(used)
            elif event == "budget":
                changed = rng.choice(("energy", "cycles", "both"))
                budget = Budget(
                    *(
                        getattr(budget, part) if changed not in (part, "both") else rng.choice((value(part), None))
                        for part in ("energy", "cycles")
                    )
                )
                energy, cycles = budget.registers
                await write(ctx, HostRegister.ENERGY_BUDGET, energy)
                await write(ctx, HostRegister.DELAY_BUDGET, cycles)
                golden.set(budget)
            elif event == "remember":
                remember = rng.random() < 0.7
                await write(ctx, HostRegister.REMEMBER, int(remember))
                golden = Controller(p.increments, remember=remember)
                golden.set(budget)
            else:
                await write(ctx, HostRegister.WEIGHT, rng.getrandbits(24))
                golden.forget()
            await settle(ctx)
            chosen = ctx.get(dut.allowed), ctx.get(dut.impossible)
            assert chosen == (golden.allowed, golden.impossible), f"the choice {chosen} is not golden's"
            met["impossible"] += golden.impossible
            met["lowered"] += golden.allowed < before
            met["raised"] += golden.allowed > before
            met["same"] += golden.allowed == before
        assert min(met.values()) > 4, met

    simulate(dut, bench)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", SHAPES)
def test_the_choice_is_goldens(name: str, seed: int) -> None:
    play(name, seed)


def play_all(seeds: Iterable[int]) -> None:
    for seed in seeds:
        play("small", seed)


def never(used: Value, budget: Value) -> Value:
    return (used > budget) & 0


@pytest.mark.parametrize("broken", [lambda used, budget: used < budget, lambda used, budget: used >= budget, never])
def test_a_broken_comparison_is_found(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BudgetController, "over", staticmethod(broken))
    with pytest.raises(AssertionError, match="is not golden's"):
        play_all(range(6))


def test_without_a_budget_all_is_allowed() -> None:
    p = preset("small").replace(budget=True)
    dut = BudgetController(p)

    async def bench(ctx: Any) -> None:
        assert ctx.get(dut.settled)
        for stopped in (*range(p.increments), 0, 1):
            ctx.set(dut.measured, 1)
            ctx.set(dut.stopped, stopped)
            ctx.set(dut.energy, (1 << ENERGY_BITS) - 1)
            ctx.set(dut.cycles, (1 << DELAY_BITS) - 1)
            await ctx.tick()
            ctx.set(dut.measured, 0)
            for _ in range(1 + p.increments):
                await ctx.tick()
            assert ctx.get(dut.settled)
            assert (ctx.get(dut.allowed), ctx.get(dut.impossible)) == (p.increments - 1, 0)

    simulate(dut, bench)


def test_writes_and_images_at_the_same_time() -> None:
    """A budget written while the controller looks, or as an image ends: it looks again, and its choice is golden's."""
    p, rng = preset("paper32").replace(budget=True), random.Random(7)
    dut = BudgetController(p)

    async def bench(ctx: Any) -> None:
        await ctx.tick()
        golden = Controller(p.increments, remember=True)
        ctx.set(dut.host.write, 1)
        ctx.set(dut.host.address, HostRegister.REMEMBER)
        ctx.set(dut.host.data, 1)
        await ctx.tick()
        ctx.set(dut.host.write, 0)
        for _ in range(120):
            for _ in range(rng.randint(1, 6)):
                if image := rng.random() < 0.6:
                    used = Used(rng.randrange(p.increments), rng.randrange(100), rng.randrange(100))
                    for part, port in (("stopped", dut.stopped), ("energy", dut.energy), ("cycles", dut.cycles)):
                        ctx.set(port, getattr(used, part))
                    golden.finish(used)
                ctx.set(dut.measured, image)
                if write := rng.random() < 0.4:
                    energy = rng.randrange(100)
                    ctx.set(dut.host.address, HostRegister.ENERGY_BUDGET)
                    ctx.set(dut.host.data, energy)
                    golden.set(Budget(energy, None))
                ctx.set(dut.host.write, write)
                await ctx.tick()
                ctx.set(dut.measured, 0)
                ctx.set(dut.host.write, 0)
                for _ in range(rng.choice((0, 0, 1, 3))):
                    await ctx.tick()
            while not ctx.get(dut.settled):
                await ctx.tick()
            assert (ctx.get(dut.allowed), ctx.get(dut.impossible)) == (golden.allowed, golden.impossible)

    simulate(dut, bench)
