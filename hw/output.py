"""Writes result vectors into a neuron buffer, one word per cycle, in any layout that the next layer wants."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, Isa, Opcode
from hw.params import bits_for
from hw.signatures import PairAdder, instruction_layout, pair_layout, result_layout


class OutputWriter(Component):
    """Members: config : In(Compute fields), start : In(1), config is new (one cycle, nothing under way).
    valid, vector : In, a result per neuron; ready : Out. busy : Out(1), words are still to be written.
    write : Out(1), at : Out(pair), word : Out; granted : In(1), the buffer takes the word in this cycle.
    Timing: a word per granted cycle, ``neurons`` words a vector, no gap between vectors; back pressure by ``ready``.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "start": In(1),
                "valid": In(1),
                "ready": Out(1),
                "vector": In(result_layout(p)),
                "busy": Out(1),
                "write": Out(1),
                "granted": In(1),
                "at": Out(pair_layout(isa)),
                "word": Out(p.fmt.width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p, c = self._isa, self._isa.params, self.config
        pairs = PairAdder(m, isa)
        vector = [Signal(p.fmt.width, name=f"vector_{n}") for n in range(p.neurons)]
        neuron = Signal(bits_for(p.neurons))
        word_at, pixel_at, row_at = (Signal(pair_layout(isa), name=n) for n in ("word_at", "pixel_at", "row_at"))
        col = Signal(MAP_BITS)
        last = Signal()
        m.d.comb += [
            last.eq(neuron == c.neurons - 1),
            self.ready.eq(~self.busy | (self.granted & last)),
            self.write.eq(self.busy),
            self.at.eq(word_at),
            self.word.eq(Array(vector)[neuron]),
        ]
        with m.If(self.busy & self.granted):
            m.d.sync += [neuron.eq(neuron + 1), word_at.eq(pairs.add(word_at, c.to_n_row, c.to_n_bank))]
            with m.If(last):
                m.d.sync += [self.busy.eq(0), neuron.eq(0)]
        next_x = pairs.add(pixel_at, c.to_x_row, c.to_x_bank)
        next_y = pairs.add(row_at, c.to_y_row, c.to_y_bank)
        with m.If(self.valid & self.ready):
            m.d.sync += [self.busy.eq(1), word_at.eq(pixel_at)]
            for n in range(p.neurons):
                with m.If(n < c.neurons):
                    m.d.sync += vector[n].eq(self.vector[n])
            with m.If(col == c.to_cols - 1):
                m.d.sync += [col.eq(0), pixel_at.eq(next_y), row_at.eq(next_y)]
            with m.Else():
                m.d.sync += [col.eq(col + 1), pixel_at.eq(next_x)]
        with m.If(self.start):
            m.d.sync += col.eq(0)
            for pair in (pixel_at, row_at):
                m.d.sync += [pair.row.eq(c.to_row), pair.bank.eq(c.to_bank)]
        return m
