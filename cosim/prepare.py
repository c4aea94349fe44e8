"""Golden's side of a simulation: from a mapped network and images to a job with everything that RTL must equal."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosim.job import Job
from golden import margin
from golden.counts import count, count_run
from golden.integer import forward
from golden.mapping.dram_image import pack_rows
from golden.mapping.mapped import Mapped
from golden.mapping.ops import Emit
from golden.order import captured
from hw.errors import BadInput
from hw.events import WORK
from hw.softmax import score_rows

BATCH = 250


def _run_increment(
    mapped: Mapped, increment: int, emits: Sequence[Emit], codes: Tensor
) -> tuple[NDArray, NDArray, NDArray]:
    """Output words in order of emission, wide scores, and score words of every image, batch by batch.

    emits: of the segment that the images run through.
    """
    words, wide, scores = [], [], []
    for part in codes.split(BATCH):
        maps, sums = forward(mapped.networks[increment], part)
        words.append(captured(maps, emits, mapped.params, mapped.networks[increment]))
        wide.append(sums.numpy())
        scores.append(maps[-1].flatten(1).numpy())
    return np.concatenate(words), np.concatenate(wide), np.concatenate(scores)


def _work(mapped: Mapped, first: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts at the edge of every increment for a run that starts at ``first``: left for the next one, and final."""
    increments = len(mapped.segments)
    left, final = (np.zeros((increments, len(WORK)), dtype=np.int64) for _ in range(2))
    visited = mapped.visited(range(first, increments))
    for last in range(first, increments):
        counts = count_run(mapped, range(first, last + 1))
        final[last] = [counts[event.name] for event in WORK]
        # left early, a segment lacks what stands behind its Decide
        whole, cut = (count(visited[last - first].code, mapped.params, escalates) for escalates in (False, True))
        left[last] = [counts[event.name] - whole[event.name] + cut[event.name] for event in WORK]
    return left, final


def prepare(
    mapped: Mapped,
    codes: Tensor,
    *,
    increment: int | None = None,
    capacity: int | None = None,
    thresholds: Sequence[int] = (),
    softmax: bool = False,
) -> Job:
    """The job that runs ``codes`` (int64 [N, C, H, W]) on one increment, or opportunistically when increment is None.

    capacity: the largest increment of an opportunistic run, None for the last one. thresholds: register values, one per
    increment but the last; softmax: which margin they are compared with.
    """
    increments = len(mapped.segments)
    if not len(codes):
        raise BadInput("at least one image is wanted, not none")
    direct = increment is not None
    if increment is not None and not 0 <= increment < increments:
        raise BadInput(f"increment wants 0 to {increments - 1}, not {increment}")
    if not direct and len(thresholds) != increments - 1:
        raise BadInput(f"an opportunistic run of {increments} increments wants {increments - 1} thresholds")
    most = score_rows(mapped.params.neurons) * mapped.params.neurons
    if softmax and mapped.classes > most:
        raise BadInput(
            f"softmax margins of {mapped.params.name} want at most {most} classes, not {mapped.classes}: use raw"
        )
    if capacity is not None and (direct or not 0 <= capacity < increments):
        raise BadInput(f"capacity wants 0 to {increments - 1} in an opportunistic run, not {capacity}")
    if capacity is None:
        capacity = increments - 1 if increment is None else increment
    stops = np.full(len(codes), capacity, dtype=np.int64)
    words: list[list[NDArray[np.int64]]] = [[] for _ in codes]
    winners = np.zeros(len(codes), dtype=np.int64)
    margins = np.zeros(len(codes), dtype=np.uint64)
    scores = np.zeros((len(codes), mapped.classes), dtype=np.int64)
    running = np.arange(len(codes))
    increments_run = range(capacity if direct else 0, capacity + 1)
    for current, segment in zip(increments_run, mapped.visited(increments_run), strict=True):
        emitted, wide, score_words = _run_increment(mapped, current, segment.emits, codes[torch.from_numpy(running)])
        for place, image in enumerate(running):
            words[image].append(emitted[place])
        winners[running] = margin.winner(wide)
        margins[running] = margin.raw_margin(wide)
        scores[running] = score_words
        stops[running] = current
        if current < capacity:
            running = running[margin.below(wide, thresholds[current], mapped.params.fmt, softmax)]
        if not len(running):
            break
    work_left, work_final = _work(mapped, capacity if direct else 0)
    p = mapped.params
    joined = [np.concatenate(parts) for parts in words]
    inputs = np.stack([np.frombuffer(mapped.pack_image(image), dtype=np.uint8) for image in codes])
    records = [np.frombuffer(pack_rows(row[None, :], p), dtype=np.uint8) for row in scores]
    return Job(
        params=p,
        program_address=mapped.program_address,
        image_address=mapped.image_address,
        result_address=mapped.image_address + len(codes) * mapped.image_beats,
        result_bytes=mapped.result_beats * p.dram_beat_bytes,
        direct=direct,
        capacity=capacity,
        softmax=softmax,
        image=np.frombuffer(mapped.image, dtype=np.uint8),
        inputs=inputs,
        thresholds=np.array(thresholds, dtype=np.uint64),
        words=np.concatenate(joined),
        offsets=np.cumsum([0, *(len(parts) for parts in joined)]).astype(np.int64),
        stops=stops,
        winners=winners,
        margins=margins,
        results=np.stack(records),
        work_left=work_left,
        work_final=work_final,
    )
