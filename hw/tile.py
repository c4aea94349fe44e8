"""The tile: all blocks and their wiring, no logic of its own but queues and event wiring."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.arbiter import BufferPort, DramArbiter
from hw.budget import BudgetController
from hw.buffers import NeuronBuffer
from hw.compute import ComputeEngine, Cycle
from hw.control import Control
from hw.counters import Counters
from hw.dma import Dma
from hw.events import COUNTER_BITS, DELAY_BITS, ENERGY_BITS, METERED, MONITORED, event_names
from hw.fetch import Fetch
from hw.host import host_port
from hw.instructions import CLASS_BITS, INCREMENT_BITS
from hw.isa import OPCODE_BITS, Opcode, isa
from hw.margin import MarginController
from hw.meter import EnergyMeter
from hw.monitor import MODULE as MONITOR
from hw.neuron import NEURON_TOGGLES
from hw.nfu_array import NfuArray
from hw.params import RESULT_CELLS, TileParams
from hw.post import PostProcess
from hw.signatures import LOADED, RESULTS, dram_port, instruction_layout, popcount

# Instructions that wait at the engines. They are dispatched in order: a transfer that waits for room in a buffer must
# not keep computes behind it from their engine.
TRANSFER_QUEUE = 16
COMPUTE_QUEUE = 8


class Tile(Component):
    """Members: dram : Out(dram_port). host : In(host_port), registers of hw.host.
    start : In(1), program_address, image_address, result_address : In, beats, held while busy. busy, done : Out(1).
    increment_edge : Out(1), an increment has ended; stopped : Out, which; after done: where the run stopped.
    winner, margin : Out, of the last decision. out__valid, out__mask, out__data : cells of results as they are
    written to a buffer, up to two in a cycle, and which of their words.
    snapshot_index : In, snapshot : Out, counters at the edge of that increment (absent without counters).
    With budget: image_energy, image_cycles : Out, of the last image, in units of the weights and in cycles;
    impossible : Out(1), the smallest increment is above a budget; capacity : Out, the largest increment allowed;
    settled : Out(1), all four stand; an image starts only then.
    fault : Out(1), an unknown instruction.
    """

    def __init__(self, params: TileParams) -> None:
        self.params = params
        self.isa = isa(params)
        members: dict[str, Any] = {
            "dram": Out(dram_port(params)),
            "host": In(host_port()),
            "start": In(1),
            "program_address": In(self.isa.beat_bits),
            "image_address": In(self.isa.beat_bits),
            "result_address": In(self.isa.beat_bits),
            "busy": Out(1),
            "done": Out(1),
            "increment_edge": Out(1),
            "stopped": Out(INCREMENT_BITS),
            "winner": Out(CLASS_BITS),
            "margin": Out(64),
            "out__valid": Out(1),
            "out__mask": Out(RESULT_CELLS * params.cell_words),
            "out__data": Out(RESULT_CELLS * params.cell_words * params.fmt.width),
            "fault": Out(1),
        }
        if params.counters:
            members["snapshot_index"] = In(INCREMENT_BITS)
            members["snapshot"] = Out(COUNTER_BITS * len(event_names(params.activity)))
        if params.budget:
            members |= {"image_energy": Out(ENERGY_BITS), "image_cycles": Out(DELAY_BITS)}
            members |= {"capacity": Out(INCREMENT_BITS), "impossible": Out(1), "settled": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i, p = self.isa, self.params
        m.submodules.control = control = Control(i)
        m.submodules.fetch = fetch = Fetch(i)
        m.submodules.arbiter = arbiter = DramArbiter(i)
        m.submodules.dma = dma = Dma(i)
        m.submodules.engine = engine = ComputeEngine(i)
        m.submodules.nfu = nfu = NfuArray(i)
        m.submodules.post = post = PostProcess(i)
        m.submodules.margin = margin = MarginController(p)
        buffers = [NeuronBuffer(i, rows) for rows in p.buffer_rows]
        ports = [BufferPort(i, buffer) for buffer in buffers]
        m.submodules.nbin, m.submodules.nbout = buffers
        m.submodules.nbin_port, m.submodules.nbout_port = ports

        connect(m, flipped(self.dram), arbiter.port)
        connect(m, flipped(self.host), control.host)
        self._control(m, control, fetch, arbiter, dma, margin)
        transfers, computes = self._queues(m, control, dma, engine)
        self._dram(m, fetch, arbiter, dma, engine)
        self._compute(m, engine, nfu, post, dma)
        self._buffers(m, ports, buffers, engine, nfu, post, dma)
        self._margin(m, control, margin, post, nfu)

        sent_transfers, sent_computes = Signal.like(dma.dma_done), Signal.like(post.written)
        with m.If(transfers.w_en & transfers.w_rdy):
            m.d.sync += sent_transfers.eq(sent_transfers + 1)
        with m.If(computes.w_en & computes.w_rdy & ~control.compute_is_window):
            m.d.sync += sent_computes.eq(sent_computes + 1)
        with m.If(control.clear_sync):
            m.d.sync += [sent_transfers.eq(0), sent_computes.eq(0)]
        m.d.comb += control.still.eq(
            (dma.dma_done == sent_transfers) & (post.written == sent_computes) & ~computes.r_rdy & arbiter.empty
        )
        amounts = self._amounts(control, engine, nfu, post, dma, ports, arbiter) if p.counters or p.budget else {}
        if p.counters:
            self._counters(m, control, engine, nfu, post, amounts)
        if p.budget:
            self._budget(m, control, amounts)
        return m

    def _control(self, m: Module, control: Any, fetch: Any, arbiter: Any, dma: Any, margin: Any) -> None:
        m.d.comb += [
            control.start.eq(self.start),
            control.program.eq(self.program_address),
            self.busy.eq(control.busy),
            self.done.eq(control.done),
            self.increment_edge.eq(control.increment_edge),
            self.stopped.eq(control.stopped),
            self.fault.eq(control.fault),
            fetch.start.eq(control.fetch_start),
            fetch.extend.eq(control.fetch_extend),
            fetch.address.eq(control.fetch_address),
            fetch.length.eq(control.fetch_length),
            control.fetch_valid.eq(fetch.valid),
            control.instruction.eq(fetch.instruction),
            control.fetch_done.eq(fetch.done),
            fetch.ready.eq(control.fetch_ready),
            margin.clear.eq(control.clear_sync),
            dma.clear.eq(control.clear_sync),
            dma.requester.image.eq(self.image_address),
            dma.requester.result.eq(self.result_address),
        ]

    def _queues(self, m: Module, control: Any, dma: Any, engine: Any) -> tuple[SyncFIFO, SyncFIFO]:
        i = self.isa
        window, compute = instruction_layout(i, Opcode.WINDOW), instruction_layout(i, Opcode.COMPUTE)
        width = max(window.size, compute.size)
        m.submodules.transfers = transfers = SyncFIFO(width=len(control.transfer.as_value()), depth=TRANSFER_QUEUE)
        m.submodules.computes = computes = SyncFIFO(width=1 + width, depth=COMPUTE_QUEUE)
        body = control.instruction[OPCODE_BITS:]
        m.d.comb += [
            transfers.w_data.eq(control.transfer),
            transfers.w_en.eq(control.transfer_valid),
            control.transfer_ready.eq(transfers.w_rdy),
            dma.head.eq(transfers.r_data),
            dma.head_valid.eq(transfers.r_rdy),
            transfers.r_en.eq(dma.head_ready),
            computes.w_data[0].eq(control.compute_is_window),
            computes.w_data[1:].eq(body),
            computes.w_en.eq(control.compute_valid),
            control.compute_ready.eq(computes.w_rdy),
            engine.head_valid.eq(computes.r_rdy),
            engine.head_is_window.eq(computes.r_data[0]),
            engine.head_window.eq(computes.r_data[1 : 1 + window.size]),
            engine.head_compute.eq(computes.r_data[1 : 1 + compute.size]),
            computes.r_en.eq(engine.head_ready),
            engine.clear.eq(control.clear_sync),
        ]
        return transfers, computes

    def _dram(self, m: Module, fetch: Any, arbiter: Any, dma: Any, engine: Any) -> None:
        r = dma.requester
        m.d.comb += [
            arbiter.fetch_valid.eq(fetch.req_valid),
            arbiter.fetch_address.eq(fetch.req_address),
            fetch.req_ready.eq(arbiter.fetch_ready),
            arbiter.fetch_yields.eq(fetch.yields),
            fetch.working.eq(engine.post_push),
            fetch.rsp_valid.eq(arbiter.fetch_rsp),
            fetch.rsp.eq(self.dram.rsp_data),
            arbiter.dma_valid.eq(r.req_valid),
            arbiter.dma_write.eq(r.req_write),
            arbiter.dma_address.eq(r.req_address),
            arbiter.dma_data.eq(r.req_data),
            arbiter.dma_mask.eq(r.req_mask),
            r.req_ready.eq(arbiter.dma_ready),
            dma.rsp_valid.eq(arbiter.dma_rsp),
            dma.rsp.eq(self.dram.rsp_data),
        ]

    def _compute(self, m: Module, engine: Any, nfu: Any, post: Any, dma: Any) -> None:
        c = dma.consumer
        m.d.comb += [
            engine.dma_done.eq(dma.dma_done),
            engine.crowded.eq(dma.crowded),
            engine.written.eq(post.written),
            dma.read_done.eq(engine.read_done),
            dma.written.eq(post.written),
            engine.post_ready.eq(post.ready),
            post.push.eq(engine.post_push),
            post.config.eq(engine.head_compute),
            post.clear.eq(engine.clear),
            engine.drained.eq(post.drained),
            engine.drain_index.eq(post.drain_index),
            nfu.issue.eq(engine.issue),
            nfu.step.eq(engine.step),
            nfu.fetch.eq(engine.fetch),
            nfu.sb_write.eq(c.sb_write),
            nfu.sb_row.eq(c.sb_row),
            nfu.sb_lanes.eq(c.sb_lanes),
            nfu.sb_lines.eq(c.sb_lines),
            nfu.sb_pick.eq(c.sb_pick),
            c.sb_granted.eq(nfu.sb_granted),
            post.complete.eq(nfu.complete),
            nfu.drain_index.eq(post.drain_index),
            nfu.relu.eq(post.relu),
            nfu.limb.eq(post.limb),
            nfu.limb_top.eq(post.limb_top),
            post.words.eq(nfu.words),
            nfu.pool.eq(post.pool),
            nfu.neurons.eq(post.pool_neurons),
            nfu.readers.eq(post.pool_readers),
            nfu.pool_words.eq(post.pool_words),
            post.pooled.eq(nfu.pooled),
            self.out__valid.eq(post.granted[0]),
            self.out__mask.eq(post.mask & Cat(granted.replicate(self.params.cell_words) for granted in post.granted)),
            self.out__data.eq(post.cell),
        ]

    def _buffers(
        self, m: Module, ports: list[Any], buffers: list[Any], engine: Any, nfu: Any, post: Any, dma: Any
    ) -> None:
        r, c = dma.requester, dma.consumer
        source = Signal()
        m.d.sync += source.eq(engine.source)
        for b, port in enumerate(ports):
            m.d.comb += [
                port.load.eq(c.load_target == b),
                port.urgent.eq(c.urgent),
                port.store.eq(r.store_read & (r.store_source == b)),
                port.gather.eq(engine.read & (engine.source == b)),
                port.hold.eq(engine.hold & (engine.source == b)),
                *(
                    getattr(port, f"{beat}_{name}").eq(getattr(c, f"{beat}_{name}"))
                    for beat in LOADED
                    for name in ("at", "mask", "words", "cells")
                ),
                port.store_at.eq(r.store_at),
                port.store_mask.eq(r.store_mask),
                port.gather_banks.eq(engine.banks),
                *(getattr(port, f"gather_row_{k}").eq(getattr(engine, f"row_{k}")) for k in range(self.params.banks)),
            ]
            for k, result in enumerate(RESULTS):
                m.d.comb += [
                    getattr(port, result).eq(post.write[k] & (post.target == b)),
                    getattr(port, f"{result}_at").eq(post.at[k]),
                    getattr(port, f"{result}_mask").eq(post.mask.word_select(k, self.params.cell_words)),
                    getattr(port, f"{result}_cell").eq(post.cell[k]),
                ]
        stored_from = Signal()
        m.d.sync += stored_from.eq(r.store_source)

        def granted(name: str, select: Value) -> Value:
            return Mux(select, getattr(ports[1], f"{name}_granted"), getattr(ports[0], f"{name}_granted"))

        m.d.comb += [
            c.load_written.eq(Mux(c.load_target, ports[1].load_written, ports[0].load_written)),
            c.late_written.eq(Mux(c.load_target, ports[1].late_written, ports[0].late_written)),
            r.store_granted.eq(granted("store", r.store_source)),
            post.granted.eq(Cat(granted(result, post.target) for result in RESULTS)),
            engine.port_free.eq(granted("gather", engine.source)),
            nfu.line.eq(Mux(source, buffers[1].data.as_value(), buffers[0].data.as_value())),
            r.store_words.eq(Mux(stored_from, ports[1].store_words.as_value(), ports[0].store_words.as_value())),
        ]

    def _margin(self, m: Module, control: Any, margin: Any, post: Any, nfu: Any) -> None:
        m.d.comb += [
            margin.valid.eq(post.score),
            margin.scores.eq(nfu.wide),
            margin.neurons.eq(post.score_neurons),
            margin.base.eq(post.score_base),
            margin.softmax.eq(control.softmax),
            margin.threshold.eq(control.threshold),
            margin.decide.eq(control.decide),
            control.decided.eq(margin.ready),
            control.below.eq(margin.below),
            self.winner.eq(margin.winner),
            self.margin.eq(margin.margin),
        ]

    def _amounts(
        self, control: Any, engine: Any, nfu: Any, post: Any, dma: Any, ports: list[Any], arbiter: Any
    ) -> dict[str, Value]:
        """How much of every event of WORK, and of cycles, there is in a cycle."""
        p, r, c = self.params, dma.requester, dma.consumer
        request = arbiter.port.req_valid & arbiter.port.req_ready

        def reads(b: int) -> Value:
            cells = Mux(ports[b].gather & ports[b].gather_granted, popcount(engine.banks), 0)
            return cells * p.cell_words + Mux(ports[b].store_granted, popcount(r.store_mask), 0)

        def writes(b: int) -> Value:
            taken = c.load_taken & (c.load_target == b)  # a beat's words count once, when it is done with
            loaded = Mux(taken, popcount(c.load_mask), 0)
            return loaded + Mux(post.target == b, popcount(self.out__mask), 0)

        return {
            "instructions": control.executed,
            "compute_cycles": engine.issue,
            "multiply": nfu.products,
            "lane_gated": nfu.gated,
            "accumulate": nfu.accumulates,
            "activation": Mux(post.taken, post.neurons, 0),
            "pool_update": post.updates,
            "sb_read": nfu.sb_reads,
            "sb_write": Mux(nfu.sb_granted, popcount(c.sb_write) * popcount(c.sb_lanes), 0),
            "nbin_read": reads(0),
            "nbin_write": writes(0),
            "nbout_read": reads(1),
            "nbout_write": writes(1),
            "output": popcount(self.out__mask),
            "dram_read": request & ~arbiter.port.req_write,
            "dram_write": request & arbiter.port.req_write,
            "score_vector": post.score,
            "decision": control.decision,
            "cycles": control.busy,
        }

    def _counters(self, m: Module, control: Any, engine: Any, nfu: Any, post: Any, work: Mapping[str, Value]) -> None:
        p, amounts = self.params, dict(work)
        kinds = {name.lower(): kind for name, kind in Cycle.__members__.items()}
        toggles: dict[str, Value] = {"toggle_operand": nfu.operand_toggles, "toggle_output": post.toggles}
        toggles |= {name: nfu.neuron_toggles[k] for k, name in enumerate(NEURON_TOGGLES)}
        if p.activity:
            counts = {name: Signal(COUNTER_BITS, name=name) for name in MONITORED}
            toggles |= counts
            connected: dict[str, Value] = {f"o_{name}": count for name, count in counts.items()}
            connected |= {"i_clk": ClockSignal(), "i_rst": ResetSignal(), "i_clear": control.clear_counters}
            m.submodules.monitor = Instance(MONITOR, **connected)
        for name in event_names(p.activity):
            if name in kinds:
                amounts[name] = control.busy & (engine.cycle == kinds[name])
            elif name in toggles:
                amounts[name] = toggles[name]
        amounts = {name: Value.cast(amounts[name]) for name in event_names(p.activity)}
        m.submodules.counters = counters = Counters(p, {name: len(amount) for name, amount in amounts.items()})
        m.d.comb += [getattr(counters, name).eq(amount) for name, amount in amounts.items()]
        m.d.comb += [
            counters.clear.eq(control.clear_counters),
            counters.edge.eq(control.increment_edge),
            counters.increment.eq(control.stopped),
            counters.index.eq(self.snapshot_index),
            self.snapshot.eq(counters.snapshot),
            nfu.clear.eq(control.clear_counters),
            post.clear_toggles.eq(control.clear_counters),
        ]

    def _budget(self, m: Module, control: Any, work: Mapping[str, Value]) -> None:
        # the counters' snapshot leaves out the image's last cycle, and so does the meter
        amounts = {name: Value.cast(work[name]) for name in METERED} | {"cycles": control.busy & ~control.done}
        m.submodules.meter = meter = EnergyMeter({name: len(amount) for name, amount in amounts.items()})
        m.submodules.budget = budget = BudgetController(self.params)
        m.d.comb += [getattr(meter, name).eq(amount) for name, amount in amounts.items()]
        m.d.comb += [
            *(
                getattr(port, name).eq(getattr(self.host, name))
                for port in (meter.host, budget.host)
                for name in ("write", "address", "data")
            ),
            meter.busy.eq(control.busy),
            meter.clear.eq(control.clear_counters),
            meter.done.eq(control.done),
            budget.measured.eq(meter.measured),
            budget.energy.eq(meter.energy),
            budget.cycles.eq(meter.image_cycles),
            budget.stopped.eq(control.stopped),
            control.allowed.eq(budget.allowed),
            control.settled.eq(meter.rest & budget.settled),
            self.image_energy.eq(meter.energy),
            self.image_cycles.eq(meter.image_cycles),
            self.capacity.eq(control.capacity),
            self.impossible.eq(budget.impossible),
            self.settled.eq(control.settled & ~control.busy),
        ]
