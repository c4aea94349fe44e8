"""The largest of a vector of words, by a tournament; one serves every comparison of scores."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from hw.params import TileParams
from hw.ripple import not_less
from hw.signatures import wide_layout


@dataclass(frozen=True)
class _Best:
    """The best of some words: its bits, whether there is one, and which it is (one-hot over them)."""

    bits: Value
    some: Value
    which: list[Value]


class Highest(Component):
    """Members: words : In(wide), among : In(neurons), which of them are candidates. other : In(wide sum), contends :
    In(1), it is one too.
    value : Out, the largest candidate, without one the least word. first : Out(neurons), one-hot, the first of the
    largest of the words that are candidates. other_wins : Out(1), ``other`` is a candidate and no word is larger.

    Timing: combinational; words that are no candidates reach nothing behind their first gate.
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
        round_ = [self._entrant(self.words[n], self.among[n]) for n in range(self._p.neurons)]
        match = 0
        while len(round_) > 1:
            pairs = range(0, len(round_) - 1, 2)
            winners = [self._play(m, round_[i], round_[i + 1], f"match_{match + i // 2}") for i in pairs]
            match += len(winners)
            round_ = winners + round_[2 * len(winners) :]
        words = round_[0]
        last = self._play(m, self._entrant(self.other, self.contends), words, "last")
        m.d.comb += [
            self.value.eq(Cat(last.bits[:-1], ~last.bits[-1])),
            self.first.eq(Cat(words.which)),
            self.other_wins.eq(last.which[0]),
        ]
        return m

    def _entrant(self, word: Value, candidate: Value) -> _Best:
        """Bits that compare as a number without a sign, the least one for no candidate."""
        bits = Value.cast(word)
        return _Best(Cat(bits[:-1], ~bits[-1]) & candidate.replicate(len(bits)), candidate, [candidate])

    def _play(self, m: Module, a: _Best, b: _Best, name: str) -> _Best:
        """Of equal words the first one's is the best."""
        wins = Signal(name=f"{name}_wins")
        bits = Signal(len(a.bits), name=name)
        m.d.comb += [
            wins.eq(a.some & (~b.some | not_less(m, a.bits, b.bits, name))),
            bits.eq(Mux(wins, a.bits, b.bits)),
        ]
        which = [one & wins for one in a.which] + [one & ~wins for one in b.which]
        return _Best(bits, a.some | b.some, which)
