"""Window lanes against the flattened window itself: every word address, every line, every edge of the map."""

import random
from typing import Any

import pytest

from hw.isa import Isa, Window, isa
from hw.params import TileParams, preset
from hw.window import WindowLanes
from tests.hw.sim import SHAPES, elaborated, lone, plain, simulate, state_of

MACHINES = [*(preset(name) for name in SHAPES), lone()]


class Kernel:
    """A kernel over a map whose pitches obey the rule of hw.isa.Window."""

    def __init__(self, rng: random.Random, i: Isa) -> None:
        n = i.params.synapses
        self.i, self.w, self.h, self.channels = i, rng.randint(1, 7), rng.randint(1, 5), rng.randint(1, 4)
        self.pitch_y = self.w + n * rng.randint(0, 3)
        self.pitch_c = self.w * self.h + n * rng.randint(0, 6)
        self.elements = self.w * self.h * self.channels
        self.lines = -(-self.elements // n)

    def tap(self, element: int) -> tuple[int, int, int]:
        """(channel, ky, kx) of a flattened element."""
        return element // (self.w * self.h), element // self.w % self.h, element % self.w

    def offset(self, element: int) -> int:
        channel, ky, kx = self.tap(element)
        return channel * self.pitch_c + ky * self.pitch_y + kx

    def window(self) -> Window:
        n, rows = self.i.params.synapses, 1 << self.i.row_bits
        step_x, step_y, step_c = n % self.w, n // self.w % self.h, n // (self.w * self.h)
        delta = []
        for carry in range(4):
            x, y = carry & 1, carry >> 1
            words = (step_x - self.w * x) + (step_y + x - self.h * y) * self.pitch_y + (step_c + y) * self.pitch_c
            assert words % n == 0
            delta.append(words // n % rows)
        return Window(
            tuple((self.offset(e) - e) // n % rows for e in range(n)),
            tuple(self.tap(e)[2] for e in range(n)),
            tuple(self.tap(e)[1] for e in range(n)),
            self.w, self.h, step_x, step_y, (delta[0], delta[1], delta[2], delta[3]),
        )  # fmt: skip


def place(ctx: Any, dut: Any, row: int, bank: int, at: tuple[int, int], size: tuple[int, int]) -> None:
    ctx.set(dut.origin, {"row": row, "bank": bank})
    ctx.set(dut.x, at[0])
    ctx.set(dut.y, at[1])
    ctx.set(dut.in_w, size[0])
    ctx.set(dut.in_h, size[1])


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_every_lane_of_every_line(p: TileParams) -> None:
    i, rng, dut = isa(p), random.Random(40), WindowLanes(isa(p))
    n, compared = p.synapses, [0, 0]

    async def bench(ctx: Any) -> None:
        for _ in range(16):
            kernel = Kernel(rng, i)
            ctx.set(dut.window, plain(i, kernel.window()))
            ctx.set(dut.set, 1)
            ctx.set(dut.rewind, rng.getrandbits(1))
            ctx.set(dut.step, rng.getrandbits(1))
            await ctx.tick()
            ctx.set(dut.set, 0)
            ctx.set(dut.window, {})  # the block keeps its own copy
            for lines in (kernel.lines, rng.randint(1, kernel.lines)):  # rewinds from the end and from the middle
                for line in range(lines):
                    lanes = min(n, kernel.elements - line * n)
                    ctx.set(dut.lanes_left, lanes)
                    ctx.set(dut.rewind, 0)
                    ctx.set(dut.step, 0)
                    for _ in range(3):  # other origins on the same line: no state moves
                        row, bank = rng.randrange(1 << i.row_bits), rng.randrange(n)
                        x, y, w, h = rng.randint(-4, 4), rng.randint(-4, 4), rng.randint(1, 12), rng.randint(1, 12)
                        place(ctx, dut, row, bank, (x, y), (w, h))
                        inside = ctx.get(dut.inside)
                        for e in range(n):
                            element = line * n + e
                            if e >= lanes:
                                assert not inside >> e & 1
                                continue
                            _, ky, kx = kernel.tap(element)
                            here = 0 <= x + kx < w and 0 <= y + ky < h
                            assert inside >> e & 1 == here
                            word = row * n + bank + kernel.offset(element)
                            assert word % n == (bank + e) % n  # no two lanes meet
                            assert ctx.get(getattr(dut, f"row_{e}")) == word // n % (1 << i.row_bits)
                            compared[here] += 1
                        await ctx.tick()
                    ctx.set(dut.step, 1)
                    if line == lines - 1:
                        ctx.set(dut.rewind, 1)
                    await ctx.tick()

    simulate(dut, bench)
    assert min(compared) > 200


def test_nothing_moves_without_a_command() -> None:
    i = isa(preset("odd"))
    rng, dut = random.Random(41), WindowLanes(i)
    fragment, found = elaborated(dut)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.window, plain(i, Kernel(rng, i).window()))
        ctx.set(dut.set, 1)
        await ctx.tick()
        ctx.set(dut.set, 0)
        before = state_of(ctx, found)
        for _ in range(20):
            ctx.set(dut.window, plain(i, Kernel(rng, i).window()))
            place(ctx, dut, rng.randrange(50), rng.randrange(5), (rng.randint(-5, 5), 1), (4, 4))
            await ctx.tick()
            assert state_of(ctx, found) == before
        ctx.set(dut.step, 1)
        await ctx.tick()
        assert state_of(ctx, found) != before

    simulate(fragment, bench)
