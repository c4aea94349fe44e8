"""The tile's own neuron, mapped: the same words as Amaranth's simulator gives, cycle by cycle, by names of the RTL."""

import random
import re
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

PARAMS = preset("small").replace(
    counters=False,
    neurons=2,
    groups=1,
    banks=4,
    accumulators=4,
    pool_entries=2,
    sb_rows=4,
    dram_outstanding=2,
    increments=2,
)
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
    # products, sums, bias, accumulators, windows of pooling and what pooling reads
    assert p.sum_banks == p.accumulators, "with lines in quarters"
    stored = p.synapses * 2 * p.fmt.width + p.fmt.width + (p.sum_banks + p.accumulators) * p.accumulator_width
    assert stored <= len(flops)
    assert all(f"accumulators.words_{bank}[0]" in netlist.signals for bank in range(p.sum_banks))
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


@pytest.mark.parametrize(("module", "blocks"), [("tile", TILE_BLOCKS), ("neuron", NEURON_BLOCKS)])
def test_every_module_below_the_top_has_a_block(verilog, module, blocks):
    """By name; a generator's number behind a name that was taken is no part of it."""
    body = re.search(rf"^module {module}\(.*?^endmodule", verilog.read_text(), re.MULTILINE | re.DOTALL)
    assert body
    placed = re.findall(r"^  \\\S+ +\\?([\w$]+?)(?:\$\d+)? +\($", body[0], re.MULTILINE)
    assert sorted(placed) == sorted(set(blocks) - {""})
