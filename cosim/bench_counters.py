"""Bench of the event counters: totals, clearing, and a snapshot per increment."""

from typing import Any

import cocotb

from cosim.blocks import COUNTED_BITS
from cosim.port import BlockPort, split
from hw.events import COUNTER_BITS, event_names

CYCLES = 400


@cocotb.test()
async def counters(dut: Any) -> None:
    """A snapshot holds everything up to the cycle before its edge, and stays until its increment ends again."""
    port = BlockPort(dut, "counters")
    p, rng, names = port.params, port.rng, event_names()
    await port.reset()
    totals = dict.fromkeys(names, 0)
    snapshots: dict[int, list[int]] = {}
    compared = 0
    for _ in range(CYCLES):
        amounts = {name: rng.choice((0, 1, rng.getrandbits(COUNTED_BITS))) for name in names}
        clear, edge, increment = port.chance(0.02), port.chance(0.1), rng.randrange(p.increments)
        index = rng.randrange(p.increments)
        port.set(**amounts, clear=clear, edge=edge, increment=increment, index=index)
        await port.settle()
        if index in snapshots:
            assert split(port.get("snapshot"), COUNTER_BITS, len(names)) == snapshots[index]
            compared += len(names)
        await port.step()
        if edge:
            snapshots[increment] = list(totals.values())
        totals = {name: 0 if clear else totals[name] + amounts[name] for name in names}
    assert compared > CYCLES
    cocotb.log.info("counters: %d values compared", compared)
