"""All neurons and their pipeline: sums after the claimed latency, biases, weights by DMA between, events, stillness."""

import random
from itertools import product
from typing import Any

import pytest

from hw.isa import isa
from hw.nfu_array import NfuArray
from hw.params import QUARTERS, TileParams, preset
from tests.hw.sim import SHAPES, elaborated, in_banks, lone, simulate, state_of, word, wrap

MACHINES = [*(preset(name) for name in (*SHAPES, "paper16")), lone(groups=1)]
IDLE: dict[str, Any] = {"issue": 0, "step": {}, "fetch": {}, "line": None}


def parts_of(p: TileParams, step: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """The accumulators that a step adds to: number -> the lanes whose sum it takes, and how much further than they
    their weights lie in the line."""
    if not p.quarter_lanes:
        return {step["index"][0]: ((1 << p.synapses) - 1, 0)}
    size, found = p.quarter_lanes, {}
    for b, row in enumerate(step["index"]):
        lanes = (1 << size) - 1 << b * size if step["split"] else (1 << p.synapses) - 1
        if step["sums"] >> b & 1:
            found[row * QUARTERS + b] = (lanes, (step["quarter"] - b) * size if step["split"] else 0)
    return found


class Schedule:
    """Random runs of the engine's shape: [a bias line,] then lines of steps that share a weight row, of which the last
    may be in quarters."""

    def __init__(self, rng: random.Random, p: TileParams, rows: int, runs: int) -> None:
        self.rng, self.p, self.rows = rng, p, rows
        self.cycles: list[dict[str, Any]] = []
        self.held: set[int] = set()  # accumulators with a sum
        for k in range(runs):
            self.run(bias=k == 0 or rng.random() < 0.5)

    def run(self, bias: bool) -> None:
        rng, p, n = self.rng, self.p, self.p.synapses
        paired = int(p.pairs_rows and rng.random() < 0.3)
        groups = p.groups if paired else rng.randint(1, p.groups)
        neurons = rng.randint(1, p.neurons // groups)
        mask = (1 << neurons * groups) - 1
        self.cycles.append(IDLE)  # the cycle in which the engine takes the compute
        if bias or rng.random() < 0.3:
            fetch = {"bias": 1, "row": rng.randrange(self.rows), "bank": rng.randrange(p.neurons),
                     "lanes": (1 << n) - 1, "neurons_mask": mask}  # fmt: skip
            step = {"active": rng.getrandbits(p.neurons), "neurons": neurons}
            self.cycles.append({"issue": 0, "step": step, "fetch": fetch, "line": None})
        index, steps, lines = rng.randrange(p.accumulators), rng.randint(1, min(6, p.accumulators)), rng.randint(1, 3)
        zero, shift, adds = rng.getrandbits(1), rng.choice((0, 0, rng.randint(0, isa(p).shifts))), rng.random() < 0.8
        counts = [groups if rng.random() < 0.6 else rng.randint(1, groups) for _ in range(steps)]
        if paired:
            counts = [rng.choice((groups, groups // 2)) for _ in range(steps)]
        if not adds and index in self.held:  # steps without lanes: what is there is complete again
            lines, counts = 1, [1]
        else:
            adds = True
            self.held |= {(index + k) % p.accumulators for k in range(steps)}
        for line in range(lines):
            left = (1 << rng.randint(1, n)) - 1 if adds else 0
            row = rng.randrange(self.rows)
            place = [rng.randrange(p.row_words) for _ in range(n)]
            split = bool(p.quarter_lanes) and not paired and adds and 0 < line == lines - 1 and rng.random() < 0.8
            quarter = rng.randrange(QUARTERS - 1) if split else 0
            taken = [range(k, min(k + QUARTERS, steps)) for k in range(0, steps, QUARTERS)] if split else []
            weights = [quarter * p.quarter_lanes + e % p.quarter_lanes if split else e for e in range(n)]
            there = sum((left >> weights[e] & 1) << e for e in range(n))
            for k, of in enumerate(taken or [range(k, k + 1) for k in range(len(counts))]):
                while rng.random() < 0.2:
                    self.cycles.append(IDLE)
                pixels = counts[of[-1]] + (len(of) - 1) * groups  # a row's last step may have fewer
                numbers, sums = in_banks(rng, p, [(index + step) % p.accumulators for step in of])
                at_once = {"sums": sums, "split": int(split), "quarter": quarter} if p.quarter_lanes else {}
                used = min(groups, pixels)
                self.cycles.append({
                    "issue": 1,
                    "step": {
                        "lanes": [rng.getrandbits(n) & there if j < used else 0 for j in range(p.groups)],
                        "start": rng.randrange(p.row_words), "place": place,
                        "paired": int(paired or not p.pairs_rows),  # which tiles without pairs ignore
                        "active": (1 << neurons * used) - 1 if adds else 0,
                        "neurons": neurons, "pixels": pixels, "index": numbers, "zero": zero,
                        "shift": shift, "first": int(adds and line == 0),
                        "complete": len(of) if line == lines - 1 else 0, **at_once,
                    },
                    "fetch": {"weights": int(adds and k == 0), "row": row, "lanes": left, "neurons_mask": mask},
                    "line": [word(rng, min(p.fmt.width, 24)) for _ in range(p.row_words)],
                })  # fmt: skip


def plain_fetch(fetch: dict[str, int]) -> dict[str, int]:
    """The fields that tell whether and what SB is asked for, 0 where they are not given."""
    return {"weights": 0, "bias": 0, "lanes": 0, "neurons_mask": 0} | fetch


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_sums_after_the_latency(p: TileParams) -> None:
    rng, dut, n = random.Random(150), NfuArray(isa(p)), p.synapses
    rows, per = min(p.sb_rows, 6), p.lines_per_beat
    schedule = Schedule(rng, p, rows, 60).cycles
    assert NfuArray.latency == 5
    lanes_of_all = p.neurons * n
    seen = {"checked": 0, "granted": 0, "refused": 0, "later pixels": 0}
    seen |= {"second rows": 0, "shifted": 0, "from zero": 0, "nothing added": 0, "quarters": 0, "partial": 0}

    async def bench(ctx: Any) -> None:
        sb = [[[0] * n for _ in range(rows)] for _ in range(p.neurons)]

        async def write(row: int, enables: int, lanes: int) -> None:
            lines = [[word(rng, min(p.fmt.width, 24)) for _ in range(n)] for _ in range(per)]
            picks = [rng.randrange(per) for _ in range(p.neurons)]
            ctx.set(dut.sb_write, enables)
            ctx.set(dut.sb_row, row)
            ctx.set(dut.sb_lanes, lanes)
            ctx.set(dut.sb_lines, lines)
            ctx.set(dut.sb_pick, picks)
            if ctx.get(dut.sb_granted):
                for k in range(p.neurons):
                    for e in range(n):
                        if enables >> k & 1 and lanes >> e & 1:
                            sb[k][row][e] = lines[picks[k]][e]

        for row in range(rows):
            await write(row, (1 << p.neurons) - 1, (1 << n) - 1)
            await ctx.tick()
        ctx.set(dut.sb_write, 0)
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
            fetch, step, issued = plain_fetch(previous["fetch"]), previous["step"], previous["issue"]
            words = previous["line"] or [word(rng, p.fmt.width) for _ in range(p.row_words)]
            ctx.set(dut.line, words)
            mask = fetch["neurons_mask"]
            for k in range(p.neurons):
                if mask >> k & 1 and fetch["bias"]:
                    bias[k] = sb[fetch["bank"]][fetch["row"]][k % step["neurons"]]
                if mask >> k & 1 and fetch["weights"]:
                    for e in range(n):
                        if fetch["lanes"] >> e & 1:
                            held[k][e] = sb[k][fetch["row"]][e]
            assert ctx.get(dut.sb_granted) == (not (fetch["bias"] or fetch["weights"]))
            active = step["active"].bit_count() if issued else 0
            products = sum(lanes.bit_count() for lanes in step["lanes"]) * step["neurons"] if issued else 0
            assert ctx.get(dut.products) == products
            assert ctx.get(dut.gated) == (lanes_of_all - products if issued else 0)
            added = step["neurons"] * step["pixels"] if active else 0
            assert ctx.get(dut.accumulates) == added
            assert added == active or step["split"]
            read = fetch["lanes"].bit_count() * mask.bit_count() if fetch["weights"] else n * fetch["bias"]
            assert ctx.get(dut.sb_reads) == read
            assert ctx.get(dut.complete) == completes.get(t, 0)
            if issued:
                parts = parts_of(p, step)
                split = step.get("split", 0)
                seen["partial"] += split and len(parts) < QUARTERS
                for k, (index, (own, behind)) in product(range(active), parts.items()):
                    pixel = k // step["neurons"]
                    second = p.pairs_rows and step["paired"] and pixel >= p.groups // 2
                    further = pixel + p.groups // 2 if second else pixel
                    operands = [words[(step["start"] + step["place"][e] + further) % p.row_words] for e in range(n)]
                    lanes = step["lanes"][pixel] & own
                    total = sum(operands[e] * held[k][e + behind] for e in range(n) if lanes >> e & 1)
                    seen["quarters"] += split and total != 0
                    before = bias[k] << p.fmt.frac if step["first"] else sums[k][index]
                    before = 0 if step["first"] and step["zero"] else before
                    if split and before is None:  # of the row's end: a neuron without a pixel in that step
                        continue
                    assert before is not None
                    after = wrap(before + (total << step["shift"] * (p.fmt.width - 1)), p.accumulator_width)
                    sums[k][index] = after
                    due.setdefault(t - 1 + NfuArray.latency, []).append((k, index, after))
                    seen["shifted"] += step["shift"] > 0 and total != 0
                    seen["from zero"] += bool(step["first"] and step["zero"] and bias[k])
                    seen["later pixels"] += pixel > 0
                    seen["second rows"] += second
                if not active:  # what the accumulators hold stays
                    (index,) = parts
                    kept = [k for k in range(step["neurons"]) if sums[k][index] is not None]
                    held_sums = [(k, index, sums[k][index] or 0) for k in kept]
                    due.setdefault(t - 1 + NfuArray.latency, []).extend(held_sums)
                    seen["nothing added"] += len(held_sums)
                completes[t - 1 + NfuArray.latency - 1] = step["complete"]
            for k, index, total in due.pop(t, []):
                ctx.set(dut.drain_index, index)
                assert ctx.get(dut.wide)[k] == total
                ctx.set(dut.limb, 1)
                ctx.set(dut.limb_top, 0)
                assert ctx.get(dut.words)[k] == p.fmt.limb(total, 1, False)
                ctx.set(dut.limb, 2)
                ctx.set(dut.limb_top, 1)
                assert ctx.get(dut.words)[k] == wrap(p.fmt.limb(total, 2, True), p.fmt.width)
                ctx.set(dut.limb, 0)
                ctx.set(dut.relu, t & 1)
                narrow = p.fmt.narrow(total)
                assert ctx.get(dut.words)[k] == (max(narrow, 0) if t & 1 else narrow)
                seen["checked"] += 1
            if rng.random() < 0.5:
                await write(rng.randrange(rows), rng.getrandbits(p.neurons), rng.getrandbits(n))
                seen["refused" if fetch["bias"] or fetch["weights"] else "granted"] += 1
            else:
                ctx.set(dut.sb_write, 0)
            previous = now
            await ctx.tick()
        assert not due

    simulate(dut, bench)
    assert min(seen[what] for what in ("checked", "granted", "refused")) > 10
    assert min(seen[what] for what in ("shifted", "from zero", "nothing added")) > 3
    assert seen["later pixels"] > 50 or p.groups == 1
    assert seen["second rows"] > 30 or not p.pairs_rows
    assert min(seen["quarters"] // 5, seen["partial"]) > 4 or not p.quarter_lanes


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_pooling_reaches_the_neurons_in_use(p: TileParams) -> None:
    """Of a vertical update the lanes below ``neurons`` take part; the others keep their result."""
    rng, dut = random.Random(152), NfuArray(isa(p))

    async def bench(ctx: Any) -> None:
        held = [0] * p.neurons
        for _ in range(60):
            neurons, given = rng.randint(0, p.neurons), [word(rng, p.fmt.width) for _ in range(p.neurons)]
            ctx.set(dut.pool, {"first": 1, "result": 1})
            ctx.set(dut.neurons, neurons)
            ctx.set(dut.pool_words, given)
            await ctx.tick()
            held[:neurons] = given[:neurons]
            assert list(ctx.get(dut.pooled)) == held

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["small", "odd"])
def test_gated_lanes_and_neurons_change_no_bit(name: str) -> None:
    """Registers of a neuron outside the step, and operand and product registers of a gated lane, keep their bits."""
    p, rng = preset(name), random.Random(151)
    dut, n = NfuArray(isa(p)), p.synapses
    fragment, found = elaborated(dut)

    async def bench(ctx: Any) -> None:
        async def cycle(issue: int, step: dict[str, Any], fetch: dict[str, int]) -> None:
            ctx.set(dut.issue, issue)
            ctx.set(dut.step, step)
            ctx.set(dut.fetch, fetch)
            ctx.set(dut.line, [word(rng, p.fmt.width) for _ in range(p.row_words)])
            ctx.set(dut.sb_write, rng.getrandbits(p.neurons))
            ctx.set(dut.sb_row, rng.randrange(4))
            ctx.set(dut.sb_lanes, rng.getrandbits(n))
            ctx.set(dut.sb_lines, [[word(rng, p.fmt.width) for _ in range(n)] for _ in range(p.lines_per_beat)])
            await ctx.tick()

        async def work(neurons: int, groups: int, lanes: list[int]) -> None:
            """A compute; ``lanes`` of each pixel of its steps."""
            mask = (1 << neurons * groups) - 1
            active = {"active": mask, "neurons": neurons, "pixels": groups}
            bias = {"bias": 1, "row": rng.randrange(4), "bank": 0, "lanes": (1 << n) - 1, "neurons_mask": mask}
            await cycle(0, active, bias)
            for k in range(24):
                place = {"start": rng.randrange(p.row_words), "place": [rng.randrange(p.row_words) for _ in range(n)]}
                index, sums = in_banks(rng, p, [k % p.accumulators])
                step = active | place | {"lanes": lanes, "index": index, "first": int(k % 3 == 0)}
                step |= {"sums": sums, "split": 0, "quarter": 0} if p.quarter_lanes else {}
                fetch = {"weights": int(k % 4 == 0), "row": rng.randrange(4), "lanes": lanes[0], "neurons_mask": mask}
                await cycle(1, step, fetch)
            for _ in range(8):
                await cycle(0, active, {})

        everything = (1 << n) - 1
        await work(1, p.groups, [everything] * p.groups)
        await work(p.neurons, 1, [everything] + [0] * (p.groups - 1))
        lanes, outer = everything & ~(1 << n - 1) & ~1, (0, n - 1)
        # one pixel for all neurons but one, then as many pixels of one neuron as leave the last neuron and pixel free
        for neurons, groups in ((p.neurons - 1, 1), (1, p.groups - 1)):
            last = neurons * groups
            gated = [path for path in found for k in range(last, p.neurons) if path.startswith(f"neuron_{k}.")]
            gated += [f"bias_{k}" for k in range(last, p.neurons)]
            gated += [f"operand_{j * n + e}" for j in range(groups) for e in outer]
            gated += [f"operand_{j * n + e}" for j in range(groups, p.groups) for e in range(n)]
            gated += [f"neuron_{k}.products.product_{e}" for k in range(p.neurons) for e in outer]
            watched = {path: found[path] for path in gated}
            rest = {path: found[path] for path in found if path.startswith("neuron_0.") and path not in watched}
            before, moving = state_of(ctx, watched), state_of(ctx, rest)
            for _ in range(5):
                await work(neurons, groups, [lanes] * groups + [0] * (p.groups - groups))
                assert state_of(ctx, watched) == before
            changed = [path for path, value in state_of(ctx, rest).items() if value != moving[path]]
            assert len(changed) >= n - 2

    simulate(fragment, bench)
