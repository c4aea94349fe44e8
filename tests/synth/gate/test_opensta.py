"""What goes to OpenSTA and comes back; the own calculation by its rules against a report that OpenSTA 3.1.0 wrote."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.compare import Comparison, block_of_net, compare, simulated_energy
from synth.gate.delays import Delays
from synth.gate.explicit import explicit_defaults
from synth.gate.liberty import read_library
from synth.gate.library import Library
from synth.gate.netlist import GONE, Netlist
from synth.gate.opensta import find_sta, parse_annotation, parse_power, report_power
from synth.gate.simulate import Result
from synth.gate.sta_files import Activity, Conditions, commands, saif, verilog
from synth.gate.static_power import static_energy
from synth.gate.timing import annotate
from synth.gate.wires import wires_of

LIBERTY = Path(__file__).parent / "fixture.lib"
TYPES = ("INV", "NAND2", "XOR2", "MUX2", "AOI21", "DFF", "DFFR", "CKGATE", "DFF")
PINS = (
    {"A": 3, "Y": 6},
    {"A": 4, "B": 6, "Y": 7},
    {"A": 6, "B": 7, "Y": 8},
    {"A": 7, "B": 8, "S": 5, "Y": 9},
    {"A1": 9, "A2": 12, "B": 3, "Y": 10},
    {"D": 10, "CLK": 2, "Q": 11},
    {"D": 8, "CLK": 2, "RESET_B": 1, "Q": 12},
    {"CLK": 2, "EN": 5, "GCLK": 13},
    {"D": 9, "CLK": 13, "Q": 14},
)
NETLIST = Netlist(
    top="tiny",
    nets=15,
    cells=tuple(f"u{number}" for number in range(len(TYPES))),
    types=TYPES,
    pins=PINS,
    blocks=("logic", "state"),
    block=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1]),
    signals={"clk": (2,), "a": (3, 4), "en": (5,), "q": (11, 12, 14, GONE)},
    inputs=("a", "en"),
    outputs=("q",),
    clock="clk",
)
ACTIVITY = Activity(
    toggles=np.array([0, 0, 200, 40, 50, 20, 40, 60, 70, 64, 58, 30, 28, 80, 12]),
    high_ps=np.array([0, 0, 500, 300, 600, 400, 700, 620, 450, 480, 350, 380, 420, 200, 500]) * 1000,
    duration_ps=1_000_000,
)
CONDITIONS = Conditions(10_000, 0.1, 0.1)
# report_power of OpenSTA 3.1.0 on that netlist and activity, loads and slews of `annotate`
REPORT = """\
       Internal      Switching        Leakage          Total
          Power          Power          Power          Power (Watts)
------------------------------------------------------------
 1.15395176e-06 8.91799985e-08 8.99999963e-10 1.24403175e-06 c6
 1.17061109e-06 5.05499997e-08 8.00000011e-10 1.22196104e-06 c5
 1.08031998e-06 7.99999995e-08 5.99999994e-10 1.16091996e-06 c7
 5.47088860e-07 2.02199999e-08 8.00000011e-10 5.68108874e-07 c8
 2.08352219e-07 2.10000010e-07 2.99999997e-10 4.18652206e-07 c2
 2.24691291e-07 1.76000000e-07 3.49999973e-10 4.01041319e-07 c3
 7.10934955e-08 2.55000003e-07 1.49999999e-10 3.26243509e-07 c1
 3.46560007e-08 1.63999999e-07 1.07999991e-10 1.98763999e-07 c0
 9.48326715e-08 7.25000007e-08 2.00000003e-10 1.67532676e-07 c4
"""
ANNOTATION = "saif           32\nunannotated     4\n"


@pytest.fixture(scope="module")
def library() -> Library:
    return read_library([LIBERTY])


@pytest.fixture(scope="module")
def delays(library: Library) -> Delays:
    return annotate(NETLIST, library, wires_of(library, 0.0))


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, version: str = "3.1.0") -> None:
    """A program ``sta`` alone in front of PATH that prints ``version`` when asked and else runs ``body``."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "sta"
    script.write_text(f'#!/bin/sh\nif [ "$1" = -version ]; then echo "{version}"; exit 0; fi\n{body}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_sta_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_sta() is None


@pytest.mark.parametrize("version", ["2.6.0", "2.10.1", "3.1.0"])
def test_a_recent_sta_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake(tmp_path, monkeypatch, "exit 0", version)
    assert find_sta() == (tmp_path / "bin" / "sta", version)


@pytest.mark.parametrize("version", ["2.0.17", "2.3.3", "2.5.0"])
def test_an_old_sta_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake(tmp_path, monkeypatch, "exit 0", version)
    wanted = (
        rf"^OpenSTA wants version 2.6 or newer, the first that reads SAIF, .*/sta is {version}: build a recent one "
    )
    with pytest.raises(BadInput, match=wanted):
        find_sta()


def test_another_program_of_that_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exit 0", "station")
    with pytest.raises(BadInput, match=r"^OpenSTA wants to print its version, .*/sta -version printed 'station'$"):
        find_sta()


def test_verilog_of_a_netlist() -> None:
    lines = list(verilog(NETLIST))
    assert lines[0] == "module top (n2, n3, n4, n5, n11, n12, n14);"
    assert [line for line in lines if "wire" in line] == [f"  wire n{net};" for net in (6, 7, 8, 9, 10, 13)]
    assert "  DFFR c6 (.D(n8), .CLK(n2), .RESET_B(1'b1), .Q(n12));" in lines
    assert lines[-1] == "endmodule"


def test_saif_has_ports_and_pins_but_the_clock_s() -> None:
    text = "\n".join(saif(NETLIST, ACTIVITY))
    assert text.count("(") == text.count(")")
    assert "(TIMESCALE 1 ps)" in text
    assert "(DURATION 1000000)" in text
    assert "(INSTANCE c6 (NET (D (T0 550000) (T1 450000) (TX 0) (TC 70) (IG 0)) (RESET_B (T0 0) (T1 1000000)" in text
    assert "(n5 (T0 600000) (T1 400000) (TX 0) (TC 20) (IG 0))" in text
    assert "(n2 " not in text
    assert text.count("(CLK ") == 1  # of the flip-flop behind the clock gate
    assert text.count("(T0") == 32  # as many as OpenSTA's annotation counts


def test_saif_refuses_times_that_do_not_fit() -> None:
    with pytest.raises(BadInput, match=r"^SAIF wants activity over a time above 0, not 0 ps$"):
        list(saif(NETLIST, dataclasses.replace(ACTIVITY, duration_ps=0)))
    with pytest.raises(BadInput, match=r"^SAIF wants a time at 1 from 0 to 100 ps, net 3 has 300000$"):
        list(saif(NETLIST, dataclasses.replace(ACTIVITY, duration_ps=100)))


def test_commands_set_every_load_and_the_clock(delays: Delays) -> None:
    lines = list(commands(NETLIST, [LIBERTY], delays.load_ff, CONDITIONS))
    assert lines[0] == f"read_liberty {{{LIBERTY.resolve()}}}"
    assert "create_clock -name clock -period 10000 -waveform {0 5000} [get_ports n2]" in lines
    assert "set_input_transition 100 [get_ports {n3 n4 n5}]" in lines
    loads = [line for line in lines if line.startswith("set_load")]
    assert loads[0] == f"set_load -subtract_pin_load {delays.load_ff[2]:.6g} [get_nets n2]"
    assert [line.split("[get_nets n")[1] for line in loads] == [f"{net}]" for net in range(2, 15)]


def test_a_report_is_run_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delays: Delays) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    body = f"cp netlist.v activity.saif power.tcl 0.lib {kept}/\n"
    body += f"cat > power.txt <<END\n{REPORT}END\ncat > annotation.txt <<END\n{ANNOTATION}END"
    fake(tmp_path, monkeypatch, body)
    sta = find_sta()
    assert sta is not None
    report = report_power(NETLIST, [LIBERTY], delays.load_ff, ACTIVITY, CONDITIONS, sta)
    assert report.version == "3.1.0"
    assert report.annotated == 1.0
    assert report.energy_fj.shape == (2, 3)
    assert report.energy_fj[1, 0] == pytest.approx(1e3 * (1.15395176 + 1.17061109 + 1.08031998 + 0.54708886))
    assert (kept / "netlist.v").read_text() == "\n".join([*verilog(NETLIST), ""])
    assert (kept / "0.lib").read_text() == explicit_defaults(LIBERTY.read_text())
    assert "0.lib}" in (kept / "power.tcl").read_text()


def test_a_failing_run_is_refused_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delays: Delays
) -> None:
    fake(tmp_path, monkeypatch, 'echo "Warning: w"; echo "Error: power.tcl line 3, no such cell" >&2; exit 1')
    sta = find_sta()
    assert sta is not None
    wanted = r"^OpenSTA 3.1.0 wants a netlist and activity it can read, it said: Error: power.tcl line 3, no such cell$"
    with pytest.raises(BadInput, match=wanted):
        report_power(NETLIST, [LIBERTY], delays.load_ff, ACTIVITY, CONDITIONS, sta)
    fake(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(BadInput, match=r"it said: nothing$"):
        report_power(NETLIST, [LIBERTY], delays.load_ff, ACTIVITY, CONDITIONS, sta)


def test_a_report_that_lacks_cells_is_refused() -> None:
    fewer = "\n".join(REPORT.splitlines()[:-2])
    with pytest.raises(BadInput, match=r"^OpenSTA's power report wants all 9 cells, 2 are missing or unreadable$"):
        parse_power(fewer, NETLIST)
    with pytest.raises(BadInput, match=r"1 are missing or unreadable$"):
        parse_power(REPORT.replace("8.91799985e-08", "           NaN", 1), NETLIST)


def test_annotation_counts_what_the_clock_does_not_give() -> None:
    assert parse_annotation(ANNOTATION, NETLIST) == 1.0
    assert parse_annotation("saif 24\nunannotated 12\n", NETLIST) == 24 / 32
    with pytest.raises(BadInput, match=r"^OpenSTA's report of annotated pins wants a row unannotated, it is 'saif 3'$"):
        parse_annotation("saif 3", NETLIST)


def test_default_groups_get_their_condition() -> None:
    text = """cell (X) { /* internal_power () { */ pin (A) {
      internal_power () { when : "B"; rise_power (s) { values ("1"); } }
      internal_power () { rise_power (s) { values ("2 }"); } }
      internal_power () { related_pin : "C"; fall_power (s) { values ("3"); } }
      internal_power () { when : "!B * C"; related_pg_pin : "V"; }
    } }"""
    changed = explicit_defaults(text)
    assert changed.count("when") == 3
    assert changed.replace('\n when : "!((B))";', "") == text
    assert 'internal_power () {\n when : "!((B))"; rise_power (s) { values ("2 }")' in changed


def test_explicit_defaults_mean_the_same_to_the_own_reader(tmp_path: Path, library: Library, delays: Delays) -> None:
    path = tmp_path / "explicit.lib"
    path.write_text(explicit_defaults(LIBERTY.read_text()))
    again = read_library([path])
    assert not any(power.when.startswith("!((") for pin in library.cells["DFF"].pins.values() for power in pin.power)
    assert any(power.when.startswith("!((") for pin in again.cells["DFF"].pins.values() for power in pin.power)
    both = [static_energy(NETLIST, one, delays, ACTIVITY) for one in (library, again)]
    assert np.allclose(both[0], both[1], rtol=1e-12)


def test_own_tables_give_what_opensta_reported(library: Library, delays: Delays) -> None:
    by_cell = dataclasses.replace(NETLIST, blocks=NETLIST.cells, block=np.arange(len(TYPES)))
    wanted = parse_power(REPORT, by_cell) * ACTIVITY.duration_ps * 1e3
    own = static_energy(by_cell, library, delays, ACTIVITY)
    assert np.allclose(own[:, 1], wanted[:, 1], rtol=1e-6)  # loads are the same numbers
    assert np.allclose(own[:, 0], wanted[:, 0], rtol=2e-3)  # tables at slews of another calculation
    assert np.allclose(own[:, 2], wanted[:, 2], rtol=0.1)  # mean over states here, weighed there
    assert own.sum() == pytest.approx(wanted.sum(), rel=5e-4)


def test_a_flip_flop_s_clock_by_hand(library: Library) -> None:
    """One DFF at 0.1 ns: D and Q hold 1 and 0 for half of the time each; D, Q never move, the clock does 10 times."""
    alone = dataclasses.replace(
        NETLIST, cells=("u",), types=("DFF",), pins=({"D": 3, "CLK": 2, "Q": 4},), block=np.array([0]), signals={
            "clk": (2,), "a": (3,), "q": (4,)}, inputs=("a",),
    )  # fmt: skip
    toggles, high = np.zeros(15, np.int64), np.full(15, 500)
    toggles[2] = 10
    delays = annotate(alone, library, wires_of(library, 0.0))
    energy = static_energy(alone, library, delays, Activity(toggles, high, 1000))
    # D * !Q and !D * Q a quarter each: (0 + 4.2) / 2 and (0 + 4.4) / 2; the default the other half: (6.2 + 4.2) / 2
    assert energy[0, 0] == pytest.approx(10 * (0.25 * 2.1 + 0.25 * 2.2 + 0.5 * 5.2))
    assert energy[0, 1] == 0
    assert energy[0, 2] == pytest.approx(0.8 * 1000 * 1e-6)


def result(energy_fj: np.ndarray) -> Result:
    return Result(
        blocks=NETLIST.blocks,
        energy_fj=energy_fj,
        transitions=np.zeros((2, 2), np.int64),
        window_cycles=np.array([50, 50]),
        toggles=ACTIVITY.toggles,
        high_ps=ACTIVITY.high_ps,
        cycles=100,
        period_ps=10_000,
        unknown=(),
        checked=1,
        events=1,
        seconds=0.0,
    )


def test_nets_from_outside_and_the_clock_tree_are_left_out(library: Library, delays: Delays) -> None:
    block, driven = block_of_net(NETLIST, library)
    assert block[[2, 3, 5, 6, 12]].tolist() == [1, 0, 0, 0, 1]  # clk is first read by u5, en by u3
    assert driven[[2, 3, 6, 13]].tolist() == [False, False, True, True]
    half = 0.5 * delays.load_ff * delays.voltage_v**2 * ACTIVITY.toggles
    tree = delays.extra_fj * ACTIVITY.toggles
    energy = simulated_energy(NETLIST, library, delays, result(np.full((2, 2, 4), 1000.0)))
    assert energy[0] == pytest.approx(8000 - half[3] - half[4] - half[5])
    assert tree[2] > 0
    assert energy[1] == pytest.approx(8000 - half[2] - tree[2] - tree[13])


def test_compare_brings_all_three_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Library, delays: Delays
) -> None:
    fake(tmp_path, monkeypatch, f"echo '{REPORT}' > power.txt; echo '{ANNOTATION}' > annotation.txt")
    sta = find_sta()
    assert sta is not None
    found = compare(NETLIST, library, [LIBERTY], delays, result(np.full((2, 2, 4), 1000.0)), (0.1, 0.1), sta)
    assert abs(found.percent()["total"]["same_rules"]) < 0.05
    assert found.percent().keys() == {"logic", "state", "total"}
    assert found.simulated_fj == pytest.approx(
        simulated_energy(NETLIST, library, delays, result(np.full((2, 2, 4), 1000.0)))
    )
    other = dataclasses.replace(result(np.zeros((1, 2, 4))), blocks=("x",))
    with pytest.raises(
        BadInput, match=r"^a comparison wants the result of its netlist's blocks \('logic', 'state'\), n"
    ):
        compare(NETLIST, library, [LIBERTY], delays, other, (0.1, 0.1), sta)


def test_percent_is_own_over_opensta() -> None:
    found = Comparison(
        ("a", "b", "none"),
        "3.1.0",
        1.0,
        np.array([100.0, 300.0, 0]),
        np.array([101.0, 300, 0]),
        np.array([90.0, 330, 0]),
    )
    percent = found.percent()
    assert percent["a"] == pytest.approx({"same_rules": 1.0, "simulated": -10.0})
    assert percent["b"] == pytest.approx({"same_rules": 0.0, "simulated": 10.0})
    assert percent["total"] == pytest.approx({"same_rules": 0.25, "simulated": 5.0})
    assert "none" not in percent
