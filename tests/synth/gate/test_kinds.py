from dataclasses import replace

import pytest

from hw.errors import BadInput
from synth.gate.kinds import COMBINATIONAL, FLIP_FLOP, LATCH, describe
from synth.gate.library import Cell, Pin
from tests.synth.gate.circuits import LIBRARY
from tests.synth.gate.naive import FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_outputs_of_every_combinational_cell(name):
    kind = describe(LIBRARY.cells[name])
    count = len(kind.inputs)
    wanted = [FUNCTIONS[name](*(state >> at & 1 for at in range(count))) for state in range(1 << count)]
    assert (kind.store, kind.next_outputs.tolist()) == (COMBINATIONAL, wanted)


def test_rules_of_a_flip_flop_with_reset():
    kind = describe(LIBRARY.cells["DFFR"])
    assert (kind.inputs, kind.outputs, kind.store, kind.shown) == (("D", "CLK", "RESET_B"), ("Q",), FLIP_FLOP, (1,))
    assert kind.next_outputs.tolist() == [0] * 8 + [1] * 8
    state = range(16)
    assert kind.rules.tolist() == [(s & 1) | (s & 2) | (0 if s & 4 else 4) for s in state]


def test_an_inverted_output_shows_the_inverse():
    cell = LIBRARY.cells["DFF"]
    pins = cell.pins | {"Q": replace(cell.pins["Q"], function="IQN")}
    kind = describe(replace(cell, pins=pins))
    assert kind.shown == (-1,)
    assert kind.next_outputs.tolist() == [1] * 4 + [0] * 4


def test_a_clock_gate_is_a_latch_before_an_and():
    kind = describe(LIBRARY.cells["CKGATE"])
    assert (kind.inputs, kind.store, kind.gate, kind.shown) == (("CLK", "EN"), LATCH, True, (0,))
    assert kind.next_outputs.tolist() == [0, 0, 0, 0, 0, 1, 0, 1]
    assert [rule & 3 for rule in kind.rules.tolist()[:4]] == [2, 0, 3, 1]  # EN is taken while CLK is low


def gate(**changes) -> Cell:
    return replace(LIBRARY.cells["CKGATE"], **changes)


def test_cells_that_cannot_be_run():
    with pytest.raises(
        BadInput, match="clock gate CKGATE is of kind 'latch_negedge', the gate simulation knows latch_pos"
    ):
        describe(gate(clock_gate="latch_negedge"))
    with pytest.raises(BadInput, match="clock gate CKGATE wants one clock pin, one output and an enable"):
        describe(gate(pins={name: replace(pin, gate_role="") for name, pin in gate().pins.items()}))
    inverter = LIBRARY.cells["INV"]
    with pytest.raises(BadInput, match="output Y of cell INV has no function: the gate simulation cannot run it"):
        describe(replace(inverter, pins=inverter.pins | {"Y": replace(inverter.pins["Y"], function="")}))
    wide = {f"I{k}": Pin(f"I{k}", "input", 0.001, "", False, None) for k in range(15)}
    with pytest.raises(BadInput, match="cell INV has 16 inputs and 1 outputs, .* takes 16 pins and 8 outputs at most"):
        describe(replace(inverter, pins=inverter.pins | wide))
