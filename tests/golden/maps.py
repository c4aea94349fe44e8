"""Where hand-made maps lie in a neuron buffer, and the Window that follows from it."""

import random
from dataclasses import dataclass, replace

from hw.instructions import UNUSED, Window
from hw.isa import isa
from hw.params import TileParams


@dataclass(frozen=True)
class Map:
    """Where a map with windows of kernel_h x kernel_w lies: row (c, y) starts at cell c * plane + y * pitch. gap: a
    channel has a position more than the kernel has rows."""

    kernel_h: int
    kernel_w: int
    pitch: int
    plane: int
    gap: int = 0

    def cell(self, run: int) -> int:
        """Start of a run, its ky counted from row 0 of its channel."""
        c, ky = divmod(run, self.kernel_h)
        return c * self.plane + ky * self.pitch

    def at(self, run: int, position: int) -> tuple[int, int]:
        """(ky, cell) of a position of a line whose first run is ``run``."""
        channel, ky = divmod(run, self.kernel_h)
        further, y = divmod(ky + position, self.kernel_h + self.gap)
        return y, (channel + further) * self.plane + y * self.pitch

    def moved(self, here: int, there: int) -> int:
        """Positions from one line's first run to another's."""
        return there - here + self.gap * (there // self.kernel_h - here // self.kernel_h)

    def spacing(self, p: TileParams) -> int:
        return (self.plane if self.kernel_h == 1 else self.pitch) % p.banks

    def window(self, p: TileParams, taps: int, first_line: int, lines: int, columns: int) -> Window:
        """The Window of ``lines`` lines from ``first_line`` on, every field from the addresses of the runs."""
        spacing, mask = self.spacing(p), (1 << isa(p).row_bits) - 1
        start = first_line * taps
        run, advance = start // self.kernel_w, taps // self.kernel_w

        def rows(cells: int) -> int:
            assert cells % p.banks == 0, "the pitches do not keep runs apart by the spacing"
            return cells // p.banks & mask

        delta: dict[int, int] = {}
        for line in range(first_line, first_line + lines - 1):
            here, there = line * taps // self.kernel_w, (line + 1) * taps // self.kernel_w
            further = self.moved(here, there) - advance
            for r in range(p.synapses):
                (y, cell), (_, other) = self.at(here, r), self.at(there, r)
                carry_y = int(y + advance % self.kernel_h + further >= self.kernel_h + self.gap)
                change = rows(other - cell - (advance + further) * spacing)
                assert delta.setdefault(further + 3 * carry_y, change) == change
        slots = {(r * spacing + m) % p.banks: (r, m) for r in range(self.positions(taps)) for m in range(columns)}
        assert len(slots) == self.positions(taps) * columns
        line_row, line_bank = divmod(advance * spacing, p.banks)
        served = [slots.get(k, (0, UNUSED)) for k in range(p.banks)]
        return Window(
            kernel_w=self.kernel_w, kernel_h=self.kernel_h, gap=self.gap, taps=taps, step_x=taps % self.kernel_w,
            step_y=advance % self.kernel_h, spacing=spacing, line_row=line_row & mask, line_bank=line_bank,
            delta=tuple(delta.get(k, 0) for k in range(6)),
            kx=tuple((start + e) % self.kernel_w for e in range(p.synapses)),
            ky=tuple(self.at(run, r)[0] for r in range(p.synapses)),
            row_offset=tuple(rows(self.at(run, r)[1] - self.cell(run) - r * spacing) for r in range(p.synapses)),
            slot_run=tuple(r for r, _ in served), slot_column=tuple(m for _, m in served),
            slot_carry=tuple(0 if m == UNUSED else (r * spacing + m) // p.banks for r, m in served),
        )  # fmt: skip

    def runs(self, taps: int) -> int:
        """Runs of a line at most, over every kx at which one can start."""
        return max(-(-(line * taps % self.kernel_w + taps) // self.kernel_w) for line in range(self.kernel_w))

    def positions(self, taps: int) -> int:
        """Positions of a line at most, of its runs and of the rows below them."""
        return self.runs(taps) + 2 * self.gap

    def reads_apart(self, p: TileParams, taps: int, columns: int) -> bool:
        cells = [(r * self.spacing(p) + m) % p.banks for r in range(self.positions(taps)) for m in range(columns)]
        return len(set(cells)) == len(cells)


def random_place(
    rng: random.Random, p: TileParams, least: Map, taps: int, columns: int, ring: int, rows: int
) -> Map | None:  # fmt: skip
    """Pitches with which the lines' runs meet in no bank; rows of a ring keep their banks when they wrap."""
    pitches = [n for n in range(least.pitch, least.pitch + p.banks) if not ring or ring * n % p.banks == 0]
    found = []
    for pitch in pitches:
        for plane in range(rows * pitch, rows * pitch + p.banks):
            place = replace(least, pitch=pitch, plane=plane)
            follows = least.kernel_h == 1 or (plane - pitch * (least.kernel_h + least.gap)) % p.banks == 0
            follows &= not least.gap or pitch % p.banks == p.pair_cells
            if follows and place.reads_apart(p, taps, columns):
                found.append(place)
    return rng.choice(found) if found else None
