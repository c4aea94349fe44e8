"""Jobs and outcomes: what is written is what is read, parts are parts, and what does not fit is refused."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from cosim.job import Job, Outcome
from hw.errors import BadInput
from tests.cosim.jobs import made_up


def same(one: object, other: object) -> None:
    """Every field equal, arrays with their types."""
    assert type(one) is type(other)
    for f in fields(one):  # type: ignore[arg-type]
        a, b = getattr(one, f.name), getattr(other, f.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
        else:
            assert type(a) is type(b)
            assert a == b


def outcome(images: int, start: int = 0, first: str = "") -> Outcome:
    return Outcome(
        events=np.arange(start, start + 5 * images, dtype=np.int64).reshape(images, 5),
        activates=np.arange(images, dtype=np.int64) + start,
        refreshes=np.arange(images, dtype=np.int64) + start + 1,
        forced_refreshes=np.arange(images, dtype=np.int64) + start + 2,
        stopped=np.ones(images, dtype=np.int64),
        winners=np.full(images, start, dtype=np.int64),
        words=10 * images,
        mismatches=len(first),
        first=first,
        cycles=100 + start,
        seconds=0.5,
    )


def test_a_job_survives_its_file(tmp_path: Path) -> None:
    job = made_up()
    job.save(tmp_path / "job.npz")
    same(Job.load(tmp_path / "job.npz"), job)
    assert [path.name for path in tmp_path.iterdir()] == ["job.npz"]


def test_an_outcome_survives_its_file(tmp_path: Path) -> None:
    for value in (outcome(3), outcome(2, 7, "image 0: stop")):
        value.save(tmp_path / "outcome.npz")
        same(Outcome.load(tmp_path / "outcome.npz"), value)


def test_sizes_follow() -> None:
    job = made_up()
    assert (job.images, job.beats_per_input) == (3, 2)
    assert job.memory_beats == job.result_address + 3
    small = made_up().part(0, 1)
    assert small.memory_beats == 13  # 10 of program and scratch, 2 of the image, 1 of its record


def test_parts_make_the_whole() -> None:
    job = made_up()
    parts = [job.part(0, 1), job.part(1, 3)]
    for name in ("inputs", "stops", "winners", "margins", "results", "words"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(job, name))
    assert [part.offsets.tolist() for part in parts] == [[0, 4], [0, 6, 10]]
    assert [part.result_address for part in parts] == [12, 14]
    for part in parts:
        for name in ("params", "program_address", "image_address", "capacity", "softmax", "direct"):
            assert getattr(part, name) == getattr(job, name)
        for name in ("image", "thresholds", "work_left", "work_final"):
            assert np.array_equal(getattr(part, name), getattr(job, name))
    same(job.part(0, 3), job)


@pytest.mark.parametrize(("first", "end"), [(0, 0), (2, 1), (-1, 2), (1, 4)])
def test_a_part_outside_the_job_is_refused(first: int, end: int) -> None:
    with pytest.raises(BadInput, match=f"a part of a job wants images within 0 to 3, not {first} to {end}"):
        made_up().part(first, end)


def test_outcomes_join_in_order() -> None:
    parts = [outcome(2), outcome(1, 50, "second"), outcome(3, 90, "third")]
    joined = Outcome.join(parts)
    assert joined.events.shape == (6, 5)
    assert joined.activates.tolist() == [0, 1, 50, 90, 91, 92]
    assert joined.refreshes.tolist() == [1, 2, 51, 91, 92, 93]
    assert joined.forced_refreshes.tolist() == [2, 3, 52, 92, 93, 94]
    assert joined.winners.tolist() == [0, 0, 50, 90, 90, 90]
    assert (joined.words, joined.mismatches, joined.first) == (60, 11, "second")
    assert (joined.cycles, joined.seconds) == (440, 1.5)
    same(Outcome.join([parts[1]]), parts[1])
