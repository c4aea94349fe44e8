"""Instruction fetch: reads a whole segment from DRAM, in order, a few instructions ahead."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.isa import SYNC_BITS, Isa

FETCH_AHEAD = 8
# Instructions that are asked for one behind the other, once there is room for them: one alone sends the DRAM from the
# row of the weights to its own and back.
FETCH_TOGETHER = 4
# Until a segment's first compute runs, all but so many instructions come behind the words it waits for.
FETCH_FIRST = 1


class Fetch(Component):
    """Members: start : In(1), address (beats), length (instructions) : In, begin a segment (only when done). extend :
    In(1), ``length`` instructions more follow, while some of those before are to be taken.
    req_valid, req_address : Out, req_ready : In. rsp_valid, rsp : In, answers to this block's reads. working : In(1), a
    compute of the segment starts. yields : Out(1), the request may wait for others: none has, and ``FETCH_FIRST``
    instructions are asked for or held.
    valid, instruction : Out, ready : In. done : Out(1), every instruction of the segment was taken.
    Timing: up to ``FETCH_AHEAD`` instructions are asked for or held; once there is room for ``FETCH_TOGETHER``, as many
    as there is room for. The whole segment is always read, so that the number of bursts does not depend on where it is
    left.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        super().__init__(
            {
                "start": In(1),
                "extend": In(1),
                "address": In(isa.beat_bits),
                "length": In(SYNC_BITS),
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_address": Out(isa.beat_bits),
                "working": In(1),
                "yields": Out(1),
                "rsp_valid": In(1),
                "rsp": In(isa.params.beat_bits),
                "valid": Out(1),
                "ready": In(1),
                "instruction": Out(isa.instruction_bits),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa = self._isa
        beats = isa.instruction_beats
        m.submodules.queue = queue = SyncFIFO(width=isa.instruction_bits, depth=FETCH_AHEAD)
        left, untaken = Signal(SYNC_BITS), Signal(SYNC_BITS)
        beat, arrived = Signal(range(beats + 1)), Signal(range(beats + 1))
        held = Signal(range(FETCH_AHEAD + 1))
        ask, take, full, low, filling, worked = Signal(), Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.sync += filling.eq((filling | low) & ~full)
        m.d.comb += [
            full.eq(held == FETCH_AHEAD),
            low.eq(held <= FETCH_AHEAD - FETCH_TOGETHER),
            self.req_valid.eq((left != 0) & ((beat != 0) | low | (filling & ~full))),
            self.yields.eq(~worked & (held >= FETCH_FIRST)),
            ask.eq(self.req_valid & self.req_ready),
            self.valid.eq(queue.r_rdy),
            self.instruction.eq(queue.r_data),
            take.eq(self.valid & self.ready),
            queue.r_en.eq(take),
            self.done.eq(untaken == 0),
        ]
        m.d.sync += held.eq(held + (ask & (beat == 0)) - take)
        with m.If(self.working):
            m.d.sync += worked.eq(1)
        with m.If(ask):
            m.d.sync += [self.req_address.eq(self.req_address + 1), beat.eq(beat + 1)]
            with m.If(beat == beats - 1):
                m.d.sync += beat.eq(0)
        more = Mux(self.extend, self.length, 0)
        m.d.sync += [left.eq(left - (ask & (beat == beats - 1)) + more), untaken.eq(untaken - take + more)]
        parts = Signal(isa.instruction_bits)
        m.d.comb += queue.w_data.eq(Cat(parts[isa.params.beat_bits :], self.rsp))
        with m.If(self.rsp_valid):
            m.d.sync += [parts.eq(queue.w_data), arrived.eq(arrived + 1)]
            with m.If(arrived == beats - 1):
                m.d.comb += queue.w_en.eq(1)
                m.d.sync += arrived.eq(0)
        with m.If(self.start):
            m.d.sync += [left.eq(self.length), untaken.eq(self.length), self.req_address.eq(self.address)]
            m.d.sync += worked.eq(0)
        return m
