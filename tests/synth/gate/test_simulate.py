import random
from dataclasses import replace

import numpy as np
import pytest

from hw.errors import BadInput, CheckFailed
from synth.gate import native
from synth.gate.delays import NONE, Delays
from synth.gate.netlist import Netlist
from synth.gate.simulate import ENERGIES, Result, run
from synth.gate.timing import annotate
from synth.gate.trace import Trace
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY, circuit
from tests.synth.gate.naive import record, simulate

PERIOD_PS, INPUT_DELAY_PS = 2000, 150
WIRES = stated(1.0)
INVERTER = circuit([("u", "INV", "A=a Y=y")], inputs=["clk", "a"], outputs=["y"], clock="clk")


def go(netlist: Netlist, trace: Trace, **options) -> Result:
    options = {"period_ps": PERIOD_PS, "input_delay_ps": INPUT_DELAY_PS} | options
    return run(netlist, LIBRARY, annotate(netlist, LIBRARY, WIRES), trace, **options)


def trace_of(**signals: str) -> Trace:
    """One-bit signals, a character for each row."""
    bits = np.array([[int(bit) for bit in text] for text in signals.values()], np.uint8).T
    return Trace({name: (at, 1) for at, name in enumerate(signals)}, bits)


def net(netlist: Netlist, name: str) -> int:
    return netlist.signals[name][0]


def total(result: Result) -> dict[str, float]:
    return dict(zip(ENERGIES, result.energy_fj.sum(axis=(0, 1)).tolist(), strict=True))


def test_an_inverter_by_hand():
    # load of y: 1 fF of wire and a sink of 2 fF; delays 10 + 10 + 4 * 3 = 32 ps up, 8 + 10 + 3 * 3 = 27 ps down
    result = go(INVERTER, trace_of(a="0100", y="1011"))
    assert result.toggles[[net(INVERTER, "a"), net(INVERTER, "y")]].tolist() == [2, 2]
    assert result.high_ps[net(INVERTER, "a")] == PERIOD_PS
    assert result.high_ps[net(INVERTER, "y")] == 150 + 27 + (3 * PERIOD_PS - (PERIOD_PS + 150 + 32))
    energy = total(result)
    assert energy["internal"] == pytest.approx(1.106 + 0.606)
    assert energy["switching"] == pytest.approx(4 * 0.5 * 3.0 * 1.0**2)
    assert energy["leakage"] == pytest.approx(0.1 * 3 * PERIOD_PS * 1e-6)
    assert (result.cycles, result.checked, result.events) == (3, 1, 4 + 6)  # 6 edges of the clock


def pulse(inverters: int) -> tuple[Netlist, Trace]:
    """y = NAND(a, not a), where the inverse comes late: 1 but for a pulse after each rise of a."""
    chain = [(f"i{k}", "INV", f"A={f'n{k - 1}' if k else 'a'} Y=n{k}") for k in range(inverters)]
    last = f"n{inverters - 1}"
    netlist = circuit([*chain, ("g", "NAND2", f"A=a B={last} Y=y")], inputs=["clk", "a"], outputs=["y"], clock="clk")
    return netlist, trace_of(a="01", y="11")


def test_a_late_inverse_makes_a_glitch_that_costs_energy():
    netlist, trace = pulse(3)
    result, ideal = go(netlist, trace), go(netlist, trace, zero_delay=True)
    assert result.toggles[net(netlist, "y")] == 2
    assert ideal.toggles[net(netlist, "y")] == 0
    wire_and_mean_sink_ff = 1.0 + (4 * 2.0 + 2.2) / 5
    assert total(result)["switching"] - total(ideal)["switching"] == pytest.approx(2 * 0.5 * wire_and_mean_sink_ff)
    assert total(result)["internal"] > total(ideal)["internal"]


def test_a_pulse_shorter_than_the_gate_s_delay_is_swallowed():
    netlist, trace = pulse(1)
    assert go(netlist, trace).toggles[net(netlist, "y")] == 0


def test_an_input_that_comes_late():
    netlist = circuit([("g", "XOR2", "A=a B=b Y=y")], inputs=["clk", "a", "b"], outputs=["y"], clock="clk")
    trace = trace_of(a="01", b="01", y="00")
    assert go(netlist, trace).toggles[net(netlist, "y")] == 0
    result = go(netlist, trace, late_ps={"b": 650})
    assert result.toggles[net(netlist, "y")] == 2
    assert result.high_ps[net(netlist, "b")] == PERIOD_PS - 650
    with pytest.raises(BadInput, match="late inputs name y, which is no input of circuit"):
        go(netlist, trace, late_ps={"y": 650})
    with pytest.raises(BadInput, match=r"the last input's delay \(2000 ps\) .* is wanted, got 2000 ps"):
        go(netlist, trace, late_ps={"b": 2000})


def test_flip_flops_of_one_edge_do_not_race():
    # q2 is behind a clock gate, whose clock would come later if it had a delay
    netlist = circuit(
        [
            ("one", "DFF", "D=d CLK=clk Q=q1"),
            ("gate", "CKGATE", "CLK=clk EN=en GCLK=gated"),
            ("two", "DFF", "D=q1 CLK=gated Q=q2"),
        ],
        inputs=["clk", "d", "en"],
        outputs=["q2"],
        clock="clk",
    )
    trace = trace_of(d="0110101", en="1111001", q1="0011010", q2="0001111")
    result = go(netlist, trace)
    assert result.toggles[net(netlist, "q1")] == 4
    assert result.toggles[net(netlist, "clk")] == 12
    assert result.toggles[net(netlist, "gated")] == 8  # rows 1 to 4 follow rows with the enable at 1
    assert result.high_ps[net(netlist, "gated")] == 4 * PERIOD_PS // 2
    assert go(netlist, trace, zero_delay=True).toggles[net(netlist, "q2")] == 1


def test_a_clock_at_rest_data_costs_its_pins_by_state():
    netlist = circuit([("f", "DFF", "D=d CLK=clk Q=q")], inputs=["clk", "d"], outputs=["q"], clock="clk")
    delays = annotate(netlist, LIBRARY, WIRES)
    at_rest = run(netlist, LIBRARY, delays, trace_of(d="000", q="000"), period_ps=PERIOD_PS)
    follows = run(netlist, LIBRARY, delays, trace_of(d="111", q="011"), period_ps=PERIOD_PS)
    clock_net = 4 * float(delays.extra_fj[net(netlist, "clk")] + 0.5 * delays.load_ff[net(netlist, "clk")])
    pin = {edge: getattr(LIBRARY.cells["DFF"].pins["CLK"].power[2], edge) for edge in ("rise", "fall")}
    own = {edge: 1000 * float(np.interp(0.1, table.slews_ns, table.values[:, 0])) for edge, table in pin.items()}
    assert total(at_rest)["clock_pin"] == pytest.approx(clock_net + 2 * own["rise"] + 2 * own["fall"])
    # the edge that makes Q follow has no energy of its own, it is in that of Q
    assert total(follows)["clock_pin"] == pytest.approx(clock_net + own["rise"] + 2 * own["fall"])
    assert total(at_rest)["internal"] == 0 < total(follows)["internal"]


def random_netlist(seed: int) -> tuple[Netlist, dict[int, int]]:
    """Gates, flip-flops with and without reset, gated clocks and latches, wired at random; first stored bits."""
    rng = random.Random(seed)
    inputs = [f"a{k}" for k in range(6)]
    states = [f"q{k}" for k in range(8)]
    known = [*inputs, *states, "0", "1"]
    cells = [("high", "TIEHI", "H=tied")]
    known.append("tied")
    for k in range(40):
        kind = rng.choice(["INV", "BUF", "NAND2", "NOR2", "AND2", "AOI21", "XOR2", "XOR2", "MUX2"])
        pins = " ".join(f"{pin}={rng.choice(known[-14:] + inputs)}" for pin in LIBRARY.cells[kind].inputs)
        cells.append((f"g{k}", kind, f"{pins} Y=n{k}"))
        known.append(f"n{k}")
    cells.append(("gate", "CKGATE", f"CLK=clk EN={rng.choice(known)} GCLK=gated"))
    cells.append(("held", "LATCH", "D=a5 G=a0 Q=l"))
    for k, state in enumerate(states):
        clock = rng.choice(["clk", "gated"])
        reset = f" RESET_B={rng.choice(['a1', '1'])}" if k % 2 else ""
        cells.append((f"f{k}", "DFFR" if reset else "DFF", f"D={rng.choice(known)} CLK={clock}{reset} Q={state}"))
    netlist = circuit(cells, inputs=["clk", *inputs], outputs=["n39", "n38", "l", *states], clock="clk")
    half = np.arange(len(cells), dtype=np.int32) % 2
    stored = {cell: rng.randrange(2) for cell, (_, kind, _) in enumerate(cells) if kind in ("DFF", "DFFR", "LATCH")}
    return replace(netlist, blocks=("even", "odd"), block=half), stored


def random_rows(seed: int, cycles: int) -> list[dict[str, int]]:
    rng = random.Random(seed)
    return [{f"a{k}": rng.randrange(2) for k in range(6)} for _ in range(cycles + 1)]


@pytest.mark.parametrize("seed", range(6))
def test_random_netlists_against_a_naive_simulation(seed):
    netlist, stored = random_netlist(seed)
    rows = random_rows(seed, cycles=12)
    trace = record(netlist, rows, stored)
    result = go(netlist, trace, window=5)
    delays = annotate(netlist, LIBRARY, WIRES)
    naive = simulate(netlist, delays, rows, stored, PERIOD_PS, INPUT_DELAY_PS)
    assert result.toggles.tolist() == [naive.toggles[k] for k in range(netlist.nets)]
    assert result.high_ps.tolist() == [naive.high_ps[k] for k in range(netlist.nets)]
    energy = total(result)
    for kind in ("internal", "switching", "clock_pin"):
        assert energy[kind] == pytest.approx(naive.energy[kind], rel=1e-9)
    assert result.transitions.sum() == result.events == sum(naive.toggles.values()) > 150
    assert result.window_cycles.tolist() == [5, 5, 2]


@pytest.mark.parametrize("seed", range(3))
def test_without_delays_a_net_moves_only_where_its_settled_value_does(seed):
    netlist, stored = random_netlist(seed)
    trace = record(netlist, random_rows(seed, cycles=30), stored)
    result = go(netlist, trace, zero_delay=True)
    for name, (column, _) in trace.places.items():
        if name != "gated" and name not in ("q1", "q3", "q5", "q7"):  # a flip-flop may load 1 and be reset
            moved = np.abs(np.diff(trace.bits[:, column].astype(int))).sum()
            assert result.toggles[net(netlist, name)] == moved, name
    assert result.events < go(netlist, trace).events


def test_windows_and_blocks_add_up_and_runs_are_the_same():
    netlist, stored = random_netlist(9)
    trace = record(netlist, random_rows(9, cycles=20), stored)
    parts, again, whole = go(netlist, trace, window=7), go(netlist, trace, window=7), go(netlist, trace, window=20)
    assert parts.energy_fj.tobytes() == again.energy_fj.tobytes()
    assert parts.energy_fj.shape == (3, 2, 4)
    assert (parts.energy_fj[:, :, :3].sum(axis=1) > 0).all()
    np.testing.assert_allclose(parts.energy_fj.sum(axis=0), whole.energy_fj[0], rtol=1e-12)
    assert parts.transitions.sum(axis=0).tolist() == whole.transitions[0].tolist()
    assert whole.energy_per_cycle_fj == pytest.approx(whole.energy_fj.sum() / 20)


def test_the_clock_is_charged_to_the_blocks_by_their_pins():
    cells = [(f"f{k}", "DFF", f"D=a CLK=clk Q=q{k}") for k in range(3)] + [("u", "INV", "A=a Y=y")]
    netlist = circuit(cells, inputs=["clk", "a"], outputs=["q0", "q1", "q2", "y"], clock="clk")
    netlist = replace(netlist, blocks=("one", "two", "none"), block=np.array([0, 1, 1, 2], np.int32))
    trace = trace_of(a="000", q0="000", q1="000", q2="000", y="111")
    result, delays = go(netlist, trace), annotate(netlist, LIBRARY, WIRES)
    clock = result.energy_fj[:, :, ENERGIES.index("clock_pin")].sum(axis=0)
    assert clock[1] == pytest.approx(2 * clock[0])
    assert clock[2] == 0
    edge_fj = 0.5 * delays.load_ff[net(netlist, "clk")] * delays.voltage_v**2 + delays.extra_fj[net(netlist, "clk")]
    pins = LIBRARY.cells["DFF"].pins["CLK"].power  # what the pin draws by itself
    assert edge_fj > 0
    assert pins
    own_fj = clock.sum() - 4 * edge_fj
    without = go(netlist, trace_of(a="00", q0="00", q1="00", q2="00", y="11"))
    half = without.energy_fj[:, :, ENERGIES.index("clock_pin")].sum() - 2 * edge_fj
    assert own_fj == pytest.approx(2 * half)
    assert own_fj > 0


def test_a_wrong_value_is_named():
    trace = trace_of(a="0100", y="1001")
    with pytest.raises(CheckFailed, match="y is 1 at the end of cycle 2 in the netlist of circuit, the trace has 0"):
        go(INVERTER, trace)
    with pytest.raises(CheckFailed, match="y is 1 at the end of cycle 0"):
        go(INVERTER, trace_of(a="01", y="00"), zero_delay=True)


def test_what_does_not_settle_is_named():
    netlist, trace = pulse(9)
    with pytest.raises(CheckFailed, match=r"n\d of circuit does not settle in 320 ps \(cycle 1\)"):
        go(netlist, trace, period_ps=320)
    assert go(netlist, trace, period_ps=None).period_ps > 2 * 320


def test_a_state_behind_an_inverter_is_known():
    netlist = circuit(
        [("f", "DFF", "D=d CLK=clk Q=hidden"), ("i", "INV", "A=hidden Y=q")],
        inputs=["clk", "d"],
        outputs=["q"],
        clock="clk",
    )
    del netlist.signals["hidden"]
    assert go(netlist, trace_of(d="1001", q="1011")).unknown == ()
    assert go(netlist, trace_of(d="1001", q="0011")).toggles[net(netlist, "q")] == 1


def test_a_signal_that_lost_its_highest_bits_is_known():
    netlist = circuit([("f", "DFF", "D=d CLK=clk Q=q")], inputs=["clk", "d"], outputs=[], clock="clk")
    wide = Trace({"d": (0, 1), "q": (1, 2)}, np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], np.uint8))
    result = go(netlist, wide)
    assert result.unknown == ()
    assert (result.checked, result.toggles[net(netlist, "q")]) == (1, 1)


def test_states_that_no_signal_tells():
    netlist = circuit(
        [("f", "DFF", "D=d CLK=clk Q=s"), ("g", "AND2", "A=s B=d Y=y")],
        inputs=["clk", "d"],
        outputs=["y"],
        clock="clk",
    )
    trace = trace_of(d="0110", y="0010")
    with pytest.raises(
        BadInput, match="the trace does not tell the state of 1 flip-flops or latches of circuit, .* f:"
    ):
        go(netlist, trace)
    assert go(netlist, trace, most_unknown=1).unknown == ("f",)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"window": 0}, "a window has one cycle at least, got 0"),
        ({"input_delay_ps": 0}, "inputs change 1 ps after the clock's edge or later, got 0 ps"),
        ({"period_ps": 150}, r"a period above the last input's delay \(150 ps\) .* is wanted, got 150 ps"),
        ({"period_ps": 20_000_000}, "at most 10000000 ps is wanted, got 20000000 ps"),
    ],
)
def test_settings_that_make_no_sense(options, match):
    with pytest.raises(BadInput, match=match):
        go(INVERTER, trace_of(a="01", y="10"), **options)


@pytest.mark.parametrize(
    ("trace", "match"),
    [
        (trace_of(a="01"), "the trace lacks y, an output of circuit: record it with the others"),
        (trace_of(y="01"), "the trace lacks a, an input of circuit: record it with the others"),
        (trace_of(a="0", y="1"), "a trace of one cycle at least is wanted, got 1 rows"),
        (
            Trace({"a": (0, 2), "y": (2, 1)}, np.zeros((2, 3), np.uint8)),
            "a has 1 bits in the netlist and 2 in the trace",
        ),
    ],
)
def test_traces_that_do_not_fit(trace, match):
    with pytest.raises(BadInput, match=match):
        go(INVERTER, trace)


def test_netlists_that_cannot_be_run():
    trace = trace_of(a="01", y="10")
    delays = annotate(INVERTER, LIBRARY, WIRES)

    def refused(match: str, **changes) -> None:
        with pytest.raises(BadInput, match=match):
            run(replace(INVERTER, **changes), LIBRARY, delays, trace, period_ps=PERIOD_PS)

    y = net(INVERTER, "y")
    refused(r"nothing drives input A of u \(INV\)", pins=({"Y": y},))
    refused("output Y of u drives net 1, which is a constant", pins=({"A": net(INVERTER, "a"), "Y": 1},))
    refused("a combinational loop goes through u", pins=({"A": y, "Y": y},))
    refused(r"nothing drives y\[0\], an output of circuit", pins=({"A": net(INVERTER, "a")},))
    refused("the netlist of circuit has no cells", cells=())
    twice = annotate(
        two := circuit([("u", "INV", "A=a Y=y"), ("v", "INV", "A=a Y=z")], ["clk", "a"], ["y"], "clk"), LIBRARY, WIRES
    )
    with pytest.raises(BadInput, match="output Y of v drives net 3, which is the output of another cell too"):
        run(replace(two, pins=(two.pins[0], two.pins[0])), LIBRARY, twice, trace, period_ps=PERIOD_PS)


def test_a_library_without_the_delay():
    delays = annotate(INVERTER, LIBRARY, WIRES)
    bare = replace(delays, delay_choice=np.full_like(delays.delay_choice, NONE))
    with pytest.raises(CheckFailed, match="the library has no delay for the change of y in cycle 1"):
        run(INVERTER, LIBRARY, bare, trace_of(a="01", y="10"), period_ps=PERIOD_PS)


def test_a_clock_that_feeds_itself_is_found():
    def looped(gate: str) -> tuple[Netlist, Delays]:
        cells = [("g", "CKGATE", "CLK=clk EN=1 GCLK=g"), ("n", gate, "A=clk B=g Y=x")]
        netlist = circuit(cells, inputs=["clk"], clock="clk")
        delays = replace(annotate(netlist, LIBRARY, WIRES), is_clock=np.zeros(netlist.nets, bool))
        netlist.pins[0]["CLK"] = net(netlist, "x")
        return netlist, delays

    trace = Trace({"q": (0, 1)}, np.zeros((2, 1), np.uint8))
    netlist, delays = looped("NOR2")  # swings while the clock is low
    with pytest.raises(CheckFailed, match=r"(x|g) of circuit feeds itself and never rests \(cycle 0\)"):
        run(netlist, LIBRARY, delays, trace, period_ps=PERIOD_PS)
    netlist, delays = looped("XOR2")  # while it is high
    with pytest.raises(CheckFailed, match=r"(x|g) of circuit feeds itself and never rests \(cycle 1\)"):
        run(netlist, LIBRARY, delays, trace, period_ps=PERIOD_PS, zero_delay=True)
    ideal = replace(delays, is_clock=np.ones(netlist.nets, bool))
    with pytest.raises(CheckFailed, match=r"(x|g) of circuit feeds itself and never rests \(cycle 1\)"):
        run(netlist, LIBRARY, ideal, trace, period_ps=PERIOD_PS)


def test_no_compiler_and_one_that_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        BadInput, match="a C.. compiler is wanted .*, none of no-such-compiler, g.., clang.. is on PATH"
    ):
        native.build(tmp_path)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ $1 = --version ]\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", "broken")
    with pytest.raises(BadInput, match="broken does not compile the gate simulation, .* see .*gatesim.log"):
        native.build(tmp_path)
    assert not list(tmp_path.glob("*.so"))


def test_a_build_is_kept(tmp_path):
    first = native.build(tmp_path)
    made = first.stat().st_mtime_ns
    assert native.build(tmp_path) == first
    assert first.stat().st_mtime_ns == made
