"""Control: host registers, dispatch of a program, the capacity register and the walk from increment to increment."""

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from hw.dma import transfer_layout
from hw.host import HostRegister, Mode, host_port
from hw.instructions import ENTRY_AHEAD, INCREMENT_BITS
from hw.isa import OPCODE_BITS, SYNC_BITS, Isa, Opcode
from hw.signatures import instruction_layout


class State(enum.Enum, shape=unsigned(3)):
    IDLE = 0
    ENTER = 1
    RUN = 2
    DECIDE = 3
    LEAVE = 4
    FINISH = 5


class Control(Component):
    """Members: host : In(host_port). start : In(1), program : In, beat address of its Entry.
    busy : Out(1), done : Out(1), one cycle at the end of an image. increment_edge : Out(1), one cycle when an
    increment has ended and its counters are taken; stopped : Out, the increment it was.
    fetch_start, fetch_extend, fetch_address, fetch_length : Out, fetch_valid, instruction : In, fetch_ready : Out,
    fetch_done : In.
    transfer_valid, transfer : Out, transfer_ready : In. compute_valid, compute : Out, compute_ready : In.
    dma_done, written : In, still : In(1), no unit has work in flight.
    clear_sync : Out(1), a segment begins. clear_counters : Out(1), an image begins.
    decide : Out(1), decided, below : In, threshold : Out, softmax : Out, the margin controller.
    executed, decision : Out(1), events. fault : Out(1), an unknown opcode was fetched; sticky.
    Of a tile with budget: allowed : In, largest increment that the budgets allow; settled : In(1), no image is started
    without; capacity : Out, the largest increment that the host and the budgets allow.

    Timing: an instruction a cycle is dispatched while queues have room. Capacity and thresholds act at the next
    decision (capacity also at the next start).
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "host": In(host_port()),
                "start": In(1),
                "program": In(isa.beat_bits),
                "busy": Out(1),
                "done": Out(1),
                "increment_edge": Out(1),
                "stopped": Out(INCREMENT_BITS),
                "fetch_start": Out(1),
                "fetch_extend": Out(1),
                "fetch_address": Out(isa.beat_bits),
                "fetch_length": Out(SYNC_BITS),
                "fetch_valid": In(1),
                "fetch_ready": Out(1),
                "fetch_done": In(1),
                "instruction": In(isa.instruction_bits),
                "transfer_valid": Out(1),
                "transfer": Out(transfer_layout(isa)),
                "transfer_ready": In(1),
                "compute_valid": Out(1),
                "compute_is_window": Out(1),
                "compute_ready": In(1),
                "still": In(1),
                "clear_sync": Out(1),
                "clear_counters": Out(1),
                "decide": Out(1),
                "decided": In(1),
                "below": In(1),
                "threshold": Out(64),
                "softmax": Out(1),
                "executed": Out(1),
                "decision": Out(1),
                "fault": Out(1),
                **(
                    {"allowed": In(INCREMENT_BITS), "settled": In(1), "capacity": Out(INCREMENT_BITS)}
                    if p.budget
                    else {}
                ),
            }
        )
        self._increments = p.increments

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa = self._isa
        highest = Signal(INCREMENT_BITS, init=self._increments - 1, name="capacity")
        mode = Signal(Mode)
        thresholds = [Signal(64, name=f"threshold_{i}") for i in range(self._increments)]
        with m.If(self.host.write):
            with m.Switch(self.host.address):
                with m.Case(HostRegister.CAPACITY):
                    m.d.sync += highest.eq(self.host.data)
                with m.Case(HostRegister.MODE):
                    m.d.sync += mode.as_value().eq(self.host.data)
                for i, register in enumerate(thresholds):
                    with m.Case(HostRegister.THRESHOLD + i):
                        m.d.sync += register.eq(self.host.data)

        capacity: Value = highest
        go: Value = self.start
        if isa.params.budget:
            m.d.comb += self.capacity.eq(Mux(self.allowed < highest, self.allowed, highest))
            capacity, go = self.capacity, self.start & self.settled

        state = Signal(State)
        opcode = self.instruction[:OPCODE_BITS]
        body = self.instruction[OPCODE_BITS:]

        def fields(kind: Opcode) -> data.View:
            layout = instruction_layout(isa, kind)
            return data.View(layout, body[: layout.size])

        entry, decide = fields(Opcode.ENTRY), fields(Opcode.DECIDE)
        first = Mux(mode.direct, capacity, 0)
        is_transfer, is_compute = Signal(), Signal()
        escalate = Signal()
        m.d.comb += [
            self.busy.eq(state != State.IDLE),
            self.softmax.eq(mode.softmax),
            self.threshold.eq(Array(thresholds)[self.stopped]),
            self.transfer.store.eq(opcode == Opcode.STORE),
            self.transfer.fields.eq(fields(Opcode.LOAD)),
            self.compute_is_window.eq(opcode == Opcode.WINDOW),
            is_transfer.eq((opcode == Opcode.LOAD) | (opcode == Opcode.STORE)),
            is_compute.eq((opcode == Opcode.WINDOW) | (opcode == Opcode.COMPUTE)),
            escalate.eq(self.below & ~decide.last & (self.stopped < capacity)),
        ]
        next_address, next_length, length = Signal(isa.beat_bits), Signal(SYNC_BITS), Signal(SYNC_BITS)
        m.d.comb += [self.fetch_address.eq(next_address), self.fetch_length.eq(next_length)]

        with m.Switch(state):
            with m.Case(State.IDLE):
                behind = Mux(first == 0, ENTRY_AHEAD, 0)  # of increment 0's segment
                m.d.comb += [self.fetch_address.eq(self.program), self.fetch_length.eq(1 + behind)]
                with m.If(go):
                    m.d.comb += [self.fetch_start.eq(1), self.clear_counters.eq(1)]
                    m.d.sync += [self.stopped.eq(first), state.eq(State.ENTER)]
            with m.Case(State.ENTER):  # the Entry, then the segment it names
                m.d.comb += [
                    self.fetch_ready.eq(1),
                    self.executed.eq(self.fetch_valid),
                    next_address.eq(Array(entry.address[i] for i in range(self._increments))[self.stopped]),
                    length.eq(Array(entry.length[i] for i in range(self._increments))[self.stopped]),
                    next_length.eq(length - Mux(self.stopped == 0, ENTRY_AHEAD, 0)),
                ]
                with m.If(self.fetch_valid):
                    m.d.comb += [self.fetch_start.eq(self.stopped != 0), self.fetch_extend.eq(self.stopped == 0)]
                    m.d.comb += self.clear_sync.eq(1)
                    m.d.sync += state.eq(State.RUN)
                    with m.If(opcode != Opcode.ENTRY):
                        m.d.sync += self.fault.eq(1)
            with m.Case(State.RUN):
                with m.If(self.fetch_valid):
                    with m.If(is_transfer):
                        m.d.comb += [self.transfer_valid.eq(1), self.fetch_ready.eq(self.transfer_ready)]
                    with m.Elif(is_compute):
                        m.d.comb += [self.compute_valid.eq(1), self.fetch_ready.eq(self.compute_ready)]
                    with m.Elif(opcode == Opcode.DECIDE):
                        with m.If(self.still):
                            m.d.sync += [self.stopped.eq(decide.increment), state.eq(State.DECIDE)]
                    with m.Elif(opcode == Opcode.END):
                        with m.If(self.still):
                            m.d.comb += self.fetch_ready.eq(1)
                            m.d.sync += state.eq(State.FINISH)
                    with m.Else():
                        m.d.sync += self.fault.eq(1)
                m.d.comb += self.executed.eq(self.fetch_valid & self.fetch_ready)
            with m.Case(State.DECIDE):
                m.d.comb += self.decide.eq(1)
                with m.If(self.decided):
                    m.d.comb += [self.decision.eq(1), self.fetch_ready.eq(1), self.executed.eq(1)]
                    m.d.sync += state.eq(Mux(escalate, State.LEAVE, State.RUN))
                m.d.comb += [next_address.eq(decide.address), next_length.eq(decide.length)]
            with m.Case(State.LEAVE):  # the rest of the segment is fetched and dropped
                m.d.comb += self.fetch_ready.eq(1)
                with m.If(self.fetch_done):
                    m.d.comb += [self.increment_edge.eq(1), self.fetch_start.eq(1), self.clear_sync.eq(1)]
                    m.d.sync += [self.stopped.eq(self.stopped + 1), state.eq(State.RUN)]
            with m.Case(State.FINISH):
                with m.If(self.fetch_done):
                    m.d.comb += [self.increment_edge.eq(1), self.done.eq(1)]
                    m.d.sync += state.eq(State.IDLE)
        left_address, left_length = Signal(isa.beat_bits), Signal(SYNC_BITS)
        with m.If(self.decision):
            m.d.sync += [left_address.eq(decide.address), left_length.eq(decide.length)]
        with m.If(state == State.LEAVE):
            m.d.comb += [next_address.eq(left_address), next_length.eq(left_length)]
        return m
