"""DDR3-1600 behind the tile's port: the model's parameters, and an independent replay of its rules.

docs/dram.md states the rules in words; `verilog/dram.sv` is the model that simulations use. The timing table and the
rules of a rank are those of golden.dram_timing.
"""

import dataclasses
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from golden.dram_timing import COUNTERS, DDR3_1600K, ORIGIN, REFRESHES_CLOSE, SOURCES, Ideal, Rank, Refresh, Timing
from hw.errors import BadInput
from hw.params import TileParams

__all__ = [
    "COUNTERS",
    "DDR3_1600K",
    "ORIGIN",
    "PUBLIC",
    "SOURCES",
    "DramConfig",
    "Ideal",
    "Replay",
    "Request",
    "Timing",
    "dram_config",
    "replay",
]


@dataclass(frozen=True)
class DramConfig:
    """What shapes one model: the tile's port, the clock, the memory behind it and how it times requests.

    memory_beats: size of the simulated array. depth: requests accepted and not completed, at most. trace_depth:
    requests recorded for `replay`. ideal: None for DDR3 timing. owed: refreshes owed at the end of reset.
    """

    beat_bytes: int
    lines: int
    address_bits: int
    depth: int
    clock_ps: int
    memory_beats: int
    timing: Timing = DDR3_1600K
    ideal: Ideal | None = None
    trace_depth: int = 0
    owed: int = 0

    def __post_init__(self) -> None:
        if self.timing.row_bytes % self.beat_bytes:
            raise BadInput(
                f"DRAM beats want to fill rows of {self.timing.row_bytes} bytes, not {self.beat_bytes} bytes"
            )
        if not 1 <= self.memory_beats <= 1 << self.address_bits:
            raise BadInput(f"DRAM memory wants 1 to {1 << self.address_bits} beats, not {self.memory_beats}")
        if self.depth < 1:
            raise BadInput(f"DRAM depth wants at least one request in flight, not {self.depth}")
        self.timing.check_owed(self.owed)

    def to_json(self) -> str:
        """For the bench, which runs in the simulator's process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DramConfig":
        values = json.loads(text)
        ideal = values.pop("ideal")
        return cls(**values | {"timing": Timing(**values["timing"]), "ideal": Ideal(**ideal) if ideal else None})

    @property
    def bursts(self) -> int:
        """Bursts per beat; a beat below 64 bytes still takes a whole one."""
        return max(1, self.beat_bytes // self.timing.burst_bytes)

    @property
    def row_beats(self) -> int:
        return self.timing.row_bytes // self.beat_bytes

    def parameters(self) -> dict[str, int]:
        """Parameters of module ``dram``."""
        values = {
            "BEAT_BITS": 8 * self.beat_bytes,
            "LINES": self.lines,
            "ADDRESS_BITS": self.address_bits,
            "MEMORY_BEATS": self.memory_beats,
            "DEPTH": self.depth,
            "TRACE_DEPTH": self.trace_depth,
            "CLOCK_PS": self.clock_ps,
            "BANKS": self.timing.banks,
            "ROW_BEATS": self.row_beats,
            "BURSTS": self.bursts,
            "T_BURST": self.timing.t_burst,
            "REFRESHES_CLOSE": REFRESHES_CLOSE,
            "OWED": self.owed,
        }
        if self.ideal is not None:
            values |= {"IDEAL": 1, "IDEAL_LATENCY_PS": self.ideal.latency_ps, "IDEAL_BURST_PS": self.ideal.burst_ps}
        return values | {name.upper(): getattr(self.timing, name) for name in ORIGIN}


def dram_config(
    p: TileParams,
    memory_beats: int,
    *,
    timing: Timing = DDR3_1600K,
    owed: int = 0,
    ideal: Ideal | None = None,
    trace_depth: int = 0,
) -> DramConfig:
    """The model for the port of tile ``p`` with at least ``memory_beats`` simulated.

    The array is a power of two of 65,536 beats or more (but not more than the tile addresses), so that jobs of
    different sizes share a build; `cosim.memory.DramView.set_size` narrows it to what a job uses.
    """
    if not 1 <= memory_beats <= p.dram_beats:
        raise BadInput(f"DRAM memory of tile {p.name} wants 1 to {p.dram_beats} beats, not {memory_beats}")
    clock_ps = round(p.clock_ns * 1000)
    if abs(clock_ps - p.clock_ns * 1000) > 1e-6:
        raise BadInput(f"clock_ns wants whole picoseconds for the DRAM model, not {p.clock_ns}")
    return DramConfig(
        beat_bytes=p.dram_beat_bytes,
        lines=p.lines_per_beat,
        address_bits=(p.dram_beats - 1).bit_length(),
        depth=p.dram_outstanding,
        clock_ps=clock_ps,
        memory_beats=min(p.dram_beats, max(1 << 16, 1 << (memory_beats - 1).bit_length())),
        timing=timing,
        owed=owed,
        ideal=ideal,
        trace_depth=trace_depth,
    )


PUBLIC = ("memory", "written", "limit_beats", "now", "owed", "trace_count", "trace_request", "trace_accepted_ps",
          "trace_done_ps", *COUNTERS)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request the model accepted at edge ``accepted_ps`` after reset; ``address`` in beats."""

    accepted_ps: int
    write: bool
    address: int


@dataclass
class Replay:
    """What the rules give for a trace: the end of every request's burst, the edge of every response, every refresh, the
    counters."""

    done_ps: list[int] = field(default_factory=list)
    response_ps: list[int] = field(default_factory=list)
    refreshes: list[Refresh] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))


def replay(config: DramConfig, trace: Iterable[Request], end_ps: int) -> Replay:
    """Serve ``trace`` by the rules alone, up to and with the edge at ``end_ps`` after reset.

    Raises ValueError when the trace is impossible: a request accepted between edges, two in one cycle, or with
    ``depth`` requests still in flight.
    """
    result = Replay()
    rank = Rank(config.timing, config.bursts, result.counters, config.owed)
    result.refreshes = rank.refreshes
    completed: deque[int] = deque()  # edges at which requests in flight complete
    last_edge = last_leaves = -config.clock_ps
    bus_free_ps = -(1 << 60)
    for request in trace:
        edge = request.accepted_ps
        if edge % config.clock_ps or edge < last_edge + config.clock_ps:
            raise ValueError(f"request accepted at {edge} ps, not at an edge of its own")
        while completed and completed[0] < edge:
            completed.popleft()
        if len(completed) >= config.depth:
            raise ValueError(f"request accepted at {edge} ps with {len(completed)} in flight")
        result.counters["write_beats" if request.write else "read_beats"] += 1
        if config.ideal is None:
            rank.refresh_until(edge, config.clock_ps, last_leaves)
            done_ps = rank.serve(edge, request.write, request.address // config.row_beats)
        else:
            done_ps = bus_free_ps = max(edge + config.ideal.latency_ps, bus_free_ps + config.ideal.burst_ps)
            result.counters["busy_ps"] += config.ideal.burst_ps
        # the model completes one request per edge, at the last edge before the tile samples it
        sampled = -(-done_ps // config.clock_ps) * config.clock_ps
        last_leaves = max(edge, sampled - config.clock_ps, last_leaves + config.clock_ps)
        completed.append(last_leaves)
        result.done_ps.append(done_ps)
        if not request.write:
            result.response_ps.append(last_leaves + config.clock_ps)
        last_edge = edge
    if config.ideal is None:
        rank.refresh_until(end_ps, config.clock_ps, last_leaves, asked=False)
    return result
