"""Window lanes of a line in quarters against the flattened window: four steps at a time, a lane quarter each."""

import random
from collections import Counter
from typing import Any

import pytest

from hw.isa import isa
from hw.params import QUARTERS, TileParams, preset
from hw.window import WindowLanes
from tests.hw.sim import plain, simulate
from tests.hw.test_window import place
from tests.hw.window_model import EIGHT, Kernel, Row


def row_inside(rng: random.Random, kernel: Kernel) -> Row:
    """An origin near the map, which is as wide as its rows allow."""
    base = rng.randrange(kernel.p.banks << kernel.i.row_bits)
    return Row(base, rng.randint(-4, 5), rng.randint(-3, 7), rng.randint(-(-kernel.width // 2), kernel.width), 9)


@pytest.mark.parametrize("p", [preset("small"), EIGHT, preset("paper16")], ids=lambda p: p.name)
def test_every_lane_of_every_quarter(p: TileParams) -> None:
    """Each lane's word, each cell read, and the line as a whole before and after, from the same origins."""
    i, rng, dut, size = isa(p), random.Random(44), WindowLanes(isa(p)), p.quarter_lanes
    compared: Counter[Any] = Counter()
    assert size

    def compare(
        ctx: Any, kernel: Kernel, line: int, left: int, row: Row, pixels: int, columns: int, at: tuple[int, int] | None
    ) -> None:
        after, up_to = (0, left) if at is None else (at[0] * size, min(left, at[0] * size + size))
        reads = kernel.reads(line, up_to, row, columns, after=after)
        assert ctx.get(dut.banks) == sum(1 << bank for bank in reads)
        for bank, cell_row in reads.items():
            assert ctx.get(getattr(dut, f"row_{bank}")) == cell_row
        start, places, lanes = ctx.get(dut.start), list(ctx.get(dut.place)), list(ctx.get(dut.lanes))
        for e in range(p.synapses):
            element, further = e, 0
            if at is not None:
                element, further = after + e % size, (e // size - at[1]) % QUARTERS * kernel.groups
            for j in range(p.groups):
                there = element < up_to and j < kernel.groups and further + j < pixels
                word = kernel.word(line * kernel.taps + element, row, further + j) if there else None
                assert lanes[j] >> e & 1 == (word is not None)
                if word is not None:
                    cell_row, bank, sub = word
                    assert places[e] < p.row_words
                    assert (start + places[e] + j) % p.row_words == bank * p.cell_words + sub
                    assert reads[bank] == cell_row
                    compared["step", further // kernel.groups if at else -1] += 1
                    compared["quarter", at[0] if at else -1] += 1
                    compared["group"] += bool(at) and j > 0
        compared["outside"] += any(kernel.tap(line * kernel.taps + e)[1] + row.y < 0 for e in range(after, up_to))
        if at is not None and reads:
            whole = kernel.reads(line, left, row, columns)
            compared["fewer runs"] += len(reads) < len(whole)
            runs = [kernel.tap(line * kernel.taps + e)[:2] for e in (0, after)]
            compared["first run left out"] += runs[0] != runs[1]
            compared["gap"] += kernel.passes_gap(line, up_to)
            compared["ring"] += bool(kernel.ring_rows)

    async def bench(ctx: Any) -> None:
        for k in range(40):
            kernel = Kernel(rng, i, quarters=True)
            while not (kernel.taps > 2 * size, kernel.groups > 1, kernel.gap, True)[k % 4]:
                kernel = Kernel(rng, i, quarters=True)
            first_line = rng.randrange(kernel.lines)
            ctx.set(dut.window, plain(i, kernel.window(first_line)))
            ctx.set(dut.set, 1)
            await ctx.tick()
            ctx.set(dut.set, 0)
            commands: dict[str, Any] = {"begin": 1}
            for _ in range(2):
                for line in range(first_line, kernel.lines):
                    left = min(kernel.left(line), 3 * size)
                    left = left if rng.random() < 0.5 else rng.randint(1, left)
                    ctx.set(dut.lanes_left, left)
                    for quarter in (None, *range(-(-left // size)), None):
                        steps = 1 if quarter is None else QUARTERS
                        for _ in range(2):
                            row, turn = row_inside(rng, kernel), rng.randrange(QUARTERS)
                            pixels = rng.randint(1, steps * kernel.groups)
                            words = row.x % p.cell_words + pixels - 1 + kernel.w
                            columns = rng.randint(-(-words // p.cell_words), kernel.most)
                            place_of = {"quarter": quarter, "turn": turn, **commands}
                            await place(ctx, dut, kernel, first_line, row, pixels, columns, **place_of)
                            at = None if quarter is None else (quarter, turn)
                            compare(ctx, kernel, line, left, row, pixels, columns, at)
                            commands = {"advance": 1}  # a quarter's end stays on the line
                    commands = {"advance": 1, "step": 1, "rewind": int(line == kernel.lines - 1)}

    simulate(dut, bench)
    met = {("step", t) for t in range(-1, QUARTERS)} | {("quarter", u) for u in range(-1, min(3, p.synapses - 1))}
    for what in (*met, "ring", "outside", "first run left out", "fewer runs", "group"):
        assert compared[what] > 5, what
    assert compared["gap"] > 3 or p.banks == 8  # too few banks for a gap between such runs
