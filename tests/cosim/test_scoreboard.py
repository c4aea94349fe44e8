"""The scoreboard: it sees every kind of difference, counts and names it, and does not pass on nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cosim.scoreboard import Scoreboard
from hw.events import CYCLE_KINDS, WORK
from tests.cosim.jobs import EVENTS, SIZES, Seen, made_up, right

Change = Callable[[Seen], None]


def compare(board: Scoreboard, index: int, seen: Seen) -> None:
    board.image(
        index, words=seen.words, stop=seen.stop, winner=seen.winner, margin=seen.margin, record=seen.record,
        snapshots=seen.snapshots,
    )  # fmt: skip


def after(change: Change, index: int = 1) -> Scoreboard:
    """A scoreboard that saw all images, one of them changed."""
    job = made_up()
    board = Scoreboard(job, EVENTS)
    for k in range(job.images):
        seen = right(job, k)
        if k == index:
            change(seen)
        compare(board, k, seen)
    return board


def test_equal_images_pass() -> None:
    board = after(lambda seen: None)
    board.finish()
    assert (board.words, board.mismatches, board.first) == (sum(SIZES), 0, "")


def word(seen: Seen) -> None:
    seen.words[2] += 1


def two_words(seen: Seen) -> None:
    seen.words[[1, 4]] = -5


def missing_word(seen: Seen) -> None:
    seen.words = seen.words[:-1]


def extra_words(seen: Seen) -> None:
    seen.words = np.append(seen.words, [0, 0])


def no_words(seen: Seen) -> None:
    seen.words = seen.words[:0]


def winner(seen: Seen) -> None:
    seen.winner = 3


def margin(seen: Seen) -> None:
    seen.margin -= 1


def record(seen: Seen) -> None:
    seen.record = bytes(len(seen.record))


def short_record(seen: Seen) -> None:
    seen.record = seen.record[:-1]


@pytest.mark.parametrize(
    ("change", "count", "first"),
    [
        (word, 1, "image 1, word 2 of 6: golden 106, RTL 107"),
        (two_words, 2, "image 1, word 1 of 6: golden 105, RTL -5"),
        (missing_word, 1, "image 1: 6 words wanted, 5 written"),
        (extra_words, 2, "image 1: 6 words wanted, 8 written"),
        (no_words, 6, "image 1: 6 words wanted, 0 written"),
        (winner, 1, "image 1: winner golden 0, RTL 3"),
        (margin, 1, "image 1: margin golden 18446744073709551615, RTL 18446744073709551614"),
        (record, 1, "image 1: result record golden 101112131415161718191a1b1c1d1e1f, RTL " + "00" * 16),
        (short_record, 1, "image 1: result record golden 101112131415161718191a1b1c1d1e1f, RTL 10111213"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_difference_is_counted_and_named(change: Change, count: int, first: str) -> None:
    board = after(change)
    assert board.mismatches == count
    assert board.first.startswith(first)
    with pytest.raises(AssertionError, match=rf"^{count} differences, first: image 1"):
        board.finish()


def test_a_wrong_stop() -> None:
    """An image that stops too early differs in its stop, and in the counts of what it takes for the last increment."""

    def early(seen: Seen) -> None:
        seen.stop = 0
        del seen.snapshots[1]

    board = after(early)
    assert board.first == "image 1: stop golden 1, RTL 0"
    assert board.mismatches == 1 + len(WORK)


@pytest.mark.parametrize("increment", [0, 1])
@pytest.mark.parametrize("place", range(len(WORK)))
def test_every_event_count(increment: int, place: int) -> None:
    """Of the increment that was left and of the last one; a compute cycle more also breaks the sum of the cycles."""
    name = WORK[place].name

    def change(seen: Seen) -> None:
        seen.snapshots[increment][EVENTS.index(name)] += 1

    board = after(change)
    golden = (1000, 2000)[increment] + increment * len(WORK) + place
    assert board.first == f"image 1, increment {increment}: {name} golden {golden}, RTL {golden + 1}"
    assert board.mismatches == (2 if name == "compute_cycles" else 1)


@pytest.mark.parametrize("name", ["cycles", *(kind.name for kind in CYCLE_KINDS[1:])])
def test_every_cycle_has_a_kind(name: str) -> None:
    def change(seen: Seen) -> None:
        seen.snapshots[1][EVENTS.index(name)] += 1

    board = after(change)
    assert board.mismatches == 1
    assert "image 1: cycle kinds add up to" in board.first


def test_a_tile_without_counters_gives_none() -> None:
    """Everything else is compared; from a tile that has counters they are wanted."""
    for counters, mismatches in ((False, 1), (True, 1 + len(SIZES))):
        job = made_up()
        job = replace(job, params=job.params.replace(counters=counters))
        board = Scoreboard(job, EVENTS)
        for k in range(job.images):
            seen = right(job, k)
            if k == 1:
                word(seen)
            board.image(
                k, words=seen.words, stop=seen.stop, winner=seen.winner, margin=seen.margin, record=seen.record,
                snapshots=None,
            )  # fmt: skip
        assert board.mismatches == mismatches
    assert board.first == "image 0: small has counters, none came"


def test_the_first_difference_is_kept() -> None:
    def several(seen: Seen) -> None:
        word(seen)
        winner(seen)
        record(seen)

    board = after(several, index=0)
    assert board.mismatches == 3
    assert board.first == "image 0, word 2 of 4: golden 102, RTL 103"


def test_nothing_is_no_pass() -> None:
    job = made_up()
    with pytest.raises(AssertionError, match="3 images wanted, 0 compared with 0 words"):
        Scoreboard(job, EVENTS).finish()
    board = Scoreboard(job, EVENTS)
    compare(board, 0, right(job, 0))
    with pytest.raises(AssertionError, match="3 images wanted, 1 compared with 4 words"):
        board.finish()
    empty = replace(job, words=job.words[:0], offsets=job.offsets * 0)
    board = Scoreboard(empty, EVENTS)
    for index in range(job.images):
        compare(board, index, replace(right(job, index), words=job.words[:0]))
    assert board.mismatches == 0
    with pytest.raises(AssertionError, match="3 images wanted, 3 compared with 0 words"):
        board.finish()


def test_images_come_in_order_and_once() -> None:
    job = made_up()
    board = Scoreboard(job, EVENTS)
    with pytest.raises(AssertionError, match="image 0 was due, 1 came"):
        compare(board, 1, right(job, 1))
    compare(board, 0, right(job, 0))
    with pytest.raises(AssertionError, match="image 1 was due, 0 came"):
        compare(board, 0, right(job, 0))


def test_an_image_without_snapshots_is_no_pass() -> None:
    """Counts that were never read are no counts that are equal."""
    board = after(lambda seen: seen.snapshots.clear())
    assert board.mismatches == 1
    assert board.first == "image 1: counters of increments [0, 1] wanted, [] came"
