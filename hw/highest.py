"""The largest of a vector of words, found bit by bit; one search serves every comparison of scores."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from hw.params import TileParams
from hw.signatures import wide_layout

GROUP = 4  # words that search among themselves


class Highest(Component):
    """Members: words : In(wide), among : In(neurons), which of them are candidates. other : In(wide sum), contends :
    In(1), it is one too.
    value : Out, the largest candidate, without one the least word. first : Out(neurons), one-hot, the first of the
    largest of the words that are candidates, 0 if ``other`` is larger than all. other_wins : Out(1), ``other`` is a
    candidate and no word is larger.

    Timing: combinational; without candidates nothing behind the first gate of each bit moves.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        super().__init__(
            {
                "words": In(wide_layout(p)),
                "among": In(p.neurons),
                "other": In(signed(p.accumulator_width)),
                "contends": In(1),
                "value": Out(signed(p.accumulator_width)),
                "first": Out(p.neurons),
                "other_wins": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, neurons = self._p.accumulator_width, self._p.neurons
        words = [self._ordered(self.words[n]) for n in range(neurons)]
        other = self._ordered(self.other)
        starts = range(0, neurons, GROUP)
        alive: list[list[Value]] = [[self.among[n] for n in range(at, min(at + GROUP, neurons))] for at in starts]
        final: list[Value] = [*(self.among[at : at + GROUP].any() for at in starts), self.contends]
        found: list[Value] = []
        # groups and what is left of them go from the highest bit to the lowest in step: a gate or two a bit
        for bit in reversed(range(width)):
            leads: list[Value] = []
            for number, at in enumerate(starts):
                ones = [words[at + k][bit] for k in range(len(alive[number]))]
                lead, alive[number] = self._narrow(m, alive[number], ones, f"group_{number}_{bit}")
                leads.append(lead)
            lead, final = self._narrow(m, final, [*leads, other[bit]], f"final_{bit}")
            found.insert(0, lead)
        left = [lane & final[number] for number, lanes in enumerate(alive) for lane in lanes]
        none = Signal(neurons)  # of the words before
        m.d.comb += [
            none.eq(Cat(1, *(none[n] & ~left[n] for n in range(neurons - 1)))),
            self.first.eq(none & Cat(left)),
            self.value.eq(Cat(*found[:-1], ~found[-1])),
            self.other_wins.eq(final[-1]),
        ]
        return m

    def _ordered(self, word: Value) -> Value:
        """Its bits so that they compare as a number without a sign."""
        bits = Value.cast(word)
        return Cat(bits[:-1], ~bits[-1])

    def _narrow(self, m: Module, alive: list[Value], ones: list[Value], name: str) -> tuple[Value, list[Value]]:
        """Whether a candidate has a one here; then those without leave."""
        size = len(alive)
        has, lead, stay = Signal(size, name=f"{name}_has"), Signal(name=f"{name}_lead"), Signal(size, name=f"{name}")
        m.d.comb += [
            has.eq(Cat(ones) & Cat(alive)),
            lead.eq(has.any()),
            stay.eq(Cat(alive) & (has | (~lead).replicate(size))),
        ]
        return lead, [stay[k] for k in range(size)]
