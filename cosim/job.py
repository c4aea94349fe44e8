"""What one simulation of the tile gets and gives: a job file, read by the bench, and a result file, written by it.

The golden side of a job (expected words, stops, counts) is made before the simulation starts and never sees the RTL.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput, atomic_path
from hw.events import WORK
from hw.params import TileParams


@dataclass(frozen=True, eq=False)
class Job:
    """Images for one tile and everything that golden expects of them.

    image: DRAM bytes of program and weights, from beat 0. inputs: uint8 [N, bytes], one image each, placed from beat
    image_address on. result_bytes: bytes of a result record, from beat result_address on. direct, capacity, softmax,
    thresholds (register values, uint64): the host registers. Expected of image k: words offsets[k] .. offsets[k+1] of
    ``words`` in the order of writing; ``stops`` [N]; ``winners`` [N]; ``margins`` uint64 [N]; ``results``
    uint8 [N, result_bytes]; ``work_left`` and ``work_final`` int64 [increments, hw.events.WORK]: counts from the start
    of an image to the edge of an increment that is left for the next one, or that is the last one run. follows: the
    tile goes on where the job before, of the same program and images, has left it: only host registers are written.
    """

    params: TileParams
    program_address: int
    image_address: int
    result_address: int
    result_bytes: int
    direct: bool
    capacity: int
    softmax: bool
    image: NDArray[np.uint8]
    inputs: NDArray[np.uint8]
    thresholds: NDArray[np.uint64]
    words: NDArray[np.int64]
    offsets: NDArray[np.int64]
    stops: NDArray[np.int64]
    winners: NDArray[np.int64]
    margins: NDArray[np.uint64]
    results: NDArray[np.uint8]
    work_left: NDArray[np.int64]
    work_final: NDArray[np.int64]
    follows: bool = False

    @property
    def images(self) -> int:
        return len(self.inputs)

    @property
    def beats_per_input(self) -> int:
        return self.inputs.shape[1] // self.params.dram_beat_bytes

    @property
    def memory_beats(self) -> int:
        """DRAM beats in use: program and weights, scratch, every image, one result record per image."""
        beat = self.params.dram_beat_bytes
        inputs = self.image_address + self.images * self.beats_per_input
        results = self.result_address + self.images * (self.result_bytes // beat)
        return max(inputs, results, -(-len(self.image) // beat))

    @property
    def cycle_limit(self) -> int:
        """Cycles after which something hangs: four times what the job takes with nothing overlapped, and a start."""
        names = [event.name for event in WORK]
        done = self.work_final[self.stops].sum(axis=0)
        amount = {
            name: int(done[names.index(name)]) for name in ("compute_cycles", "output", "dram_read", "dram_write")
        }
        beats = amount["dram_read"] + amount["dram_write"]
        return 4 * (amount["compute_cycles"] + amount["output"] + 3 * beats) + 10_000 * (1 + self.images)

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)
        }
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays and f.name != "params"}
        text = json.dumps({**rest, "params": self.params.as_dict()})
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, header=np.array(text), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Job":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        return cls(params=TileParams.from_dict(header.pop("params")), **header, **arrays)

    def part(self, first: int, end: int) -> "Job":
        """The job for images first .. end-1; result records move along with them."""
        if not 0 <= first < end <= self.images:
            raise BadInput(f"a part of a job wants images within 0 to {self.images}, not {first} to {end}")
        cut = {name: getattr(self, name)[first:end] for name in ("inputs", "stops", "winners", "margins", "results")}
        words = self.words[self.offsets[first] : self.offsets[end]]
        offsets = self.offsets[first : end + 1] - self.offsets[first]
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        result_address = self.image_address + (end - first) * self.beats_per_input
        return Job(**{**values, **cut, "words": words, "offsets": offsets, "result_address": result_address})


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the RTL did, image by image.

    events int64 [N, events] from the start to the end of each image, in hw.events.event_names order ([N, 0] from a tile
    without counters). activates, refreshes (of the DRAM rank), forced_refreshes (those of them not in idle time),
    stopped, winners int64 [N]. words: words compared; mismatches: words, stops, winners, margins, result records and
    event counts that differ, all images together. first: the first difference, in words, or "". cycles, seconds: of the
    images, set-up left out.
    """

    events: NDArray[np.int64]
    activates: NDArray[np.int64]
    refreshes: NDArray[np.int64]
    forced_refreshes: NDArray[np.int64]
    stopped: NDArray[np.int64]
    winners: NDArray[np.int64]
    words: int
    mismatches: int
    first: str
    cycles: int
    seconds: float

    def save(self, path: Path) -> None:
        values: dict[str, Any] = {name: np.asarray(value) for name, value in asdict(self).items()}
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, **values)

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        with np.load(path, allow_pickle=False) as archive:
            values = {f.name: archive[f.name] for f in fields(cls)}
        kinds = {"words": int, "mismatches": int, "first": str, "cycles": int, "seconds": float}
        return cls(**{name: kinds[name](value) if name in kinds else value for name, value in values.items()})

    @classmethod
    def join(cls, parts: list["Outcome"]) -> "Outcome":
        """Outcomes of consecutive parts of a job as one; seconds add up although parts may have run side by side."""
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("events", "activates", "refreshes", "forced_refreshes", "stopped", "winners")
        }
        first = next((part.first for part in parts if part.first), "")
        return cls(
            **joined,
            words=sum(part.words for part in parts),
            mismatches=sum(part.mismatches for part in parts),
            first=first,
            cycles=sum(part.cycles for part in parts),
            seconds=sum(part.seconds for part in parts),
        )
