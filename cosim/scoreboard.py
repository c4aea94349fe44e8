"""The scoreboard: equality of everything that the tile did with what golden expects, image by image."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cosim.job import Job
from hw.events import CYCLE_PARTS, WORK


class Scoreboard:
    """Counts differences and remembers the first; ``finish`` raises unless every image came and all was equal."""

    def __init__(self, job: Job, events: Sequence[str]) -> None:
        self._job = job
        self._work = [events.index(event.name) for event in WORK]
        self._kinds = [events.index(name) for name in CYCLE_PARTS]
        self._cycles = events.index("cycles")
        self._seen = 0
        self.words = 0
        self.mismatches = 0
        self.first = ""

    def _differs(self, count: int, text: str) -> None:
        if count:
            self.mismatches += count
            self.first = self.first or text

    def image(
        self,
        index: int,
        *,
        words: NDArray[np.int64],
        stop: int,
        winner: int,
        margin: int,
        record: bytes,
        snapshots: Mapping[int, NDArray[np.int64]] | None,
    ) -> None:
        """Compare one image; images come in order, each once. snapshots: None from a tile without counters."""
        job = self._job
        if index != self._seen:
            raise AssertionError(f"image {self._seen} was due, {index} came")
        self._seen += 1
        expected = job.words[job.offsets[index] : job.offsets[index + 1]]
        both = min(len(words), len(expected))
        different = np.flatnonzero(words[:both] != expected[:both])
        self.words += len(expected)
        if len(words) != len(expected):
            self._differs(
                abs(len(words) - len(expected)), f"image {index}: {len(expected)} words wanted, {len(words)} written"
            )
        if different.size:
            at = int(different[0])
            text = f"image {index}, word {at} of {len(expected)}: golden {expected[at]}, RTL {words[at]}"
            self._differs(different.size, text)
        for name, wanted, came in (
            ("stop", int(job.stops[index]), stop),
            ("winner", int(job.winners[index]), winner),
            ("margin", int(job.margins[index]), margin),
        ):
            self._differs(int(wanted != came), f"image {index}: {name} golden {wanted}, RTL {came}")
        wanted_record = job.results[index].tobytes()
        self._differs(
            int(record != wanted_record),
            f"image {index}: result record golden {wanted_record.hex()}, RTL {record.hex()}",
        )
        if snapshots is None:
            self._differs(int(job.params.counters), f"image {index}: {job.params.name} has counters, none came")
        else:
            self._counters(index, stop, snapshots)

    def _counters(self, index: int, stop: int, snapshots: Mapping[int, NDArray[np.int64]]) -> None:
        job = self._job
        run = list(range(job.capacity if job.direct else 0, stop + 1))
        text = f"image {index}: counters of increments {run} wanted, {list(snapshots)} came"
        self._differs(int(list(snapshots) != run), text)
        for increment, counts in snapshots.items():
            work = job.work_final if increment == stop else job.work_left
            for place, (event, column) in enumerate(zip(WORK, self._work, strict=True)):
                golden, rtl = int(work[increment, place]), int(counts[column])
                text = f"image {index}, increment {increment}: {event.name} golden {golden}, RTL {rtl}"
                self._differs(int(golden != rtl), text)
            parts, cycles = int(counts[self._kinds].sum()), int(counts[self._cycles])
            self._differs(int(parts != cycles), f"image {index}: cycle kinds add up to {parts} of {cycles} cycles")

    def finish(self) -> None:
        """Raise unless there were images, all of the job's, with words, and no difference."""
        if not self._seen or self._seen != self._job.images or not self.words:
            raise AssertionError(f"{self._job.images} images wanted, {self._seen} compared with {self.words} words")
        if self.mismatches:
            raise AssertionError(f"{self.mismatches} differences, first: {self.first}")
