"""What is recorded for `tilewatt energy-check`: the stimulus that prices are fitted on, and that they are tested on.

The two share no network, weights or image: fitted on ConvNet and a network made for it with random weights and on the
trained LeNet, tested on ALEXnet and a network of strides with random weights and on the block-causal LeNet, each layer
and several increments of each. The network of strides came when all activity but that of the ports had been chosen.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cosim.vcd import Window, Workload, pick_windows, random_workload, record, recorded_params, trained_workload
from golden.data import load_subset
from golden.networks import alexnet, convnet
from hw.errors import BadInput
from hw.generate import generate
from hw.params import TileParams

CYCLES = 1000  # of a window
IMAGES = Path("checkpoints/mnist-test-1000.npz")
ROLES = ("fit", "test")


def mixed() -> nn.Sequential:
    """What LeNet and ConvNet have not: padding, kernels of 3, pooling windows that overlap and hang over the edge."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(24, 40, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(40, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(48 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def strided() -> nn.Sequential:
    """What none of the others has: a stride of 2, kernels of 7 and 1, more classes than the tile has neurons."""
    return nn.Sequential(
        nn.Conv2d(3, 20, 7, stride=2, padding=3), nn.ReLU(), nn.Conv2d(20, 32, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(48 * 4 * 4, 20),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "mixed": mixed,
    "convnet": convnet,
    "alexnet": alexnet,
    "strided": strided,
}
SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class Stimulus:
    """name: of its folder. source: a checkpoint's path, or one of NETWORKS of random weights. fractions: of the latter;
    images: numbers of the set's images, or how many random ones, by their count. neurons: recorded inside."""

    name: str
    role: str
    source: str
    fractions: tuple[float, ...]
    images: tuple[int, ...]
    seed: int
    neurons: tuple[int, ...]

    def workload(self, params: TileParams) -> Workload:
        if self.source.endswith(".npz"):
            return trained_workload(Path(self.source), load_subset(IMAGES), self.images, params)
        # plans of a rough estimate do: what the hardware does in a cycle is wanted, not few cycles
        made = NETWORKS[self.source](), SHAPE, self.fractions
        return random_workload(self.source, *made, len(self.images), params, seed=self.seed, search=False)


def plan(params: TileParams) -> tuple[Stimulus, ...]:
    """The stimulus for a tile: of its neurons the first, the last and one between, which gating treats differently."""
    neurons = tuple(sorted({0, params.neurons // 3, params.neurons - 1}))
    return (
        Stimulus("convnet", "fit", "convnet", (0.25, 1.0), (0, 1), 3, neurons),
        Stimulus("mixed", "fit", "mixed", (0.3, 1.0), (0, 1), 5, neurons),
        Stimulus("lenet-mnist", "fit", "checkpoints/lenet-mnist.npz", (), (0, 1), 1, neurons),
        Stimulus("alexnet", "test", "alexnet", (0.25, 1.0), (0, 1), 4, neurons),
        Stimulus("strided", "test", "strided", (0.4, 1.0), (0, 1), 6, neurons),
        Stimulus("lenet-causal", "test", "checkpoints/lenet-mnist-causal.npz", (), (10, 11), 2, neurons),
    )


def windows(workload: Workload, seed: int) -> list[Window]:
    """One window of each layer of each increment; the whole image where it is shorter than a window."""
    found: list[Window] = []
    for increment in range(len(workload.fractions)):
        whole = workload.spans(increment)[-1].end - 1
        if whole <= CYCLES:
            found += [Window(increment, image, 1, whole) for image in range(len(workload.images))]
        else:
            found += pick_windows(workload, [increment], cycles=CYCLES, per_layer=1, seed=seed + increment)
    return found


def recorded_verilog(params: TileParams) -> Path:
    """The Verilog of the tile that is recorded, made where it is not there."""
    tile = recorded_params(params)
    verilog, _ = generate(tile, Path("build/verilog") / f"{tile.name}-{tile.hash}")
    return verilog


def record_plan(params: TileParams, folder: Path, step: Callable[[str], None]) -> dict[str, list[Path]]:
    """Record every stimulus of the plan below ``folder``/<preset>; returns the folders by role.

    A recording of the same stimulus and the same Verilog is kept. step is told what is recorded.
    """
    of = hashlib.sha256(recorded_verilog(params).read_bytes()).hexdigest()
    found: dict[str, list[Path]] = {role: [] for role in ROLES}
    for stimulus in plan(params):
        into = folder / params.name / stimulus.name
        found[stimulus.role].append(into)
        note = into / "stimulus.json"
        wanted = json.dumps({"stimulus": repr(stimulus), "verilog_sha256": of, "cycles": CYCLES}, indent=1) + "\n"
        if (into / "index.json").is_file() and note.is_file() and note.read_text() == wanted:
            continue
        if stimulus.source.endswith(".npz") and not Path(stimulus.source).is_file():
            raise BadInput(f"the energy check wants {stimulus.source}, which is not there: run it from the project")
        step(f"recording {stimulus.name} on {params.name}")
        workload = stimulus.workload(params)
        record(workload, windows(workload, stimulus.seed), into, neurons=stimulus.neurons, seed=stimulus.seed)
        note.write_text(wanted)
    return found
