"""Fused pooling: each result of NFU-3 goes into every pooling window that holds it.

``PoolLane`` is one neuron's arithmetic and its memory of open windows; ``PoolSequencer`` walks the windows of each
pixel, for all neurons at once. Windows, clipping and rounding are those of hw.isa.Compute.
"""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, POOL_BITS, RECIPROCAL_BITS, Isa, Opcode, Pool
from hw.params import TileParams, bits_for
from hw.signatures import instruction_layout

POOL_SUM_BITS = 2 * POOL_BITS  # a window holds fewer than 2**this words


def pool_control(p: TileParams) -> data.StructLayout:
    """What all pool lanes are told in a cycle."""
    return data.StructLayout(
        {
            "read": 1,
            "write": 1,
            "index": bits_for(p.pool_entries),
            "first": 1,
            "average": 1,
            "reciprocal": RECIPROCAL_BITS + 1,
        }
    )


class PoolLane(Component):
    """One neuron's open pooling windows.

    Members: control : In(pool_control). word : In, the NFU-3 result. result : Out, the window with ``word`` taken in,
    ready when this is its last word. An update is a cycle with ``read`` and then one with ``write``, in which result
    holds; the ``first`` word of a window needs no read. Timing: neither provides nor respects back pressure.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        word = signed(p.fmt.width)
        super().__init__({"control": In(pool_control(p)), "word": In(word), "result": Out(word)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, control = self._p, self.control
        shape = signed(p.fmt.width + POOL_SUM_BITS)
        m.submodules.windows = windows = Memory(shape=shape, depth=p.pool_entries, init=[])
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
        scaled = Signal(signed(shape.width + RECIPROCAL_BITS + 2))
        mean = Signal(shape)
        fmt = p.fmt
        m.d.comb += [
            scaled.eq(taken * control.reciprocal + (1 << (RECIPROCAL_BITS - 1))),
            mean.eq(scaled >> RECIPROCAL_BITS),
        ]
        with m.If(~control.average):
            m.d.comb += self.result.eq(taken)
        with m.Elif(mean > fmt.high):  # a reciprocal rounded up can lift a mean of extreme words over the edge
            m.d.comb += self.result.eq(fmt.high)
        with m.Elif(mean < fmt.low):
            m.d.comb += self.result.eq(fmt.low)
        with m.Else():
            m.d.comb += self.result.eq(mean)
        return m


class Phase(enum.Enum, shape=1):
    READ = 0
    WRITE = 1


class PoolSequencer(Component):
    """Walks the pooling windows of each pixel of a Compute, in raster order of its pixels.

    Members: config : In(Compute fields). start : In(1), config is new (one cycle, nothing under way).
    valid : In(1), a result vector is there; ready : Out(1), it is done with. control : Out(pool_control).
    emit : Out(1), the lanes' results are an output pixel; emit_ready : In(1).
    updates : Out(1), a word per neuron goes into a window in this cycle.
    Timing: without pooling a vector passes in one cycle; with pooling two cycles a window (one for a window's first
    word, or for a place without a window); respects and provides back pressure.
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
                "emit": Out(1),
                "emit_ready": In(1),
                "updates": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        slots = bits_for(1 << POOL_BITS)
        # the pixel: column and row; the last window that starts at or before it: its number, the pixel's distance from
        # its start, and (rows) its slot among the rows of open windows
        col, row = Signal(MAP_BITS), Signal(MAP_BITS)
        win_x, win_y = Signal(signed(MAP_BITS + 1)), Signal(signed(MAP_BITS + 1))
        phase_x, phase_y = Signal(POOL_BITS), Signal(POOL_BITS)
        slot = Signal(slots)
        open_rows = Signal(slots)  # ceil(size / stride)
        m.d.comb += open_rows.eq(self._open_rows(c))
        # which of the overlapping windows: back_x, back_y places before the last one, oldest first
        back_x, back_y = Signal(slots), Signal(slots)
        oldest_x, oldest_y = Signal(slots), Signal(slots)
        tap_x, tap_y = Signal(POOL_BITS + 2), Signal(POOL_BITS + 2)
        walking = Signal()
        phase = Signal(Phase)
        m.d.comb += [
            oldest_x.eq(self._oldest(c, phase_x)),
            oldest_y.eq(self._oldest(c, phase_y)),
        ]
        at_x, at_y = Signal(slots), Signal(slots)
        m.d.comb += [
            at_x.eq(Mux(walking, back_x, oldest_x)),
            at_y.eq(Mux(walking, back_y, oldest_y)),
            tap_x.eq(phase_x + c.pool_stride * at_x),
            tap_y.eq(phase_y + c.pool_stride * at_y),
        ]
        number_x, number_y = Signal(signed(MAP_BITS + 1)), Signal(signed(MAP_BITS + 1))
        exists, first, last = Signal(), Signal(), Signal()
        end_x, end_y = Signal(), Signal()
        of_slot = Signal(slots)
        m.d.comb += [
            number_x.eq(win_x - at_x),
            number_y.eq(win_y - at_y),
            exists.eq(
                (tap_x < c.pool_size)
                & (tap_y < c.pool_size)
                & (number_x >= 0)
                & (number_y >= 0)
                & (number_x < c.pool_w)
                & (number_y < c.pool_h)
            ),
            first.eq((tap_x == 0) & (tap_y == 0)),
            end_x.eq((tap_x == c.pool_size - 1) | (col == c.out_w - 1)),
            end_y.eq((tap_y == c.pool_size - 1) | (row == c.out_h - 1)),
            last.eq(end_x & end_y),
            of_slot.eq(Mux(slot >= at_y, slot - at_y, slot + open_rows - at_y)),
        ]
        clipped = Signal(2)
        m.d.comb += [
            clipped[0].eq(tap_x != c.pool_size - 1),
            clipped[1].eq(tap_y != c.pool_size - 1),
            self.control.index.eq(of_slot * c.pool_w + number_x[:MAP_BITS]),
            self.control.first.eq((c.pool == Pool.NONE) | first),
            self.control.average.eq(c.pool == Pool.AVERAGE),
            self.control.reciprocal.eq(Array(c.reciprocal[i] for i in range(4))[clipped]),
        ]
        done_window, done_pixel = Signal(), Signal()
        with m.If(self.valid & (c.pool == Pool.NONE)):
            m.d.comb += [self.emit.eq(1), done_pixel.eq(self.emit_ready)]
        with m.Elif(self.valid):
            with m.If(~exists):
                m.d.comb += done_window.eq(1)
            with m.Elif(~first & (phase == Phase.READ)):
                m.d.comb += self.control.read.eq(1)
                m.d.sync += phase.eq(Phase.WRITE)
            with m.Else():
                m.d.comb += [self.emit.eq(last), done_window.eq(~last | self.emit_ready)]
                m.d.comb += [self.control.write.eq(done_window), self.updates.eq(done_window)]
                with m.If(done_window):
                    m.d.sync += phase.eq(Phase.READ)
            with m.If(done_window):
                m.d.sync += walking.eq(1)
                with m.If(at_x != 0):
                    m.d.sync += [back_x.eq(at_x - 1), back_y.eq(at_y)]
                with m.Elif(at_y != 0):
                    m.d.sync += [back_x.eq(oldest_x), back_y.eq(at_y - 1)]
                with m.Else():
                    m.d.comb += done_pixel.eq(1)
        m.d.comb += self.ready.eq(done_pixel)

        with m.If(done_pixel):
            m.d.sync += walking.eq(0)
            self._advance(m, col, win_x, phase_x, c)
            with m.If(col == c.out_w - 1):
                m.d.sync += [col.eq(0), win_x.eq(0), phase_x.eq(0)]
                new_slot = Mux(slot + 1 == open_rows, 0, slot + 1)
                with m.If(phase_y == c.pool_stride - 1):
                    m.d.sync += slot.eq(new_slot)
                self._advance(m, row, win_y, phase_y, c)
        with m.If(self.start):
            m.d.sync += [col.eq(0), win_x.eq(0), phase_x.eq(0), walking.eq(0), phase.eq(Phase.READ)]
            m.d.sync += [row.eq(c.out_y), win_y.eq(c.pool_y), phase_y.eq(c.pool_phase), slot.eq(c.pool_slot)]
        return m

    def _advance(self, m: Module, at: Signal, window: Signal, phase: Signal, c: data.View) -> None:
        m.d.sync += at.eq(at + 1)
        with m.If(phase == c.pool_stride - 1):
            m.d.sync += [phase.eq(0), window.eq(window + 1)]
        with m.Else():
            m.d.sync += phase.eq(phase + 1)

    def _oldest(self, c: data.View, phase: Signal) -> Signal:
        """Places back to the oldest window that can hold a pixel ``phase`` after its last window's start."""
        choice = 0
        for back in range(1, (1 << POOL_BITS) - 1):
            choice = Mux(phase + back * c.pool_stride < c.pool_size, back, choice)
        return choice

    def _open_rows(self, c: data.View) -> Signal:
        choice = 1
        for rows in range(2, 1 << POOL_BITS):
            choice = Mux((rows - 1) * c.pool_stride < c.pool_size, rows, choice)
        return choice
