"""The tile's own neuron, mapped: the same words as Amaranth's simulator gives, cycle by cycle, by names of the RTL."""

import random
from typing import Any

import pytest
from amaranth.hdl import Value

from hw.generate import generate
from hw.isa import isa
from hw.neuron import Neuron
from hw.params import preset
from synth.gate.blocks import NEURON_BLOCKS, TILE_BLOCKS
from synth.gate.synthesis import Options, synthesise
from synth.gate.yosys_json import read_netlist
from tests.hw.sim import simulate
from tests.synth.gate.circuits import FIXTURE, LIBRARY
from tests.synth.gate.machine import Machine

PARAMS = preset("small").replace(counters=False, accumulators=2, pool_entries=2, sb_rows=4)
OUTPUTS = ("weights", "drain_wide", "word", "pooled")


@pytest.fixture(scope="module")
def verilog(tmp_path_factory):
    return generate(PARAMS, tmp_path_factory.mktemp("tile"))[0]


def test_neuron(verilog, tmp_path):
    netlist = read_netlist(synthesise(verilog, "neuron", [FIXTURE], Options(), tmp_path), NEURON_BLOCKS)
    flops = [
        pins["Q"] for kind, pins in zip(netlist.types, netlist.pins, strict=True) if LIBRARY.cells[kind].sequential
    ]
    p = PARAMS
    named = {net for name, nets in netlist.signals.items() for net in nets}
    assert named.issuperset(flops)
    # products, sum, bias, accumulators, windows of pooling and what pooling reads
    stored = p.synapses * 2 * p.fmt.width + p.fmt.width + (1 + p.accumulators) * p.accumulator_width
    assert stored <= len(flops)
    assert all(f"accumulators.words[{k}]" in netlist.signals for k in range(p.accumulators))
    assert {f"products.product_{k}" for k in range(p.synapses)} < set(netlist.signals)
    machine, dut, rng = Machine(netlist, LIBRARY), Neuron(isa(p)), random.Random(1)
    inputs = {name: Value.cast(getattr(dut, name)) for name in netlist.inputs if hasattr(dut, name)}
    srams = [name for name in netlist.inputs if name.startswith("bank.")]
    assert sum(len(netlist.signals[name]) for name in srams) == p.synapses * p.fmt.width
    seen: dict[str, set[int]] = {name: set() for name in OUTPUTS}

    async def bench(ctx: Any) -> None:
        for cycle in range(200):
            given = {name: rng.getrandbits(len(signal)) for name, signal in inputs.items()}
            given["sb_write"] &= ~given["sb_read"]  # one access a cycle
            for name, signal in inputs.items():
                ctx.set(signal, given[name])
            weights = ctx.get(Value.cast(dut.weights).as_unsigned())
            nets = {net: weights >> at & 1 for at, net in enumerate(netlist.signals["weights"])}
            for name in srams:
                given[name] = sum(nets[net] << at for at, net in enumerate(netlist.signals[name]))
            machine.settle(given | {"clk": 0, "rst": 0})
            for name in OUTPUTS:
                want = ctx.get(Value.cast(getattr(dut, name)).as_unsigned())
                assert machine.of(name) == want, (cycle, name)
                seen[name].add(want)
            machine.step()
            await ctx.tick()

    simulate(dut, bench)
    assert all(len(words) > 20 for words in seen.values()), seen


def test_rest_of_the_tile(verilog, tmp_path):
    netlist = read_netlist(synthesise(verilog, "tile", [FIXTURE], Options(boundary=("neuron",)), tmp_path), TILE_BLOCKS)
    flops = [
        pins["Q"] for kind, pins in zip(netlist.types, netlist.pins, strict=True) if LIBRARY.cells[kind].sequential
    ]
    assert {net for nets in netlist.signals.values() for net in nets}.issuperset(flops)
    assert set(netlist.blocks) == set(TILE_BLOCKS.values())
    assert {netlist.blocks[k] for k in netlist.block} == set(netlist.blocks)
    for n in range(PARAMS.neurons):
        assert f"nfu.neuron_{n}.word" in netlist.inputs
        assert {f"nfu.neuron_{n}.operands", f"nfu.neuron_{n}.lanes2"} <= set(netlist.outputs)
    nets = {net for name in netlist.inputs for net in netlist.signals[name]}
    for buffer in ("nbin", "nbout"):
        assert nets.issuperset(netlist.signals[f"{buffer}.data"])
        assert len(netlist.signals[f"{buffer}.data"]) == PARAMS.row_words * PARAMS.fmt.width
