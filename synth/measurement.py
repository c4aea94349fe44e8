"""A measurement: what a simulation of the tile counted, image by image. The contract between cosimulation and energy.

A folder holds ``measurement.json`` (this schema) and ``measurement.npz``. For run number k (position in ``runs``):

``run<k>_events``          int64 [images, events], counts from the start to the end of each image, columns in the order
                           of ``events`` in the JSON, which is ``hw.events.event_names(activity)``
``run<k>_dram_activates``  int64 [images], rows opened in the DRAM rank during the image
``run<k>_stopped``         int64 [images], increment (from 0) at which the image stopped; opportunistic runs only
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hw.errors import BadInput
from hw.events import CYCLE_PARTS, event_names
from hw.params import TileParams
from synth.technology import first_error

Fraction = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Accuracy(_Strict):
    """Share of images classified rightly, 0 to 1; ``rtl`` over the simulated images. None: not evaluated."""

    float_: Rate | None = Field(alias="float")
    golden: Rate | None
    rtl: Rate


class Simulation(_Strict):
    """Simulated cycles, wall seconds and their quotient, over all runs."""

    cycles: Count
    seconds: float = Field(gt=0)
    cycles_per_second: float = Field(gt=0)


class Run(_Strict):
    """All images on one increment, or opportunistically with escalation.

    increment, fraction, channels: the increment run; for an opportunistic run the largest allowed.
    macs: of the layers, per image. dram_bytes: per image; both as the program states them, None for opportunistic runs.
    limit_cycles: roofline floor per image. thresholds: one per increment but the last.
    """

    kind: Literal["increment", "opportunistic"]
    increment: Count
    fraction: Fraction
    channels: list[Count]
    accuracy: Accuracy
    images_compared: Count
    words_compared: Count
    mismatches: Count
    macs: Count | None = None
    dram_bytes: Count | None = None
    limit_cycles: Count | None = None
    score: Literal["raw", "softmax"] | None = None
    thresholds: list[float] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Run":
        fixed = (self.macs, self.dram_bytes, self.limit_cycles)
        margin = (self.score, self.thresholds)
        if self.kind == "increment" and (None in fixed or margin != (None, None)):
            raise ValueError("an increment run wants macs, dram_bytes, limit_cycles and no score or thresholds")
        if self.kind == "opportunistic" and (None in margin or fixed != (None, None, None)):
            raise ValueError("an opportunistic run wants score, thresholds and no macs, dram_bytes or limit_cycles")
        return self


class RegisterShare(_Strict):
    """Register bits of one component of the tile, and how many of them have their changes counted by an event."""

    bits: Count
    counted: Count

    @model_validator(mode="after")
    def _within(self) -> "RegisterShare":
        if self.counted > self.bits:
            raise ValueError(f"counted wants at most the {self.bits} bits, not {self.counted}")
        return self


class Header(_Strict):
    """``measurement.json``.

    register_bits: flip-flops of the tile that would be built, so of its tile.json with counters and activity off;
    memories excluded. annotation: the same by component of the tile, with those that an event counts.
    """

    file_schema: Literal[1] = Field(alias="schema")
    network: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    format: str
    tile: dict[str, Any]
    tile_hash: str
    register_bits: int = Field(gt=0)
    annotation: dict[str, RegisterShare] = Field(min_length=1)
    activity: bool
    seed: int
    versions: dict[str, str]
    commit: str
    command: str
    images: int = Field(gt=0)
    simulation: Simulation
    events: list[str]
    runs: list[Run] = Field(min_length=1)

    @model_validator(mode="after")
    def _registers(self) -> "Header":
        total = sum(share.bits for share in self.annotation.values())
        if total != self.register_bits:
            raise ValueError(f"annotation wants components of {self.register_bits} bits together, not {total}")
        if not self.activity and any(share.counted for share in self.annotation.values()):
            raise ValueError("annotation wants no counted bits in a measurement without activity")
        return self

    @field_validator("runs")
    @classmethod
    def _order(cls, runs: list[Run]) -> list[Run]:
        fractions = [run.fraction for run in runs if run.kind == "increment"]
        if not fractions or fractions != sorted(set(fractions)):
            raise ValueError(f"wants increment runs of rising fraction, not {fractions}")
        if sum(run.kind == "opportunistic" for run in runs) > 1:
            raise ValueError("wants at most one opportunistic run; measure other scores in a folder of their own")
        return runs


@dataclass(frozen=True)
class Counts:
    """One run's arrays: events [images, events], dram_activates [images], stopped [images] or None; int64."""

    events: np.ndarray
    dram_activates: np.ndarray
    stopped: np.ndarray | None


@dataclass(frozen=True)
class Measurement:
    """A checked folder: header, tile, and counts run by run."""

    header: Header
    params: TileParams
    counts: tuple[Counts, ...]

    def column(self, run: int, event: str) -> np.ndarray:
        """Counts [images] of one event of one run."""
        return self.counts[run].events[:, self.header.events.index(event)]

    def stopped(self, run: int) -> np.ndarray:
        """Increment [images] at which each image of an opportunistic run stopped."""
        found = self.counts[run].stopped
        if found is None:
            raise BadInput(f"run {run} is not opportunistic: its images stop nowhere")
        return found


def _array(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise BadInput(f"measurement.npz wants an array {name}, but holds {', '.join(sorted(arrays)) or 'nothing'}")
    array = arrays[name]
    if array.dtype != np.int64 or array.shape != shape:
        raise BadInput(f"measurement.npz: {name} wants int64 {list(shape)}, not {array.dtype} {list(array.shape)}")
    if (array < 0).any():
        raise BadInput(f"measurement.npz: {name} holds a negative count")
    return array


def _check_run(header: Header, params: TileParams, index: int, counts: Counts) -> None:
    """Sums that must hold for every image, whatever the network."""
    run, names = header.runs[index], header.events
    total = counts.events[:, [names.index(name) for name in CYCLE_PARTS]].sum(axis=1)
    cycles = counts.events[:, names.index("cycles")]
    if (bad := np.flatnonzero(total != cycles)).size:
        image = int(bad[0])
        raise BadInput(
            f"measurement run {index} image {image}: the cycle kinds add to {total[image]}, "
            f"cycles says {cycles[image]}; measure again"
        )
    if not cycles.all():
        raise BadInput(f"measurement run {index} has an image of 0 cycles; measure again")
    beats = counts.events[:, [names.index("dram_read"), names.index("dram_write")]].sum(axis=1)
    moved = beats * params.dram_beat_bytes
    if run.dram_bytes is not None and (moved != run.dram_bytes).any():
        raise BadInput(
            f"measurement run {index}: dram_bytes says {run.dram_bytes}, beats counted make {int(moved.max())}; "
            "measure again"
        )
    if counts.stopped is not None and counts.stopped.max() > run.increment:
        raise BadInput(f"measurement run {index}: an image stopped at {counts.stopped.max()}, above {run.increment}")


def read_measurement(folder: str | Path) -> Measurement:
    """Read and check a measurement folder; every fault is one line of BadInput."""
    folder = Path(folder)
    for name in ("measurement.json", "measurement.npz"):
        if not (folder / name).is_file():
            raise BadInput(f"measurement folder wants {name}; {folder} has none: run the cosimulation first")
    try:
        header = Header.model_validate(json.loads((folder / "measurement.json").read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"measurement.json wants JSON: {error}") from None
    except ValidationError as error:
        raise BadInput(f"measurement.json: {first_error(error)}") from None
    params = TileParams.from_dict(header.tile)
    if params.hash != header.tile_hash:
        raise BadInput(f"measurement.json: tile_hash says {header.tile_hash}, its tile has {params.hash}")
    if str(params.fmt) != header.format:
        raise BadInput(f"measurement.json: format says {header.format}, its tile has {params.fmt}")
    if tuple(header.events) != event_names(header.activity):
        raise BadInput("measurement.json: events differ from hw/events.py of this version; measure again")
    try:
        with (folder / "measurement.npz").open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"measurement.npz wants a NumPy archive: {error}") from None
    counts = []
    for index, run in enumerate(header.runs):
        read = Counts(
            _array(arrays, f"run{index}_events", (header.images, len(header.events))),
            _array(arrays, f"run{index}_dram_activates", (header.images,)),
            _array(arrays, f"run{index}_stopped", (header.images,)) if run.kind == "opportunistic" else None,
        )
        _check_run(header, params, index, read)
        counts.append(read)
    return Measurement(header, params, tuple(counts))
