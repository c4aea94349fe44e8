"""Records windows of cycles of the simulated tile: the value of every signal of its Verilog, in VCD files.

The tile is the one that would be made: without event counters and toggle counters. Its simulation is checked against
golden as every other one. A folder of recordings holds a file per window and, written last, ``index.json``.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cosim.cycles import START_CYCLE, random_increments, smooth_images
from cosim.measure import MEMORY_BEATS, commit
from cosim.prepare import prepare
from cosim.simulate import simulate_jobs, tile_build
from golden.checkpoint import load
from golden.data import ImageSet
from golden.evaluate import check_images, codes, integer_networks
from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network
from golden.network import Shape
from golden.spans import Span, layer_spans
from golden.timing import DDR3
from golden.verify import verify
from hw.errors import BadInput, write_atomic
from hw.params import TileParams

TILE = "testbench.tile"
CLOCK = "testbench.clk"
ALL_LEVELS = 99


@dataclass(frozen=True, eq=False)
class Workload:
    """A mapped network and images for it. what: one line for readers. origin: what makes it again. images: their
    numbers in the set that they come from; codes: int64 [N, C, H, W]. fractions: of the increments."""

    what: str
    origin: dict[str, Any]
    mapped: Mapped
    fractions: tuple[float, ...]
    images: tuple[int, ...]
    codes: Tensor

    def spans(self, increment: int) -> list[Span]:
        """Which layer is computed when, in an image that is run alone after a reset: the same for every image."""
        return layer_spans(self.mapped, increment, DDR3(start_cycle=START_CYCLE))

    def layer_name(self, increment: int, layer: int) -> str:
        return self.mapped.networks[increment].layers[layer].name


def recorded_params(params: TileParams) -> TileParams:
    """The tile that is recorded and synthesised."""
    return params.replace(counters=False, activity=False)


def trained_workload(checkpoint: Path, images: ImageSet, numbers: Sequence[int], params: TileParams) -> Workload:
    """A trained network as `tilewatt report` maps it by default, with the images of these numbers."""
    trained = load(checkpoint)
    check_images(trained, images)
    if not numbers or not all(0 <= number < len(images) for number in numbers):
        raise BadInput(f"images want numbers from 0 to {len(images) - 1} of {images.source}, not {list(numbers)}")
    params = recorded_params(params)
    mapped = map_network(integer_networks(trained, params.fmt), params)
    verify(mapped)
    origin = {
        "checkpoint": checkpoint.name,
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "dataset": images.name,
    }
    what = f"{trained.network} trained on {trained.dataset}"
    return Workload(what, origin, mapped, trained.fractions, tuple(numbers), codes(images, params.fmt)[list(numbers)])


def random_workload(
    network: str,
    module: nn.Sequential,
    shape: Shape,
    fractions: Sequence[float],
    images: int,
    params: TileParams,
    *,
    seed: int,
    search: bool = True,
) -> Workload:
    """``module``, which is called ``network``, with random weights and smooth random images of ``shape`` (C,H,W), as
    `tilewatt cycles` has them. search: of its plans (map_network)."""
    if images < 1:
        raise BadInput(f"at least 1 image is wanted, not {images}")
    params = recorded_params(params)
    mapped = map_network(random_increments(module, shape, fractions, params, seed), params, search=search)
    verify(mapped)
    inputs = smooth_images(images, mapped.networks[0].input_shape, params, seed)
    origin = {"network": network, "seed": seed, "weights": "random", "images": "smooth", "plans_searched": search}
    return Workload(f"{network} with random weights", origin, mapped, tuple(fractions), tuple(range(images)), inputs)


@dataclass(frozen=True, order=True)
class Window:
    """``cycles`` cycles from ``first`` on (an image's first cycle is 1); image: its place in the workload."""

    increment: int
    image: int
    first: int
    cycles: int


def pick_windows(
    workload: Workload, increments: Sequence[int], *, cycles: int, per_layer: int, seed: int
) -> list[Window]:
    """``per_layer`` windows of each layer of each increment, which begin in a random cycle of the layer, or so late
    that they end with the image; the images take turns. Fewer where there is no room for so many that do not overlap.
    """
    if cycles < 1 or per_layer < 1:
        raise BadInput(f"windows want at least 1 cycle and 1 a layer, not {cycles} and {per_layer}")
    generator = random.Random(seed)
    found: list[Window] = []
    for increment in increments:
        spans = workload.spans(increment)
        last = spans[-1].end - cycles
        for layer in sorted({span.layer for span in spans}):
            starts = [
                at for span in spans if span.layer == layer for at in range(span.first, span.end) if at <= last
            ] or [last] * (last > 0)
            generator.shuffle(starts)
            chosen = 0
            for start in starts:
                window = Window(increment, len(found) % len(workload.images), start, cycles)
                taken = (other for other in found if (other.increment, other.image) == (increment, window.image))
                if all(abs(other.first - start) >= cycles for other in taken):
                    found.append(window)
                    chosen += 1
                if chosen == per_layer:
                    break
    return sorted(found)


def record(
    workload: Workload, windows: Sequence[Window], folder: Path, *, neurons: Sequence[int] = (0,), seed: int = 1
) -> Path:
    """Simulate and write ``folder``/<number>.vcd per window, by increment, image and cycle, and ``index.json``.

    Recorded are all signals of the tile but those inside of neurons other than ``neurons``; of these others the ports
    and wires. An image runs alone after a reset. Returns the path of the index. Raises CosimFailed when RTL differs
    from golden.
    """
    params = workload.mapped.params
    ordered = sorted(windows)
    _check(workload, ordered)
    if not set(neurons) <= set(range(params.neurons)):
        raise BadInput(f"neurons to record want numbers from 0 to {params.neurons - 1}, not {sorted(neurons)}")
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    index.unlink(missing_ok=True)
    runs = [(run, list(group)) for run, group in groupby(ordered, lambda window: (window.increment, window.image))]
    jobs = [prepare(workload.mapped, workload.codes[i : i + 1], increment=k) for (k, i), _ in runs]
    names = {window: f"{number}.vcd" for number, window in enumerate(ordered)}
    asked = [
        [job, 0, str((folder / names[window]).resolve()), window.first, window.cycles]
        for job, (_, group) in enumerate(runs)
        for window in group
    ]
    build = tile_build(params, max(MEMORY_BEATS, *(job.memory_beats for job in jobs)), trace_vcd=True)
    verilog = Path("build/verilog") / f"{params.name}-{params.hash}" / "tile.v"  # which the build is of
    wanted = write_atomic(
        folder / "wanted.json", json.dumps({"scopes": scopes(verilog.read_text(), neurons), "windows": asked})
    )
    simulate_jobs(build, jobs, folder / "runs", seed=seed, vcd=wanted)
    header = {
        "schema": 1,
        "what": workload.what,
        **workload.origin,
        "tile": params.as_dict(),
        "tile_hash": params.hash,
        "verilog_sha256": hashlib.sha256(verilog.read_bytes()).hexdigest(),
        "scope": TILE,
        "clock": CLOCK,
        "neurons": sorted(neurons),
        "simulation_seed": seed,
        "commit": commit(),
        "windows": [_described(workload, window, names[window]) for window in ordered],
    }
    return write_atomic(index, json.dumps(header, indent=1) + "\n")


def _check(workload: Workload, ordered: Sequence[Window]) -> None:
    if not ordered:
        raise BadInput("at least one window is wanted, not none")
    before: Window | None = None
    for window in ordered:
        if not 0 <= window.increment < len(workload.fractions) or not 0 <= window.image < len(workload.images):
            raise BadInput(
                f"a window wants an increment below {len(workload.fractions)} and an image below "
                f"{len(workload.images)}, not increment {window.increment}, image {window.image}"
            )
        same = before is not None and (before.increment, before.image) == (window.increment, window.image)
        if before is not None and same and window.first < before.first + before.cycles:
            raise BadInput(f"windows of an image want cycles of their own, {before} and {window} overlap")
        before = window
    for increment in {window.increment for window in ordered}:
        cycles = workload.spans(increment)[-1].end - 1
        for window in ordered:
            outside = window.first < 1 or window.cycles < 1 or window.first + window.cycles - 1 > cycles
            if window.increment == increment and outside:
                raise BadInput(
                    f"windows of increment {increment} want cycles within 1 to {cycles}, not {window.cycles} from "
                    f"{window.first} on"
                )


def _described(workload: Workload, window: Window, file: str) -> dict[str, Any]:
    """layers: [name, row of the window at which it begins]; "start" before any compute."""
    end = window.first + window.cycles
    spans = workload.spans(window.increment)
    layers: list[tuple[str, int]] = [("start", 0)] if window.first < spans[0].first else []
    layers += [
        (workload.layer_name(window.increment, span.layer), max(0, span.first - window.first))
        for span in spans
        if span.first < end and span.end > window.first
    ]
    image = workload.images[window.image]
    return {"file": file, **asdict(window), "image": image, "fraction": workload.fractions[window.increment],
            "layers": layers}  # fmt: skip


def scopes(verilog: str, neurons: Sequence[int]) -> list[tuple[str, int]]:
    """What `record` records of the tile in ``verilog``: scopes and how many levels of each."""
    nfu = f"{TILE}.nfu"
    found = [
        ("testbench", 1),
        (TILE, 1),
        (nfu, 2),
    ]  # 2: the NFU's own signals and those of each neuron's outermost level
    found += [(f"{TILE}.{name}", ALL_LEVELS) for name, _ in _instances(verilog, "tile") if name != "nfu"]
    for name, module in _instances(verilog, "tile.nfu"):
        if module != "neuron" or int(name.rpartition("_")[2]) in neurons:
            found.append((f"{nfu}.{name}", ALL_LEVELS))
    return found


def _instances(verilog: str, module: str) -> Iterator[tuple[str, str]]:
    """Name and module of every instance in a module."""
    body = re.search(rf"^module \\?{re.escape(module)}[ (].*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if body is None:
        raise RuntimeError(f"the generated Verilog has no module {module}")
    for found in re.finditer(r"^  \\?(\S+) +\\?(\S+) +\($", body[0], re.MULTILINE):
        yield found[2], found[1]
