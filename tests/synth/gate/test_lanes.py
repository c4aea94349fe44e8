"""The measurement of the lanes' variants on a small tile's lanes, mapped to fixture.lib, with a random stimulus."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hw.errors import BadInput, CheckFailed
from hw.params import preset
from hw.variants import LATENCY, write_variant
from synth.gate.lanes import CASES, PERIOD_PS, Case, build, main, measure, simulate, stimuli_of, weights, work
from synth.gate.lanes_stimulus import REGISTERS, Stimulus, bits_of, held, in_halves, signed, stimulus, variant_trace
from synth.gate.recording import RecordedWindow, Recording
from synth.gate.simulate import ENERGIES
from synth.gate.trace import Trace
from tests.synth.gate.circuits import FIXTURE, LIBRARY

PARAMS = preset("small")
WIDTH, LANES = PARAMS.fmt.width, PARAMS.synapses
LATE_PS = 900


def given(rows: int = 13) -> Stimulus:
    """Random words, among them the lowest; lanes that compute in four cycles of five, all idle in some."""
    rng = np.random.default_rng(4)
    low, high = PARAMS.fmt.low, PARAMS.fmt.high
    operands, words = rng.integers(low, high, (2, rows, LANES), endpoint=True)
    operands[2], words[2] = low, low
    on = rng.random((rows, LANES)) < 0.8
    on[2], on[5], on[8] = True, False, False
    first = rng.integers(-(1 << 2 * WIDTH - 1), 1 << 2 * WIDTH - 1, LANES)
    return Stimulus("one", operands, words, held(on, operands * words, first), on, 7)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants")
    for kind in LATENCY:
        write_variant(PARAMS, kind, folder)
    return folder


def made(case: Case, verilog: Path, kept: Path):
    return build(case, verilog, LIBRARY, [FIXTURE], "", LATE_PS, kept)


@pytest.mark.parametrize("kind", REGISTERS)
def test_every_flip_flop_of_every_variant_is_as_computed(kind: str, verilog: Path, kept: Path) -> None:
    """The gate simulation refuses one that differs, and one whose state is not told."""
    built, case, stimulus_ = made(Case(kind), verilog, kept), Case(kind), given()
    row = measure(built, case, [stimulus_, stimulus_], PARAMS, kept, lambda: None)
    layer = row["layers"]["one"]
    assert set(row["layers"]) == {"one"}
    assert layer["energy_pj"] == pytest.approx(2 * sum(simulate(built, case, stimulus_, PARAMS, False, kept)))
    assert layer["energy_pj"] == pytest.approx(sum(layer[f"{name}_pj"] for name in ENERGIES))
    assert 0 < layer["zero_delay_pj"] < layer["energy_pj"], "glitches cost energy"
    assert row["behind_sram_ns"] >= row["least_period_ns"] > 0
    assert 1000 * row["behind_sram_ns"] < PERIOD_PS


def test_a_wrong_register_is_found(verilog: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, right = made(Case("split"), verilog, kept), REGISTERS["split"]

    def wrong(stimulus_: Stimulus, width: int):
        columns = right(stimulus_, width)
        columns["upper"][7, 1] ^= 1
        return columns

    monkeypatch.setitem(REGISTERS, "split", wrong)
    with pytest.raises(CheckFailed, match=r"upper_1\[0\] is \d at the end of cycle 7 in the netlist of products"):
        simulate(built, Case("split"), given(), PARAMS, False, kept)


def test_variants_of_two_stages_give_the_products_a_cycle_later() -> None:
    stimulus_ = given()
    for kind, latency in LATENCY.items():
        trace = variant_trace(kind, stimulus_, PARAMS)
        found = np.stack([signed(trace.of(f"product_{lane}")) for lane in range(LANES)], axis=1)
        assert np.array_equal(found[latency - 1 :], stimulus_.products[: len(found) + 1 - latency])


def test_what_is_kept_is_not_simulated_again(verilog: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = made(Case("plain"), verilog, kept)
    first = simulate(built, Case("plain"), given(), PARAMS, False, kept)
    monkeypatch.setattr("synth.gate.lanes.run", None)
    assert simulate(built, Case("plain"), given(), PARAMS, False, kept) == first
    with pytest.raises(TypeError):
        simulate(built, Case("plain", aligned=True), given(), PARAMS, False, kept)


def test_held_weights(verilog: Path, kept: Path) -> None:
    built, stimulus_ = made(CASES[0], verilog, kept), given()
    same = replace(stimulus_, weights=np.repeat(stimulus_.weights[:1], len(stimulus_.on), axis=0))
    same = replace(same, products=held(same.on, same.operands * same.weights, same.products[0]))
    row = weights(built, [same], PARAMS, kept, lambda: None)["one"]
    assert row["halves_zero_pj"] > row["halves_held_pj"] > row["held_pj"]
    assert row["zero_when_idle_pj"] > row["held_pj"]


def test_halves_compute_the_same() -> None:
    stimulus_ = given()
    for zeroed in (False, True):
        halves = in_halves(stimulus_, zeroed)
        assert (halves.cycles, halves.multiplies) == (2 * stimulus_.cycles, stimulus_.multiplies)
        assert np.array_equal(held(halves.on, halves.operands * halves.weights, halves.products[0])[::2][1:],
                              stimulus_.products[1:])  # fmt: skip
    assert not in_halves(stimulus_, True).weights[1::2].any()


def neuron(stimulus_: Stimulus) -> Trace:
    rows = len(stimulus_.on)
    columns = {
        "operands": bits_of(stimulus_.operands, WIDTH),
        "products.weights": bits_of(stimulus_.weights, WIDTH),
        "lanes2": stimulus_.on.astype(np.uint8),
        "sb_read": np.array([[row % 3 == 0] for row in range(rows)], np.uint8),
        "sb.lanes": np.ones((rows, LANES), np.uint8),
        "bias_en": np.array([[row in (5, 7)] for row in range(rows)], np.uint8),  # row 5's is of the read in row 3
    }
    for lane in range(LANES):
        columns[f"products.product_{lane}"] = bits_of(stimulus_.products[:, lane : lane + 1], 2 * WIDTH)
    widths = [values.shape[1] for values in columns.values()]
    firsts = np.cumsum([0, *widths])
    places = {name: (int(first), width) for name, first, width in zip(columns, firsts, widths, strict=False)}
    return Trace(places, np.concatenate(list(columns.values()), axis=1))


def test_a_recorded_neuron() -> None:
    stimulus_ = given()
    found = stimulus(neuron(stimulus_), PARAMS, "conv", 2, 9)
    for name in ("operands", "weights", "products", "on"):
        assert np.array_equal(getattr(found, name), getattr(stimulus_, name)[2:10])
    assert (found.layer, found.cycles, found.lane_reads) == ("conv", 7, LANES)  # of row 6
    busy = int(stimulus_.on[3:10].any(axis=1).sum())
    done = {"cycles": 7, "busy": busy, "multiplies": found.multiplies, "lane_reads": LANES}
    assert work([found]) == {"conv": done}


def test_a_recording_that_does_not_multiply() -> None:
    stimulus_ = given()
    stimulus_.products[6, 0] ^= 4
    with pytest.raises(CheckFailed, match="the recorded products of layer conv are not operands times weights"):
        stimulus(neuron(stimulus_), PARAMS, "conv", 0, 12)


def test_a_recording_without_insides() -> None:
    trace = neuron(given())
    lacking = Trace({name: place for name, place in trace.places.items() if name != "operands"}, trace.bits)
    with pytest.raises(BadInput, match="the trace lacks operands of a neuron: record the insides of neurons"):
        stimulus(lacking, PARAMS, "conv", 0, 12)


class Recorded(Recording):
    """A recording whose neurons are all given the same."""

    def neuron(self, window: RecordedWindow, number: int) -> Trace:
        return neuron(given())


def test_layers_of_the_windows_of_a_fraction() -> None:
    one = RecordedWindow("0.vcd", 0, 0.5, 3, 9, 12, (("start", 0), ("conv", 4), ("fc", 9)))
    other = replace(one, fraction=1.0, layers=(("fc", 0),))
    recording = Recorded(Path(), "x", PARAMS, "", "tile", "clk", (0, 2), (one, other), {})
    found = stimuli_of(recording, 0.5)
    assert [(item.layer, item.cycles) for item in found] == 2 * [("conv", 5), ("fc", 4)]
    assert np.array_equal(found[1].on, given().on[8:13])
    assert [(item.layer, item.cycles) for item in stimuli_of(recording, 1.0)] == 2 * [("fc", 12)]
    with pytest.raises(BadInput, match=r"a recorded fraction is wanted, one of 0.5, 1, not 0.2"):
        stimuli_of(recording, 0.2)


def test_a_missing_recording(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--variants", str(tmp_path), "--recording", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "a folder of recordings with its index.json is wanted" in result.output
