"""The rules of the DRAM, by hand: closed forms of the replay, and refused configurations."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cosim.dram import DDR3_1600K, ORIGIN, SOURCES, DramConfig, Ideal, Request, Timing, dram_config, replay
from golden import limits
from hw.errors import BadInput
from hw.params import preset

CONFIG = dram_config(preset("paper32"), 1)
ROW = CONFIG.row_beats
T = DDR3_1600K


def _times(config: DramConfig, *requests: tuple[int, bool, int]) -> list[int]:
    return replay(config, [Request(*request) for request in requests], requests[-1][0]).done_ps


def test_every_time_has_a_source() -> None:
    times = {name for name in vars(T) if name.startswith("t_")}
    assert times == set(ORIGIN)
    assert set(ORIGIN.values()) == set(SOURCES)


def test_documented_table_is_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dram.md").read_text()
    rows = dict(re.findall(r"^\| (t_\w+) \| ([\d.]+) \|", text, re.MULTILINE))
    assert {name: float(value) * 1000 for name, value in rows.items()} == {name: getattr(T, name) for name in ORIGIN}


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
    edge = 7_800_000  # the first refresh is due at an edge of the tile
    assert edge % 4000 == 0
    later = edge + 400_000
    result = replay(CONFIG, [Request(0, False, 0), Request(later, False, 0)], later)
    assert result.done_ps[1] == later + T.t_rcd + T.t_cl + T.t_burst
    assert (result.counters["refreshes"], result.counters["row_misses"]) == (1, 2)
    soon = replay(CONFIG, [Request(0, False, 0), Request(edge, False, 0)], edge)
    assert soon.done_ps[1] == edge + T.t_rp + T.t_rfc + T.t_rcd + T.t_cl + T.t_burst
    assert replay(CONFIG, [], 10 * T.t_refi).counters["refreshes"] == 10


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
    with pytest.raises(BadInput, match="DRAM memory of tile small wants 1 to 1048576 beats, not 1048577"):
        dram_config(preset("small"), (1 << 20) + 1)
    with pytest.raises(BadInput, match=r"clock_ns wants whole picoseconds for the DRAM model, not 3\.9999"):
        dram_config(preset("small").replace(clock_ns=3.9999), 1)
