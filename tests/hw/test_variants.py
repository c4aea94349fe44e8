"""Every variant multiplies exactly after its latency, and its gated lanes hold."""

import random
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Fragment

from hw.errors import BadInput
from hw.params import TileParams, preset
from hw.variants import KINDS, LATENCY, LaneVariant, write_variant
from tests.hw.sim import SHAPES, registers, simulate, words


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [preset(name) for name in SHAPES], ids=lambda p: p.name)
def test_products_after_the_latency_and_lanes_that_hold(p: TileParams, kind: str) -> None:
    rng, dut = random.Random(3), LaneVariant(p, kind)
    full = (1 << p.synapses) - 1

    async def bench(ctx: Any) -> None:
        held, line = [0] * p.synapses, [[0] * p.synapses] * (dut.latency - 1)
        for cycle in range(150):
            operands, weights = words(rng, p.fmt.width, p.synapses), words(rng, p.fmt.width, p.synapses)
            if cycle < 4:
                operands, weights = ([rng.choice((p.fmt.low, p.fmt.high))] * p.synapses for _ in range(2))
            lanes = rng.choice((0, full, rng.getrandbits(p.synapses)))
            ctx.set(dut.operands, operands)
            ctx.set(dut.weights, weights)
            ctx.set(dut.lanes, lanes)
            await ctx.tick()
            held = [
                a * b if lanes >> e & 1 else h for e, (a, b, h) in enumerate(zip(operands, weights, held, strict=True))
            ]
            line.append(held)
            assert [ctx.get(q) for q in dut.products] == line[-dut.latency]

    simulate(dut, bench)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_lanes_moves_in_a_gated_neuron(kind: str) -> None:
    p, rng = preset("small"), random.Random(5)
    dut = LaneVariant(p, kind)
    fragment = Fragment.get(dut, None)
    watched = dict(registers(fragment))
    assert len(watched) == (p.synapses if LATENCY[kind] == 1 else 3 * p.synapses + 1)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.lanes, (1 << p.synapses) - 1)
        ctx.set(dut.operands, words(rng, p.fmt.width, p.synapses))
        ctx.set(dut.weights, words(rng, p.fmt.width, p.synapses))
        await ctx.tick()
        ctx.set(dut.lanes, 0)
        await ctx.tick()
        await ctx.tick()
        before = {name: ctx.get(signal) for name, signal in watched.items()}
        assert any(before.values())
        for _ in range(20):
            ctx.set(dut.operands, words(rng, p.fmt.width, p.synapses))
            ctx.set(dut.weights, words(rng, p.fmt.width, p.synapses))
            await ctx.tick()
            assert {name: ctx.get(signal) for name, signal in watched.items()} == before

    simulate(fragment, bench)


@pytest.mark.parametrize("kind", LATENCY)
def test_verilog(tmp_path: Path, kind: str) -> None:
    path = write_variant(preset("small"), kind, tmp_path)
    assert path == tmp_path / f"{kind}.v"
    text = path.read_text()
    assert text == write_variant(preset("small"), kind, tmp_path / "again").read_text()
    for port in ("operands", "weights", "lanes", "product_0", "product_3"):
        assert f"  {'output' if port.startswith('product') else 'input'} " in text
        assert f" {port};" in text


def test_unknown_kind(tmp_path: Path) -> None:
    message = "a variant of the lanes wants one of plain, masked, registered, split, not 'other'"
    with pytest.raises(BadInput, match=message):
        write_variant(preset("small"), "other", tmp_path)
