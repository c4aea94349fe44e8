"""The score-margin controller (T16 section 4.2, Figure 8): top two scores, their margin, compare with a threshold."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from hw.instructions import CLASS_BITS
from hw.params import TileParams
from hw.signatures import wide_layout
from hw.softmax import (
    COARSE,
    COARSE_BITS,
    FINE,
    FINE_BITS,
    FRACTION,
    LARGEST,
    ONE,
    SCORE_BITS,
    SCORE_FRACTION,
    score_rows,
)


class Softmax(enum.Enum, shape=unsigned(2)):
    IDLE = 0
    SUM = 1
    DONE = 2


class MarginController(Component):
    """Members: clear : In(1), forget the scores. valid : In(1), scores : In(wide), neurons : In, base : In, class of
    neuron 0 (a multiple of the tile's neurons).
    softmax : In(1), which margin. threshold : In(64), raw: in units of 2**-(2*frac); softmax: of 2**-16.
    decide : In(1), held until ready : Out(1). below : Out(1), margin < threshold. winner : Out, first largest class.
    margin : Out(64), raw margin.

    Timing, raw: winner, margin and below hold three cycles after the last ``valid`` (top two of the vector, merge,
    compare). Softmax: two cycles per class more. Takes a vector in every cycle, no back pressure.
    """

    latency = 3

    def __init__(self, p: TileParams) -> None:
        self._p = p
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "scores": In(wide_layout(p)),
                "neurons": In(range(p.neurons + 1)),
                "base": In(CLASS_BITS),
                "softmax": In(1),
                "threshold": In(64),
                "decide": In(1),
                "ready": Out(1),
                "below": Out(1),
                "winner": Out(CLASS_BITS),
                "margin": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._p
        best = data.StructLayout(
            {
                "one": signed(p.accumulator_width),
                "two": signed(p.accumulator_width),
                "winner": CLASS_BITS,
                "some": 1,
                "pair": 1,
            }
        )
        level = []
        for n in range(p.neurons):
            leaf = Signal(best, name=f"leaf_{n}")
            m.d.comb += [leaf.one.eq(self.scores[n]), leaf.winner.eq(self.base + n), leaf.some.eq(n < self.neurons)]
            level.append(leaf)
        depth = 0
        while len(level) > 1:
            merged = [
                self._merge(m, best, level[i], level[i + 1], f"top_{depth}_{i // 2}")
                for i in range(0, len(level) - 1, 2)
            ]
            level = merged + level[len(level) & ~1 :]
            depth += 1
        vector, fresh, total = Signal(best), Signal(), Signal(best)
        with m.If(self.valid):
            m.d.sync += vector.eq(level[0])
        m.d.sync += fresh.eq(self.valid)
        with m.If(fresh):
            m.d.sync += total.eq(self._merge(m, best, total, vector, "running"))
        with m.If(self.clear):
            m.d.sync += [total.some.eq(0), total.pair.eq(0), fresh.eq(0)]

        largest = Const((1 << 64) - 1, 64)
        m.d.comb += [
            self.winner.eq(total.winner),
            self.margin.eq(Mux(total.pair, total.one - total.two, largest)),
        ]
        below, ready = self._softmax(m)
        m.d.comb += [
            self.ready.eq(~fresh & ~self.valid & (~self.softmax | ready)),
            self.below.eq(Mux(self.softmax, below, self.margin < self.threshold)),
        ]
        return m

    def _merge(self, m: Module, best: data.StructLayout, a: data.View, b: data.View, name: str) -> data.View:
        """Top two of both; of equal scores the first operand's comes first."""
        out = Signal(best, name=name)
        b_wins = Signal(name=f"{name}_b_wins")
        m.d.comb += b_wins.eq(b.some & (~a.some | (b.one > a.one)))
        high, low = Signal(best, name=f"{name}_high"), Signal(best, name=f"{name}_low")
        m.d.comb += [
            high.eq(Mux(b_wins, b.as_value(), a.as_value())),
            low.eq(Mux(b_wins, a.as_value(), b.as_value())),
            out.one.eq(high.one),
            out.winner.eq(high.winner),
            out.some.eq(a.some | b.some),
            out.pair.eq(high.pair | low.some),
        ]
        # the second is the loser's first or the winner's own second
        with m.If(low.some & (~high.pair | (low.one > high.two))):
            m.d.comb += out.two.eq(low.one)
        with m.Else():
            m.d.comb += out.two.eq(high.two)
        return out

    def _softmax(self, m: Module) -> tuple[Signal, Signal]:
        p = self._p
        code = signed(SCORE_BITS)
        rows = score_rows(p.neurons)
        codes = [Signal(code, name=f"code_{i}") for i in range(rows * p.neurons)]
        count = Signal(range(len(codes) + 1))
        shift = 2 * p.fmt.frac - SCORE_FRACTION
        top = Signal(code)
        high, low = (1 << (SCORE_BITS - 1)) - 1, -(1 << (SCORE_BITS - 1))
        with m.If(self.valid & self.softmax):
            m.d.sync += count.eq(count + self.neurons)
            for n in range(p.neurons):
                scaled = self.scores[n] >> shift if shift >= 0 else self.scores[n] << -shift
                clamped = Signal(code, name=f"clamped_{n}")
                m.d.comb += clamped.eq(Mux(scaled > high, high, Mux(scaled < low, low, scaled)))
                for row in range(rows):
                    with m.If((n < self.neurons) & (self.base == row * p.neurons)):
                        m.d.sync += codes[row * p.neurons + n].eq(clamped)

        state = Signal(Softmax)
        item = Signal(range(len(codes) + 1))
        current, distance = Signal(code), Signal(SCORE_BITS + 1)
        coarse = Array(Const(value, FRACTION + 1) for value in COARSE)
        fine = Array(Const(value, FRACTION + 1) for value in FINE)
        product = Signal(2 * FRACTION + 2)
        exponential = Signal(FRACTION + 1)
        total = Signal(FRACTION + 1 + CLASS_BITS)
        second_exponential = Signal(FRACTION + 1)
        seen_top = Signal()
        m.d.comb += [
            current.eq(Array(codes)[item]),
            distance.eq(top - current),
            product.eq(coarse[distance[FINE_BITS : FINE_BITS + COARSE_BITS]] * fine[distance[:FINE_BITS]]),
            exponential.eq(Mux(distance >= LARGEST, 0, (product + (ONE >> 1)) >> FRACTION)),
        ]
        searching = Signal()
        with m.Switch(state):
            with m.Case(Softmax.IDLE):
                with m.If(self.decide & self.softmax & ~self.valid):
                    m.d.sync += [state.eq(Softmax.SUM), item.eq(0), total.eq(0), second_exponential.eq(0)]
                    m.d.sync += [searching.eq(1), top.eq(low), seen_top.eq(0)]
            with m.Case(Softmax.SUM):
                with m.If(item != count):
                    m.d.sync += item.eq(item + 1)
                    with m.If(searching):
                        with m.If(current > top):
                            m.d.sync += top.eq(current)
                    with m.Else():
                        m.d.sync += total.eq(total + exponential)
                        with m.If((distance == 0) & ~seen_top):
                            m.d.sync += seen_top.eq(1)
                        with m.Elif(exponential > second_exponential):
                            m.d.sync += second_exponential.eq(exponential)
                with m.Elif(searching):
                    m.d.sync += [searching.eq(0), item.eq(0)]
                with m.Else():
                    m.d.sync += state.eq(Softmax.DONE)
            with m.Case(Softmax.DONE):
                with m.If(~self.decide):
                    m.d.sync += state.eq(Softmax.IDLE)
        with m.If(self.clear):
            m.d.sync += [count.eq(0), state.eq(Softmax.IDLE)]
        below = Signal()
        m.d.comb += below.eq(((ONE - second_exponential) << FRACTION) < self.threshold[: FRACTION + 1] * total)
        return below, state == Softmax.DONE
