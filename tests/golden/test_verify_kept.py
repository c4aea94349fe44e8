"""Sums that stay, limbs and restored sums under the verifier and the interpreter: every refusal, by one line each."""

from dataclasses import replace

import pytest

from golden.verify_compute import Computes
from hw.errors import BadInput
from hw.instructions import Compute, Pool
from hw.params import preset
from tests.golden.maps import Map

P = preset("small")
WINDOW = Map(1, 1, 1, 1).window(P, 4, 0, 1, 1)
SUM = Compute(lines=1, last_lanes=4, neurons=4, load_bias=1, to_n_bank=1, sum_at=2, sum_first=1, sum_last=3)
HELD = replace(SUM, hold=1)
AGAIN = replace(SUM, first=0, load_bias=0, last_lanes=0)
MORE = replace(SUM, first=0, load_bias=0)
LOW, TOP = replace(AGAIN, limb=1, hold=1), replace(AGAIN, limb=2, limb_top=1)
BACK = replace(SUM, load_bias=0, zero=1, finish=0)
SCORES = replace(SUM, scores=1)


def follow(*code: Compute) -> Computes:
    """Each compute knows those as written that it waits for."""
    computes = Computes(P)
    computes.take_window(WINDOW)
    for number, c in enumerate(code, 1):
        computes.take(c, number, c.wait_written)
    return computes


@pytest.mark.parametrize(
    "code",
    [
        (HELD, AGAIN),
        (HELD, LOW, TOP),
        (replace(HELD, pool=Pool.MAX, relu=1), LOW, TOP),
        (HELD, replace(MORE, wait_written=1)),
        (HELD, LOW, replace(MORE, wait_written=2, hold=1), TOP),
        (HELD, replace(AGAIN, finish=0), replace(MORE, wait_written=1)),
        (BACK, replace(MORE, shift=1, hold=1), LOW, TOP, SUM),
        (replace(SUM, limb=3),),
        (replace(BACK, finish=1),),
    ],
)
def test_legal(code: tuple[Compute, ...]) -> None:
    follow(*code).close(0)


WRONG: list[tuple[tuple[Compute, ...], str]] = [
    ((HELD,), "a sum is still open; its last compute wants finish and hold 0"),
    ((HELD, LOW), "a sum is still open; its last compute wants finish and hold 0"),
    ((HELD, SUM), "a sum is still open in accumulator 2; finish it before another one starts"),
    ((HELD, AGAIN, AGAIN), "first 0 wants an open sum in accumulator 2, there is none"),
    (
        (HELD, replace(AGAIN, neurons=3)),
        r"accumulator 2 has \(cols, .*, groups, paired, step\) \(1, 1, 4, 1, 0, 0\), not \(1, 1, 3, 1, 0, 0\)$",
    ),
    (
        (replace(HELD, cols=2, in_w=2, step_sub=1, to_cols=2),),
        "a sum over several computes wants one tile, not 2 steps",
    ),
    (
        (HELD, MORE),
        "the sum in accumulator 2, to which lines are added, may not have left with compute 1 yet; raise wait_written",
    ),
    ((HELD, LOW, replace(MORE, wait_written=1)), "may not have left with compute 2 yet; raise wait_written"),
    ((HELD, replace(AGAIN, finish=0), MORE), "may not have left with compute 1 yet; raise wait_written"),
    ((replace(HELD, finish=0),), "hold wants finish; a compute without it keeps its sums anyway"),
    ((replace(SUM, limb=1, finish=0),), "a limb wants finish"),
    ((replace(SUM, limb_top=1),), "limb_top wants a limb"),
    ((replace(SUM, limb=4),), "limb wants 0 to 3, not 4"),
    ((replace(SUM, shift=3),), "shift wants 0 to 2, not 3"),
    ((SCORES, SUM), "after scores no other results are wanted"),
    (
        (replace(SCORES, neurons=3), replace(SCORES, score_base=3)),
        "all 4 neurons are wanted in all scores",
    ),
    ((replace(SUM, limb=1, relu=1),), "a limb wants neither relu, pooling nor scores"),
    ((replace(SUM, limb=1, pool=Pool.MAX),), "a limb wants neither relu, pooling nor scores"),
    ((replace(SUM, limb=1, scores=1),), "a limb wants neither relu, pooling nor scores"),
    ((HELD, replace(AGAIN, zero=1)), "zero wants first"),
    ((replace(SUM, last_lanes=0),), "last_lanes wants 1 to 4, not 0"),
    ((HELD, replace(AGAIN, lines=2)), "last_lanes wants 1 to 4, not 0"),
    ((replace(SUM, load_bias=0),), "biases of 4 neurons in 1 groups want to be loaded first"),
]


@pytest.mark.parametrize(("code", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_refusal(code: tuple[Compute, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        follow(*code).close(0)


def test_a_compute_that_adds_nothing_reads_nothing() -> None:
    computes = follow(HELD)
    touched = computes.take(replace(AGAIN, x0=1, row=99), 2, 0)  # its place is of no account
    assert (touched.source.size, touched.synapses.size, touched.target.size) == (0, 0, 4)
