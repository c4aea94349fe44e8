"""Fused pooling, the horizontal part: takes steps apart into pixels and pixels into the windows across x.

Words come from the vertical part (or straight from NFU-3 without pooling), a step at a time. ``RowLane`` is one
channel's open windows and its mean; ``PoolRow`` selects the pixel and walks the windows for all channels at once.
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, POOL_BITS, RECIPROCAL_BITS, Isa, Opcode, Pool
from hw.params import TileParams, bits_for
from hw.pool import POOL_SUM_BITS, pooled_layout
from hw.shared import shared
from hw.signatures import below, instruction_layout, popcount, result_layout

# windows of a row that stay open from one pixel to the next: ceil((size - 1) / stride) at most
OPEN_WINDOWS = (1 << POOL_BITS) - 2


def row_control() -> data.StructLayout:
    """What all row lanes are told in a cycle: windows (one bit each) that ``load`` the word or ``take`` it in and stay
    open, ``ends`` (at most one bit) with it; ``emit``, a window's value (or the word itself) is complete."""
    windows = {"load": OPEN_WINDOWS, "take": OPEN_WINDOWS, "ends": OPEN_WINDOWS}
    return data.StructLayout({**windows, "emit": 1, "average": 1, "reciprocal": RECIPROCAL_BITS + 1})


class RowLane(Component):
    """One channel of a row.

    Members: control : In(row_control), active : In(1), this channel exists. word : In. result : Out, the window's
    maximum or mean (``reciprocal`` of its cycle), saturated.
    Timing: result is there from the cycle after ``emit`` to the next one. Not active: every register holds.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        members = {"control": In(row_control()), "active": In(1), "result": Out(signed(p.fmt.width))}
        super().__init__({**members, "word": In(signed(p.fmt.width + POOL_SUM_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt, control, shape = self._p.fmt, self.control, self.word.shape()
        ended = self.word
        for k in range(OPEN_WINDOWS):
            window, taken = Signal(shape, name=f"window_{k}"), Signal(shape, name=f"taken_{k}")
            with m.If(control.take[k] | control.ends[k]):  # else the adder rests, in silicon and in simulation
                with m.If(control.average):
                    m.d.comb += taken.eq(window + self.word)
                with m.Else():
                    m.d.comb += taken.eq(Mux(window > self.word, window, self.word))
            with m.If(self.active & (control.load[k] | control.take[k])):
                m.d.sync += window.eq(Mux(control.load[k], self.word, taken))
            ended = Mux(control.ends[k], taken, ended)
        total, mean = Signal(shape), Signal(shape)
        scaled = Signal(signed(shape.width + RECIPROCAL_BITS + 2))
        with m.If(self.active & control.emit):
            m.d.sync += total.eq(ended)
        m.d.comb += mean.eq(scaled >> RECIPROCAL_BITS)
        with m.If(control.average):
            m.d.comb += scaled.eq(total * control.reciprocal + (1 << (RECIPROCAL_BITS - 1)))
        with m.If(~control.average):
            m.d.comb += self.result.eq(total)
        with m.Elif(mean > fmt.high):  # a reciprocal rounded up can lift a mean of extreme words over the edge
            m.d.comb += self.result.eq(fmt.high)
        with m.Elif(mean < fmt.low):
            m.d.comb += self.result.eq(fmt.low)
        with m.Else():
            m.d.comb += self.result.eq(mean)
        return m


class PoolRow(Component):
    """Pixels of steps in order, each into the windows that hold its column.

    Members: config : In(Compute fields). start : In(1), config is new (one cycle, nothing under way).
    valid : In(1), a step is there; pixels, words : In, lane j * neurons + n of pixel j; clipped_y : In(1), its window
    row is clipped; ready : Out(1), its last pixel is taken.
    emit : Out(1), vector : Out, channel n of an output pixel; emit_ready : In(1).
    updates : Out, words taken into windows in this cycle.
    Timing: a pixel a cycle; an output pixel leaves the cycle after its last pixel; respects and provides back pressure.
    """

    latency = 1

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "config": In(instruction_layout(isa, Opcode.COMPUTE)),
                "start": In(1),
                "valid": In(1),
                "pixels": In(range(p.groups + 1)),
                "words": In(pooled_layout(p)),
                "clipped_y": In(1),
                "ready": Out(1),
                "emit": Out(1),
                "vector": Out(result_layout(p)),
                "emit_ready": In(1),
                "updates": Out(range((OPEN_WINDOWS + 1) * p.neurons + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, c = self._isa.params, self.config
        straight = c.pool == Pool.NONE
        # the column; the last window that starts at or before it and the distance from its start
        col, window, phase = Signal(MAP_BITS), Signal(MAP_BITS), Signal(POOL_BITS)
        opened = Signal(OPEN_WINDOWS)
        left = [Signal(POOL_BITS, name=f"left_{k}") for k in range(OPEN_WINDOWS)]  # words still to come after the next
        last_col, starts, alone, go, emits, whole = (
            Signal(name=name) for name in ("last_col", "starts", "alone", "go", "emits", "whole")
        )
        full, ends, stay, free = (Signal(OPEN_WINDOWS, name=name) for name in ("full", "ends", "stay", "free"))
        load = Signal(OPEN_WINDOWS)
        clip = Signal(2)
        m.d.comb += [
            last_col.eq(col == c.out_w - 1),
            starts.eq(~straight & (phase == 0) & (window < c.pool_w)),
            alone.eq(starts & ((c.pool_size == 1) | last_col)),
            *(full[k].eq(opened[k] & (left[k] == 0)) for k in range(OPEN_WINDOWS)),
            ends.eq(Mux(last_col, opened, full)),
            stay.eq(opened & ~ends),
            free.eq(~stay),
            load.eq(Mux(starts & ~alone, free & -free, 0)),  # the lowest free one
            whole.eq(full.any() | (c.pool_size == 1)),
            emits.eq(straight | alone | ends.any()),
            go.eq(self.valid & (~emits | ~self.emit | self.emit_ready)),
            self.updates.eq(Mux(go & ~straight, (popcount(opened) + starts) * c.neurons, 0)),
        ]

        pixel, base = Signal(range(max(2, p.groups))), Signal(bits_for(p.neurons))
        m.d.comb += self.ready.eq(go & (pixel == self.pixels - 1))
        with m.If(go):
            m.d.sync += [pixel.eq(pixel + 1), base.eq(base + c.neurons)]
            with m.If(self.ready):
                m.d.sync += [pixel.eq(0), base.eq(0)]
            with m.If(emits):
                m.d.sync += [self.emit.eq(1), clip.eq(~whole | self.clipped_y << 1)]
        with m.If(self.emit_ready & ~(go & emits)):
            m.d.sync += self.emit.eq(0)
        with m.If(go & ~straight):
            m.d.sync += [opened.eq(stay | load), col.eq(col + 1), phase.eq(phase + 1)]
            with m.If(phase == c.pool_stride - 1):
                m.d.sync += [phase.eq(0), window.eq(window + 1)]
            with m.If(last_col):
                m.d.sync += [col.eq(0), phase.eq(0), window.eq(0)]
            for k in range(OPEN_WINDOWS):
                with m.If(load[k]):
                    m.d.sync += left[k].eq(c.pool_size - 2)
                with m.Elif(stay[k]):
                    m.d.sync += left[k].eq(left[k] - 1)
        with m.If(self.start):
            m.d.sync += [col.eq(0), phase.eq(0), window.eq(0), opened.eq(0)]

        control, active = Signal(row_control()), Signal(p.neurons)
        m.d.comb += [
            active.eq(below(c.neurons, p.neurons)),
            control.load.eq(Mux(go, load, 0)),
            control.take.eq(Mux(go, stay, 0)),
            control.ends.eq(Mux(go, ends, 0)),
            control.emit.eq(go & emits),
            control.average.eq(c.pool == Pool.AVERAGE),
            control.reciprocal.eq(Array(c.reciprocal[i] for i in range(4))[clip]),
        ]
        for n, word in enumerate(self._selected(m, base)):
            lane = shared(m, platform, "pool_row_lane", n, lambda: RowLane(p))
            m.d.comb += [
                lane.control.eq(control),
                lane.active.eq(active[n]),
                lane.word.eq(word),
                self.vector[n].eq(lane.result),
            ]
        return m

    def _selected(self, m: Module, base: Signal) -> list[Value]:
        """Word ``base + n`` for every lane n of a pixel. Of two pixels each has half of the lanes at most; the others
        need no choice."""
        p = self._isa.params
        given: list[Value] = [self.words[n] for n in range(p.neurons)]
        if p.groups == 1:
            return given
        current = given
        for stage in reversed(range(len(base))):
            step, chosen = 1 << stage, []
            for n, word in enumerate(current):
                if n + step < p.neurons:
                    shifted = Signal(pooled_layout(p).elem_shape, name=f"shifted_{stage}_{n}")
                    m.d.comb += shifted.eq(Mux(base[stage], current[n + step], word))
                    word = shifted
                chosen.append(word)
            current = chosen
        return [current[n] if n < p.neurons // 2 else given[n] for n in range(p.neurons)]
