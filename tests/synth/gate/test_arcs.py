"""Choices by state: each names the entry whose condition and edge are those of the state."""

from dataclasses import replace

import pytest

from hw.errors import BadInput
from synth.gate.arcs import FALL, RISE, type_arcs
from synth.gate.delays import NONE
from synth.gate.library import Arc, Pin, Power
from synth.gate.logic import table
from tests.synth.gate.circuits import LIBRARY

COMBINATIONAL = [name for name, cell in LIBRARY.cells.items() if not cell.sequential and not cell.clock_gate]


def pins_of(arcs) -> int:
    return len(arcs.inputs) + len(arcs.outputs)


def delay_entry(arcs, source: int, edge: int, state: int, target: int = 0) -> int:
    place = (target * len(arcs.inputs) + source) * 2 + edge
    return int(arcs.delay_choice[(place << pins_of(arcs)) + state])


def test_every_edge_of_every_combinational_cell_has_its_own_arc():
    checked = 0
    for name in COMBINATIONAL:
        arcs = type_arcs(LIBRARY.cells[name])
        names = (*arcs.inputs, *arcs.outputs)
        function = table(arcs.cell.pins[arcs.outputs[0]].function, names)
        for source in range(len(arcs.inputs)):
            for state in range(1 << pins_of(arcs)):
                after, before = function >> state & 1, function >> (state ^ 1 << source) & 1
                if after == before:
                    continue
                entry = delay_entry(arcs, source, after, state)
                rows = [row for row in arcs.rows if row.entry == entry]
                edge_in = state >> source & 1
                assert any((row.source, row.edge_in, row.edge_out) == (source, edge_in, after) for row in rows), name
                for row in rows:
                    assert not row.when or table(row.when, names) >> state & 1, (name, state)
                if (name, arcs.inputs[source]) in {("XOR2", "A"), ("XOR2", "B"), ("MUX2", "S")}:
                    assert rows[0].when, "a condition goes before the arc without one"
                assert arcs.used[entry]
                checked += 1
    assert checked == 3 * 4 + 3 * 8 + 20 + 16 + 24  # buffers and INV, of two inputs, AOI21, XOR2, MUX2


def test_arcs_without_a_case_are_not_used():
    arcs = type_arcs(LIBRARY.cells["XOR2"])
    used = {row.when for row in arcs.rows if arcs.used[row.entry]}
    assert used == {"!A", "A", "!B", "B"}
    assert {row.when for row in arcs.rows if not arcs.used[row.entry]} == {""}


def test_energy_by_condition():
    arcs = type_arcs(LIBRARY.cells["XOR2"])
    for state in range(8):
        b = state >> 1 & 1
        entry = arcs.energies[arcs.energy_choice[((0 * 2 + 0) * 2 + RISE << 3) + state]]
        assert entry.source == 0
        assert entry.energy.values[0, 0] == pytest.approx((0.002 if b else 0.004) + 0.001 * 0.01 + 0.002 * 0.001)
        assert entry.edges_in == ((FALL,) if b else (RISE,))


def test_energy_with_a_condition_goes_before_the_one_without():
    arcs = type_arcs(LIBRARY.cells["MUX2"])
    for state in range(16):
        a, b = state & 1, state >> 1 & 1
        entry = arcs.energies[arcs.energy_choice[((0 * 3 + 2) * 2 + RISE << 4) + state]]
        constant = {(0, 1): 0.0040, (1, 0): 0.0044}.get((a, b), 0.0042)
        assert entry.energy.values[0, 0] == pytest.approx(constant + 0.001 * 0.01 + 0.002 * 0.001)


def test_own_energy_of_a_clock_pin():
    arcs = type_arcs(LIBRARY.cells["DFFR"])
    names = (*arcs.inputs, *arcs.outputs)
    assert names == ("D", "CLK", "RESET_B", "Q")
    for state in range(16):
        d, reset, q = state & 1, state >> 2 & 1, state >> 3 & 1
        entry = arcs.own[arcs.own_choice[(1 * 2 + RISE << 4) + state]]
        assert entry.energy.values[0, 0] == (0 if reset and d != q else pytest.approx(0.00602))
        assert (entry.source, entry.edges_in) == (1, (RISE,))


def test_flip_flop_moves_by_clock_and_reset_only():
    arcs = type_arcs(LIBRARY.cells["DFFR"])
    clock = [row for row in arcs.rows if row.source == 1]
    assert {(row.edge_in, row.edge_out, row.through) for row in clock} == {(RISE, FALL, True), (RISE, RISE, True)}
    reset = [row for row in arcs.rows if row.source == 2]
    assert [(row.edge_in, row.edge_out, row.through) for row in reset] == [(FALL, FALL, False)]
    states = range(16)
    assert {int(arcs.energy_choice[((0 * 3 + 0) * 2 + RISE << 4) + state]) for state in states} == {NONE}
    # a rise that the reset pin would cause has no arc of its own: the clock's stands in
    rise = {delay_entry(arcs, 2, RISE, state) for state in states}
    assert rise == {row.entry for row in clock if row.edge_out == RISE}


def test_data_of_a_latch_is_not_passed_on():
    arcs = type_arcs(LIBRARY.cells["LATCH"])
    assert {(arcs.inputs[row.source], row.through) for row in arcs.rows} == {("D", False), ("G", True)}


def test_unate_arcs_without_conditions_are_told_apart_by_the_edge():
    gate = LIBRARY.cells["INV"]
    output = gate.pins["Y"]
    first = output.arcs[0]
    arcs = tuple(replace(first, sense=sense) for sense in ("positive_unate", "negative_unate"))
    made = type_arcs(replace(gate, pins=gate.pins | {"Y": replace(output, arcs=arcs)}))
    for state in range(4):
        row = next(row for row in made.rows if row.entry == delay_entry(made, 0, RISE, state))
        assert row.edge_in == state & 1


def test_refusals():
    gate = LIBRARY.cells["INV"]
    wide = {f"I{k}": Pin(f"I{k}", "input", 0.001, "", False, None) for k in range(12)}
    with pytest.raises(BadInput, match="cell INV has 14 pins, at most 12 are simulated; exclude it from mapping"):
        type_arcs(replace(gate, pins=gate.pins | wide))
    lost = replace(gate.pins["Y"], power=(Power("A", "Z", None, gate.pins["Y"].power[0].fall),))
    with pytest.raises(BadInput, match="cell INV: 'Z' names 'Z', which is none of the pins A Y"):
        type_arcs(replace(gate, pins=gate.pins | {"Y": lost}))


def test_other_arcs_are_left_out():
    gate = LIBRARY.cells["INV"]
    arc = gate.pins["Y"].arcs[0]
    other = Arc("A", "three_state_enable", arc.sense, "", arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)
    pin = replace(gate.pins["Y"], arcs=(other, replace(arc, kind="combinational_rise")))
    made = type_arcs(replace(gate, pins=gate.pins | {"Y": pin}))
    assert [(row.edge_in, row.edge_out) for row in made.rows] == [(FALL, RISE)]
