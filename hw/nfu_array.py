"""All neurons of the tile and the pipeline that drives them: stages 1 to 4 behind the compute engine's issue."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.compute import fetch_layout, step_layout
from hw.events import COUNTER_BITS
from hw.isa import Isa
from hw.neuron import NEURON_TOGGLES, Neuron
from hw.pool import pool_control
from hw.shared import shared
from hw.signatures import line_layout, popcount, result_layout, wide_layout
from hw.toggles import registers


class NfuArray(Component):
    """Members: issue, step : In, fetch : In, of stage 0. line : In(line), the gathered words, at stage 1.
    sb_write : In(neurons), sb_row, sb_lanes, sb_lines : In, sb_granted : Out, DMA's writes into SB; reads go first.
    complete : Out(1), an accumulator got its last sum. drain_index, relu : In, words, wide : Out.
    pool : In(control), neurons : In, pool_words : In, pooled : Out.
    products, accumulates, gated, sb_reads : Out, events of the cycle. clear : In, toggles : Out (activity only).

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
                "line": In(line_layout(p)),
                "sb_write": In(p.neurons),
                "sb_row": In(isa.sb_row_bits),
                "sb_lanes": In(p.synapses),
                "sb_lines": In(data.ArrayLayout(line_layout(p), p.lines_per_beat)),
                "sb_granted": Out(1),
                "complete": Out(1),
                "drain_index": In(range(p.accumulators)),
                "relu": In(1),
                "words": Out(result_layout(p)),
                "wide": Out(wide_layout(p)),
                "pool": In(pool_control(p)),
                "neurons": In(range(p.neurons + 1)),
                "pool_words": In(result_layout(p)),
                "pooled": Out(result_layout(p)),
                "products": Out(range(lanes + 1)),
                "gated": Out(range(lanes + 1)),
                "accumulates": Out(range(p.neurons + 1)),
                "sb_reads": Out(range(lanes + 1)),
                "clear": In(1),
                "operand_toggles": Out(COUNTER_BITS),
                "neuron_toggles": Out(data.ArrayLayout(COUNTER_BITS, len(NEURON_TOGGLES))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        stages = [
            None,
            *(
                Signal(data.StructLayout({"valid": 1, "step": step_layout(isa)}), name=f"stage_{i}")
                for i in range(1, 5)
            ),
        ]
        fetch = Signal(fetch_layout(isa))
        bias_2, bias_3 = Signal(), Signal()
        bias_bank = Signal(isa.neuron_bits)
        m.d.sync += [
            stages[1].valid.eq(self.issue),
            stages[1].step.eq(self.step),
            *(stages[i].eq(stages[i - 1]) for i in range(2, 5)),
            fetch.eq(self.fetch),
            bias_2.eq(fetch.bias),
            bias_bank.eq(fetch.bank),
            bias_3.eq(bias_2),
        ]
        lane_enables = [stages[1].valid & stages[1].step.lanes[i] for i in range(p.synapses)]
        operands, toggles = registers(
            m, "operand", p.activity, lane_enables, [self.line[i] for i in range(p.synapses)], self.clear
        )
        if toggles is not None:
            m.d.comb += self.operand_toggles.eq(toggles)

        reading = Signal()
        m.d.comb += [reading.eq(fetch.weights | fetch.bias), self.sb_granted.eq(~reading)]
        neurons = [shared(m, platform, "neuron", n, lambda: Neuron(isa)) for n in range(p.neurons)]
        bias_line = Signal(line_layout(p))
        held_bias = [Signal(signed(p.fmt.width), name=f"bias_{n}") for n in range(p.neurons)]
        m.d.comb += bias_line.eq(Array(n.weights.as_value() for n in neurons)[bias_bank])
        for n, neuron in enumerate(neurons):
            with m.If(bias_2 & stages[2].step.active[n]):  # a gated neuron keeps its bits
                m.d.sync += held_bias[n].eq(bias_line[n])
            read = fetch.weights & stages[1].step.active[n] | fetch.bias & (fetch.bank == n)
            active = [stage.valid & stage.step.active[n] for stage in stages[1:]]
            pool_lane = n < self.neurons
            m.d.comb += [
                neuron.sb_read.eq(read),
                neuron.sb_write.eq(self.sb_write[n] & self.sb_granted),
                neuron.sb.row.eq(Mux(reading, fetch.row, self.sb_row)),
                neuron.sb.lanes.eq(Mux(reading, fetch.lanes, self.sb_lanes)),
                neuron.sb_line.eq(self.sb_lines[n % p.lines_per_beat]),
                neuron.operands.eq(data.View(line_layout(p), Cat(*operands))),
                neuron.lanes2.eq(Mux(active[1], stages[2].step.lanes, 0)),
                neuron.lanes3.eq(stages[3].step.lanes),
                neuron.sum_en.eq(active[2]),
                neuron.acc_en.eq(active[3]),
                neuron.acc_index.eq(stages[4].step.index),
                neuron.acc_first.eq(stages[4].step.first),
                neuron.bias_en.eq(bias_3),
                neuron.bias_word.eq(held_bias[n]),
                neuron.drain_index.eq(self.drain_index),
                neuron.relu.eq(self.relu),
                self.words[n].eq(neuron.word),
                self.wide[n].eq(neuron.drain_wide),
                neuron.pool.eq(self.pool),
                neuron.pool.read.eq(self.pool.read & pool_lane),
                neuron.pool.write.eq(self.pool.write & pool_lane),
                neuron.pool_word.eq(self.pool_words[n]),
                self.pooled[n].eq(neuron.pooled),
                neuron.clear.eq(self.clear),
            ]
        if p.activity:
            for i in range(len(NEURON_TOGGLES)):
                m.d.comb += self.neuron_toggles[i].eq(sum(neuron.toggles[i] for neuron in neurons))

        first = stages[1]
        m.d.comb += [
            self.complete.eq(stages[4].valid & stages[4].step.complete),
            self.products.eq(Mux(first.valid, popcount(first.step.lanes) * first.step.neurons, 0)),
            self.gated.eq(Mux(first.valid, p.neurons * p.synapses - self.products, 0)),
            self.accumulates.eq(Mux(first.valid, first.step.neurons, 0)),
            self.sb_reads.eq(
                Mux(fetch.bias, p.synapses, Mux(fetch.weights, popcount(fetch.lanes) * first.step.neurons, 0))
            ),
        ]
        return m
