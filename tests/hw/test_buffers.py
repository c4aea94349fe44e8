"""NBin, NBout and SB: words land where the contract says, reads take a cycle, untouched words stay."""

import random
from typing import Any

import pytest

from hw.buffers import NeuronBuffer, SynapseBank
from hw.isa import isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, elaborated, lone, simulate, state_of, words

MACHINES = [*(preset(name) for name in SHAPES), lone()]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_neuron_buffer_against_a_dictionary(p: TileParams) -> None:
    """Random line writes, word writes, gathers and idle cycles over all rows; data checked in every cycle."""
    rng, n, rows = random.Random(20), p.synapses, p.nbin_rows
    dut = NeuronBuffer(isa(p), rows)
    assert NeuronBuffer.latency == 1

    async def bench(ctx: Any) -> None:
        store = {(row, bank): 0 for row in range(rows) for bank in range(n)}
        out = [0] * n  # of each bank's last read
        turned, reads = 0, 0
        for _ in range(400):
            kind = rng.choice(("read", "read", "write_line", "write_word", "idle"))
            bank, lanes = rng.randrange(n), rng.choice(((1 << n) - 1, rng.getrandbits(n)))
            at = [rng.randrange(min(rows, 6)) if rng.random() < 0.8 else rng.randrange(rows) for _ in range(n)]
            line = words(rng, p.fmt.width, n)
            row, word_bank, word = rng.randrange(rows), rng.randrange(n), rng.getrandbits(p.fmt.width)
            for name in ("read", "write_line", "write_word"):
                ctx.set(getattr(dut, name), kind == name)
            ctx.set(dut.bank, bank)
            ctx.set(dut.lanes, lanes)
            ctx.set(dut.line, line)
            ctx.set(dut.word_at, {"row": row, "bank": word_bank})
            ctx.set(dut.word, word)
            for e in range(n):
                ctx.set(getattr(dut, f"row_{e}"), at[e])
            await ctx.tick()
            touched = {(bank + e) % n: (at[e], line[e]) for e in range(n) if lanes >> e & 1}
            mask = (1 << p.fmt.width) - 1
            if kind == "read":
                turned, reads = bank, reads + 1
                for b, (r, _) in touched.items():
                    out[b] = store[r, b]
            elif kind == "write_line":
                for b, (r, value) in touched.items():
                    store[r, b] = value & mask
            elif kind == "write_word":
                store[row, word_bank] = word
            assert [value & mask for value in ctx.get(dut.data)] == [out[(turned + e) % n] for e in range(n)]
        assert reads > 100

    simulate(dut, bench)


def test_a_buffer_is_as_deep_as_it_says() -> None:
    """The last row of the deeper and of the shallower buffer holds a line of its own."""
    p = preset("odd")
    for rows in p.buffer_rows:
        dut = NeuronBuffer(isa(p), rows)

        async def bench(ctx: Any, dut: Any = dut, rows: int = rows) -> None:
            ctx.set(dut.lanes, (1 << p.synapses) - 1)
            for action in ("write_line", "read"):
                ctx.set(dut.write_line, action == "write_line")
                ctx.set(dut.read, action == "read")
                for row in range(rows):
                    for e in range(p.synapses):
                        ctx.set(getattr(dut, f"row_{e}"), row)
                    ctx.set(dut.line, [100 * row + e for e in range(p.synapses)])
                    await ctx.tick()
                    if action == "read":
                        assert list(ctx.get(dut.data)) == [100 * row + e for e in range(p.synapses)]

        simulate(dut, bench)


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_synapse_bank_against_a_table(p: TileParams) -> None:
    rng, dut = random.Random(21), SynapseBank(isa(p))
    assert SynapseBank.latency == 1

    async def bench(ctx: Any) -> None:
        store = [[0] * p.synapses for _ in range(p.sb_rows)]
        data = [0] * p.synapses
        for _ in range(400):
            kind = rng.choice(("read", "write", "idle"))
            row = rng.randrange(4) if rng.random() < 0.8 else rng.randrange(p.sb_rows)
            lanes, line = rng.getrandbits(p.synapses), words(rng, p.fmt.width, p.synapses)
            ctx.set(dut.read, kind == "read")
            ctx.set(dut.write, kind == "write")
            ctx.set(dut.row, row)
            ctx.set(dut.lanes, lanes)
            ctx.set(dut.line, line)
            assert list(ctx.get(dut.data)) == data
            await ctx.tick()
            for e in range(p.synapses):
                if lanes >> e & 1:
                    if kind == "read":
                        data[e] = store[row][e]
                    elif kind == "write":
                        store[row][e] = line[e]
            assert list(ctx.get(dut.data)) == data  # writes never disturb the held weights

    simulate(dut, bench)


def test_untouched_banks_keep_their_output_registers() -> None:
    """Stillness: a write, an idle cycle or a read of other lanes changes no bit of a bank's output register."""
    p, rng = preset("odd"), random.Random(22)
    dut = NeuronBuffer(isa(p), 8)
    fragment, found = elaborated(dut)
    outputs = {path: signal for path, signal in found.items() if ".read_" in path}
    assert len(outputs) == p.synapses

    async def bench(ctx: Any) -> None:
        changed = 0
        for _ in range(300):
            bank, lanes, read = rng.randrange(p.synapses), rng.getrandbits(p.synapses), rng.random() < 0.5
            ctx.set(dut.read, read)
            ctx.set(dut.write_line, not read)
            ctx.set(dut.bank, bank)
            ctx.set(dut.lanes, lanes)
            ctx.set(dut.line, words(rng, p.fmt.width, p.synapses))
            for e in range(p.synapses):
                ctx.set(getattr(dut, f"row_{e}"), rng.randrange(8))
            before = state_of(ctx, outputs)
            await ctx.tick()
            after = state_of(ctx, outputs)
            for b in range(p.synapses):
                (path,) = (path for path in outputs if f"bank_{b}." in path)
                lane = (b - bank) % p.synapses
                if not (read and lanes >> lane & 1):
                    assert after[path] == before[path]
                changed += after[path] != before[path]
        assert changed > 100

    simulate(fragment, bench)
