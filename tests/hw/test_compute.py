"""The compute engine: every issue of every compute in the contract's order, every cycle of one kind, under stalls."""

import random
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import pytest

from hw.compute import ComputeEngine, Cycle
from hw.isa import Buffer, Compute, Isa, Window, isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, plain, simulate
from tests.hw.test_window import Kernel

MACHINES = [*(preset(name) for name in SHAPES), lone()]
Work = tuple[Kernel, Compute]


def random_chain(rng: random.Random, kernel: Kernel) -> list[Compute]:
    """One compute, or several that go on from each other's sums."""
    i, p = kernel.i, kernel.i.params
    n, rows = p.synapses, 1 << i.row_bits

    def pair(name: str) -> dict[str, Any]:
        return {f"{name}row": rng.randrange(rows), f"{name}bank": rng.randrange(n)}

    parts = rng.choice((1, 1, 2, 3))
    cols, height = rng.randint(1, 5), rng.randint(1, 3)
    if parts > 1:
        cols, height = rng.randint(1, min(p.accumulators, 5)), 1
    tile = cols if parts > 1 else rng.randint(1, p.accumulators)
    lines = rng.randint(1, kernel.lines)
    last_lanes = kernel.elements - (kernel.lines - 1) * n if lines == kernel.lines else n
    first = Compute(
        source=rng.choice((Buffer.NBIN, Buffer.NBOUT)), **pair(""), x0=rng.randint(-3, 2), y0=rng.randint(-3, 2),
        stride=rng.randint(1, 3), in_w=rng.randint(2, 9), in_h=rng.randint(2, 9), **pair("step_x_"), **pair("step_y_"),
        cols=cols, rows=height, lines=lines, last_lanes=last_lanes, neurons=rng.randint(1, p.neurons), tile=tile,
        sb_row=rng.randrange(p.sb_rows), load_bias=rng.getrandbits(1), bias_row=rng.randrange(p.sb_rows),
        bias_bank=rng.randrange(p.neurons), finish=int(parts == 1),
    )  # fmt: skip
    chain = [first]
    for k in range(1, parts):
        chain.append(replace(first, first=0, load_bias=0, finish=int(k == parts - 1), **pair("")))
    return chain


def issues(kernel: Kernel, c: Compute, base: int) -> tuple[list[list[dict[str, Any]]], int]:
    """What is issued, tile by tile, and the first accumulator of the next tile."""
    i, p = kernel.i, kernel.i.params
    n, space = p.synapses, (1 << i.row_bits) * p.synapses
    found: list[list[dict[str, Any]]] = []
    total = c.cols * c.rows
    for start in range(0, total, c.tile):
        pixels = range(start, min(start + c.tile, total))
        steps = []
        for line in range(c.lines):
            left = c.last_lanes if line == c.lines - 1 else n
            for k in pixels:
                y, x = divmod(k, c.cols)
                at = (
                    c.row * n + c.bank + x * (c.step_x_row * n + c.step_x_bank) + y * (c.step_y_row * n + c.step_y_bank)
                )
                lanes, rows = 0, {}
                for e in range(left):
                    _, ky, kx = kernel.tap(line * n + e)
                    if 0 <= c.x0 + x * c.stride + kx < c.in_w and 0 <= c.y0 + y * c.stride + ky < c.in_h:
                        lanes |= 1 << e
                        rows[e] = (at % space + kernel.offset(line * n + e)) // n % (1 << i.row_bits)
                steps.append({
                    "source": c.source, "bank": at % n, "row": at % space // n, "lanes": lanes, "rows": rows,
                    "weights": k == pixels[0], "sb_row": (c.sb_row + line) % (1 << i.sb_row_bits),
                    "sb_lanes": (1 << left) - 1,
                    "active": (1 << c.neurons) - 1, "neurons": c.neurons, "index": (base + k - start) % p.accumulators,
                    "first": c.first and line == 0, "complete": c.finish and line == c.lines - 1,
                })  # fmt: skip
        found.append(steps)
        if c.finish:
            base = (base + len(pixels)) % p.accumulators
    return found, base


def seen(ctx: Any, dut: Any) -> dict[str, Any]:
    """The same of the hardware's outputs in an issue cycle."""
    origin, fetch, step = ctx.get(dut.origin), ctx.get(dut.fetch), ctx.get(dut.step)
    lanes = ctx.get(dut.lanes)
    assert step.lanes == lanes
    return {
        "source": ctx.get(dut.source), "bank": origin.bank, "row": origin.row, "lanes": lanes,
        "rows": {e: ctx.get(getattr(dut, f"row_{e}")) for e in range(lanes.bit_length()) if lanes >> e & 1},
        "weights": fetch.weights, "sb_row": fetch.row, "sb_lanes": fetch.lanes, "active": step.active,
        "neurons": step.neurons, "index": step.index, "first": step.first, "complete": step.complete,
    }  # fmt: skip


def program(rng: random.Random, i: Isa, chains: int) -> list[Window | Work]:
    """Windows and computes in order; some computes wait for counts that the bench reaches later."""
    items: list[Window | Work] = []
    kernel = Kernel(rng, i)
    number = 0
    for k in range(chains):
        if k == 0 or rng.random() < 0.6:
            kernel = Kernel(rng, i)
            items.append(kernel.window())
        for c in random_chain(rng, kernel):
            waits: dict[str, Any] = {"wait_dma": rng.choice((0, 6 * number)), "wait_read": number, "wait_written": 0}
            if number and rng.random() < 0.3 and c.first:
                waits["wait_written"] = number
            items.append((kernel, replace(c, **waits)))
            number += 1
    return items


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_every_issue_and_every_cycle(p: TileParams) -> None:
    i, rng, dut = isa(p), random.Random(140), ComputeEngine(isa(p))
    items = program(rng, i, 16)
    computes = [item for item in items if isinstance(item, tuple)]
    kinds: Counter[Any] = Counter()

    async def bench(ctx: Any) -> None:
        todo: deque[Any] = deque(items)
        base = dma_done = written = used = read_done = taken = 0
        tiles: deque[list[dict[str, Any]]] = deque()  # of the compute that runs
        fresh = bias = False  # the next issue begins a tile; a bias line is next
        running: Compute | None = None
        complete: deque[int] = deque()  # compute numbers of complete accumulators that are not drained
        open_words = {k: c.cols * c.rows if c.finish else 0 for k, (_, c) in enumerate(computes)}
        for cycle in range(8000):
            calm = cycle // 150 % 2 == 0
            offered = bool(todo) and (running is not None or bias or rng.random() < (0.95 if calm else 0.3))
            head: Any = todo[0] if offered else None
            is_window = isinstance(head, Window)
            ctx.set(dut.head_valid, offered)
            ctx.set(dut.head_is_window, is_window)
            if is_window:
                ctx.set(dut.head_window, plain(i, head))
            elif offered:
                ctx.set(dut.head_compute, plain(i, head[1]))
            dma_done += rng.random() < (0.3 if calm else 0.02)
            ctx.set(dut.dma_done, dma_done)
            ctx.set(dut.written, written)
            post_ready, port_free = rng.random() < 0.8, rng.random() < (0.95 if calm else 0.5)
            ctx.set(dut.post_ready, post_ready)
            ctx.set(dut.port_free, port_free)
            drained = bool(complete) and rng.random() < (0.8 if calm else 0.1)
            ctx.set(dut.drained, drained)

            take = issue = False
            if bias:
                kind = Cycle.SETUP
                fetch = ctx.get(dut.fetch)
                assert running
                assert (fetch.bias, fetch.row, fetch.bank) == (1, running.bias_row, running.bias_bank)
                assert fetch.lanes == (1 << p.synapses) - 1
            elif running:
                need = len(tiles[0]) // running.lines if fresh and running.first else 0
                if need and used + need > p.accumulators:
                    kind = Cycle.STALL_ACCUMULATOR
                elif not port_free:
                    kind = Cycle.STALL_PORT
                else:
                    kind, issue = Cycle.COMPUTE, True
                assert ctx.get(dut.read) == (kind != Cycle.STALL_ACCUMULATOR)
            elif head is None:
                kind = Cycle.IDLE
            elif is_window:
                kind, take = Cycle.SETUP, True
            elif dma_done < head[1].wait_dma:
                kind = Cycle.STALL_DATA
            elif read_done < head[1].wait_read or written < head[1].wait_written:
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
            if not bias:
                assert not ctx.get(dut.fetch).bias
            if not issue:
                assert not ctx.get(dut.fetch).weights
                if not running or bias:
                    assert not ctx.get(dut.read)
            if bias:
                bias = False
            elif issue:
                assert running
                if fresh and running.first:
                    used += len(tiles[0]) // running.lines
                fresh = False
                wanted = tiles[0].pop(0)
                assert seen(ctx, dut) == wanted
                if wanted["complete"]:
                    complete.append(taken - 1)
                if not tiles[0]:
                    tiles.popleft()
                    fresh = True
                    if not tiles:
                        running, read_done = None, read_done + 1
            if take:
                todo.popleft()
                if not is_window:
                    kernel, running = head
                    found, base = issues(kernel, running, base)
                    tiles, fresh, bias, taken = deque(found), True, bool(running.load_bias), taken + 1
            if drained:
                open_words[complete.popleft()] -= 1
                used -= 1
            await ctx.tick()
            while written < read_done and open_words[written] == 0:
                written += 1
            assert ctx.get(dut.read_done) == read_done
            if not todo and not running and written == len(computes):
                break
        assert (taken, read_done, written, used) == (len(computes), len(computes), len(computes), 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.read_done) == 0

    simulate(dut, bench)
    assert set(kinds) == set(Cycle)
    assert kinds[Cycle.COMPUTE] == sum(c.cols * c.rows * c.lines for _, c in computes) > 50


def test_the_engine_takes_the_cycles_it_claims() -> None:
    """A window, a compute, its bias line, then a line of a pixel per cycle; the next compute right behind."""
    p = preset("odd")
    i, dut, rng = isa(p), ComputeEngine(isa(p)), random.Random(141)
    kernel = Kernel(rng, i)
    c = Compute(cols=3, rows=2, lines=kernel.lines, last_lanes=1, tile=4, load_bias=1, in_w=9, in_h=9)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.head_valid, 1)
        ctx.set(dut.head_is_window, 1)
        ctx.set(dut.head_window, plain(i, kernel.window()))
        ctx.set(dut.head_compute, plain(i, c))
        ctx.set(dut.post_ready, 1)
        ctx.set(dut.port_free, 1)
        ctx.set(dut.drained, 0)
        trace, completes = [], 0
        for _ in range(2 * (2 + 6 * kernel.lines) + 1):
            trace.append(ctx.get(dut.cycle))
            ctx.set(dut.drained, completes > 0)
            completes += (ctx.get(dut.issue) & ctx.get(dut.step).complete) - (completes > 0)
            await ctx.tick()
            ctx.set(dut.head_is_window, 0)
        one = [Cycle.SETUP, Cycle.SETUP] + [Cycle.COMPUTE] * (6 * kernel.lines)
        assert trace == [Cycle.SETUP, *one, *one]

    simulate(dut, bench)
