"""Post-processing: computes in order, each step of each drained accumulator through pooling to its cells, on time."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.isa import Compute, Isa, Pool, isa
from hw.params import TileParams, preset
from hw.pool import PoolLane
from hw.post import QUEUE, PostProcess
from tests.hw.pool_model import Map, band, cells, fits, geometry, results
from tests.hw.post_model import PostModel, Seen
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of, word
from tests.hw.test_output import grant, offered, random_layout

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1)]
POOLINGS = [(2, 2), (3, 2), (3, 3), (3, 1), (2, 1), (1, 1), (2, 3), (7, 7), (7, 2)]
Work = tuple[Compute, list[Map]]  # channels: the whole map if it pools, else the rows of the compute


def layer(rng: random.Random, i: Isa, kind: Pool, vector: bool) -> list[Work]:
    """One map of some channels, in bands of rows if it pools; scores and unfinished computes among the others."""
    p = i.params
    layout = random_layout(rng, i)
    paired = int(p.pairs_rows and not vector and rng.random() < 0.5)
    groups = p.groups if paired else rng.randint(1, p.groups)
    names = ["to_row", "to_bank", "to_sub", "to_y_row", "to_y_bank", "to_n_row", "to_n_bank", "target"]
    fields = {name: getattr(layout, name) for name in names} | {"relu": rng.getrandbits(1), "score_base": 9}
    fields["paired"] = paired
    neurons = rng.randint(1, p.neurons // groups)
    size, stride = rng.choice([pooling for pooling in POOLINGS if not paired or pooling[0] <= groups // 2])
    wide, high = rng.randint(size, size + 9), rng.randint(size, size + 5)
    wide = groups // 2 if paired else wide
    if not fits(p, size, stride, wide, groups):
        size, stride, wide = 1, 1, 1
    if kind != Pool.NONE:
        whole = geometry(p, size, stride, wide, high, kind, groups=groups, floor=rng.random() < 0.3)
        whole = replace(whole, neurons=neurons, **fields)
        channels = [[[word(rng, p.fmt.width) for _ in range(wide)] for _ in range(high)] for _ in range(neurons)]
        found, y = [], 0
        while y < high:
            rows = rng.randint(min(1 + paired, high - y), high - y)
            found.append((band(whole, y, rows), channels))
            y += rows
        return found
    if vector:
        c = Compute(neurons=rng.randint(1, p.neurons), vector=1, scores=rng.getrandbits(1), **fields)
    else:
        cols = groups // 2 if paired else rng.randint(1, 9)
        c = Compute(
            neurons=neurons, groups=groups, cols=cols, to_cols=cols, rows=rng.randint(1, 3 + 2 * paired), **fields
        )
    c = replace(c, finish=int(rng.random() < 0.8), out_w=rng.randint(1, 9), out_h=rng.randint(1, 9))
    channels = [[[word(rng, p.fmt.width) for _ in range(c.cols)] for _ in range(c.rows)] for _ in range(c.neurons)]
    return [(c, channels)]


def in_place(rng: random.Random, p: TileParams, work: Work) -> Work:
    """The work with its sums in accumulators by chance, where they may stay; NFU-3 is told of limbs by chance."""
    first, at, last = sorted(rng.choices(range(p.accumulators), k=3))
    c = replace(work[0], sum_first=first, sum_at=at, sum_last=last)
    if not c.paired:
        c = replace(c, hold=rng.getrandbits(1), limb=rng.randint(0, isa(p).limbs), limb_top=rng.getrandbits(1))
    return c, work[1]


def steps_of(rng: random.Random, p: TileParams, work: Work) -> list[list[int]]:
    """The accumulators' results of a compute in order; lanes outside a step hold noise."""
    c, channels = work
    first = 0 if c.pool == Pool.NONE else c.out_y
    found = []
    end = first + c.rows if c.finish else first
    for y in range(first, end, 1 + c.paired):
        for x in range(0, c.cols, c.groups):
            words = [
                channel[row][at]
                for row in range(y, min(y + 1 + c.paired, end))
                for at in range(x, min(x + c.groups, c.cols))
                for channel in channels
            ]
            found.append(words + [rng.randint(-5, 5) for _ in range(p.neurons - len(words))])
    return found


def halves(c: Compute) -> list[int]:
    """How often each accumulator of a compute is drained, in order: of a paired one its lower half, then its upper."""
    if not c.finish:
        return []
    return [2] * (c.rows // 2) + [1] * (c.rows % 2) if c.paired else [1] * (c.rows * -(-c.cols // c.groups))


def rig(p: TileParams) -> tuple[Module, Any]:
    """Post-processing with the pooling lanes of all neurons."""
    module = Module()
    module.submodules.post = post = PostProcess(isa(p))
    for n in range(p.neurons):
        lane = PoolLane(p)
        module.submodules[f"lane_{n}"] = lane
        inside = n < post.pool_neurons
        module.d.comb += [
            lane.control.eq(post.pool),
            lane.control.read.eq(post.pool.read & (n < post.pool_readers)),
            lane.control.write.eq(post.pool.write & inside),
            lane.control.result.eq(post.pool.result & inside),
            lane.word.eq(post.pool_words[n]),
            post.pooled[n].eq(lane.pooled),
        ]
    return module, post


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_computes_in_order_and_on_time(p: TileParams) -> None:
    """Words, cells and counts by value; every output of every cycle as the model of cycles says, under stalls."""
    i, rng = isa(p), random.Random(120)
    module, dut = rig(p)
    kinds = (Pool.NONE, Pool.MAX, Pool.AVERAGE)
    asked = {} if p.pairs_rows else {"paired": 1}  # which such tiles ignore
    work = [in_place(rng, p, part) for k in range(36) for part in layer(rng, i, kinds[k % 3], k % 6 == 0)]
    vectors = [steps_of(rng, p, part) for part in work]
    order = [(k, vector) for k, steps in enumerate(vectors) for vector in steps]  # in which accumulators complete
    takes = [count for c, _ in work for count in halves(c)]
    places = [
        c.sum_first + (c.sum_at - c.sum_first + step) % (c.sum_last - c.sum_first + 1)
        for (c, _), steps in zip(work, vectors, strict=True)
        for step in range(len(steps))
    ]
    ends = [sum(len(steps) for steps in vectors[: k + 1]) for k in range(len(work))]
    wanted = [
        [(c.target, *cell) for cell in cells(p, i.row_bits, c, [results(p, c, channel) for channel in channels])]
        if c.finish
        else []
        for c, channels in work
    ]

    async def bench(ctx: Any) -> None:
        got: list[tuple[Any, ...]] = []
        model = PostModel(p.cell_words)
        pushed = completed = drained = scored = cycle = most = upper = uppers = 0
        at_once = [0] * (p.sum_banks + 1)
        read: tuple[int, ...] = ()  # what the margin controller reads in the cycle after a score, too
        while True:
            cycle += 1
            stall = (0.0, 0.1, 0.6)[cycle // 100 % 3]
            push = pushed < len(work) and ctx.get(dut.ready) and rng.random() >= stall
            ctx.set(dut.push, push)
            ctx.set(dut.config, plain(i, work[pushed][0]) | asked if push else {})
            # as many at once as a quarter of a line completes, in accumulators that are in use or go on from their sums
            allowed = min(ends[pushed - 1] if pushed else 0, drained + (QUEUE + 1) * p.accumulators) - completed
            complete = rng.randint(min(1, allowed), min(p.sum_banks, allowed)) if rng.random() >= stall else 0
            at_once[complete] += 1
            granted = grant(rng, stall)
            ctx.set(dut.complete, complete)
            ctx.set(dut.granted, granted)
            if drained < completed:
                ctx.set(dut.words, order[drained][1])
            else:
                ctx.set(dut.words, [-5] * p.neurons)  # not complete: must not be taken
            taken = ctx.get(dut.taken)
            seen = Seen(
                bool(ctx.get(dut.ready)), bool(taken), ctx.get(dut.neurons) if taken else 0, ctx.get(dut.updates),
                ctx.get(dut.write).bit_count(), ctx.get(dut.written),
            )  # fmt: skip
            timed = model.look(granted.bit_count())
            assert seen == replace(timed, neurons=timed.neurons if taken else 0), cycle
            reads = tuple(ctx.get(getattr(dut, name)) for name in ("drain_index", "score_neurons", "score_base"))
            assert not read or reads == read
            read = reads if ctx.get(dut.score) else ()
            if taken:
                c = work[order[drained][0]][0]
                assert ctx.get(dut.drain_index) == places[drained]
                assert (ctx.get(dut.relu), ctx.get(dut.score)) == (c.relu, c.scores)
                assert (ctx.get(dut.limb), ctx.get(dut.limb_top)) == (c.limb, c.limb_top)
                assert ctx.get(dut.drained) == (not c.hold and upper == takes[drained] - 1)
                uppers += upper
                assert (ctx.get(dut.score_base), ctx.get(dut.score_neurons)) == (9, c.neurons)
                scored += ctx.get(dut.score)
            else:
                assert not ctx.get(dut.score)
                assert not ctx.get(dut.drained)
            cells = offered(ctx, p, dut)[: granted.bit_count()]
            got += [(ctx.get(dut.target), *cell) for cell in cells]
            # a compute counts as written only when its last word is in the buffer
            assert len(got) - len(cells) >= sum(len(part) for part in wanted[: seen.written])
            model.edge(work[pushed][0] if push else None, complete)
            pushed += bool(push)
            if taken:
                upper = upper + 1 if upper + 1 < takes[drained] else 0
                drained += upper == 0
            completed += complete
            most = max(most, completed - drained)
            await ctx.tick()
            if seen.written == len(work):
                break
        assert got == [cell for part in wanted for cell in part]
        assert drained == completed == len(order) == len(takes)
        assert uppers > 12 or not p.pairs_rows
        assert most > p.accumulators  # sums that stay are completed again
        assert min(at_once) > 5
        assert scored == sum(len(steps) for (c, _), steps in zip(work, vectors, strict=True) if c.scores)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.written) == 0

    simulate(module, bench)
    assert {c.pool for c, _ in work} == set(Pool)
    assert {c.vector for c, _ in work} == {0, 1}
    assert {(c.pool, c.rows % 2) for c, _ in work if c.paired} >= {(kind, 1) for kind in kinds if p.pairs_rows}
    assert len(order) > 50


async def fill(ctx: Any, i: Isa, dut: Any, c: Compute, steps: int, cycles: int) -> dict[str, list[int]]:
    """Push ``c`` and complete a step a cycle; returns the cycles, from the push, in which things happened."""
    names = ("taken", "drained", "write", "updates")
    seen: dict[str, list[int]] = {name: [] for name in names}
    written = ctx.get(dut.written)
    seen["written"] = []
    ctx.set(dut.granted, 3)
    for cycle in range(cycles):
        ctx.set(dut.push, cycle == 0)
        ctx.set(dut.config, plain(i, c))
        ctx.set(dut.complete, cycle < steps)
        for name in names:
            seen[name] += [cycle] * bool(ctx.get(getattr(dut, name)))
        seen["written"] += [cycle] * (ctx.get(dut.written) == written + 1)
        await ctx.tick()
    return seen


def test_a_vector_a_cycle_when_the_output_keeps_up() -> None:
    """One channel, no pooling: accumulators drain in consecutive cycles, a cell leaves every second one."""
    p = preset("small")
    assert (p.cell_words, p.accumulators) == (2, 8)
    module, dut = rig(p)

    async def bench(ctx: Any) -> None:
        seen = await fill(ctx, isa(p), dut, Compute(cols=6, to_cols=6), 6, 16)
        assert seen["drained"] == [3, 4, 5, 6, 7, 8]  # pushed in 0, taken in 1, begun in 2
        assert seen["write"] == [6, 8, 10]  # result register, cell
        assert seen["written"][0] == 11

    simulate(module, bench)


def test_a_pixel_a_cycle_out_of_steps() -> None:
    """Two steps of four pixels take four cycles each on their way to the cells."""
    p = preset("small")
    module, dut = rig(p)

    async def bench(ctx: Any) -> None:
        seen = await fill(ctx, isa(p), dut, Compute(cols=8, groups=4, to_cols=8), 2, 20)
        assert seen["drained"] == [3, 7]
        assert seen["write"] == [6, 8, 10, 12]
        assert seen["written"][0] == 13

    simulate(module, bench)


def test_the_two_rows_of_a_step_leave_one_behind_the_other() -> None:
    """Rows of two pixels, two an accumulator: each row takes two cycles on its way to its cell, as if it had an
    accumulator of its own, which is free with its second row; the third row's has no other."""
    p = preset("small")
    module, dut = rig(p)
    c = Compute(cols=2, rows=3, groups=4, paired=1, to_cols=2)

    async def bench(ctx: Any) -> None:
        seen = await fill(ctx, isa(p), dut, c, 2, 20)
        assert seen["taken"] == [3, 5, 7]
        assert seen["drained"] == [5, 7]
        assert seen["write"] == [6, 8, 10]
        assert seen["written"][0] == 11

    simulate(module, bench)


def test_vertical_and_horizontal_pooling_overlap() -> None:
    """2x2 windows, four pixels a step: a first row costs a cycle a step, a second one two, two pixels a cycle."""
    p = preset("small")
    module, dut = rig(p)
    c = geometry(p, 2, 2, 8, 2, Pool.MAX, groups=4)

    async def bench(ctx: Any) -> None:
        seen = await fill(ctx, isa(p), dut, c, 4, 30)
        assert seen["drained"] == [3, 4, 5, 6]
        assert seen["updates"] == [4, 5, 6, *range(7, 11)]  # down: 4, 5, 6, 8; across: 7..10
        assert seen["write"] == [10, 12]
        assert seen["written"][0] == 13

    simulate(module, bench)


def test_computes_wait_and_no_more() -> None:
    """Four queued behind the one at work; ``ready`` falls then."""
    p = preset("odd")
    i = isa(p)
    module, dut = rig(p)

    async def bench(ctx: Any) -> None:
        taken = 0
        ctx.set(dut.config, plain(i, Compute()))
        ctx.set(dut.push, 1)
        for _ in range(12):
            taken += ctx.get(dut.ready)
            await ctx.tick()
        assert taken == QUEUE + 1 == 5

    simulate(module, bench)


def test_gated_results_are_still() -> None:
    """Result registers and windows of neurons outside a compute keep their bits while the others work."""
    p, rng = preset("small"), random.Random(121)
    i = isa(p)
    module, dut = rig(p)
    fragment, found = elaborated(module)
    lanes = {path: s for path, s in found.items() if path.split(".")[-1] in ("pooled", "read_0") and "lane_" in path}
    lanes |= {path: s for path, s in found.items() if path.startswith("post.row.pool_row_lane_")}
    lanes |= {path: s for path, s in found.items() if path.startswith("post.result_")}

    def neuron(path: str) -> int:
        parts = path.split(".")
        return int(next(part for part in parts if part[-1].isdigit() and not part.startswith("window")).split("_")[-1])

    of = {
        n: {path: s for path, s in lanes.items() if neuron(path) == n and not path.endswith("read_0")} for n in range(4)
    }
    assert {len(part) for part in of.values()} == {1 + 1 + 7}
    gated, active = of[2] | of[3], of[0] | of[1]

    async def bench(ctx: Any) -> None:
        async def work(neurons: int) -> None:
            for c in (
                replace(geometry(p, 2, 2, 4, 2, Pool.AVERAGE), neurons=neurons),
                Compute(cols=4, neurons=neurons, to_cols=4),
                Compute(cols=2, rows=4, groups=4, paired=1, to_cols=2),
            ):
                steps = len(halves(c))
                ctx.set(dut.granted, 1)
                for k in range(60):
                    ctx.set(dut.push, k == 0)
                    ctx.set(dut.config, plain(i, c))
                    ctx.set(dut.complete, k < steps)
                    ctx.set(dut.words, [rng.randint(-999, 999) for _ in range(4)])
                    await ctx.tick()

        await work(4)
        before, moving = state_of(ctx, gated), state_of(ctx, active)
        assert len(set(before.values())) > 5
        await work(2)
        assert state_of(ctx, gated) == before
        assert state_of(ctx, active) != moving
        assert ctx.get(dut.written) == 6

    simulate(fragment, bench)
