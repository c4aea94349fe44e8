"""The score-margin controller against sorted scores (raw) and hw.softmax (softmax); ties, latency, clearing."""

import random
from typing import Any

import pytest

from hw.instructions import CLASS_BITS
from hw.margin import MarginController
from hw.params import TileParams, preset
from hw.softmax import FRACTION, LEAST_CLASSES, ONE, exponential, score_code, score_rows
from tests.hw.sim import SHAPES, lone, simulate

MACHINES = [*(preset(name) for name in (*SHAPES, "paper16")), lone()]
LARGEST = (1 << 64) - 1


def decisions_of(p: TileParams) -> int:
    """Comparisons are slow here: `make regress` decides 360 times on every preset in Verilator (cosim.bench_margin)."""
    return min(60, 120 // p.neurons)


def raw_margin(scores: list[int]) -> int:
    ordered = sorted(scores, reverse=True)
    return ordered[0] - ordered[1] if len(scores) > 1 else LARGEST


def softmax_sides(scores: list[int], frac: int) -> tuple[int, int]:
    """1 - e^-d2 and sum e^-d, both with FRACTION fraction bits."""
    codes = sorted((score_code(score, frac) for score in scores), reverse=True)
    terms = [exponential(codes[0] - code) for code in codes]
    return ONE - (terms[1] if len(terms) > 1 else 0), sum(terms)


async def feed(ctx: Any, dut: Any, p: TileParams, rng: random.Random, scores: list[int], gaps: float = 0.0) -> None:
    """Clear, then hand over the scores in vectors of ``neurons`` classes; ends right after the last valid cycle."""
    ctx.set(dut.clear, 1)
    ctx.set(dut.valid, 0)
    await ctx.tick()
    ctx.set(dut.clear, 0)
    edge = 1 << (p.accumulator_width - 1)
    for base in range(0, len(scores), p.neurons):
        part = scores[base : base + p.neurons]
        while rng.random() < gaps:
            await ctx.tick()
        ctx.set(dut.valid, 1)
        ctx.set(dut.base, base)
        ctx.set(dut.neurons, len(part))
        ctx.set(dut.scores, part + [edge - 1] * (p.neurons - len(part)))  # gated neurons carry the largest word
        assert not ctx.get(dut.ready)
        await ctx.tick()
        ctx.set(dut.valid, 0)
        if base + p.neurons < len(scores):  # the vector stays for its second pass, the next one may come after it
            await ctx.tick()


def random_scores(rng: random.Random, p: TileParams, most: int, wide: int) -> list[int]:
    count = rng.randint(1, most)
    values = [rng.randint(-(1 << wide), 1 << wide) for _ in range(count)]
    if rng.random() < 0.4:  # ties, often of the best
        values[rng.randrange(count)] = max(values)
    return values


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_raw_margin_winner_and_decision(p: TileParams) -> None:
    rng, dut, decisions = random.Random(70), MarginController(p), set()

    async def bench(ctx: Any) -> None:
        for k in range(decisions_of(p)):
            wide = rng.choice((2, 8, 20, p.accumulator_width - 2, p.accumulator_width - 1))
            scores = random_scores(rng, p, 40, wide)
            scores = [min(score, (1 << (p.accumulator_width - 1)) - 1) for score in scores]
            await feed(ctx, dut, p, rng, scores, 0.4 if k % 2 else 0.0)
            cycles = 1  # the last valid cycle itself
            ctx.set(dut.decide, 1)
            while not ctx.get(dut.ready):
                cycles += 1
                await ctx.tick()
            assert cycles + 1 == MarginController.latency == 3  # largest, second largest, compare
            margin = raw_margin(scores)
            for _ in range(rng.randint(1, 4)):
                for threshold in {max(margin - 1, 0), margin, min(margin + 1, LARGEST), 0, LARGEST}:
                    ctx.set(dut.threshold, threshold)
                    assert ctx.get(dut.ready)
                    assert ctx.get(dut.winner) == scores.index(max(scores))  # the first of equals
                    assert ctx.get(dut.margin) == margin
                    assert ctx.get(dut.below) == (margin < threshold)
                    decisions.add(margin < threshold)
                await ctx.tick()
            ctx.set(dut.decide, 0)

    simulate(dut, bench)
    assert decisions == {True, False}


def test_the_largest_possible_margin() -> None:
    p = preset("paper32")
    dut, rng = MarginController(p), random.Random(71)

    async def bench(ctx: Any) -> None:
        await feed(ctx, dut, p, rng, [-(1 << 63), (1 << 63) - 1])
        await ctx.tick()
        assert (ctx.get(dut.margin), ctx.get(dut.winner)) == (LARGEST, 1)
        await feed(ctx, dut, p, rng, [-(1 << 63)])
        await ctx.tick()
        assert (ctx.get(dut.margin), ctx.get(dut.winner)) == (LARGEST, 0)
        ctx.set(dut.threshold, LARGEST)
        assert not ctx.get(dut.below)  # one class has no rival

    simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_softmax_decision_and_its_cycles(p: TileParams) -> None:
    """The compare without a division, at the threshold that just tips it; four cycles a class and 9 besides."""
    rng, dut, decisions = random.Random(72), MarginController(p), set()
    classes = score_rows(p.neurons) * p.neurons
    assert LEAST_CLASSES <= classes < LEAST_CLASSES + p.neurons <= 1 << CLASS_BITS

    async def bench(ctx: Any) -> None:
        ctx.set(dut.softmax, 1)
        for k in range(decisions_of(p)):
            wide = 2 * p.fmt.frac + rng.choice((-6, -2, 0, 1, 3, 5, 6, p.accumulator_width - 2 * p.fmt.frac - 2))
            scores = random_scores(rng, p, classes, wide)
            margin, total = softmax_sides(scores, p.fmt.frac)
            tipping = (margin << FRACTION) // total  # the largest threshold that is not above the margin
            threshold = min(max(tipping + rng.choice((-1, 0, 0, 1, 1, 2, 500)), 0), ONE)
            await feed(ctx, dut, p, rng, scores, 0.3 if k % 2 else 0.0)
            await ctx.tick()
            ctx.set(dut.threshold, threshold)
            ctx.set(dut.decide, 1)
            cycles = 0
            while not ctx.get(dut.ready):
                cycles += 1
                await ctx.tick()
            assert cycles == 4 * len(scores) + 9
            below = margin << FRACTION < threshold * total
            assert ctx.get(dut.below) == below
            assert ctx.get(dut.winner) == scores.index(max(scores))
            decisions.add((below, threshold > tipping))
            ctx.set(dut.decide, 0)
            await ctx.tick()
            assert not ctx.get(dut.ready)  # of this decision

    simulate(dut, bench)
    assert decisions == {(True, True), (False, False)}


def test_a_clear_forgets_every_score() -> None:
    """After a clear a lower vector wins, in both modes; a clear in the middle of a softmax sum ends it."""
    p = preset("small")
    dut, rng = MarginController(p), random.Random(73)
    low, high = [-5 << 20, -6 << 20], [9 << 20, 1 << 20, 2 << 20, 3 << 20, 8 << 20]

    async def bench(ctx: Any) -> None:
        for softmax in (0, 1):
            ctx.set(dut.softmax, softmax)
            await feed(ctx, dut, p, rng, high)
            ctx.set(dut.decide, 1)
            for _ in range(4):
                await ctx.tick()
            ctx.set(dut.decide, 0)
            await feed(ctx, dut, p, rng, low)
            await ctx.tick()
            margin, total = softmax_sides(low, p.fmt.frac)
            tipping = (margin << FRACTION) // total
            for threshold, wanted in ((tipping, False), (tipping + 1, True)):
                ctx.set(dut.threshold, threshold if softmax else (1 << 20) + wanted)
                ctx.set(dut.decide, 1)
                while not ctx.get(dut.ready):
                    await ctx.tick()
                assert (ctx.get(dut.below), ctx.get(dut.winner)) == (wanted, 0)
                ctx.set(dut.decide, 0)
                await ctx.tick()

    simulate(dut, bench)
