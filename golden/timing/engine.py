"""The compute engine of hw.compute as the clock sees it: what it issues, what it reads, and why it waits."""

from collections import deque

from golden.timing.walk import Walk

TAKE, BIAS, RUN = range(3)
# what the engine does in a cycle, hw.events.CYCLE_KINDS in this order
BUSY, SETUP, STALL_DATA, STALL_ORDER, STALL_PORT, STALL_ACCUMULATOR, IDLE = range(7)


class Engine:
    """Registers of ComputeEngine, and of the cycle under way:

    moved: its registers change otherwise than by one more issue. hold: source of a running compute, else None. gather:
    compute, step and pass (see Walk) whose cells are read. weights: SB is read in the next cycle. complete: sums that
    the issue ends. push: a compute that was started.
    """

    __slots__ = ("queue", "state", "walk", "tile_start", "tile_steps", "issues", "at", "read_done", "moved",
                 "hold", "gather", "weights", "complete", "push", "_used", "_complete", "_full",
                 "_quads")  # fmt: skip

    def __init__(self, accumulators: int) -> None:
        self._used = bytearray(accumulators)
        # accumulators whose sums are complete, the one that drains first in front; -1: it stays taken
        self._complete: deque[int] = deque()
        self.queue: deque[Walk | None] = deque()  # None: a window
        self.state = TAKE
        self.walk: Walk | None = None
        self.tile_start = self.tile_steps = self.issues = self.at = 0
        self._full = self._quads = 0  # issues of whole lines, and of a quarter
        self.read_done = 0
        self.moved = self.weights = False
        self.complete = 0
        self.hold: int | None = None
        self.gather: tuple[Walk, int, int] | None = None
        self.push: Walk | None = None

    def _start(self, walk: Walk) -> None:
        self.queue.popleft()
        self.walk = self.push = walk
        self.state = BIAS if walk.load_bias else RUN
        self.tile_start = 0
        self._tile()

    def _tile(self) -> None:
        walk = self.walk
        assert walk is not None
        self.at, self.tile_steps = 0, min(walk.tile, walk.steps - self.tile_start)
        self._full = self.tile_steps * walk.full_lines
        self._quads = walk.quads(self.tile_steps) if walk.quarters else 0
        self.issues = self._full + self._quads * walk.quarters

    def tick(self, urgent: int, source: int, crowded: bool, dma_done: int, written: int, post_ready: bool) -> int:
        """A cycle; returns its kind. urgent: banks of buffer ``source`` that a load takes first. crowded: so many
        weights wait for SB that no line is read where every cycle reads one."""
        self.gather = self.push = self.hold = None
        self.weights = self.moved = False
        self.complete = 0
        if self.state == RUN:
            return self._run(urgent, source, crowded, dma_done, written, post_ready)
        if self.state == BIAS:
            self.moved = self.weights = True
            self.state = RUN
            return SETUP
        if not self.queue:
            return IDLE
        head = self.queue[0]
        if head is None:
            self.queue.popleft()
            self.moved = True
            return SETUP
        if dma_done < head.wait_dma:
            return STALL_DATA
        if self.read_done < head.wait_read or written < head.wait_written:
            return STALL_ORDER
        if not post_ready:
            return STALL_ACCUMULATOR
        self.moved = True
        self._start(head)
        return SETUP

    def _run(
        self, urgent: int, source: int, crowded: bool, dma_done: int, written: int, post_ready: bool
    ) -> int:  # fmt: skip
        walk = self.walk
        assert walk is not None
        self.hold = walk.source
        allocate = walk.first and self.at < self.tile_steps
        if self.at < self._full:
            pass_, place = divmod(self.at, self.tile_steps)
            covered = 1
            reads_weights, last = not place, pass_ == walk.lines - 1
        else:
            quarter, number = divmod(self.at - self._full, self._quads)
            place, covered = walk.quad(number)
            pass_ = walk.full_lines + quarter
            reads_weights, last = not (quarter or number), quarter == walk.quarters - 1
        step = self.tile_start + place
        index = walk.accumulator(step)
        if allocate and self._used[index]:
            return STALL_ACCUMULATOR
        if crowded and walk.reads and walk.tile == 1:
            self.moved = True
            return STALL_PORT
        if walk.reads and (not place or pass_ >= walk.full_lines or walk.fresh[step % walk.row_steps]):
            if urgent and source == walk.source and urgent & walk.banks(step, pass_):
                self.moved = True
                return STALL_PORT
            self.gather = walk, step, pass_
        self.weights = reads_weights and walk.reads
        if allocate:
            self._used[index] = True
        if walk.finish and last:
            self.complete = covered
            self._complete.extend(-1 if walk.hold else walk.accumulator(step + k) for k in range(covered))
        self.at += 1
        if self.at == self.issues:
            self.moved = True
            self.tile_start += self.tile_steps
            if self.tile_start == walk.steps:
                self._end(dma_done, written, post_ready)
            else:
                self._tile()
        return BUSY

    def _end(self, dma_done: int, written: int, post_ready: bool) -> None:
        """A window is taken, and the next compute starts, with the last issue of this one if it may."""
        self.state = TAKE
        head = self.queue[0] if self.queue else None
        if head is None:
            if self.queue:  # a window
                self.queue.popleft()
        elif post_ready and self._ordered(head, dma_done, written):
            self._start(head)
        self.read_done += 1

    def _ordered(self, head: Walk, dma_done: int, written: int) -> bool:
        return dma_done >= head.wait_dma and self.read_done >= head.wait_read and written >= head.wait_written

    def free_issues(self) -> int:
        """Issues that follow for certain, and complete no sum, while nothing else happens."""
        walk = self.walk
        if self.state != RUN or walk is None:
            return 0
        ending = (self._quads or self.tile_steps) if walk.finish else 1
        count = self.issues - ending - self.at
        if walk.first and self.at < self.tile_steps:
            count = min(count, self.tile_steps - self.at)
            first = self.tile_start + self.at
            busy = (k for k in range(count) if self._used[walk.accumulator(first + k)])
            count = next(busy, count)
        return max(0, count)

    def issue(self, count: int) -> None:
        """Pass over ``count`` of free_issues."""
        walk = self.walk
        assert walk is not None
        if walk.first and self.at < self.tile_steps:
            for k in range(count):
                self._used[walk.accumulator(self.tile_start + self.at + k)] = True
        self.at += count

    def drained(self) -> None:
        """A complete sum has left its accumulator, or was emitted and stays."""
        index = self._complete.popleft()
        if index >= 0:
            self._used[index] = False
