"""The walk of a compute over its output pixels: step by step along x, then y, with returns to the start of a tile."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.isa import MAP_BITS, Isa, Opcode
from hw.params import QUARTERS
from hw.signatures import PairAdder, instruction_layout, pair_layout


def place_layout(isa: Isa) -> data.StructLayout:
    """A window origin: its pixel, y's place in the ring of rows, and its word ``sub`` of a cell (see Compute)."""
    return data.StructLayout(
        {
            "x": signed(MAP_BITS),
            "y": signed(MAP_BITS),
            "ring_y": signed(MAP_BITS),
            "cell": pair_layout(isa),
            "sub": unsigned(isa.sub_bits),
        }
    )


class Cursor(Component):
    """Members: start : In(1), take ``head``, the first step of a compute. head, config : In(Compute fields), config is
    what was taken. advance : In(1), on to the next step; with ``rewind`` to the first step of the tile instead, with
    ``mark`` the next step begins a tile. start wins. split : In(1), the step is four steps of a row, or the rest of it
    (Compute.quarters), next_split : In(1), with advance so is the next one; tiles without quarter_lanes ignore both.
    place : Out(place_layout), the step's; next_place : Out, that of the step after it, with advance or start. pixels :
    Out, of the step: of a paired one the groups of both its rows, or the columns where its second row is missing.
    row_ends : Out(1), it is the last one of its row, or of both. last : Out(1), it is the compute's last one.
    fresh : Out(1), its cells have to be read: it is the first of a row or came by start, rewind or mark, or its origin
    lies in another cell than that of the step before.
    Timing: outputs but next_place are registers, or combinational in them and config; commands act at the next edge.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        compute = instruction_layout(isa, Opcode.COMPUTE)
        super().__init__(
            {
                "start": In(1),
                "head": In(compute),
                "config": In(compute),
                "advance": In(1),
                "rewind": In(1),
                "mark": In(1),
                "split": In(1),
                "next_split": In(1),
                "place": Out(place_layout(isa)),
                "next_place": Out(place_layout(isa)),
                "pixels": Out(range(isa.params.sum_banks * isa.params.groups + 1)),
                "row_ends": Out(1),
                "last": Out(1),
                "fresh": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p, c, head = self._isa, self._isa.params, self.config, self.head
        pairs = PairAdder(m, isa)
        state = data.StructLayout(
            {"place": place_layout(isa), "row_cell": pair_layout(isa), "cols_left": MAP_BITS, "rows_left": MAP_BITS}
        )
        now, tile, following, first, then = (
            Signal(state, name=name) for name in ("now", "tile", "following", "first", "then")
        )
        row_ends, moves = self.row_ends, Signal()
        paired: Value = c.paired if p.pairs_rows else Const(0)
        split: Value = self.split if p.quarter_lanes else Const(0, 1)
        next_split: Value = self.next_split & ~self.start if p.quarter_lanes else Const(0, 1)
        m.d.comb += [
            self.place.eq(now.place),
            self.next_place.eq(then.place),
            self.last.eq(row_ends & ((now.rows_left == 1) | paired & (now.rows_left == 2))),
            first.place.x.eq(head.x0),
            first.place.y.eq(head.y0),
            first.place.ring_y.eq(head.ring_y),
            first.place.cell.row.eq(head.row),
            first.place.cell.bank.eq(head.bank),
            first.place.sub.eq(head.sub),
            first.row_cell.eq(first.place.cell),
            first.cols_left.eq(head.cols),
            first.rows_left.eq(head.rows),
        ]

        sub = Signal(range(2 * p.cell_words))
        carry = Signal()
        m.d.comb += [
            sub.eq(now.place.sub + Mux(split, 0, c.step_sub)),
            carry.eq(sub >= p.cell_words),
            moves.eq(split | carry | (c.step_cells != 0)),
        ]
        cells, across = c.step_cells + carry, Mux(c.groups == 1, c.stride, c.groups)  # stride 1 with more groups
        columns: Value = c.groups
        if p.quarter_lanes:  # whole cells
            columns = Mux(split, c.groups * QUARTERS, c.groups)
            across = Mux(split, c.groups * QUARTERS, across)
            cells = Mux(split, c.groups * (QUARTERS // p.cell_words), cells)
        beside = pairs.add(now.place.cell, 0, cells)
        below, next_row = pairs.add(now.row_cell, c.step_y_row, c.step_y_bank), Signal(pair_layout(isa))
        ring_y, wraps = Signal(signed(MAP_BITS + 1)), Signal()
        m.d.comb += [
            ring_y.eq(now.place.ring_y + c.stride),
            wraps.eq((c.ring_rows != 0) & (ring_y >= c.ring_rows)),
            next_row.row.eq(below.row - Mux(wraps, c.ring_back, 0)),
            next_row.bank.eq(below.bank),
        ]
        with m.If(row_ends):
            m.d.comb += [
                following.place.x.eq(c.x0),
                following.place.y.eq(now.place.y + c.stride + paired),  # stride 1 with two rows
                following.place.ring_y.eq(ring_y - Mux(wraps, c.ring_rows, 0)),
                following.place.cell.eq(next_row),
                following.place.sub.eq(c.sub),
                following.row_cell.eq(next_row),
                following.cols_left.eq(c.cols),
                following.rows_left.eq(now.rows_left - 1 - paired),
            ]
        with m.Else():
            m.d.comb += [
                following.eq(now),
                following.place.x.eq(now.place.x + across),
                following.place.cell.eq(beside),
                following.place.sub.eq(Mux(carry, sub - p.cell_words, sub)),
                following.cols_left.eq(now.cols_left - columns),
            ]

        # advance comes late: it only enables
        m.d.comb += then.eq(Mux(self.rewind, tile.as_value(), following.as_value()))
        with m.If(self.advance):
            m.d.sync += self.fresh.eq(row_ends | moves)
            with m.If(self.rewind | self.mark):
                m.d.sync += self.fresh.eq(1)
            with m.If(self.mark):
                m.d.sync += tile.eq(following)
        groups = Mux(self.start, head.groups, c.groups)
        if p.quarter_lanes:
            groups = Mux(next_split, groups * QUARTERS, groups)
        part, both_rows = Signal(), Signal()  # of the groups' pixels the step has those of the row, or all
        m.d.comb += part.eq(then.cols_left <= groups)
        if p.pairs_rows:
            m.d.comb += both_rows.eq(Mux(self.start, head.paired, c.paired) & (then.rows_left != 1))
        with m.If(self.start):
            m.d.comb += then.eq(first)
            m.d.sync += [tile.eq(first), self.fresh.eq(1)]
        with m.If(self.start | self.advance):
            m.d.sync += [
                now.eq(then),
                row_ends.eq(part),
                self.pixels.eq(Mux(part & ~both_rows, then.cols_left, groups)),
            ]
        return m
