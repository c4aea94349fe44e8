"""Fused pooling, the horizontal part: takes steps apart into pixels and pixels into the windows across x.

Words come from the vertical part (or straight from NFU-3 without pooling), a step at a time. ``RowLane`` is one
channel's open windows and its mean; ``PoolRow`` selects the pixel and walks the windows for all channels at once.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
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
    """What all row lanes are told in a cycle: windows (one bit each) that ``load`` the word, or only the second one, or
    ``take`` it in and stay open, ``ends`` (at most one bit) with it; ``emit``, a window's value (or the word itself, or
    ``second`` alone) is complete. ``pair``: the word is that of two pixels."""
    windows = dict.fromkeys(("load", "load_second", "take", "ends"), OPEN_WINDOWS)
    flags = dict.fromkeys(("pair", "second", "emit", "average"), 1)
    return data.StructLayout({**windows, **flags, "reciprocal": RECIPROCAL_BITS + 1})


class RowLane(Component):
    """One channel of a row.

    Members: control : In(row_control), active : In(1), this channel exists. word, second : In, of the next two pixels.
    result : Out, the window's maximum or mean (``reciprocal`` of its cycle), saturated.
    Timing: result is there from the cycle after ``emit`` to the next one. Not active: every register holds.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        members = {"control": In(row_control()), "active": In(1), "result": Out(signed(p.fmt.width))}
        super().__init__({**members, **dict.fromkeys(("word", "second"), In(signed(p.fmt.width + POOL_SUM_BITS)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt, control, shape = self._p.fmt, self.control, self.word.shape()
        given = Signal(shape)  # to the windows that are open: both words as one
        m.d.comb += given.eq(self.word)
        with m.If(control.pair):
            with m.If(control.average):
                m.d.comb += given.eq(self.word + self.second)
            with m.Else():
                m.d.comb += given.eq(Mux(self.word > self.second, self.word, self.second))
        ended = Mux(control.second, self.second, given)
        for k in range(OPEN_WINDOWS):
            window, taken = Signal(shape, name=f"window_{k}"), Signal(shape, name=f"taken_{k}")
            with m.If(control.take[k] | control.ends[k]):  # else the adder rests, in silicon and in simulation
                with m.If(control.average):
                    m.d.comb += taken.eq(window + given)
                with m.Else():
                    m.d.comb += taken.eq(Mux(window > given, window, given))
            with m.If(self.active & (control.load[k] | control.load_second[k] | control.take[k])):
                m.d.sync += window.eq(Mux(control.load[k], given, Mux(control.load_second[k], self.second, taken)))
            ended = Mux(control.ends[k], taken, ended)
        total = Signal(shape)
        mean = Signal(shape)
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
    Timing: a pixel a cycle, and the next one of its step with it where the first ends no window; an output pixel leaves
    the cycle after its last pixel, without pooling in the pixel's cycle; respects and provides back pressure.
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
        pixel = Signal(range(max(2, p.groups)))
        go, pair, room, emits = Signal(), Signal(), Signal(), Signal()
        held = Signal()  # a window's value waits in the lanes
        last_col, starts, alone, whole = Signal(), Signal(), Signal(), Signal()
        full, ends = Signal(OPEN_WINDOWS), Signal(OPEN_WINDOWS)
        next_phase, next_window = Signal.like(phase), Signal.like(window)
        m.d.comb += [
            last_col.eq(col == c.out_w - 1),
            starts.eq((phase == 0) & (window < c.pool_w)),
            alone.eq(starts & ((c.pool_size == 1) | last_col)),
            *(full[k].eq(opened[k] & (left[k] == 0)) for k in range(OPEN_WINDOWS)),
            ends.eq(Mux(last_col, opened, full)),
            whole.eq(full.any() | (c.pool_size == 1)),
            emits.eq(alone | ends.any()),
            room.eq(~held | self.emit_ready),
            go.eq(self.valid & Mux(straight, self.emit_ready, ~emits | room)),
            Cat(next_phase, next_window).eq(self._following(phase, window)),
        ]
        # the pixel after it, taken with it if no window ends before; a window that the first one starts is "fresh"
        last_2, starts_2, alone_2, fresh_ends, whole_2, emits_2 = (
            Signal(name=f"{name}_2") for name in ("last_col", "starts", "alone", "fresh_ends", "whole", "emits")
        )
        full_2, ends_2 = Signal(OPEN_WINDOWS), Signal(OPEN_WINDOWS)
        phase_2, window_2 = Signal.like(phase), Signal.like(window)
        m.d.comb += [
            last_2.eq(col == c.out_w - 2),
            starts_2.eq((next_phase == 0) & (next_window < c.pool_w)),
            alone_2.eq(starts_2 & ((c.pool_size == 1) | last_2)),
            *(full_2[k].eq(opened[k] & (left[k] == 1)) for k in range(OPEN_WINDOWS)),
            ends_2.eq(Mux(last_2, opened, full_2)),
            fresh_ends.eq(starts & ((c.pool_size == 2) | last_2)),
            whole_2.eq(full_2.any() | (c.pool_size == 1) | starts & (c.pool_size == 2)),
            emits_2.eq(alone_2 | fresh_ends | ends_2.any()),
            Cat(phase_2, window_2).eq(self._following(next_phase, next_window)),
        ]
        if p.groups > 1:
            m.d.comb += pair.eq(~straight & ~emits & (pixel != self.pixels - 1) & (~emits_2 | room))

        ended, stay, free, load, rest, load_second = (
            Signal(OPEN_WINDOWS, name=name) for name in ("ended", "stay", "free", "load", "rest", "load_second")
        )
        pools, emit = Signal(), Signal()
        clip = Signal(2)
        words = Signal(range(2 * OPEN_WINDOWS + 4))
        m.d.comb += [
            ended.eq(Mux(pair, ends_2, ends)),
            stay.eq(opened & ~ended),
            free.eq(~stay),
            load.eq(Mux(starts & ~alone & ~(pair & fresh_ends), free & -free, 0)),  # the lowest free one
            rest.eq(free & ~load),
            load_second.eq(Mux(pair & starts_2 & ~alone_2, rest & -rest, 0)),
            pools.eq(go & ~straight),
            emit.eq(pools & (emits | pair & emits_2)),
            self.emit.eq(Mux(straight, self.valid, held)),
            words.eq(popcount(opened) + starts),
            self.updates.eq(Mux(pools, Mux(pair, 2 * words + starts_2, words) * c.neurons, 0)),
        ]

        base, base_2 = Signal(bits_for(p.neurons)), Signal(bits_for(p.neurons))  # first lanes of both pixels
        m.d.comb += self.ready.eq(go & (pixel == self.pixels - 1 - pair))
        with m.If(go):
            m.d.sync += [
                pixel.eq(pixel + 1 + pair),
                base.eq(Mux(pair, base_2 + c.neurons, base_2)),
                base_2.eq(Mux(pair, base_2 + 2 * c.neurons, base_2 + c.neurons)),
            ]
            with m.If(self.ready):
                m.d.sync += [pixel.eq(0), base.eq(0), base_2.eq(c.neurons)]
        with m.If(emit):
            m.d.sync += [held.eq(1), clip.eq(~Mux(pair, whole_2, whole) | self.clipped_y << 1)]
        with m.Elif(self.emit_ready):
            m.d.sync += held.eq(0)
        with m.If(pools):
            m.d.sync += [
                opened.eq(stay | load | load_second),
                col.eq(col + 1 + pair),
                phase.eq(Mux(pair, phase_2, next_phase)),
                window.eq(Mux(pair, window_2, next_window)),
            ]
            with m.If(Mux(pair, last_2, last_col)):
                m.d.sync += [col.eq(0), phase.eq(0), window.eq(0)]
            for k in range(OPEN_WINDOWS):
                with m.If(load_second[k]):
                    m.d.sync += left[k].eq(c.pool_size - 2)
                with m.Elif(load[k]):
                    m.d.sync += left[k].eq(c.pool_size - 2 - pair)
                with m.Elif(stay[k]):
                    m.d.sync += left[k].eq(left[k] - 1 - pair)
        with m.If(self.start):
            m.d.sync += [col.eq(0), phase.eq(0), window.eq(0), opened.eq(0), base_2.eq(c.neurons)]

        control, active = Signal(row_control()), Signal(p.neurons)
        m.d.comb += [
            active.eq(below(c.neurons, p.neurons)),
            control.pair.eq(pools & pair),
            control.load.eq(Mux(pools, load, 0)),
            control.load_second.eq(Mux(pools, load_second, 0)),
            control.take.eq(Mux(pools, stay, 0)),
            control.ends.eq(Mux(pools, ended, 0)),
            control.second.eq(pair & alone_2),
            control.emit.eq(emit),
            control.average.eq(c.pool == Pool.AVERAGE),
            control.reciprocal.eq(Array(c.reciprocal[i] for i in range(4))[clip]),
        ]
        seconds = self._selected(m, base_2, "second")[: p.neurons // 2] if p.groups > 1 else []
        for n, word in enumerate(self._selected(m, base, "first")):
            lane = shared(m, platform, "pool_row_lane", n, lambda: RowLane(p))
            m.d.comb += [
                lane.control.eq(control),
                lane.active.eq(active[n]),
                lane.word.eq(word),
                self.vector[n].eq(Mux(straight, word, lane.result)),
            ]
            if n < len(seconds):
                m.d.comb += lane.second.eq(seconds[n])
        return m

    def _following(self, phase: Value, window: Value) -> Value:
        """Phase and window of the next column, side by side."""
        wraps = phase == self.config.pool_stride - 1
        return Cat(Mux(wraps, 0, phase + 1)[:POOL_BITS], window + wraps)

    def _selected(self, m: Module, base: Signal, name: str) -> list[Value]:
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
                    shifted = Signal(pooled_layout(p).elem_shape, name=f"{name}_{stage}_{n}")
                    m.d.comb += shifted.eq(Mux(base[stage], current[n + step], word))
                    word = shifted
                chosen.append(word)
            current = chosen
        return [current[n] if n < p.neurons // 2 else given[n] for n in range(p.neurons)]
