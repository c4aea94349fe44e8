"""Collects result pixels into cells and writes them into a neuron buffer, a cell of one channel at a time."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, Isa, Opcode
from hw.params import bits_for
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
    write : Out(1), target, at : Out(pair), mask : Out(cell_words), cell : Out(cell), an offer to the buffer of
    ``target``; granted : In(1), it is taken in this cycle.
    halves : Out(range(3)), full ones. finished : Out(1), the last cell of a full half is taken in this cycle.
    A half is full when its cell is, or the row of ``to_cols`` pixels ends. Its channels are written in order, a cell
    each; with ``vector`` as many channels as a cell has places.
    Timing: a pixel a cycle; the write follows from the cycle after a half got full, a cell a granted cycle, no gap
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
                "write": Out(1),
                "target": Out(1),
                "at": Out(pair_layout(isa)),
                "mask": Out(p.cell_words),
                "cell": Out(cell_layout(p)),
                "granted": In(1),
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
                            halves[h].to_n.row.eq(c.to_n_row),
                            halves[h].to_n.bank.eq(c.to_n_bank),
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
        last, following = Signal(), Signal(range(p.neurons + p.cell_words + 1))
        inside = Signal(p.cell_words)  # places of a vector's cell that hold a channel
        m.d.comb += [
            half.eq(Mux(turn, halves[1].as_value(), halves[0].as_value())),
            following.eq(channel + Mux(half.vector, p.cell_words - half.sub, 1)),
            last.eq(following >= half.neurons),
            *(inside[s].eq((s >= half.sub) & (channel + s < half.neurons + half.sub)) for s in range(p.cell_words)),
            self.write.eq(full.bit_select(turn, 1)),
            self.target.eq(half.target),
            self.at.eq(half.at),
            self.mask.eq(Mux(half.vector, inside, half.mask)),
            self.finished.eq(self.write & self.granted & last),
        ]
        selected = [Signal(signed(p.fmt.width), name=f"selected_{s}") for s in range(p.cell_words)]
        for s, word in enumerate(selected):
            port = self.words[s].read_port(domain="comb")
            index = Signal(bits_for(p.neurons), name=f"index_{s}")
            m.d.comb += [
                port.addr.eq(turn),
                index.eq(channel + Mux(half.vector, s - half.sub, 0)),
                word.eq(Array(port.data[n] for n in range(p.neurons))[index]),
                self.cell[s].eq(word),
            ]
        next_at = pairs.add(half.at, Mux(half.vector, 0, half.to_n.row), Mux(half.vector, 1, half.to_n.bank))
        with m.If(self.write & self.granted):
            m.d.sync += channel.eq(following)
            for h in range(2):
                with m.If(turn == h):
                    m.d.sync += [halves[h].at.eq(next_at), halves[h].sub.eq(0)]
            with m.If(last):
                m.d.sync += [channel.eq(0), turn.eq(~turn), full.bit_select(turn, 1).eq(0)]
