"""Channel gating: a gated network gives what the plain sub-network gives, and what is gated does not toggle one bit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from cosim import saif
from cosim.job import Job, Outcome
from cosim.prepare import prepare
from cosim.saif import Activity
from cosim.simulate import simulate, simulate_jobs
from golden.mapping import map_network
from golden.networks import lenet
from hw.events import TOGGLES, event_names
from hw.params import TileParams
from tests.cosim.tiles import images, integer, modules, params_of, tile

SEED = 30
EVENTS = event_names(activity=True)

pytestmark = pytest.mark.cosim


@dataclass(frozen=True)
class Registers:
    """Where a neuron's registers stand in the generated Verilog, below ``neuron_<n>``."""

    product: str = r"products/product_bank/lane\[{lane}\]/value\[\d+\]"
    sum: str = r"sum/sum_bank/lane\[\d+\]/value\[\d+\]"
    accumulator: str = r"accumulators/words\[\d+\]\[\d+\]"
    weight: str = r"bank/_\d+_\[\d+\]"
    pool: str = r"pool_lane/(?:windows\[\d+\]\[\d+\]|_\d+_\[\d+\])"


REGISTERS = Registers()
NEURON = r"testbench/tile/nfu/neuron_{neuron}/"
COUNTED = {
    "toggle_operand": r"testbench/tile/nfu/operand_bank/lane\[\d+\]/value\[\d+\]",
    "toggle_weight": NEURON.format(neuron=r"\d+") + REGISTERS.weight,
    "toggle_product": NEURON.format(neuron=r"\d+") + REGISTERS.product.format(lane=r"\d+"),
    "toggle_sum": NEURON.format(neuron=r"\d+") + REGISTERS.sum,
    "toggle_accumulator": NEURON.format(neuron=r"\d+") + REGISTERS.accumulator,
    "toggle_output": r"testbench/tile/post/result_bank/lane\[\d+\]/value\[\d+\]",
}


def bits(p: TileParams) -> dict[str, int]:
    """Register bits of one neuron, by what they hold."""
    width, wide = p.fmt.width, p.accumulator_width
    windows = (p.pool_entries + 1) * (width + 6)  # a window's sum has 6 bits more; one word read
    return {
        "product": p.synapses * 2 * width, "sum": wide, "accumulator": p.accumulators * wide,
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


def narrow_net() -> nn.Sequential:
    """At the half increment two of the four neurons and one of the four synapse lanes never compute."""
    layers = [nn.Conv2d(1, 4, (1, 3)), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1), nn.AvgPool2d(3), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(2, 2))


def window(folder: Path) -> Activity:
    return saif.window(folder / "part-0" / "window.saif", r"^testbench/tile/(?:nfu|post)/")


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Outcome, Activity]]:
    """One image of the narrow network on each increment, with a window over the whole of it."""
    p, shape = params_of("small"), (1, 6, 8)
    mapped = map_network(integer(modules(narrow_net(), (0.5, 1.0), SEED), shape, p), p)
    assert [net.channels for net in mapped.networks] == [(2, 1, 2), (4, 2, 2)]
    found = {}
    for increment in (0, 1):
        folder = tmp_path_factory.mktemp(f"increment-{increment}")
        job = prepare(mapped, images(1, shape, p, SEED), increment=increment)
        outcome = simulate(tile("small", trace_saif=True), job, folder, seed=SEED, saif=True)
        found[increment] = outcome, window(folder)
    return found


def test_gated_neurons_of_small_are_still(still: dict[int, tuple[Outcome, Activity]]) -> None:
    p = params_of("small")
    (_, gated), (_, whole) = still[0], still[1]
    for neuron in (2, 3):
        assert set(neuron_toggles(gated, p, neuron).values()) == {0}
        awake = neuron_toggles(whole, p, neuron)  # the same registers do toggle when their channels are there
        assert min(awake[kind] for kind in ("product", "sum", "accumulator", "weight", "pool")) > 0
    for neuron in (0, 1):
        assert min(neuron_toggles(gated, p, neuron).values()) > 0


def test_a_gated_synapse_lane_of_small_is_still(still: dict[int, tuple[Outcome, Activity]]) -> None:
    p = params_of("small")
    (_, gated), (_, whole) = still[0], still[1]
    for neuron in (0, 1):
        patterns = [NEURON.format(neuron=neuron) + REGISTERS.product.format(lane=lane) for lane in range(p.synapses)]
        assert len(gated.matching(patterns[3])) == 2 * p.fmt.width
        assert gated.toggles(patterns[3]) == 0
        assert gated.toggles(patterns[0]) > 0
        assert whole.toggles(patterns[3]) > 0


@pytest.mark.parametrize("increment", [0, 1])
def test_toggle_counters_equal_the_window(still: dict[int, tuple[Outcome, Activity]], increment: int) -> None:
    assert set(COUNTED) == {event.name for event in TOGGLES}
    outcome, activity = still[increment]
    counted = {name: int(outcome.events[0, EVENTS.index(name)]) for name in COUNTED}
    assert counted == {name: activity.toggles(pattern) for name, pattern in COUNTED.items()}
    assert min(counted.values()) > 0


def test_the_window_is_the_image(still: dict[int, tuple[Outcome, Activity]]) -> None:
    """From the start of the image to its end: the cycles that the tile counted, and three idle ones around them."""
    for outcome, activity in still.values():
        cycles = int(outcome.events[0, EVENTS.index("cycles")])
        assert activity.duration_ps == 4000 * (cycles + 3)


@pytest.mark.slow
def test_gated_neurons_of_paper32_are_still(tmp_path: Path) -> None:
    """LeNet's first convolution at fraction 0.1: 2 of 20 channels, so 14 of 16 neurons are gated."""
    p = params_of("paper32")
    mapped = map_network(integer(modules(lenet(), (0.1, 0.2, 1.0), SEED), (1, 28, 28), p), p)
    channels, height, width = mapped.networks[0].layers[0].out_shape
    assert channels == 2
    job = prepare(mapped, images(1, (1, 28, 28), p, SEED), increment=0)
    words = channels * height * width
    simulate(tile("paper32", trace_saif=True), job, tmp_path, seed=SEED, saif=True, saif_words=words)
    activity = window(tmp_path)
    for neuron in range(2, p.neurons):
        assert set(neuron_toggles(activity, p, neuron).values()) == {0}
    for neuron in range(2):
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
