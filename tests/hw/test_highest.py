"""The search for the largest word against max(): ties, signs, one candidate and none."""

import random
from typing import Any

import pytest

from hw.highest import Highest
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, simulate, word

MACHINES = [*(preset(name) for name in (*SHAPES, "paper16")), lone()]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_the_largest_and_the_first_of_equals(p: TileParams) -> None:
    rng, dut, kinds = random.Random(79), Highest(p), set()
    least = -1 << (p.accumulator_width - 1)

    async def bench(ctx: Any) -> None:
        for _ in range(120 if p.neurons < 16 else 30):
            wide = rng.choice((2, 9, p.accumulator_width))
            words = [word(rng, wide) for _ in range(p.neurons)]
            among = rng.choice((0, 1 << rng.randrange(p.neurons), rng.getrandbits(p.neurons), (1 << p.neurons) - 1))
            chosen = [n for n in range(p.neurons) if among >> n & 1]
            other, contends = rng.choice((word(rng, wide), *words)), rng.getrandbits(1)
            for name, value in (("words", words), ("among", among), ("other", other), ("contends", contends)):
                ctx.set(getattr(dut, name), value)
            candidates = [words[n] for n in chosen] + [other] * contends
            highest = max(candidates, default=least)
            assert ctx.get(dut.value) == highest
            largest = max((words[n] for n in chosen), default=None)
            first = next((1 << n for n in chosen if words[n] == largest), 0)
            assert ctx.get(dut.first) == first
            assert ctx.get(dut.other_wins) == (contends and other == highest)
            kinds.add((len(chosen) > 0, bool(contends), ctx.get(dut.other_wins)))
            await ctx.tick()

    simulate(dut, bench)
    assert len(kinds) == 5
