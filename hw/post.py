"""Post-processing: drains finished accumulators through NFU-3 into pooling, the output and the margin controller."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.events import COUNTER_BITS
from hw.instructions import CLASS_BITS, LIMB_BITS
from hw.isa import MAP_BITS, Isa, Opcode, Pool
from hw.output import OutputWriter
from hw.params import RESULT_CELLS
from hw.pool import PoolSequencer, pool_control, pooled_layout
from hw.pool_row import OPEN_WINDOWS, PoolRow
from hw.signatures import cell_layout, instruction_layout, pair_layout, result_layout
from hw.toggles import registers

QUEUE = 4


class State(enum.Enum, shape=unsigned(2)):
    IDLE = 0
    START = 1
    DRAIN = 2


class PostProcess(Component):
    """Works through the computes in order, one step's result vector at a time.

    Members: push : In(1), config : In(Compute fields), ready : Out(1), the queue of computes (four deep).
    complete : In, accumulators that got their last sum in this cycle. drain_index, relu, limb, limb_top : Out, words :
    In(NFU-3 of that index). taken : Out(1), they are taken in this cycle; drained : Out(1), and that accumulator is
    free. neurons : Out, lanes in use in it: channels times pixels of its step.
    score : Out(1), its wide sums are scores, of score_neurons : Out classes from score_base : Out on. drain_index and
    these hold in the two cycles after, and until another compute begins.
    pool : Out(pool_control), pool_words : Out, pool_neurons : Out, lanes in use there, pool_readers : Out, lanes that
    read ahead, pooled : In(pooled_layout), the vertical pooling lanes. updates : Out, words taken into pooling windows
    in this cycle.
    write, target, at, mask, cell : Out, granted : In, the output port, see OutputWriter.
    written : Out, computes whose every word is in its buffer; clear : In(1), zero it.

    A paired compute's accumulator holds two rows, where it is not the last one of an odd number: it is taken twice,
    first the lower half of the groups, then the upper one, whose words go to the same result registers; only then is it
    free. Behind the result registers it is a compute with rows of one step.

    Timing: a compute is begun two cycles after its push, or after the end of the one before it; without pooling a
    pixel a cycle when the output keeps up, its first one collected the cycle after its drain; with pooling as
    PoolSequencer and PoolRow say. The last cell of a compute may still be written while the next begins; ``written``
    counts the cycle after the last cell's grant.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "push": In(1),
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "ready": Out(1),
                "complete": In(range(p.sum_banks + 1)),
                "drain_index": Out(range(p.accumulators)),
                "relu": Out(1),
                "limb": Out(LIMB_BITS),
                "limb_top": Out(1),
                "words": In(result_layout(p)),
                "taken": Out(1),
                "drained": Out(1),
                "score": Out(1),
                "score_base": Out(CLASS_BITS),
                "score_neurons": Out(range(p.neurons + 1)),
                "neurons": Out(range(p.neurons + 1)),
                "pool": Out(pool_control(p)),
                "pool_words": Out(result_layout(p)),
                "pool_neurons": Out(range(p.neurons + 1)),
                "pool_readers": Out(range(p.neurons + 1)),
                "pooled": In(pooled_layout(p)),
                "updates": Out(range((OPEN_WINDOWS + 2) * p.neurons + 1)),
                "write": Out(RESULT_CELLS),
                "target": Out(1),
                "at": Out(data.ArrayLayout(pair_layout(isa), RESULT_CELLS)),
                "mask": Out(RESULT_CELLS * p.cell_words),
                "cell": Out(data.ArrayLayout(cell_layout(p), RESULT_CELLS)),
                "granted": In(RESULT_CELLS),
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
        m.submodules.queue = queue = SyncFIFO(width=compute.size, depth=QUEUE)
        m.submodules.pooling = pooling = PoolSequencer(isa)
        m.submodules.row = row = PoolRow(isa)
        m.submodules.writer = writer = OutputWriter(isa)
        c = Signal(compute)
        state = Signal(State)
        straight = c.pool == Pool.NONE
        completed = Signal(range((QUEUE + 1) * p.accumulators + 1))  # sums that stay are completed again
        rows_left, cols_left = Signal(MAP_BITS), Signal(MAP_BITS)
        pixels, last = Signal(range(p.groups + 1)), Signal()
        upper, again, leaves = Signal(), Signal(), Signal()  # half of a paired accumulator; it is taken again; for good
        # the vector in the result registers; the one in the lanes of vertical pooling
        held_valid, held_pixels = Signal(), Signal(range(p.groups + 1))
        down_valid, down_pixels, clipped_y = Signal(), Signal(range(p.groups + 1)), Signal()
        take, held_done, end = Signal(), Signal(), Signal()
        m.d.comb += [
            queue.w_data.eq(self.config),
            queue.w_en.eq(self.push),
            self.ready.eq(queue.w_rdy),
            last.eq(cols_left <= c.groups),
            pixels.eq(Mux(last, cols_left, c.groups)),
            take.eq((state == State.DRAIN) & (completed != 0) & (rows_left != 0) & (~held_valid | held_done)),
            self.taken.eq(take),
            leaves.eq(take & ~again),
            self.drained.eq(leaves & ~c.hold),
            self.relu.eq(c.relu),
            self.limb.eq(c.limb),
            self.limb_top.eq(c.limb_top),
            self.neurons.eq(c.neurons * pixels),
            self.score.eq(take & c.scores),
            self.score_base.eq(c.score_base),
            self.score_neurons.eq(c.neurons),  # one pixel: no need to wait for their number
            self.updates.eq(Mux(pooling.updates, self.pool_neurons, 0) + row.updates),
        ]
        enables = [take & (n < self.neurons) for n in range(p.neurons)]
        held, count = registers(m, "result", p.activity, enables, self._results(c.neurons, upper), self.clear_toggles)
        if count is not None:
            m.d.comb += self.toggles.eq(count)

        m.d.sync += completed.eq(completed + self.complete - leaves)
        if p.pairs_rows:
            m.d.comb += again.eq(c.paired & ~upper & (rows_left != 1))
        with m.If(take):
            m.d.sync += upper.eq(again)
            m.d.sync += [
                held_valid.eq(1),
                held_pixels.eq(pixels),
                self.pool_neurons.eq(self.neurons),
                cols_left.eq(cols_left - c.groups),
            ]
            # Scores stay readable for the margin controller, whose compute has no other step: the compute after it is
            # begun three cycles later at the earliest, when the result registers are empty.
            with m.If(~(c.scores | again)):
                m.d.sync += self.drain_index.eq(Mux(self.drain_index == c.sum_last, c.sum_first, self.drain_index + 1))
            with m.If(last):
                m.d.sync += [cols_left.eq(c.cols), rows_left.eq(rows_left - 1)]
        with m.Elif(held_done):
            m.d.sync += held_valid.eq(0)

        m.d.comb += [
            pooling.config.eq(c),
            pooling.valid.eq(held_valid & ~straight),
            pooling.room.eq(~down_valid | row.ready),
            self.pool.eq(pooling.control),
            self.pool_readers.eq(pooling.readers),
            row.config.eq(c),
            row.valid.eq(Mux(straight, held_valid, down_valid)),
            row.pixels.eq(Mux(straight, held_pixels, down_pixels)),
            row.clipped_y.eq(clipped_y),
            held_done.eq(Mux(straight, row.ready, pooling.ready)),
            row.emit_ready.eq(writer.ready),
        ]
        for n in range(p.neurons):
            m.d.comb += [self.pool_words[n].eq(held[n]), row.words[n].eq(Mux(straight, held[n], self.pooled[n]))]
        with m.If(pooling.control.result):
            m.d.sync += [down_valid.eq(1), down_pixels.eq(held_pixels), clipped_y.eq(pooling.clipped)]
        with m.Elif(row.ready):
            m.d.sync += down_valid.eq(0)

        m.d.comb += [
            writer.config.eq(c),
            writer.valid.eq(row.emit),
            writer.vector.eq(row.vector),
            self.write.eq(writer.write),
            self.target.eq(writer.target),
            self.at.eq(writer.at),
            self.mask.eq(writer.mask),
            self.cell.eq(writer.cell),
            writer.granted.eq(self.granted),
        ]

        ending = Signal()  # the compute before has ended but for its last cells
        m.d.comb += end.eq(
            (state == State.DRAIN)
            & (rows_left == 0)
            & ~(held_valid | down_valid | row.emit | ending)
            & (writer.halves != 2)
        )
        with m.If(ending & writer.finished | end & ((writer.halves == 0) | writer.finished)):
            m.d.sync += [self.written.eq(self.written + 1), ending.eq(0)]
        with m.Elif(end):
            m.d.sync += ending.eq(1)
        with m.If(self.clear):
            m.d.sync += self.written.eq(0)

        m.d.comb += queue.r_en.eq((state == State.IDLE) | end)
        with m.If(queue.r_en):
            m.d.sync += state.eq(Mux(queue.r_rdy, State.START, State.IDLE))
            with m.If(queue.r_rdy):
                m.d.sync += c.eq(queue.r_data)
        with m.If(state == State.START):
            m.d.comb += [pooling.start.eq(1), row.start.eq(1), writer.start.eq(1)]
            m.d.sync += [rows_left.eq(Mux(c.finish, c.rows, 0)), cols_left.eq(c.cols), state.eq(State.DRAIN)]
            m.d.sync += self.drain_index.eq(c.sum_at)
        return m

    def _results(self, channels: Value, upper: Value) -> list[Value]:
        """Words for the result registers: those of the accumulator's lanes, or with ``upper`` (paired computes only)
        those of the upper half of the groups, which begin half as many lanes up as all groups have. A paired compute
        has few ``channels``, so a register chooses among few words."""
        p = self._isa.params
        half, most = p.groups // 2, p.neurons // p.groups
        found: list[Value] = []
        for n in range(p.neurons):
            word: Value = self.words[n]
            lifted = [k for k in range(1, most + 1) if n < half * k] if p.pairs_rows else []
            if lifted:
                above: Value = self.words[n + half * lifted[-1]]
                for k in lifted[:-1]:
                    above = Mux(channels == k, self.words[n + half * k], above)
                word = Mux(upper, above, word)
            found.append(word)
        return found
