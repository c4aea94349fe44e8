"""Fused pooling, the vertical part: each result of NFU-3 goes into every window row that holds its map row.

A pooling window is taken in two steps: down the rows here, one value per map column, then across the columns in
hw.pool_row. ``PoolLane`` is one neuron's arithmetic and its memory of open window rows; ``PoolSequencer`` walks the
window rows of each step, for all neurons at once. Windows and clipping are those of hw.instructions.Compute.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, POOL_BITS, Isa, Opcode, Pool
from hw.params import TileParams, bits_for
from hw.signatures import instruction_layout

POOL_SUM_BITS = 2 * POOL_BITS  # a window holds fewer than 2**this words


def pool_control(p: TileParams) -> data.StructLayout:
    """What all pool lanes are told in a cycle."""
    return data.StructLayout(
        {
            "read": 1,
            "read_index": bits_for(p.pool_entries),
            "write": 1,
            "result": 1,
            "index": bits_for(p.pool_entries),
            "first": 1,
            "average": 1,
        }
    )


def pooled_layout(p: TileParams) -> data.ArrayLayout:
    """The vertical result of every neuron: a maximum, or a sum."""
    return data.ArrayLayout(signed(p.fmt.width + POOL_SUM_BITS), p.neurons)


class PoolLane(Component):
    """One neuron's open window rows.

    Members: control : In(pool_control). word : In, the NFU-3 result. pooled : Out, a register.
    An update is a cycle with ``read`` of ``read_index`` and a later one, up to the next read's, with ``write`` of
    ``index`` (the window row stays open) or ``result`` (this was its last row: the value goes to ``pooled``); the
    ``first`` word of a window row needs no read. An entry is never read in the cycle in which it is written.
    Timing: pooled is there the cycle after ``result``; neither provides nor respects back pressure.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        shape = signed(p.fmt.width + POOL_SUM_BITS)
        super().__init__({"control": In(pool_control(p)), "word": In(signed(p.fmt.width)), "pooled": Out(shape)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control, shape = self.control, self.pooled.shape()
        m.submodules.windows = windows = Memory(shape=shape, depth=self._p.pool_entries, init=[])
        read, write = windows.read_port(), windows.write_port()
        taken = Signal(shape)
        m.d.comb += [
            read.addr.eq(control.read_index),
            read.en.eq(control.read),
            write.addr.eq(control.index),
            write.en.eq(control.write),
            write.data.eq(taken),
        ]
        with m.If(control.first):
            m.d.comb += taken.eq(self.word)
        with m.Elif(control.average):
            m.d.comb += taken.eq(read.data + self.word)
        with m.Else():
            m.d.comb += taken.eq(Mux(read.data > self.word, read.data, self.word))
        with m.If(control.result):
            m.d.sync += self.pooled.eq(taken)
        return m


def _entry_layout(p: TileParams) -> data.StructLayout:
    """A step in a window row. final: the last one of its step; exists: or else the step is in none."""
    return data.StructLayout({"index": bits_for(p.pool_entries), "exists": 1, "first": 1, "ends": 1, "whole": 1,
                              "final": 1})  # fmt: skip


class PoolSequencer(Component):
    """Walks the window rows of each step of a pooled Compute, the oldest first, and reads the next one's entry while
    one is written.

    Members: config : In(Compute fields). start : In(1), config is new (one cycle, nothing under way).
    valid : In(1), a result vector is there; ready : Out(1), it is done with.
    control : Out(pool_control); with ``result`` the window row ends, clipped : Out(1) at the map's edge.
    readers : Out, lanes that ``read``, those of the next entry's step.
    room : In(1), the lanes' result registers may be written. updates : Out(1), a word per neuron goes into a window.
    Timing: a cycle per window row that holds the map row, and for a step without a window row; one more when the entry
    that was written in the cycle before is wanted again (rows of one step). Respects and provides back pressure.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        super().__init__(
            {
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "start": In(1),
                "valid": In(1),
                "ready": Out(1),
                "control": Out(pool_control(isa.params)),
                "clipped": Out(1),
                "readers": Out(range(isa.params.neurons + 1)),
                "room": In(1),
                "updates": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, c = self._isa.params, self.config
        entry, valid = Signal(_entry_layout(p)), Signal()  # what is worked on
        following = Signal()
        found = self._walk(m, following)
        done, writes, clash, read = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            done.eq(self.valid & valid & (~(entry.exists & entry.ends) | self.room)),
            self.ready.eq(done & entry.final),
            self.updates.eq(done & entry.exists),
            writes.eq(self.updates & ~entry.ends),
            self.clipped.eq(~entry.whole),
            clash.eq(writes & found.exists & (found.index == entry.index)),
            following.eq((c.pool != Pool.NONE) & (~valid | done) & ~clash),
            read.eq(following & found.exists & ~found.first),
            self.control.read.eq(read),
            self.control.read_index.eq(found.index),
            self.control.write.eq(writes),
            self.control.result.eq(self.updates & entry.ends),
            self.control.index.eq(entry.index),
            self.control.first.eq(entry.first),
            self.control.average.eq(c.pool == Pool.AVERAGE),
        ]
        with m.If(following):
            m.d.sync += [entry.eq(found), valid.eq(1)]
        with m.Elif(done):
            m.d.sync += valid.eq(0)
        with m.If(self.start):
            m.d.sync += valid.eq(0)
        return m

    def _walk(self, m: Module, following: Signal) -> data.View:
        """The entry after the one that is worked on; ``following``: go on to the one behind it."""
        c, p = self.config, self._isa.params
        slots = bits_for(1 << POOL_BITS)
        # the map row; the last window row that starts at or before it: number, distance from its start, slot
        row, window = Signal(MAP_BITS), Signal(MAP_BITS)
        phase_y, slot = Signal(POOL_BITS), Signal(slots)
        open_rows = Signal(slots)  # ceil(size / stride)
        base = Signal(bits_for(p.pool_entries))  # the step's entries: one a slot
        cols_left, last = Signal(MAP_BITS), Signal()
        # window rows that hold the map row lie oldest .. newest places before that last one
        oldest, newest, back = Signal(slots), Signal(MAP_BITS), Signal(slots)
        walking = Signal()
        at, tap = Signal(slots), Signal(2 * POOL_BITS)
        reach = self._reach(c, phase_y)
        exists, whole, final = Signal(), Signal(), Signal()
        found = Signal(_entry_layout(p))
        m.d.comb += [
            open_rows.eq(self._open_rows(c)),
            oldest.eq(Mux(window < reach, window, reach)),
            newest.eq(Mux(window < c.pool_h, 0, window + 1 - c.pool_h)),
            at.eq(Mux(walking, back, oldest)),
            tap.eq(phase_y + c.pool_stride * at),
            last.eq(cols_left <= c.groups),
            self.readers.eq(c.neurons * Mux(last, cols_left, c.groups)),
            exists.eq((tap < c.pool_size) & (at >= newest)),
            whole.eq(tap == c.pool_size - 1),
            final.eq(~exists | (at == newest)),
            found.index.eq(base + Mux(slot >= at, slot - at, slot + open_rows - at)),
            found.exists.eq(exists),
            found.first.eq(tap == 0),
            found.whole.eq(whole),
            found.ends.eq(whole | (row == c.out_h - 1)),
            found.final.eq(final),
        ]
        with m.If(following):
            m.d.sync += [walking.eq(~final), back.eq(at - 1)]
            with m.If(final & last):
                m.d.sync += [base.eq(0), cols_left.eq(c.cols), row.eq(row + 1), phase_y.eq(phase_y + 1)]
                with m.If(phase_y == c.pool_stride - 1):
                    m.d.sync += [phase_y.eq(0), window.eq(window + 1)]
                    m.d.sync += slot.eq(Mux(slot + 1 == open_rows, 0, slot + 1))
            with m.Elif(final):
                m.d.sync += [base.eq(base + open_rows), cols_left.eq(cols_left - c.groups)]
        with m.If(self.start):
            m.d.sync += [base.eq(0), cols_left.eq(c.cols), walking.eq(0)]
            m.d.sync += [row.eq(c.out_y), window.eq(c.pool_y), phase_y.eq(c.pool_phase), slot.eq(c.pool_slot)]
        return found

    def _reach(self, c: data.View, phase: Value) -> Value:
        """Places back to the oldest window row that can hold a map row ``phase`` after its last window row's start."""
        choice: Value = Value.cast(0)
        for back in range(1, (1 << POOL_BITS) - 1):
            choice = Mux(phase + back * c.pool_stride < c.pool_size, back, choice)
        return choice

    def _open_rows(self, c: data.View) -> Value:
        choice: Value = Value.cast(1)
        for rows in range(2, 1 << POOL_BITS):
            choice = Mux((rows - 1) * c.pool_stride < c.pool_size, rows, choice)
        return choice
