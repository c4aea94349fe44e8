"""Event counters and their snapshots at the edge of each increment (hw.events)."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.events import COUNTER_BITS, event_names
from hw.instructions import INCREMENT_BITS
from hw.params import TileParams, bits_for


class Counters(Component):
    """Counts since ``clear``; a snapshot of all counters is kept per increment.

    Members: <event> : In, how much to add in this cycle; toggle_<x> : In, running totals counted elsewhere.
    clear : In(1). edge : In(1), increment : In, take the snapshot. index : In, snapshot : Out, all counters of that
    increment, hw.events.event_names order, lowest bits first.
    Timing: a snapshot holds the events up to and including the cycle before ``edge``; it can be read the cycle after.
    """

    def __init__(self, p: TileParams, widths: Mapping[str, int]) -> None:
        self._p = p
        self._names = event_names(p.activity)
        super().__init__(
            {
                **{name: In(widths[name]) for name in self._names},
                "clear": In(1),
                "edge": In(1),
                "increment": In(INCREMENT_BITS),
                "index": In(INCREMENT_BITS),
                "snapshot": Out(COUNTER_BITS * len(self._names)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        totals: list[Value] = []
        for name in self._names:
            amount = getattr(self, name)
            if name.startswith("toggle_"):
                totals.append(amount)
                continue
            total = Signal(COUNTER_BITS, name=f"total_{name}")
            m.d.sync += total.eq(total + amount)
            with m.If(self.clear):
                m.d.sync += total.eq(0)
            totals.append(total)
        m.submodules.snapshots = snapshots = Memory(shape=COUNTER_BITS * len(totals), depth=self._p.increments, init=[])
        write, read = snapshots.write_port(), snapshots.read_port(domain="comb")
        index_bits = bits_for(self._p.increments)
        m.d.comb += [
            write.addr.eq(self.increment[:index_bits]),
            write.data.eq(Cat(*totals)),
            write.en.eq(self.edge),
            read.addr.eq(self.index[:index_bits]),
            self.snapshot.eq(read.data),
        ]
        return m
