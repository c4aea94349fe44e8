"""The compute engine: every issue of every compute in the contract's order, every cycle of one kind, under stalls."""

import random
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hw.compute import ComputeEngine, Cycle
from hw.isa import Buffer, Compute, Isa, Window, isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, plain, simulate
from tests.hw.window_model import Kernel, Row

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1)]


@dataclass(frozen=True)
class Work:
    """A compute over the map whose channel 0 starts at cell ``base``; its first line is ``line`` of the kernel."""

    kernel: Kernel
    line: int
    base: int
    compute: Compute


def random_chain(rng: random.Random, kernel: Kernel, first_line: int) -> list[Work]:
    """One compute, or several that go on from each other's sums; some emit them and keep them, some add nothing."""
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
    sums = rng.randint(tile, p.accumulators)
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
    chain = [Work(kernel, first_line, base, first)]
    for k in range(1, parts):
        base = rng.randrange(p.banks << i.row_bits)
        row, bank, _ = kernel.origin(first_line, Row(base, x0, y0, *size))
        more = replace(first, first=0, zero=0, load_bias=0, finish=int(k == parts - 1 or kept[k]), hold=kept[k])
        more = replace(more, row=row, bank=bank, shift=rng.randint(0, i.shifts))
        if rng.random() < 0.4:
            more = replace(more, lines=1, last_lanes=0)
        chain.append(Work(kernel, first_line, base, more))
    return chain


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
                    "neurons": c.neurons, "pixels": len(pixels), "index": index, "paired": c.paired,
                    "zero": c.zero, "shift": c.shift, "first": c.first and line == 0,
                    "complete": c.finish and line == c.lines - 1,
                    "wrapped": bool(c.ring_rows) and at.y >= c.ring_rows > c.y0,
                })  # fmt: skip
    return found


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
            "pixels": step.pixels, "index": step.index, "first": step.first, "complete": step.complete,
            "zero": step.zero, "shift": step.shift, "paired": step.paired & p.pairs_rows,
        }  # fmt: skip


def program(rng: random.Random, i: Isa, chains: int) -> list[Window | Work]:
    """Windows and computes in order; some computes wait for counts that the bench reaches later."""
    items: list[Window | Work] = []
    kernel, first_line = Kernel(rng, i), 0
    number = 0
    for k in range(chains):
        if k == 0 or rng.random() < 0.5:
            kernel = Kernel(rng, i)
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


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_every_issue_and_every_cycle(p: TileParams) -> None:
    i, rng, dut = isa(p), random.Random(140), ComputeEngine(isa(p))
    asked = {} if p.pairs_rows else {"paired": 1}  # which such tiles ignore
    items = program(rng, i, 80)
    computes = [item.compute for item in items if isinstance(item, Work)]
    steps = [len(steps_of(c)) for c in computes]
    kinds: Counter[Any] = Counter()
    met: Counter[str] = Counter()

    async def bench(ctx: Any) -> None:
        todo: deque[Any] = deque(items)
        dma_done = written = read_done = taken = 0
        used: set[int] = set()
        coming: deque[dict[str, Any]] = deque()  # issues of the compute that runs
        bias = False  # a bias line is next
        running: Compute | None = None
        complete: deque[tuple[int, int]] = deque()  # computes and accumulators of complete sums that are not drained
        unwritten = {k: count if c.finish else 0 for k, (c, count) in enumerate(zip(computes, steps, strict=True))}
        held = Held(p)
        for cycle in range(16000):
            calm = cycle // 150 % 2 == 0
            head: Any = todo[0] if todo and rng.random() < (0.95 if calm else 0.3) else None
            is_window = isinstance(head, Window)
            ctx.set(dut.head_valid, head is not None)
            ctx.set(dut.head_is_window, is_window)
            if is_window:
                ctx.set(dut.head_window, plain(i, head))
            elif head is not None:
                ctx.set(dut.head_compute, plain(i, head.compute) | asked)
            dma_done += rng.random() < (0.3 if calm else 0.02)
            ctx.set(dut.dma_done, dma_done)
            ctx.set(dut.written, written)
            post_ready, port_free = rng.random() < 0.8, rng.random() < (0.6 if calm else 0.3)
            ctx.set(dut.post_ready, post_ready)
            ctx.set(dut.port_free, port_free)
            crowded = rng.random() < (0.2 if calm else 0.4)
            ctx.set(dut.crowded, crowded)
            drained = bool(complete) and rng.random() < (0.8 if calm else 0.1)
            ctx.set(dut.drained, drained and not computes[complete[0][0]].hold)
            ctx.set(dut.drain_index, complete[0][1] if complete else rng.randrange(p.accumulators))

            ready = isinstance(head, Work) and dma_done >= head.compute.wait_dma and post_ready
            if isinstance(head, Work):
                ready &= read_done >= head.compute.wait_read and written >= head.compute.wait_written
            take = issue = False
            if bias:
                kind = Cycle.SETUP
                fetch = ctx.get(dut.fetch)
                assert running
                assert (fetch.bias, fetch.row, fetch.bank) == (1, running.bias_row, running.bias_bank)
                assert fetch.lanes == (1 << p.synapses) - 1
                assert fetch.neurons_mask == (1 << running.neurons * running.groups) - 1
                assert ctx.get(dut.step).neurons == running.neurons
            elif running:
                wanted = coming[0]
                yields = running.tile == 1 and wanted["active"]
                if wanted["first"] and wanted["index"] in used:
                    kind = Cycle.STALL_ACCUMULATOR
                elif crowded and yields:
                    kind = Cycle.STALL_PORT
                    met["crowded"] += 1
                elif wanted["reads"] is not None and not port_free:
                    kind = Cycle.STALL_PORT
                else:
                    kind, issue = Cycle.COMPUTE, True
                    take = len(coming) == 1 and (is_window or (ready and not head.compute.load_bias))
                    met["taken at once"] += take and not is_window
                    met["window at once"] += take and is_window
                    met["without the port"] += not port_free
                    met["crowded, a held line"] += crowded and running.tile > 1
                reads = kind != Cycle.STALL_ACCUMULATOR and wanted["reads"] is not None
                assert ctx.get(dut.read) == (reads and not (crowded and yields))
            elif head is None:
                kind = Cycle.IDLE
            elif is_window:
                kind, take = Cycle.SETUP, True
            elif dma_done < head.compute.wait_dma:
                kind = Cycle.STALL_DATA
            elif read_done < head.compute.wait_read or written < head.compute.wait_written:
                kind = Cycle.STALL_ORDER
            elif not post_ready:
                kind = Cycle.STALL_ACCUMULATOR
            else:
                kind, take = Cycle.SETUP, True
            assert ctx.get(dut.cycle) == kind
            kinds[kind] += 1
            assert ctx.get(dut.issue) == issue
            assert ctx.get(dut.head_ready) == take
            assert ctx.get(dut.post_push) == (take and not is_window)
            assert ctx.get(dut.hold) == (running is not None and not bias)
            assert ctx.get(dut.fetch).bias == bias
            if not issue:
                assert not ctx.get(dut.fetch).weights
                if not running or bias:
                    assert not ctx.get(dut.read)
            bias = False
            if issue:
                assert running
                wanted = coming.popleft()
                wrapped = wanted.pop("wrapped")
                assert held.seen(ctx, dut) == wanted
                met["wrapped"] += wrapped and bool(wanted["words"])
                met["groups"] += wanted["pixels"] > 1
                met["nothing read"] += wanted["reads"] is None
                met["nothing added"] += not wanted["active"]
                met["kept"] += running.hold
                if running.paired:
                    met["two rows" if wanted["pixels"] == p.groups else "second row missing"] += 1
                if wanted["first"]:
                    used.add(wanted["index"])
                if wanted["complete"]:
                    complete.append((taken - 1, wanted["index"]))
                if not coming:
                    running, read_done = None, read_done + 1
            if take:
                todo.popleft()
                if not is_window:
                    running = head.compute
                    coming, bias, taken = deque(issues(head)), bool(running.load_bias), taken + 1
            if drained:
                number, index = complete.popleft()
                unwritten[number] -= 1
                if not computes[number].hold:
                    used.remove(index)
            await ctx.tick()
            while written < read_done and unwritten[written] == 0:
                written += 1
            assert ctx.get(dut.read_done) == read_done
            if not todo and not running and written == len(computes):
                break
        assert (taken, read_done, written, used) == (len(computes), len(computes), len(computes), set())
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.read_done) == 0

    simulate(dut, bench)
    assert set(kinds) == set(Cycle)
    assert kinds[Cycle.COMPUTE] == sum(c.lines * count for c, count in zip(computes, steps, strict=True)) > 50
    assert met["taken at once"] > 2
    assert met["window at once"] > 2
    assert met["wrapped"] > 8
    assert met["without the port"] > 5
    assert met["groups"] > 20 or p.groups == 1
    assert min(met["two rows"], met["second row missing"]) > 20 or not p.pairs_rows
    assert met["nothing read"] > 10
    assert min(met["nothing added"], met["kept"]) > 10
    assert min(met["crowded"], met["crowded, a held line"]) > 20


def test_the_engine_takes_the_cycles_it_claims() -> None:
    """A window, a compute, its bias line, then a line of a step per cycle; without biases the next follows at once."""
    p = preset("odd")
    i, dut, rng = isa(p), ComputeEngine(isa(p)), random.Random(141)
    kernel = Kernel(rng, i)
    c = Compute(
        cols=7, rows=2, lines=kernel.lines, last_lanes=1, tile=4, sum_last=6, load_bias=1, in_w=9, in_h=9, groups=3
    )

    async def bench(ctx: Any) -> None:
        ctx.set(dut.head_valid, 1)
        ctx.set(dut.head_is_window, 1)
        ctx.set(dut.head_window, plain(i, kernel.window()))
        ctx.set(dut.head_compute, plain(i, c))
        ctx.set(dut.post_ready, 1)
        ctx.set(dut.port_free, 1)
        trace: list[Cycle] = []
        due, taken = deque([(0, 0)] * 3), 0
        while len(trace) < 1 + 2 * (2 + 6 * kernel.lines) + 2 * 6 * kernel.lines:
            trace.append(ctx.get(dut.cycle))
            step = ctx.get(dut.step)
            due.append((ctx.get(dut.issue) & step.complete, step.index))
            drained, index = due.popleft()
            ctx.set(dut.drained, drained)
            ctx.set(dut.drain_index, index)
            taken += ctx.get(dut.post_push)
            await ctx.tick()
            ctx.set(dut.head_is_window, 0)
            if taken == 2:
                ctx.set(dut.head_compute, plain(i, replace(c, load_bias=0)))
        with_bias = [Cycle.SETUP, Cycle.SETUP] + [Cycle.COMPUTE] * (6 * kernel.lines)
        assert trace == [Cycle.SETUP, *with_bias, *with_bias, *[Cycle.COMPUTE] * (2 * 6 * kernel.lines)]

    simulate(dut, bench)
