"""Post-processing: drains finished accumulators through NFU-3 into pooling, the output and the margin controller."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import enum
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.events import COUNTER_BITS
from hw.instructions import CLASS_BITS
from hw.isa import MAP_BITS, Isa, Opcode
from hw.output import OutputWriter
from hw.pool import PoolSequencer, pool_control
from hw.signatures import instruction_layout, pair_layout, result_layout
from hw.toggles import registers


class State(enum.Enum, shape=unsigned(2)):
    IDLE = 0
    START = 1
    DRAIN = 2


class PostProcess(Component):
    """Works through the computes in order, one result vector at a time.

    Members: push : In(1), config : In(Compute fields), ready : Out(1), the queue of computes (two deep).
    complete : In(1), an accumulator got its last sum. drain_index : Out, relu : Out, words : In(NFU-3 of that index).
    drained : Out(1), that accumulator is free. score : Out(1), its wide sums are scores; score_neurons, score_base.
    pool : Out(pool_control), neurons : Out, pool_words : Out, pooled : In(results).
    write, at, word, target : Out, granted : In, the output port. written : Out, computes whose results are stored.
    updates : Out(1), a result per neuron goes into a pooling window. clear : In(1), zero ``written``.
    Timing: a vector per cycle without pooling when the output keeps up; an output word per cycle.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        compute = instruction_layout(isa, Opcode.COMPUTE)
        super().__init__(
            {
                "push": In(1),
                "config": In(compute),
                "ready": Out(1),
                "complete": In(1),
                "drain_index": Out(range(p.accumulators)),
                "relu": Out(1),
                "words": In(result_layout(p)),
                "drained": Out(1),
                "score": Out(1),
                "score_base": Out(CLASS_BITS),
                "neurons": Out(range(p.neurons + 1)),
                "pool": Out(pool_control(p)),
                "pool_words": Out(result_layout(p)),
                "pooled": In(result_layout(p)),
                "write": Out(1),
                "target": Out(1),
                "at": Out(pair_layout(isa)),
                "word": Out(p.fmt.width),
                "granted": In(1),
                "updates": Out(1),
                "written": Out(isa.fields[Opcode.COMPUTE][0].width),
                "clear": In(1),
                "clear_toggles": In(1),
                "toggles": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        compute = instruction_layout(isa, Opcode.COMPUTE)
        m.submodules.queue = queue = SyncFIFO(width=compute.size, depth=2)
        m.submodules.pooling = pooling = PoolSequencer(isa)
        m.submodules.writer = writer = OutputWriter(isa)
        c = Signal(compute)
        state = Signal(State)
        completed = Signal(range(p.accumulators + 1))
        pixels = Signal(2 * MAP_BITS)
        valid, take = Signal(), Signal()
        m.d.comb += [
            queue.w_data.eq(self.config),
            queue.w_en.eq(self.push),
            self.ready.eq(queue.w_rdy),
            take.eq((state == State.DRAIN) & (completed != 0) & (pixels != 0) & (~valid | pooling.ready)),
            self.drained.eq(take),
            self.relu.eq(c.relu),
            self.neurons.eq(c.neurons),
            self.score.eq(take & c.scores),
            self.score_base.eq(c.score_base),
            pooling.config.eq(c),
            pooling.valid.eq(valid),
            self.pool.eq(pooling.control),
            self.updates.eq(pooling.updates),
            writer.config.eq(c),
            writer.valid.eq(pooling.emit),
            pooling.emit_ready.eq(writer.ready),
            writer.vector.eq(self.pooled),
            self.write.eq(writer.write),
            self.target.eq(c.target),
            self.at.eq(writer.at),
            self.word.eq(writer.word),
            writer.granted.eq(self.granted),
        ]
        enables = [take & (n < c.neurons) for n in range(p.neurons)]
        held, count = registers(
            m, "result", p.activity, enables, [self.words[n] for n in range(p.neurons)], self.clear_toggles
        )
        m.d.comb += [self.pool_words[n].eq(held[n]) for n in range(p.neurons)]
        if count is not None:
            m.d.comb += self.toggles.eq(count)

        m.d.sync += completed.eq(completed + self.complete - take)
        with m.If(take):
            m.d.sync += [
                valid.eq(1),
                pixels.eq(pixels - 1),
                self.drain_index.eq(Mux(self.drain_index == p.accumulators - 1, 0, self.drain_index + 1)),
            ]
        with m.Elif(pooling.ready):
            m.d.sync += valid.eq(0)

        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.comb += queue.r_en.eq(1)
                with m.If(queue.r_rdy):
                    m.d.sync += [c.eq(queue.r_data), state.eq(State.START)]
            with m.Case(State.START):
                m.d.comb += [pooling.start.eq(1), writer.start.eq(1)]
                m.d.sync += [pixels.eq(Mux(c.finish, c.cols * c.rows, 0)), state.eq(State.DRAIN)]
            with m.Case(State.DRAIN):
                with m.If((pixels == 0) & ~valid & ~writer.busy):
                    m.d.sync += [state.eq(State.IDLE), self.written.eq(self.written + 1)]
        with m.If(self.clear):
            m.d.sync += self.written.eq(0)
        return m
