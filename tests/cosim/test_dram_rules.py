"""The rules of the DRAM, by hand: closed forms of the replay, and refused configurations."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cosim.dram import DDR3_1600K, ORIGIN, SOURCES, DramConfig, Ideal, Request, Timing, dram_config, replay
from golden import limits
from golden.dram_timing import Refresh
from golden.timing import DDR3
from hw.errors import BadInput
from hw.params import preset

CONFIG = dram_config(preset("paper32"), 1)
ROW = CONFIG.row_beats
T = DDR3_1600K


def _times(config: DramConfig, *requests: tuple[int, bool, int]) -> list[int]:
    return replay(config, [Request(*request) for request in requests], requests[-1][0]).done_ps


def test_every_time_has_a_source() -> None:
    times = {name for name in vars(T) if name.startswith("t_")}
    assert set(ORIGIN) == times | {"refreshes_moved"}
    assert set(ORIGIN.values()) == set(SOURCES)


def test_documented_table_is_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dram.md").read_text()
    rows = dict(re.findall(r"^\| (t_\w+) \| ([\d.]+) \|", text, re.MULTILINE))
    times = {name: getattr(T, name) for name in ORIGIN if name.startswith("t_")}
    assert {name: float(value) * 1000 for name, value in rows.items()} == times
    assert f"`refreshes_moved` = {T.refreshes_moved} " in text


def test_roofline_has_the_same_burst() -> None:
    assert (T.t_burst, T.burst_bytes) == (limits.BURST_NS * 1000, limits.BURST_BYTES)


def test_peak_is_12_8_gigabytes_per_second() -> None:
    assert T.burst_bytes / (T.t_burst * 1e-12) == pytest.approx(12.8e9)
    assert T.burst_bytes * CONFIG.clock_ps / T.t_burst == 51.2  # bytes per tile cycle


def test_first_access_opens_a_row() -> None:
    assert _times(CONFIG, (0, False, 0)) == [T.t_rcd + T.t_cl + T.t_burst]
    assert _times(CONFIG, (4000, False, 0)) == [5000 + T.t_rcd + T.t_cl + T.t_burst]  # next edge of the DRAM clock
    assert _times(CONFIG, (0, True, 0)) == [T.t_rcd + T.t_cwl + T.t_burst]


def test_stream_runs_at_the_bus_limit() -> None:
    """Rows of the next bank open while the last one streams: no gap anywhere but at the start."""
    requests = [(4000 * i, False, i) for i in range(3 * ROW)]
    deep = replace(CONFIG, depth=1000)
    times = _times(deep, *requests)
    assert {b - a for a, b in zip(times, times[1:], strict=False)} == {T.t_burst}


def test_conflict_waits_for_precharge() -> None:
    conflict = _times(CONFIG, (0, False, 0), (4000, False, ROW * T.banks))[1]
    assert conflict == T.t_ras + T.t_rp + T.t_rcd + T.t_cl + T.t_burst
    after_write = _times(CONFIG, (0, True, 0), (4000, False, ROW * T.banks))[1]
    written = T.t_rcd + T.t_cwl + T.t_burst
    assert after_write == written + T.t_wr + T.t_rp + T.t_rcd + T.t_cl + T.t_burst


def test_turnarounds() -> None:
    read_write = _times(CONFIG, (0, False, 0), (4000, True, 1))[1]
    assert read_write == T.t_rcd + T.t_rtw + T.t_cwl + T.t_burst
    write_read = _times(CONFIG, (0, True, 0), (4000, False, 1))[1]
    assert write_read == T.t_rcd + T.t_cwl + T.t_burst + T.t_wtr + T.t_cl + T.t_burst


def test_activates_of_different_banks() -> None:
    times = _times(CONFIG, *[(4000 * i, False, ROW * i) for i in range(5)])
    first = T.t_rcd + T.t_cl + T.t_burst
    assert times == [first, first + T.t_rrd, first + 2 * T.t_rrd, first + 3 * T.t_rrd, first + T.t_faw]


def test_refresh_closes_every_bank() -> None:
    """Each done when it is due, whatever goes on."""
    config = replace(CONFIG, timing=Timing(refreshes_moved=0))
    edge = 7_800_000  # the first refresh is due at an edge of the tile
    assert edge % 4000 == 0
    later = edge + 400_000
    result = replay(config, [Request(0, False, 0), Request(later, False, 0)], later)
    assert result.done_ps[1] == later + T.t_rcd + T.t_cl + T.t_burst
    assert (result.counters["refreshes"], result.counters["row_misses"]) == (1, 2)
    soon = replay(config, [Request(0, False, 0), Request(edge, False, 0)], edge)
    assert soon.done_ps[1] == edge + T.t_rp + T.t_rfc + T.t_rcd + T.t_cl + T.t_burst
    ten = replay(config, [], 10 * T.t_refi)
    assert ten.counters["refreshes"] == ten.counters["forced_refreshes"] == 10
    assert ten.refreshes == [Refresh((k + 1) * edge, 0, True) for k in range(10)]


def _steady(first: int, end: int) -> list[Request]:
    """Reads of one row every 40 ns: each is complete 16 ns after it was accepted, which leaves 24 ns."""
    return [Request(at, False, 0) for at in range(first, end, 40_000)]


def _refreshes(config: DramConfig, trace: list[Request], end: int) -> list[Refresh]:
    found = replay(config, trace, end)
    assert found.counters["refreshes"] == len(found.refreshes)
    assert found.counters["forced_refreshes"] == sum(refresh.forced for refresh in found.refreshes)
    assert all(abs(refresh.owed) <= config.timing.refreshes_moved for refresh in found.refreshes)
    return found.refreshes


def test_refreshes_are_postponed_eight_times_then_forced() -> None:
    trace = _steady(0, 11 * T.t_refi)
    assert _refreshes(CONFIG, trace, trace[-1].accepted_ps) == [
        Refresh(9 * T.t_refi, 8, True),
        Refresh(10 * T.t_refi, 8, True),
    ]
    done = replay(CONFIG, trace, 0).done_ps[9 * T.t_refi // 40_000]  # accepted at that very edge, served afterwards
    assert done == 9 * T.t_refi + T.t_rp + T.t_rfc + T.t_rcd + T.t_cl + T.t_burst


def test_a_run_may_begin_with_refreshes_owed() -> None:
    trace = _steady(0, 3 * T.t_refi)
    for owed, first in ((8, 1), (7, 2), (6, 3)):
        forced = [Refresh(k * T.t_refi, 8, True) for k in range(first, 3)]
        assert _refreshes(replace(CONFIG, owed=owed), trace, trace[-1].accepted_ps) == forced


def test_eight_are_pulled_in_and_no_more() -> None:
    pulled = [Refresh(260_000 + 520_000 * k, -1 - k, False) for k in range(8)]  # t_idle_early, then t_rfc and it again
    kept = [Refresh(k * T.t_refi, -8, False) for k in range(1, 7)]  # each as soon as it may be: it idles all the time
    assert _refreshes(CONFIG, [], 6 * T.t_refi) == pulled + kept


def test_no_more_than_nine_intervals_between_two() -> None:
    """After eight pulled in the ninth in a row that falls due is done, although none was owed."""
    begin = 4_400_000
    trace = _steady(begin, 20 * T.t_refi)
    found = _refreshes(CONFIG, trace, trace[-1].accepted_ps)
    assert found[7] == Refresh(3_900_000, -8, False)
    assert found[8:] == [Refresh(9 * T.t_refi, 0, True), *(Refresh(k * T.t_refi, 8, True) for k in (18, 19))]


def test_no_more_than_sixteen_within_two_intervals() -> None:
    config = replace(CONFIG, owed=8)
    found = _refreshes(config, [], 4 * T.t_refi)
    late = [Refresh(40_000 + 300_000 * k, 7 - k, False) for k in range(8)]  # t_idle, then t_rfc and it again
    early = [Refresh(2_140_000 + 260_000 + 260_000 + 520_000 * k, -1 - k, False) for k in range(8)]
    assert found[:16] == late + early
    # two fell due since; the seventeenth waits until the first is two intervals old, the next one idle time
    assert found[16] == Refresh(40_000 + 2 * T.t_refi, -7, False)
    assert found[17] == Refresh(40_000 + 2 * T.t_refi + 520_000, -8, False)
    commands = [refresh.edge_ps for refresh in found]
    assert all(b - a >= 2 * T.t_refi for a, b in zip(commands, commands[16:], strict=False))


def test_an_idle_refresh_wants_its_idle_time_to_the_edge() -> None:
    """Owed 1 and idle from 32 ns on: done 40 ns later, unless a request is accepted at that very edge."""
    config, edge = replace(CONFIG, owed=1), 72_000
    read = T.t_rcd + T.t_cl + T.t_burst
    for second, found, done in (
        (edge, [], edge + 500 + read - T.t_rcd),  # a hit; 500 ps to the DRAM's clock
        (edge + 4_000, [Refresh(edge, 0, False)], edge + 500 + T.t_rp + T.t_rfc + read),
    ):
        result = replay(config, [Request(0, False, 0), Request(second, False, 0)], second)
        assert result.refreshes == found
        assert result.done_ps[1] == done
    assert _refreshes(config, [Request(0, False, 0)], edge - 4_000) == []
    assert _refreshes(config, [Request(0, False, 0)], edge) == [Refresh(edge, 0, False)]


@pytest.mark.parametrize("moved", [0, 1, 3, 8])
def test_refreshes_owed_stay_within_their_limits(moved: int) -> None:
    """By counting: those that fell due at every refresh, less those done, whatever the gaps."""
    rng = random.Random(moved)
    for owed in {0, moved}:
        timing = Timing(t_refi=780_000, t_idle=rng.choice([1250, 40_000]), refreshes_moved=moved)
        config, at = replace(CONFIG, timing=timing, owed=owed), 0
        trace: list[Request] = []
        while len(trace) < 3000:
            length, gap = rng.randint(1, 200), rng.choice([20, 40, 100, 600, 2000])
            for _ in range(length if gap < 100 else 5):
                at += gap * 4000 if gap > 40 else 4000 * rng.randint(30, gap + 10)
                trace.append(Request(at, rng.random() < 0.3, rng.randrange(4096)))
        found = _refreshes(config, trace, at)
        for done, refresh in enumerate(found):
            assert refresh.owed == owed + refresh.edge_ps // timing.t_refi - done - 1
        edges = [0, *(refresh.edge_ps for refresh in found)]
        assert all(b - a <= (moved + 1) * timing.t_refi for a, b in zip(edges, edges[1:], strict=False))
        assert {refresh.forced for refresh in found} == ({True, False} if moved else {True})


def test_response_is_sampled_at_the_first_edge_after_its_burst() -> None:
    result = replay(CONFIG, [Request(0, False, 0)], 0)
    assert (result.done_ps, result.response_ps) == ([32_500], [36_000])


def test_ideal() -> None:
    limited = replace(CONFIG, ideal=Ideal(latency_ps=20_000, burst_ps=5_000))
    assert _times(limited, (0, False, 0), (4000, True, 9999), (8000, False, 5)) == [20_000, 25_000, 30_000]
    unlimited = replace(CONFIG, ideal=Ideal(latency_ps=8_000, burst_ps=0))
    assert _times(unlimited, (0, False, 0), (4000, False, 1)) == [8_000, 12_000]


def test_beats_of_other_sizes() -> None:
    small = dram_config(preset("small"), 1)
    assert (small.bursts, small.row_beats) == (1, 512)
    wide = replace(CONFIG, beat_bytes=128)
    assert wide.bursts == 2
    assert _times(wide, (0, False, 0), (4000, False, 1)) == [37_500, 47_500]


def test_impossible_traces() -> None:
    with pytest.raises(ValueError, match="request accepted at 4001 ps, not at an edge of its own"):
        _times(CONFIG, (4001, False, 0))
    with pytest.raises(ValueError, match="request accepted at 4000 ps, not at an edge of its own"):
        _times(CONFIG, (4000, False, 0), (4000, False, 0))
    with pytest.raises(ValueError, match="request accepted at 12000 ps with 3 in flight"):
        _times(replace(CONFIG, depth=3), *[(4000 * i, False, i) for i in range(4)])


def test_memory_is_shared_between_sizes_of_jobs() -> None:
    tile = preset("paper32")
    assert dram_config(tile, 1).memory_beats == dram_config(tile, 1 << 16).memory_beats == 1 << 16
    assert dram_config(tile, (1 << 16) + 1).memory_beats == 1 << 17
    assert dram_config(preset("odd"), 1 << 18).memory_beats == 1 << 18
    assert DramConfig.from_json(CONFIG.to_json()) == CONFIG
    ideal = replace(CONFIG, ideal=Ideal())
    assert DramConfig.from_json(ideal.to_json()) == ideal


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="DRAM timing t_rcd wants a multiple of 1250 ps, not 13000: round it up"):
        Timing(t_rcd=13000)
    with pytest.raises(BadInput, match="an ideal DRAM wants times of 0 ps or more, not -1 and 0"):
        Ideal(-1, 0)
    with pytest.raises(BadInput, match="DRAM beats want to fill rows of 8192 bytes, not 16384 bytes"):
        replace(CONFIG, beat_bytes=16384)
    with pytest.raises(BadInput, match="DRAM memory wants 1 to 67108864 beats, not 0"):
        replace(CONFIG, memory_beats=0)
    with pytest.raises(BadInput, match="DRAM depth wants at least one request in flight, not 0"):
        replace(CONFIG, depth=0)
    with pytest.raises(BadInput, match="DRAM timing t_idle_early wants a multiple of 1250 ps, not 1000: round it up"):
        Timing(t_idle_early=1000)
    for name in ("t_idle", "t_idle_early"):
        with pytest.raises(BadInput, match=f"DRAM timing {name} wants at least 1250 ps, not 0"):
            replace(T, **{name: 0})
    for moved in (-1, 9):
        with pytest.raises(BadInput, match=f"DRAM refreshes_moved wants 0 to 8, not {moved}"):
            Timing(refreshes_moved=moved)
    with pytest.raises(BadInput, match="DRAM refreshes owed after reset want 0 to 8, not 9"):
        dram_config(preset("small"), 1, owed=9)
    with pytest.raises(BadInput, match="DRAM refreshes owed after reset want 0 to 1, not -1"):
        DDR3(timing=Timing(refreshes_moved=1), owed=-1)
    with pytest.raises(BadInput, match="DRAM memory of tile small wants 1 to 1048576 beats, not 1048577"):
        dram_config(preset("small"), (1 << 20) + 1)
    with pytest.raises(BadInput, match=r"clock_ns wants whole picoseconds for the DRAM model, not 3\.9999"):
        dram_config(preset("small").replace(clock_ns=3.9999), 1)
