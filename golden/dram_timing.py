"""DDR3-1600: the timing table with its sources, an ideal memory beside it, and the rules of a rank.

docs/dram.md states the rules in words.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hw.errors import BadInput

# Where the values stand; each was read in the document, none is from memory.
SOURCES: Mapping[str, str] = {
    "alliance": "Alliance AS4C256M16D3B (4 Gb x16) datasheet rev 1.1, p. 32, speed bin -12 (DDR3-1600 11-11-11)",
    "samsung": "Samsung M471B1G73AH0 datasheet rev 1.0, p. 27, Table 17, DDR3-1600 (page size 2 KB for x16 devices)",
    "micron56": "Micron 2 Gb DDR3 SDRAM datasheet, p. 79, Table 56 (tRFC of 4 Gb devices, tREFI up to 85 C)",
    "micron157": "Micron 2 Gb DDR3 SDRAM datasheet, p. 157: READ-to-WRITE = RL + tCCD - WL + 2 tCK = 9 tCK",
    "nanya": "Nanya NT5CB256M16D (DDR3(L) 4 Gb x16) datasheet, p. 63, Refresh Command: 8 at most postponed, 8 pulled "
    "in; Winbond W632GU6NB datasheet rev A01, p. 66, section 8.15, says the same",
    "choice": "our own choice; of controllers it is a setting (Microchip UDDRC: RFSHCTL0.REFRESH_TO_X1_X32)",
}
REFRESHES_MOVED = 8  # at most, whatever the controller
REFRESHES_CLOSE = 16  # within 2 t_refi, at most: not read in a datasheet, see docs/dram.md


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
    t_idle: int = 40_000  # idle time before a refresh that is owed
    t_idle_early: int = 260_000  # and before one that is not owed yet
    refreshes_moved: int = 8  # refreshes postponed, and pulled in, at most; 0: each when it is due
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
        for name in ("t_idle", "t_idle_early"):
            if getattr(self, name) < self.t_ck:
                raise BadInput(f"DRAM timing {name} wants at least {self.t_ck} ps, not {getattr(self, name)}")
        if not 0 <= self.refreshes_moved <= REFRESHES_MOVED:
            raise BadInput(f"DRAM refreshes_moved wants 0 to {REFRESHES_MOVED}, not {self.refreshes_moved}")

    def check_owed(self, owed: int) -> None:
        if not 0 <= owed <= self.refreshes_moved:
            raise BadInput(f"DRAM refreshes owed after reset want 0 to {self.refreshes_moved}, not {owed}")


# value of `Timing` -> source; everything else is the rank's organisation
ORIGIN: Mapping[str, str] = {
    "t_ck": "alliance", "t_rcd": "alliance", "t_rp": "alliance", "t_cl": "alliance", "t_cwl": "alliance",
    "t_ras": "alliance", "t_wr": "samsung", "t_wtr": "samsung", "t_rtp": "samsung", "t_ccd": "samsung",
    "t_rrd": "samsung", "t_faw": "samsung", "t_rtw": "micron157", "t_refi": "micron56", "t_rfc": "micron56",
    "t_idle": "choice", "t_idle_early": "choice", "refreshes_moved": "nanya",
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


COUNTERS = (
    "read_beats", "write_beats", "row_hits", "row_misses", "refreshes", "forced_refreshes", "turnarounds", "busy_ps",
)  # fmt: skip
_NEVER = 1 << 62


class Refresh(NamedTuple):
    """A refresh decided at an edge of the tile. owed: refreshes owed after it (below 0: pulled in); forced: not in idle
    time."""

    edge_ps: int
    owed: int
    forced: bool


@dataclass
class _Bank:
    row: int | None = None
    ready_ps: int = 0  # closed: earliest activate; open: earliest read or write
    precharge_ps: int = 0


class Rank:
    """Banks, bus and refresh, advanced request by request; counts what happens in ``counters`` (names: COUNTERS).

    owed: refreshes owed at the end of reset. refreshes: those done.
    """

    def __init__(self, timing: Timing, bursts: int, counters: dict[str, int], owed: int = 0) -> None:
        self._t = timing
        self._bursts = bursts
        # what every request wants; gaps by the direction of the last one and of this one
        self._t_bursts, self._t_commands = bursts * timing.t_burst, (bursts - 1) * timing.t_ccd
        self._t_read, self._t_write = timing.t_cl + timing.t_burst, timing.t_cwl + timing.t_burst
        to_read = timing.t_cwl + timing.t_burst + timing.t_wtr
        self._gaps = ((timing.t_ccd, timing.t_rtw), (to_read, timing.t_ccd))
        self._counters = counters
        self._banks = [_Bank() for _ in range(timing.banks)]
        self._activates: deque[int] = deque(maxlen=4)
        self.refreshes: list[Refresh] = []
        self._owed, self._refresh_due, self._refreshed_ps = owed, timing.t_refi, 0  # the last: end of the last refresh
        self._postponed = 0  # fell due since the last refresh
        self._refresh_commands: deque[int] = deque(maxlen=REFRESHES_CLOSE)
        self._patience = min(timing.t_idle, timing.t_idle_early) if timing.refreshes_moved else _NEVER
        self._last: tuple[bool, int] | None = None  # direction and time of the last read or write command

    def _edge(self, time_ps: int) -> int:
        return -(-time_ps // self._t.t_ck) * self._t.t_ck

    def refresh_until(self, now_ps: int, clock_ps: int, idle_ps: int, *, asked: bool = True) -> None:
        """Every refresh at an edge up to ``now_ps``; edges are ``clock_ps`` apart.

        idle_ps: edge at which the last of the requests so far is complete. asked: a request is accepted at ``now_ps``.
        """
        if now_ps < self._refresh_due and now_ps < idle_ps + self._patience:
            return
        last_idle = now_ps - clock_ps if asked else now_ps
        while True:
            due, idle = -(-self._refresh_due // clock_ps) * clock_ps, self._idle_edge(clock_ps, idle_ps)
            if due <= min(now_ps, idle):
                self._refresh_due += self._t.t_refi
                self._owed += 1
                self._postponed += 1
                if max(self._owed, self._postponed) > self._t.refreshes_moved:
                    self._refresh(due, forced=True)
            elif idle <= last_idle:
                self._refresh(idle, forced=False)
            else:
                return

    def _idle_edge(self, clock_ps: int, idle_ps: int) -> int:
        """The edge of the next refresh in idle time, if no request comes and none falls due before."""
        t = self._t
        if self._owed <= -t.refreshes_moved:
            return _NEVER
        at = max(idle_ps, self._refreshed_ps) + (t.t_idle if self._owed > 0 else t.t_idle_early)
        at = max(at, self._refresh_due - t.t_refi)  # as many are owed only since the last one fell due
        if len(self._refresh_commands) == REFRESHES_CLOSE:
            at = max(at, self._refresh_commands[0] + 2 * t.t_refi)
        return -(-at // clock_ps) * clock_ps

    def _refresh(self, edge_ps: int, *, forced: bool) -> None:
        """All banks are precharged as soon as their rows allow, then refreshed together."""
        opened = [bank for bank in self._banks if bank.row is not None]
        start = max([self._edge(edge_ps), *(bank.precharge_ps for bank in opened)])
        start += self._t.t_rp if opened else 0
        start = max([start, *(bank.ready_ps for bank in self._banks if bank.row is None)])
        self._refreshed_ps = start + self._t.t_rfc
        for bank in self._banks:
            bank.row, bank.ready_ps = None, self._refreshed_ps
        self._owed -= 1
        self._postponed = 0
        self._refresh_commands.append(start)
        self.refreshes.append(Refresh(edge_ps, self._owed, forced))
        self._counters["refreshes"] += 1
        self._counters["forced_refreshes"] += forced

    def _open(self, bank: _Bank, row: int, now_ps: int) -> None:
        t = self._t
        at = max(now_ps, bank.ready_ps) if bank.row is None else max(now_ps, bank.precharge_ps) + t.t_rp
        if self._activates:
            at = max(at, self._activates[-1] + t.t_rrd)
        if len(self._activates) == 4:
            at = max(at, self._activates[0] + t.t_faw)
        self._activates.append(at)
        bank.row, bank.ready_ps, bank.precharge_ps = row, at + t.t_rcd, at + t.t_ras

    def serve(self, accepted_ps: int, write: bool, page: int) -> int:
        """End of the burst of a request accepted at ``accepted_ps``; page: its address in rows of the whole rank."""
        t, now_ps = self._t, self._edge(accepted_ps)
        row, index = divmod(page, t.banks)
        bank = self._banks[index]
        if bank.row == row:
            self._counters["row_hits"] += 1
        else:
            self._counters["row_misses"] += 1
            self._open(bank, row, now_ps)
        command = max(now_ps, bank.ready_ps)
        if self._last is not None:
            was_write, previous = self._last
            command = max(command, previous + self._gaps[was_write][write])
            self._counters["turnarounds"] += was_write != write
        command += self._t_commands
        self._last = write, command
        self._counters["busy_ps"] += self._t_bursts
        if write:
            end = command + self._t_write
            bank.precharge_ps = max(bank.precharge_ps, end + t.t_wr)
        else:
            end = command + self._t_read
            bank.precharge_ps = max(bank.precharge_ps, command + t.t_rtp)
        return end
