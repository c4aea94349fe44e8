"""The score-margin controller (T16 section 4.2, Figure 8): top two scores, their margin, compare with a threshold."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from hw.highest import Highest
from hw.instructions import CLASS_BITS
from hw.params import TileParams, bits_for
from hw.ripple import less, subtract
from hw.signatures import wide_layout
from hw.softmax_margin import SoftmaxMargin


class MarginController(Component):
    """Members: clear : In(1), forget the scores. valid : In(1), scores : In(wide), neurons : In, base : In, class of
    neuron 0 (a multiple of the tile's neurons); they hold the cycle after ``valid`` too, and for a softmax decision the
    last ones hold until it stands.
    softmax : In(1), which margin. threshold : In(64), raw: in units of 2**-(2*frac); softmax: of 2**-16.
    decide : In(1), held until ready : Out(1). below : Out(1), margin < threshold. winner : Out, first largest class.
    margin : Out(64), raw margin.

    Timing, raw: winner, margin and below hold three cycles after the last ``valid`` (its largest score, its second
    largest, compare). Softmax: four cycles per class and 9 more from ``decide`` on. Takes a vector in every second
    cycle, no back pressure: post-processing takes several cycles to the next compute with scores. Nothing moves but
    while scores are compared.
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
        m.submodules.highest = highest = Highest(p)
        m.submodules.softmax_margin = softmax = SoftmaxMargin(p)
        wide = signed(p.accumulator_width)
        # The two largest scores. Both passes over a vector contend with ``one`` and shift the largest into ``two``: in
        # between ``two`` is the largest, and ``one`` the largest of the others so far.
        one, two = Signal(wide), Signal(wide)
        some, pair, fresh, won = Signal(), Signal(), Signal(), Signal()
        lane, block = Signal(bits_for(p.neurons)), Signal(CLASS_BITS)
        inside, picked = Signal(p.neurons), Signal(p.neurons)
        m.d.comb += [
            inside.eq(Cat(n < self.neurons for n in range(p.neurons))),
            picked.eq(Cat(Mux(fresh, lane, softmax.item) == n for n in range(p.neurons))),
            highest.words.eq(self.scores),
            highest.among.eq(
                Mux(self.valid, inside, 0)
                | Mux(fresh, inside & ~(picked & won.replicate(p.neurons)), 0)
                | Mux(softmax.look, picked, 0)
            ),
            highest.other.eq(one),
            highest.contends.eq(some & (self.valid | fresh)),
        ]
        beaten = Signal()
        m.d.comb += beaten.eq(self.valid & ~highest.other_wins)
        with m.If(beaten):  # by a larger score: of equal ones the earlier class stays
            m.d.sync += [lane.eq(self._number(highest.first)), block.eq(self.base)]
        with m.If(self.valid | fresh):
            m.d.sync += two.eq(highest.value)
        with m.If((self.valid & highest.other_wins) | fresh):
            m.d.sync += one.eq(two)
        with m.If(self.valid):
            m.d.sync += [pair.eq(1), won.eq(beaten)]
            with m.If(highest.other_wins):
                m.d.sync += some.eq(pair)
        with m.Elif(fresh):
            m.d.sync += [some.eq(1), pair.eq(highest.first.any() | some)]
        m.d.sync += fresh.eq(self.valid)
        with m.If(self.clear):
            m.d.sync += [some.eq(0), pair.eq(0), fresh.eq(0)]

        top, next_top = Signal(signed(64)), Signal(signed(64))
        m.d.comb += [
            top.eq(one),
            next_top.eq(two),
            self.winner.eq(self._class(block, lane)),
            self.margin.eq(subtract(m, top, next_top, "margin_carry") | (~pair).replicate(64)),
            softmax.clear.eq(self.clear),
            softmax.start.eq(self.decide & self.softmax & ~self.valid & ~fresh),
            softmax.decide.eq(self.decide),
            softmax.threshold.eq(self.threshold),
            softmax.one.eq(one),
            softmax.two.eq(two),
            softmax.pair.eq(pair),
            softmax.score.eq(highest.value),
            softmax.valid.eq(self.valid & self.softmax),
            softmax.scores.eq(self.scores),
            softmax.neurons.eq(self.neurons),
            softmax.base.eq(self.base),
            self.ready.eq(~fresh & ~self.valid & (~self.softmax | softmax.ready)),
            self.below.eq(Mux(self.softmax, softmax.below, less(m, self.margin, self.threshold, "below_carry"))),
        ]
        return m

    def _number(self, chosen: Value) -> Value:
        """Place of the one bit that is set."""
        size = bits_for(self._p.neurons)
        return Cat(Cat(chosen[n] for n in range(self._p.neurons) if n >> bit & 1).any() for bit in range(size))

    def _class(self, block: Value, lane: Value) -> Value:
        """``block`` is a multiple of the neurons: no adder where they are a power of two."""
        neurons = self._p.neurons
        low = neurons.bit_length() - 1
        return Cat(lane[:low], block[low:]) if neurons == 1 << low else block + lane
