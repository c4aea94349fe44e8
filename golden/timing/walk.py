"""What the engine does for a Compute: its steps and lines, and the banks that a step's gather reads."""

from hw.instructions import UNUSED, Compute, Window, quads_of
from hw.params import QUARTERS, TileParams


class Lines:
    """A window's lines: which slots of a gather serve a row inside the map, and how far run 0's start has moved."""

    def __init__(self, w: Window, p: TileParams) -> None:
        self._w, self._banks = w, p.banks
        self.columns = [0] * UNUSED
        self._positions = [0] * (p.synapses + 1)
        for slot, (run, column) in enumerate(zip(w.slot_run, w.slot_column, strict=True)):
            if column != UNUSED:
                self.columns[column] |= 1 << slot
                self._positions[run] |= 1 << slot
        self._found: dict[tuple[int, int, int, int, int, bool], int] = {}

    def bank(self, line: int) -> int:
        """Banks from run 0's start in the first line to that in this one."""
        w = self._w
        further = (w.kx[0] + line * w.step_x) // w.kernel_w
        if w.gap:
            further += self._run(line) // w.kernel_h
        return (line * w.line_bank + further * w.spacing) % self._banks

    def _run(self, line: int) -> int:
        """The line's first run, counted from the first line's channel."""
        w = self._w
        return w.ky[0] + (w.kx[0] + line * w.taps) // w.kernel_w

    def slots(self, line: int, lanes: tuple[int, int], y: int, in_h: int, two: bool) -> int:
        """Slots of the runs that ``lanes`` (first, end) of the line meet, and of the rows below them if a step has
        ``two`` rows, that lie inside the map, with the window's origin in row ``y``."""
        key = line, *lanes, y, in_h, two
        found = self._found.get(key)
        if found is None:
            w, found = self._w, 0
            ky = self._run(line) % w.kernel_h
            kx = (w.kx[0] + line * w.step_x) % w.kernel_w
            first, last = (kx + lanes[0]) // w.kernel_w, (kx + lanes[1] - 1) // w.kernel_w
            for run in range(first, last + 1):
                position = w.position(ky, run)
                for row in range(1 + two):
                    if 0 <= y + (ky + run) % w.kernel_h + row < in_h:
                        found |= self._positions[position + row]
            self._found[key] = found
        return found


class Walk:
    """A Compute with what the engine needs to know of it in every cycle.

    steps: of all; row_steps: of an output row; reads: it has lanes, without any nothing is read; fresh: per step of a
    row, its cells have to be read in any case (also at the start of a tile and a line all have to). full_lines: those
    that are not in quarters. A ``pass_`` of a tile is such a line, or behind them a quarter of the last one.
    """

    def __init__(self, c: Compute, lines: Lines, taps: int, p: TileParams) -> None:
        self.c, self._lines, self._taps, self._p = c, lines, taps, p
        self.wait_dma, self.wait_read, self.wait_written = c.wait_dma, c.wait_read, c.wait_written
        self.source, self.load_bias, self.lines = int(c.source), bool(c.load_bias), c.lines
        self.first, self.finish, self.hold, self.tile = bool(c.first), bool(c.finish), bool(c.hold), c.tile
        self.reads = c.last_lanes > 0
        self.full_lines, self.quarters = c.whole_lines, c.quarters
        self._round = [c.accumulator(step) for step in range(c.sums)]
        self.row_steps, self.steps = c.row_steps, c.steps
        places = [c.sub + j * c.step_sub for j in range(self.row_steps)]
        self._cells = [j * c.step_cells + place // p.cell_words for j, place in enumerate(places)]
        self.fresh = [j == 0 or cell != self._cells[j - 1] for j, cell in enumerate(self._cells)]
        self._subs = [place % p.cell_words for place in places]
        self._columns: dict[tuple[int, int], int] = {}

    def accumulator(self, step: int) -> int:
        """The accumulator of a step."""
        return self._round[step % len(self._round)]

    def quads(self, steps: int) -> int:
        """How often a quarter of a line takes four steps, or a row's rest, in a tile of so many steps."""
        return quads_of(steps, self.row_steps)

    def quad(self, number: int) -> tuple[int, int]:
        """The first step, counted from its tile's first, and the number of steps of the tile's ``number``-th quad."""
        if self.row_steps % QUARTERS == 0:
            return QUARTERS * number, QUARTERS
        row, quad = divmod(number, self.c.row_quads)
        return row * self.row_steps + quad * QUARTERS, min(QUARTERS, self.row_steps - quad * QUARTERS)

    def _inside(self, j: int, columns: int) -> int:
        """Slots of the first ``columns`` columns that hold a word of the map, for step j of a row."""
        found = self._columns.get((j, columns))
        if found is None:
            c, width, found = self.c, self._p.cell_words, 0
            start = c.x0 + j * (c.stride if c.groups == 1 else c.groups) - self._subs[j]
            for k in range(min(columns, UNUSED)):
                if start + (k + 1) * width > 0 and start + k * width < c.in_w:
                    found |= self._lines.columns[k]
            self._columns[j, columns] = found
        return found

    def banks(self, step: int, pass_: int) -> int:
        """Banks that the step reads in a pass of its tile, as a mask."""
        c, banks = self.c, self._p.banks
        row, j = divmod(step, self.row_steps)
        line, columns = min(pass_, c.lines - 1), c.columns
        lanes = 0, c.last_lanes if line == c.lines - 1 else self._taps
        if pass_ >= self.full_lines:
            first = (pass_ - self.full_lines) * self._p.quarter_lanes
            lanes, columns = (first, min(first + self._p.quarter_lanes, c.last_lanes)), c.quarter_columns
        two = bool(c.paired) and 2 * row + 1 < c.rows
        slots = self._lines.slots(line, lanes, c.y0 + row * c.stride * c.step_rows, c.in_h, two)
        slots &= self._inside(j, columns)
        origin = (c.bank + row * c.step_y_bank + self._cells[j] + self._lines.bank(line)) % banks
        return (slots << origin | slots >> (banks - origin)) & ((1 << banks) - 1)
