"""Which cells a step reads for a weight line, and where each lane finds its words (see hw.instructions.Window)."""

from typing import NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.cursor import place_layout
from hw.instructions import COLUMN_BITS, UNUSED
from hw.isa import KERNEL_BITS, MAP_BITS, Isa, Opcode
from hw.params import QUARTERS, TileParams, bits_for
from hw.signatures import PairAdder, below, instruction_layout, pair_layout, popcount, rotate


def lanes_layout(p: TileParams) -> data.ArrayLayout:
    """Active lanes of each pixel of a step."""
    return data.ArrayLayout(unsigned(p.synapses), p.groups)


def places_layout(p: TileParams) -> data.ArrayLayout:
    """A word of a gathered row of a buffer for each lane."""
    return data.ArrayLayout(range(p.row_words), p.synapses)


class Element(NamedTuple):
    """What a lane works on: its column in the window and run, whether it is there, and in which pixels of a step."""

    column: Value
    run: Value
    used: Value
    pixels: Value


def _clamped(m: Module, name: str, value: Value, most: int) -> Signal:
    """``value`` if it is from 0 to ``most``, else the nearer of them."""
    result = Signal(range(most + 1), name=name)
    m.d.comb += result.eq(Mux(value <= 0, 0, Mux(value > most, most, value)))
    return result


class WindowLanes(Component):
    """Cells to gather and lanes that compute, for one step and the current line.

    Members: set : In(1), take ``window``. window : In(Window fields). advance : In(1), with rewind : In(1) back to the
    first line, else with step : In(1) on to the next line (set wins). taps : Out, lanes of a whole line.
    at : In(place_layout), the step's origin. pixels : In, of the step. lanes_left : In, lanes that the line uses.
    paired, in_h, ring_rows, ring_back : In, of the Compute. A paired step with pixels in the upper half of the groups
    has a second row, that below the first: pixel j of it lies at column j less half of the groups.
    split, quarter, turn, groups : In: the step is up to four steps of ``groups`` pixels each, ``pixels`` together, in a
    quarter of the line (Compute.quarters). Lane i of lane quarter b works on lane i of ``quarter``, for the step
    (b - turn) modulo 4 of them, whose pixels lie as many times ``groups`` columns further. Ignored without
    quarter_lanes.
    begin : In(1), the next step is a Compute's first one, on the first line. next_at : In(place_layout), next_in_w,
    next_columns : In, of the next step, with advance or begin.
    banks : Out(banks), banks to read, row_<b> : Out, the row in bank b.
    lanes : Out(lanes_layout), active lanes. Lane e of pixel j finds its word at (start + place[e] + j) modulo
    row_words of the row that was read last, that of a second row half of the groups further: start : Out,
    place : Out(places_layout).
    Timing: outputs are combinational in the inputs of the step; set, advance and begin act at the next edge.
    What depends on the place in the map is a register: the wide networks behind it move once a cycle.
    """

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        p = isa.params
        super().__init__(
            {
                "set": In(1),
                "window": In(instruction_layout(isa, Opcode.WINDOW)),
                "advance": In(1),
                "rewind": In(1),
                "step": In(1),
                "taps": Out(range(p.synapses + 1)),
                "at": In(place_layout(isa)),
                "pixels": In(range(p.sum_banks * p.groups + 1)),
                "lanes_left": In(range(p.synapses + 1)),
                "paired": In(1),
                "split": In(1),
                "quarter": In(range(QUARTERS)),
                "turn": In(range(QUARTERS)),
                "groups": In(range(p.groups + 1)),
                "in_h": In(MAP_BITS),
                "begin": In(1),
                "next_at": In(place_layout(isa)),
                "next_in_w": In(MAP_BITS),
                "next_columns": In(COLUMN_BITS),
                "ring_rows": In(MAP_BITS),
                "ring_back": In(isa.row_bits),
                "banks": Out(p.banks),
                "lanes": Out(lanes_layout(p)),
                "start": Out(range(p.row_words)),
                "place": Out(places_layout(p)),
                **{f"row_{b}": Out(isa.row_bits) for b in range(p.banks)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        isa, p = self._isa, self._isa.params
        n = p.synapses
        first = Signal(instruction_layout(isa, Opcode.WINDOW))  # as it was set
        kx = Signal(data.ArrayLayout(KERNEL_BITS, n))
        ky = Signal(data.ArrayLayout(KERNEL_BITS, n))
        offset = Signal(data.ArrayLayout(isa.row_bits, n))
        origin = self._lines(m, first, kx, ky, offset)
        m.d.comb += [self.taps.eq(first.taps), self.start.eq(origin.bank * p.cell_words + self.at.sub)]

        # lanes: the run of each, then what the run and its own column say
        starts = [Value.cast(0), *(kx[e] == 0 for e in range(1, n))]
        used = below(self.lanes_left, n)
        runs = self._counts(m, starts)
        first_run, last_run = self._runs(m, starts, used, runs)
        inside_y, rows = Signal(n), []
        for i in range(n):
            y = self.at.y + ky[i]
            wraps = (self.ring_rows != 0) & (self.at.ring_y + ky[i] >= self.ring_rows)
            row = Signal(isa.row_bits, name=f"position_row_{i}")
            m.d.comb += [
                inside_y[i].eq((y >= 0) & (y < self.in_h)),
                row.eq(offset[i] - Mux(wraps, self.ring_back, 0)),
            ]
            rows.append(row)
        beyond = self._beyond(m, first, ky)
        self._lane_outputs(m, first, self._elements(m, kx, runs, used), beyond, inside_y)
        reads = self._reads(m, beyond, first_run, last_run)
        self._slots(m, first, origin, rows, reads & inside_y)
        return m

    def _beyond(self, m: Module, first: data.View, ky: data.View) -> Value:
        """Runs behind the end of the first run's channel, where a gap lies between: run r is at position r + 1."""
        n = self._isa.params.synapses
        room, beyond = Signal(KERNEL_BITS), Signal(n)  # room: runs of that channel, from the first one on
        m.d.comb += [room.eq(first.kernel_h - ky[0]), beyond.eq(Mux(first.gap, ~below(room, n), 0))]
        return beyond

    def _runs(self, m: Module, starts: list[Value], used: Value, runs: list[Value]) -> tuple[Value, Value]:
        """First and last run that are used: of the line, or of its quarter."""
        p = self._isa.params
        n, size = p.synapses, p.quarter_lanes
        last = Signal(range(n), name="last_run")
        if not size:
            m.d.comb += last.eq(popcount(Cat(*starts) & used))
            return Const(0), last
        first = Signal(range(n), name="first_run")
        up_to = Cat(~self.split | (e // size <= self.quarter) for e in range(n))
        m.d.comb += [
            last.eq(popcount(Cat(*starts) & used & up_to)),
            first.eq(Mux(self.split, Array(runs[::size])[self.quarter], 0)),
        ]
        return first, last

    def _reads(self, m: Module, beyond: Value, first_run: Value, last_run: Value) -> Value:
        """Positions that are used: those of these runs, and those below them when there is a second row."""
        p = self._isa.params
        n = p.synapses
        runs, taken = Signal(n, name="runs_used"), Signal(n, name="positions_used")
        m.d.comb += [
            runs.eq(Cat((r >= first_run) & (r <= last_run) for r in range(n))),
            taken.eq(runs & ~beyond | (runs & beyond) << 1),
        ]
        if not p.pairs_rows:
            return taken
        second = self.paired & (self.pixels > p.groups // 2)
        return taken | Mux(second, taken << 1, 0)

    def _lines(self, m: Module, first: data.View, kx: data.View, ky: data.View, offset: data.View) -> data.View:
        """State of the line: columns of lanes, rows of positions; where run 0 of the step starts."""
        n = self._isa.params.synapses
        pairs = PairAdder(m, self._isa)
        # from the start of run 0 of the first line to that of this line, and of the next step's
        at, then = Signal(pair_layout(self._isa), name="line_at"), Signal(pair_layout(self._isa), name="next_line_at")
        origin = Signal(pair_layout(self._isa))
        next_x = [Signal(KERNEL_BITS + 1, name=f"next_x_{e}") for e in range(n)]
        m.d.comb += [next_x[e].eq(kx[e] + first.step_x) for e in range(n)]
        carry_x = Signal()  # lane 0 leaves its kernel row with this line
        stepped_x = Mux(carry_x, next_x[0] - first.kernel_w, next_x[0])
        # positions that run 0 moves on by beside step_y: one with carry_x, one past the end of its channel
        further, passes = Signal(range(3)), Signal()
        height = Signal(KERNEL_BITS + 1)  # positions of a channel
        m.d.comb += [
            height.eq(first.kernel_h + first.gap),
            passes.eq(first.gap & (ky[0] + first.step_y + carry_x >= first.kernel_h)),
            further.eq(carry_x + passes),
        ]

        def by_further(none: Value, one: Value, two: Value) -> Value:
            return Mux(further[1], two, Mux(further[0], one, none))

        behind = pairs.add(at, first.line_row, first.line_bank)
        next_at = pairs.add(behind, 0, by_further(Const(0), first.spacing, first.spacing << 1))
        deltas = [by_further(*(first.delta[on + 3 * carry_y] for on in range(3))) for carry_y in range(2)]
        with m.If(self.set):
            w = self.window
            m.d.sync += [first.eq(w), kx.eq(w.kx), ky.eq(w.ky), offset.eq(w.row_offset), at.eq(0)]
            m.d.sync += carry_x.eq(w.kx[0] + w.step_x >= w.kernel_w)
        with m.Elif(self.advance & self.rewind):
            m.d.sync += [kx.eq(first.kx), ky.eq(first.ky), offset.eq(first.row_offset), at.eq(0)]
            m.d.sync += carry_x.eq(first.kx[0] + first.step_x >= first.kernel_w)
        with m.Elif(self.advance & self.step):
            m.d.sync += [at.eq(next_at), carry_x.eq(stepped_x + first.step_x >= first.kernel_w)]
            for e in range(n):
                m.d.sync += kx[e].eq(Mux(next_x[e] >= first.kernel_w, next_x[e] - first.kernel_w, next_x[e]))
            for i in range(n):
                next_y = Signal(KERNEL_BITS + 1, name=f"next_y_{i}")
                carry_y = Signal(name=f"carry_y_{i}")
                m.d.comb += [next_y.eq(ky[i] + first.step_y + further), carry_y.eq(next_y >= height)]
                m.d.sync += [
                    ky[i].eq(Mux(carry_y, next_y - height, next_y)),
                    offset[i].eq(offset[i] + Mux(carry_y, deltas[1], deltas[0])),
                ]
        # advance comes late: it only enables
        with m.If(self.step & ~(self.rewind | self.begin)):
            m.d.comb += then.eq(next_at)
        with m.Elif(~(self.rewind | self.begin)):
            m.d.comb += then.eq(at)
        with m.If(self.advance | self.begin):
            m.d.sync += origin.eq(pairs.add(self.next_at.cell, then.row, then.bank))
        return origin

    def _counts(self, m: Module, starts: list[Value]) -> list[Value]:
        """Run of each lane: how many lanes from 1 up to it start a run, by a logarithmic prefix sum."""
        counts, reach = starts, 1
        while reach < len(starts):
            counts = [count + counts[e - reach] if e >= reach else count for e, count in enumerate(counts)]
            reach *= 2
        runs = [Signal(self._isa.run_bits, name=f"run_{e}") for e in range(len(starts))]
        m.d.comb += [run.eq(count) for run, count in zip(runs, counts, strict=True)]
        return list(runs)

    def _elements(self, m: Module, kx: data.View, runs: list[Value], used: Value) -> list[Element]:
        """What lanes work on: their own element of the line, or that of the quarter at work."""
        p = self._isa.params
        size = p.quarter_lanes
        own = [Element(kx[e], runs[e], used[e], below(self.pixels, p.groups)) for e in range(p.synapses)]
        if not size:
            return own
        layout = data.StructLayout({"column": KERNEL_BITS, "run": self._isa.run_bits, "used": 1})
        found = []
        for b in range(QUARTERS):
            choice = Signal(range(QUARTERS), name=f"choice_{b}")
            # pixels of the steps before the one of these lanes, and those that are left from it on
            way = Signal(range((QUARTERS - 1) * p.groups + 1), name=f"way_{b}")
            left = Signal(range(QUARTERS * p.groups + 1), name=f"left_{b}")
            pixels = Signal(p.groups, name=f"pixels_of_{b}")
            m.d.comb += [
                choice.eq(Mux(self.split, self.quarter, b)),
                way.eq(Mux(self.split, (b - self.turn)[:2] * self.groups, 0)),
                left.eq(Mux(self.pixels > way, self.pixels - way, 0)),
                pixels.eq(below(left, p.groups) & below(self.groups, p.groups)),
            ]
            for i in range(size):
                element, parts = Signal(layout, name=f"element_{b * size + i}"), own[i::size]
                column = Signal(range((1 << KERNEL_BITS) + (QUARTERS - 1) * p.groups), name=f"column_{b * size + i}")
                m.d.comb += [
                    element.eq(Cat(Cat(of.column, of.run, of.used) for of in parts).word_select(choice, layout.size)),
                    column.eq(element.column + way),
                ]
                found.append(Element(column, element.run, element.used, pixels))
        return found

    def _lane_outputs(
        self, m: Module, first: data.View, elements: list[Element], beyond: Value, inside_y: Value
    ) -> None:
        """What lanes find by their run: its first word, and whether its row lies in the map, and the row below."""
        p = self._isa.params
        n, size = p.synapses, bits_for(p.banks)
        banks, run_y = Signal(n * size), Signal(n)  # of each run: its start's bank after run 0's
        steps = [(Value.cast(i * first.spacing) % p.banks)[:size] for i in range(n + 1)]
        rows = [inside_y[min(i, n - 1)] for i in range(n + 2)]  # no line has so many positions
        m.d.comb += [
            banks.eq(Cat(Mux(beyond[r], steps[r + 1], steps[r]) for r in range(n))),
            run_y.eq(Cat(Mux(beyond[r], rows[r + 1], rows[r]) for r in range(n))),
        ]
        upper_y = Signal(n)  # for the upper half of the pixels
        if p.pairs_rows:
            below_y = Cat(Mux(beyond[r], rows[r + 2], rows[r + 1]) for r in range(n))
            m.d.comb += upper_y.eq(Mux(self.paired, below_y, run_y))
        reach = (1 << KERNEL_BITS) + p.sum_banks * p.groups - 1
        inside = Signal(reach)  # bit t: pixel x + t lies inside the row
        x = self.next_at.x
        left, right = _clamped(m, "left", -x, reach), _clamped(m, "right", self.next_in_w - x, reach)
        with m.If(self.advance | self.begin):
            m.d.sync += inside.eq(below(right, reach) & ~below(left, reach))
        columns = []
        for e, of in enumerate(elements):
            place = Signal(range(2 * p.row_words), name=f"place_{e}")
            column = Signal(p.groups, name=f"pixels_{e}")
            m.d.comb += [
                place.eq(banks.word_select(of.run, size) * p.cell_words + of.column),
                self.place[e].eq(Mux(place >= p.row_words, place - p.row_words, place)),
            ]
            inside_x = inside.bit_select(of.column, p.groups)
            half = p.groups // 2 if p.pairs_rows else p.groups
            with m.If(of.used & run_y.bit_select(of.run, 1)):
                m.d.comb += column[:half].eq(inside_x & of.pixels)
            if p.pairs_rows:
                with m.If(of.used & upper_y.bit_select(of.run, 1)):
                    m.d.comb += column[half:].eq(Mux(self.paired, inside_x[:half], inside_x[half:]) & of.pixels[half:])
            columns.append(column)
        m.d.comb += [self.lanes[j].eq(Cat(column[j] for column in columns)) for j in range(p.groups)]

    def _slots(self, m: Module, first: data.View, origin: data.View, position_row: list[Value], reads: Value) -> None:
        """Slots of the gather, and their turn to the banks they stand for."""
        isa, p = self._isa, self._isa.params
        columns = Signal(UNUSED + 1)  # bit k: the cell k columns on has a word inside the row
        start, reach = self.next_at.x - self.next_at.sub, len(columns) * p.cell_words
        left, right = (
            _clamped(m, "words_left", -start, reach),
            _clamped(m, "words_right", self.next_in_w - start, reach),
        )
        bits = range(len(columns))
        with m.If(self.advance | self.begin):
            m.d.sync += columns.eq(
                below(self.next_columns, len(columns))
                & Cat(left < (k + 1) * p.cell_words for k in bits)
                & Cat(right > k * p.cell_words for k in bits)
            )
        rows, used = Signal(p.synapses * isa.row_bits), Signal(p.synapses)
        m.d.comb += [rows.eq(Cat(*position_row)), used.eq(reads)]
        size = isa.row_bits + 1
        slots = []
        for k in range(p.banks):
            position = first.slot_run[k]
            slot = Signal(size, name=f"slot_{k}")
            active = used.bit_select(position, 1) & columns.bit_select(first.slot_column[k], 1)
            row = (rows.word_select(position, isa.row_bits) + first.slot_carry[k])[: isa.row_bits]
            m.d.comb += slot.eq(Cat(row, active))
            slots.append(slot)
        turned = rotate(slots, origin.bank, left=False)  # bank b: slot (b - origin.bank) % banks
        m.d.comb += self.banks.eq(Cat(slot[isa.row_bits] for slot in turned))
        for b, slot in enumerate(turned):
            m.d.comb += getattr(self, f"row_{b}").eq(slot[: isa.row_bits] + origin.row + (b < origin.bank))
