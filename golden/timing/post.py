"""Post-processing of hw.post, hw.pool, hw.pool_row and hw.output as the clock sees it: vectors, pixels and cells."""

from collections import deque
from functools import lru_cache

from golden.timing.walk import Walk
from hw.instructions import Pool
from hw.params import TileParams


@lru_cache(maxsize=4096)
def vertical_plan(y: int, size: int, stride: int, pool_h: int, out_h: int) -> tuple[tuple[int, bool], ...]:
    """Window rows that hold map row ``y``, the oldest first, and whether each ends there. Each takes a cycle."""
    held = [window for window in range(pool_h) if window * stride <= y < window * stride + size]
    return tuple((window, y == min(window * stride + size, out_h) - 1) for window in held)


@lru_cache(maxsize=4096)
def ending_columns(size: int, stride: int, pool_w: int, out_w: int) -> frozenset[int]:
    """Columns in which a window across x ends."""
    return frozenset(min(window * stride + size, out_w) - 1 for window in range(pool_w) if window * stride < out_w)


class Half:
    """A full half of the writer: cells still to be written, ``step`` banks apart."""

    __slots__ = ("left", "target", "bank", "step")

    def __init__(self, left: int, target: int, bank: int, step: int) -> None:
        self.left, self.target, self.bank, self.step = left, target, bank, step


class Post:
    """Registers of PostProcess and its parts. halves: cells to write, the one that is written first; drained: an
    accumulator became free in this cycle; active: something happens in the next cycle even if no sum is complete."""

    __slots__ = ("queue", "completed", "written", "halves", "drained", "active", "walk", "_starting", "_rows_left",
                 "_cols_left", "_held", "_held_last", "_y", "_plan", "_at", "_down", "_pixel", "_col", "_ends", "_emit",
                 "_collected", "_place", "_cell_bank", "_row_bank", "_ending", "_words", "_banks",
                 "_straight", "_late", "_upper")  # fmt: skip

    def __init__(self, p: TileParams) -> None:
        self._words, self._banks = p.cell_words, p.banks
        self.queue: deque[Walk] = deque()
        self.completed = self.written = 0
        self.halves: deque[Half] = deque()
        self.drained = self.active = False
        self.walk: Walk | None = None
        self._starting = self._held_last = self._emit = self._ending = self._straight = self._late = False
        self._upper = False  # the second row of a step is drained next
        self._rows_left = self._cols_left = self._held = self._y = self._at = self._down = 0
        self._pixel = self._col = self._collected = self._place = self._cell_bank = self._row_bank = 0
        self._plan: tuple[tuple[int, bool], ...] = ()
        self._ends: frozenset[int] = frozenset()

    def tick(self, granted: int) -> None:
        """A cycle; granted: cells that the buffer takes of those on offer."""
        halves, room, none = self.halves, len(self.halves) < 2, not self.halves
        finished = False
        if granted:
            finished = self._write(halves[0], granted)
        self.drained = end = False
        if self.walk is not None and not self._starting:
            end = self._work(room)
        if self._ending and finished or end and (none or finished):
            self.written += 1
            self._ending = False
        elif end:
            self._ending = True
        if self._starting:
            self._begin()
        if self.walk is None or end:
            self.walk = self.queue.popleft() if self.queue else None
            self._starting = self.walk is not None
        self.active = bool(
            self._starting
            or halves
            or self._held
            or self._down
            or self._emit
            or self.walk is not None
            and (not self._rows_left or self.completed)
        )

    def _begin(self) -> None:
        assert self.walk is not None
        c = self.walk.c
        self._starting, self._straight, self._late = False, c.pool == Pool.NONE, False
        self._rows_left, self._cols_left = c.rows if c.finish else 0, c.cols
        self._y, self._col, self._collected, self._at = c.out_y, 0, 0, 0
        self._place = 0 if c.vector else c.to_sub
        self._cell_bank = self._row_bank = c.to_bank
        if not self._straight:
            self._ends = ending_columns(c.pool_size, c.pool_stride, c.pool_w, c.out_w)
            self._plan = vertical_plan(self._y, c.pool_size, c.pool_stride, c.pool_h, c.out_h)

    def _write(self, half: Half, cells: int) -> bool:
        """So many cells are taken; returns whether the half's last one is among them."""
        half.left -= cells
        if not half.left:
            self.halves.popleft()
            return True
        half.bank = (half.bank + cells * half.step) % self._banks
        return False

    def _work(self, room: bool) -> bool:
        """What the compute under way does in this cycle; returns whether it has ended but for its last cells."""
        assert self.walk is not None
        c, straight = self.walk.c, self._straight
        held, down, emit = self._held, self._down, self._emit
        waiting = held or down or emit or self._ending
        end = not self._rows_left and not waiting and room
        collect = room and (held if straight else emit)
        pixels = held if straight else down
        emits = row_ready = False
        if straight:
            row_ready = bool(collect) and self._pixel == pixels - 1
            self._pixel = 0 if row_ready else self._pixel + bool(collect)
        elif pixels:
            emits = self._col in self._ends
            if not emits or not emit or room:
                taken = 1
                if not emits and self._pixel + 1 < pixels:
                    second = self._col + 1 in self._ends
                    if not second or not emit or room:
                        taken, emits = 2, second
                row_ready = self._pixel + taken == pixels
                self._pixel = 0 if row_ready else self._pixel + taken
                self._col = (self._col + taken) % c.out_w
            else:
                emits = False
        held_done = row_ready
        if not straight:
            if row_ready:
                self._down = 0
            late, self._late = self._late, False
            held_done = bool(held) and not late and self._vertical(not down or row_ready)
        take = self.completed and self._rows_left and (not held or held_done)
        if collect:
            self._collect()
        self._emit = emits or emit and not collect
        if held_done:
            self._held = 0
        if take:
            self._take()
        return bool(end)

    def _vertical(self, room: bool) -> bool:
        """A cycle of the held step in the pooling lanes; returns whether it is done with."""
        assert self.walk is not None
        plan, at = self._plan, self._at
        if plan:
            if plan[at][1]:
                if not room:
                    return False
                self._down = self._held
            if at + 1 < len(plan):
                self._at += 1
                return False
        self._at = 0
        if self._held_last:
            c = self.walk.c
            self._y += 1
            self._plan = vertical_plan(self._y, c.pool_size, c.pool_stride, c.pool_h, c.out_h)
            # in rows of one step the entry that is written in this cycle is read in the next one
            again = bool(plan and self._plan) and plan[-1] == (self._plan[0][0], False)
            self._late = again and c.cols <= c.groups
        return True

    def _take(self) -> None:
        assert self.walk is not None
        c = self.walk.c
        self._upper = bool(c.paired) and not self._upper and self._rows_left > 1
        if not self._upper:  # its accumulator is read no more
            self.drained = True
            self.completed -= 1
        self._held = min(self._cols_left, c.groups)
        self._held_last = self._cols_left <= c.groups
        if self._held_last:
            self._cols_left, self._rows_left = c.cols, self._rows_left - 1
        else:
            self._cols_left -= c.groups

    def _collect(self) -> None:
        """A pixel goes into the half that collects."""
        assert self.walk is not None
        c = self.walk.c
        self._collected += 1
        self._place += 1
        ended = self._collected == c.to_cols
        if ended or self._place == self._words:
            cells, step = (-(-(c.to_sub + c.neurons) // self._words), 1) if c.vector else (c.neurons, c.to_n_bank)
            self.halves.append(Half(cells, int(c.target), self._cell_bank, step))
            self._place, self._cell_bank = 0, (self._cell_bank + 1) % self._banks
        if ended:
            self._collected, self._place = 0, 0 if c.vector else c.to_sub
            self._row_bank = self._cell_bank = (self._row_bank + c.to_y_bank) % self._banks
