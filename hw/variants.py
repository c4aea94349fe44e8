"""Other ways to build NFU-1, for gate-level comparison with hw.nfu.Products; the tile uses none of them.

``python -m hw.variants PRESET FOLDER`` writes the Verilog of all of them, and of what the tile has.

Weights need no variant that holds them: SB's output keeps its line until the next read, in every variant alike.
"""

import sys
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.errors import BadInput, write_atomic
from hw.nfu import Products
from hw.params import TileParams, preset
from hw.signatures import line_layout

TOP = "products"
PLAIN = "plain"
LATENCY = {PLAIN: 1, "masked": 1, "registered": 2, "split": 2}
KINDS = tuple(kind for kind in LATENCY if kind != PLAIN)


class LaneVariant(Component):
    """Products of one neuron, ``synapses`` lanes.

    kind: masked, a lane that does not compute multiplies 0 by 0 (AND gates before the multiplier). registered, each
    lane has registers for its operand and weight, so that the multiplier's inputs change all at once and stay in a
    gated lane. split, two stages: products with the lower and the upper half of the weight, then their sum.
    Members: operands, weights : In(line). lanes : In(synapses), lanes that compute in this cycle. product_<i> : Out.
    Timing: latency LATENCY[kind], one line per cycle, neither provides nor respects back pressure. A lane outside
    ``lanes`` holds.
    """

    def __init__(self, p: TileParams, kind: str) -> None:
        self._p = p
        self._kind = kind
        self.latency = LATENCY[kind]
        products = {f"product_{i}": Out(signed(2 * p.fmt.width)) for i in range(p.synapses)}
        super().__init__(
            {"operands": In(line_layout(p)), "weights": In(line_layout(p)), "lanes": In(p.synapses), **products}
        )

    @property
    def products(self) -> list[Signal]:
        return [getattr(self, f"product_{i}") for i in range(self._p.synapses)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = Signal(self._p.synapses, name="second_lanes")
        if self.latency == 2:
            m.d.sync += lanes.eq(self.lanes)
        for i, product in enumerate(self.products):
            operand, weight = self.operands[i], self.weights[i]
            if self._kind == "masked":
                on = self.lanes[i]
                with m.If(on):
                    m.d.sync += product.eq(Mux(on, operand, 0) * Mux(on, weight, 0))
            elif self._kind == "registered":
                shape = signed(self._p.fmt.width)
                held_operand, held_weight = Signal(shape, name=f"operand_{i}"), Signal(shape, name=f"weight_{i}")
                with m.If(self.lanes[i]):
                    m.d.sync += [held_operand.eq(operand), held_weight.eq(weight)]
                with m.If(lanes[i]):
                    m.d.sync += product.eq(held_operand * held_weight)
            else:
                half = self._p.fmt.width // 2
                low, high = weight.as_unsigned()[:half], weight.as_unsigned()[half:].as_signed()
                lower = Signal(signed(self._p.fmt.width + half + 1), name=f"lower_{i}")
                upper = Signal(signed(2 * self._p.fmt.width - half), name=f"upper_{i}")
                with m.If(self.lanes[i]):
                    m.d.sync += [lower.eq(operand * low), upper.eq(operand * high)]
                with m.If(lanes[i]):
                    m.d.sync += product.eq(lower + Cat(Signal(half), upper).as_signed())
        return m


def write_variant(p: TileParams, kind: str, out: Path) -> Path:
    """Write ``out/<kind>.v`` with module ``products``; plain is what the tile has."""
    if kind not in LATENCY:
        raise BadInput(f"a variant of the lanes wants one of {', '.join(LATENCY)}, not {kind!r}")
    component = Products(p.replace(activity=False)) if kind == PLAIN else LaneVariant(p, kind)
    text = verilog.convert(component, name=TOP, emit_src=False, strip_internal_attrs=True)
    return write_atomic(out / f"{kind}.v", text)


if __name__ == "__main__":
    for name in LATENCY:
        print(write_variant(preset(sys.argv[1]), name, Path(sys.argv[2])))
