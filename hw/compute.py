"""The compute engine: takes windows and computes in order and issues one line of one step per cycle.

Issue is stage 0 of the pipeline; a ``Step`` travels behind it: stage 1 reads SB while the neuron buffer's words arrive,
2 multiplies, 3 adds, 4 accumulates. Nothing stalls behind issue.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from hw.cursor import Cursor
from hw.instructions import LINES_BITS, SHIFT_BITS
from hw.isa import Isa, Opcode
from hw.params import QUARTERS, bits_for
from hw.signatures import below, indices_layout, instruction_layout
from hw.window import WindowLanes, lanes_layout, places_layout


def step_layout(isa: Isa) -> data.StructLayout:
    """What travels down the pipeline with an issued line of a step.

    lanes, start, place, paired: where each lane of each pixel finds its word, see WindowLanes. neurons: of one group;
    pixels: of this step; active: neurons that compute, none where nothing is added. index: of each bank of accumulators
    the word that is added to, if one is. first: it takes its first sum, which starts at 0 with zero; complete: how many
    take their last one. shift: digits that what is added is shifted by.
    Only with quarter_lanes: sums: the banks that are added to. split: up to four steps are taken at once, in quarter
    ``quarter`` of the line (else 0); that whose accumulator lies in bank b, by the lanes of quarter b.
    """
    p = isa.params
    quarters = {"sums": p.sum_banks, "split": 1, "quarter": range(QUARTERS)} if p.quarter_lanes else {}
    return data.StructLayout(
        {
            "lanes": lanes_layout(p),
            "start": range(p.row_words),
            "place": places_layout(p),
            "paired": 1,
            "active": p.neurons,
            "neurons": bits_for(p.neurons + 1),
            "pixels": bits_for(p.sum_banks * p.groups + 1),
            "index": indices_layout(p),
            "first": 1,
            "zero": 1,
            "shift": SHIFT_BITS,
            "complete": range(p.sum_banks + 1),
            **quarters,
        }
    )


def fetch_layout(isa: Isa) -> data.StructLayout:
    """What stage 1 reads from SB: the weights of ``neurons_mask``, or the bias line in ``bank``."""
    p = isa.params
    return data.StructLayout(
        {
            "weights": 1,
            "bias": 1,
            "row": isa.sb_row_bits,
            "bank": isa.neuron_bits,
            "lanes": p.synapses,
            "neurons_mask": p.neurons,
        }
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
    read, source, banks, row_<b> : Out, the gather from a neuron buffer; port_free : In(1), it may happen.
    crowded : In(1), weights wait for SB: no line is read where every cycle reads one.
    hold : Out(1), the words that source has read are still needed.
    fetch : Out(fetch_layout) at stage 0, valid with ``issue`` (weights) or alone (bias).
    issue : Out(1), step : Out(step_layout). drained : In(1), accumulator drain_index : In is free again.
    cycle : Out(Cycle).

    Timing: one cycle to take a window or a compute, one for a bias line, then one line of one step per cycle; of a last
    line in quarters, each quarter of up to four steps. A window, and a compute that may start, is taken with the last
    issue of the compute before it. A step whose cells are held already (see Cursor), or that has no lanes, reads
    nothing and does not wait for the port.
    While the engine is ``crowded``, a compute with tiles of one step waits: it would leave SB no cycle.
    In the first line of ``first`` computes every step takes its accumulator, and waits until that is free.
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
                "banks": Out(p.banks),
                "port_free": In(1),
                "crowded": In(1),
                "hold": Out(1),
                "fetch": Out(fetch_layout(isa)),
                "issue": Out(1),
                "step": Out(step_layout(isa)),
                "drained": In(1),
                "drain_index": In(range(p.accumulators)),
                "cycle": Out(Cycle),
                **{f"row_{b}": Out(isa.row_bits) for b in range(p.banks)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        m.submodules.window = window = WindowLanes(isa)
        m.submodules.cursor = cursor = Cursor(isa)
        c, head = Signal(instruction_layout(isa, Opcode.COMPUTE)), self.head_compute
        state = Signal(State)
        line, sb_row = Signal(LINES_BITS), Signal(isa.sb_row_bits)
        step = Signal(range(p.accumulators))  # of the tile
        base, index = Signal(range(p.accumulators)), Signal(range(p.accumulators))  # accumulators: tile's first, step's
        next_index = Signal(range(p.accumulators))
        # A tile's steps pass once for a line, but for every quarter of a split one; more: another quarter comes.
        quarter, steps = Signal(range(QUARTERS)), Signal(range(p.sum_banks + 1))
        split, next_split, more, last_pass = Signal(), Signal(), Signal(), Signal()
        length, pixels = Mux(next_split, c.quarter_tile, c.tile), cursor.pixels  # of the next pass; of a group each
        if p.quarter_lanes:
            pixels = Mux(cursor.pixels > c.groups, c.groups, cursor.pixels)
        taken, freed, used = (Signal(p.accumulators, name=name) for name in ("taken", "freed", "used"))
        last_line, last_step, tile_done, ends = Signal(), Signal(), Signal(), Signal()
        lanes_left = Signal(range(p.synapses + 1))
        adds, reads, yields, start = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            tile_done.eq(last_step | cursor.last),
            last_pass.eq(last_line & ~more),
            ends.eq(self.issue & last_pass & cursor.last),
            lanes_left.eq(Mux(last_line, c.last_lanes, window.taps)),
            adds.eq(lanes_left != 0),
            reads.eq(adds & cursor.fresh),
            yields.eq(self.crowded & adds & (c.tile == 1)),
            window.window.eq(self.head_window),
            window.at.eq(cursor.place),
            window.advance.eq(self.issue),
            window.begin.eq(start),
            window.next_at.eq(cursor.next_place),
            window.next_in_w.eq(Mux(start, head.in_w, c.in_w)),
            window.next_columns.eq(Mux(start, head.columns, Mux(next_split, c.quarter_columns, c.columns))),
            window.split.eq(split),
            window.quarter.eq(quarter),
            window.turn.eq(index),
            window.groups.eq(c.groups),
            window.pixels.eq(cursor.pixels),
            window.lanes_left.eq(lanes_left),
            *(getattr(window, name).eq(getattr(c, name)) for name in ("paired", "in_h", "ring_rows", "ring_back")),
            self.source.eq(c.source),
            self.banks.eq(window.banks),
            *(getattr(self, f"row_{b}").eq(getattr(window, f"row_{b}")) for b in range(p.banks)),
            self.fetch.row.eq(Mux(state == State.BIAS, c.bias_row, sb_row)),
            self.fetch.bank.eq(c.bias_bank),
            self.fetch.lanes.eq(Mux(state == State.BIAS, (1 << p.synapses) - 1, below(lanes_left, p.synapses))),
            self.fetch.neurons_mask.eq(below(c.neurons * c.groups, p.neurons)),
            self.step.lanes.eq(window.lanes),
            self.step.start.eq(window.start),
            self.step.place.eq(window.place),
            self.step.paired.eq(c.paired),
            self.step.active.eq(Mux(adds, below(c.neurons * pixels, p.neurons), 0)),
            self.step.neurons.eq(c.neurons),
            self.step.pixels.eq(cursor.pixels),
            self.step.first.eq(c.first & (line == 0)),
            self.step.zero.eq(c.zero),
            self.step.shift.eq(c.shift),
            self.step.complete.eq(Mux(c.finish & last_pass, steps, 0)),
            cursor.config.eq(c),
            cursor.head.eq(head),
            cursor.split.eq(split),
            cursor.next_split.eq(next_split),
            next_index.eq(self._accumulators(m, c, index, steps)),
        ]
        if p.quarter_lanes:
            m.d.comb += [
                split.eq(last_line & (c.quarters != 0)),
                more.eq(split & (quarter + 1 != c.quarters)),
                next_split.eq(Mux(tile_done & ~more, (line + 2 == c.lines) & (c.quarters != 0), split)),
                steps.eq(Mux(split, Mux(cursor.row_ends, c.row_rest, QUARTERS), 1)),
                self.step.split.eq(split),
                self.step.quarter.eq(quarter),
            ]
        else:
            m.d.comb += steps.eq(1)

        allocate, room = Signal(), Signal()
        ordered, may_start = Signal(), Signal()
        m.d.comb += [
            allocate.eq(self.step.first),
            room.eq(~allocate | ~used.bit_select(index, 1)),
            taken.eq(Mux(self.issue & allocate, 1 << index, 0)),
            freed.eq(Mux(self.drained, 1 << self.drain_index, 0)),
            ordered.eq((self.read_done >= head.wait_read) & (self.written >= head.wait_written)),
            may_start.eq(self.head_valid & ~self.head_is_window & (self.dma_done >= head.wait_dma) & ordered),
            self.cycle.eq(Cycle.IDLE),
        ]
        with m.Switch(state):
            with m.Case(State.TAKE):
                with m.If(self.head_valid & self.head_is_window):
                    m.d.comb += [window.set.eq(1), self.cycle.eq(Cycle.SETUP)]
                with m.Elif(may_start & self.post_ready):
                    m.d.comb += [start.eq(1), self.cycle.eq(Cycle.SETUP)]
                with m.Elif(may_start):
                    m.d.comb += self.cycle.eq(Cycle.STALL_ACCUMULATOR)
                with m.Elif(self.head_valid):
                    m.d.comb += self.cycle.eq(Mux(self.dma_done < head.wait_dma, Cycle.STALL_DATA, Cycle.STALL_ORDER))
            with m.Case(State.BIAS):
                m.d.comb += [self.fetch.bias.eq(1), self.cycle.eq(Cycle.SETUP)]
                m.d.sync += state.eq(State.RUN)
            with m.Case(State.RUN):
                with m.If(~room):
                    m.d.comb += self.cycle.eq(Cycle.STALL_ACCUMULATOR)
                with m.Elif(yields | (reads & ~self.port_free)):
                    m.d.comb += self.cycle.eq(Cycle.STALL_PORT)
                with m.Else():
                    m.d.comb += [self.issue.eq(1), self.cycle.eq(Cycle.COMPUTE)]
                    m.d.comb += start.eq(ends & may_start & self.post_ready)
                    m.d.comb += window.set.eq(ends & self.head_valid & self.head_is_window)
        m.d.comb += [
            self.read.eq((state == State.RUN) & room & reads & ~yields),
            self.hold.eq(state == State.RUN),
            self.fetch.weights.eq(self.issue & adds & (step == 0) & (quarter == 0)),
            self.head_ready.eq(start | window.set),
            self.post_push.eq(start),
            cursor.start.eq(start),
            cursor.advance.eq(self.issue),
            cursor.rewind.eq(tile_done & ~last_pass),
            cursor.mark.eq(tile_done & last_pass),
            window.step.eq(tile_done & ~more),
            window.rewind.eq(tile_done & last_pass),
        ]

        m.d.sync += used.eq((used | taken) & ~freed)
        with m.If(self.issue):
            m.d.sync += [step.eq(step + 1), last_step.eq(step + 2 == length), index.eq(next_index)]
            with m.If(tile_done):
                m.d.sync += [step.eq(0), last_step.eq(length == 1), index.eq(base)]
                if p.quarter_lanes:
                    m.d.sync += quarter.eq(Mux(more, quarter + 1, 0))
                with m.If(~more):
                    m.d.sync += [sb_row.eq(sb_row + 1), line.eq(line + 1), last_line.eq(line + 2 == c.lines)]
                with m.If(last_pass):
                    m.d.sync += [line.eq(0), last_line.eq(c.lines == 1), sb_row.eq(c.sb_row)]
                    m.d.sync += [base.eq(next_index), index.eq(next_index)]
        with m.If(ends):
            m.d.sync += [state.eq(State.TAKE), self.read_done.eq(self.read_done + 1)]
        with m.If(start):
            m.d.sync += [base.eq(head.sum_at), index.eq(head.sum_at)]
            m.d.sync += [last_step.eq(head.tile == 1), last_line.eq(head.lines == 1)]
            m.d.sync += [c.eq(head), sb_row.eq(head.sb_row), state.eq(Mux(head.load_bias, State.BIAS, State.RUN))]
        with m.If(self.clear):
            m.d.sync += self.read_done.eq(0)
        return m

    def _accumulators(self, m: Module, c: data.View, index: Value, steps: Value) -> Value:
        """Words of the banks, and which of them ``steps`` steps from accumulator ``index`` on add to; returns the
        accumulator behind them. Only a ring that four divides has more than one step, in banks of their own."""
        p = self._isa.params
        if not p.quarter_lanes:
            m.d.comb += self.step.index[0].eq(index)
            return Mux(index == c.sum_last, c.sum_first, index + 1)
        ring, behind = c.sum_last - c.sum_first + 1, index + steps
        place, word = index[:2], index[2:]
        for b in range(p.sum_banks):
            here = Signal(len(word) + 1, name=f"word_{b}")  # of the first accumulator from index on that lies in bank b
            m.d.comb += [
                here.eq(word + (place > b)),
                self.step.index[b].eq(here - Mux(Cat(Const(b, 2), here) > c.sum_last, ring >> 2, 0)),
                self.step.sums[b].eq((b - place)[:2] < steps),
            ]
        return Mux(behind > c.sum_last, behind - ring, behind)
