"""Area by component, against sums by hand."""

import re

import numpy as np
import pytest

from hw.errors import BadInput
from hw.params import preset
from synth.gate.area import REGISTERS, TILE, block_areas, component_areas
from synth.gate.blocks import COMPONENTS, NEURON_BLOCKS, TILE_BLOCKS
from synth.gate.macros import compose, macro_table, memories
from synth.gate.netlist import Netlist
from tests.synth.gate.circuits import LIBRARY


def netlist(**cells):
    """Netlist with the cells (types) of each block; nothing is wired."""
    blocks = tuple(sorted(cells))
    types = [kind for block in blocks for kind in cells[block]]
    number = np.array([at for at, block in enumerate(blocks) for _ in cells[block]], dtype=np.int32)
    names = tuple(f"cell_{at}" for at in range(len(types)))
    return Netlist("m", 2, names, tuple(types), tuple({} for _ in types), blocks, number, {}, (), (), "clk")


def area(kind):
    return LIBRARY.cells[kind].area_um2


def test_blocks():
    areas = block_areas(netlist(one=["INV", "DFF", "DFF"], two=["CKGATE"], none=[]), LIBRARY)
    assert (areas["one"].cells, areas["one"].um2) == (3, area("INV") + 2 * area("DFF"))
    assert areas["one"].flops_um2 == 2 * area("DFF")
    assert (areas["two"].flops_um2, areas["none"].um2) == (area("CKGATE"), 0)


def test_components():
    params = preset("small")
    neuron = netlist(products=["XOR2"], sum=["DFF"], sb_logic=["INV", "LATCH"])
    rest = netlist(array=["DFF"], margin=["INV"] * 3, post=["NAND2"], tile=["INV"], nbin_logic=["MUX2"])
    srams = {name: compose(memory, macro_table()) for name, memory in memories(params).items()}
    found = component_areas(neuron, rest, params, LIBRARY, srams)
    assert list(found) == [*COMPONENTS, REGISTERS, TILE]
    n = params.neurons
    assert found["NFU"].um2 == n * (area("XOR2") + area("DFF")) + area("DFF")
    assert found["SB"].cells_um2 == n * (area("INV") + area("LATCH"))
    assert (found["SB"].macros, found["SB"].macros_um2) == (srams["sb"].macros, srams["sb"].area_um2)
    assert found["NBin"].um2 == area("MUX2") + srams["nbin"].area_um2
    assert found["NBout"].um2 == srams["nbout"].area_um2 > 0
    assert found["control"].um2 == area("NAND2") + area("INV")
    assert (found["margin controller"].um2, found["margin controller"].cells) == (3 * area("INV"), 3)
    assert (found[REGISTERS].um2, found[REGISTERS].cells) == ((n + 1) * area("DFF") + n * area("LATCH"), 2 * n + 1)
    whole = found[TILE]
    assert whole.um2 == pytest.approx(sum(found[name].um2 for name in COMPONENTS))
    assert whole.cells == n * 4 + 7


def test_a_block_of_no_component():
    message = re.escape("areas want the blocks of synth.gate.blocks, not all, other")
    params = preset("small")
    with pytest.raises(BadInput, match=message):
        component_areas(netlist(all=["INV"]), netlist(other=["INV"], margin=[]), params, LIBRARY, {})


def test_every_block_has_one_component():
    members = [block for blocks in COMPONENTS.values() for block in blocks]
    assert sorted(members) == sorted({*NEURON_BLOCKS.values(), *TILE_BLOCKS.values()})
