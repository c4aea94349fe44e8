"""Arbiters: who may use a neuron buffer's single port, and who may use the DRAM port."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.buffers import NeuronBuffer
from hw.isa import Isa
from hw.signatures import dram_port, line_layout, pair_layout


class BufferPort(Component):
    """In front of one neuron buffer. Each requester has ``<name>`` : In(1) and ``<name>_granted`` : Out(1).

    Order: ``load`` (DMA writes a line), ``store`` (DMA reads a line), ``output`` (a result word), ``gather`` (compute).
    DMA may pass compute because a beat waits for nobody; it takes one cycle a line.
    Members besides: at_load, at_store, at_output : In(pair), lanes_load, lanes_store, lanes_gather : In(synapses),
    line, word : In, origin : In(pair) and row_<e> : In, the gather's. Combinational; drives ``buffer``.
    """

    def __init__(self, isa: Isa, buffer: NeuronBuffer) -> None:
        self._isa = isa
        self._buffer = buffer
        p = isa.params
        pair = pair_layout(isa)
        names = ("load", "store", "output", "gather")
        super().__init__(
            {
                **{name: In(1) for name in names},
                **{f"{name}_granted": Out(1) for name in names},
                "at_load": In(pair),
                "at_store": In(pair),
                "at_output": In(pair),
                "origin": In(pair),
                "lanes_load": In(p.synapses),
                "lanes_store": In(p.synapses),
                "lanes_gather": In(p.synapses),
                "line": In(line_layout(p)),
                "word": In(p.fmt.width),
                **{f"row_{e}": In(isa.row_bits) for e in range(p.synapses)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        b, n = self._buffer, self._isa.params.synapses
        m.d.comb += [
            self.load_granted.eq(self.load),
            self.store_granted.eq(self.store & ~self.load),
            self.output_granted.eq(self.output & ~self.load & ~self.store),
            self.gather_granted.eq(self.gather & ~self.load & ~self.store & ~self.output),
            b.write_line.eq(self.load_granted),
            b.read.eq(self.store_granted | self.gather_granted),
            b.write_word.eq(self.output_granted),
            b.word_at.eq(self.at_output),
            b.word.eq(self.word),
            b.line.eq(self.line),
        ]
        dma = self.load | self.store
        at = Signal(pair_layout(self._isa))
        m.d.comb += [
            at.eq(Mux(self.load, self.at_load, self.at_store)),
            b.lanes.eq(Mux(self.load, self.lanes_load, Mux(self.store, self.lanes_store, self.lanes_gather))),
            b.bank.eq(Mux(dma, at.bank, self.origin.bank)),
        ]
        for e in range(n):
            wraps = at.bank >= n - e if e else 0
            m.d.comb += getattr(b, f"row_{e}").eq(Mux(dma, at.row + wraps, getattr(self, f"row_{e}")))
        return m


class DramArbiter(Component):
    """Shares the DRAM port between instruction fetch (first) and DMA, and sends each answer to who asked.

    Members: port : Out(dram_port). fetch_valid, fetch_address : In, fetch_ready : Out, fetch_rsp : Out(1).
    dma_valid, dma_write, dma_address, dma_data, dma_mask : In, dma_ready : Out, dma_rsp : Out(1).
    empty : Out(1), no request waits for the DRAM. rsp_data goes to both by the port itself.
    Timing: requests pass a register, so one that waits for the DRAM does not change; one request per cycle.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "port": Out(dram_port(p)),
                "fetch_valid": In(1),
                "fetch_ready": Out(1),
                "fetch_address": In(isa.beat_bits),
                "fetch_rsp": Out(1),
                "dma_valid": In(1),
                "dma_ready": Out(1),
                "dma_write": In(1),
                "dma_address": In(isa.beat_bits),
                "dma_data": In(p.beat_bits),
                "dma_mask": In(p.lines_per_beat),
                "dma_rsp": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, port = self._isa.params, self.port
        m.submodules.askers = askers = SyncFIFO(width=1, depth=p.dram_outstanding)
        free, fetch, dma = Signal(), Signal(), Signal()
        m.d.comb += [
            free.eq(~port.req_valid | port.req_ready),
            fetch.eq(free & self.fetch_valid & askers.w_rdy),
            dma.eq(free & ~fetch & self.dma_valid & (self.dma_write | askers.w_rdy)),
            self.fetch_ready.eq(fetch),
            self.dma_ready.eq(dma),
            self.empty.eq(~port.req_valid),
            askers.w_en.eq(fetch | (dma & ~self.dma_write)),
            askers.w_data.eq(fetch),
            askers.r_en.eq(port.rsp_valid),
            self.fetch_rsp.eq(port.rsp_valid & askers.r_data),
            self.dma_rsp.eq(port.rsp_valid & ~askers.r_data),
        ]
        with m.If(free):
            m.d.sync += port.req_valid.eq(fetch | dma)
        with m.If(fetch | dma):
            m.d.sync += [
                port.req_write.eq(~fetch & self.dma_write),
                port.req_address.eq(Mux(fetch, self.fetch_address, self.dma_address)),
            ]
        with m.If(dma & self.dma_write):
            m.d.sync += [port.req_data.eq(self.dma_data), port.req_mask.eq(self.dma_mask)]
        return m
