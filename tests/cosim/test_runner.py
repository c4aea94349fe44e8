"""The runner: builds are keyed and whole, a pass needs evidence, the clock and the views are exact."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest

import cosim.runner
from cosim.runner import Build, CosimFailed, build, run
from hw.errors import BadInput

HERE = Path(__file__).parent
PROBE = HERE / "probe.sv"
PORTS = [("probe", port) for port in ("clk", "rst", "start", "limit", "written", "follows", "value", "ones", "done")]
PUBLIC = [("probe", "wide")]


@pytest.fixture(scope="module")
def probe() -> Build:
    return build([PROBE], "probe", public=PUBLIC, writable=PORTS)


@pytest.mark.cosim
def test_triggers_views_and_speed(probe: Build, tmp_path: Path) -> None:
    cycles = 2_000_000
    result = run(
        probe,
        "bench_probe",
        seed=7,
        workdir=tmp_path,
        python_path=[HERE],
        env={"PROBE_CYCLES": str(cycles)},
        min_tests=3,
    )
    assert set(result.tests) == {"triggers", "views", "long_run"}
    assert result.cycles > cycles
    assert "seed 7: bench_probe" in result.log.read_text()
    assert "Seeding Python random module with 7" in result.log.read_text()
    assert result.cycles_per_second > 1e6  # measured: 10 to 20 M; cocotb's own way reaches 0.06 M


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("testcase", "message"),
    [
        ("fails", r"bench_misbehaved \(seed 1\): fails failure: value is not 12345"),
        ("crashes", r"ended with code -11 and no results file \(log: .*run\.log\)"),
        ("leaves", r"ended with code 0 and no results file"),
        ("never_ends", r"not done after 50000 cycles \(log: .*run\.log\)"),
        ("absent", r"1 tests wanted, 0 ran|no results file"),
    ],
)
def test_no_pass_without_evidence(probe: Build, tmp_path: Path, testcase: str, message: str) -> None:
    with pytest.raises(CosimFailed, match=message):
        run(probe, "bench_misbehaved", testcase, seed=1, workdir=tmp_path, python_path=[HERE], cycle_limit=50_000)


@pytest.mark.cosim
def test_time_limit_and_missing_module(probe: Build, tmp_path: Path) -> None:
    with pytest.raises(CosimFailed, match=r"bench_misbehaved \(seed 1\): not done after 2 s"):
        run(probe, "bench_misbehaved", "never_ends", seed=1, workdir=tmp_path, python_path=[HERE], timeout_s=2)
    with pytest.raises(CosimFailed, match=r"no_such_bench \(seed 1\): "):
        run(probe, "no_such_bench", seed=1, workdir=tmp_path)


@pytest.mark.cosim
def test_fewer_tests_than_wanted_and_skipped_ones(probe: Build, tmp_path: Path) -> None:
    with pytest.raises(CosimFailed, match=r"2 tests wanted, 1 ran"):
        run(probe, "bench_probe", "views", seed=1, workdir=tmp_path, python_path=[HERE], min_tests=2)
    with pytest.raises(CosimFailed, match=r"bench_skipped \(seed 1\): skipped skipped: "):
        run(probe, "bench_skipped", seed=1, workdir=tmp_path, python_path=[HERE])
    with pytest.raises(BadInput, match="min_tests wants at least 1, not 0: a run of no tests proves nothing"):
        run(probe, "bench_probe", seed=1, workdir=tmp_path, min_tests=0)


@pytest.mark.cosim
def test_builds_are_keyed_by_content(tmp_path: Path) -> None:
    source = tmp_path / "probe.sv"
    shutil.copy(PROBE, source)

    def again() -> Build:
        return build([source], "probe", build_root=tmp_path / "build", public=PUBLIC, writable=PORTS)

    first = again()
    assert not first.reused
    second = again()
    assert (second.key, second.reused, second.folder) == (first.key, True, first.folder)
    left = first.folder.with_suffix(".partial")
    first.folder.rename(left)  # as a build that was cut off leaves it
    (left / "Vtop").write_text("half")
    rebuilt = again()
    assert (rebuilt.key, rebuilt.reused) == (first.key, False)
    assert rebuilt.executable.stat().st_size > 1000
    source.write_text(source.read_text().replace("value <= STEP;", "value <= 2 * STEP;"))
    edited = again()
    assert edited.key != first.key
    assert not edited.reused
    source.write_text(source.read_text().replace("output logic        ones,", "output logic        ones, nothing"))
    with pytest.raises(CosimFailed, match=r"verilator failed: %\w+.*\(log: .*\.log\)"):
        again()
    folders = [entry for entry in (tmp_path / "build").iterdir() if entry.is_dir() and entry.name.startswith("probe")]
    assert sorted(f for f in folders if f.suffix != ".partial") == sorted([first.folder, edited.folder])


@pytest.mark.cosim
def test_a_source_that_changes_meanwhile_is_built_as_it_was_keyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, lock = tmp_path / "probe.sv", cosim.runner._lock
    shutil.copy(PROBE, source)

    def locked_late(path: Path) -> contextlib.AbstractContextManager[None]:
        source.write_text("of another process")
        return lock(path)

    monkeypatch.setattr(cosim.runner, "_lock", locked_late)
    assert not build([source], "probe", build_root=tmp_path / "build", public=PUBLIC, writable=PORTS).reused
    assert source.read_text() == "of another process"


def _toggles(path: Path) -> dict[str, int]:
    found = re.findall(r"\((\S+?)(?:\\\[(\d+)\\\])? \(T0 \d+\) \(T1 \d+\).*\(TC (\d+)\)\)", path.read_text())
    return {f"{name}[{bit}]" if bit else name: int(count) for name, bit, count in found}


def _duration(path: Path) -> int:
    found = re.search(r"DURATION (\d+)", path.read_text())
    assert found
    return int(found[1])


@pytest.mark.cosim
def test_activity_windows_are_exact(tmp_path: Path) -> None:
    simulation = build([PROBE], "probe", name="probe_saif", public=PUBLIC, writable=PORTS, trace_saif=True)
    run(simulation, "bench_windows", seed=1, workdir=tmp_path, python_path=[HERE])
    for name, length in (("first", 100), ("second", 37)):
        start, stop = (int(text) for text in (tmp_path / f"{name}.txt").read_text().split())
        assert stop - start == length
        counted, base = _toggles(tmp_path / f"{name}.saif"), _toggles(tmp_path / f"{name}.saif.base")
        exact = {net: counted[net] - base[net] for net in counted}
        for bit in range(32):
            wanted = sum((value ^ (value + 1)) >> bit & 1 for value in range(start, stop))
            assert exact[f"value[{bit}]"] == wanted
        assert base["ones"] == counted["ones"] == 1  # starts at 1: the base takes it back
        assert exact["clk"] == 2 * length
        assert _duration(tmp_path / f"{name}.saif") - _duration(tmp_path / f"{name}.saif.base") == 4000 * length


def test_bad_input() -> None:
    with pytest.raises(BadInput, match=r"a simulation source is wanted, .*/none\.sv is not a file"):
        build(["none.sv"], "probe")
    with pytest.raises(BadInput, match="at least one source is wanted to simulate probe, not none"):
        build([], "probe")
    with pytest.raises(BadInput, match=r"clock_ps wants a positive even number \(two equal halves\), not 4001"):
        build([PROBE], "probe", clock_ps=4001)
