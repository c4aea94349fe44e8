"""DDR3-1600 behind the tile's port: the timing table, the model's parameters, and an independent replay of its rules.

docs/dram.md states the rules in words; `verilog/dram.sv` is the model that simulations use.
"""

import dataclasses
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hw.errors import BadInput
from hw.params import TileParams

# Where the values stand; each was read in the document, none is from memory.
SOURCES: Mapping[str, str] = {
    "alliance": "Alliance AS4C256M16D3B (4 Gb x16) datasheet rev 1.1, p. 32, speed bin -12 (DDR3-1600 11-11-11)",
    "samsung": "Samsung M471B1G73AH0 datasheet rev 1.0, p. 27, Table 17, DDR3-1600 (page size 2 KB for x16 devices)",
    "micron56": "Micron 2 Gb DDR3 SDRAM datasheet, p. 79, Table 56 (tRFC of 4 Gb devices, tREFI up to 85 C)",
    "micron157": "Micron 2 Gb DDR3 SDRAM datasheet, p. 157: READ-to-WRITE = RL + tCCD - WL + 2 tCK = 9 tCK",
}


@dataclass(frozen=True)
class Timing:
    """A DDR3 speed bin and organisation. Times in ps, all multiples of ``t_ck``; sources by name in `ORIGIN`."""

    t_ck: int = 1250
    t_rcd: int = 13750
    t_rp: int = 13750
    t_cl: int = 13750
    t_cwl: int = 10000
    t_ras: int = 35000
    t_wr: int = 15000
    t_wtr: int = 7500
    t_rtp: int = 7500
    t_rtw: int = 11250
    t_ccd: int = 5000
    t_rrd: int = 7500
    t_faw: int = 40000
    t_refi: int = 7_800_000
    t_rfc: int = 260_000
    banks: int = 8
    row_bytes: int = 8192  # of the rank: four x16 devices with a 2 KB page
    burst_bytes: int = 64  # burst length 8 on 64 data lines

    @property
    def t_burst(self) -> int:
        """Data bus time of a burst: 8 transfers, two per clock."""
        return 4 * self.t_ck

    def __post_init__(self) -> None:
        for name in ORIGIN:
            if name.startswith("t_") and getattr(self, name) % self.t_ck:
                raise BadInput(
                    f"DRAM timing {name} wants a multiple of {self.t_ck} ps, not {getattr(self, name)}: round it up"
                )


# value of `Timing` -> source; everything else about the rank is its organisation
ORIGIN: Mapping[str, str] = {
    "t_ck": "alliance", "t_rcd": "alliance", "t_rp": "alliance", "t_cl": "alliance", "t_cwl": "alliance",
    "t_ras": "alliance", "t_wr": "samsung", "t_wtr": "samsung", "t_rtp": "samsung", "t_ccd": "samsung",
    "t_rrd": "samsung", "t_faw": "samsung", "t_rtw": "micron157", "t_refi": "micron56", "t_rfc": "micron56",
}  # fmt: skip

DDR3_1600K = Timing()


@dataclass(frozen=True)
class Ideal:
    """Memory without banks: a response ``latency_ps`` after its request, beats ``burst_ps`` apart (0: unlimited)."""

    latency_ps: int = 20_000
    burst_ps: int = 5_000

    def __post_init__(self) -> None:
        if self.latency_ps < 0 or self.burst_ps < 0:
            raise BadInput(f"an ideal DRAM wants times of 0 ps or more, not {self.latency_ps} and {self.burst_ps}")


@dataclass(frozen=True)
class DramConfig:
    """What shapes one model: the tile's port, the clock, the memory behind it and how it times requests.

    memory_beats: size of the simulated array. depth: requests accepted and not completed, at most. trace_depth:
    requests recorded for `replay`. ideal: None for DDR3 timing.
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

    def __post_init__(self) -> None:
        if self.timing.row_bytes % self.beat_bytes:
            raise BadInput(
                f"DRAM beats want to fill rows of {self.timing.row_bytes} bytes, not {self.beat_bytes} bytes"
            )
        if not 1 <= self.memory_beats <= 1 << self.address_bits:
            raise BadInput(f"DRAM memory wants 1 to {1 << self.address_bits} beats, not {self.memory_beats}")
        if self.depth < 1:
            raise BadInput(f"DRAM depth wants at least one request in flight, not {self.depth}")

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
        }
        if self.ideal is not None:
            values |= {"IDEAL": 1, "IDEAL_LATENCY_PS": self.ideal.latency_ps, "IDEAL_BURST_PS": self.ideal.burst_ps}
        return values | {name.upper(): getattr(self.timing, name) for name in ORIGIN}


def dram_config(p: TileParams, memory_beats: int, *, ideal: Ideal | None = None, trace_depth: int = 0) -> DramConfig:
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
        ideal=ideal,
        trace_depth=trace_depth,
    )


COUNTERS = ("read_beats", "write_beats", "row_hits", "row_misses", "refreshes", "turnarounds", "busy_ps")
PUBLIC = ("memory", "written", "limit_beats", "now", "trace_count", "trace_request", "trace_accepted_ps",
          "trace_done_ps", *COUNTERS)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request the model accepted at edge ``accepted_ps`` after reset; ``address`` in beats."""

    accepted_ps: int
    write: bool
    address: int


@dataclass
class Replay:
    """What the rules give for a trace: the end of every request's burst, the edge of every response, the counters."""

    done_ps: list[int] = field(default_factory=list)
    response_ps: list[int] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))


@dataclass
class _Bank:
    row: int | None = None
    ready_ps: int = 0  # closed: earliest activate; open: earliest read or write
    precharge_ps: int = 0


class _Rank:
    """Banks, bus and refresh, advanced request by request."""

    def __init__(self, timing: Timing, bursts: int, counters: dict[str, int]) -> None:
        self._t = timing
        self._bursts = bursts
        self._counters = counters
        self._banks = [_Bank() for _ in range(timing.banks)]
        self._activates: deque[int] = deque(maxlen=4)
        self._refresh_due = timing.t_refi
        self._last: tuple[bool, int] | None = None  # direction and time of the last read or write command

    def _edge(self, time_ps: int) -> int:
        return -(-time_ps // self._t.t_ck) * self._t.t_ck

    def refresh_until(self, now_ps: int, clock_ps: int) -> None:
        """Every refresh that is due at an edge up to ``now_ps``; it starts at the first edge not before it is due."""
        while (edge := -(-self._refresh_due // clock_ps) * clock_ps) <= now_ps:
            opened = [bank for bank in self._banks if bank.row is not None]
            start = max([self._edge(edge), *(bank.precharge_ps for bank in opened)])
            start += self._t.t_rp if opened else 0
            start = max([start, *(bank.ready_ps for bank in self._banks if bank.row is None)])
            for bank in self._banks:
                bank.row, bank.ready_ps = None, start + self._t.t_rfc
            self._refresh_due += self._t.t_refi
            self._counters["refreshes"] += 1

    def _open(self, bank: _Bank, row: int, now_ps: int) -> None:
        t = self._t
        at = max(now_ps, bank.ready_ps) if bank.row is None else max(now_ps, bank.precharge_ps) + t.t_rp
        if self._activates:
            at = max(at, self._activates[-1] + t.t_rrd)
        if len(self._activates) == 4:
            at = max(at, self._activates[0] + t.t_faw)
        self._activates.append(at)
        bank.row, bank.ready_ps, bank.precharge_ps = row, at + t.t_rcd, at + t.t_ras

    def serve(self, request: Request, row_beats: int) -> int:
        """End of the request's burst."""
        t, now_ps = self._t, self._edge(request.accepted_ps)
        row, index = divmod(request.address // row_beats, t.banks)
        bank = self._banks[index]
        if bank.row == row:
            self._counters["row_hits"] += 1
        else:
            self._counters["row_misses"] += 1
            self._open(bank, row, now_ps)
        command = max(now_ps, bank.ready_ps)
        if self._last is not None:
            was_write, previous = self._last
            if was_write == request.write:
                gap = t.t_ccd
            else:
                self._counters["turnarounds"] += 1
                gap = t.t_rtw if request.write else t.t_cwl + t.t_burst + t.t_wtr
            command = max(command, previous + gap)
        command += t.t_ccd * (self._bursts - 1)
        self._last = request.write, command
        self._counters["busy_ps"] += self._bursts * t.t_burst
        if request.write:
            end = command + t.t_cwl + t.t_burst
            bank.precharge_ps = max(bank.precharge_ps, end + t.t_wr)
        else:
            end = command + t.t_cl + t.t_burst
            bank.precharge_ps = max(bank.precharge_ps, command + t.t_rtp)
        return end


def replay(config: DramConfig, trace: Iterable[Request], end_ps: int) -> Replay:
    """Serve ``trace`` by the rules alone, up to and with the edge at ``end_ps`` after reset.

    Raises ValueError when the trace is impossible: a request accepted between edges, two in one cycle, or with
    ``depth`` requests still in flight.
    """
    result = Replay()
    rank = _Rank(config.timing, config.bursts, result.counters)
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
            rank.refresh_until(edge, config.clock_ps)
            done_ps = rank.serve(request, config.row_beats)
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
        rank.refresh_until(end_ps, config.clock_ps)
    return result
