"""One neuron: dot products through its four stages against Python, its weights from its own SB bank, and stillness."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from hw.isa import isa
from hw.neuron import NEURON_TOGGLES, Neuron
from hw.params import QUARTERS, TileParams, preset
from tests.hw.sim import SHAPES, elaborated, in_banks, lone, simulate, state_of, words, wrap

MACHINES = [*(preset(name) for name in (*SHAPES, "paper16")), lone(groups=1)]
CONTROLS = ("sb_read", "sb_write", "lanes2", "lanes3", "sum_en", "acc_en", "acc_first", "bias_en")


@dataclass(frozen=True)
class Step:
    """A line of a neuron. quarter: None, or the one that all quarters of the lanes take the weights of. index and sums
    are those of hw.compute.step_layout."""

    row: int
    operands: list[int]
    lanes: int
    quarter: int | None
    index: list[int]
    sums: int
    first: bool
    zero: int
    shift: int


def random_step(rng: random.Random, p: TileParams, rows: int, bits: int) -> Step:
    quarter = rng.choice((None, rng.randrange(QUARTERS))) if p.quarter_lanes else None
    numbers = [rng.randrange(p.accumulators)]
    if quarter is not None:  # up to four steps, whose accumulators lie in different banks
        rest = range(p.accumulators // QUARTERS)
        numbers = [rng.choice(rest) * QUARTERS + b for b in rng.sample(range(QUARTERS), rng.randint(1, QUARTERS))]
    index, sums = in_banks(rng, p, numbers)
    return Step(
        rng.randrange(rows), words(rng, bits, p.synapses), rng.getrandbits(p.synapses), quarter, index, sums,
        rng.random() < 0.2, rng.getrandbits(1), rng.choice((0, 0, rng.randint(0, isa(p).shifts))),
    )  # fmt: skip


async def load_weights(ctx: Any, dut: Any, p: TileParams, lines: list[list[int]]) -> None:
    ctx.set(dut.sb_write, 1)
    for row, line in enumerate(lines):
        ctx.set(dut.sb, {"row": row, "lanes": (1 << p.synapses) - 1})
        ctx.set(dut.sb_line, line)
        await ctx.tick()
    ctx.set(dut.sb_write, 0)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_dot_products_through_the_stages(p: TileParams) -> None:
    """A new line every cycle, whole or in a quarter for more steps; each sum is in its accumulator four stages after
    its SB read, shifted, with the bias or without it, and leaves narrowed or as a limb."""
    rng, dut, n, banks = random.Random(30), Neuron(isa(p)), p.synapses, p.sum_banks
    bits = min(p.fmt.width, 24)  # sums of whole words of <32,16> would wrap by design
    rows = min(p.sb_rows, 8)
    weights = [words(rng, bits, n) for _ in range(rows)]
    steps = [random_step(rng, p, rows, bits) for _ in range(120)]
    bias = rng.randint(-5000, 5000)

    async def bench(ctx: Any) -> None:
        await load_weights(ctx, dut, p, weights)
        ctx.set(dut.bias_en, 1)
        ctx.set(dut.bias_word, bias)
        await ctx.tick()
        ctx.set(dut.bias_en, 0)
        ctx.set(dut.bias_word, 99)
        stored = [0] * p.accumulators
        parts = [0] * banks  # sums of quarters
        for t in range(len(steps) + 4):
            stage = [steps[t - k] if 0 <= t - k < len(steps) else None for k in range(4)]
            ctx.set(dut.sb_read, stage[0] is not None)
            if stage[0]:
                ctx.set(dut.sb, {"row": stage[0].row, "lanes": (1 << n) - 1})
            if stage[1]:
                assert list(ctx.get(dut.weights)) == weights[stage[1].row]
                ctx.set(dut.operands, stage[1].operands)
                ctx.set(dut.split2, stage[1].quarter is not None or not p.quarter_lanes)  # ignored without quarters
                ctx.set(dut.quarter2, stage[1].quarter or 0)
            ctx.set(dut.lanes2, stage[1].lanes if stage[1] else 0)
            ctx.set(dut.sum_en, stage[2].sums if stage[2] else 0)
            if stage[2]:
                ctx.set(dut.lanes3, stage[2].lanes)
                ctx.set(dut.split3, stage[2].quarter is not None or not p.quarter_lanes)
            ctx.set(dut.acc_en, stage[3].sums if stage[3] else 0)
            if stage[3]:
                ctx.set(dut.acc_index, stage[3].index)
                ctx.set(dut.acc_first, stage[3].first)
                ctx.set(dut.acc_zero, stage[3].zero)
                ctx.set(dut.acc_shift, stage[3].shift)
            await ctx.tick()
            for b in range(banks if stage[3] else 0):
                step = stage[3]
                assert step
                if not step.sums >> b & 1:
                    continue
                size, index = p.quarter_lanes, step.index[b] * banks + b
                taken = [(e, e) for e in range(n) if step.lanes >> e & 1]  # lanes and their weights
                if step.quarter is not None:
                    taken = [(e, step.quarter * size + e % size) for e, _ in taken if e // size == b]
                total = sum(step.operands[e] * weights[step.row][k] for e, k in taken)
                start = (0 if step.zero else bias << p.fmt.frac) if step.first else stored[index]
                stored[index] = wrap(start + (total << step.shift * (p.fmt.width - 1)), p.accumulator_width)
                parts[b] += step.quarter is not None and total != 0
            for index in range(p.accumulators):
                ctx.set(dut.drain_index, index)
                assert ctx.get(dut.drain_wide) == stored[index]
                ctx.set(dut.limb, 2)
                for top in (0, 1):
                    ctx.set(dut.limb_top, top)
                    limb = p.fmt.limb(stored[index], 2, bool(top))
                    assert ctx.get(dut.word) == (wrap(limb, p.fmt.width) if top else limb)
                ctx.set(dut.limb, 0)
                for relu in (0, 1):
                    ctx.set(dut.relu, relu)
                    narrow = p.fmt.narrow(stored[index])
                    assert ctx.get(dut.word) == (max(narrow, 0) if relu else narrow)
        assert min(parts) > 10 or not p.quarter_lanes

    simulate(dut, bench)


@pytest.mark.parametrize("name", SHAPES)
def test_a_gated_neuron_changes_no_register(name: str) -> None:
    """With its enables off, whatever the common buses carry, not one bit of the neuron's registers changes."""
    p, rng = preset(name), random.Random(31)
    dut = Neuron(isa(p))
    fragment, found = elaborated(dut)
    assert len(found) >= 3 * p.synapses // 2 + 3

    async def bench(ctx: Any) -> None:
        await load_weights(ctx, dut, p, [words(rng, p.fmt.width, p.synapses) for _ in range(4)])

        async def drive(enabled: bool) -> None:
            for control in CONTROLS:
                signal = getattr(dut, control)
                ctx.set(signal, rng.getrandbits(len(signal)) if enabled and control != "sb_write" else 0)
            ctx.set(dut.lanes3, rng.getrandbits(p.synapses))  # of the common step, not gated by itself
            ctx.set(dut.sb, {"row": rng.randrange(4), "lanes": rng.getrandbits(p.synapses)})
            ctx.set(dut.sb_line, words(rng, p.fmt.width, p.synapses))
            ctx.set(dut.operands, words(rng, p.fmt.width, p.synapses))
            ctx.set(dut.split2, rng.getrandbits(1))
            ctx.set(dut.quarter2, rng.randrange(QUARTERS))
            ctx.set(dut.split3, rng.getrandbits(1))
            ctx.set(dut.acc_index, in_banks(rng, p, [rng.randrange(p.accumulators)])[0])
            ctx.set(dut.acc_zero, rng.getrandbits(1))
            ctx.set(dut.acc_shift, rng.getrandbits(2))
            ctx.set(dut.limb, rng.getrandbits(3))
            ctx.set(dut.bias_word, rng.randint(-9, 9))
            ctx.set(dut.pool_word, rng.randint(-9, 9))
            ctx.set(dut.pool, {"index": rng.randrange(p.pool_entries), "average": rng.getrandbits(1)})
            await ctx.tick()

        for _ in range(20):
            await drive(enabled=True)
        before = state_of(ctx, found)
        wide = []
        for index in range(p.accumulators):
            ctx.set(dut.drain_index, index)
            wide.append(ctx.get(dut.drain_wide))
        for _ in range(50):
            await drive(enabled=False)
            assert state_of(ctx, found) == before
        for index in range(p.accumulators):
            ctx.set(dut.drain_index, index)
            assert ctx.get(dut.drain_wide) == wide[index]
        for _ in range(5):
            await drive(enabled=True)
        assert state_of(ctx, found) != before

    simulate(fragment, bench)


def test_the_neuron_names_its_toggle_counters() -> None:
    assert NEURON_TOGGLES == ("toggle_weight", "toggle_product", "toggle_sum", "toggle_accumulator")
    dut = Neuron(isa(preset("small")))
    elaborated(dut)
    assert len(dut.toggles) == len(NEURON_TOGGLES)
