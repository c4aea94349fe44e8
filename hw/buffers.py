"""On-chip buffers over ``lib.memory``: NBin and NBout (neurons), SB (synapses). One access per bank and cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import Isa
from hw.signatures import line_layout, pair_layout, rotate


class NeuronBuffer(Component):
    """NBin or NBout: ``synapses`` banks, one word wide, ``rows`` deep, each single-ported.

    Lane e of an access that starts at bank b touches bank (b + e) % synapses, so the lanes of an access never meet.

    Members, one access a cycle (the arbiter in front sees to it):
    read : In(1), lanes : In(synapses), bank : In, row_<e> : In, lane e reads row_<e>; data : Out(line), by lane.
    write_line : In(1), lanes, bank, row_<e> likewise, line : In(line).
    write_word : In(1), word_at : In(pair), word : In.
    Timing: read latency 1; data holds until the next read. A bank outside the access keeps its word and its output.
    """

    latency = 1

    def __init__(self, isa: Isa, rows: int) -> None:
        self._isa = isa
        self._rows = rows
        p = isa.params
        super().__init__(
            {
                "read": In(1),
                "write_line": In(1),
                "write_word": In(1),
                "lanes": In(p.synapses),
                "bank": In(isa.bank_bits),
                "line": In(line_layout(p)),
                "word_at": In(pair_layout(isa)),
                "word": In(p.fmt.width),
                "data": Out(line_layout(p)),
                **{f"row_{e}": In(isa.row_bits) for e in range(p.synapses)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, n = self._isa, self._isa.params.synapses
        lane_rows = [getattr(self, f"row_{e}") for e in range(n)]
        rows = rotate(lane_rows, self.bank, left=False)
        lanes = rotate([self.lanes[e] for e in range(n)], self.bank, left=False)
        words = rotate([self.line[e] for e in range(n)], self.bank, left=False)
        turned = Signal(isa.bank_bits)  # the bank of the read whose data is out
        with m.If(self.read):
            m.d.sync += turned.eq(self.bank)
        banks = []
        for b in range(n):
            memory = Memory(shape=isa.params.fmt.width, depth=self._rows, init=[])
            m.submodules[f"bank_{b}"] = memory
            read, write = memory.read_port(), memory.write_port()
            here = Signal(name=f"word_here_{b}")
            m.d.comb += [
                here.eq(self.write_word & (self.word_at.bank == b)),
                read.addr.eq(rows[b]),
                read.en.eq(self.read & lanes[b]),
                write.addr.eq(Mux(self.write_word, self.word_at.row, rows[b])),
                write.data.eq(Mux(self.write_word, self.word, words[b])),
                write.en.eq(here | (self.write_line & lanes[b])),
            ]
            banks.append(read.data)
        m.d.comb += self.data.eq(Cat(*rotate(banks, turned, left=True)))
        return m


class SynapseBank(Component):
    """One neuron's bank of SB: ``sb_rows`` lines of ``synapses`` words, a single-ported memory per word.

    Members: read, write : In(1), never both in a cycle. row : In. lanes : In(synapses), words that are touched.
    line : In(line), what is written. data : Out(line).
    Timing: read latency 1; data holds until the next read, so a weight line stays as long as pixels pass it.
    """

    latency = 1

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "read": In(1),
                "write": In(1),
                "row": In(isa.sb_row_bits),
                "lanes": In(p.synapses),
                "line": In(line_layout(p)),
                "data": Out(line_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._isa.params
        for i in range(p.synapses):
            memory = Memory(shape=p.fmt.width, depth=p.sb_rows, init=[])
            m.submodules[f"lane_{i}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(self.row),
                read.en.eq(self.read & self.lanes[i]),
                write.addr.eq(self.row),
                write.data.eq(self.line[i]),
                write.en.eq(self.write & self.lanes[i]),
                self.data[i].eq(read.data),
            ]
        return m
