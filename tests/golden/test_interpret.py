"""What the interpreter refuses; that it runs programs right is shown in test_mapping."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.interpret import Dram, Interpreter, Outcome
from hw.errors import BadInput
from hw.instructions import Buffer, Compute, End, Entry, Instruction, Load, Pool, Store, Window
from hw.isa import isa
from hw.params import preset

P = preset("small")
ONE = Window((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), 1, 1, 0, 0, (1, 1, 1, 1))
BIAS = Load(buffer=Buffer.SB, address=32, run_beats=2, runs=1, lines=4, last_words=4, row=0)
WEIGHTS = replace(BIAS, row=1)
INPUT = Load(buffer=Buffer.NBIN, address=32, lines=1, last_words=4)
SUM = Compute(lines=1, last_lanes=4, neurons=4, sb_row=1, load_bias=1, to_n_bank=1)


def run(*code: Instruction, size: int = 64) -> Outcome:
    """Run a program whose DRAM holds ones from beat 32 on."""
    coder = isa(P)
    beats = coder.instruction_beats
    at = 64
    moved = [replace(item, address=item.address + at) if isinstance(item, Load) else item for item in code]
    program = coder.encode(Entry((beats,), (len(code),))) + b"".join(coder.encode(item) for item in moved)
    dram = Dram(P, program.ljust((at + 32) * P.dram_beat_bytes, b"\0"))
    dram.put(at + 32, np.ones(size, dtype="<i2").tobytes())
    return Interpreter(P, dram).run(0, 0, 0, 0)


def test_a_sum_of_ones() -> None:
    words = run(BIAS, WEIGHTS, INPUT, ONE, SUM, End()).words
    assert words == [P.fmt.narrow((1 << P.fmt.frac) + 4)] * 4


WRONG: list[tuple[list[Any], str]] = [
    ([BIAS, WEIGHTS, INPUT, ONE, SUM], "a segment ends without End"),
    ([WEIGHTS, INPUT, ONE, SUM, End()], "biases at SB row 0, bank 0 are read but were never written"),
    ([BIAS, INPUT, ONE, SUM, End()], "weights at SB rows 1 to 1 are read but were never written"),
    ([BIAS, WEIGHTS, ONE, SUM, End()], r"pixel \(0, 0\), line 0 reads words that were never written"),
    ([Store(buffer=Buffer.NBIN, address=90), End()], "a store reads words of nbin that were never written"),
    ([replace(INPUT, address=60), End()], "DRAM line 248 is read but was never written"),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, first=0), End()], "a chained compute wants one tile of 0 pixels, not 1"),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, finish=0, cols=2), End()],
        "a chained compute wants one tile of 2 pixels, not 2 in tiles of 1",
    ),
    (
        [
            BIAS, WEIGHTS, replace(INPUT, runs=5, step_row=1, run_beats=1), ONE,
            replace(
                SUM, cols=5, in_w=5, step_x_row=1, tile=5, pool=Pool.MAX, pool_size=2, pool_stride=1, out_w=5, out_h=2,
                pool_w=17, pool_h=1,
            ),
            replace(
                SUM, cols=5, in_w=5, step_x_row=1, tile=5, pool=Pool.MAX, pool_size=7, pool_stride=1, out_w=5, out_h=9,
                pool_w=5, pool_h=9, out_y=4,
            ),
            End(),
        ],
        "17 pooling windows are open, but there are 16",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message"), WRONG, ids=[message for _, message in WRONG])
def test_refusal(code: list[Instruction], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run(*code)


def test_dram_ends_where_its_address_space_ends() -> None:
    dram = Dram(P, b"")
    with pytest.raises(BadInput, match=f"DRAM address .* lies outside the {P.dram_bytes} bytes of small"):
        dram.set_line(P.dram_lines, np.zeros(4, dtype=np.int64))
    dram.set_line(3, np.array([-1, 2, -3, 4]))
    assert dram.line(3).tolist() == [-1, 2, -3, 4]
    with pytest.raises(BadInput, match="DRAM line 2 is read but was never written"):
        dram.line(2)
