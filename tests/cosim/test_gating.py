"""Channel gating: a gated network gives what the plain sub-network gives, and what is gated does not toggle one bit."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import hw.monitor
from cosim import saif
from cosim.job import Job, Outcome
from cosim.prepare import prepare
from cosim.saif import Activity
from cosim.simulate import simulate, simulate_jobs
from golden.mapping import map_network
from hw.activity import COUNTS
from hw.events import TOGGLES, event_names
from hw.params import TileParams
from hw.pool import POOL_SUM_BITS
from hw.pool_row import OPEN_WINDOWS
from tests.cosim.tiles import images, integer, modules, params_of, tile

SEED = 30
EVENTS = event_names(activity=True)

pytestmark = pytest.mark.cosim


@dataclass(frozen=True)
class Registers:
    """Where a neuron's registers stand in the generated Verilog, below ``neuron_<n>``."""

    product: str = r"products/product_bank/lane\[{lane}\]/value\[\d+\]"
    sum: str = r"sum/sum_bank/lane\[\d+\]/value\[\d+\]"
    accumulator: str = r"accumulators/words(?:_\d+)?\[\d+\]\[\d+\]"
    weight: str = r"bank/_\d+_\[\d+\]"
    pool: str = r"pool_lane/(?:windows\[\d+\]\[\d+\]|_\d+_\[\d+\]|pooled\[\d+\])"


REGISTERS = Registers()
OPERAND = r"testbench/tile/nfu/operand_bank/lane\[{lane}\]/value\[\d+\]"
ROW_LANE = r"testbench/tile/post/row/pool_row_lane_{channel}/(?:window_\d+|total)\[\d+\]"
NEURON = r"testbench/tile/nfu/neuron_{neuron}/"
COUNTED = {
    "toggle_operand": OPERAND.format(lane=r"\d+"),
    "toggle_weight": NEURON.format(neuron=r"\d+") + REGISTERS.weight,
    "toggle_product": NEURON.format(neuron=r"\d+") + REGISTERS.product.format(lane=r"\d+"),
    "toggle_sum": NEURON.format(neuron=r"\d+") + REGISTERS.sum,
    "toggle_accumulator": NEURON.format(neuron=r"\d+") + REGISTERS.accumulator,
    "toggle_output": r"testbench/tile/post/result_bank/lane\[\d+\]/value\[\d+\]",
}


def monitored(p: TileParams) -> dict[str, str]:
    """Where the registers of each event of REGISTER_TOGGLES stand."""
    text = (Path("build/verilog") / f"{p.name}-{p.hash}" / "tile.v").read_text()
    found = {}
    for event, group in hw.monitor.counted(hw.monitor.registers(text, "tile")).items():
        paths = (re.escape("/".join((*register.path, register.name))) for register in group)
        found[event] = rf"testbench/(?:{'|'.join(paths)})(?:\[\d+\])?"
    return found


def bits(p: TileParams) -> dict[str, int]:
    """Register bits of one neuron, by what they hold."""
    width, wide = p.fmt.width, p.accumulator_width
    windows = (p.pool_entries + 2) * (width + 6)  # a window's sum has 6 bits more; the word read, the result
    return {
        "product": p.synapses * 2 * width, "sum": p.sum_banks * wide, "accumulator": p.accumulators * wide,
        "weight": p.synapses * width, "pool": windows,
    }  # fmt: skip


def neuron_toggles(activity: Activity, p: TileParams, neuron: int) -> dict[str, int]:
    """Toggles of each kind of register of a neuron; every bit that the parameters ask for must have been found."""
    found = {}
    for kind, wanted in bits(p).items():
        pattern = NEURON.format(neuron=neuron) + getattr(REGISTERS, kind).format(lane=r"\d+")
        nets = activity.matching(pattern)
        assert len(nets) == wanted, f"{kind} of neuron {neuron}: {len(nets)} bits found, {wanted} wanted"
        found[kind] = sum(net.toggles for net in nets.values())
    return found


def operand_toggles(activity: Activity, p: TileParams, pixel: int, lane: int) -> int:
    nets = activity.matching(OPERAND.format(lane=pixel * p.synapses + lane))
    assert len(nets) == p.fmt.width
    return sum(net.toggles for net in nets.values())


def narrow_net(stride: int) -> nn.Sequential:
    """At the half increment the layers have two channels and one, and one of the four synapse lanes never computes.
    With a stride steps are of one pixel, so no neuron beyond the channels does anything."""
    layers = [nn.Conv2d(1, 4, (1, 3), stride), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1, stride)]
    return nn.Sequential(*layers, nn.AvgPool2d(4 - stride), nn.Flatten(), nn.Linear(2, 2))


def window(folder: Path) -> Activity:
    return saif.window(folder / "part-0" / "window.saif", r"^testbench/tile/")


Windows = dict[int, tuple[Outcome, Activity]]


def windows_of(full: nn.Sequential, shape: tuple[int, int, int], factory: pytest.TempPathFactory) -> Windows:
    """One image on each increment, with a window over the whole of it."""
    p = params_of("small")
    mapped = map_network(integer(modules(full, (0.5, 1.0), SEED), shape, p), p)
    assert [net.channels for net in mapped.networks] == [(2, 1, 2), (4, 2, 2)]
    found = {}
    for increment in (0, 1):
        folder = factory.mktemp(f"increment-{increment}")
        job = prepare(mapped, images(1, shape, p, SEED), increment=increment)
        outcome = simulate(tile("small", trace_saif=True), job, folder, seed=SEED, saif=True)
        assert not outcome.mismatches
        found[increment] = outcome, window(folder)
    return found


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return windows_of(narrow_net(stride=2), (1, 12, 17), tmp_path_factory)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return windows_of(narrow_net(stride=1), (1, 6, 8), tmp_path_factory)


@pytest.fixture(params=["single", "grouped"])
def still(request: pytest.FixtureRequest) -> Windows:
    found: Windows = request.getfixturevalue(request.param)
    return found


def test_gated_neurons_of_small_are_still(single: Windows) -> None:
    p = params_of("small")
    (_, gated), (_, whole) = single[0], single[1]
    for neuron in (2, 3):
        assert set(neuron_toggles(gated, p, neuron).values()) == {0}
        awake = neuron_toggles(whole, p, neuron)  # the same registers do toggle when their channels are there
        assert min(awake[kind] for kind in ("product", "sum", "accumulator", "weight", "pool")) > 0
    for neuron in (0, 1):
        assert min(neuron_toggles(gated, p, neuron).values()) > 0


def test_operands_of_pixels_without_a_group_are_still(single: Windows, grouped: Windows) -> None:
    p = params_of("small")
    for _, activity in single.values():
        assert operand_toggles(activity, p, 0, 0) > 0
        assert {operand_toggles(activity, p, j, e) for j in range(1, p.groups) for e in range(p.synapses)} == {0}
    assert min(operand_toggles(grouped[0][1], p, pixel, 0) for pixel in range(2)) > 0


def test_in_groups_every_neuron_works_and_gated_channels_are_still(grouped: Windows) -> None:
    """Two channels left of four: the other two neurons take the next pixel, the lanes behind them rest."""
    p = params_of("small")
    (_, gated), (_, whole) = grouped[0], grouped[1]
    for neuron in range(p.neurons):
        assert min(neuron_toggles(gated, p, neuron).values()) > 0
    rows = [ROW_LANE.format(channel=channel) for channel in range(p.neurons)]
    assert {len(gated.matching(row)) for row in rows} == {(OPEN_WINDOWS + 1) * (p.fmt.width + POOL_SUM_BITS)}
    assert [gated.toggles(row) > 0 for row in rows] == [True, True, False, False]
    assert min(whole.toggles(row) for row in rows) > 0


def test_a_gated_synapse_lane_of_small_is_still(still: Windows) -> None:
    p = params_of("small")
    (_, gated), (_, whole) = still[0], still[1]
    for neuron in (0, 1):
        patterns = [NEURON.format(neuron=neuron) + REGISTERS.product.format(lane=lane) for lane in range(p.synapses)]
        assert len(gated.matching(patterns[3])) == 2 * p.fmt.width
        assert gated.toggles(patterns[3]) == 0
        assert gated.toggles(patterns[0]) > 0
        assert whole.toggles(patterns[3]) > 0
    assert {operand_toggles(gated, p, pixel, 3) for pixel in range(p.groups)} == {0}
    assert operand_toggles(whole, p, 0, 3) > 0


@pytest.mark.parametrize("increment", [0, 1])
def test_toggle_counters_equal_the_window(still: Windows, increment: int) -> None:
    patterns = {**COUNTED, **monitored(params_of("small"))}
    # the others are of signals that a recording holds: tests/cosim/test_activity.py
    assert {event.name for event in TOGGLES} - set(COUNTS) == set(patterns)
    outcome, activity = still[increment]
    counted = {name: int(outcome.events[0, EVENTS.index(name)]) for name in patterns}
    found = {name: activity.toggles(pattern) for name, pattern in patterns.items()}
    # control alone changes when it starts an image and when it ends it, in cycles that do not count
    outside = found.pop("toggle_control") - counted.pop("toggle_control")
    assert 0 < outside < 100
    assert counted == found
    # equality of an event that is 0 proves nothing: the ports' registers, how far a row is turned, rest in these nets
    most = {name: max(int(other.events[0, EVENTS.index(name)]) for other, _ in still.values()) for name in counted}
    assert {name for name, count in most.items() if not count} == {"toggle_ports"}


def test_the_window_is_the_image(still: Windows) -> None:
    """From the start of the image to its end: the cycles that the tile counted, and three idle ones around them."""
    for outcome, activity in still.values():
        cycles = int(outcome.events[0, EVENTS.index("cycles")])
        assert activity.duration_ps == 4000 * (cycles + 3)


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "channels", "used"), [(1, 1, 8), (2, 2, 2)])
def test_gated_neurons_of_paper32_are_still(stride: int, channels: int, used: int, tmp_path: Path) -> None:
    """LeNet's first convolution, 1 channel of 20 left on eight groups of one neuron, or with a stride, which allows no
    groups, 2 channels."""
    p = params_of("paper32")
    size = 12 // stride
    layers = [nn.Conv2d(1, 20, 5, stride), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(20 * size * size, 10)]
    nets = integer(modules(nn.Sequential(*layers), (channels / 20, 1.0), SEED), (1, 28, 28), p)
    assert nets[0].layers[0].out_shape == (channels, size, size)
    job = prepare(map_network(nets, p), images(1, (1, 28, 28), p, SEED), increment=0)
    words = channels * size * size
    simulate(tile("paper32", trace_saif=True), job, tmp_path, seed=SEED, saif=True, saif_words=words)
    activity = window(tmp_path)
    for neuron in range(used, p.neurons):
        assert set(neuron_toggles(activity, p, neuron).values()) == {0}
    for neuron in range(used):
        assert min(neuron_toggles(activity, p, neuron).values()) > 0


@pytest.mark.parametrize("name", ["small", "odd"])
def test_an_increment_equals_the_plain_network(name: str, tmp_path: Path) -> None:
    """Each increment of a nested program against a program of that sub-network alone: the same words and scores."""
    p, shape = params_of(name), (2, 9, 9)
    layers = [nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(8, 6, 2), nn.AvgPool2d(2)]
    full = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5))
    nets = integer(modules(full, (0.25, 0.5, 1.0), SEED), shape, p)
    nested, codes = map_network(nets, p), images(4, shape, p, SEED)
    assert len({net.channels for net in nets}) == len(nets)
    gated = [prepare(nested, codes, increment=k) for k in range(len(nets))]
    plain = [prepare(map_network([net], p), codes, increment=0) for net in nets]
    outcomes = simulate_jobs(tile(name), [*gated, *plain], tmp_path, seed=SEED)
    assert [outcome.mismatches for outcome in outcomes] == [0] * 6
    for one, other in zip(gated, plain, strict=True):
        assert same(one, other)
    assert not any(same(gated[0], job) for job in (*gated[1:], *plain[1:]))


def same(one: Job, other: Job) -> bool:
    """Equal scores, winners and margins, and equal words of every image; the order of words is the mapper's choice."""
    if not all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("results", "winners", "margins")):
        return False
    parts = [np.split(job.words, job.offsets[1:-1]) for job in (one, other)]
    return all(np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(*parts, strict=True))
