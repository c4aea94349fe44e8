"""The neuron functional unit, one neuron's share of it: NFU-1 products, NFU-2 sum, accumulators, NFU-3.

Gating makes two separate promises. Values: a gated lane adds nothing. Stillness: a gated lane's product register and
everything behind it keep their bits.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.events import COUNTER_BITS
from hw.instructions import LIMB_BITS
from hw.isa import isa
from hw.params import TileParams
from hw.signatures import indices_layout, line_layout, sums_layout
from hw.toggles import registers


class Products(Component):
    """NFU-1 of one neuron: ``synapses`` exact products, one register each.

    Members: operands, weights : In(line). lanes : In(synapses), lanes that compute in this cycle. products : Out, list
    of registers of twice the word width. toggles : Out(COUNTER_BITS), bit changes of the products (activity only).
    Timing: latency 1, one line per cycle, neither provides nor respects back pressure. A lane outside ``lanes`` holds.
    """

    latency = 1

    def __init__(self, p: TileParams) -> None:
        self._p = p
        members = {f"product_{i}": Out(signed(2 * p.fmt.width)) for i in range(p.synapses)}
        super().__init__(
            {
                "operands": In(line_layout(p)),
                "weights": In(line_layout(p)),
                "lanes": In(p.synapses),
                "clear": In(1),
                "toggles": Out(COUNTER_BITS),
                **members,
            }
        )

    @property
    def products(self) -> list[Signal]:
        return [getattr(self, f"product_{i}") for i in range(self._p.synapses)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = 2 * self._p.fmt.width
        values = []
        for i in range(self._p.synapses):
            value = Signal(signed(width), name=f"value_{i}")
            m.d.comb += value.eq(self.operands[i] * self.weights[i])
            values.append(value)
        enables = [self.lanes[i] for i in range(self._p.synapses)]
        held, count = registers(m, "product", self._p.activity, enables, values, self.clear)
        m.d.comb += [out.eq(q) for out, q in zip(self.products, held, strict=True)]
        if count is not None:
            m.d.comb += self.toggles.eq(count)
        return m


class Sum(Component):
    """NFU-2 of one neuron: balanced adder tree over the products, behind it a register for each bank of accumulators.

    Members: product_<i> : In. lanes : In(synapses), products that count (a held one is masked). en : In(sum_banks).
    split : In(1), register b takes the sum of the products of lane quarter b, else that of all (without quarter_lanes
    always). total : Out(sums_layout), the registers. toggles : Out(COUNTER_BITS) (activity only).
    Timing: latency 1, neither provides nor respects back pressure; without its ``en`` a register holds.
    """

    latency = 1

    def __init__(self, p: TileParams) -> None:
        self._p = p
        members = {f"product_{i}": In(signed(2 * p.fmt.width)) for i in range(p.synapses)}
        super().__init__(
            {
                "lanes": In(p.synapses),
                "en": In(p.sum_banks),
                "split": In(1),
                "clear": In(1),
                "total": Out(sums_layout(p)),
                "toggles": Out(COUNTER_BITS),
                **members,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._p
        terms: list[Value] = []
        for i in range(p.synapses):
            product = getattr(self, f"product_{i}")
            masked = Signal(signed(p.accumulator_width), name=f"masked_{i}")
            m.d.comb += masked.eq(Mux(self.lanes[i], product, 0))
            terms.append(masked)
        if p.quarter_lanes:
            size = p.quarter_lanes
            parts = [self._tree(m, f"quarter_{b}", terms[b * size : (b + 1) * size]) for b in range(p.sum_banks)]
            whole = self._tree(m, "node", parts)
            values = [Signal(signed(p.accumulator_width), name=f"value_{b}") for b in range(p.sum_banks)]
            m.d.comb += [value.eq(Mux(self.split, part, whole)) for value, part in zip(values, parts, strict=True)]
            held, count = registers(m, "sum", p.activity, list(self.en), values, self.clear)
        else:
            held, count = registers(m, "sum", p.activity, [self.en], [self._tree(m, "node", terms)], self.clear)
        m.d.comb += self.total.eq(Cat(*held))
        if count is not None:
            m.d.comb += self.toggles.eq(count)
        return m

    def _tree(self, m: Module, name: str, terms: list[Value]) -> Value:
        """The sum of ``terms``, neighbours first."""
        level = 0
        while len(terms) > 1:
            sums: list[Value] = []
            for i in range(0, len(terms) - 1, 2):
                node = Signal(signed(self._p.accumulator_width), name=f"{name}_{level}_{i // 2}")
                m.d.comb += node.eq(terms[i] + terms[i + 1])
                sums.append(node)
            terms = sums + terms[len(terms) & ~1 :]
            level += 1
        return terms[0]


class Accumulators(Component):
    """Partial sums of one neuron: ``accumulators`` words in ``sum_banks`` banks, each written one a cycle.

    Members, by bank: en : In(sum_banks), index : In(indices_layout), addend : In(sums_layout), the sum to add.
    first : In(1), start from ``bias`` instead of the stored words.
    drain_index : In, drain : Out(signed), accumulator drain_index in the same cycle.
    stored, written : Out(sums_layout), the banks' words at index and what this cycle's writes make of them.
    Timing: a written word can be read in the next cycle.
    """

    def __init__(self, p: TileParams) -> None:
        self._p = p
        super().__init__(
            {
                "en": In(p.sum_banks),
                "index": In(indices_layout(p)),
                "first": In(1),
                "addend": In(sums_layout(p)),
                "bias": In(signed(p.accumulator_width)),
                "drain_index": In(range(p.accumulators)),
                "drain": Out(signed(p.accumulator_width)),
                "stored": Out(sums_layout(p)),
                "written": Out(sums_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._p
        banks, drained = p.sum_banks, []
        bank_bits = (banks - 1).bit_length()
        for b in range(banks):
            words = Memory(shape=signed(p.accumulator_width), depth=p.accumulators // banks, init=[])
            m.submodules["words" if banks == 1 else f"words_{b}"] = words
            write = words.write_port()
            read = words.read_port(domain="comb")
            drain = words.read_port(domain="comb")
            m.d.comb += [
                read.addr.eq(self.index[b]),
                write.addr.eq(self.index[b]),
                write.en.eq(self.en[b]),
                self.stored[b].eq(read.data),
                self.written[b].eq(Mux(self.first, self.bias, self.stored[b]) + self.addend[b]),
                write.data.eq(self.written[b]),
                drain.addr.eq(self.drain_index >> bank_bits),
            ]
            drained.append(drain.data)
        m.d.comb += self.drain.eq(Array(drained)[self.drain_index[:bank_bits]] if bank_bits else drained[0])
        return m


class Activation(Component):
    """NFU-3 of one neuron: round half up to ``frac`` bits, saturate, optionally ReLU; or a limb. Combinational.

    Members: wide : In(signed(accumulator_width)). relu : In(1). limb : In, a limb's number, 0 none; limb_top : In(1).
    word : Out(signed(width)). The rules are hw.params.NumberFormat.narrow and limb.
    """

    latency = 0

    def __init__(self, p: TileParams) -> None:
        self._p = p
        super().__init__(
            {
                "wide": In(signed(p.accumulator_width)),
                "relu": In(1),
                "limb": In(LIMB_BITS),
                "limb_top": In(1),
                "word": Out(signed(p.fmt.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt = self._p.fmt
        kept = Signal(signed(self._p.accumulator_width - fmt.frac + 1))
        # floor((wide + half) / 2**frac) without a carry out of the wide sum: floor plus the highest dropped bit
        carry = self.wide[fmt.frac - 1] if fmt.frac else 0
        m.d.comb += kept.eq((self.wide >> fmt.frac) + carry)
        with m.If(self.relu & (kept < 0)):
            m.d.comb += self.word.eq(0)
        with m.Elif(kept > fmt.high):
            m.d.comb += self.word.eq(fmt.high)
        with m.Elif(kept < fmt.low):
            m.d.comb += self.word.eq(fmt.low)
        with m.Else():
            m.d.comb += self.word.eq(kept)
        digits = fmt.width - 1
        with m.Switch(self.limb):
            for number in range(1, isa(self._p).limbs + 1):
                rest = Signal(signed(fmt.width), name=f"limb_{number}")
                m.d.comb += rest.eq(self.wide >> (number - 1) * digits)
                with m.Case(number):
                    m.d.comb += self.word.eq(Cat(rest[:digits], rest[digits] & self.limb_top).as_signed())
        return m
