"""On-chip buffers over ``lib.memory``: NBin and NBout (neurons), SB (synapses). One access per bank and cycle."""

from amaranth.hdl import Cat, Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import Isa
from hw.signatures import cell_layout, line_layout, row_layout


class NeuronBuffer(Component):
    """NBin or NBout: ``banks`` single-ported memories, a cell of ``cell_words`` words wide, ``rows`` deep.

    Members: read : In(banks), banks that are read. write_<b> : In(cell_words), words of bank b that are written;
    a bank has one access a cycle (the arbiter in front sees to it). row_<b> : In, cell_<b> : In(cell).
    data : Out(row), word ``bank * cell_words + sub``.
    Timing: read latency 1; a bank's words hold until its own next read, a write does not change them.
    """

    latency = 1

    def __init__(self, isa: Isa, rows: int) -> None:
        self._isa = isa
        self._rows = rows
        p = isa.params
        banks = range(p.banks)
        super().__init__(
            {
                "read": In(p.banks),
                "data": Out(row_layout(p)),
                **{f"write_{b}": In(p.cell_words) for b in banks},
                **{f"row_{b}": In(isa.row_bits) for b in banks},
                **{f"cell_{b}": In(cell_layout(p)) for b in banks},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._isa.params
        words = []
        for b in range(p.banks):
            memory = Memory(shape=cell_layout(p), depth=self._rows, init=[])
            m.submodules[f"bank_{b}"] = memory
            read, write = memory.read_port(), memory.write_port(granularity=1)
            row = getattr(self, f"row_{b}")
            m.d.comb += [
                read.addr.eq(row),
                read.en.eq(self.read[b]),
                write.addr.eq(row),
                write.data.eq(getattr(self, f"cell_{b}")),
                write.en.eq(getattr(self, f"write_{b}")),
            ]
            words.append(read.data.as_value())
        m.d.comb += self.data.eq(Cat(*words))
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
