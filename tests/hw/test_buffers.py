"""NBin, NBout and SB: words land where the contract says, reads take a cycle, untouched words stay."""

import random
from typing import Any

import pytest

from hw.buffers import NeuronBuffer, SynapseBank
from hw.isa import isa
from hw.params import TileParams, preset
from tests.hw.sim import SHAPES, elaborated, lone, simulate, state_of, words

MACHINES = [*(preset(name) for name in SHAPES), lone(cell_words=1, banks=2)]


@pytest.mark.parametrize("p", MACHINES, ids=lambda p: p.name)
def test_neuron_buffer_against_a_dictionary(p: TileParams) -> None:
    """Every bank reads, writes some words or idles on its own, over all rows; every word checked in every cycle."""
    rng, rows = random.Random(20), p.nbin_rows
    dut = NeuronBuffer(isa(p), rows)
    assert NeuronBuffer.latency == 1
    size = p.cell_words

    async def bench(ctx: Any) -> None:
        store = {(row, bank): [0] * size for row in range(rows) for bank in range(p.banks)}
        out = [0] * p.row_words  # of each bank's last read
        done = {"read": 0, "write": 0, "idle": 0}
        for _ in range(300):
            read = 0
            for b in range(p.banks):
                kind = rng.choice(("read", "read", "write", "idle"))
                row = rng.randrange(min(rows, 4)) if rng.random() < 0.8 else rng.randrange(rows)
                mask, cell = rng.getrandbits(size) if kind == "write" else 0, words(rng, p.fmt.width, size)
                ctx.set(getattr(dut, f"row_{b}"), row)
                ctx.set(getattr(dut, f"write_{b}"), mask)
                ctx.set(getattr(dut, f"cell_{b}"), cell)
                read |= (kind == "read") << b
                done[kind] += 1
                if kind == "read":
                    out[b * size : (b + 1) * size] = store[row, b]
                store[row, b] = [cell[s] if mask >> s & 1 else old for s, old in enumerate(store[row, b])]
            ctx.set(dut.read, read)
            await ctx.tick()
            assert list(ctx.get(dut.data)) == out
        assert min(done.values()) > 100

    simulate(dut, bench)


def test_a_buffer_is_as_deep_as_it_says() -> None:
    """The last row of the deeper and of the shallower buffer holds words of its own."""
    p = preset("odd")
    for rows in p.buffer_rows:
        dut = NeuronBuffer(isa(p), rows)

        async def bench(ctx: Any, dut: Any = dut, rows: int = rows) -> None:
            for action in ("write", "read"):
                ctx.set(dut.read, (1 << p.banks) - 1 if action == "read" else 0)
                for row in range(rows):
                    line = [100 * row + k for k in range(p.row_words)]
                    for b in range(p.banks):
                        ctx.set(getattr(dut, f"row_{b}"), row)
                        ctx.set(getattr(dut, f"write_{b}"), (1 << p.cell_words) - 1 if action == "write" else 0)
                        ctx.set(getattr(dut, f"cell_{b}"), line[b * p.cell_words : (b + 1) * p.cell_words])
                    await ctx.tick()
                    if action == "read":
                        assert list(ctx.get(dut.data)) == line

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
    """Stillness: a write, an idle cycle or a read of other banks changes no bit of a bank's output register."""
    p, rng = preset("odd"), random.Random(22)
    dut = NeuronBuffer(isa(p), 8)
    fragment, found = elaborated(dut)
    outputs = {path: signal for path, signal in found.items() if ".read_" in path}
    assert len(outputs) == p.banks

    async def bench(ctx: Any) -> None:
        changed = 0
        for _ in range(300):
            read = rng.getrandbits(p.banks)
            ctx.set(dut.read, read)
            for b in range(p.banks):
                ctx.set(getattr(dut, f"write_{b}"), 0 if read >> b & 1 else rng.getrandbits(p.cell_words))
                ctx.set(getattr(dut, f"cell_{b}"), words(rng, p.fmt.width, p.cell_words))
                ctx.set(getattr(dut, f"row_{b}"), rng.randrange(8))
            before = state_of(ctx, outputs)
            await ctx.tick()
            after = state_of(ctx, outputs)
            for b in range(p.banks):
                (path,) = (path for path in outputs if f"bank_{b}." in path)
                if not read >> b & 1:
                    assert after[path] == before[path]
                changed += after[path] != before[path]
        assert changed > 100

    simulate(fragment, bench)
