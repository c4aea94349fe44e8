"""All neurons of the tile and the pipeline that drives them: stages 1 to 4 behind the compute engine's issue."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.compute import fetch_layout, step_layout
from hw.events import COUNTER_BITS
from hw.instructions import LIMB_BITS
from hw.isa import Isa
from hw.neuron import NEURON_TOGGLES, Neuron
from hw.params import bits_for
from hw.pool import pool_control, pooled_layout
from hw.shared import shared
from hw.signatures import line_layout, popcount, result_layout, row_layout, wide_layout
from hw.toggles import registers
from hw.window import lanes_layout


class NfuArray(Component):
    """Members: issue, step : In, fetch : In, of stage 0. line : In(row of a buffer), the gathered words, at stage 1.
    sb_write : In(neurons), sb_row, sb_lanes : In, sb_lines : In, and which of them each neuron takes, sb_pick : In;
    sb_granted : Out, DMA's writes into SB; reads go first.
    complete : Out, how many accumulators got their last sum. drain_index, relu, limb, limb_top : In, words, wide : Out.
    pool : In(control), pool_words : In, pooled : Out, vertical pooling in neurons below ``neurons`` : In; those below
    ``readers`` : In read.
    products, accumulates, gated, sb_reads : Out, events of the cycle. clear : In, toggles : Out (activity only).

    A step's operands are registers of its own for each pixel, see WindowLanes for the words that they take; neuron m
    takes those of pixel m // step.neurons, and word m % step.neurons of a bias line. Operands of gated lanes keep their
    bits.
    Lanes of a step in quarters are those of several steps, a quarter each, for the same pixels of their groups.
    Timing: a line issued in cycle t has its sums in the accumulators from cycle t + ``latency``.
    """

    latency = 5

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        lanes = p.neurons * p.synapses
        super().__init__(
            {
                "issue": In(1),
                "step": In(step_layout(isa)),
                "fetch": In(fetch_layout(isa)),
                "line": In(row_layout(p)),
                "sb_write": In(p.neurons),
                "sb_row": In(isa.sb_row_bits),
                "sb_lanes": In(p.synapses),
                "sb_lines": In(data.ArrayLayout(line_layout(p), p.lines_per_beat)),
                "sb_pick": In(data.ArrayLayout(bits_for(p.lines_per_beat), p.neurons)),
                "sb_granted": Out(1),
                "complete": Out(range(p.sum_banks + 1)),
                "drain_index": In(range(p.accumulators)),
                "relu": In(1),
                "limb": In(LIMB_BITS),
                "limb_top": In(1),
                "words": Out(result_layout(p)),
                "wide": Out(wide_layout(p)),
                "pool": In(pool_control(p)),
                "neurons": In(range(p.neurons + 1)),
                "readers": In(range(p.neurons + 1)),
                "pool_words": In(result_layout(p)),
                "pooled": Out(pooled_layout(p)),
                "products": Out(range(lanes + 1)),
                "gated": Out(range(lanes + 1)),
                "accumulates": Out(range(p.sum_banks * p.neurons + 1)),
                "sb_reads": Out(range(lanes + 1)),
                "clear": In(1),
                "operand_toggles": Out(COUNTER_BITS),
                "neuron_toggles": Out(data.ArrayLayout(COUNTER_BITS, len(NEURON_TOGGLES))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        first_valid, step, fetch = Signal(), Signal(step_layout(isa)), Signal(fetch_layout(isa))  # stage 1
        names = ["active", "neurons", "index", "first", "zero", "shift", "complete"]
        if p.quarter_lanes:
            names += ["sums", "split", "quarter"]
        tail = data.StructLayout({name: step_layout(isa)[name].shape for name in names})
        stages = {i: Signal(data.StructLayout({"valid": 1, "step": tail}), name=f"stage_{i}") for i in (2, 3, 4)}
        lanes_2, lanes_3 = Signal(lanes_layout(p)), Signal(lanes_layout(p))
        bias_2, bias_3, bias_bank = Signal(p.neurons), Signal(), Signal(isa.neuron_bits)
        m.d.sync += [
            first_valid.eq(self.issue),
            step.eq(self.step),
            fetch.eq(self.fetch),
            stages[2].valid.eq(first_valid),
            *(stages[2].step[name].eq(step[name]) for name, _ in tail),
            stages[3].eq(stages[2]),
            stages[4].eq(stages[3]),
            lanes_2.eq(step.lanes),
            lanes_3.eq(lanes_2),
            bias_2.eq(Mux(fetch.bias, fetch.neurons_mask, 0)),
            bias_bank.eq(fetch.bank),
            bias_3.eq(bias_2 != 0),
        ]
        operands = self._operands(m, first_valid, step)

        reading = Signal()
        m.d.comb += [reading.eq(fetch.weights | fetch.bias), self.sb_granted.eq(~reading)]
        neurons = [shared(m, platform, "neuron", n, lambda: Neuron(isa)) for n in range(p.neurons)]
        bias_line = Signal(line_layout(p))
        held_bias = [Signal(signed(p.fmt.width), name=f"bias_{n}") for n in range(p.neurons)]
        m.d.comb += bias_line.eq(Array(n.weights.as_value() for n in neurons)[bias_bank])
        for n, neuron in enumerate(neurons):
            with m.If(bias_2[n]):  # a gated neuron keeps its bits
                m.d.sync += held_bias[n].eq(
                    Array(bias_line[n % max(k, 1)] for k in range(p.neurons + 1))[stages[2].step.neurons]
                )
            read = fetch.weights & fetch.neurons_mask[n] | fetch.bias & (fetch.bank == n)
            active = {i: stages[i].valid & stages[i].step.active[n] for i in (2, 3, 4)}
            pixel_2, pixel_3 = (self._pixel(n, stages[i].step.neurons) for i in (2, 3))
            m.d.comb += [
                neuron.sb_read.eq(read),
                neuron.sb_write.eq(self.sb_write[n] & self.sb_granted),
                neuron.sb.row.eq(Mux(reading, fetch.row, self.sb_row)),
                neuron.sb.lanes.eq(Mux(reading, fetch.lanes, self.sb_lanes)),
                neuron.sb_line.eq(Array(self.sb_lines[k].as_value() for k in range(p.lines_per_beat))[self.sb_pick[n]]),
                neuron.operands.eq(Array(operands)[pixel_2]),
                neuron.lanes2.eq(Mux(active[2], lanes_2.as_value().word_select(pixel_2, p.synapses), 0)),
                neuron.lanes3.eq(lanes_3.as_value().word_select(pixel_3, p.synapses)),
                neuron.sum_en.eq(self._banks(active[3], stages[3].step)),
                neuron.acc_en.eq(self._banks(active[4], stages[4].step)),
                neuron.acc_index.eq(stages[4].step.index),
                neuron.acc_first.eq(stages[4].step.first),
                neuron.acc_zero.eq(stages[4].step.zero),
                neuron.acc_shift.eq(stages[4].step.shift),
                neuron.bias_en.eq(bias_3),
                neuron.bias_word.eq(held_bias[n]),
                neuron.drain_index.eq(self.drain_index),
                neuron.relu.eq(self.relu),
                neuron.limb.eq(self.limb),
                neuron.limb_top.eq(self.limb_top),
                self.words[n].eq(neuron.word),
                self.wide[n].eq(neuron.drain_wide),
                neuron.pool.eq(self.pool),
                neuron.pool.read.eq(self.pool.read & (n < self.readers)),
                *(neuron.pool[name].eq(self.pool[name] & (n < self.neurons)) for name in ("write", "result")),
                neuron.pool_word.eq(self.pool_words[n]),
                self.pooled[n].eq(neuron.pooled),
                neuron.clear.eq(self.clear),
            ]
            if p.quarter_lanes:
                m.d.comb += [
                    neuron.split2.eq(stages[2].step.split),
                    neuron.quarter2.eq(stages[2].step.quarter),
                    neuron.split3.eq(stages[3].step.split),
                ]
        if p.activity:
            for i in range(len(NEURON_TOGGLES)):
                m.d.comb += self.neuron_toggles[i].eq(sum(neuron.toggles[i] for neuron in neurons))

        m.d.comb += [
            self.complete.eq(Mux(stages[4].valid, stages[4].step.complete, 0)),
            self.products.eq(Mux(first_valid, popcount(step.lanes.as_value()) * step.neurons, 0)),
            self.gated.eq(Mux(first_valid, p.neurons * p.synapses - self.products, 0)),
            self.accumulates.eq(Mux(first_valid & step.active[0], step.neurons * step.pixels, 0)),
        ]
        with m.If(fetch.bias):
            m.d.comb += self.sb_reads.eq(p.synapses)
        with m.Elif(fetch.weights):
            m.d.comb += self.sb_reads.eq(popcount(fetch.lanes) * popcount(fetch.neurons_mask))
        return m

    def _operands(self, m: Module, valid: Value, step: data.View) -> list[Value]:
        """Operand registers, one line a pixel, behind the selection network."""
        p = self._isa.params
        width, parts = p.fmt.width, self._rows(m, step.paired)
        taken = p.groups // len(parts) * width
        chosen = []
        for e in range(p.synapses):
            place = Signal(range(2 * p.row_words), name=f"at_{e}")
            index = Signal(range(p.row_words), name=f"word_{e}")
            found = Signal(p.groups * width, name=f"found_{e}")
            m.d.comb += [
                place.eq(step.start + step.place[e]),
                index.eq(Mux(place >= p.row_words, place - p.row_words, place)),
                found.eq(Cat(words.bit_select(index * width, taken) for words in parts)),
            ]
            chosen.append(found)
        pixels = [(j, e) for j in range(p.groups) for e in range(p.synapses)]
        values = [chosen[e][j * width : (j + 1) * width].as_signed() for j, e in pixels]
        enables = [valid & step.lanes[j][e] for j, e in pixels]
        held, toggles = registers(m, "operand", p.activity, enables, values, self.clear)
        if toggles is not None:
            m.d.comb += self.operand_toggles.eq(toggles)
        return [Cat(*held[j * p.synapses : (j + 1) * p.synapses]) for j in range(p.groups)]

    def _rows(self, m: Module, paired: Value) -> list[Value]:
        """The gathered row as equal parts of the pixels see it, in order: each pixel of a part takes the word behind
        the one of the pixel before it, and all parts begin at the same place. With steps of two rows there are two
        parts, and the whole row is turned once for the upper one; that is less than to widen every lane's choice."""
        p = self._isa.params
        row, half = self.line.as_value(), p.groups // 2

        def turned(words: int) -> Value:
            cut = words % p.row_words * p.fmt.width
            return Cat(row[cut:], row[:cut])

        seen = [row, Mux(paired, turned(p.groups), turned(half))] if p.pairs_rows else [row]
        behind = (p.groups // len(seen) - 1) * p.fmt.width
        parts: list[Value] = []
        for name, words in zip(("words", "upper_words"), seen, strict=False):
            part = Signal(len(row) + behind, name=name)  # the first ones again behind the last ones
            m.d.comb += part.eq(Cat(words, words[:behind]))
            parts.append(part)
        return parts

    def _banks(self, active: Value, step: data.View) -> Value:
        """Banks of a neuron's accumulators that a step adds to."""
        return Mux(active, step.sums, 0) if self._isa.params.quarter_lanes else active

    def _pixel(self, neuron: int, neurons: Value) -> Value:
        """Pixel that a neuron works on, when a group has ``neurons``; of a neuron in no group, any."""
        p = self._isa.params
        size = bits_for(p.groups)
        table = [min(neuron // max(k, 1), p.groups - 1) for k in range(p.neurons + 1)]
        packed = Const(sum(pixel << k * size for k, pixel in enumerate(table)), len(table) * size)
        return packed.word_select(neurons, size)
