"""The softmax decision of the score-margin controller: exponentials of distances one after the other, no division."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import enum
from amaranth.lib.wiring import Component, In, Out

from hw.instructions import CLASS_BITS
from hw.params import TileParams, bits_for
from hw.ripple import add, subtract
from hw.signatures import wide_layout
from hw.softmax import (
    COARSE,
    FINE,
    FINE_BITS,
    FRACTION,
    LARGEST,
    ONE,
    SCORE_BITS,
    SCORE_FRACTION,
    score_rows,
)

DIGIT = 8  # bits of a factor that a cycle multiplies
DIGITS = -(-(FRACTION + 1) // DIGIT)
assert DIGIT * (DIGITS - 1) == FRACTION  # what the digits shift out


class Phase(enum.Enum, shape=unsigned(3)):
    IDLE = 0
    SUM = 1
    SCALE = 2
    SECOND = 3
    DONE = 4


class SoftmaxMargin(Component):
    """Members: clear : In(1), forget a decision at work. start : In(1), begin one; decide : In(1), held until
    ready : Out(1). below : Out(1), the margin is below threshold : In(64), in units of 2**-16.
    one, two : In, the largest scores, pair : In(1), there is a second one.
    look : Out(1), score : In is wanted to be that of neuron ``item`` : Out in this cycle, of ``neurons`` : In.
    valid : In(1), scores : In(wide), base : In, a vector of scores: only tiles on which softmax scores take more
    vectors than one keep them here, and look at none later.

    Timing: a number takes a cycle to be chosen and one for each of ``DIGITS`` digits to be multiplied: classes + 2
    numbers from the cycle after ``start`` on.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        wide = signed(p.accumulator_width)
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "decide": In(1),
                "ready": Out(1),
                "below": Out(1),
                "threshold": In(64),
                "one": In(wide),
                "two": In(wide),
                "pair": In(1),
                "look": Out(1),
                "item": Out(bits_for(p.neurons)),
                "score": In(wide),
                "valid": In(1),
                "scores": In(wide_layout(p)),
                "neurons": In(range(p.neurons + 1)),
                "base": In(CLASS_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._p
        classes = score_rows(p.neurons) * p.neurons
        phase, digit = Signal(Phase), Signal(range(DIGITS + 1))
        item, count = Signal(range(classes + 1)), Signal(range(classes + 1))
        choosing = Signal()
        m.d.comb += choosing.eq((phase != Phase.IDLE) & (phase != Phase.DONE) & (digit == 0))
        second = phase == Phase.SECOND

        code = Signal(signed(SCORE_BITS))
        if score_rows(p.neurons) == 1:
            m.d.comb += [
                count.eq(self.neurons),
                self.look.eq(choosing & (phase == Phase.SUM)),
                self.item.eq(item),
                code.eq(self._code(m, Mux(second, self.two, self.score), "code")),
            ]
        else:
            m.d.comb += count.eq(self.base + self.neurons)
            m.d.comb += code.eq(Mux(second, self._code(m, self.two, "second"), self._kept(m)[item]))
        top = self._code(m, self.one, "top")
        chosen = Signal(signed(SCORE_BITS))
        far, distance = Signal(SCORE_BITS + 1), Signal(range(LARGEST))
        m.d.comb += [
            far.eq(subtract(m, Cat(top, top[-1]), Cat(chosen, chosen[-1]), "far_carry")),
            # the largest one that is kept stands for all larger ones: its exponential is 0 too
            distance.eq(far | (far[len(distance) :].any() | (second & ~self.pair)).replicate(len(distance))),
        ]

        total = Signal(FRACTION + 1 + bits_for(classes))
        product = Signal(len(total) + DIGIT)
        factor, other = Signal(DIGIT * DIGITS), Signal(len(total))
        scaling, anew, summed = Signal(), Signal(), Signal(len(total) + 1)
        part = Array((Const(0, DIGIT), *(factor[k : k + DIGIT] for k in range(0, len(factor), DIGIT))))[digit]
        m.d.comb += [
            scaling.eq(phase == Phase.SCALE),
            factor.eq(Mux(scaling, self.threshold[: FRACTION + 1], Array(COARSE)[distance[FINE_BITS:]])),
            other.eq(Mux(scaling, total, Array(FINE)[distance[:FINE_BITS]])),
            anew.eq(second | ((item == 1) & (phase != Phase.DONE))),
            summed.eq(add(m, Mux(anew, 0, total), product[: len(total)], "summed_carry")),
            # threshold * total, a unit of 2**-16 begun counted as one, plus the second exponential
            self.below.eq(summed > ONE),
            self.ready.eq(phase == Phase.DONE),
        ]
        with m.If(choosing):
            with m.If(~scaling):
                m.d.sync += chosen.eq(code)
            with m.If(item != 0):
                m.d.sync += total.eq(summed)
            with m.If(phase == Phase.SUM):
                m.d.sync += item.eq(item + 1)
            # half a unit of 2**-16, or one all but a bit, at the place that the digits shift out
            m.d.sync += product.eq(Mux(scaling, (1 << DIGIT * DIGITS) - 1, 1 << DIGIT * DIGITS - 1))
        with m.Elif(digit != 0):
            m.d.sync += product.eq((product >> DIGIT) + part * other)
        with m.Switch(phase):
            with m.Case(Phase.IDLE):
                with m.If(self.start):
                    m.d.sync += [phase.eq(Phase.SUM), digit.eq(0), item.eq(0)]
            with m.Case(Phase.DONE):
                with m.If(~self.decide):
                    m.d.sync += phase.eq(Phase.IDLE)
            with m.Default():
                m.d.sync += digit.eq(digit + 1)
                with m.If(digit == DIGITS):
                    m.d.sync += digit.eq(0)
                    with m.If((phase != Phase.SUM) | (item == count)):
                        m.d.sync += phase.eq(phase.as_value() + 1)
        with m.If(self.clear):
            m.d.sync += phase.eq(Phase.IDLE)
        return m

    def _code(self, m: Module, wide: Value, name: str) -> Signal:
        """hw.softmax.score_code of a score."""
        shift = 2 * self._p.fmt.frac - SCORE_FRACTION
        scaled = wide.as_signed() >> shift if shift >= 0 else wide.as_signed() << -shift
        code = Signal(signed(SCORE_BITS), name=name)
        sign, kept, above = scaled[-1], scaled[: SCORE_BITS - 1], scaled[SCORE_BITS - 1 : -1]
        fits = ~(above ^ sign.replicate(len(above))).any()
        m.d.comb += code.eq(Cat(Mux(fits, kept, (~sign).replicate(SCORE_BITS - 1)), sign))
        return code

    def _kept(self, m: Module) -> Array[Signal]:
        """Codes of all classes, taken from their vectors."""
        neurons = self._p.neurons
        kept = [Signal(signed(SCORE_BITS), name=f"code_{k}") for k in range(score_rows(neurons) * neurons)]
        for n in range(neurons):
            code = self._code(m, self.scores[n], f"clamped_{n}")
            for row in range(score_rows(neurons)):
                with m.If(self.valid & (n < self.neurons) & (self.base == row * neurons)):
                    m.d.sync += kept[row * neurons + n].eq(code)
        return Array(kept)
