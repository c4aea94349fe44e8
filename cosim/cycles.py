"""Cycles of every increment of the benchmark networks on the simulated tile, beside the roofline floors.

One nest of increments per network holds every fraction, with random weights; every row is one increment run alone, in
Verilator, every output word compared with golden. A row is stored as soon as its simulation has ended, under a key of
everything it depends on, so a stopped call goes on where it was.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from cosim.dram import DDR3_1600K, Ideal, dram_config
from cosim.job import Job, Outcome
from cosim.measure import MEMORY_BEATS, commit
from cosim.prepare import prepare
from cosim.simulate import simulate_jobs, tile_build
from cosim.toolchain import find_toolchain
from golden.limits import limit_cycles, limit_sbcap
from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network
from golden.network import Network, Shape, read
from golden.networks import INPUT_SHAPES, NETWORKS, IncrementalNetwork, check_fractions, find_network
from golden.quantise import quantise, quantise_network
from golden.timing import DDR3, predict, predict_images
from golden.verify import verify
from hw.errors import BadInput, CheckFailed, write_atomic
from hw.events import CYCLE_KINDS, event_names
from hw.params import TileParams

FRACTIONS = (0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1.0)
FOLDER = Path("build/cycles")
IDEAL = Ideal()
MEMORIES = {"ddr3": None, "ideal": IDEAL}
START_CYCLE = 5  # of a job's first image after reset: what the bench takes for the registers of a run of one increment
PAUSE = 5  # cycles that the bench takes for the counters, from an image's last cycle to the next one's first
STREAM_INTERVALS = 16  # refresh intervals before a stream is counted, and while it is: as many as are owed or pulled in
STALLS = tuple(kind.name for kind in CYCLE_KINDS[1:])
_SOURCES = {".py", ".v", ".sv", ".vlt", ".cpp", ".h", ".j2"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to measure: every fraction of every network on every tile, ``images`` random images each."""

    tiles: tuple[TileParams, ...]
    networks: tuple[str, ...] = tuple(NETWORKS)
    fractions: tuple[float, ...] = FRACTIONS
    images: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        for what, names in (("tile", [tile.name for tile in self.tiles]), ("network", list(self.networks))):
            if not names or len(set(names)) < len(names):
                raise BadInput(f"cycles wants each {what} once and at least one, not {', '.join(names) or 'none'}")
        for tile in self.tiles:
            if not tile.counters:
                raise BadInput(f"cycles wants a tile with counters, {tile.name} has none: set counters")
        for name in self.networks:
            check_fractions(find_network(name)(), self.fractions)
        if self.images < 1:
            raise BadInput(f"cycles wants at least 1 image, not {self.images}")


def nested(name: str, fractions: Sequence[float], params: TileParams, seed: int) -> list[Network]:
    """The increments of network ``name`` with random weights: hidden weights shared, a classifier each."""
    return random_increments(find_network(name)(), INPUT_SHAPES[name], fractions, params, seed)


def random_increments(
    module: nn.Sequential, shape: Shape, fractions: Sequence[float], params: TileParams, seed: int
) -> list[Network]:
    """The increments of ``module`` with random weights in the place of its own."""
    whole = IncrementalNetwork(module, fractions)
    generator = torch.Generator().manual_seed(seed)  # torch's own is shared by the groups that run side by side
    with torch.no_grad():
        for layer in whole.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = math.sqrt(6 / layer.weight[0].numel())  # keeps the size of the values from layer to layer
                for values in layer.parameters():
                    values.uniform_(-bound, bound, generator=generator)
    return [quantise_network(read(whole.increment(k), shape), params.fmt) for k in range(len(fractions))]


def smooth_images(count: int, shape: Shape, params: TileParams, seed: int) -> Tensor:
    """int64 codes [count, *shape] of random images between 0 and 1 whose neighbouring pixels are alike."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, shape[0], 8, 8), generator=generator)
    fine = F.interpolate(coarse, size=shape[1:], mode="bicubic", align_corners=False).clamp(0, 1)
    return quantise(fine.double(), params.fmt)


def sources_hash() -> str:
    """Of every source that a simulation is made of, and of the tools' versions."""
    root = Path(__file__).resolve().parent.parent
    files = (file for area in ("hw", "golden", "cosim") for file in (root / area).rglob("*"))
    versions = [version(name) for name in ("amaranth", "cocotb", "torch", "numpy")]
    digest = hashlib.sha256(" ".join([find_toolchain().summary, *versions]).encode())
    for file in sorted(file for file in files if file.suffix in _SOURCES):
        digest.update(f"{file.relative_to(root)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class Group:
    """The rows of one network on one tile: one nest of increments, one process for all that are not stored yet."""

    def __init__(self, request: Request, name: str, params: TileParams, sources: str, folder: Path) -> None:
        self.request, self.name, self.params, self.folder = request, name, params, folder
        self.paths = [folder / f"{name}-{params.name}-{f:g}-{self._key(f, sources)}.json" for f in request.fractions]
        self.head = {"network": name, "preset": params.name, "format": str(params.fmt)}

    def _key(self, fraction: float, sources: str) -> str:
        request = self.request
        made_of = [self.name, self.params.as_dict(), request.fractions, fraction, request.images, request.seed, sources]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]

    def missing(self) -> list[int]:
        """Increments without a stored row."""
        return [index for index, path in enumerate(self.paths) if not path.is_file()]

    def stored(self) -> list[Row]:
        rows = []
        for path in self.paths:
            try:
                rows.append(json.loads(path.read_text(encoding="utf-8")))
            except json.JSONDecodeError as error:
                raise BadInput(f"{path}: a measured row wants JSON ({error}): delete the file") from None
        return rows

    def rows(self) -> list[Row]:
        """Every row: stored, measured now, or refused with the mapper's message."""
        if missing := self.missing():
            request = self.request
            networks = nested(self.name, request.fractions, self.params, request.seed)
            try:
                mapped = map_network(networks, self.params)
            except BadInput as refusal:
                return [{**self.head, "fraction": f, "refused": str(refusal)} for f in request.fractions]
            verify(mapped)
            self._measure(mapped, missing)
        return self.stored()

    def _measure(self, mapped: Mapped, increments: Sequence[int]) -> None:
        request = self.request
        codes = smooth_images(request.images, mapped.networks[0].input_shape, self.params, request.seed)
        jobs = [prepare(mapped, codes, increment=increment) for increment in increments]
        beats = max(MEMORY_BEATS, *(job.memory_beats for job in jobs))
        runs = self.folder / "runs" / f"{self.name}-{self.params.name}"
        real, ideal = (
            simulate_jobs(tile_build(self.params, beats, ideal=memory), jobs, runs / kind, seed=request.seed)
            for kind, memory in MEMORIES.items()
        )
        for increment, job, outcome, without in zip(increments, jobs, real, ideal, strict=True):
            row = {
                **self.head,
                "fraction": request.fractions[increment],
                **figures(mapped.networks[increment], self.params, outcome, without),
                "predicted_cycles": predicted_cycles(mapped, increment, job),
            }
            row["stream_cycles"] = stream_cycles(mapped, increment, row["cycles"])
            write_atomic(self.paths[increment], json.dumps(row, indent=1) + "\n")


def predicted_cycles(mapped: Mapped, increment: int, job: Job) -> dict[str, int]:
    """What golden.timing gives for the slowest of the job's images, on both memories."""
    ddr3 = DDR3(start_cycle=START_CYCLE, result_address=job.result_address)
    found = predict_images(mapped, increment, ddr3, job.images, pause=PAUSE)
    return {"ddr3": max(image.cycles for image in found), "ideal": predict(mapped, increment, IDEAL).cycles}


def stream_cycles(mapped: Mapped, increment: int, image_cycles: int) -> float:
    """Predicted cycles of an image, the mean of a long stream of them on DDR3: long enough that no refresh is left to
    those behind it, and that images lie in rows of all banks."""
    p = mapped.params
    images = math.ceil(STREAM_INTERVALS * DDR3_1600K.t_refi / (1000 * p.clock_ns) / (image_cycles + PAUSE))
    result = mapped.image_address + 2 * images * mapped.image_beats
    found = predict_images(
        mapped, increment, DDR3(start_cycle=START_CYCLE, result_address=result), 2 * images, pause=PAUSE
    )
    return sum(image.cycles for image in found[images:]) / images


def figures(network: Network, params: TileParams, outcome: Outcome, ideal: Outcome) -> Row:
    """The numbers of a row; events, activates and refreshes are those of the slowest image.

    cycles_ideal_dram: of the slowest image in ``ideal``, a run of the same images on memory of the same bandwidth
    without row misses, refreshes and turnarounds.
    compute_floor: cycles of all multiplications on all multipliers. dram_floor: beats of the weights and the image.
    dram_busy: cycles in which the DRAM's data bus transfers. refresh_cycles: cycles in which forced refreshes keep it
    from that while requests wait; the others begin when no request is there.
    """
    names = event_names(params.activity)
    slowest = int(outcome.events[:, names.index("cycles")].argmax())
    event = dict(zip(names, outcome.events[slowest].tolist(), strict=True))
    capped = limit_sbcap(network, params)
    lanes = params.neurons * params.synapses
    macs = sum(layer.macs for layer in network.layers)
    words = sum(layer.weight.numel() for layer in network.layers) + math.prod(network.input_shape)
    dram = dram_config(params, MEMORY_BEATS)
    beats, forced = event["dram_read"] + event["dram_write"], int(outcome.forced_refreshes[slowest])
    return {
        "channels": list(network.channels),
        "macs": macs,
        "cycles": event["cycles"],
        "cycles_ideal_dram": int(ideal.events[:, names.index("cycles")].max()),
        "limit_hard": limit_cycles(network, params),
        "limit_sbcap": capped,
        "ratio": event["cycles"] / capped,
        "utilisation": event["multiply"] / (event["cycles"] * lanes),
        "compute_cycles": event["compute_cycles"],
        "compute_floor": macs / lanes,
        "stalls": {name: event[name] for name in STALLS},
        "multiply": event["multiply"],
        "dram_read": event["dram_read"],
        "dram_write": event["dram_write"],
        "row_misses": int(outcome.activates[slowest]),
        "refreshes": int(outcome.refreshes[slowest]),
        "forced_refreshes": forced,
        "dram_floor": math.ceil(words * params.word_bytes / params.dram_beat_bytes),
        "dram_busy": beats * dram.bursts * dram.timing.t_burst / dram.clock_ps,
        "refresh_cycles": forced * dram.timing.t_rfc / dram.clock_ps,
        "images_compared": len(outcome.stopped),
        "words_compared": outcome.words + ideal.words,
        "mismatches": outcome.mismatches + ideal.mismatches,
    }


def _measured(groups: Sequence[Group], jobs: int) -> Iterator[list[Row]]:
    """The rows of every group, in order, with a progress bar when stderr is a terminal."""
    tasks = (joblib.delayed(group.rows)() for group in groups)
    total = sum(len(group.paths) for group in groups)
    with tqdm(total=total, desc="cycles", unit="row", disable=None) as bar:
        for rows in joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(tasks):
            bar.update(len(rows))
            yield rows


def measure_cycles(
    request: Request, target: Path, *, jobs: int, command: str, allow_refused: bool = False, folder: Path = FOLDER
) -> dict[str, Any]:
    """Measure what ``folder`` does not hold yet and write ``target`` (JSON, schema 1); returns what was written.

    jobs: simulations side by side. Raises CosimFailed when RTL differs from golden, and CheckFailed, after ``target``
    is written, when the mapper refused a row and ``allow_refused`` is False.
    """
    sources = sources_hash()
    groups = [Group(request, name, tile, sources, folder) for tile in request.tiles for name in request.networks]
    for tile in request.tiles:  # one after the other: a build takes both cores
        if any(group.missing() for group in groups if group.params is tile):
            for memory in MEMORIES.values():
                tile_build(tile, MEMORY_BEATS, ideal=memory)
    rows = [row for found in _measured(groups, jobs) for row in found]
    result = {
        "schema": 1,
        "command": command,
        "commit": commit(),
        "seed": request.seed,
        "images": request.images,
        "fractions": list(request.fractions),
        "tiles": [tile.as_dict() for tile in request.tiles],
        "simulator": f"Verilator {find_toolchain().verilator_version}",
        "rows": rows,
    }
    write_atomic(target, json.dumps(result, indent=1) + "\n")
    refused = [row for row in rows if "refused" in row]
    if refused and not allow_refused:
        raise CheckFailed(
            f"{len(refused)} of {len(rows)} rows were refused by the mapper, first: {refused[0]['network']} on "
            f"{refused[0]['preset']}: {refused[0]['refused']} (see {target}; --allow-refused accepts it)"
        )
    return result
