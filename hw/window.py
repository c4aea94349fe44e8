"""Where each synapse lane reads its word of the input window, line by line (see hw.isa.Window)."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.isa import KERNEL_BITS, MAP_BITS, Isa, Opcode
from hw.signatures import instruction_layout, pair_layout


class WindowLanes(Component):
    """Row, and whether it is inside the map, of every lane's word for one window origin.

    Members: set : In(1), take ``window``. window : In(Window fields). rewind : In(1), back to line 0; step : In(1), on
    to the next line (rewind wins). origin : In(pair), the buffer word of the window's origin. x, y : In, the origin's
    pixel. in_w, in_h : In, the map. lanes_left : In, lanes that the current line uses.
    rows_<e> : Out, inside : Out(synapses).
    Timing: rows and inside are combinational in origin, x and y; set, rewind and step act at the next edge.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        n = isa.params.synapses
        super().__init__(
            {
                "set": In(1),
                "window": In(instruction_layout(isa, Opcode.WINDOW)),
                "rewind": In(1),
                "step": In(1),
                "origin": In(pair_layout(isa)),
                "x": In(signed(MAP_BITS)),
                "y": In(signed(MAP_BITS)),
                "in_w": In(MAP_BITS),
                "in_h": In(MAP_BITS),
                "lanes_left": In(range(n + 1)),
                "inside": Out(n),
                **{f"row_{e}": Out(isa.row_bits) for e in range(n)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, n = self._isa, self._isa.params.synapses
        start = Signal(instruction_layout(isa, Opcode.WINDOW))
        with m.If(self.set):
            m.d.sync += start.eq(self.window)
        inside = []
        for e in range(n):
            offset = Signal(isa.row_bits, name=f"offset_{e}")
            kx = Signal(KERNEL_BITS, name=f"kx_{e}")
            ky = Signal(KERNEL_BITS, name=f"ky_{e}")
            next_x = Signal(KERNEL_BITS + 1, name=f"next_x_{e}")
            next_y = Signal(KERNEL_BITS + 1, name=f"next_y_{e}")
            carry_x = Signal(name=f"carry_x_{e}")
            carry_y = Signal(name=f"carry_y_{e}")
            m.d.comb += [
                next_x.eq(kx + start.step_x),
                carry_x.eq(next_x >= start.kernel_w),
                next_y.eq(ky + start.step_y + carry_x),
                carry_y.eq(next_y >= start.kernel_h),
            ]
            with m.If(self.set):
                m.d.sync += [
                    offset.eq(self.window.row_offset[e]),
                    kx.eq(self.window.kx[e]),
                    ky.eq(self.window.ky[e]),
                ]
            with m.Elif(self.rewind):
                m.d.sync += [offset.eq(start.row_offset[e]), kx.eq(start.kx[e]), ky.eq(start.ky[e])]
            with m.Elif(self.step):
                delta = Array(start.delta[i] for i in range(4))[Cat(carry_x, carry_y)]
                m.d.sync += [
                    offset.eq(offset + delta),
                    kx.eq(Mux(carry_x, next_x - start.kernel_w, next_x)),
                    ky.eq(Mux(carry_y, next_y - start.kernel_h, next_y)),
                ]
            at_x = self.x + kx
            at_y = self.y + ky
            wraps = self.origin.bank >= n - e if e else 0
            m.d.comb += getattr(self, f"row_{e}").eq(self.origin.row + offset + wraps)
            inside.append((e < self.lanes_left) & (at_x >= 0) & (at_x < self.in_w) & (at_y >= 0) & (at_y < self.in_h))
        m.d.comb += self.inside.eq(Cat(*inside))
        return m
