"""The budget controller (T16 section 4.1, Algorithm 2): the largest increment that energy and delay budgets allow."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.events import DELAY_BITS, ENERGY_BITS
from hw.host import HostRegister, host_port
from hw.instructions import INCREMENT_BITS
from hw.params import TileParams


class BudgetController(Component):
    """After each image: the most energy and the most cycles that an image which stopped at each increment has taken
    are kept; the capacity is the increment below the first one that is known to be above a budget, the largest one when
    none is. So an increment above a budget is left for the next lower one and not run again, and one of which nothing
    is known is tried, from the largest one downwards.

    A loosened budget: with REMEMBER what is known stays known and only what is not is tried; without, all is forgotten,
    which is Algorithm 2: capacity jumps to the largest increment and settles by one an image.

    Members: host : In(host_port), ENERGY_BUDGET, DELAY_BUDGET (all ones at reset: no budget), REMEMBER; writing
    REMEMBER or WEIGHT forgets. measured : In(1), an image is over: stopped : In, its increment, energy, cycles : In.
    allowed : Out, the capacity. impossible : Out(1), increment 0 is known to be above a budget; allowed is then 0.
    settled : Out(1), allowed and impossible stand for all that was measured and written.
    Timing: settled at most 1 + increments cycles after ``measured`` or a write.
    """

    def __init__(self, p: TileParams) -> None:
        self._increments = p.increments
        super().__init__(
            {
                "host": In(host_port()),
                "measured": In(1),
                "stopped": In(INCREMENT_BITS),
                "energy": In(ENERGY_BITS),
                "cycles": In(DELAY_BITS),
                "allowed": Out(INCREMENT_BITS, init=p.increments - 1),
                "impossible": Out(1),
                "settled": Out(1),
            }
        )

    @staticmethod
    def over(used: Value, budget: Value) -> Value:
        """Whether an image that used so much is above the budget."""
        return used > budget

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cost = data.StructLayout({"energy": ENERGY_BITS, "cycles": DELAY_BITS})
        limit = Signal(cost, init={"energy": (1 << ENERGY_BITS) - 1, "cycles": (1 << DELAY_BITS) - 1})
        remember = Signal()
        known = Signal(self._increments)
        looking, item = Signal(), Signal(range(self._increments))
        m.submodules.most = most = Memory(shape=cost, depth=self._increments, init=[])
        write, read = most.write_port(), most.read_port(domain="comb")
        worst = read.data

        stopped = self.stopped[: len(item)]
        here = Signal.like(item)
        m.d.comb += [
            here.eq(Mux(self.measured, stopped, item)),
            read.addr.eq(here),
            write.addr.eq(here),
            write.en.eq(self.measured),
            self.settled.eq(~looking & ~self.measured),
        ]
        is_known = known.bit_select(here, 1)
        for part in ("energy", "cycles"):
            used, kept = getattr(self, part), worst[part]
            m.d.comb += write.data[part].eq(Mux(is_known & (kept > used), kept, used))
        above = self.over(worst.energy, limit.energy) | self.over(worst.cycles, limit.cycles)

        with m.If(self.measured):
            m.d.sync += [known.bit_select(stopped, 1).eq(1), looking.eq(1), item.eq(0)]
        with m.Elif(looking):
            with m.If(is_known & above):
                m.d.sync += [self.allowed.eq(Mux(item == 0, 0, item - 1)), self.impossible.eq(item == 0), looking.eq(0)]
            with m.Elif(item == self._increments - 1):
                m.d.sync += [self.allowed.eq(item), self.impossible.eq(0), looking.eq(0)]
            with m.Else():
                m.d.sync += item.eq(item + 1)
        with m.If(self.host.write):
            with m.Switch(self.host.address):
                for register, part in ((HostRegister.ENERGY_BUDGET, "energy"), (HostRegister.DELAY_BUDGET, "cycles")):
                    with m.Case(register):
                        new = self.host.data[: len(limit[part])]
                        m.d.sync += [limit[part].eq(new), looking.eq(1), item.eq(0)]
                        with m.If((new > limit[part]) & ~remember):
                            m.d.sync += known.eq(0)
                with m.Case(HostRegister.REMEMBER):
                    m.d.sync += [remember.eq(self.host.data), known.eq(0), looking.eq(1), item.eq(0)]
                with m.Case(HostRegister.WEIGHT):
                    m.d.sync += [known.eq(0), looking.eq(1), item.eq(0)]
        return m
