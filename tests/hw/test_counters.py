"""Counters: sums since the clear, snapshots at the edge of each increment, in the order of hw.events."""

import random
import sys
from typing import Any

import pytest

from hw.counters import Counters
from hw.events import COUNTER_BITS, event_names
from hw.params import preset
from tests.hw.sim import SHAPES, simulate


def unpack(snapshot: int, count: int) -> list[int]:
    return [snapshot >> (COUNTER_BITS * k) & ((1 << COUNTER_BITS) - 1) for k in range(count)]


@pytest.mark.parametrize("activity", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_snapshots_hold_the_cycles_before_their_edge(name: str, activity: bool) -> None:
    p, rng = preset(name).replace(activity=activity), random.Random(80)
    names = event_names(activity)
    widths = {event: COUNTER_BITS if event.startswith("toggle_") else rng.randint(1, 9) for event in names}
    dut = Counters(p, widths)

    async def bench(ctx: Any) -> None:
        totals, kept, edges = dict.fromkeys(names, 0), {}, 0
        for cycle in range(250):
            amounts = {event: rng.choice((0, rng.getrandbits(widths[event]))) for event in names}
            for event, amount in amounts.items():
                ctx.set(getattr(dut, event), amount)
            clear, edge = cycle == 0 or rng.random() < 0.05, cycle > 0 and rng.random() < 0.2
            increment = rng.randrange(p.increments)
            ctx.set(dut.clear, clear)
            ctx.set(dut.edge, edge)
            ctx.set(dut.increment, increment)
            if edge:  # toggle totals are counted elsewhere and taken as they stand
                kept[increment] = [amounts[e] if e.startswith("toggle_") else totals[e] for e in names]
                edges += 1
            await ctx.tick()
            totals = {e: 0 if clear else totals[e] + amounts[e] for e in names}
            for index, values in kept.items():
                ctx.set(dut.index, index)
                assert unpack(ctx.get(dut.snapshot), len(names)) == values
        assert edges > 15
        assert len(kept) == p.increments

    # Amaranth's simulator makes one expression of a snapshot: 68 counters are more than Python's compiler takes
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)
    try:
        simulate(dut, bench)
    finally:
        sys.setrecursionlimit(limit)
