"""A made-up job of three images, small enough to be read, for tests of jobs and of the scoreboard."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.job import Job
from hw.events import CYCLE_KINDS, WORK, event_names
from hw.params import preset

EVENTS = event_names()
SIZES = (4, 6, 4)  # words of each image
STOPS = (0, 1, 0)


def made_up() -> Job:
    """Two increments; images stop at 0, 1 and 0. Every number differs from its neighbours."""
    p = preset("small")
    beat = p.dram_beat_bytes
    work = np.arange(2 * len(WORK)).reshape(2, len(WORK))
    return Job(
        params=p,
        program_address=3,
        image_address=10,
        result_address=10 + 3 * 2,
        result_bytes=beat,
        direct=False,
        capacity=1,
        softmax=True,
        image=np.arange(7 * beat, dtype=np.uint8),
        inputs=np.arange(3 * 2 * beat, dtype=np.uint8).reshape(3, -1),
        thresholds=np.array([(1 << 63) + 5], dtype=np.uint64),
        words=np.arange(100, 100 + sum(SIZES), dtype=np.int64),
        offsets=np.cumsum([0, *SIZES]).astype(np.int64),
        stops=np.array(STOPS),
        winners=np.array([2, 0, 1]),
        margins=np.array([7, (1 << 64) - 1, 9], dtype=np.uint64),
        results=np.arange(3 * beat, dtype=np.uint8).reshape(3, -1),
        work_left=work + 1000,
        work_final=work + 2000,
    )


@dataclass
class Seen:
    """What the bench hands to the scoreboard for one image."""

    words: NDArray[np.int64]
    stop: int
    winner: int
    margin: int
    record: bytes
    snapshots: dict[int, NDArray[np.int64]] = field(default_factory=dict)


def right(job: Job, index: int) -> Seen:
    """An image just as golden wants it; the cycles are split over their kinds."""
    seen = Seen(
        words=job.words[job.offsets[index] : job.offsets[index + 1]].copy(),
        stop=int(job.stops[index]),
        winner=int(job.winners[index]),
        margin=int(job.margins[index]),
        record=job.results[index].tobytes(),
    )
    for increment in range(seen.stop + 1):
        work = job.work_final if increment == seen.stop else job.work_left
        counts = np.zeros(len(EVENTS), dtype=np.int64)
        for place, event in enumerate(WORK):
            counts[EVENTS.index(event.name)] = work[increment, place]
        for extra, kind in enumerate(CYCLE_KINDS[1:]):
            counts[EVENTS.index(kind.name)] = extra + 1
        busy = counts[EVENTS.index("compute_cycles")]
        counts[EVENTS.index("cycles")] = busy + sum(range(1, len(CYCLE_KINDS)))
        seen.snapshots[increment] = counts
    return seen
