"""The compute engine: takes windows and computes in order and issues one line of one pixel per cycle.

Issue is stage 0 of the pipeline; a ``Step`` travels behind it: stage 1 reads SB while the neuron buffer's words arrive,
2 multiplies, 3 adds, 4 accumulates. Nothing stalls behind issue.
"""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from hw.instructions import LINES_BITS
from hw.isa import MAP_BITS, Isa, Opcode
from hw.params import bits_for
from hw.signatures import PairAdder, below, instruction_layout, pair_layout
from hw.window import WindowLanes


def step_layout(isa: Isa) -> data.StructLayout:
    """What travels down the pipeline with an issued line."""
    p = isa.params
    return data.StructLayout(
        {
            "lanes": p.synapses,
            "active": p.neurons,
            "neurons": bits_for(p.neurons + 1),
            "index": bits_for(p.accumulators),
            "first": 1,
            "complete": 1,
        }
    )


def fetch_layout(isa: Isa) -> data.StructLayout:
    """What stage 1 reads from SB."""
    p = isa.params
    return data.StructLayout(
        {"weights": 1, "bias": 1, "row": isa.sb_row_bits, "bank": isa.neuron_bits, "lanes": p.synapses}
    )


class State(enum.Enum, shape=unsigned(2)):
    TAKE = 0
    BIAS = 1
    RUN = 2


class Cycle(enum.Enum, shape=unsigned(3)):
    """What the engine does in a cycle; hw.events.CYCLE_KINDS in this order, IDLE last."""

    COMPUTE = 0
    SETUP = 1
    STALL_DATA = 2
    STALL_ORDER = 3
    STALL_PORT = 4
    STALL_ACCUMULATOR = 5
    IDLE = 6


class ComputeEngine(Component):
    """Members: head_valid, head_is_window, head_window, head_compute : In; head_ready : Out, the compute queue.
    dma_done, read_done, written : the sync counters; read_done is driven here.
    post_ready : In(1), post-processing can take another Compute; post_push : Out(1), it shall take head_compute.
    read, source, origin, row_<e>, lanes : Out, the gather from a neuron buffer; port_free : In(1), it may happen.
    fetch : Out(fetch_layout) at stage 0, valid with ``issue`` (weights) or alone (bias).
    issue : Out(1), step : Out(step_layout). drained : In(1), one accumulator is free again.
    cycle : Out(Cycle).

    Timing: one cycle to take a window or a compute, one for a bias line, then one line of one pixel per cycle.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        sync = isa.fields[Opcode.COMPUTE][0].width
        super().__init__(
            {
                "head_valid": In(1),
                "head_is_window": In(1),
                "head_window": In(instruction_layout(isa, Opcode.WINDOW)),
                "head_compute": In(instruction_layout(isa, Opcode.COMPUTE)),
                "head_ready": Out(1),
                "clear": In(1),
                "dma_done": In(sync),
                "read_done": Out(sync),
                "written": In(sync),
                "post_ready": In(1),
                "post_push": Out(1),
                "read": Out(1),
                "source": Out(1),
                "origin": Out(pair_layout(isa)),
                "lanes": Out(p.synapses),
                "port_free": In(1),
                "fetch": Out(fetch_layout(isa)),
                "issue": Out(1),
                "step": Out(step_layout(isa)),
                "drained": In(1),
                "cycle": Out(Cycle),
                **{f"row_{e}": Out(isa.row_bits) for e in range(p.synapses)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        m.submodules.window = window = WindowLanes(isa)
        pairs = PairAdder(m, isa)
        c = Signal(instruction_layout(isa, Opcode.COMPUTE))
        state = Signal(State)

        # where the tile starts, and the current pixel: position, buffer word, the word its row starts with
        cursor = data.StructLayout(
            {
                "x": signed(MAP_BITS),
                "y": signed(MAP_BITS),
                "col": MAP_BITS,
                "at": pair_layout(isa),
                "row_at": pair_layout(isa),
                "left": 2 * MAP_BITS,
            }
        )
        now, tile_start, following = Signal(cursor), Signal(cursor), Signal(cursor)
        line, sb_row = Signal(LINES_BITS), Signal(isa.sb_row_bits)
        pixel = Signal(range(p.accumulators))
        tile_pixels = Signal(range(p.accumulators + 1))
        base = Signal(range(p.accumulators))  # the tile's first accumulator
        index = Signal(range(2 * p.accumulators))
        used = Signal(range(p.accumulators + 1))

        next_x = pairs.add(now.at, c.step_x_row, c.step_x_bank)
        next_y = pairs.add(now.row_at, c.step_y_row, c.step_y_bank)
        with m.If(now.col == c.cols - 1):
            m.d.comb += [
                following.x.eq(c.x0),
                following.y.eq(now.y + c.stride),
                following.col.eq(0),
                following.at.eq(next_y),
                following.row_at.eq(next_y),
            ]
        with m.Else():
            m.d.comb += [
                following.x.eq(now.x + c.stride),
                following.y.eq(now.y),
                following.col.eq(now.col + 1),
                following.at.eq(next_x),
                following.row_at.eq(now.row_at),
            ]
        m.d.comb += following.left.eq(now.left - 1)

        last_line, tile_done, lanes_left = Signal(), Signal(), Signal(range(p.synapses + 1))
        m.d.comb += [
            tile_pixels.eq(Mux(tile_start.left < c.tile, tile_start.left, c.tile)),
            last_line.eq(line == c.lines - 1),
            tile_done.eq(pixel == tile_pixels - 1),
            lanes_left.eq(Mux(last_line, c.last_lanes, p.synapses)),
            index.eq(base + pixel),
            window.window.eq(self.head_window),
            window.origin.eq(now.at),
            window.x.eq(now.x),
            window.y.eq(now.y),
            window.in_w.eq(c.in_w),
            window.in_h.eq(c.in_h),
            window.lanes_left.eq(lanes_left),
            self.source.eq(c.source),
            self.origin.eq(now.at),
            self.lanes.eq(window.inside),
            self.fetch.row.eq(Mux(state == State.BIAS, c.bias_row, sb_row)),
            self.fetch.bank.eq(c.bias_bank),
            self.fetch.lanes.eq(Mux(state == State.BIAS, (1 << p.synapses) - 1, below(lanes_left, p.synapses))),
            self.step.lanes.eq(window.inside),
            self.step.active.eq(below(c.neurons, p.neurons)),
            self.step.neurons.eq(c.neurons),
            self.step.index.eq(Mux(index >= p.accumulators, index - p.accumulators, index)),
            self.step.first.eq(c.first & (line == 0)),
            self.step.complete.eq(c.finish & last_line),
        ]
        for e in range(p.synapses):
            m.d.comb += getattr(self, f"row_{e}").eq(getattr(window, f"row_{e}"))

        head = self.head_compute
        start = Signal()
        allocate, room = Signal(), Signal()
        m.d.comb += [
            allocate.eq(c.first & (line == 0) & (pixel == 0)),
            room.eq(~allocate | (used + tile_pixels <= p.accumulators)),
            self.cycle.eq(Cycle.IDLE),
        ]
        with m.Switch(state):
            with m.Case(State.TAKE):
                with m.If(self.head_valid & self.head_is_window):
                    m.d.comb += [window.set.eq(1), self.cycle.eq(Cycle.SETUP)]
                with m.Elif(self.head_valid & (self.dma_done < head.wait_dma)):
                    m.d.comb += self.cycle.eq(Cycle.STALL_DATA)
                with m.Elif(self.head_valid & ((self.read_done < head.wait_read) | (self.written < head.wait_written))):
                    m.d.comb += self.cycle.eq(Cycle.STALL_ORDER)
                with m.Elif(self.head_valid & ~self.post_ready):
                    m.d.comb += self.cycle.eq(Cycle.STALL_ACCUMULATOR)
                with m.Elif(self.head_valid):
                    m.d.comb += [start.eq(1), self.cycle.eq(Cycle.SETUP)]
            with m.Case(State.BIAS):
                m.d.comb += [self.fetch.bias.eq(1), self.cycle.eq(Cycle.SETUP)]
                m.d.sync += state.eq(State.RUN)
            with m.Case(State.RUN):
                with m.If(~room):
                    m.d.comb += self.cycle.eq(Cycle.STALL_ACCUMULATOR)
                with m.Elif(~self.port_free):
                    m.d.comb += self.cycle.eq(Cycle.STALL_PORT)
                with m.Else():
                    m.d.comb += [self.issue.eq(1), self.cycle.eq(Cycle.COMPUTE)]
        m.d.comb += [
            self.read.eq((state == State.RUN) & room),
            self.fetch.weights.eq(self.issue & (pixel == 0)),
            self.head_ready.eq(start | window.set),
            self.post_push.eq(start),
        ]

        with m.If(start):
            m.d.sync += [
                c.eq(head),
                state.eq(Mux(head.load_bias, State.BIAS, State.RUN)),
                line.eq(0),
                pixel.eq(0),
                sb_row.eq(head.sb_row),
            ]
            for place in (now, tile_start):
                m.d.sync += [
                    place.x.eq(head.x0),
                    place.y.eq(head.y0),
                    place.col.eq(0),
                    place.left.eq(head.cols * head.rows),
                ]
                for pair in (place.at, place.row_at):
                    m.d.sync += [pair.row.eq(head.row), pair.bank.eq(head.bank)]

        taken = Signal(range(p.accumulators + 1))
        m.d.comb += taken.eq(Mux(self.issue & allocate, tile_pixels, 0))
        m.d.sync += used.eq(used + taken - self.drained)
        new_base = Signal(range(2 * p.accumulators))
        m.d.comb += new_base.eq(base + tile_pixels)
        with m.If(self.issue):
            m.d.sync += [now.eq(following), pixel.eq(pixel + 1)]
            with m.If(tile_done):
                m.d.sync += [pixel.eq(0), line.eq(line + 1), sb_row.eq(sb_row + 1)]
                m.d.comb += window.step.eq(1)
                with m.If(~last_line):
                    m.d.sync += now.eq(tile_start)
                with m.Else():
                    m.d.comb += window.rewind.eq(1)
                    m.d.sync += [line.eq(0), sb_row.eq(c.sb_row), tile_start.eq(following)]
                    with m.If(c.finish):
                        m.d.sync += base.eq(Mux(new_base >= p.accumulators, new_base - p.accumulators, new_base))
                    with m.If(following.left == 0):
                        m.d.sync += [state.eq(State.TAKE), self.read_done.eq(self.read_done + 1)]
        with m.If(self.clear):
            m.d.sync += self.read_done.eq(0)
        return m
