"""Post-processing: computes in order, each vector of each drained accumulator through pooling to its place."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Module

from hw.isa import Buffer, Compute, Pool, isa
from hw.params import TileParams, preset
from hw.pool import PoolLane
from hw.post import PostProcess
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of
from tests.hw.test_output import expected, random_compute
from tests.hw.test_pool import caffe, geometry, pooled

MACHINES = [*(preset(name) for name in SHAPES), lone()]
Vectors = list[list[int]]
Result = tuple[int, int, int, int]  # target, row, bank, word


def random_work(rng: random.Random, p: TileParams, row_bits: int) -> Compute:
    """A Compute's post-processing part: with pooling or without, with scores or without, or unfinished."""
    layout = random_compute(rng, p, row_bits)
    kind = rng.choice((Pool.NONE, Pool.MAX, Pool.AVERAGE))
    size, stride, out_w, out_h = rng.choice(((2, 2, 4, 4), (3, 2, 4, 3), (1, 1, 1, 3)))
    if kind == Pool.NONE or caffe(out_w, size, stride) * -(-size // stride) > p.pool_entries:
        shape = Compute(cols=rng.randint(1, 4), rows=rng.randint(1, 3))
    else:
        shape = geometry(p, size, stride, out_w, out_h, kind)
    names: tuple[str, ...] = (
        "neurons",
        "to_cols",
        "to_row",
        "to_bank",
        "to_x_row",
        "to_x_bank",
        "to_y_row",
        "to_y_bank",
    )
    names += ("to_n_row", "to_n_bank")
    c = replace(
        shape, **{name: getattr(layout, name) for name in names}, target=rng.choice((Buffer.NBIN, Buffer.NBOUT))
    )
    scores = shape.pool == Pool.NONE and rng.random() < 0.4
    return replace(c, finish=int(rng.random() < 0.8), relu=rng.getrandbits(1), scores=int(scores), score_base=9)


def results(p: TileParams, row_bits: int, c: Compute, vectors: Vectors) -> list[Result]:
    if c.pool != Pool.NONE:
        maps = [
            pooled(p, c, [[vectors[y * c.out_w + x][n] for x in range(c.out_w)] for y in range(c.out_h)])
            for n in range(c.neurons)
        ]
        vectors = [list(vector) + [0] * (p.neurons - c.neurons) for vector in zip(*maps, strict=True)]
    return [(c.target, *result) for result in expected(p, row_bits, c, vectors)]


def rig(p: TileParams) -> tuple[Module, Any]:
    """Post-processing with the pooling lanes of all neurons."""
    module = Module()
    module.submodules.post = post = PostProcess(isa(p))
    for n in range(p.neurons):
        lane = PoolLane(p)
        module.submodules[f"lane_{n}"] = lane
        inside = n < post.neurons
        module.d.comb += [
            lane.control.eq(post.pool),
            lane.control.read.eq(post.pool.read & inside),
            lane.control.write.eq(post.pool.write & inside),
            lane.word.eq(post.pool_words[n]),
            post.pooled[n].eq(lane.result),
        ]
    return module, post


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_computes_in_order_under_stalls(p: TileParams) -> None:
    i, rng = isa(p), random.Random(120)
    module, dut = rig(p)
    work = [random_work(rng, p, i.row_bits) for _ in range(14)]
    pixels = [c.cols * c.rows if c.finish else 0 for c in work]
    values = {
        (k, pixel): [rng.randint(p.fmt.low, p.fmt.high) for _ in range(p.neurons)]
        for k, count in enumerate(pixels)
        for pixel in range(count)
    }
    order = list(values)  # the accumulators in the order in which they become complete

    async def bench(ctx: Any) -> None:
        wanted: list[Result] = []
        for k, c in enumerate(work):
            if c.finish:
                wanted += results(p, i.row_bits, c, [values[k, pixel] for pixel in range(pixels[k])])
        got: list[Result] = []
        pushed = completed = drained = scored = 0
        ends = [sum(pixels[: k + 1]) for k in range(len(work))]
        for cycle in range(8000):
            stall = 0.6 if cycle // 150 % 2 else 0.1
            push = pushed < len(work) and ctx.get(dut.ready) and rng.random() < 0.3
            ctx.set(dut.push, push)
            ctx.set(dut.config, plain(i, work[pushed]) if push else {})
            allowed = completed < (ends[pushed - 1] if pushed else 0) and completed - drained < p.accumulators
            complete = allowed and rng.random() >= stall
            ctx.set(dut.complete, complete)
            ctx.set(dut.granted, rng.random() >= stall)
            if drained < completed:
                assert ctx.get(dut.drain_index) == drained % p.accumulators
                ctx.set(dut.words, values[order[drained]])
            else:
                ctx.set(dut.words, [-5] * p.neurons)  # not complete: must not be taken
            if ctx.get(dut.drained):
                assert drained < completed
                c = work[order[drained][0]]
                assert (ctx.get(dut.relu), ctx.get(dut.neurons)) == (c.relu, c.neurons)
                assert ctx.get(dut.score) == c.scores
                assert ctx.get(dut.score_base) == 9
                scored += ctx.get(dut.score)
            else:
                assert not ctx.get(dut.score)
            if ctx.get(dut.write) and ctx.get(dut.granted):
                at = ctx.get(dut.at)
                got.append((ctx.get(dut.target), at.row, at.bank, ctx.get(dut.word)))
            written = ctx.get(dut.written)
            assert written <= pushed
            # a compute counts as written only when its last word is in the buffer
            least = sum(len(wanted_of(k)) for k in range(written))
            assert len(got) >= least
            pushed += push
            drained += ctx.get(dut.drained)
            completed += complete
            await ctx.tick()
            if written == len(work):
                break
        assert got == wanted
        assert drained == completed == len(order)
        assert scored == sum(count for c, count in zip(work, pixels, strict=True) if c.scores)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.written) == 0

    lengths: dict[int, list[Result]] = {}

    def wanted_of(k: int) -> list[Result]:
        if k not in lengths:
            vectors = [values[k, pixel] for pixel in range(pixels[k])]
            lengths[k] = results(p, i.row_bits, work[k], vectors) if work[k].finish else []
        return lengths[k]

    simulate(module, bench)
    assert sum(pixels) > 20
    assert {c.pool for c in work} == set(Pool) or p.pool_entries == 1


def test_a_vector_a_cycle_when_the_output_keeps_up() -> None:
    """One neuron, no pooling: accumulators drain in consecutive cycles; words follow one cycle behind each other."""
    p = preset("small")
    i = isa(p)
    module, dut = rig(p)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.granted, 1)
        ctx.set(dut.push, 1)
        ctx.set(dut.config, plain(i, Compute(cols=6, neurons=1, to_cols=6, to_x_row=1)))
        await ctx.tick()
        ctx.set(dut.push, 0)
        ctx.set(dut.complete, 1)
        for _ in range(6):
            await ctx.tick()
        ctx.set(dut.complete, 0)
        drained, wrote = [], []
        for cycle in range(12):
            drained += [cycle] * ctx.get(dut.drained)
            wrote += [cycle] * ctx.get(dut.write)
            await ctx.tick()
        # the first ones left while the others were completing
        assert drained == list(range(drained[0], drained[0] + len(drained)))
        assert wrote == list(range(wrote[0], wrote[0] + len(wrote)))
        assert wrote[-1] == drained[-1] + 2  # result register, then the writer's
        assert ctx.get(dut.written) == 1

    simulate(module, bench)


def test_two_computes_wait_and_no_more() -> None:
    """Two queued behind the one at work; ``ready`` falls then."""
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
        assert taken == 3

    simulate(module, bench)


def test_gated_results_are_still() -> None:
    """Result registers of neurons outside a compute keep their bits while the others work."""
    p, rng = preset("small"), random.Random(121)
    i = isa(p)
    module, dut = rig(p)
    fragment, found = elaborated(module)
    gated = {path: s for path, s in found.items() if path in ("post.result_2", "post.result_3")}
    active = {path: s for path, s in found.items() if path in ("post.result_0", "post.result_1")}
    assert len(gated) == len(active) == 2

    async def bench(ctx: Any) -> None:
        async def work(neurons: int) -> None:
            ctx.set(dut.push, 1)
            ctx.set(dut.granted, 1)
            ctx.set(dut.config, plain(i, Compute(cols=4, neurons=neurons, to_cols=4)))
            await ctx.tick()
            ctx.set(dut.push, 0)
            for k in range(30):
                ctx.set(dut.complete, k < 4)
                ctx.set(dut.words, [rng.randint(-999, 999) for _ in range(4)])
                await ctx.tick()

        await work(4)
        before, moving = state_of(ctx, gated), state_of(ctx, active)
        await work(2)
        assert state_of(ctx, gated) == before
        assert state_of(ctx, active) != moving

    simulate(fragment, bench)
