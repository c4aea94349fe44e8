"""The output writer: every word of every pixel in the cell and place its layout names, up to two cells a cycle."""

import random
from dataclasses import replace
from typing import Any

import pytest

from hw.isa import Buffer, Compute, Isa, isa
from hw.output import OutputWriter
from hw.params import RESULT_CELLS, TileParams, preset
from tests.hw.pool_model import Cell, Map, cells
from tests.hw.sim import SHAPES, lone, plain, simulate

MACHINES = [*(preset(name) for name in SHAPES), lone(groups=1, cell_words=1)]


def random_layout(rng: random.Random, i: Isa) -> Compute:
    """The output fields of a Compute."""
    p = i.params
    pairs: dict[str, Any] = {}
    for name in ("to_", "to_y_", "to_n_"):
        pairs |= {f"{name}row": rng.randrange(1 << i.row_bits), f"{name}bank": rng.randrange(p.banks)}
    c = Compute(
        neurons=rng.randint(1, p.neurons), to_cols=rng.randint(1, 3 * p.cell_words), to_sub=rng.randrange(p.cell_words),
        target=rng.choice((Buffer.NBIN, Buffer.NBOUT)), **pairs,
    )  # fmt: skip
    return replace(c, vector=1, to_cols=1) if rng.random() < 0.25 else c


def random_rows(rng: random.Random, p: TileParams, c: Compute, rows: int) -> list[Map]:
    return [
        [[rng.randint(p.fmt.low, p.fmt.high) for _ in range(c.to_cols)] for _ in range(rows)] for _ in range(c.neurons)
    ]


def offered(ctx: Any, p: TileParams, dut: Any) -> list[Cell]:
    """The cells on the output port, in order."""
    write, mask, found = ctx.get(dut.write), ctx.get(dut.mask), []
    assert write in (0, 1, 3)
    for k in range(write.bit_count()):
        at, part = ctx.get(dut.at[k]), mask >> k * p.cell_words
        found.append((at.row, at.bank, {s: ctx.get(dut.cell[k][s]) for s in range(p.cell_words) if part >> s & 1}))
    return found


def grant(rng: random.Random, stalls: float) -> int:
    """Which of the cells a buffer would take, by chance: none, the first, both."""
    return rng.choice((1, 3, 3)) if rng.random() >= stalls else 0


async def start(ctx: Any, i: Isa, dut: Any, c: Compute) -> None:
    ctx.set(dut.config, plain(i, c))
    ctx.set(dut.granted, 0)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_words_land_where_the_layout_says(p: TileParams, stalls: float) -> None:
    """Computes one behind the other; the next one begins while the last cells are still being written."""
    i, rng, dut = isa(p), random.Random(60), OutputWriter(isa(p))
    kinds = set()

    async def bench(ctx: Any) -> None:
        for _ in range(24):
            c = random_layout(rng, i)
            kinds.add((c.vector, c.to_sub > 0))
            channels = random_rows(rng, p, c, 1 if c.vector else rng.randint(1, 3))
            pixels = [
                [channels[n][y][x] if n < c.neurons else 7 for n in range(p.neurons)]
                for y in range(len(channels[0]))
                for x in range(c.to_cols)
            ]
            wanted.extend((c.target, *cell) for cell in cells(p, i.row_bits, c, channels))
            await start(ctx, i, dut, c)
            while pixels:
                valid = rng.random() >= stalls
                ctx.set(dut.valid, valid)
                ctx.set(dut.vector, pixels[0] if valid else [7] * p.neurons)
                if await cycle(ctx) and valid:
                    pixels.pop(0)
            ctx.set(dut.valid, 0)
            while ctx.get(dut.halves) == 2:
                await cycle(ctx)
        while ctx.get(dut.halves):
            await cycle(ctx)
        assert got == wanted

    async def cycle(ctx: Any) -> int:
        granted = grant(rng, stalls)
        ctx.set(dut.granted, granted)
        ready = ctx.get(dut.ready)
        assert bool(ctx.get(dut.write)) == (ctx.get(dut.halves) > 0)
        taken = offered(ctx, p, dut)[: granted.bit_count()]
        got.extend((ctx.get(dut.target), *cell) for cell in taken)
        together.append(len(taken) == RESULT_CELLS)
        await ctx.tick()
        return ready

    got: list[tuple[Any, ...]] = []
    wanted: list[tuple[Any, ...]] = []
    together: list[bool] = []
    simulate(dut, bench)
    assert len(wanted) > 12
    assert sum(together) > 12 or p.neurons == 1
    assert {vector for vector, _ in kinds} == {0, 1}


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize(("neurons", "cols"), [(1, 8), (3, 8), (4, 8), (2, 7), (4, 1), (4, 3)])
def test_collecting_and_writing_overlap(neurons: int, cols: int, most: int) -> None:
    """Every half takes the longer of its pixels and of its channels, ``most`` in a cycle; neither waits for anything
    else."""
    p, rows = preset("small"), 3
    i, dut, rng = isa(p), OutputWriter(isa(p)), random.Random(61)
    c = Compute(neurons=neurons, to_cols=cols)
    sizes = [min(p.cell_words, cols - x) for _ in range(rows) for x in range(0, cols, p.cell_words)]  # pixels of a half
    collected: list[int] = []
    written: list[int] = []  # cycle after which each half is full, is written
    for k, size in enumerate(sizes):
        begin = max(collected[-1] if k else 0, written[k - 2] if k > 1 else 0)
        collected.append(begin + size)
        written.append(max(collected[-1], written[-1] if k else 0) + -(-neurons // most))

    async def bench(ctx: Any) -> None:
        await start(ctx, i, dut, c)
        ctx.set(dut.valid, 1)
        ctx.set(dut.granted, (1 << most) - 1)
        finished: list[int] = []
        taken = cycle = 0
        while len(finished) < len(sizes):
            ctx.set(dut.valid, taken < cols * rows)
            ctx.set(dut.vector, [rng.randint(-9, 9)] * p.neurons)
            taken += ctx.get(dut.ready) & ctx.get(dut.valid)
            cycle += 1
            finished += [cycle] * ctx.get(dut.finished)
            await ctx.tick()
        assert finished == written
        assert taken == cols * rows

    simulate(dut, bench)


def test_an_offer_without_a_grant_stays() -> None:
    p = preset("small")
    i, dut = isa(p), OutputWriter(isa(p))

    async def bench(ctx: Any) -> None:
        await start(ctx, i, dut, Compute(neurons=2, to_row=3, to_sub=1, to_n_bank=1, target=Buffer.NBIN))
        ctx.set(dut.valid, 1)
        ctx.set(dut.vector, [5, 6, 7, 8])
        await ctx.tick()
        ctx.set(dut.vector, [1, 2, 3, 4])
        for k in range(5):
            assert offered(ctx, p, dut) == [(3, 0, {1: 5}), (3, 1, {1: 6})]
            assert (ctx.get(dut.ready), ctx.get(dut.finished)) == (k == 0, 0)
            await ctx.tick()
        ctx.set(dut.granted, 1)
        await ctx.tick()
        assert offered(ctx, p, dut) == [(3, 1, {1: 6})]
        assert (ctx.get(dut.ready), ctx.get(dut.finished)) == (0, 1)
        await ctx.tick()
        assert offered(ctx, p, dut) == [(3, 0, {1: 1}), (3, 1, {1: 2})]
        assert ctx.get(dut.ready) == 1

    simulate(dut, bench)


def kept(ctx: Any, dut: OutputWriter, channels: range) -> list[int]:
    """Words of these channels in both halves."""
    return [ctx.get(memory.data[half])[n] for memory in dut.words for half in range(2) for n in channels]


def test_words_of_gated_channels_are_still() -> None:
    p, rng = preset("small"), random.Random(62)
    i, dut = isa(p), OutputWriter(isa(p))

    async def bench(ctx: Any) -> None:
        async def work(neurons: int) -> None:
            await start(ctx, i, dut, Compute(neurons=neurons, to_cols=3))
            ctx.set(dut.granted, 1)
            for k in range(30):
                ctx.set(dut.valid, k < 12)
                ctx.set(dut.vector, [rng.randint(-999, 999) for _ in range(p.neurons)])
                await ctx.tick()

        await work(4)
        before, moving = kept(ctx, dut, range(2, 4)), kept(ctx, dut, range(2))
        assert len(set(before)) > 4
        await work(2)
        assert kept(ctx, dut, range(2, 4)) == before
        assert set(kept(ctx, dut, range(2))) & set(moving) <= {0}

    simulate(dut, bench)
