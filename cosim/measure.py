"""Runs a trained network on the simulated tile and writes what it counted, image by image, as a measurement folder.

The folder's form is the contract of synth/measurement.py: ``measurement.json`` and ``measurement.npz``.
"""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.job import Outcome
from cosim.prepare import prepare
from cosim.runner import Build
from cosim.simulate import simulate, tile_build
from cosim.toolchain import find_toolchain
from golden import margin
from golden.checkpoint import Checkpoint
from golden.data import ImageSet
from golden.evaluate import check_images, codes, float_accuracy, integer_networks, share
from golden.limits import limit_cycles
from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network
from golden.verify import verify
from hw.errors import BadInput, CheckFailed, atomic_path, write_atomic
from hw.events import event_names
from hw.generate import generate
from hw.params import TileParams

MEMORY_BEATS = 1 << 17  # least simulated DRAM, so that runs of different sizes share a build


@dataclass(frozen=True)
class Request:
    """What to measure. mapped: which of the checkpoint's increments lie on the tile, rising; None: all. increments:
    which of these, counted from 0, to run alone. score: margin of the opportunistic run, None for no such run.
    thresholds: of the margin, in its own units; None takes the checkpoint's. reuse: what an escalated run takes over
    (golden.mapping.map_network). prices: of events, what the mapper makes least; None: cycles (ibid.)."""

    increments: tuple[int, ...]
    score: str | None = "raw"
    thresholds: tuple[float, ...] | None = None
    reuse: str | None = None
    prices: Mapping[str, float] | None = None
    mapped: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.score not in (None, "raw", "softmax"):
            raise BadInput(f"score wants raw or softmax, not {self.score!r}")

    def chosen(self, checkpoint: Checkpoint) -> tuple[int, ...]:
        """The checkpoint's increments that are mapped."""
        known = range(len(checkpoint.fractions))
        found = tuple(known) if self.mapped is None else self.mapped
        if not found or list(found) != sorted(set(found) & set(known)):
            raise BadInput(f"mapped increments want rising numbers of 0 to {known[-1]}, not {list(found)}")
        return found

    def registers(self, checkpoint: Checkpoint, params: TileParams) -> tuple[tuple[float, ...], list[int]]:
        """Thresholds of the opportunistic run in their own units, and as register values."""
        mapped, chosen = self.chosen(checkpoint), self.thresholds
        if chosen is None:
            trained = checkpoint.thresholds_softmax if self.score == "softmax" else checkpoint.thresholds_raw
            if len(mapped) != len(checkpoint.fractions):
                raise BadInput("trained thresholds are those of all increments: give thresholds for the mapped ones")
            chosen = trained
        wanted = len(mapped) - 1
        if len(chosen) != wanted:
            raise BadInput(f"{wanted} thresholds are wanted, one per increment but the last, not {len(chosen)}")
        if self.score == "softmax":
            return tuple(chosen), [margin.softmax_threshold(value) for value in chosen]
        return tuple(chosen), [margin.raw_threshold(value, params.fmt) for value in chosen]


class Measurement:
    """One network, one set of images, one tile: the common part of all runs."""

    def __init__(
        self, checkpoint: Checkpoint, images: ImageSet, params: TileParams, folder: Path, seed: int, jobs: int,
        request: Request,
    ) -> None:  # fmt: skip
        self.checkpoint, self.images, self.params = checkpoint, images, params
        self.folder, self.seed, self.jobs = folder, seed, jobs
        self.chosen = request.chosen(checkpoint)
        every = integer_networks(checkpoint, params.fmt)
        self.networks = [every[number] for number in self.chosen]
        self.mapped: Mapped = map_network(self.networks, params, reuse=request.reuse, prices=request.prices)
        verify(self.mapped)
        self.inputs = codes(images, params.fmt)
        beats = self.mapped.image_address + len(images) * (self.mapped.image_beats + self.mapped.result_beats)
        self.build: Build = tile_build(params, max(MEMORY_BEATS, beats))

    def run_increment(self, increment: int) -> tuple[dict[str, Any], Outcome]:
        """All images on one increment."""
        job = prepare(self.mapped, self.inputs, increment=increment)
        fraction = self.checkpoint.fractions[self.chosen[increment]]
        outcome = self._simulate(job, f"increment {fraction:g}", f"increment-{increment}")
        golden = share(torch.from_numpy(job.winners), self.images.labels)
        described = self._describe("increment", increment, outcome, golden)
        described["macs"] = self.mapped.macs(increment)
        described["dram_bytes"] = self.mapped.dram_bytes(increment)
        described["limit_cycles"] = limit_cycles(self.networks[increment], self.params)
        return described, outcome

    def run_opportunistic(self, request: Request) -> tuple[dict[str, Any], Outcome]:
        """All images from the smallest increment on, escalating by the margin rule (T16 Algorithm 3)."""
        real, registers = request.registers(self.checkpoint, self.params)
        softmax = request.score == "softmax"
        job = prepare(self.mapped, self.inputs, thresholds=registers, softmax=softmax)
        outcome = self._simulate(job, f"opportunistic, {request.score} score", f"opportunistic-{request.score}")
        golden = share(torch.from_numpy(job.winners), self.images.labels)
        last = len(self.networks) - 1
        described = self._describe("opportunistic", last, outcome, golden)
        described |= {"score": request.score, "thresholds": list(real)}
        return described, outcome

    def _simulate(self, job: Any, text: str, name: str) -> Outcome:
        folder = self.folder / "runs" / name
        return simulate(self.build, job, folder, seed=self.seed, jobs=self.jobs, progress=text)

    def _describe(self, kind: str, increment: int, outcome: Outcome, golden: float) -> dict[str, Any]:
        rtl = share(torch.from_numpy(outcome.winners), self.images.labels)
        number = self.chosen[increment]
        known = float_accuracy(self.checkpoint, self.images, number) if kind == "increment" else None
        return {
            "kind": kind,
            "increment": increment,
            "fraction": self.checkpoint.fractions[number],
            "channels": list(self.networks[increment].channels),
            "accuracy": {"float": known, "golden": golden, "rtl": rtl},
            "images_compared": len(outcome.stopped),
            "words_compared": outcome.words,
            "mismatches": outcome.mismatches,
        }


def commit() -> str:
    """The checkout's commit, with ``+`` when files differ from it; ``unknown`` outside a repository."""
    try:
        called = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        done = subprocess.run(called, capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def sidecar(params: TileParams) -> dict[str, Any]:
    """What the tile's generator says of it: ``tile.json``, made with its Verilog in build/verilog."""
    _, path = generate(params, Path("build/verilog") / f"{params.name}-{params.hash}")
    return dict(json.loads(path.read_text()))


def register_bits(params: TileParams) -> int:
    """Flip-flops of the tile as it would be made."""
    return int(sidecar(params)["register_bits"])


def measure(
    checkpoint: Checkpoint,
    images: ImageSet,
    params: TileParams,
    request: Request,
    folder: Path,
    *,
    seed: int,
    jobs: int,
    command: str,
) -> Path:
    """Simulate and write ``folder``/measurement.{json,npz}; CosimFailed or CheckFailed when RTL differs from golden."""
    check_images(checkpoint, images)
    common = Measurement(checkpoint, images, params, folder, seed, jobs, request)
    done = [common.run_increment(increment) for increment in request.increments]
    if request.score is not None:
        done.append(common.run_opportunistic(request))
    if wrong := sum(outcome.mismatches for _, outcome in done):
        raise CheckFailed(f"{wrong} words, stops or counts differ between RTL and golden; see {folder}")
    write(folder, common, done, command)
    return folder


def write(folder: Path, common: Measurement, done: Sequence[tuple[dict[str, Any], Outcome]], command: str) -> None:
    """The measurement's two files; the JSON comes last, so that a folder with it is whole."""
    params = common.params
    tools, generated = find_toolchain(), sidecar(params)
    cycles, seconds = (sum(getattr(outcome, name) for _, outcome in done) for name in ("cycles", "seconds"))
    header = {
        "schema": 1,
        "network": common.checkpoint.network,
        "dataset": common.images.name,
        "format": str(params.fmt),
        "tile": params.as_dict(),
        "tile_hash": params.hash,
        "register_bits": generated["register_bits"],
        "annotation": generated["annotation"],
        "activity": params.activity,
        "seed": common.seed,
        "versions": {name: version(name) for name in ("amaranth", "cocotb", "torch", "numpy")}
        | {"python": platform.python_version(), "verilator": tools.verilator_version, "c++": tools.cxx_version},
        "commit": commit(),
        "command": command,
        "images": len(common.images),
        "simulation": {"cycles": cycles, "seconds": seconds, "cycles_per_second": cycles / seconds},
        "events": list(event_names(params.activity)),
        "runs": [described for described, _ in done],
    }
    arrays: dict[str, NDArray[np.int64]] = {}
    for index, (described, outcome) in enumerate(done):
        arrays[f"run{index}_events"] = outcome.events
        arrays[f"run{index}_dram_activates"] = outcome.activates
        if described["kind"] == "opportunistic":
            arrays[f"run{index}_stopped"] = outcome.stopped
    with atomic_path(folder / "measurement.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    write_atomic(folder / "measurement.json", json.dumps(header, indent=1) + "\n")
