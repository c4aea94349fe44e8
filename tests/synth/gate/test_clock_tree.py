"""The estimated clock tree against sums by hand."""

import math
from dataclasses import replace

import pytest

from hw.errors import BadInput
from synth.gate.clock_tree import buffer_of, clock_tree, is_buffer
from synth.gate.wires import stated
from tests.synth.gate.circuits import LIBRARY

FF = stated(1.0)


def test_which_cells_are_buffers():
    assert [name for name, cell in LIBRARY.cells.items() if is_buffer(cell)] == ["BUF", "BUF_4"]
    assert not is_buffer(replace(LIBRARY.cells["BUF"], dont_use=True))


def test_the_smallest_buffer_that_keeps_the_slew():
    # slews: BUF 0.010 + 0.05 s + 4 L, BUF_4 0.012 + 0.05 s + 1 L
    assert buffer_of(LIBRARY, 0.1, 0.02).name == "BUF"  # 0.095
    assert buffer_of(LIBRARY, 0.1, 0.03).name == "BUF_4"  # 0.135 against 0.047
    assert buffer_of(LIBRARY, 0.1, 9.0).name == "BUF_4"  # neither: the faster one


def test_few_sinks_need_no_buffer():
    tree = clock_tree(LIBRARY, FF, 16, 0.032, 0.1)
    assert (tree.buffer, tree.buffers, tree.levels, tree.area_um2, tree.leakage_nw) == ("", 0, 0, 0, 0)
    assert tree.root_load_pf == pytest.approx(0.032 + 0.016)
    assert tree.edge_fj == pytest.approx(0.5 * 16)
    assert clock_tree(LIBRARY, FF, 0, 0.0, 0.1).edge_fj == 0


def test_two_levels_by_hand():
    tree = clock_tree(LIBRARY, FF, 320, 0.64, 0.1)  # 20 buffers of 16 sinks, 2 of 10 buffers
    assert (tree.buffer, tree.buffers, tree.levels) == ("BUF_4", 22, 2)
    assert tree.area_um2 == 22 * 6
    assert tree.leakage_nw == pytest.approx(22 * 0.4)
    first_wire, second_wire, root_wire = 0.016, 0.010 * 4, 0.002 * 16  # pF; a level up is sqrt(16) farther
    first_load, second_load = 16 * 0.002 + first_wire, 10 * 0.004 + second_wire
    internal = [(0.004 + 0.003) / 2 + 0.001 * 0.1 + 0.002 * load for load in (first_load, second_load)]  # pJ an edge
    switched = 20 * (first_wire + 0.004) + 2 * (second_wire + 0.004) + root_wire
    assert tree.edge_fj == pytest.approx(1000 * (20 * internal[0] + 2 * internal[1] + 0.5 * switched))
    assert tree.root_load_pf == pytest.approx(2 * 0.004 + root_wire)


def test_energy_grows_with_sinks():
    trees = [clock_tree(LIBRARY, FF, sinks, sinks * 0.002, 0.1) for sinks in range(1, 600)]
    assert all(a.edge_fj < b.edge_fj for a, b in zip(trees, trees[1:], strict=False))
    assert all(tree.buffers >= math.ceil(sinks / 16) for sinks, tree in enumerate(trees[16:], 17))


def test_library_without_buffers():
    bare = replace(LIBRARY, cells={name: LIBRARY.cells[name] for name in ("INV", "DFF")})
    with pytest.raises(BadInput, match="the library tilewatt_fixture has no buffer; a clock tree needs one"):
        clock_tree(bare, FF, 20, 0.04, 0.1)
