"""Windows over maps in cells, straight from hw.instructions: which word every element of every line is."""

import random
from dataclasses import dataclass

from hw.instructions import UNUSED, Window
from hw.isa import Isa
from hw.params import QUARTERS, preset

#: More than a lane a quarter, and banks for runs of as many columns as four steps read.
EIGHT = preset("small").replace(name="eight", synapses=8, banks=16)


@dataclass(frozen=True)
class Row:
    """Where a window's origin lies: its pixel, and the map that it is in."""

    base: int  # cell at which channel 0's row 0 starts
    x: int
    y: int
    in_w: int
    in_h: int


class Kernel:
    """A kernel over a map whose pitches obey the rules of Window, for steps of ``groups`` pixels of a row.

    ring_rows: 0, or the map's rows lie in a ring of so many. columns: cells of a run, wherever in a cell it starts.
    gap: channels have a position more than the kernel has rows. paired: then steps may have a second row as well; such
    maps may be so narrow that all origins lie in column ``x`` and only cells of the map have banks of their own.
    quarters: every line may be one in quarters, with ``quarter_columns`` cells of a run for four steps.
    """

    def __init__(self, rng: random.Random, i: Isa, quarters: bool = False) -> None:
        p = i.params
        self.i, self.p, self.rng = i, p, rng
        self.taps = 0
        while not self.taps:
            self.w, self.h, self.channels = rng.randint(1, 7), rng.randint(1, 5), rng.randint(1, 4)
            self.paired = p.pairs_rows and not quarters and rng.random() < 0.4
            self.gap = int(self.paired or rng.random() < 0.4)
            if self.gap:  # small enough for lines that pass the end of a channel
                self.w, self.channels = rng.randint(1, 3), rng.randint(2, 3)
            self.groups = p.groups // 2 if self.paired else rng.choice((1, rng.randint(1, p.groups)))
            self.stride = rng.randint(1, 3) if self.groups == 1 and not self.paired and not quarters else 1
            self.x = rng.randint(1 - self.w, 0) if self.paired and rng.random() < 0.7 else None
            self.width = rng.randint(1, 14 if self.x is None else self.groups)  # words of a map row at most
            place = p.cell_words - 1 if self.x is None else self.x % p.cell_words
            self.columns = -(-(place + self.groups - 1 + self.w) // p.cell_words)
            self.quarter_columns = -(-(place + QUARTERS * self.groups - 1 + self.w) // p.cell_words) if quarters else 0
            self.most = max(self.columns, self.quarter_columns)
            self.spacing = rng.randrange(-(-p.banks // 2) if self.gap else p.banks)
            if self.paired:
                self.spacing = p.groups // p.cell_words
            fit = [taps for taps in range(1, p.synapses + 1) if self._apart(taps)] if self.most < UNUSED else []
            if self.gap:
                fit = [taps for taps in fit if self.w * self.h % taps] or (fit if rng.random() < 0.2 else [])
            if fit:
                self.taps = rng.choice((max(fit), rng.choice(fit)))
        self.elements = self.w * self.h * self.channels
        self.lines = -(-self.elements // self.taps)
        least = -(-self.width // p.cell_words)
        self.pitch = least + (self.spacing - least) % p.banks + p.banks * rng.randint(0, 1)
        if self.h + self.gap == 1:  # no line goes on in the next row
            self.pitch = least + rng.randint(0, p.banks)
        self.plane = self.spacing * (self.h + self.gap) % p.banks + p.banks * rng.randint(0, 9)
        least = max(self.h, self.stride)  # rows that a ring holds at least
        rings = [rows for rows in range(least, least + p.banks) if rows * self.pitch % p.banks == 0]
        self.ring_rows = 0 if self.paired else rng.choice((0, rng.choice(rings)))
        self.ring_back = self.ring_rows * self.pitch // p.banks % (1 << i.row_bits)

    def _apart(self, taps: int) -> bool:
        """Whether all cells of every line lie in different banks, and what else a gap wants."""
        positions = self._positions(taps)
        if self.gap and (taps >= self.w * self.h or 2 * self.spacing >= self.p.banks or positions > self.p.synapses):
            return False
        cells = [(r * self.spacing + m) % self.p.banks for r in range(positions) for m in self._served()]
        return len(set(cells)) == len(cells)

    def _positions(self, taps: int) -> int:
        """Positions of a line at most, wherever in a channel it starts."""
        most = 0
        for line in range(self.w * self.h):
            first = line * taps % (self.w * self.h)
            runs = -(-(first % self.w + taps) // self.w)
            most = max(most, runs + (self.gap and first // self.w + runs > self.h) + self.paired)
        return most

    def _served(self) -> list[int]:
        """Columns of a run that can hold words of the map."""
        if self.x is None:
            return list(range(self.most))
        w = self.p.cell_words
        return [m for m in range(self.columns) if 0 <= self.x // w + m < -(-self.width // w)]

    def tap(self, element: int) -> tuple[int, int, int]:
        """(channel, ky, kx) of a flattened element."""
        return element // (self.w * self.h), element // self.w % self.h, element % self.w

    def left(self, line: int) -> int:
        """Elements of a line."""
        return min(self.taps, self.elements - line * self.taps)

    def ring_y(self, y: int) -> int:
        return y % self.ring_rows if self.ring_rows and y >= 0 else y

    def origin(self, line: int, row: Row) -> tuple[int, int, int]:
        """(row, bank, sub) of the window origin of computes whose first line is ``line``, as if no ring wrapped."""
        c, ky, _ = self.tap(line * self.taps)
        cell = row.base + c * self.plane + (self.ring_y(row.y) + ky) * self.pitch + row.x // self.p.cell_words
        return *self.pair(cell), row.x % self.p.cell_words

    def passes_gap(self, line: int, left: int) -> bool:
        """Whether a line with a gap in it goes on in the next channel."""
        first = line * self.taps
        return bool(self.gap) and self.tap(first)[0] != self.tap(first + left - 1)[0]

    def pair(self, cell: int) -> tuple[int, int]:
        return cell // self.p.banks % (1 << self.i.row_bits), cell % self.p.banks

    def word(self, element: int, row: Row, pixel: int = 0) -> tuple[int, int, int] | None:
        """(row, bank, sub) of an element's word, ``pixel`` pixels further; None outside the map."""
        c, ky, kx = self.tap(element)
        x, y = row.x + kx + pixel, row.y + ky
        if not (0 <= x < row.in_w and 0 <= y < row.in_h):
            return None
        place = y % self.ring_rows if self.ring_rows else y
        cell = row.base + c * self.plane + place * self.pitch + x // self.p.cell_words
        return *self.pair(cell), x % self.p.cell_words

    def reads(
        self, line: int, left: int, row: Row, columns: int, second: bool = False, after: int = 0
    ) -> dict[int, int]:
        """Bank -> row of the cells that hold words of the map, ``columns`` of each run of the line's elements from
        ``after`` on; ``second``: and of the row below each."""
        w, found = self.p.cell_words, {}
        runs = [self.tap(line * self.taps + e)[:2] for e in range(after, left)]
        for c, y in {(c, row.y + ky + more) for c, ky in runs for more in range(1 + second)}:
            if not 0 <= y < row.in_h:
                continue
            place = y % self.ring_rows if self.ring_rows else y
            for column in range(columns):
                cell_x = row.x // w + column
                if cell_x * w + w > 0 and cell_x * w < row.in_w:
                    at, bank = self.pair(row.base + c * self.plane + place * self.pitch + cell_x)
                    assert bank not in found, "two cells of a gather meet in a bank"
                    found[bank] = at
        return found

    def window(self, line: int = 0) -> Window:
        """The Window of computes whose first line is ``line``."""
        p, n, mask = self.p, self.p.synapses, (1 << self.i.row_bits) - 1
        first = line * self.taps
        run, height = first // self.w, self.h + self.gap
        position = run // self.h * height + run % self.h
        advance = self.taps // self.w
        line_cells = advance * self.spacing + p.banks * self.rng.randint(0, 3)

        def rows(cells: int) -> int:
            assert cells % p.banks == 0
            return cells // p.banks & mask

        def cell(position: int) -> int:
            return position // height * self.plane + position % height * self.pitch

        delta = []
        for carry in range(6):
            y, further = divmod(carry, 3)
            way = (advance // self.h + y) * self.plane + (advance % self.h + further - height * y) * self.pitch
            usual = height > 1 or further + (advance % self.h) == y  # rows of a kernel of one row never grow
            usual = usual and further <= 1 + self.gap
            delta.append(rows(way - line_cells - further * self.spacing) if usual else 0)
        slots = {}
        for r in range(self._positions(self.taps)):
            for m in self._served():
                slots[(r * self.spacing + m) % p.banks] = (r, m, (r * self.spacing + m) // p.banks)
        free = (self.rng.randrange(n), UNUSED, self.rng.randrange(n))
        chosen = [slots.get(k, free) for k in range(p.banks)]
        return Window(
            kernel_w=self.w, kernel_h=self.h, gap=self.gap, taps=self.taps, step_x=self.taps % self.w,
            step_y=advance % self.h, spacing=self.spacing, line_row=line_cells // p.banks & mask,
            line_bank=line_cells % p.banks, delta=tuple(delta), kx=tuple((first + e) % self.w for e in range(n)),
            ky=tuple((position + r) % height for r in range(n)),
            row_offset=tuple(rows(cell(position + r) - cell(position) - r * self.spacing) for r in range(n)),
            slot_run=tuple(slot[0] for slot in chosen), slot_column=tuple(slot[1] for slot in chosen),
            slot_carry=tuple(slot[2] for slot in chosen),
        )  # fmt: skip
