"""Collects result pixels into cells and writes them into a neuron buffer, cells of two channels at a time."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, Isa, Opcode
from hw.params import RESULT_CELLS, bits_for
from hw.signatures import PairAdder, below, cell_layout, instruction_layout, pair_layout, result_layout


def _half_layout(isa: Isa) -> data.StructLayout:
    """Where the words of a full half go; all that is left of the Compute they came from."""
    return data.StructLayout(
        {
            "at": pair_layout(isa),
            "to_n": pair_layout(isa),
            "mask": isa.params.cell_words,
            "neurons": bits_for(isa.params.neurons + 1),
            "sub": isa.sub_bits,
            "vector": 1,
            "target": 1,
        }
    )


class OutputWriter(Component):
    """Two halves, each a cell of every channel: one collects pixels while the other is written.

    Members: config : In(Compute fields), start : In(1), config is new (one cycle, no cell half collected; one that is
    still to be written is written as its own Compute wants it).
    valid, vector : In, an output pixel, a word per channel; ready : Out.
    write : Out(2), offers to the buffer of ``target``, of a cell and of the half's next one, if there is one; of both
    at : Out(pair each), mask : Out(cell_words each), cell : Out(cell each); granted : In(2), taken in this cycle, the
    second one only with the first.
    halves : Out(range(3)), full ones. finished : Out(1), the last cell of a full half is taken in this cycle.
    A half is full when its cell is, or the row of ``to_cols`` pixels ends. Its channels are written in order, a cell
    each; with ``vector`` as many channels as a cell has places.
    Timing: a pixel a cycle; the write follows from the cycle after a half got full, up to two cells a cycle, no gap
    between halves; a half is free again the cycle after ``finished``; back pressure by ``ready``.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        # for each place of a cell the words of all channels, in both halves
        self.words = [Memory(shape=result_layout(p), depth=2, init=[]) for _ in range(p.cell_words)]
        super().__init__(
            {
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "start": In(1),
                "valid": In(1),
                "ready": Out(1),
                "vector": In(result_layout(p)),
                "write": Out(RESULT_CELLS),
                "target": Out(1),
                "at": Out(data.ArrayLayout(pair_layout(isa), RESULT_CELLS)),
                "mask": Out(RESULT_CELLS * p.cell_words),
                "cell": Out(data.ArrayLayout(cell_layout(p), RESULT_CELLS)),
                "granted": In(RESULT_CELLS),
                "halves": Out(range(3)),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal(2)
        halves = [Signal(_half_layout(self._isa), name=f"half_{h}") for h in range(2)]
        for s, memory in enumerate(self.words):
            m.submodules[f"words_{s}"] = memory
        pairs = PairAdder(m, self._isa)
        m.d.comb += self.halves.eq(full[0] + full[1])
        self._collect(m, pairs, full, halves)
        self._write(m, pairs, full, halves)
        return m

    def _collect(self, m: Module, pairs: PairAdder, full: Signal, halves: list[data.View]) -> None:
        isa, p, c = self._isa, self._isa.params, self.config
        side = Signal()  # the half that collects
        col, place, mask = Signal(MAP_BITS), Signal(isa.sub_bits), Signal(p.cell_words)
        cell_at, row_at = (Signal(pair_layout(isa), name=name) for name in ("cell_at", "row_at"))
        first_place, here = Signal(isa.sub_bits), Signal(p.cell_words)
        take, last_col, closes = Signal(), Signal(), Signal()
        m.d.comb += [
            first_place.eq(Mux(c.vector, 0, c.to_sub)),
            here.eq(mask | (1 << place)),
            self.ready.eq(~full.bit_select(side, 1)),
            take.eq(self.valid & self.ready),
            last_col.eq(col == c.to_cols - 1),
            closes.eq(last_col | (place == p.cell_words - 1)),
        ]
        active = Signal(p.neurons)
        m.d.comb += active.eq(below(c.neurons, p.neurons))
        for s, memory in enumerate(self.words):
            port = memory.write_port(granularity=1)
            m.d.comb += [port.addr.eq(side), port.data.eq(self.vector)]
            with m.If(take & (c.vector | (place == s))):  # of a vector every place may want any channel
                m.d.comb += port.en.eq(active)
        next_cell, next_row = pairs.add(cell_at, 0, 1), pairs.add(row_at, c.to_y_row, c.to_y_bank)
        with m.If(take):
            m.d.sync += [col.eq(col + 1), place.eq(place + 1), mask.eq(here)]
            with m.If(closes):
                m.d.sync += [full.bit_select(side, 1).eq(1), side.eq(~side), mask.eq(0)]
                m.d.sync += [place.eq(0), cell_at.eq(next_cell)]
                for h in range(2):
                    with m.If(side == h):
                        m.d.sync += [
                            halves[h].at.eq(cell_at),
                            halves[h].to_n.row.eq(Mux(c.vector, 0, c.to_n_row)),
                            halves[h].to_n.bank.eq(Mux(c.vector, 1, c.to_n_bank)),
                            halves[h].mask.eq(here),
                            halves[h].neurons.eq(c.neurons),
                            halves[h].sub.eq(c.to_sub),
                            halves[h].vector.eq(c.vector),
                            halves[h].target.eq(c.target),
                        ]
            with m.If(last_col):
                m.d.sync += [col.eq(0), place.eq(first_place), cell_at.eq(next_row), row_at.eq(next_row)]
        with m.If(self.start):
            m.d.sync += [col.eq(0), place.eq(first_place), mask.eq(0)]
            for pair in (cell_at, row_at):
                m.d.sync += [pair.row.eq(c.to_row), pair.bank.eq(c.to_bank)]

    def _write(self, m: Module, pairs: PairAdder, full: Signal, halves: list[data.View]) -> None:
        p = self._isa.params
        turn, channel = Signal(), Signal(bits_for(p.neurons))  # the half that is written, first channel of the cell
        half = Signal(_half_layout(self._isa))
        taken, last = Signal(), Signal()
        # channels written after the first cell, after both
        ends = [Signal(range(p.neurons + (k + 1) * p.cell_words + 1), name=f"end_{k}") for k in range(RESULT_CELLS)]
        second_at = pairs.add(half.at, half.to_n.row, half.to_n.bank)
        next_at = pairs.add(second_at, half.to_n.row, half.to_n.bank)
        both = self.granted[1]
        m.d.comb += [
            half.eq(Mux(turn, halves[1].as_value(), halves[0].as_value())),
            ends[0].eq(channel + Mux(half.vector, p.cell_words - half.sub, 1)),
            ends[1].eq(ends[0] + Mux(half.vector, p.cell_words, 1)),
            self.write.eq(Mux(full.bit_select(turn, 1), Cat(1, ends[0] < half.neurons), 0)),
            self.target.eq(half.target),
            self.at[0].eq(half.at),
            self.at[1].eq(second_at),
            taken.eq(self.write[0] & self.granted[0]),
            last.eq(Mux(both, ends[1], ends[0]) >= half.neurons),
            self.finished.eq(taken & last),
        ]
        ports = [memory.read_port(domain="comb") for memory in self.words]
        m.d.comb += [port.addr.eq(turn) for port in ports]
        for k, (first, sub) in enumerate(((channel, half.sub), (ends[0], Const(0)))):
            inside = Signal(p.cell_words, name=f"inside_{k}")  # places of a vector's cell that hold a channel
            mask = self.mask.word_select(k, p.cell_words)
            m.d.comb += mask.eq(Mux(half.vector, inside, half.mask))
            for s, port in enumerate(ports):
                index = Signal(bits_for(p.neurons), name=f"index_{k}_{s}")
                m.d.comb += [
                    inside[s].eq((s >= sub) & (first + s < half.neurons + sub)),
                    index.eq(first + Mux(half.vector, s - sub, 0)),
                    self.cell[k][s].eq(Array(port.data[n] for n in range(p.neurons))[index]),
                ]
        with m.If(taken):
            m.d.sync += channel.eq(Mux(both, ends[1], ends[0]))
            for h in range(2):
                with m.If(turn == h):
                    m.d.sync += [halves[h].at.eq(Mux(both, next_at, second_at)), halves[h].sub.eq(0)]
            with m.If(last):
                m.d.sync += [channel.eq(0), turn.eq(~turn), full.bit_select(turn, 1).eq(0)]
