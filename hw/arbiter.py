"""Arbiters: who may use a neuron buffer's single port, and who may use the DRAM port."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.buffers import NeuronBuffer
from hw.isa import Isa
from hw.signatures import LOADED, RESULTS, beat_layout, cell_layout, dram_port, pair_layout, rotate, used_cells


class BufferPort(Component):
    """In front of one neuron buffer: requests that touch no bank in common are served in the same cycle.

    ``gather``, ``output``, ``second`` and ``store`` have ``<name>`` : In(1) and ``<name>_granted`` : Out(1). Each
    touches the banks of the cells in which its mask has a bit, and is granted when nothing before it in this order
    takes one of them: an urgent load, gather, output, second (only with output), load, store. A load takes each cell's
    bank for itself.
    Members besides:
    gather_banks : In(banks), gather_row_<b> : In, a row for each bank: the compute engine's read.
    <result>_at : In(pair), <result>_mask : In(cell_words), <result>_cell : In(cell): two cells of results, ``output``
    and ``second``.
    load : In(1), loads are for this buffer; urgent : In(1), before all others. Of two beats, ``late`` before ``load``:
    <beat>_at, <beat>_mask, <beat>_words : In, words to cells <beat>_at and on; <beat>_cells : In(beat_cells), cells
    that are to be written; <beat>_written : Out(beat_cells), those of them that are written in this cycle.
    store_at, store_mask : In, likewise; store_words : Out(beat): it reads; cells outside the mask are no one's words.
    hold : In(1), the words that gathers have read are still needed: no store is granted.
    Timing: grants are combinational; store_words are those of the grant in the cycle before. Drives ``buffer``.
    """

    def __init__(self, isa: Isa, buffer: NeuronBuffer) -> None:
        self._isa = isa
        self._buffer = buffer
        p = isa.params
        pair = pair_layout(isa)
        names = ("gather", "output", "second", "store")
        super().__init__(
            {
                **{name: In(1) for name in names},
                **{f"{name}_granted": Out(1) for name in names},
                "load": In(1),
                "urgent": In(1),
                "gather_banks": In(p.banks),
                **{f"gather_row_{b}": In(isa.row_bits) for b in range(p.banks)},
                **{f"{result}_at": In(pair) for result in RESULTS},
                **{f"{result}_mask": In(p.cell_words) for result in RESULTS},
                **{f"{result}_cell": In(cell_layout(p)) for result in RESULTS},
                **{f"{beat}_at": In(pair) for beat in LOADED},
                **{f"{beat}_mask": In(p.beat_words) for beat in LOADED},
                **{f"{beat}_words": In(beat_layout(p)) for beat in LOADED},
                **{f"{beat}_cells": In(p.beat_cells) for beat in LOADED},
                **{f"{beat}_written": Out(p.beat_cells) for beat in LOADED},
                "store_at": In(pair),
                "store_mask": In(p.beat_words),
                "store_words": Out(beat_layout(p)),
                "hold": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, buffer = self._isa.params, self._buffer
        late_cell, late_banks = self._beat_banks(m, "late", self.late_at.bank, self.late_cells)
        load_cell, load_banks = self._beat_banks(m, "load", self.load_at.bank, self.load_cells)
        store_cells = Signal(p.beat_cells)
        m.d.comb += store_cells.eq(used_cells(p, self.store_mask))
        _, store_banks = self._beat_banks(m, "store", self.store_at.bank, store_cells)
        output_banks, second_banks = (Signal(p.banks, name=f"{result}_banks") for result in RESULTS)
        for banks, at, mask in (
            (output_banks, self.output_at, self.output_mask),
            (second_banks, self.second_at, self.second_mask),
        ):
            with m.If(mask != 0):
                m.d.comb += banks.eq(1 << at.bank)

        # who is served, and the banks that each one takes
        wanted, first = Signal(p.banks), Signal(p.banks)
        names = ("gathered", "put", "put_second", "loaded", "stored")
        gathered, put, put_second, loaded, stored = (Signal(p.banks, name=name) for name in names)
        m.d.comb += [
            wanted.eq(Mux(self.load, late_banks | load_banks, 0)),
            first.eq(Mux(self.urgent, wanted, 0)),
            self.gather_granted.eq(self.gather & ~(self.gather_banks & first).any()),
            self.output_granted.eq(self.output & ~(output_banks & (first | gathered)).any()),
            self.second_granted.eq(
                self.second & self.output_granted & ~(second_banks & (first | gathered | output_banks)).any()
            ),
            self.store_granted.eq(
                self.store & ~self.hold & ~(store_banks & (gathered | put | put_second | loaded)).any()
            ),
            gathered.eq(Mux(self.gather_granted, self.gather_banks, 0)),
            put.eq(Mux(self.output_granted, output_banks, 0)),
            put_second.eq(Mux(self.second_granted, second_banks, 0)),
            loaded.eq(wanted & ~(gathered | put | put_second)),
            stored.eq(Mux(self.store_granted, store_banks, 0)),
            buffer.read.eq(gathered | stored),
        ]
        for beat, mine in (("late", loaded & late_banks), ("load", loaded & ~late_banks)):
            bank = getattr(self, f"{beat}_at").bank
            cells = Cat(*rotate([mine[b] for b in range(p.banks)], bank, left=True)[: p.beat_cells])
            m.d.comb += getattr(self, f"{beat}_written").eq(getattr(self, f"{beat}_cells") & cells)

        size = p.cell_words
        for b in range(p.banks):
            row, write, cell = (getattr(buffer, f"{name}_{b}") for name in ("row", "write", "cell"))
            m.d.comb += [row.eq(getattr(self, f"gather_row_{b}")), cell.eq(self.output_cell)]
            for beat, mine, at in (
                ("late", loaded[b] & late_banks[b], late_cell[b]),
                ("load", loaded[b] & ~late_banks[b], load_cell[b]),
            ):
                start, mask = getattr(self, f"{beat}_at"), getattr(self, f"{beat}_mask")
                words = getattr(self, f"{beat}_words").as_value()
                with m.If(mine):
                    m.d.comb += [
                        row.eq(start.row + (b < start.bank)),
                        write.eq(Array(mask.word_select(i, size) for i in range(p.beat_cells))[at]),
                        cell.eq(Array(words.word_select(i, size * p.fmt.width) for i in range(p.beat_cells))[at]),
                    ]
            with m.If(put[b]):
                m.d.comb += [row.eq(self.output_at.row), write.eq(self.output_mask)]
            with m.If(put_second[b]):
                m.d.comb += [row.eq(self.second_at.row), write.eq(self.second_mask), cell.eq(self.second_cell)]
            with m.If(stored[b]):
                m.d.comb += row.eq(self.store_at.row + (b < self.store_at.bank))

        turned = Signal(self._isa.bank_bits)  # the first bank of the store whose words are out
        with m.If(self.store_granted):
            m.d.sync += turned.eq(self.store_at.bank)
        data = [buffer.data.as_value().word_select(b, size * p.fmt.width) for b in range(p.banks)]
        m.d.comb += self.store_words.eq(Cat(*rotate(data, turned, left=True)[: p.beat_cells]))
        return m

    def _beat_banks(self, m: Module, name: str, bank: Value, used: Value) -> tuple[list[Value], Value]:
        """The cell of the beat that each bank would serve, and the banks of its ``used`` cells, from ``bank`` on."""
        p = self._isa.params
        cells, touched = [], []
        for b in range(p.banks):
            cell = Signal(range(p.banks), name=f"{name}_cell_{b}")
            m.d.comb += cell.eq(Mux(bank > b, p.banks + b - bank, b - bank))
            cells.append(cell)
            touched.append(used.bit_select(cell, 1))  # 0 beyond the beat
        banks = Signal(p.banks, name=f"{name}_banks")
        m.d.comb += banks.eq(Cat(*touched))
        return cells, banks


class DramArbiter(Component):
    """Shares the DRAM port between instruction fetch and DMA, and sends each answer to who asked.

    Members: port : Out(dram_port). fetch_valid, fetch_address : In, fetch_ready : Out, fetch_rsp : Out(1).
    fetch_yields : In(1), DMA goes first, else fetch does.
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
                "fetch_yields": In(1),
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
            fetch.eq(free & self.fetch_valid & askers.w_rdy & ~(self.fetch_yields & self.dma_valid)),
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
