"""Computes over windows as the engine's contract has them: what is issued, in order, and what the hardware issues."""

import random
from dataclasses import dataclass, replace
from typing import Any

from hw.isa import Buffer, Compute, Isa, Window
from hw.params import QUARTERS, TileParams
from tests.hw.window_model import Kernel, Row


@dataclass(frozen=True)
class Work:
    """A compute over the map whose channel 0 starts at cell ``base``; its first line is ``line`` of the kernel."""

    kernel: Kernel
    line: int
    base: int
    compute: Compute


def random_chain(rng: random.Random, kernel: Kernel, first_line: int) -> list[Work]:
    """One compute, or several that go on from each other's sums; some emit them and keep them, some add nothing. Of a
    kernel with ``quarter_columns`` their last lines are in quarters, where they can be."""
    i, p, groups = kernel.i, kernel.i.params, kernel.groups
    parts = rng.choice((1, 1, 2, 3))
    cols, rows = rng.randint(1, 3 * groups + 2), rng.randint(1, 4)
    if parts > 1:
        rows = 1
        cols = min(cols, p.accumulators * groups)
    if kernel.x is not None:  # every origin lies in that column
        cols = min(cols, groups)
    paired = int(kernel.paired and rng.random() < 0.8)
    if paired:
        cols, rows = groups, rng.randint(1, 5)
    per_row = -(-cols // groups)
    steps = -(-rows // 2) if paired else per_row * rows
    tile = steps if parts > 1 else rng.randint(1, p.accumulators)
    if kernel.quarter_columns:
        cols = min(rng.choice((cols, cols, rng.choice((8, 12)) * groups)), p.accumulators * groups)
        per_row = -(-cols // groups)
        if parts > 1 or per_row % QUARTERS or rng.random() < 0.5:
            tile = per_row * rng.randint(1, 1 if parts > 1 else p.accumulators // per_row)
        else:
            tile = QUARTERS * rng.randint(1, p.accumulators // QUARTERS)
    round_to = QUARTERS if kernel.quarter_columns else 1
    sums = round_to * rng.randint(-(-tile // round_to), p.accumulators // round_to)
    sum_first = rng.randint(0, p.accumulators - sums)
    lines = rng.randint(1, kernel.lines - first_line)
    x0, y0 = rng.randint(-3, 2), rng.randint(-3, 4)
    if kernel.ring_rows:  # up to its end, so that rows wrap on the way
        y0 = rng.choice((y0, kernel.ring_rows - 1, kernel.ring_rows - 2))
    x0 = x0 if kernel.x is None else kernel.x
    places = {(x0 + k * groups * kernel.stride) % p.cell_words for k in range(per_row)}
    columns = -(-(max(places) + groups - 1 + kernel.w) // p.cell_words)
    step_cells, step_sub = divmod(groups * kernel.stride, p.cell_words)
    step_y_row, step_y_bank = kernel.pair((kernel.stride + paired) * kernel.pitch)
    groups *= 1 + paired
    base = rng.randrange(p.banks << i.row_bits)
    size = (rng.randint(1, kernel.width), y0 + rng.randint(5, 12))
    row, bank, sub = kernel.origin(first_line, Row(base, x0, y0, *size))
    first = Compute(
        source=rng.choice((Buffer.NBIN, Buffer.NBOUT)), row=row, bank=bank, sub=sub, x0=x0, y0=y0,
        stride=kernel.stride, in_w=size[0], in_h=size[1], step_cells=step_cells, step_sub=step_sub,
        step_y_row=step_y_row, step_y_bank=step_y_bank, ring_y=kernel.ring_y(y0), ring_rows=kernel.ring_rows,
        ring_back=kernel.ring_back, columns=columns, cols=cols, rows=rows, lines=lines,
        last_lanes=kernel.left(first_line + lines - 1), neurons=rng.randint(1, p.neurons // groups), groups=groups,
        paired=paired, tile=tile, sb_row=rng.randrange(p.sb_rows), load_bias=rng.getrandbits(1),
        bias_row=rng.randrange(p.sb_rows), bias_bank=rng.randrange(p.neurons), finish=int(parts == 1),
        sum_at=rng.randint(sum_first, sum_first + sums - 1), sum_first=sum_first, sum_last=sum_first + sums - 1,
        zero=rng.getrandbits(1), shift=rng.randint(0, i.shifts),
    )  # fmt: skip
    kept = [int(rng.random() < 0.4 and not paired) for _ in range(parts - 1)] + [0]
    first = replace(first, finish=max(first.finish, kept[0]), hold=kept[0])
    chain = [Work(kernel, first_line, base, in_quarters(kernel, first))]
    for k in range(1, parts):
        base = rng.randrange(p.banks << i.row_bits)
        row, bank, _ = kernel.origin(first_line, Row(base, x0, y0, *size))
        more = replace(first, first=0, zero=0, load_bias=0, finish=int(k == parts - 1 or kept[k]), hold=kept[k])
        more = replace(more, row=row, bank=bank, shift=rng.randint(0, i.shifts))
        if rng.random() < 0.4:
            more = replace(more, lines=1, last_lanes=0)
        chain.append(Work(kernel, first_line, base, in_quarters(kernel, more)))
    return chain


def in_quarters(kernel: Kernel, c: Compute) -> Compute:
    """The compute with its last line in quarters, if that is possible."""
    size, per_row = kernel.p.quarter_lanes, c.row_steps
    if not kernel.quarter_columns or c.lines < 2 or not 0 < c.last_lanes <= 3 * size:
        return c
    words = c.x0 % kernel.p.cell_words + min(QUARTERS * c.groups, c.cols) - 1 + kernel.w
    quads = -(-per_row // QUARTERS)
    return replace(
        c, quarters=-(-c.last_lanes // size), quarter_columns=-(-words // kernel.p.cell_words),
        quarter_tile=c.tile // per_row * quads if c.tile % per_row == 0 else c.tile // QUARTERS,
        row_rest=per_row - QUARTERS * (quads - 1),
    )  # fmt: skip


def steps_of(c: Compute) -> list[tuple[int, int]]:
    """Row and column of each step's first pixel."""
    return [(y, x) for y in range(0, c.rows, 1 + c.paired) for x in range(0, c.cols, c.groups)]


def issues(work: Work) -> list[dict[str, Any]]:
    """What is issued, in order."""
    kernel, c = work.kernel, work.compute
    i, p = kernel.i, kernel.i.params
    found: list[dict[str, Any]] = []
    steps = steps_of(c)
    for start in range(0, len(steps), c.tile):
        of_tile = steps[start : start + c.tile]
        for line in range(c.lines):
            left = c.last_lanes if line == c.lines - 1 else kernel.taps
            if c.quarters and line == c.lines - 1:
                found += [quad(work, u, start, k) for u in range(c.quarters) for k in quads_of(c, of_tile)]
                continue
            for k, (y, x) in enumerate(of_tile):
                index = c.sum_first + (c.sum_at - c.sum_first + start + k) % (c.sum_last - c.sum_first + 1)
                at = Row(work.base, c.x0 + x * c.stride, c.y0 + y * c.stride, c.in_w, c.in_h)
                entered = (at.x // p.cell_words) != ((at.x - c.groups * c.stride) // p.cell_words)
                # of each pixel of the step the origin of its row, and its place there
                pixels = [(at, j) for j in range(min(c.groups, c.cols - x))]
                second = bool(c.paired) and y + 1 < c.rows
                if second:
                    pixels += [(replace(at, y=at.y + 1), j) for j in range(c.cols)]
                number = work.line + line
                words = {
                    (j, e): word
                    for j, pixel in enumerate(pixels)
                    for e in range(left)
                    if (word := kernel.word(number * kernel.taps + e, *pixel)) is not None
                }
                reads = left > 0 and (k == 0 or x == 0 or entered)
                found.append({
                    "source": int(c.source), "weights": k == 0 and left > 0,
                    "reads": kernel.reads(number, left, at, c.columns, second) if reads else None,
                    "words": words, "sb_row": (c.sb_row + line) % (1 << i.sb_row_bits), "sb_lanes": (1 << left) - 1,
                    "mask": (1 << c.neurons * c.groups) - 1,
                    "active": (1 << c.neurons * len(pixels)) - 1 if left else 0,
                    "neurons": c.neurons, "pixels": len(pixels), "index": [index], "paired": c.paired,
                    "zero": c.zero, "shift": c.shift, "first": c.first and line == 0, "quarter": None,
                    "complete": int(c.finish and line == c.lines - 1),
                    "wrapped": bool(c.ring_rows) and at.y >= c.ring_rows > c.y0,
                })  # fmt: skip
    return found


def quads_of(c: Compute, of_tile: list[tuple[int, int]]) -> list[range]:
    """Which steps of a tile a quarter takes at a time: four of a row, or what is left of it."""
    found: list[range] = []
    for k, (_, x) in enumerate(of_tile):
        if not found or x == 0 or len(found[-1]) == QUARTERS:
            found.append(range(k, k))
        found[-1] = range(found[-1].start, k + 1)
    return found


def quad(work: Work, quarter: int, start: int, taken: range) -> dict[str, Any]:
    """An issue of a quarter of the last line: steps ``taken`` of the tile that begins with step ``start``."""
    kernel, c = work.kernel, work.compute
    i, size, line = kernel.i, kernel.p.quarter_lanes, c.lines - 1
    numbers = [c.accumulator(start + k) for k in taken]
    y, x = steps_of(c)[start + taken.start]
    at = Row(work.base, c.x0 + x, c.y0 + y, c.in_w, c.in_h)
    after = quarter * size
    up_to = min(c.last_lanes, after + size)
    words = {
        (j, number % QUARTERS * size + e - after): word
        for t, number in enumerate(numbers)
        for j in range(min(c.groups, c.cols - x - t * c.groups))
        for e in range(after, up_to)
        if (word := kernel.word((work.line + line) * kernel.taps + e, at, t * c.groups + j)) is not None
    }
    pixels = min(len(numbers) * c.groups, c.cols - x)
    return {
        "source": int(c.source), "weights": quarter == 0 and taken.start == 0,
        "reads": kernel.reads(work.line + line, up_to, at, c.quarter_columns, after=after), "words": words,
        "sb_row": (c.sb_row + line) % (1 << i.sb_row_bits), "sb_lanes": (1 << c.last_lanes) - 1,
        "mask": (1 << c.neurons * c.groups) - 1, "active": (1 << c.neurons * min(pixels, c.groups)) - 1,
        "neurons": c.neurons, "pixels": pixels, "index": numbers, "paired": 0, "zero": c.zero, "shift": c.shift,
        "first": 0, "quarter": quarter, "complete": len(numbers) * (c.finish and quarter == c.quarters - 1),
        "wrapped": bool(c.ring_rows) and at.y >= c.ring_rows > c.y0,
    }  # fmt: skip


class Held:
    """What the banks of both buffers have read last, by (buffer, bank)."""

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.rows: dict[tuple[int, int], int] = {}

    def seen(self, ctx: Any, dut: Any) -> dict[str, Any]:
        """The hardware's outputs in an issue cycle, as ``issues`` names them."""
        p, fetch, step, source = self.p, ctx.get(dut.fetch), ctx.get(dut.step), ctx.get(dut.source)
        reads = None
        if ctx.get(dut.read):
            banks = ctx.get(dut.banks)
            reads = {b: ctx.get(getattr(dut, f"row_{b}")) for b in range(p.banks) if banks >> b & 1}
            self.rows |= {(source, b): row for b, row in reads.items()}
        words = {}
        for j in range(p.groups):
            for e in range(p.synapses):
                if step.lanes[j] >> e & 1:
                    assert step.place[e] < p.row_words
                    second = p.pairs_rows and step.paired and j >= p.groups // 2
                    further = j + p.groups // 2 if second else j
                    bank, sub = divmod((step.start + step.place[e] + further) % p.row_words, p.cell_words)
                    words[j, e] = (self.rows[source, bank], bank, sub)
        return {
            "source": source, "weights": fetch.weights, "reads": reads, "words": words, "sb_row": fetch.row,
            "sb_lanes": fetch.lanes, "mask": fetch.neurons_mask, "active": step.active, "neurons": step.neurons,
            "pixels": step.pixels, "index": accumulators_of(p, step), "first": step.first, "complete": step.complete,
            "zero": step.zero, "shift": step.shift, "paired": step.paired & p.pairs_rows,
            "quarter": step.quarter if p.quarter_lanes and step.split else None,
        }  # fmt: skip


def accumulators_of(p: TileParams, step: Any) -> list[int]:
    """Those that an issued step adds to, in their order by number."""
    if not p.quarter_lanes:
        return list(step.index)
    assert step.split or not step.quarter
    return sorted(word * QUARTERS + b for b, word in enumerate(step.index) if step.sums >> b & 1)


def program(rng: random.Random, i: Isa, chains: int, quarters: bool) -> list[Window | Work]:
    """Windows and computes in order, with last lines in quarters or without; some computes wait for counts that the
    bench reaches later."""
    items: list[Window | Work] = []
    kernel, first_line = Kernel(rng, i, quarters), 0
    number = 0
    for k in range(chains):
        if k == 0 or rng.random() < 0.5:
            kernel = Kernel(rng, i, quarters)
            first_line = rng.choice((0, rng.randrange(kernel.lines)))
            items.append(kernel.window(first_line))
        for work in random_chain(rng, kernel, first_line):
            c = work.compute
            waits: dict[str, Any] = {"wait_dma": rng.choice((0, 0, 12 * number)), "wait_written": 0}
            waits["wait_read"] = rng.choice((0, 0, number))
            if number and rng.random() < 0.3 and c.first:
                waits["wait_written"] = number
            items.append(replace(work, compute=replace(c, **waits)))
            number += 1
    return items
