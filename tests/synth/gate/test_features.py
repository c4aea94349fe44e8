"""Counts of changes and of pairs, by hand."""

import numpy as np
import pytest

from hw.activity import Count, Seen
from hw.errors import BadInput
from hw.params import preset
from synth.gate.features import additions, counts
from synth.gate.trace import Trace

P = preset("small")  # four synapse lanes of words of 16 bits
WIDE = P.synapses * P.fmt.width


def trace(**rows: list[int]) -> Trace:
    """Signals of 64 bits by the values of their rows."""
    bits = [[[value >> k & 1 for k in range(WIDE)] for value in values] for values in rows.values()]
    return Trace(
        {name: (WIDE * at, WIDE) for at, name in enumerate(rows)}, np.concatenate(bits, axis=1).astype(np.uint8)
    )


def test_changes_and_those_of_the_lowest_bits() -> None:
    found = trace(a=[0, 0b111, 0b111, 0b1000])
    assert counts(Count(("a",)), found, P).tolist() == [3, 0, 4]
    assert counts(Count(("a",), low=2), found, P).tolist() == [2, 0, 2]


def test_pairs_of_a_lane_and_of_all_lanes() -> None:
    # row 1: two changes in lane 0, one in lane 2; the other has 3 set bits in lane 0 and 1 in lane 3
    found = trace(a=[0, 0b11 | 1 << 32], b=[0b1, 0b111 | 1 << 48])
    assert counts(Count(("a",), times=("b",), by_lane=True), found, P).tolist() == [2 * 3]
    assert counts(Count(("a",), times=("b",)), found, P).tolist() == [3 * 4]
    assert counts(Count(("a",), times=("b",), before=True), found, P).tolist() == [3 * 1]


def test_digit_changes_begin_anew_in_each_lane() -> None:
    # 0b0110 has two digit changes; bit 15 alone has one, and none goes on into lane 1
    found = trace(a=[0, 1 | 1 << 16], b=[0, 0b0110])
    assert counts(Count(("a",), times=("b",), seen=Seen.DIGITS, by_lane=True), found, P).tolist() == [2]
    found = trace(a=[0, 1 | 1 << 16], b=[0, 1 << 15])
    assert counts(Count(("a",), times=("b",), seen=Seen.DIGITS, by_lane=True), found, P).tolist() == [1]


def test_neighbours_go_round() -> None:
    # the last word differs in two bits from the one before it and from the first one
    found = trace(a=[0, 1], b=[0, 0b101 << 48])
    assert counts(Count(("a",), times=("b",), seen=Seen.NEIGHBOURS), found, P).tolist() == [4]


def test_a_trace_without_a_signal_is_refused() -> None:
    with pytest.raises(BadInput, match="activity wants a trace of all signals, the tile has no signal c: record it"):
        counts(Count(("c",)), trace(a=[0, 1]), P)


def test_additions_are_those_of_the_banks_that_are_written() -> None:
    wide, banks = P.accumulator_width, P.sum_banks
    assert banks == 4
    rng = np.random.default_rng(5)
    stored, changes = rng.integers(2, size=(2, 6, banks * wide), dtype=np.uint8)
    enables = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 1, 0, 0]], np.uint8)
    places = {"accumulators.stored": (0, banks * wide), "accumulators.written": (banks * wide, banks * wide)}
    columns = np.concatenate([stored, stored ^ changes, enables], axis=1)
    found = additions(Trace(places | {"acc_en": (2 * banks * wide, banks)}, columns), P)
    assert found["accumulate"].tolist() == [0, 1, 2, 4, 1]
    by_bank = [[int(row[b * wide : (b + 1) * wide].sum()) for b in range(banks)] for row in changes]
    wanted = [sum(by_bank[row][b] for b in range(banks) if enables[row, b]) for row in range(5)]
    assert found["toggle_accumulator"].tolist() == wanted
