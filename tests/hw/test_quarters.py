"""Lines in quarters through engine, buffer and neurons at once: every sum of every step against its own products."""

import random
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Module, Mux, Signal

from hw.buffers import NeuronBuffer
from hw.compute import ComputeEngine
from hw.isa import isa
from hw.nfu_array import NfuArray
from hw.params import QUARTERS, TileParams, preset
from tests.hw.compute_model import Work, random_chain, steps_of
from tests.hw.sim import elaborated, in_banks, plain, simulate, state_of, word, words, wrap
from tests.hw.window_model import EIGHT, Kernel, Row

MACHINES = [preset("small"), EIGHT, preset("paper16")]
Sums = list[list[int]]  # of each step, of each neuron


class Rig:
    """Engine, a buffer and neurons; ``load``, ``cells``: to write a row of the buffer while nothing runs."""

    def __init__(self, p: TileParams) -> None:
        i = isa(p)
        self.module = m = Module()
        self.load, self.row = Signal(), Signal(i.row_bits)
        m.submodules.engine = self.engine = ComputeEngine(i)
        m.submodules.nfu = self.nfu = NfuArray(i)
        m.submodules.buffer = self.buffer = NeuronBuffer(i, 1 << i.row_bits)
        for b in range(p.banks):
            row = getattr(self.engine, f"row_{b}")
            m.d.comb += getattr(self.buffer, f"row_{b}").eq(Mux(self.load, self.row, row))
            m.d.comb += getattr(self.buffer, f"write_{b}").eq(self.load.replicate(p.cell_words))
        m.d.comb += [
            self.buffer.read.eq(Mux(self.engine.read, self.engine.banks, 0)),
            self.engine.port_free.eq(1),
            self.engine.post_ready.eq(1),
            self.nfu.issue.eq(self.engine.issue),
            self.nfu.step.eq(self.engine.step),
            self.nfu.fetch.eq(self.engine.fetch),
            self.nfu.line.eq(self.buffer.data),
            self.engine.drain_index.eq(self.nfu.drain_index),
        ]


async def fill(ctx: Any, rig: Rig, rng: random.Random, p: TileParams) -> tuple[list[Any], list[Any]]:
    """Words of the buffer by row and weights of the neurons by row of SB."""
    held, weights = [], []
    ctx.set(rig.load, 1)
    for row in range(1 << isa(p).row_bits):
        held.append([words(rng, p.fmt.width, p.cell_words) for _ in range(p.banks)])
        ctx.set(rig.row, row)
        for b in range(p.banks):
            ctx.set(getattr(rig.buffer, f"cell_{b}"), held[row][b])
        await ctx.tick()
    ctx.set(rig.load, 0)
    ctx.set(rig.nfu.sb_lanes, (1 << p.synapses) - 1)
    for row in range(p.sb_rows):
        weights.append([words(rng, p.fmt.width, p.synapses) for _ in range(p.neurons)])
        ctx.set(rig.nfu.sb_row, row)
        for n in range(p.neurons):
            ctx.set(rig.nfu.sb_write, 1 << n)
            ctx.set(rig.nfu.sb_lines, [weights[row][n]] * p.lines_per_beat)
            await ctx.tick()
    ctx.set(rig.nfu.sb_write, 0)
    return held, weights


def added(work: Work, held: list[Any], weights: list[Any], sums: Sums) -> Sums:
    """The sums of the steps with what a compute adds to them; of a neuron without a pixel any."""
    kernel, c, p = work.kernel, work.compute, work.kernel.p
    found = [list(of_step) for of_step in sums] if not c.first else [[0] * p.neurons for _ in steps_of(c)]
    for k, (y, x) in enumerate(steps_of(c)):
        at = Row(work.base, c.x0 + x * c.stride, c.y0 + y * c.stride, c.in_w, c.in_h)
        for line in range(c.lines):
            left = c.last_lanes if line == c.lines - 1 else kernel.taps
            for j in range(min(c.groups, c.cols - x)):
                places = [kernel.word((work.line + line) * kernel.taps + e, at, j) for e in range(left)]
                taken = [(e, held[place[0]][place[1]][place[2]]) for e, place in enumerate(places) if place]
                for n in range(j * c.neurons, (j + 1) * c.neurons):
                    total = sum(weights[c.sb_row + line][n][e] * value for e, value in taken)
                    found[k][n] = wrap(found[k][n] + (total << c.shift * (p.fmt.width - 1)), p.accumulator_width)
    return found


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_sums_of_steps_that_quarters_take_together(p: TileParams) -> None:
    i, rng, rig = isa(p), random.Random(190), Rig(p)
    met: Counter[str] = Counter()

    def chain(kernel: Kernel) -> list[Work]:
        first_line = rng.randrange(kernel.lines)
        made = random_chain(rng, kernel, first_line)
        rows = [rng.randrange(p.sb_rows - work.compute.lines) for work in made]
        return [
            replace(work, compute=replace(work.compute, sb_row=row, load_bias=0, zero=1))
            for work, row in zip(made, rows, strict=True)
        ]

    async def bench(ctx: Any) -> None:
        held, weights = await fill(ctx, rig, rng, p)
        engine, nfu, number = rig.engine, rig.nfu, 0
        while met["computes"] < 40:
            kernel = Kernel(rng, i, quarters=True)
            if kernel.lines > p.sb_rows // 2:
                continue
            sums: Sums = []
            works = chain(kernel)
            ctx.set(engine.head_valid, 1)
            ctx.set(engine.head_is_window, 1)
            ctx.set(engine.head_window, plain(i, kernel.window(works[0].line)))
            await ctx.tick()
            ctx.set(engine.head_is_window, 0)
            for work in works:  # each begins when the sums of the one before have been seen
                c = work.compute
                sums = added(work, held, weights, sums)
                coming = deque(enumerate(sums) if c.finish else ())
                complete: deque[tuple[int, list[int]]] = deque()
                ctx.set(engine.head_valid, 1)
                ctx.set(engine.head_compute, plain(i, c))
                number, cycles = number + 1, 0
                while coming or complete or ctx.get(engine.read_done) < number:
                    await ctx.tick()
                    cycles += 1
                    ctx.set(engine.head_valid, 0)
                    ctx.set(engine.drained, bool(complete) and not c.hold)
                    if complete:
                        k, wanted = complete.popleft()
                        ctx.set(nfu.drain_index, c.accumulator(k))
                        _, x = steps_of(c)[k]
                        used = c.neurons * min(c.groups, c.cols - x)
                        assert list(ctx.get(nfu.wide))[:used] == wanted[:used]
                        met["quartered"] += c.quarters > 0
                    at_once = ctx.get(nfu.complete)
                    met["at once"] += at_once > 1
                    complete.extend(coming.popleft() for _ in range(at_once))
                    assert cycles < 4 * c.issues + 60
                await ctx.tick()
                ctx.set(engine.drained, 0)
                for _ in range(NfuArray.latency):
                    await ctx.tick()
                met["computes"] += c.quarters > 0
                met["later quarters"] += c.quarters > 1
                met["added to"] += c.quarters > 0 and not c.first

    simulate(rig.module, bench)
    for what in ("quartered", "at once", "later quarters", "added to"):
        assert met[what] > 5, what


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_sums_are_still_in_banks_that_get_none(p: TileParams) -> None:
    """A step of its own moves one sum register of a neuron; of those for four steps at once, as many as steps."""
    rng, i = random.Random(191), isa(p)
    dut = NfuArray(i)
    fragment, found = elaborated(dut)
    sums = {path: found[path] for path in found if ".sum.sum_" in path}
    assert len(sums) == QUARTERS * p.neurons

    async def bench(ctx: Any) -> None:
        async def issue(step: dict[str, Any], fetch: dict[str, int]) -> None:
            for t in range(NfuArray.latency + 1):
                ctx.set(dut.issue, t == 0)
                ctx.set(dut.step, step)
                ctx.set(dut.fetch, fetch if t == 0 else {})
                ctx.set(dut.line, [word(rng, p.fmt.width) for _ in range(p.row_words)])
                await ctx.tick()

        everything = (1 << p.synapses) - 1
        ctx.set(dut.sb_write, (1 << p.neurons) - 1)
        ctx.set(dut.sb_lanes, everything)
        ctx.set(dut.sb_lines, [[rng.randint(1, 99) for _ in range(p.synapses)] for _ in range(p.lines_per_beat)])
        await ctx.tick()
        ctx.set(dut.sb_write, 0)
        seen: Counter[int] = Counter()
        for _ in range(60):
            split = rng.getrandbits(1)
            taken = rng.sample(range(QUARTERS), rng.randint(1, QUARTERS) if split else 1)
            index, mask = in_banks(rng, p, taken)
            before = state_of(ctx, sums)
            step = {"lanes": [everything] * p.groups, "active": (1 << p.neurons) - 1, "neurons": p.neurons, "pixels": 1,
                    "index": index, "sums": mask, "split": split, "quarter": rng.randrange(3) * split,
                    "place": [rng.randrange(p.row_words) for _ in range(p.synapses)]}  # fmt: skip
            fetch = {"weights": 1, "row": 0, "lanes": everything, "neurons_mask": (1 << p.neurons) - 1}
            await issue(step, fetch)
            changed = {path for path, value in state_of(ctx, sums).items() if value != before[path]}
            assert {int(path[-1]) for path in changed} <= set(taken)
            seen[len(taken) * split] += len(changed) > p.neurons * len(taken) // 2
        assert min(seen[count] for count in range(QUARTERS + 1)) > 2

    simulate(fragment, bench)
