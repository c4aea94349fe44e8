"""Fused pooling, the vertical part: each result of NFU-3 goes into every window row that holds its map row.

A pooling window is taken in two steps: down the rows here, one value per map column, then across the columns in
hw.pool_row. ``PoolLane`` is one neuron's arithmetic and its memory of open window rows; ``PoolSequencer`` walks the
window rows of each step, for all neurons at once. Windows and clipping are those of hw.instructions.Compute.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, POOL_BITS, Isa, Opcode, Pool
from hw.params import TileParams, bits_for
from hw.signatures import instruction_layout

POOL_SUM_BITS = 2 * POOL_BITS  # a window holds fewer than 2**this words


def pool_control(p: TileParams) -> data.StructLayout:
    """What all pool lanes are told in a cycle."""
    return data.StructLayout(
        {"read": 1, "write": 1, "result": 1, "index": bits_for(p.pool_entries), "first": 1, "average": 1}
    )


def pooled_layout(p: TileParams) -> data.ArrayLayout:
    """The vertical result of every neuron: a maximum, or a sum."""
    return data.ArrayLayout(signed(p.fmt.width + POOL_SUM_BITS), p.neurons)


class PoolLane(Component):
    """One neuron's open window rows.

    Members: control : In(pool_control). word : In, the NFU-3 result. pooled : Out, a register.
    An update is a cycle with ``read`` and then one with ``write`` (the window row stays open) or ``result`` (this was
    its last row: the value goes to ``pooled``); the ``first`` word of a window row needs no read.
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
            read.addr.eq(control.index),
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


class Phase(enum.Enum, shape=1):
    READ = 0
    WRITE = 1


class PoolSequencer(Component):
    """Walks the window rows of each step of a pooled Compute, the oldest first.

    Members: config : In(Compute fields). start : In(1), config is new (one cycle, nothing under way).
    valid : In(1), a result vector is there; last : In(1), its step ends the map row; ready : Out(1), it is done with.
    control : Out(pool_control); with ``result`` the window row ends, clipped : Out(1) at the map's edge.
    room : In(1), the lanes' result registers may be written. updates : Out(1), a word per neuron goes into a window.
    Timing: per window row that holds the map row two cycles, one where the map row is its first; one cycle for a step
    without a window row; respects and provides back pressure.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        super().__init__(
            {
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "start": In(1),
                "valid": In(1),
                "last": In(1),
                "ready": Out(1),
                "control": Out(pool_control(isa.params)),
                "clipped": Out(1),
                "room": In(1),
                "updates": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        slots = bits_for(1 << POOL_BITS)
        # the map row; the last window row that starts at or before it: number, distance from its start, slot
        row, window = Signal(MAP_BITS), Signal(MAP_BITS)
        phase_y, slot = Signal(POOL_BITS), Signal(slots)
        open_rows = Signal(slots)  # ceil(size / stride)
        base = Signal(bits_for(self._isa.params.pool_entries))  # the step's entries: one a slot
        # window rows that hold the map row lie oldest .. newest places before that last one
        oldest, newest, back = Signal(slots), Signal(MAP_BITS), Signal(slots)
        walking, phase = Signal(), Signal(Phase)
        at, tap = Signal(slots), Signal(2 * POOL_BITS)
        reach = self._reach(c, phase_y)
        m.d.comb += [
            open_rows.eq(self._open_rows(c)),
            oldest.eq(Mux(window < reach, window, reach)),
            newest.eq(Mux(window < c.pool_h, 0, window + 1 - c.pool_h)),
            at.eq(Mux(walking, back, oldest)),
            tap.eq(phase_y + c.pool_stride * at),
        ]
        exists, first, whole, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            exists.eq((tap < c.pool_size) & (at >= newest)),
            first.eq(tap == 0),
            whole.eq(tap == c.pool_size - 1),
            ends.eq(whole | (row == c.out_h - 1)),
            self.control.index.eq(base + Mux(slot >= at, slot - at, slot + open_rows - at)),
            self.control.first.eq(first),
            self.control.average.eq(c.pool == Pool.AVERAGE),
            self.clipped.eq(~whole),
        ]
        done = Signal()  # with the window row
        with m.If(self.valid):
            with m.If(~exists):
                m.d.comb += self.ready.eq(1)
            with m.Elif(~first & (phase == Phase.READ)):
                m.d.comb += self.control.read.eq(1)
                m.d.sync += phase.eq(Phase.WRITE)
            with m.Else():
                m.d.comb += done.eq(~ends | self.room)
        m.d.comb += [self.control.write.eq(done & ~ends), self.control.result.eq(done & ends), self.updates.eq(done)]
        with m.If(done):
            m.d.sync += [phase.eq(Phase.READ), back.eq(at - 1), walking.eq(at != newest)]
            m.d.comb += self.ready.eq(at == newest)

        with m.If(self.ready):
            with m.If(self.last):
                m.d.sync += [base.eq(0), row.eq(row + 1), phase_y.eq(phase_y + 1)]
                with m.If(phase_y == c.pool_stride - 1):
                    m.d.sync += [phase_y.eq(0), window.eq(window + 1)]
                    m.d.sync += slot.eq(Mux(slot + 1 == open_rows, 0, slot + 1))
            with m.Else():
                m.d.sync += base.eq(base + open_rows)
        with m.If(self.start):
            m.d.sync += [base.eq(0), walking.eq(0), phase.eq(Phase.READ)]
            m.d.sync += [row.eq(c.out_y), window.eq(c.pool_y), phase_y.eq(c.pool_phase), slot.eq(c.pool_slot)]
        return m

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
