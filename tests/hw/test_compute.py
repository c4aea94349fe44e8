"""The compute engine: every issue of every compute in the contract's order, every cycle of one kind, under stalls."""

import random
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import pytest

from hw.compute import ComputeEngine, Cycle
from hw.isa import Compute, Window, isa
from hw.params import TileParams, preset
from tests.hw.compute_model import Held, Work, issues, program, steps_of
from tests.hw.sim import SHAPES, lone, plain, simulate
from tests.hw.window_model import EIGHT, Kernel

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1)]
IN_QUARTERS = [preset("small"), EIGHT, preset("paper16")]


@pytest.mark.parametrize(
    ("p", "quarters"),
    [pytest.param(p, False, id=p.name) for p in MACHINES]
    + [pytest.param(p, True, id=f"{p.name}, quarters") for p in IN_QUARTERS],
)
def test_every_issue_and_every_cycle(p: TileParams, quarters: bool) -> None:
    i, rng, dut = isa(p), random.Random(140), ComputeEngine(isa(p))
    # which such tiles ignore
    asked = {} if p.pairs_rows else {"paired": 1}
    asked |= {} if p.quarter_lanes else {"quarters": 2, "quarter_columns": 5, "quarter_tile": 1, "row_rest": 3}
    items = program(rng, i, 80, quarters)
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
                if wanted["first"] and wanted["index"][0] in used:
                    kind = Cycle.STALL_ACCUMULATOR
                elif crowded and yields:
                    kind = Cycle.STALL_PORT
                    met["crowded"] += 1
                elif wanted["reads"] is not None and not port_free:
                    kind = Cycle.STALL_PORT
                else:
                    kind, issue = Cycle.COMPUTE, True
                    take = len(coming) == 1 and (is_window or ready)
                    met["taken at once"] += take and not is_window
                    met["taken at once, with biases"] += take and not is_window and head.compute.load_bias
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
                wrapped, order = wanted.pop("wrapped"), wanted["index"]
                assert held.seen(ctx, dut) == wanted | {"index": sorted(order)}
                if wanted["quarter"] is not None:
                    met["quads"] += 1
                    met["quads, later quarters"] += wanted["quarter"] > 0
                    met["quads, parts of rows"] += running.tile % running.row_steps > 0
                    met["quads of four"] += len(order) == 4
                    met["quads round the ring"] += order != sorted(order)
                    met["quads from a later bank"] += order[0] % 4 > 0
                met["wrapped"] += wrapped and bool(wanted["words"])
                met["groups"] += wanted["pixels"] > 1
                met["nothing read"] += wanted["reads"] is None
                met["nothing added"] += not wanted["active"]
                met["kept"] += running.hold
                if running.paired:
                    met["two rows" if wanted["pixels"] == p.groups else "second row missing"] += 1
                if wanted["first"]:
                    used.update(order)
                if wanted["complete"]:
                    complete.extend((taken - 1, index) for index in order)
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
    assert kinds[Cycle.COMPUTE] == sum(c.issues for c in computes) > 50
    assert met["taken at once"] - met["taken at once, with biases"] > 2
    assert met["taken at once, with biases"] > 0
    assert met["window at once"] > 2
    assert met["wrapped"] > 8
    assert met["without the port"] > 5
    assert met["groups"] > 20 or p.groups == 1
    assert min(met["two rows"], met["second row missing"]) > 20 or not p.pairs_rows or quarters
    assert met["nothing read"] > 10
    assert min(met["nothing added"], met["kept"]) > 10
    assert min(met["crowded"], met["crowded, a held line"]) > 20 or quarters
    for what in ("", ", later quarters", " of four", " round the ring", " from a later bank", ", parts of rows"):
        assert (met["quads" + what] > 5) == quarters, what


def test_the_engine_takes_the_cycles_it_claims() -> None:
    """A window, a compute, its bias line, then a line of a step per cycle; the next one is taken with the last."""
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
        while len(trace) < 2 + 2 * (1 + 6 * kernel.lines) + 2 * 6 * kernel.lines:
            trace.append(ctx.get(dut.cycle))
            step = ctx.get(dut.step)
            due.append((ctx.get(dut.issue) & step.complete, step.index[0]))
            drained, index = due.popleft()
            ctx.set(dut.drained, drained)
            ctx.set(dut.drain_index, index)
            taken += ctx.get(dut.post_push)
            await ctx.tick()
            ctx.set(dut.head_is_window, 0)
            if taken == 2:
                ctx.set(dut.head_compute, plain(i, replace(c, load_bias=0)))
        with_bias = [Cycle.SETUP] + [Cycle.COMPUTE] * (6 * kernel.lines)
        assert trace == [Cycle.SETUP, Cycle.SETUP, *with_bias, *with_bias, *[Cycle.COMPUTE] * (2 * 6 * kernel.lines)]

    simulate(dut, bench)
