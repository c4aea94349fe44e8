"""The energy meter: a weighted sum of an image's events, weighed one event a cycle while the image runs."""

from collections.abc import Mapping

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.events import DELAY_BITS, ENERGY_BITS, METERED, WEIGHT_BITS
from hw.host import HostRegister, WeightWord, host_port
from hw.params import bits_for

_STAGES = 3  # from a visit to the energy: count and weight, product, sum


class EnergyMeter(Component):
    """Energy of an image: the sum over hw.events.METERED of weight x count, exact, or all ones when that is more.

    Every event has a small counter of what came since it was last visited. The visits go round, one event a cycle, and
    one multiplier of a counter by a weight serves them all.

    Members: <event> : In, how much came in this cycle. host : In(host_port), its WEIGHT register.
    busy : In(1), an image runs. clear : In(1), one begins. done : In(1), the last cycle of one; nothing comes after it.
    measured : Out(1), one cycle: energy and image_cycles are the image's; they stand until the next clear.
    rest : Out(1), no image runs or is still being weighed.
    Timing: ``measured`` comes ``latency`` cycles after ``done``.
    """

    latency = len(METERED) + _STAGES

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._widths = {name: widths[name] for name in METERED}
        super().__init__(
            {
                **{name: In(width) for name, width in self._widths.items()},
                "host": In(host_port()),
                "busy": In(1),
                "clear": In(1),
                "done": In(1),
                "energy": Out(ENERGY_BITS),
                "image_cycles": Out(DELAY_BITS),
                "measured": Out(1),
                "rest": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        round_bits = bits_for(len(METERED))
        place = Signal(round_bits)
        left = Signal(range(self.latency))  # cycles of visits and stages behind an image's end
        visiting = Signal()
        m.d.comb += [visiting.eq(self.busy | left.any()), self.rest.eq(~visiting)]
        with m.If(self.done):
            m.d.sync += left.eq(self.latency - 1)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        m.d.sync += self.measured.eq(left == 1)
        with m.If(visiting):
            m.d.sync += place.eq(Mux(place == len(METERED) - 1, 0, place + 1))

        pending = []
        for number, (name, width) in enumerate(self._widths.items()):
            count = Signal(width + round_bits, name=f"pending_{name}")  # of a round, at most
            with m.If(visiting):
                m.d.sync += count.eq(Mux(place == number, 0, count) + getattr(self, name))
            pending.append(count)
        m.submodules.weights = weights = Memory(shape=WEIGHT_BITS, depth=len(METERED), init=[])
        write, read = weights.write_port(), weights.read_port()
        word = Signal(WeightWord)
        m.d.comb += [
            word.as_value().eq(self.host.data),
            write.addr.eq(word.event),
            write.data.eq(word.weight),
            write.en.eq(self.host.write & (self.host.address == HostRegister.WEIGHT)),
            read.addr.eq(place),
            read.en.eq(visiting),
        ]
        widest = max(len(count) for count in pending)
        visited, product = Signal(widest), Signal(widest + WEIGHT_BITS)
        total = Signal(ENERGY_BITS + 1)
        with m.If(visiting):
            m.d.sync += [visited.eq(Array(pending)[place]), product.eq(visited * read.data)]
            m.d.sync += self.energy.eq(Mux(total[-1], ~0, total))
        m.d.comb += total.eq(self.energy + product)
        with m.If(self.busy & ~self.done & ~self.image_cycles.all()):
            m.d.sync += self.image_cycles.eq(self.image_cycles + 1)
        with m.If(self.clear):
            m.d.sync += [self.energy.eq(0), self.image_cycles.eq(0)]
        return m
