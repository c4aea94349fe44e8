"""The memory behind the tile's DRAM port: when a request may be sent and when its answer is there."""

from collections import deque
from dataclasses import dataclass

from golden.dram_timing import COUNTERS, DDR3_1600K, Ideal, Rank, Timing
from hw.errors import BadInput
from hw.params import TileParams

_NEVER = -(1 << 60)


@dataclass(frozen=True)
class DDR3:
    """A rank with closed rows. start_cycle: cycles from reset to the image's start; refreshes and the phase of the
    DRAM's clock depend on it. result_address: beat where the result goes, None: behind one image. owed: refreshes owed
    at the end of reset."""

    timing: Timing = DDR3_1600K
    start_cycle: int = 0
    result_address: int | None = None
    owed: int = 0

    def __post_init__(self) -> None:
        if self.start_cycle < 0:
            raise BadInput(f"a run wants to start 0 cycles or more after reset, not {self.start_cycle}")
        self.timing.check_owed(self.owed)


Memory = Ideal | DDR3


class DramPort:
    """The memory as the port sees it; cycles are those of the image.

    ready: a request may be sent in this cycle. leaves: cycles at whose end a request is complete, and whether it was a
    write, oldest first; the answer to a read is there in the cycle after.
    """

    __slots__ = (
        "ready",
        "leaves",
        "_depth",
        "_clock_ps",
        "_start",
        "_row_beats",
        "_rank",
        "_ideal",
        "_bus_ps",
        "_last",
    )

    def __init__(self, p: TileParams, memory: Memory) -> None:
        self.ready = True
        self.leaves: deque[tuple[int, bool]] = deque()
        self._depth, self._clock_ps = p.dram_outstanding, round(p.clock_ns * 1000)
        self._bus_ps, self._last = _NEVER, _NEVER
        self._ideal = memory if isinstance(memory, Ideal) else None
        self._start, self._row_beats, self._rank = 0, 0, None
        if isinstance(memory, DDR3):
            t = memory.timing
            self._start = memory.start_cycle
            self._row_beats = t.row_bytes // p.dram_beat_bytes
            self._rank = Rank(t, max(1, p.dram_beat_bytes // t.burst_bytes), dict.fromkeys(COUNTERS, 0), memory.owed)

    def accept(self, cycle: int, write: bool, address: int) -> None:
        """A request is sent in this cycle."""
        edge_ps = (cycle + self._start) * self._clock_ps
        if self._rank is not None:
            self._rank.refresh_until(edge_ps, self._clock_ps, (self._last + self._start) * self._clock_ps)
            done_ps = self._rank.serve(edge_ps, write, address // self._row_beats)
        else:
            assert self._ideal is not None
            done_ps = max(edge_ps + self._ideal.latency_ps, self._bus_ps + self._ideal.burst_ps)
            self._bus_ps = done_ps
        sampled = -(-done_ps // self._clock_ps) - self._start
        self._last = max(cycle, sampled - 1, self._last + 1)
        self.leaves.append((self._last, write))

    def rebase(self, cycles: int) -> None:
        """Cycles are those of the next image, which starts ``cycles`` after this one did."""
        self._start += cycles
        self._last -= cycles
        self.leaves = deque((cycle - cycles, write) for cycle, write in self.leaves)

    def edge(self, cycle: int) -> bool:
        """The end of a cycle, after ``accept``; returns whether the next one brings an answer to a read."""
        answer = False
        if self.leaves and self.leaves[0][0] == cycle:
            answer = not self.leaves.popleft()[1]
        self.ready = len(self.leaves) < self._depth
        return answer
