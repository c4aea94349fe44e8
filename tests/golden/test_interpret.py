"""The interpreter on hand-made programs against plain convolutions, and what it refuses; networks: test_mapping."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.counts import count, count_entry
from golden.interpret import Dram, Interpreter, Outcome
from hw.errors import BadInput
from hw.instructions import UNUSED, Buffer, Compute, End, Entry, Instruction, Load, Pool, Store, Window
from hw.isa import isa
from hw.params import PRESETS, QUARTERS, preset
from tests.golden.kept_sums import kept_ways
from tests.golden.maps import Map
from tests.golden.programs import Program, in_quarters, random_case

SEEDS = 100


@pytest.mark.parametrize("name", PRESETS)
def test_random_computes(name: str) -> None:
    """Words by plain convolution, counts by the closed form; every way to walk is met."""
    p, met, words = preset(name), Counter[str](), 0
    for seed in range(SEEDS):
        case = random_case(seed, p)
        found = case.program.run()
        assert found.words == case.words, seed
        closed = count([*case.program.code, End()], p)
        entry = count_entry(p)
        assert {event: entry[event] + closed[event] for event in closed} == dict(found.counts), seed
        words += len(found.words)
        for c in case.computes:
            steps = c.steps
            met["chained"] += not c.finish
            met["groups"] += c.groups > 1
            met["a step that is not full"] += c.cols % c.groups > 0 and not c.paired
            if p.pair_cells:
                met["two rows"] += c.paired
                met["one row of two"] += c.paired * c.rows % 2
            if p.quarter_lanes:
                rows = c.tile // c.row_steps if c.row_steps < c.tile < c.steps else 0
                met["one quarter"] += c.quarters == 1
                met["quarters"] += c.quarters > 1
                met["a row's rest"] += 0 < c.row_rest < QUARTERS and c.row_steps > QUARTERS
                met["quarters of tiles of rows"] += c.quarters > 0 and rows > 0
                met["quarters of tiles in a row"] += c.quarters > 0 and c.tile % c.row_steps > 0
                met["quarters around the ring"] += c.quarters > 0 and c.accumulator(c.steps - 1) < c.sum_at
            met["stride"] += c.stride > 1
            met["tiles"] += c.tile < steps
            met["vector"] += c.vector
            met["left edge"] += c.x0 < 0
            met["top edge"] += c.y0 < 0
            met.update(kept_ways(c, p))
            met["ring"] += c.ring_rows > 0
            met["ring that wraps"] += c.ring_rows > 0 and c.ring_y + (c.rows - 1) * c.stride >= c.ring_rows
    assert words > 900
    assert min(met.values()) > 0, met
    assert len(met) == 15 + 2 * isa(p).limbs + isa(p).shifts + 2 * bool(p.pair_cells) + 6 * bool(p.quarter_lanes)


P = preset("small")
ONE = Map(1, 1, 1, 1).window(P, 4, 0, 1, 1)  # four channels of one pixel, a cell each
BIAS = Load(buffer=Buffer.SB, address=32, run_beats=2, runs=1, length=4, last_words=4, row=0)
WEIGHTS = replace(BIAS, row=1)
INPUT = Load(buffer=Buffer.NBIN, address=32, length=1, last_words=8)
SUM = Compute(lines=1, last_lanes=4, neurons=4, sb_row=1, load_bias=1, to_n_bank=1)


def run(*code: Instruction, size: int = 64) -> Outcome:
    """Run a program whose DRAM holds ones from beat 32 on."""
    coder = isa(P)
    beats = coder.instruction_beats
    at = 16 * beats
    moved = [replace(item, address=item.address + at) if isinstance(item, Load) else item for item in code]
    program = coder.encode(Entry((beats,), (len(code),))) + b"".join(coder.encode(item) for item in moved)
    assert len(program) <= at * P.dram_beat_bytes
    dram = Dram(P, program.ljust((at + 32) * P.dram_beat_bytes, b"\0"))
    dram.put(at + 32, np.ones(size, dtype="<i2").tobytes())
    return Interpreter(P, dram).run(0, 0, 0, 0)


def test_a_sum_of_ones() -> None:
    words = run(BIAS, WEIGHTS, INPUT, ONE, SUM, End()).words
    assert words == [P.fmt.narrow((1 << P.fmt.frac) + 4)] * 4


def test_words_of_a_read_cell_that_no_lane_uses_may_be_unknown() -> None:
    """Each of four channels of one pixel fills half a cell; the other half was never written."""
    rows = replace(INPUT, runs=4, length=1, last_words=1, step_bank=1)
    found = run(BIAS, WEIGHTS, rows, ONE, SUM, End())
    assert found.words == [P.fmt.narrow((1 << P.fmt.frac) + 4)] * 4
    assert found.counts["nbin_read"] == 4 * P.cell_words
    assert found.counts["nbin_write"] == 4


def test_a_sum_of_ones_as_limbs_and_again() -> None:
    """The sum stays, leaves as digits of 15 bits, and goes on with half of its lines once more, a digit higher."""
    held, low = replace(SUM, hold=1), replace(SUM, first=0, load_bias=0, last_lanes=0, limb=1, hold=1)
    top, more = replace(low, limb=2, limb_top=1), replace(SUM, first=0, load_bias=0, last_lanes=2, shift=1, limb=2)
    found = run(BIAS, WEIGHTS, INPUT, ONE, held, low, top, more, replace(SUM, zero=1, limb=1), End())
    wide = (1 << P.fmt.frac) + 4
    assert found.words == [P.fmt.narrow(wide)] * 4 + [wide & 0x7FFF] * 4 + [0] * 4 + [2] * 4 + [4] * 4
    assert found.counts["compute_cycles"] == 5
    assert found.counts["multiply"] == found.counts["sb_read"] - 2 * P.synapses == (4 + 2 + 4) * 4
    assert found.counts["accumulate"] == 3 * 4
    assert found.counts["activation"] == 5 * 4
    assert found.counts["nbin_read"] == 3 * 4 * P.cell_words - 2 * P.cell_words


POOLED = replace(SUM, cols=5, in_w=5, step_sub=1, columns=1, tile=5, pool=Pool.MAX, out_w=5, pool_w=5, pool_h=9)
ROWS = replace(INPUT, runs=4, length=1, last_words=5, step_bank=3)
APART = Map(1, 1, 3, 3).window(P, 4, 0, 1, 1)

WRONG: list[tuple[list[Any], str]] = [
    ([BIAS, WEIGHTS, INPUT, ONE, SUM], "a segment ends without End"),
    ([ONE, End()], r"increment 0 is fetched from beat 4 on, at least 3 instructions: Entry\(address=\(4"),
    ([WEIGHTS, INPUT, ONE, SUM, End()], "biases at SB row 0, bank 0 are read but were never written"),
    ([BIAS, INPUT, ONE, SUM, End()], "weights at SB rows 1 to 1 are read but were never written"),
    (
        [BIAS, replace(WEIGHTS, length=3), INPUT, ONE, SUM, End()],
        "weights at SB rows 1 to 1 are read but were never written",
    ),
    ([BIAS, WEIGHTS, ONE, SUM, End()], r"pixel \(0, 0\), line 0, lane 0: reads words that were never written"),
    (
        [BIAS, WEIGHTS, replace(INPUT, last_words=6), ONE, SUM, End()],
        r"pixel \(0, 0\), line 0, lane 3: reads words that were never written",
    ),
    (
        [BIAS, WEIGHTS, INPUT, replace(ONE, slot_carry=(0, 1, 0, 0, 0, 0, 0, 0)), SUM, End()],
        r"pixel \(0, 0\), line 0, lane 1: reads words that were never written",
    ),
    (
        [BIAS, WEIGHTS, INPUT, replace(ONE, row_offset=(0, 0, 1, 0)), SUM, End()],
        r"pixel \(0, 0\), line 0, lane 2: reads words that were never written",
    ),
    (
        [BIAS, WEIGHTS, INPUT, replace(ONE, slot_column=(0, 0, UNUSED, 0, *[UNUSED] * 4)), SUM, End()],
        r"pixel \(0, 0\), line 0, lane 2: no slot serves a cell that is needed",
    ),
    (
        [BIAS, WEIGHTS, INPUT, replace(ONE, slot_run=(0, 1, 2, 2, 0, 0, 0, 0)), SUM, End()],
        r"pixel \(0, 0\), line 0, lane 3: no slot serves a cell that is needed",
    ),
    (
        [BIAS, WEIGHTS, INPUT, replace(ONE, spacing=0), SUM, End()],  # all runs meet in one bank
        r"pixel \(0, 0\), line 0, lane 1: no slot serves a cell that is needed",
    ),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, cols=2, in_w=2, step_sub=1, columns=0), End()],
        r"pixel \(0, 0\), line 0, lane 0: no slot serves a cell that is needed",
    ),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, row=30), End()], "reads words that were never written"),
    ([Store(buffer=Buffer.NBIN, address=90), ONE, End()], "a store reads words of nbin that were never written"),
    ([replace(INPUT, address=60), ONE, End()], "DRAM beat .* is read but was never written"),
    ([replace(INPUT, row=24), ONE, End()], "nbin has 24 rows, row 24 is used"),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, to_row=24), ONE, End()], "nbout has 24 rows, row 24 is used"),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, first=0), End()], r"accumulators \[0\] hold no sums that a chained"),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, finish=0, cols=2), End()],
        "a chained compute wants one tile, not 2 steps in tiles of 1",
    ),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, groups=2), End()], "2 groups of 4 channels want more than 4 neurons"),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, groups=2, neurons=2, stride=2), End()],
        "groups above 1 want stride 1, not 2",
    ),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, neurons=1, groups=4, paired=1), End()],
        "steps of two rows want groups for both, without ring, hold, limb and scores",
    ),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, last_lanes=0), End()], "adds nothing wants one line and first 0"),
    ([BIAS, WEIGHTS, INPUT, ONE, replace(SUM, limb=4), End()], "limbs 1 to 3 are wanted, without relu, pooling and"),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, limb=1, relu=1), End()],
        "limbs 1 to 3 are wanted, without relu, pooling",
    ),
    (
        [BIAS, WEIGHTS, INPUT, ONE, replace(SUM, hold=1), SUM, End()],
        r"accumulators \[0\] still hold sums that go on",
    ),
    (
        [BIAS, WEIGHTS, INPUT, ONE, SUM, replace(SUM, first=0, last_lanes=0), End()],
        r"accumulators \[0\] hold no sums that a chained compute could go on from",
    ),
    (
        [BIAS, WEIGHTS, ROWS, APART, replace(SUM, cols=2, in_w=5, step_sub=1, vector=1, to_cols=2), End()],
        "a vector wants one pixel, not 2",
    ),
    (
        [BIAS, WEIGHTS, ROWS, APART, replace(POOLED, cols=10, pool_size=7, out_h=9), End()],
        f"7 rows of pooling windows over 10 steps want 70 entries, but there are {P.pool_entries}",
    ),
    (
        [BIAS, WEIGHTS, ROWS, APART, replace(POOLED, pool_size=3, out_h=9, out_y=2), End()],
        "row 2 is pooled, but the rows of its window from row 0 on were not",
    ),
]


@pytest.mark.parametrize(("code", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_refusal(code: list[Instruction], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run(*code)


PIXELS = np.array([[5, -7, 9, 3, 1], [2, 4, -6, 8, 7], [-1, -2, -3, -5, -9]]) << 4


def pooled(kind: Pool, groups: int) -> Program:
    """PIXELS times 1.0, two rows and then one, in windows of 2x2 every 2, the last ones clipped."""
    program = Program(P)
    for y, row in enumerate(PIXELS):
        program.row(row, Buffer.NBIN, 3 * y)
    line = np.zeros((1, 1, P.synapses), dtype=np.int64)
    program.lines(line, 0, 1, 1)
    line[0, 0, 0] = P.fmt.scale
    program.lines(line, 1, 1, groups)
    step_cells, step_sub = divmod(groups, P.cell_words)
    quarter = (1 << 24) // 4
    first = Compute(
        in_w=5, in_h=3, step_cells=step_cells, step_sub=step_sub, step_y_bank=3, columns=groups, cols=5, rows=2,
        groups=groups, sb_row=1, load_bias=1, pool=kind, pool_size=2, pool_stride=2, out_w=5, out_h=3, pool_w=3,
        pool_h=2, reciprocal=(quarter, 2 * quarter, 2 * quarter, 4 * quarter), to_cols=3, to_y_bank=2,
    )  # fmt: skip
    second = replace(first, bank=6, y0=2, rows=1, out_y=2, pool_y=1, to_bank=2)
    program.code += [Map(1, 1, 3, 9).window(P, 1, 0, 1, groups), first, second]
    return program


@pytest.mark.parametrize("kind", [Pool.MAX, Pool.AVERAGE])
def test_pooling_over_two_computes(kind: Pool) -> None:
    held = [PIXELS[y : y + 2, x : x + 2] for y in (0, 2) for x in (0, 2, 4)]
    wanted = [int(h.max()) if kind == Pool.MAX else int(2 * h.sum() + h.size) // (2 * h.size) for h in held]
    for groups in (1, 2):
        found = pooled(kind, groups).run()
        assert found.words == wanted
        assert (
            found.counts["pool_update"] == 15 + 10
        )  # each pixel once down, each column once across in two window rows


def test_dram_ends_where_its_address_space_ends() -> None:
    dram = Dram(P, b"")
    with pytest.raises(BadInput, match=f"DRAM beat {P.dram_beats} lies outside the {P.dram_beats} beats of small"):
        dram.set_words(P.dram_beats, np.zeros(8, dtype=np.int64))
    dram.set_words(3, np.array([-1, 2, -3, 4, 5]))
    assert dram.words(3).tolist() == [-1, 2, -3, 4, 5, 0, 0, 0]
    assert dram.lines(3).tolist() == [[-1, 2, -3, 4], [5, 0, 0, 0]]
    with pytest.raises(BadInput, match="DRAM beat 2 is read but was never written"):
        dram.words(2)


def test_lines_of_a_padded_layout_leave_their_padding_out() -> None:
    p = preset("odd")
    dram = Dram(p, np.arange(16, dtype="<i4").tobytes())
    assert dram.lines(0).tolist() == [[0, 1, 2, 3, 4], [8, 9, 10, 11, 12]]


def test_a_window_is_what_its_pitches_say() -> None:
    """One of the helper's, by hand: 3x2 kernel, rows of 3 cells, 4 taps: the second line starts in ky 2."""
    window = Map(3, 2, 3, 9).window(P, 4, 0, 2, 1)
    assert window == Window(
        kernel_w=2, kernel_h=3, gap=0, taps=4, step_x=0, step_y=2, spacing=3, line_row=0, line_bank=6,
        delta=(0,) * 6, kx=(0, 1, 0, 1), ky=(0, 1, 2, 0), row_offset=(0, 0, 0, 0),
        slot_run=(0, 0, 0, 1, 0, 0, 0, 0), slot_column=(0, 7, 7, 0, 7, 7, 7, 7), slot_carry=(0,) * 8,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 1}, "quarters want a tile that has them, some lines, stride 1, one row a step, sums in fours"),
        ({"sum_last": -1}, "quarters want a tile that has them, some lines, stride 1, one row a step, sums in fours"),
        ({"quarters": 1}, r"\d+ lanes are not those of \d quarters"),
        ({"tile": 1}, r"tiles of \d+ steps cut four of \d+ in a row"),
        ({"quarter_tile": 1}, r"a tile's quarter takes \d+ times and the last one of a row \d steps"),
        ({"row_rest": 1}, r"a tile's quarter takes \d+ times and the last one of a row \d steps"),
    ],
)  # fmt: skip
def test_quarters_that_do_not_fit_are_refused(changes: dict[str, int], message: str) -> None:
    """Fields grow by the number."""
    program = in_quarters(preset("paper32")).program
    at = next(number for number, item in enumerate(program.code) if isinstance(item, Compute))
    compute: Any = program.code[at]
    program.code[at] = replace(compute, **{name: getattr(compute, name) + more for name, more in changes.items()})
    with pytest.raises(BadInput, match=message):
        program.run()
