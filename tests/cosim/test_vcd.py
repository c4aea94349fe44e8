"""Recordings: the values of every signal of the tile that would be made, in the cycles that were asked for."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cosim.runner import CosimFailed, build, run
from cosim.vcd import (
    Window,
    Workload,
    pick_windows,
    random_workload,
    record,
    recorded_params,
    scopes,
    trained_workload,
)
from golden.data import load_subset
from golden.mapping import map_network
from golden.networks import INPUT_SHAPES, lenet
from golden.timing import DDR3, predict
from hw.errors import BadInput
from hw.params import preset
from synth.gate.recording import Recording, read_recording
from synth.gate.trace import Trace
from synth.gate.vcd import read_trace
from tests.cosim.bench_recordings import WINDOWS
from tests.cosim.test_tile import small_net
from tests.cosim.tiles import images, integer, modules

HERE = Path(__file__).parent
PROBE = HERE / "probe.sv"
PORTS = [("probe", port) for port in ("clk", "rst", "start", "limit", "written", "follows", "value", "ones", "done")]
CHECKPOINT = Path("checkpoints/lenet-mnist.npz")
SUBSET = Path("checkpoints/mnist-test-1000.npz")
NEURONS = (0, 2)
SEED = 3

pytestmark = pytest.mark.cosim


@pytest.fixture(scope="module")
def workload() -> Workload:
    p = recorded_params(preset("small"))
    full, shape = small_net()
    mapped = map_network(integer(modules(full, (0.5, 1.0), SEED), shape, p), p)
    return Workload("a small network", {}, mapped, (0.5, 1.0), (7, 9), images(2, shape, p, SEED))


def cycles_of(workload: Workload, increment: int) -> int:
    return workload.spans(increment)[-1].end - 1


@pytest.fixture(scope="module")
def recording(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A whole image, and two windows of another one on the other increment, one beginning where the first ends."""
    windows = [Window(1, 0, 1, cycles_of(workload, 1)), Window(0, 1, 230, 41), Window(0, 1, 200, 30)]
    folder = tmp_path_factory.mktemp("recording")
    assert record(workload, windows, folder, neurons=NEURONS, seed=SEED) == folder / "index.json"
    return read_recording(folder)


def numbers(trace: Trace, name: str) -> np.ndarray:
    """Signed values of a signal, a row each."""
    bits = trace.of(name).astype(object)
    weights = [1 << i for i in range(bits.shape[1])]
    weights[-1] = -weights[-1]
    return bits @ np.array(weights, dtype=object)


def test_products_follow_operands_and_weights(recording: Recording) -> None:
    """Row by row: a lane that computes makes the product of this row's words, any other lane keeps its own."""
    width, synapses = recording.params.fmt.width, recording.params.synapses
    made = kept = 0
    for neuron in NEURONS:
        trace = recording.neuron(recording.windows[2], neuron)
        lanes = trace.of("lanes2")
        assert (trace.of("operands").shape[1], lanes.shape[1]) == (synapses * width, synapses)
        for lane in range(synapses):
            assert np.array_equal(
                trace.of("operands")[:, lane * width : (lane + 1) * width], trace.of(f"operands[{lane}]")
            )
            wanted = numbers(trace, f"operands[{lane}]") * numbers(trace, f"products.weights[{lane}]")
            product = numbers(trace, f"products.product_{lane}")
            active = lanes[:-1, lane] == 1
            assert np.array_equal(product[1:][active], wanted[:-1][active])
            assert np.array_equal(product[1:][~active], product[:-1][~active])
            made += int(np.count_nonzero(wanted[:-1][active]))
            kept += int(np.count_nonzero(~active))
    assert made > 500
    assert kept > 500


def test_accumulators_are_there_by_element(recording: Recording) -> None:
    trace = recording.neuron(recording.windows[2], 0)
    banks, wide = recording.params.sum_banks, recording.params.accumulator_width
    count = recording.params.accumulators // banks
    assert banks > 1
    for bank in range(banks):
        assert {trace.places[f"accumulators.words_{bank}[{i}]"][1] for i in range(count)} == {wide}
        index, written = trace.of(f"acc_index[{bank}]"), numbers(trace, f"accumulators.written[{bank}]")
        at = index @ (1 << np.arange(index.shape[1]))
        rows = np.flatnonzero(trace.of("acc_en")[:-1, bank])
        assert len(rows) > 10
        words = [numbers(trace, f"accumulators.words_{bank}[{i}]") for i in range(count)]
        assert [words[at[row]][row + 1] for row in rows] == [written[row] for row in rows]
    assert {f"pool_lane.windows[{i}]" for i in range(recording.params.pool_entries)} <= trace.places.keys()


def test_rows_are_the_cycles_of_the_model(recording: Recording, workload: Workload) -> None:
    """Computes start in the rows that the model says, in all windows; the tile is busy from row 0 on."""
    assert [(w.increment, w.image, w.first, w.cycles) for w in recording.windows] == [
        (0, 9, 200, 30), (0, 9, 230, 41), (1, 7, 1, cycles_of(workload, 1)),
    ]  # fmt: skip
    for window in recording.windows:
        trace = recording.rest(window)
        assert trace.cycles == window.cycles
        assert trace.of("busy").all()
        starts = predict(workload.mapped, window.increment, DDR3(start_cycle=5)).starts
        wanted = [at - window.first for at in starts if window.first <= at <= window.first + window.cycles]
        assert np.flatnonzero(trace.of("engine.post_push")[:, 0]).tolist() == wanted
    assert [name for name, _ in recording.windows[2].layers] == ["start", "0", "3", "7", "9"]
    assert recording.windows[2].layers[1][1] == predict(workload.mapped, 1, DDR3(start_cycle=5)).starts[0] - 1
    assert [window.layers for window in recording.windows[:2]] == [(("0", 0),), (("0", 0),)]


def test_a_window_begins_with_the_row_that_ends_the_one_before(recording: Recording) -> None:
    before, after = (recording.rest(window) for window in recording.windows[:2])
    assert before.places == after.places
    assert np.array_equal(before.bits[-1], after.bits[0])
    assert not np.array_equal(before.bits[0], after.bits[0])


def test_every_signal_of_the_verilog_is_recorded(recording: Recording) -> None:
    """By path and width: all of the tile and of the chosen neurons, of the others what is in their outermost level."""
    params = recording.params
    text = (Path("build/verilog") / f"{params.name}-{params.hash}" / "tile.v").read_text()
    modules = dict(re.findall(r"^module \\?([\w.$]+)(.*?)^endmodule", text, re.MULTILINE | re.DOTALL))
    wanted: dict[str, int] = {}

    def walk(module: str, path: str) -> None:
        neuron = re.fullmatch(r"nfu\.neuron_(\d+)\.", path)
        declared = re.finditer(
            r"^  (?:wire|reg) (?:\[(\d+):0\] )?\\?(\S+?) *(?: \[(\d+):0\])?(?: *= .*)?;", modules[module], re.MULTILINE
        )
        for high, name, last in (match.groups() for match in declared):
            width = int(high or 0) + 1
            names = [name] if last is None else [f"{name}[{i}]" for i in range(int(last) + 1)]
            wanted.update((path + name, width) for name in names)
        if neuron is not None:
            return
        for child, name in re.findall(r"^  \\?(\S+) +\\?(\S+) +\($", modules[module], re.MULTILINE):
            if child in modules:
                walk(child, f"{path}{name}.")

    walk("tile", "")
    trace = recording.rest(recording.windows[0])
    assert {name: width for name, (_, width) in trace.places.items()} == wanted
    assert len(wanted) > 5000
    assert {"nfu.neuron_1.lanes2", "nfu.neuron_0.drain_wide", "nbin.bank_0[3]", "engine.state"} <= wanted.keys()


def test_the_index_says_what_was_recorded(recording: Recording) -> None:
    assert (recording.what, recording.scope, recording.clock) == ("a small network", "testbench.tile", "testbench.clk")
    assert recording.params == recorded_params(preset("small"))
    assert recording.neurons == NEURONS
    assert [window.fraction for window in recording.windows] == [0.5, 0.5, 1.0]
    assert recording.header["simulation_seed"] == SEED
    assert re.fullmatch("[0-9a-f]{64}", recording.verilog_sha256)
    with pytest.raises(BadInput, match=r"the insides of neurons \[0, 2\] are recorded, not of 1"):
        recording.neuron(recording.windows[0], 1)
    text = (recording.folder / "0.vcd").read_text()
    assert "$scope module neuron_2" in text
    with pytest.raises(
        BadInput, match="a recording of testbench.tile.nfu.neuron_1.products is wanted, it has no signal"
    ):
        read_trace(recording.folder / "0.vcd", "testbench.tile.nfu.neuron_1.products", clock="testbench.clk")


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "at least one window is wanted, not none"),
        ([Window(2, 0, 1, 5)], "an increment below 2 and an image below 2, not increment 2, image 0"),
        ([Window(0, 2, 1, 5)], "an increment below 2 and an image below 2, not increment 0, image 2"),
        ([Window(0, 0, 0, 5)], r"windows of increment 0 want cycles within 1 to \d+, not 5 from 0 on"),
        ([Window(0, 0, 5, 0)], r"windows of increment 0 want cycles within 1 to \d+, not 0 from 5 on"),
        ([Window(0, 0, 500, 100)], r"windows of increment 0 want cycles within 1 to \d+, not 100 from 500 on"),
        ([Window(0, 1, 10, 10), Window(0, 1, 19, 5)], r"windows of an image want cycles of their own, .* overlap"),
    ],
)
def test_windows_that_are_refused(workload: Workload, windows: list[Window], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        record(workload, windows, tmp_path)
    assert not list(tmp_path.iterdir())


def test_neurons_that_are_refused(workload: Workload, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"neurons to record want numbers from 0 to 3, not \[0, 4\]"):
        record(workload, [Window(0, 0, 1, 5)], tmp_path, neurons=(0, 4))


def test_scopes() -> None:
    text = (
        "module tile(clk);\n  \\tile.nfu  nfu (\n  );\n  \\tile.margin$3  margin$3 (\n  );\nendmodule\n"
        "module \\tile.nfu (clk);\n  bank operand_bank (\n  );\n  neuron neuron_0 (\n  );\n  neuron neuron_11 (\n  );\n"
        "endmodule\n"
    )
    tile = "testbench.tile"
    assert scopes(text, (11,)) == [
        ("testbench", 1), (tile, 1), (f"{tile}.nfu", 2), (f"{tile}.margin$3", 99), (f"{tile}.nfu.operand_bank", 99),
        (f"{tile}.nfu.neuron_11", 99),
    ]  # fmt: skip


def test_picked_windows(workload: Workload) -> None:
    found = pick_windows(workload, (0, 1), cycles=20, per_layer=3, seed=1)
    assert found == pick_windows(workload, (0, 1), cycles=20, per_layer=3, seed=1) == sorted(found)
    assert found != pick_windows(workload, (0, 1), cycles=20, per_layer=3, seed=2)
    for increment in (0, 1):
        spans = workload.spans(increment)
        met = set()
        for window in (window for window in found if window.increment == increment):
            assert 1 <= window.first <= spans[-1].end - window.cycles
            met |= {s.layer for s in spans if s.first < window.first + window.cycles and window.first < s.end}
            others = [w for w in found if w != window and (w.increment, w.image) == (increment, window.image)]
            assert all(abs(other.first - window.first) >= 20 for other in others)
        assert met == {0, 1, 2, 3}
    assert {window.image for window in found} == {0, 1}
    assert len(found) <= 2 * 4 * 3
    with pytest.raises(BadInput, match="windows want at least 1 cycle and 1 a layer, not 0 and 3"):
        pick_windows(workload, (0,), cycles=0, per_layer=3, seed=1)


def test_recorded_windows_are_the_edges_asked_for(tmp_path: Path) -> None:
    simulation = build([PROBE], "probe", name="probe_vcd", public=[("probe", "wide")], writable=PORTS, trace_vcd=True)
    assert simulation.vcd
    run(simulation, "bench_recordings", "recordings", seed=1, workdir=tmp_path, python_path=[HERE])
    value = json.loads((tmp_path / "seen.json").read_text())
    assert sorted(path.name for path in tmp_path.glob("*.vcd")) == ["a.vcd", "b.vcd", "c.vcd"]
    for name, first, cycles in WINDOWS:
        trace = read_trace(tmp_path / f"{name}.vcd", "probe", clock="probe.clk")
        assert numbers(trace, "value").tolist() == [value + first + k for k in range(cycles + 1)]
        assert set(numbers(trace, "follows")) == {0xA5}
        assert trace.places["wide[15]"][1] == 96
        assert trace.of("clk").tolist() == [[0]] * (cycles + 1)
    with pytest.raises(CosimFailed, match="not_writable failure: cocotb expected it would shut down"):
        run(simulation, "bench_recordings", "not_writable", seed=1, workdir=tmp_path, python_path=[HERE], timeout_s=60)
    assert "error: a recording wants a file that can be written, no/such" in (tmp_path / "run.log").read_text()


def test_a_build_without_recordings_refuses_them(tmp_path: Path) -> None:
    simulation = build([PROBE], "probe", public=[("probe", "wide")], writable=PORTS)
    run(simulation, "bench_recordings", "built_without", seed=1, workdir=tmp_path, python_path=[HERE])
    with pytest.raises(
        BadInput, match="one kind of trace is wanted in a simulation of probe, not both: build it twice"
    ):
        build([PROBE], "probe", trace_saif=True, trace_vcd=True)


def test_workloads_that_are_refused() -> None:
    subset, p = load_subset(SUBSET), preset("paper16")
    for wanted in ([], [0, 1000], [-1]):
        with pytest.raises(
            BadInput, match=re.escape(f"images want numbers from 0 to 999 of {subset.source}, not {wanted}")
        ):
            trained_workload(CHECKPOINT, subset, wanted, p)
    with pytest.raises(BadInput, match="at least 1 image is wanted, not 0"):
        random_workload("lenet", lenet(), INPUT_SHAPES["lenet"], (0.5, 1.0), 0, p, seed=1)


@pytest.mark.slow
def test_a_trained_network_and_a_random_one(tmp_path: Path) -> None:
    p = preset("paper16")
    trained = trained_workload(CHECKPOINT, load_subset(SUBSET), [3, 999], p)
    assert (trained.images, trained.fractions, tuple(trained.codes.shape)) == (
        (3, 999),
        (0.1, 0.2, 1.0),
        (2, 1, 28, 28),
    )
    assert trained.origin["checkpoint"] == "lenet-mnist.npz"
    made_up = random_workload("lenet", lenet(), INPUT_SHAPES["lenet"], (0.2, 1.0), 2, p, seed=4)
    for number, workload in enumerate((trained, made_up)):
        windows = pick_windows(workload, range(len(workload.fractions)), cycles=20, per_layer=1, seed=1)
        assert len(windows) == 4 * len(workload.fractions)
        record(workload, windows, tmp_path / str(number), neurons=(15,))
        recording = read_recording(tmp_path / str(number))
        assert {name for window in recording.windows for name, _ in window.layers} >= {"0", "3", "7", "9"}
        assert max(int(recording.neuron(window, 15).of("lanes2").sum()) for window in recording.windows) > 0
