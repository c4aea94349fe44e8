"""One neuron of the tile: its SB bank, its lanes of the NFU, its accumulators and its share of pooling.

All neurons are equal; the tile holds ``neurons`` instances of this one module, driven by common control. Pipeline, by
the stage number that control uses: 1 SB read, 2 products, 3 sum, 4 accumulate.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.buffers import SynapseBank
from hw.events import COUNTER_BITS, TOGGLES
from hw.instructions import LIMB_BITS, SHIFT_BITS
from hw.isa import Isa
from hw.nfu import Accumulators, Activation, Products, Sum
from hw.params import QUARTERS
from hw.pool import POOL_SUM_BITS, PoolLane, pool_control
from hw.signatures import indices_layout, line_layout, sums_layout
from hw.toggles import probe, registers

NEURON_TOGGLES = ("toggle_weight", "toggle_product", "toggle_sum", "toggle_accumulator")
assert set(NEURON_TOGGLES) < {event.name for event in TOGGLES}


def sb_port(isa: Isa) -> data.StructLayout:
    """Access to the SB banks, common to all neurons but for the enables."""
    p = isa.params
    return data.StructLayout({"row": isa.sb_row_bits, "lanes": p.synapses})


class Neuron(Component):
    """See the module's text. Members, by stage:

    stage 1: sb_read, sb_write : In(1) (never both), sb : In(row, lanes), sb_line : In(line).
    stage 2: operands : In(line), lanes2 : In(synapses); a neuron that is gated gets no lane. weights : Out(line).
    split2, quarter2 : In, the lanes of every quarter take the weights of that one (see Compute.quarters).
    stage 3: lanes3 : In(synapses), sum_en : In(sum_banks), split3 : In, see Sum. stage 4: acc_en : In(sum_banks),
    acc_index : In(indices_layout), acc_first, acc_zero (start at 0, not the bias), acc_shift (of the sums, in digits);
    bias_en, bias_word load the bias.
    drain_index, drain_wide : Out, relu, limb, limb_top, word : Out(NFU-3 of drain_wide). pool : In(control),
    pool_word : In, pooled : Out, vertical pooling. clear : In(1), toggles : Out(4 counters, activity only).
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "sb_read": In(1),
                "sb_write": In(1),
                "sb": In(sb_port(isa)),
                "sb_line": In(line_layout(p)),
                "weights": Out(line_layout(p)),
                "operands": In(line_layout(p)),
                "lanes2": In(p.synapses),
                "split2": In(1),
                "quarter2": In(range(QUARTERS)),
                "lanes3": In(p.synapses),
                "sum_en": In(p.sum_banks),
                "split3": In(1),
                "acc_en": In(p.sum_banks),
                "acc_index": In(indices_layout(p)),
                "acc_first": In(1),
                "acc_zero": In(1),
                "acc_shift": In(SHIFT_BITS),
                "bias_en": In(1),
                "bias_word": In(signed(p.fmt.width)),
                "drain_index": In(range(p.accumulators)),
                "drain_wide": Out(signed(p.accumulator_width)),
                "relu": In(1),
                "limb": In(LIMB_BITS),
                "limb_top": In(1),
                "word": Out(signed(p.fmt.width)),
                "pool": In(pool_control(p)),
                "pool_word": In(signed(p.fmt.width)),
                "pooled": Out(signed(p.fmt.width + POOL_SUM_BITS)),
                "clear": In(1),
                "toggles": Out(data.ArrayLayout(COUNTER_BITS, len(NEURON_TOGGLES))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._isa.params
        m.submodules.bank = bank = SynapseBank(self._isa)
        m.submodules.products = products = Products(p)
        m.submodules.sum = total = Sum(p)
        m.submodules.accumulators = accumulators = Accumulators(p)
        m.submodules.activation = activation = Activation(p)
        m.submodules.pool_lane = lane = PoolLane(p)

        m.d.comb += [
            bank.read.eq(self.sb_read),
            bank.write.eq(self.sb_write),
            bank.row.eq(self.sb.row),
            bank.lanes.eq(self.sb.lanes),
            bank.line.eq(self.sb_line),
            self.weights.eq(bank.data),
            products.operands.eq(self.operands),
            products.weights.eq(self._weights(bank.data)),
            products.lanes.eq(self.lanes2),
            products.clear.eq(self.clear),
            total.lanes.eq(self.lanes3),
            total.en.eq(self.sum_en),
            total.split.eq(self.split3),
            total.clear.eq(self.clear),
        ]
        for i, product in enumerate(products.products):
            m.d.comb += getattr(total, f"product_{i}").eq(product)

        addend = Signal(sums_layout(p))
        m.d.comb += addend.eq(total.total)
        with m.Switch(self.acc_shift):
            for digits in range(1, self._isa.shifts + 1):
                with m.Case(digits):
                    m.d.comb += [addend[b].eq(total.total[b] << digits * (p.fmt.width - 1)) for b in range(p.sum_banks)]
        bias = Signal(signed(p.fmt.width))
        with m.If(self.bias_en):
            m.d.sync += bias.eq(self.bias_word)
        m.d.comb += [
            accumulators.en.eq(self.acc_en),
            accumulators.index.eq(self.acc_index),
            accumulators.first.eq(self.acc_first),
            accumulators.addend.eq(addend),
            accumulators.bias.eq(Mux(self.acc_zero, 0, bias << p.fmt.frac)),
            accumulators.drain_index.eq(self.drain_index),
            self.drain_wide.eq(accumulators.drain),
            activation.wide.eq(accumulators.drain),
            activation.relu.eq(self.relu),
            activation.limb.eq(self.limb),
            activation.limb_top.eq(self.limb_top),
            self.word.eq(activation.word),
            lane.control.eq(self.pool),
            lane.word.eq(self.pool_word),
            self.pooled.eq(lane.pooled),
        ]

        if p.activity:
            was_read = Signal()
            read_lanes = Signal(p.synapses)
            m.d.sync += [was_read.eq(self.sb_read), read_lanes.eq(self.sb.lanes)]
            enables = [was_read & read_lanes[i] for i in range(p.synapses)]
            words = [bank.data[i] for i in range(p.synapses)]
            _, weight = registers(m, "weight", True, enables, words, self.clear)
            stored, written = accumulators.stored, accumulators.written
            kept = Cat(Mux(self.acc_en[b], written[b], stored[b]) for b in range(p.sum_banks))
            changes = probe(m, "accumulator", self.acc_en.any(), stored.as_value(), kept, self.clear)
            m.d.comb += self.toggles.eq(Cat(weight, products.toggles, total.toggles, changes))
        return m

    def _weights(self, line: data.View) -> Value:
        """The weights of the line as lanes take them: each its own, or those of one quarter in all quarters."""
        p = self._isa.params
        if not p.quarter_lanes:
            return line.as_value()
        size = p.quarter_lanes * p.fmt.width  # bits of a quarter
        taken = (line.as_value().word_select(Mux(self.split2, self.quarter2, b), size) for b in range(QUARTERS))
        return Cat(*taken)
