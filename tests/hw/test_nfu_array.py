"""All neurons and their pipeline: sums after the claimed latency, biases, weights by DMA between, events, stillness."""

import random
from typing import Any

import pytest

from hw.isa import isa
from hw.nfu_array import NfuArray
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, elaborated, lone, simulate, state_of, word

MACHINES = [*(preset(name) for name in SHAPES), lone()]
IDLE: dict[str, Any] = {"issue": 0, "step": {}, "fetch": {}, "line": None}


class Schedule:
    """Random runs of the engine's shape: [a bias line,] then lines of pixels that share a weight row."""

    def __init__(self, rng: random.Random, p: TileParams, rows: int, runs: int) -> None:
        self.rng, self.p, self.rows = rng, p, rows
        self.cycles: list[dict[str, Any]] = []
        for k in range(runs):
            self.run(bias=k == 0 or rng.random() < 0.5)

    def run(self, bias: bool) -> None:
        rng, p, n = self.rng, self.p, self.p.synapses
        neurons = rng.randint(1, p.neurons)
        step = {"active": (1 << neurons) - 1, "neurons": neurons}
        self.cycles.append(IDLE)  # the cycle in which the engine takes the compute
        if bias:
            fetch = {
                "bias": 1,
                "row": rng.randrange(self.rows),
                "bank": rng.randrange(p.neurons),
                "lanes": (1 << n) - 1,
            }
            self.cycles.append({"issue": 0, "step": step, "fetch": fetch, "line": None})
        first_index, pixels, lines = (
            rng.randrange(p.accumulators),
            rng.randint(1, min(4, p.accumulators)),
            rng.randint(1, 3),
        )
        for line in range(lines):
            left = (1 << rng.randint(1, n)) - 1
            row = rng.randrange(self.rows)
            for pixel in range(pixels):
                while rng.random() < 0.2:
                    self.cycles.append(IDLE)
                self.cycles.append({
                    "issue": 1,
                    "step": step | {
                        "lanes": rng.getrandbits(n) & left, "index": (first_index + pixel) % p.accumulators,
                        "first": int(line == 0), "complete": int(line == lines - 1),
                    },
                    "fetch": {"weights": int(pixel == 0), "row": row, "lanes": left},
                    "line": [word(rng, min(p.fmt.width, 24)) for _ in range(n)],
                })  # fmt: skip


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_sums_after_the_latency(p: TileParams) -> None:
    rng, dut, n = random.Random(150), NfuArray(isa(p)), p.synapses
    rows, per = min(p.sb_rows, 6), p.lines_per_beat
    schedule = Schedule(rng, p, rows, 30).cycles
    assert NfuArray.latency == 5
    lanes_of_all = p.neurons * n
    seen = {"checked": 0, "granted": 0, "refused": 0}

    async def bench(ctx: Any) -> None:
        sb = [[[0] * n for _ in range(rows)] for _ in range(p.neurons)]

        async def write_all() -> None:
            for row in range(rows):
                for first in range(0, p.neurons, per):
                    await write(row, first, (1 << n) - 1)
                    await ctx.tick()
            ctx.set(dut.sb_write, 0)

        async def write(row: int, first: int, lanes: int) -> None:
            lines = [[word(rng, min(p.fmt.width, 24)) for _ in range(n)] for _ in range(per)]
            enables = range(first, min(first + per, p.neurons))
            ctx.set(dut.sb_write, sum(1 << k for k in enables))
            ctx.set(dut.sb_row, row)
            ctx.set(dut.sb_lanes, lanes)
            ctx.set(dut.sb_lines, lines)
            if ctx.get(dut.sb_granted):
                for k in enables:
                    for e in range(n):
                        if lanes >> e & 1:
                            sb[k][row][e] = lines[k % per][e]

        await write_all()
        held = [[0] * n for _ in range(p.neurons)]
        bias = [0] * p.neurons
        sums = [[None] * p.accumulators for _ in range(p.neurons)]  # type: list[list[int | None]]
        due: dict[int, list[tuple[int, int, int]]] = {}  # cycle -> (neuron, index, sum) that must be there
        completes: dict[int, int] = {}
        previous = IDLE
        for t, now in enumerate([*schedule, *[IDLE] * 8]):
            ctx.set(dut.issue, now["issue"])
            ctx.set(dut.step, now["step"])
            ctx.set(dut.fetch, now["fetch"])
            # stage 1 of the cycle before: SB is read and the words arrive
            fetch, step = previous["fetch"], previous["step"]
            reading = fetch.get("weights", 0) or fetch.get("bias", 0)
            ctx.set(dut.line, previous["line"] or [word(rng, p.fmt.width) for _ in range(n)])
            if fetch.get("bias"):
                bias = [
                    sb[fetch["bank"]][fetch["row"]][k] if step["active"] >> k & 1 else bias[k] for k in range(p.neurons)
                ]
            if fetch.get("weights"):
                for k in range(step["neurons"]):
                    for e in range(n):
                        if fetch["lanes"] >> e & 1:
                            held[k][e] = sb[k][fetch["row"]][e]
            assert ctx.get(dut.sb_granted) == (not reading)
            lanes = step.get("lanes", 0).bit_count()
            products = lanes * step["neurons"] if previous["issue"] else 0
            assert ctx.get(dut.products) == products
            assert ctx.get(dut.gated) == (lanes_of_all - products if previous["issue"] else 0)
            assert ctx.get(dut.accumulates) == (step["neurons"] if previous["issue"] else 0)
            read = fetch["lanes"].bit_count() * step["neurons"] if fetch.get("weights") else n * fetch.get("bias", 0)
            assert ctx.get(dut.sb_reads) == read
            assert ctx.get(dut.complete) == completes.get(t, 0)
            if previous["issue"]:
                index = step["index"]
                for k in range(step["neurons"]):
                    total = sum(previous["line"][e] * held[k][e] for e in range(n) if step["lanes"] >> e & 1)
                    before = bias[k] << p.fmt.frac if step["first"] else sums[k][index]
                    assert before is not None
                    sums[k][index] = before + total
                    due.setdefault(t - 1 + NfuArray.latency, []).append((k, index, before + total))
                completes[t - 1 + NfuArray.latency - 1] = step["complete"]
            for k, index, total in due.pop(t, []):
                ctx.set(dut.drain_index, index)
                assert ctx.get(dut.wide)[k] == total
                ctx.set(dut.relu, t & 1)
                narrow = p.fmt.narrow(total)
                assert ctx.get(dut.words)[k] == (max(narrow, 0) if t & 1 else narrow)
                seen["checked"] += 1
            if rng.random() < 0.5:
                await write(rng.randrange(rows), rng.randrange(p.neurons) // per * per, rng.getrandbits(n))
                seen["refused" if reading else "granted"] += 1
            else:
                ctx.set(dut.sb_write, 0)
            previous = now
            await ctx.tick()
        assert not due

    simulate(dut, bench)
    assert min(seen.values()) > 10


@pytest.mark.parametrize("name", ["small", "odd"])
def test_gated_lanes_and_neurons_change_no_bit(name: str) -> None:
    """Registers of a neuron outside the step, and operand and product registers of a gated lane, keep their bits."""
    p, rng = preset(name), random.Random(151)
    dut, n = NfuArray(isa(p)), p.synapses
    fragment, found = elaborated(dut)

    async def bench(ctx: Any) -> None:
        async def cycle(issue: int, step: dict[str, int], fetch: dict[str, int]) -> None:
            ctx.set(dut.issue, issue)
            ctx.set(dut.step, step)
            ctx.set(dut.fetch, fetch)
            ctx.set(dut.line, [word(rng, p.fmt.width) for _ in range(n)])
            ctx.set(dut.sb_write, rng.getrandbits(p.neurons))
            ctx.set(dut.sb_row, rng.randrange(4))
            ctx.set(dut.sb_lanes, rng.getrandbits(n))
            ctx.set(dut.sb_lines, [[word(rng, p.fmt.width) for _ in range(n)] for _ in range(p.lines_per_beat)])
            await ctx.tick()

        async def work(neurons: int, lanes: int) -> None:
            active = {"active": (1 << neurons) - 1, "neurons": neurons}
            await cycle(0, active, {"bias": 1, "row": rng.randrange(4), "bank": 0, "lanes": (1 << n) - 1})
            for k in range(24):
                step = active | {"lanes": lanes, "index": k % p.accumulators, "first": int(k % 3 == 0)}
                await cycle(1, step, {"weights": int(k % 4 == 0), "row": rng.randrange(4), "lanes": lanes})
            for _ in range(8):
                await cycle(0, active, {})

        everything = (1 << n) - 1
        await work(p.neurons, everything)
        neurons, lanes = p.neurons - 1, everything & ~(1 << n - 1) & ~1
        gated = [path for path in found if path.startswith(f"neuron_{neurons}.") or path == f"bias_{neurons}"]
        outer = (0, n - 1)
        gated += [f"operand_{e}" for e in outer]
        gated += [f"neuron_{k}.products.product_{e}" for k in range(p.neurons) for e in outer]
        watched = {path: found[path] for path in gated}
        rest = {path: found[path] for path in found if path.startswith("neuron_0.") and path not in watched}
        before, moving = state_of(ctx, watched), state_of(ctx, rest)
        for _ in range(5):
            await work(neurons, lanes)
            assert state_of(ctx, watched) == before
        changed = [path for path, value in state_of(ctx, rest).items() if value != moving[path]]
        assert len(changed) >= n - 2

    simulate(fragment, bench)
