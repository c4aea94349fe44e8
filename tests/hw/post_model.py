"""Post-processing cycle by cycle, control only: what happens when, given the computes and the grants."""

from collections import deque
from dataclasses import dataclass, field

from hw.isa import Compute, Pool
from hw.params import RESULT_CELLS
from hw.post import QUEUE
from tests.hw.pool_model import ends_in, window_rows


@dataclass
class Seen:
    """Outputs of a cycle; offered: cells on offer."""

    ready: bool
    drained: bool
    neurons: int
    updates: int
    offered: int
    written: int


@dataclass
class PostModel:
    """Registers of PostProcess and its parts as counts. ``look`` gives the outputs of a cycle, ``edge`` ends it.

    Both take how many cells the buffer would take in the cycle; a cycle is one look and then one edge.
    """

    cell_words: int
    queue: deque[Compute] = field(default_factory=deque)
    c: Compute | None = None
    starting: bool = False
    completed: int = 0
    rows_left: int = 0
    cols_left: int = 0
    upper: bool = False  # of a paired compute's accumulator the upper half is drained next
    held: tuple[int, bool] | None = None  # pixels of the step in the result registers; it ends its row
    held_y: int = 0
    plan: list[str] = field(default_factory=list)  # cycles that the held step's window rows still take
    planned: bool = False
    late: bool = False  # the next window row's entry was written in the cycle before and is read in this one
    down: int = 0  # pixels of the step in the vertical results
    pixel: int = 0
    col: int = 0
    emit: bool = False
    collected: int = 0
    place: int = 0
    halves: deque[int] = field(default_factory=deque)  # cells of each full half
    cell: int = 0
    ending: bool = False
    written: int = 0
    offered: int = 0
    cells: int = 0  # taken in this cycle

    def _settle(self, granted: int) -> None:
        """Everything that is combinational."""
        c = self.c
        self.writer_ready = len(self.halves) < 2
        self.offered = min(RESULT_CELLS, self.halves[0] - self.cell) if self.halves else 0
        self.cells = min(self.offered, granted)
        self.finished = bool(self.cells) and self.cell + self.cells == self.halves[0]
        self.row_ready = self.vertical = self.held_done = self.take = self.end = self.emits = False
        self.again = False  # the accumulator is taken again
        self.go = self.count = self.neurons = 0  # go: pixels that go into windows across, or on
        if c is None or self.starting:
            return
        straight = c.pool == Pool.NONE
        pixels = (self.held[0] if self.held else 0) if straight else self.down
        if pixels:
            windows, self.emits = self._across(c, self.col)
            room = not self.emit or self.writer_ready
            self.go = int(self.writer_ready if straight else not self.emits or room)
            if not self.emits and self.pixel + 1 < pixels:
                more, ends = self._across(c, self.col + 1)
                if not ends or room:
                    self.go, self.emits, windows = 2, ends, windows + more
            self.row_ready = bool(self.go) and self.pixel + self.go == pixels
            self.count += windows * c.neurons if self.go else 0
        if self.held and not straight:
            self._plan(c)
            self.vertical = not self.plan or self.plan[0] != "result" or not self.down or self.row_ready
            self.vertical = self.vertical and not self.late
            self.held_done = self.vertical and len(self.plan) <= 1
            if self.plan and self.vertical:
                self.count += self.held[0] * c.neurons
        elif self.held:
            self.held_done = self.row_ready
        self.neurons = min(self.cols_left, c.groups) * c.neurons
        self.take = bool(self.completed and self.rows_left and (not self.held or self.held_done))
        self.again = bool(c.paired) and not self.upper and self.rows_left != 1
        waiting = self.held or self.down or self.emit or self.ending
        self.end = not self.rows_left and not waiting and len(self.halves) < 2

    def _across(self, c: Compute, col: int) -> tuple[int, bool]:
        """How many windows hold the column, and whether a pixel leaves with it."""
        if c.pool == Pool.NONE:
            return 0, True
        spans = [range(w * c.pool_stride, min(w * c.pool_stride + c.pool_size, c.out_w)) for w in range(c.pool_w)]
        found = [span for span in spans if col in span]
        return len(found), any(col == span[-1] for span in found)

    def _plan(self, c: Compute) -> None:
        if not self.planned:
            ends = ends_in(c, self.held_y)
            self.plan = ["result" if w == ends else "write" for w in window_rows(c, self.held_y)]
            self.planned = True

    def look(self, granted: int) -> Seen:
        self._settle(granted)
        return Seen(len(self.queue) < QUEUE, self.take, self.neurons, self.count, self.offered, self.written)

    def edge(self, push: Compute | None, complete: int) -> None:
        c = self.c
        if self.ending and self.finished or self.end and (not self.halves or self.finished):
            self.written, self.ending = self.written + 1, False
        elif self.end:
            self.ending = True
        straight = c is not None and c.pool == Pool.NONE
        take_pixel = self.go if straight else self.emit and self.writer_ready
        if self.cells:
            self.cell += self.cells
            if self.finished:
                self.halves.popleft()
                self.cell = 0
        if c and not self.starting:
            if take_pixel:
                self._collect(c)
            self.emit = not straight and ((self.emit and not take_pixel) or (bool(self.go) and self.emits))
            self._move(c)
            self.completed -= self.take and not self.again
        if self.starting:
            assert c is not None
            self.starting, self.rows_left, self.cols_left = False, c.rows if c.finish else 0, c.cols
            self.late = False
            self.held_y, self.col, self.collected = c.out_y, 0, 0
            self.place = 0 if c.vector else c.to_sub
        if c is None or self.end:
            self.c = self.queue.popleft() if self.queue else None
            self.starting = self.c is not None
        if push:
            self.queue.append(push)
        self.completed += complete

    def _collect(self, c: Compute) -> None:
        self.collected += 1
        self.place += 1
        ended = self.collected == c.to_cols
        if ended or self.place == self.cell_words:
            self.halves.append(-(-(c.to_sub + c.neurons) // self.cell_words) if c.vector else c.neurons)
            self.place = 0
        if ended:
            self.collected, self.place = 0, 0 if c.vector else c.to_sub

    def _move(self, c: Compute) -> None:
        if self.go:
            self.pixel = 0 if self.row_ready else self.pixel + self.go
            self.col = (self.col + self.go) % c.out_w
        if self.row_ready:
            self.down = 0
        self.late = False
        if self.held and c.pool != Pool.NONE and self.vertical:
            part = self.plan.pop(0) if self.plan else ""
            if part == "result":
                self.down = self.held[0]
            if self.held_done:
                again = window_rows(c, self.held_y)[-1:] == window_rows(c, self.held_y + 1)[:1]
                self.late = part == "write" and again and c.cols <= c.groups
                self.planned = False
                self.held_y += self.held[1]
        if self.held_done:
            self.held = None
        if self.take:
            last = self.cols_left <= c.groups
            self.held = (min(self.cols_left, c.groups), last)
            self.cols_left = c.cols if last else self.cols_left - c.groups
            self.rows_left -= last
            self.upper = self.again
