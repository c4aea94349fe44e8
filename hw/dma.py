"""The DMA engine: moves beats between DRAM and the buffers, strictly in order, several reads in flight.

A requester walks the transfers and issues DRAM requests; a consumer follows behind, takes the answers and writes them.
So the next transfer's requests leave while the last one's answers still arrive. A store reads its words as it is
walked: one that stores what an earlier load brings must wait for that load (``wait_dma``).
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from hw.isa import Base, Buffer, Isa, Opcode
from hw.params import bits_for
from hw.signatures import (
    LOADED,
    PairAdder,
    beat_layout,
    below,
    instruction_layout,
    line_layout,
    pair_layout,
    used_cells,
)

TRANSFER_QUEUE = 4
STORE_QUEUE = 3  # beats; what a beat a cycle takes
# Cycles that a load's beat waits for banks that the compute engine leaves free, before it takes them. Fewer cost the
# engine its reads, more let loads fall behind: 6 is best over the fractions of the networks on paper32 and paper16.
PATIENCE = 6


def transfer_layout(isa: Isa) -> data.StructLayout:
    """A queued transfer: its fields and which way it goes."""
    return data.StructLayout({"store": 1, "fields": instruction_layout(isa, Opcode.LOAD)})


def _beat_lines(isa: Isa, beat: Value) -> list[Value]:
    """The weight lines of a beat."""
    p = isa.params
    line, word = 8 * p.line_bytes, 8 * p.word_bytes
    return [
        Cat(beat[line * i + word * w : line * i + word * w + p.fmt.width] for w in range(p.synapses))
        for i in range(p.lines_per_beat)
    ]


def _beat_words(isa: Isa, beat: Value) -> Value:
    """The words of a map in a beat."""
    p = isa.params
    word = 8 * p.word_bytes
    return Cat(beat[word * w : word * w + p.fmt.width] for w in range(p.beat_words))


class DmaRequester(Component):
    """Issues the DRAM requests of one transfer after the other.

    Members: head : In(transfer), head_valid, head_ready : the queue. waits_met : In(1), the head may start.
    image, result : In, beat addresses that transfers may be relative to.
    accepted : Out(1), head moves on to the consumer; accept_ready : In(1).
    req_valid, req_write, req_address, req_data, req_mask : Out, req_ready : In. read_room : In(1), a read may be asked.
    store_read, store_source, store_at, store_mask : Out, store_granted : In, store_words : In(beat, the cycle after).
    stored : Out(1), the last beat of a store was taken by the DRAM.
    Timing: a request a cycle, reads and, two cycles behind a buffer's words, writes.
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
                "store_mask": Out(p.beat_words),
                "store_granted": In(1),
                "store_words": In(beat_layout(p)),
                "stored": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        t = Signal(transfer_layout(isa))
        f = t.fields
        busy = Signal()
        run, place = Signal(len(f.runs)), Signal(len(f.length) + 1)  # place: beats or weight lines of the run so far
        run_address, address = Signal(isa.beat_bits), Signal(isa.beat_bits)
        next_place, next_run_address = Signal.like(place), Signal.like(run_address)
        last_beat, last_run = Signal(), Signal()
        step = Signal()  # the current beat is under way
        head = self.head.fields
        first = Signal(isa.beat_bits)
        base = Mux(head.base == Base.IMAGE, self.image, Mux(head.base == Base.RESULT, self.result, 0))
        m.d.comb += [
            first.eq(base + head.address),
            self.head_ready.eq(self.accepted),
            self.accepted.eq(self.head_valid & ~busy & self.waits_met & self.accept_ready),
            next_place.eq(place + Mux(f.buffer == Buffer.SB, p.lines_per_beat, 1)),
            next_run_address.eq(run_address + f.run_beats),
            last_beat.eq(next_place >= f.length),
            last_run.eq(run == f.runs - 1),
        ]
        with m.If(self.accepted):
            m.d.sync += [t.eq(self.head), busy.eq(1), run.eq(0), place.eq(0), run_address.eq(first), address.eq(first)]
        with m.If(step):
            m.d.sync += [place.eq(next_place), address.eq(address + 1)]
            with m.If(last_beat):
                m.d.sync += [place.eq(0), run.eq(run + 1)]
                m.d.sync += [address.eq(next_run_address), run_address.eq(next_run_address)]
                with m.If(last_run):
                    m.d.sync += busy.eq(0)

        # stores: read a beat of words, then hand it to the DRAM through a short queue
        pairs = PairAdder(m, isa)
        at, run_at = Signal(pair_layout(isa)), Signal(pair_layout(isa))
        entry = data.StructLayout({"address": isa.beat_bits, "last": 1, "words": beat_layout(p)})
        m.submodules.beats = beats = SyncFIFO(width=entry.size, depth=STORE_QUEUE)
        out = Signal(entry)
        reading, mask_read = Signal(), Signal(p.beat_words)  # the beat whose words arrive
        address_read, last_read = Signal(isa.beat_bits), Signal()
        next_beat = pairs.add(at, 0, p.beat_cells)
        next_run = pairs.add(run_at, f.step_row, f.step_bank)
        with m.If(self.accepted):
            for pair in (at, run_at):
                m.d.sync += [pair.row.eq(head.row), pair.bank.eq(head.bank)]
        with m.If(step & t.store):
            m.d.sync += at.eq(next_beat)
            with m.If(last_beat):
                m.d.sync += [at.eq(next_run), run_at.eq(next_run)]
        m.d.comb += [
            self.store_read.eq(busy & t.store & (beats.w_level + reading < STORE_QUEUE)),
            self.store_source.eq(f.buffer[0]),
            self.store_at.eq(at),
            self.store_mask.eq(Mux(last_beat, below(f.last_words, p.beat_words), (1 << p.beat_words) - 1)),
        ]
        m.d.sync += reading.eq(self.store_read & self.store_granted)
        with m.If(self.store_read & self.store_granted):
            m.d.sync += [
                mask_read.eq(self.store_mask),
                address_read.eq(address),
                last_read.eq(last_beat & last_run),
            ]
        words = [Mux(mask_read[w], self.store_words[w], 0) for w in range(p.beat_words)]
        m.d.comb += [
            beats.w_data.eq(Cat(address_read, last_read, *words)),
            beats.w_en.eq(reading),
            out.eq(beats.r_data),
        ]

        # a queued beat goes before the next load's reads; both are never under way for one transfer
        m.d.comb += [
            self.req_write.eq(beats.r_rdy),
            self.req_valid.eq(beats.r_rdy | (busy & ~t.store & self.read_room & ~reading)),
            self.req_address.eq(Mux(self.req_write, out.address, address)),
            self.req_data.eq(Cat(self._extend(out.words[w], 8 * p.word_bytes) for w in range(p.beat_words))),
            self.req_mask.eq((1 << p.lines_per_beat) - 1),
            beats.r_en.eq(self.req_ready & self.req_write),
            self.stored.eq(beats.r_en & beats.r_rdy & out.last),
        ]
        with m.If(t.store):
            m.d.comb += step.eq(self.store_read & self.store_granted)
        with m.Else():
            m.d.comb += step.eq(self.req_valid & self.req_ready & ~self.req_write)
        return m

    @staticmethod
    def _extend(word: Value, bits: int) -> Value:
        return Cat(word, *([word[-1]] * (bits - len(word))))


class DmaConsumer(Component):
    """Takes the answers of the loads in order and writes them into the buffers; retires stores in order.

    Members: push : In(1), transfer : In; ready : Out(1). stored : In(1), a store's beats are all in DRAM.
    beat_valid, beat : In, beat_taken : Out(1).
    load_target : Out, of load_at, load_mask, load_words : Out, a beat of words to a neuron buffer; load_cells :
    Out(beat_cells) of it that are still to be written, load_written : In(beat_cells) of those: they are. late_* :
    likewise the beat before, put aside with its last cells so that the next one may begin. urgent : Out(1), they have
    waited. load_taken : Out(1), the beat is all written or put aside; a transfer's last one only when nothing waits.
    sb_write : Out(neurons) that take one of sb_lines, Out(lines of the beat): neuron m takes sb_pick[m];
    sb_row, sb_lanes : Out, sb_granted : In. weights : Out(1), beats are for SB.
    retired : Out(1), a transfer is complete.
    Timing: a beat a cycle.
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
                "load_target": Out(1),
                "load_taken": Out(1),
                "urgent": Out(1),
                **{f"{beat}_at": Out(pair_layout(isa)) for beat in LOADED},
                **{f"{beat}_mask": Out(p.beat_words) for beat in LOADED},
                **{f"{beat}_words": Out(beat_layout(p)) for beat in LOADED},
                **{f"{beat}_cells": Out(p.beat_cells) for beat in LOADED},
                **{f"{beat}_written": In(p.beat_cells) for beat in LOADED},
                "sb_write": Out(p.neurons),
                "sb_row": Out(isa.sb_row_bits),
                "sb_lanes": Out(p.synapses),
                "sb_lines": Out(data.ArrayLayout(line_layout(p), p.lines_per_beat)),
                "sb_pick": Out(data.ArrayLayout(bits_for(p.lines_per_beat), p.neurons)),
                "sb_granted": In(1),
                "weights": Out(1),
                "retired": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        layout = transfer_layout(isa)
        m.submodules.queue = queue = SyncFIFO(width=layout.size, depth=TRANSFER_QUEUE)
        pairs = PairAdder(m, isa)
        t = Signal(layout)
        f = t.fields
        busy = Signal()
        run, place = Signal(len(f.runs)), Signal(len(f.length) + 1)  # place: beats or weight lines of the run so far
        next_place, stored = Signal.like(place), Signal(range(TRANSFER_QUEUE + 2))
        at, run_at = Signal(pair_layout(isa)), Signal(pair_layout(isa))
        to_sb, last_beat, last_run, loading = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            queue.w_data.eq(self.transfer),
            queue.w_en.eq(self.push),
            self.ready.eq(queue.w_rdy),
            to_sb.eq(f.buffer == Buffer.SB),
            next_place.eq(place + Mux(to_sb, p.lines_per_beat, 1)),
            last_beat.eq(next_place >= f.length),
            last_run.eq(run == f.runs - 1),
            loading.eq(busy & ~t.store & ~to_sb & self.beat_valid),
            self.load_target.eq(f.buffer[0]),
            self.load_at.eq(at),
            self.load_mask.eq(Mux(last_beat, below(f.last_words, p.beat_words), (1 << p.beat_words) - 1)),
            self.load_words.eq(_beat_words(isa, self.beat)),
            self.sb_row.eq(f.row + run),
            self.sb_lanes.eq(Mux(last_run, below(f.last_words, p.synapses), (1 << p.synapses) - 1)),
            *(self.sb_lines[i].eq(line) for i, line in enumerate(_beat_lines(isa, self.beat))),
        ]
        offer = Signal()
        m.d.comb += [self.weights.eq(busy & ~t.store & to_sb), offer.eq(self.weights & self.beat_valid)]
        size = bits_for(p.neurons + 1)
        taking = Signal(p.neurons)  # neurons of the groups
        m.d.comb += taking.eq(below(f.length[:size] * f.groups, p.neurons))
        for n in range(p.neurons):
            line = Signal(bits_for(p.neurons), name=f"line_{n}")  # of the run, that the neuron takes
            bits = len(line)
            table = Const(sum(n % max(k, 1) << k * bits for k in range(p.neurons + 1)), (p.neurons + 1) * bits)
            m.d.comb += [
                line.eq(table.word_select(f.length[:size], bits)),
                self.sb_pick[n].eq(line[: (p.lines_per_beat - 1).bit_length()]),  # place counts in whole beats
                self.sb_write[n].eq(offer & taking[n] & (place <= line) & (line < next_place)),
            ]

        self._load(m, loading, last_beat & last_run)

        next_beat = pairs.add(at, 0, p.beat_cells)
        next_run = pairs.add(run_at, f.step_row, f.step_bank)
        m.d.sync += stored.eq(stored + self.stored - (busy & t.store & self.retired))
        m.d.comb += self.beat_taken.eq(self.load_taken | (offer & self.sb_granted))
        with m.If(self.beat_taken):
            m.d.sync += [place.eq(next_place), at.eq(next_beat)]
            with m.If(last_beat):
                m.d.sync += [place.eq(0), run.eq(run + 1), at.eq(next_run), run_at.eq(next_run)]
        m.d.comb += self.retired.eq(busy & Mux(t.store, stored != 0, self.beat_taken & last_beat & last_run))
        with m.If(self.retired):
            m.d.sync += busy.eq(0)
        with m.If(~busy | self.retired):
            m.d.comb += queue.r_en.eq(1)
            with m.If(queue.r_rdy):
                m.d.sync += [t.eq(queue.r_data), busy.eq(1), run.eq(0), place.eq(0)]
                coming = data.View(layout, queue.r_data).fields
                for pair in (at, run_at):
                    m.d.sync += [pair.row.eq(coming.row), pair.bank.eq(coming.bank)]
        return m

    def _load(self, m: Module, loading: Value, final: Value) -> None:
        """The cells of a beat, and of the one before, as their banks become free."""
        p = self._isa.params
        done, left, late_left = Signal(p.beat_cells), Signal(p.beat_cells), Signal(p.beat_cells)
        waited, waits, late_waits = Signal(range(PATIENCE + 1)), left.any(), late_left.any()
        m.d.comb += [
            self.load_cells.eq(Mux(loading, used_cells(p, self.load_mask) & ~done, 0)),
            left.eq(self.load_cells & ~self.load_written),
            late_left.eq(self.late_cells & ~self.late_written),
            self.load_taken.eq(loading & ~Mux(final, waits | late_waits, waits & late_waits)),
            self.urgent.eq(waited == PATIENCE),
        ]
        m.d.sync += self.late_cells.eq(late_left)
        with m.If(self.load_taken):
            m.d.sync += [done.eq(0), waited.eq(0)]
            with m.If(waits):
                m.d.sync += [
                    self.late_at.eq(self.load_at),
                    self.late_mask.eq(self.load_mask),
                    self.late_words.eq(self.load_words),
                    self.late_cells.eq(left),
                ]
        with m.Elif(loading):
            m.d.sync += [done.eq(done | self.load_written), waited.eq(Mux(self.urgent, waited, waited + 1))]


class Dma(Component):
    """Requester, answers in flight and consumer in one. Members as of the two parts, and:

    head, head_valid, head_ready : the transfer queue. dma_done : Out, transfers finished since ``clear``.
    rsp_valid, rsp : In, answers to this engine's reads (taken at once). read_done, written : In, for the waits.
    crowded : Out(1), in the cycle before ``crowd`` answers or more were waiting for SB.
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
                "crowded": Out(1),
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
        m.d.sync += self.crowded.eq(consumer.weights & (answers.level >= p.crowd))
        m.d.sync += reserved.eq(reserved + asked - (consumer.beat_taken & answers.r_rdy))
        with m.If(self.clear):
            m.d.sync += self.dma_done.eq(0)
        with m.Elif(consumer.retired):
            m.d.sync += self.dma_done.eq(self.dma_done + 1)
        return m
