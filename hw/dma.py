"""The DMA engine: moves lines between DRAM and the buffers, strictly in order, several reads in flight.

A requester walks the transfers and issues DRAM requests; a consumer follows behind, takes the answers and writes them.
So the next transfer's requests leave while the last one's answers still arrive. A store reads its words as it is
walked: one that stores what an earlier load brings must wait for that load (``wait_dma``).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.isa import Base, Buffer, Isa, Opcode
from hw.signatures import PairAdder, below, instruction_layout, line_layout, pair_layout

TRANSFER_QUEUE = 4


def transfer_layout(isa: Isa) -> data.StructLayout:
    """A queued transfer: its fields and which way it goes."""
    return data.StructLayout({"store": 1, "fields": instruction_layout(isa, Opcode.LOAD)})


def _beat_lines(isa: Isa, beat: Value) -> list[list[Value]]:
    """Words of each line in a beat."""
    p = isa.params
    bits, word = 8 * p.line_bytes, 8 * p.word_bytes
    return [
        [beat[bits * i + word * w : bits * i + word * w + p.fmt.width] for w in range(p.synapses)]
        for i in range(p.lines_per_beat)
    ]


class DmaRequester(Component):
    """Issues the DRAM requests of one transfer after the other.

    Members: head : In(transfer), head_valid, head_ready : the queue. waits_met : In(1), the head may start.
    image, result : In, beat addresses that transfers may be relative to.
    accepted : Out(1), head moves on to the consumer; accept_ready : In(1).
    req_valid, req_write, req_address, req_data, req_mask : Out, req_ready : In. read_room : In(1), a read may be asked.
    store_read, store_source, store_at, store_lanes : Out, store_granted : In, store_line : In(line, the cycle after).
    stored : Out(1), the last line of a store was taken by the DRAM.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "head": In(transfer_layout(isa)),
                "head_valid": In(1),
                "head_ready": Out(1),
                "waits_met": In(1),
                "image": In(isa.beat_bits),
                "result": In(isa.beat_bits),
                "accepted": Out(1),
                "accept_ready": In(1),
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_write": Out(1),
                "req_address": Out(isa.beat_bits),
                "req_data": Out(p.beat_bits),
                "req_mask": Out(p.lines_per_beat),
                "read_room": In(1),
                "store_read": Out(1),
                "store_source": Out(1),
                "store_at": Out(pair_layout(isa)),
                "store_lanes": Out(p.synapses),
                "store_granted": In(1),
                "store_line": In(line_layout(p)),
                "stored": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        per_beat = p.lines_per_beat
        t = Signal(transfer_layout(isa))
        f = t.fields
        busy = Signal()
        run, line = Signal(len(f.runs)), Signal(len(f.lines) + 1)
        run_address = Signal(isa.beat_bits)
        address = Signal(isa.beat_bits)
        last_line, last_run = Signal(), Signal()
        step = Signal()  # the current beat (load) or line (store) is under way
        head = self.head.fields
        origin = Mux(head.base == Base.IMAGE, self.image, Mux(head.base == Base.RESULT, self.result, 0))
        shift = (per_beat - 1).bit_length()
        stride = Mux(t.store, 1, per_beat)
        m.d.comb += [
            self.head_ready.eq(self.accepted),
            self.accepted.eq(self.head_valid & ~busy & self.waits_met & self.accept_ready),
            last_line.eq(line + stride >= f.lines),
            last_run.eq(run == f.runs - 1),
            address.eq(run_address + (line >> shift)),
        ]
        with m.If(self.accepted):
            m.d.sync += [t.eq(self.head), busy.eq(1), run.eq(0), line.eq(0), run_address.eq(origin + head.address)]
        with m.If(step):
            m.d.sync += line.eq(line + stride)
            with m.If(last_line):
                m.d.sync += [line.eq(0), run.eq(run + 1), run_address.eq(run_address + f.run_beats)]
                with m.If(last_run):
                    m.d.sync += busy.eq(0)

        # stores: read a line, then hand it to the DRAM through a short queue
        pairs = PairAdder(m, isa)
        at, run_at = Signal(pair_layout(isa)), Signal(pair_layout(isa))
        entry = data.StructLayout(
            {
                "address": isa.beat_bits,
                "place": max(1, shift),
                "ends": 1,
                "lanes": p.synapses,
                "last": 1,
                "line": line_layout(p),
            }
        )
        reading = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "address": isa.beat_bits,
                    "place": max(1, shift),
                    "ends": 1,
                    "lanes": p.synapses,
                    "last": 1,
                }
            )
        )
        m.submodules.lines = lines = SyncFIFO(width=entry.size, depth=2)
        next_line = pairs.add(at, 1, 0)
        next_run = pairs.add(run_at, f.step_row, f.step_bank)
        with m.If(self.accepted):
            for pair in (at, run_at):
                m.d.sync += [pair.row.eq(head.row), pair.bank.eq(head.bank)]
        with m.If(step & t.store):
            m.d.sync += at.eq(next_line)
            with m.If(last_line):
                m.d.sync += [at.eq(next_run), run_at.eq(next_run)]
        m.d.comb += [
            self.store_read.eq(busy & t.store & (lines.w_level + reading.valid < 2)),
            self.store_source.eq(f.buffer[0]),
            self.store_at.eq(at),
            self.store_lanes.eq(Mux(last_line, below(f.last_words, p.synapses), (1 << p.synapses) - 1)),
        ]
        m.d.sync += [
            reading.valid.eq(self.store_read & self.store_granted),
            reading.address.eq(address),
            reading.place.eq(line[:shift] if shift else 0),
            reading.ends.eq(last_line),
            reading.lanes.eq(self.store_lanes),
            reading.last.eq(last_line & last_run),
        ]
        pushed, out = Signal(entry), Signal(entry)
        m.d.comb += [
            pushed.address.eq(reading.address),
            pushed.place.eq(reading.place),
            pushed.ends.eq(reading.ends),
            pushed.lanes.eq(reading.lanes),
            pushed.last.eq(reading.last),
            pushed.line.eq(self.store_line),
            lines.w_data.eq(pushed),
            lines.w_en.eq(reading.valid),
            out.eq(lines.r_data),
        ]
        words = [Mux(out.lanes[w], out.line[w], 0) for w in range(p.synapses)]
        padded = Signal(8 * p.line_bytes)
        m.d.comb += padded.eq(Cat(*(self._extend(word, 8 * p.word_bytes) for word in words)))

        # a queued line goes before the next load's reads; both are never under way for one transfer
        m.d.comb += [
            self.req_write.eq(lines.r_rdy),
            self.req_valid.eq(lines.r_rdy | (busy & ~t.store & self.read_room & ~reading.valid)),
            self.req_address.eq(Mux(self.req_write, out.address, address)),
            # the line in its place; the beat in which a run ends is filled up with zero lines
            self.req_data.eq(Cat(*(Mux(out.place == k, padded, 0) for k in range(per_beat)))),
            self.req_mask.eq(
                Cat(
                    (out.place == k) | (out.ends & Cat(out.place == j for j in range(k)).any()) for k in range(per_beat)
                )
            ),
            lines.r_en.eq(self.req_ready & self.req_write),
            self.stored.eq(lines.r_en & lines.r_rdy & out.last),
            step.eq(
                Mux(
                    t.store,
                    self.store_read & self.store_granted,
                    self.req_valid & self.req_ready & ~self.req_write,
                )
                & busy
            ),
        ]
        return m

    @staticmethod
    def _extend(word: Value, bits: int) -> Value:
        return Cat(word, *([word[-1]] * (bits - len(word))))


class DmaConsumer(Component):
    """Takes the answers of the loads in order and writes them into the buffers; retires stores in order.

    Members: push : In(1), transfer : In; ready : Out(1). stored : In(1), a store's lines are all in DRAM.
    beat_valid, beat : In, beat_taken : Out(1).
    line_write, line_target, line_at, line_lanes, line : Out, line_granted : In, to a neuron buffer.
    sb_write : Out(neurons), sb_row, sb_lanes : Out, sb_lines : Out(line per neuron), sb_granted : In.
    retired : Out(1), a transfer is complete.
    Timing: a line a cycle into a neuron buffer, a beat a cycle into SB.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "push": In(1),
                "transfer": In(transfer_layout(isa)),
                "ready": Out(1),
                "stored": In(1),
                "beat_valid": In(1),
                "beat": In(p.beat_bits),
                "beat_taken": Out(1),
                "line_write": Out(1),
                "line_target": Out(1),
                "line_at": Out(pair_layout(isa)),
                "line_lanes": Out(p.synapses),
                "line": Out(line_layout(p)),
                "line_granted": In(1),
                "sb_write": Out(p.neurons),
                "sb_row": Out(isa.sb_row_bits),
                "sb_lanes": Out(p.synapses),
                "sb_lines": Out(data.ArrayLayout(line_layout(p), p.lines_per_beat)),
                "sb_granted": In(1),
                "retired": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        per_beat = p.lines_per_beat
        layout = transfer_layout(isa)
        m.submodules.queue = queue = SyncFIFO(width=layout.size, depth=TRANSFER_QUEUE)
        pairs = PairAdder(m, isa)
        t = Signal(layout)
        f = t.fields
        busy = Signal()
        run, line, stored = Signal(len(f.runs)), Signal(len(f.lines) + 1), Signal(range(TRANSFER_QUEUE + 2))
        at, run_at = Signal(pair_layout(isa)), Signal(pair_layout(isa))
        to_sb, step, last_line, last_run = Signal(), Signal(), Signal(), Signal()
        stride = Mux(to_sb, per_beat, 1)
        place = line[: (per_beat - 1).bit_length()] if per_beat > 1 else 0
        lines = _beat_lines(isa, self.beat)
        m.d.comb += [
            queue.w_data.eq(self.transfer),
            queue.w_en.eq(self.push),
            self.ready.eq(queue.w_rdy),
            to_sb.eq(f.buffer == Buffer.SB),
            last_line.eq(line + stride >= f.lines),
            last_run.eq(run == f.runs - 1),
            self.line_write.eq(busy & ~t.store & ~to_sb & self.beat_valid),
            self.line_target.eq(f.buffer[0]),
            self.line_at.eq(at),
            self.line_lanes.eq(Mux(last_line, below(f.last_words, p.synapses), (1 << p.synapses) - 1)),
            self.line.eq(self._choose(lines, place)),
            self.sb_row.eq(f.row + run),
            self.sb_lanes.eq(Mux(last_run, below(f.last_words, p.synapses), (1 << p.synapses) - 1)),
            self.beat_taken.eq(step & (to_sb | last_line | (place == per_beat - 1))),
        ]
        for i in range(per_beat):
            m.d.comb += self.sb_lines[i].eq(Cat(*lines[i]))
        offer = busy & ~t.store & to_sb & self.beat_valid
        for n in range(p.neurons):
            here = (line <= n) & (n < line + per_beat) & (n < f.lines)
            m.d.comb += self.sb_write[n].eq(offer & here)
        m.d.comb += step.eq((self.line_write & self.line_granted) | (offer & self.sb_granted))

        next_line = pairs.add(at, 1, 0)
        next_run = pairs.add(run_at, f.step_row, f.step_bank)
        m.d.sync += stored.eq(stored + self.stored - (busy & t.store & self.retired))
        with m.If(step):
            m.d.sync += [line.eq(line + stride), at.eq(next_line)]
            with m.If(last_line):
                m.d.sync += [line.eq(0), run.eq(run + 1), at.eq(next_run), run_at.eq(next_run)]
        m.d.comb += self.retired.eq(busy & Mux(t.store, stored != 0, step & last_line & last_run))
        with m.If(self.retired):
            m.d.sync += busy.eq(0)
        with m.If(~busy | self.retired):
            m.d.comb += queue.r_en.eq(1)
            with m.If(queue.r_rdy):
                m.d.sync += [t.eq(queue.r_data), busy.eq(1), run.eq(0), line.eq(0)]
                coming = data.View(layout, queue.r_data).fields
                for pair in (at, run_at):
                    m.d.sync += [pair.row.eq(coming.row), pair.bank.eq(coming.bank)]
        return m

    def _choose(self, lines: list[list[Value]], place: Value | int) -> Value:
        chosen: Value = Cat(*lines[0])
        for i in range(1, len(lines)):
            chosen = Mux(place == i, Cat(*lines[i]), chosen)
        return chosen


class Dma(Component):
    """Requester, answers in flight and consumer in one. Members as of the two parts, and:

    head, head_valid, head_ready : the transfer queue. dma_done : Out, transfers finished since ``clear``.
    rsp_valid, rsp : In, answers to this engine's reads (taken at once). read_done, written : In, for the waits.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        self.requester = DmaRequester(isa)
        self.consumer = DmaConsumer(isa)
        sync = isa.fields[Opcode.LOAD][0].width
        super().__init__(
            {
                "head": In(transfer_layout(isa)),
                "head_valid": In(1),
                "head_ready": Out(1),
                "clear": In(1),
                "dma_done": Out(sync),
                "read_done": In(sync),
                "written": In(sync),
                "rsp_valid": In(1),
                "rsp": In(isa.params.beat_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._isa.params
        m.submodules.requester = requester = self.requester
        m.submodules.consumer = consumer = self.consumer
        m.submodules.answers = answers = SyncFIFO(width=p.beat_bits, depth=p.dram_outstanding)
        reserved = Signal(range(p.dram_outstanding + 1))
        asked = requester.req_valid & requester.req_ready & ~requester.req_write
        waits = self.head.fields
        m.d.comb += [
            requester.head.eq(self.head),
            requester.head_valid.eq(self.head_valid),
            self.head_ready.eq(requester.head_ready),
            requester.waits_met.eq(
                (self.dma_done >= waits.wait_dma)
                & (self.read_done >= waits.wait_read)
                & (self.written >= waits.wait_written)
            ),
            requester.accept_ready.eq(consumer.ready),
            requester.read_room.eq(reserved != p.dram_outstanding),
            consumer.push.eq(requester.accepted),
            consumer.transfer.eq(self.head),
            consumer.stored.eq(requester.stored),
            answers.w_data.eq(self.rsp),
            answers.w_en.eq(self.rsp_valid),
            consumer.beat.eq(answers.r_data),
            consumer.beat_valid.eq(answers.r_rdy),
            answers.r_en.eq(consumer.beat_taken),
        ]
        m.d.sync += reserved.eq(reserved + asked - (consumer.beat_taken & answers.r_rdy))
        with m.If(self.clear):
            m.d.sync += self.dma_done.eq(0)
        with m.Elif(consumer.retired):
            m.d.sync += self.dma_done.eq(self.dma_done + 1)
        return m
