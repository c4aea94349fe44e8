"""Computes one after the other: words that are followed, pooling in turns, steps of two rows, lines in quarters."""

import random
from dataclasses import replace
from typing import Any

import pytest

from golden.interpret import Dram, Interpreter
from golden.verify_compute import Computes
from hw.errors import BadInput
from hw.instructions import Compute, Pool, Window
from hw.params import PRESETS, preset
from tests.golden.maps import Map
from tests.golden.programs import Program, in_quarters, random_case


class Forgetful(Interpreter):
    """Loses one word of the source buffer while a compute reads."""

    def __init__(self, program: Program, compute: Compute, word: int) -> None:
        super().__init__(program.p, Dram(program.p, program.image()))
        self.compute, self.word = compute, word

    def _compute(self, c: Compute) -> None:
        known = self.buffer_known[c.source].reshape(-1)
        before = known[self.word]
        known[self.word] &= c != self.compute
        super()._compute(c)
        known[self.word] = before


@pytest.mark.parametrize("name", PRESETS)
def test_words_that_are_followed_are_those_that_the_machine_uses(name: str) -> None:
    """Random hand-made computes pass; without a word that is followed they cannot run, without any other they can."""
    p, rng = preset(name), random.Random(0)
    used = unused = 0
    for seed in range(40):
        case = random_case(seed, p)
        computes, size, number = Computes(p), p.nbin_rows * p.row_words, 0
        for item in case.program.code:
            if isinstance(item, Window):
                computes.take_window(item)
            elif isinstance(item, Compute):
                number += 1
                followed = computes.take(item, number, item.wait_written).source
                assert followed.size == len(set(followed.tolist()))
                for word in rng.sample(followed.tolist(), min(3, len(followed))):
                    with pytest.raises(BadInput, match="reads words that were never written"):
                        Forgetful(case.program, item, word).run(0, 0, 0, 0)
                    used += 1
                for word in rng.sample(sorted(set(range(size)) - set(followed.tolist())), 3):
                    assert Forgetful(case.program, item, word).run(0, 0, 0, 0).words == case.words
                    unused += 1
        assert not computes.open_sums
    assert min(used, unused) > 100


def _pooled(out_y: int, neurons: int, stride: int) -> Compute:
    """Two of four rows of a map of one channel, max pooling 2/stride."""
    rows = -(-2 // stride)
    return Compute(
        in_w=4, in_h=4, y0=out_y, bank=2 * out_y, step_sub=1, step_y_bank=2, cols=4, rows=2, neurons=neurons,
        pool=Pool.MAX, pool_size=2, pool_stride=stride, out_w=4, out_h=4, out_y=out_y, pool_w=2 if stride == 2 else 3,
        pool_h=2 if stride == 2 else 3, pool_y=out_y // stride, pool_phase=out_y % stride,
        pool_slot=out_y // stride % rows, load_bias=1, to_cols=2 if stride == 2 else 3, to_y_bank=2, to_n_row=1,
    )  # fmt: skip


def test_blocks_may_take_turns_where_no_pooling_window_is_open() -> None:
    p = preset("small")
    window = Map(1, 1, 2, 8).window(p, 1, 0, 1, 1)
    computes = Computes(p)
    computes.take_window(window)
    for c in (_pooled(0, 3, 2), _pooled(0, 2, 2), _pooled(2, 3, 2), _pooled(2, 2, 2)):
        computes.take(c)
    assert computes.open_pool is None
    computes.take(_pooled(0, 3, 1))
    with pytest.raises(BadInput, match="row 2 of the same block is next, not 0"):
        computes.take(_pooled(0, 2, 1))
    computes.take(_pooled(2, 3, 1))
    with pytest.raises(BadInput, match="row 0 of the same block is next, not 2"):
        computes.take(_pooled(2, 3, 1))


def test_steps_of_two_rows_want_an_even_split_of_the_groups() -> None:
    p = preset("odd")
    computes = Computes(p)
    computes.take_window(Map(1, 1, 1, 1).window(p, 1, 0, 1, 1))
    wanted = "paired wants groups in two rows of whole cells, odd has 3: set paired 0"
    with pytest.raises(BadInput, match=wanted):
        computes.take(Compute(paired=1, lines=1, neurons=1))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"lines": 1}, "quarters want lines before, stride 1 and paired 0"),
        ({"stride": 2}, "quarters want lines before, stride 1 and paired 0"),
        ({"quarters": 3}, r"3 quarters want 9 to 12 last_lanes, not \d"),
        ({"sum_last": -1}, r"quarters want accumulators in fours, not \d+ to \d+"),
        ({"tile": 1}, r"quarters want tiles of whole rows of \d+ steps, or of fours in rows of fours, not \d+"),
        ({"quarter_tile": 1}, r"quarter_tile wants \d+, not \d+"),
        ({"row_rest": 1}, r"row_rest wants \d, not \d"),
        ({"quarter_columns": -1}, r"no slot serves cell \d of position \d with columns \d"),
    ],
)  # fmt: skip
def test_quarters_that_are_refused(changes: dict[str, int], wanted: str) -> None:
    """lines, stride, quarters are set, other fields grow by the number."""
    p = preset("paper32")
    case = in_quarters(p)
    window, c = next(item for item in case.program.code if isinstance(item, Window)), case.computes[0]
    set_to = ("lines", "stride", "quarters")
    fields: dict[str, Any] = {k: v if k in set_to else getattr(c, k) + v for k, v in changes.items()}
    changed = replace(c, **fields)
    for compute, match in ((c, None), (changed, wanted)):
        computes = Computes(p)
        computes.take_window(window)
        if match is None:
            computes.take(compute)
        else:
            with pytest.raises(BadInput, match=match):
                computes.take(compute)


def test_quarters_want_a_tile_that_has_them() -> None:
    p = preset("odd")
    computes = Computes(p)
    computes.take_window(Map(1, 1, 1, 1).window(p, 1, 0, 1, 1))
    with pytest.raises(BadInput, match="quarters want a tile that has them, odd has none: set quarters 0"):
        computes.take(Compute(quarters=1, lines=1, neurons=1))
