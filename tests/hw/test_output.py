"""The output writer: every word of every vector at the address its layout names, one a granted cycle."""

import random
from typing import Any

import pytest

from hw.isa import Buffer, Compute, isa
from hw.output import OutputWriter
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, lone, plain, simulate

MACHINES = [*(preset(name) for name in SHAPES), lone()]


def expected(p: TileParams, row_bits: int, c: Compute, vectors: list[list[int]]) -> list[tuple[int, int, int]]:
    """(row, bank, word) in order: word address (to) + x*(to_x) + y*(to_y) + neuron*(to_n), to_cols in a row."""
    n, space, found = p.synapses, (1 << row_bits) * p.synapses, []
    for k, vector in enumerate(vectors):
        y, x = divmod(k, c.to_cols)
        for neuron in range(c.neurons):
            at = (c.to_row * n + c.to_bank) + x * (c.to_x_row * n + c.to_x_bank) + y * (c.to_y_row * n + c.to_y_bank)
            at += neuron * (c.to_n_row * n + c.to_n_bank)
            found.append((at % space // n, at % n, vector[neuron] & ((1 << p.fmt.width) - 1)))
    return found


def random_compute(rng: random.Random, p: TileParams, row_bits: int) -> Compute:
    rows, n = 1 << row_bits, p.synapses
    return Compute(
        neurons=rng.randint(1, p.neurons), to_cols=rng.randint(1, 4), target=Buffer.NBOUT,
        to_row=rng.randrange(rows), to_bank=rng.randrange(n), to_x_row=rng.randrange(rows), to_x_bank=rng.randrange(n),
        to_y_row=rng.randrange(rows), to_y_bank=rng.randrange(n),
        to_n_row=rng.randrange(rows), to_n_bank=rng.randrange(n),
    )  # fmt: skip


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_words_land_where_the_layout_says(p: TileParams, stalls: float) -> None:
    i, rng, dut = isa(p), random.Random(60), OutputWriter(isa(p))

    async def bench(ctx: Any) -> None:
        for _ in range(8):
            c = random_compute(rng, p, i.row_bits)
            vectors = [[rng.randint(p.fmt.low, p.fmt.high) for _ in range(p.neurons)] for _ in range(rng.randint(3, 9))]
            ctx.set(dut.config, plain(i, c))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            got, fed, cycles = [], 0, 0
            while fed < len(vectors) or ctx.get(dut.busy):
                valid = fed < len(vectors) and rng.random() >= stalls
                ctx.set(dut.valid, valid)
                ctx.set(dut.vector, vectors[fed] if valid else [7] * p.neurons)
                ctx.set(dut.granted, rng.random() >= stalls)
                assert ctx.get(dut.write) == ctx.get(dut.busy)
                if ctx.get(dut.write) and ctx.get(dut.granted):
                    at = ctx.get(dut.at)
                    got.append((at.row, at.bank, ctx.get(dut.word)))
                fed += valid and ctx.get(dut.ready)
                cycles += 1
                await ctx.tick()
            assert got == expected(p, i.row_bits, c, vectors)
            if not stalls:  # the first vector is taken in one cycle, then a word a cycle without a gap
                assert cycles == 1 + len(got)
            ctx.set(dut.valid, 0)

    simulate(dut, bench)


def test_an_offer_without_a_grant_stays() -> None:
    p = preset("small")
    i, dut = isa(p), OutputWriter(isa(p))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.config, plain(i, Compute(neurons=2, to_row=3, to_n_bank=1, target=Buffer.NBIN)))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.valid, 1)
        ctx.set(dut.vector, [5, 6, 7, 8])
        await ctx.tick()
        ctx.set(dut.vector, [1, 2, 3, 4])
        for _ in range(5):
            assert (ctx.get(dut.write), ctx.get(dut.word), ctx.get(dut.at).row, ctx.get(dut.ready)) == (1, 5, 3, 0)
            await ctx.tick()
        ctx.set(dut.granted, 1)
        await ctx.tick()
        assert (ctx.get(dut.word), ctx.get(dut.at).bank, ctx.get(dut.ready)) == (6, 1, 1)

    simulate(dut, bench)
