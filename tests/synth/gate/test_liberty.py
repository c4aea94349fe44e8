"""Liberty files: values and units read right, every refusal in one line."""

from pathlib import Path

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.liberty import read_library

FIXTURE = Path(__file__).parent / "fixture.lib"

SMALL = """
library (small) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; nom_voltage : 1.1;
  capacitive_load_unit (1, pf);
  lu_table_template (swapped) {
    variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("1, 2"); index_2 ("10, 20, 30");
  }
  cell (BUF) {
    area : 2
    pin (A) { direction : input; capacitance : 3; }
    pin (Y) {
      direction : output; function : "A";
      timing () {
        related_pin : "A";
        cell_rise (swapped) { values ("1, 2, 3", \\
                                      "4, 5, 6"); }
      }
      internal_power () { related_pin : "A"; power (scalar) { values (7); } }
    }
  }
}
"""


def write(folder: Path, text: str, name: str = "some.lib") -> list[Path]:
    path = folder / name
    path.write_text(text)
    return [path]


@pytest.fixture(scope="module")
def library():
    return read_library([FIXTURE])


def test_cells_of_the_fixture(library):
    assert len(library.cells) == 15
    assert library.voltage_v == 1.0
    assert library.files[0][0] == "fixture.lib"
    assert len(library.files[0][1]) == 64
    inverter = library.cells["INV"]
    assert (inverter.area_um2, inverter.leakage_nw) == (2, 0.1)
    assert inverter.leakage_when == (("A", 0.08), ("!A", 0.12))
    assert (inverter.inputs, inverter.outputs) == (("A",), ("Y",))
    arc = inverter.pins["Y"].arcs[0]
    assert (arc.related, arc.kind, arc.sense, arc.when) == ("A", "combinational", "negative_unate", "")
    slew, load = np.meshgrid([0.01, 0.1, 1.0], [0.001, 0.01, 0.1], indexing="ij")
    assert arc.rise is not None
    np.testing.assert_allclose(arc.rise.values, 0.010 + 0.1 * slew + 4 * load, rtol=1e-5)
    power = inverter.pins["Y"].power[0]
    assert power.fall is not None
    np.testing.assert_allclose(power.fall.values, 0.0005 + 0.001 * slew + 0.002 * load, rtol=1e-5)


def test_sequential_cells_of_the_fixture(library):
    flop = library.cells["DFFR"]
    assert flop.sequential is not None
    assert (flop.sequential.next_state, flop.sequential.clocked_on, flop.sequential.clear) == ("D", "CLK", "!RESET_B")
    assert not flop.sequential.latch
    assert flop.pins["CLK"].clock
    assert [power.when for power in flop.pins["CLK"].power] == ["D * !Q * RESET_B", "!D * Q * RESET_B", ""]
    assert flop.pins["CLK"].power[0].rise is not None
    assert flop.pins["CLK"].power[0].rise.values.tolist() == [[0.0]]
    assert {arc.kind for arc in flop.pins["D"].arcs} == {"setup_rising", "hold_rising"}
    latch = library.cells["LATCH"]
    assert latch.sequential is not None
    assert latch.sequential.latch
    gate = library.cells["CKGATE"]
    assert gate.clock_gate == "latch_posedge"
    assert {name: pin.gate_role for name, pin in gate.pins.items()} == {
        "held": "",
        "CLK": "clock",
        "EN": "enable",
        "GCLK": "out",
    }


def test_wire_load_of_the_fixture(library):
    wires = library.wire_loads["block"]
    assert (wires.capacitance_pf, wires.lengths, wires.slope) == (0.0002, ((1, 5.0), (2, 10.0), (4, 20.0)), 5.0)
    assert library.default_wire_load == "block"


def test_axes_in_the_other_order_and_missing_semicolons(tmp_path):
    buffer = read_library(write(tmp_path, SMALL)).cells["BUF"]
    table = buffer.pins["Y"].arcs[0].rise
    assert table is not None
    assert table.slews_ns.tolist() == [10, 20, 30]
    assert table.loads_pf.tolist() == [1, 2]
    assert table.values.tolist() == [[1, 4], [2, 5], [3, 6]]
    power = buffer.pins["Y"].power[0]
    assert power.rise is not None
    assert power.rise is power.fall
    assert power.rise.values.tolist() == [[7]]


def test_units_are_made_one(tmp_path):
    text = SMALL.replace('"1ns"', '"100ps"').replace("(1, pf)", "(10, ff)").replace('"1nW"', '"1uW"')
    text = text.replace("area : 2", "area : 2; cell_leakage_power : 5;")
    buffer = read_library(write(tmp_path, text)).cells["BUF"]
    table = buffer.pins["Y"].arcs[0].rise
    assert table is not None
    np.testing.assert_allclose(table.slews_ns, [1, 2, 3])
    np.testing.assert_allclose(table.loads_pf, [0.01, 0.02])
    np.testing.assert_allclose(table.values[0], [0.1, 0.4])
    assert buffer.pins["A"].capacitance_pf == pytest.approx(0.03)
    assert buffer.leakage_nw == pytest.approx(5000)
    power = buffer.pins["Y"].power[0].rise
    assert power is not None
    assert power.values[0, 0] == pytest.approx(0.07)  # 7 * 10 fF * (1 V)^2


def test_power_of_two_supplies_is_added(tmp_path):
    one = 'internal_power () { related_pin : "A"; power (scalar) { values (7); } }'
    two = 'internal_power () { related_pin : "A"; related_pg_pin : VDD; power (scalar) { values (7); } }'
    both = read_library(write(tmp_path, SMALL.replace(one, two + two.replace("VDD", "VSS").replace("7", "2"))))
    power = both.cells["BUF"].pins["Y"].power
    assert len(power) == 1
    assert power[0].fall is not None
    assert power[0].fall.values.tolist() == [[9]]


def test_macro_with_a_bus(tmp_path):
    macro = """
  type (word) { bit_width : 4; }
  cell (RAM) {
    memory () { type : ram; }
    area : 100;
    bus (Q) {
      bus_type : word; direction : output; capacitance : 0.5;
      pin (Q[3:0]) { internal_power () { rise_power (scalar) { values (3); } fall_power (scalar) { values (4); } } }
    }
  }
  cell (BUF)"""
    ram = read_library(write(tmp_path, SMALL.replace("cell (BUF)", macro))).cells["RAM"]
    assert ram.macro
    assert ram.pins["Q"].width == 4
    assert ram.pins["Q"].power[0].fall is not None
    assert ram.pins["Q"].power[0].fall.values.tolist() == [[4]]


def test_two_files_are_one_library(tmp_path):
    other = write(tmp_path, SMALL.replace("BUF", "BUFX").replace("1.1", "1.0"))
    library = read_library([FIXTURE, *other])
    assert len(library.cells) == 16
    assert [name for name, _ in library.files] == ["fixture.lib", "some.lib"]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('time_unit : "1ns";', "", "wanted a time_unit such as 1ns, got none; energies need known units"),
        ('"1ns"', '"1 fortnight"', "wanted a time_unit such as 1ns, got '1 fortnight'"),
        ("(1, pf)", "(1, acre)", "wanted a capacitive_load_unit such as 1nf, got '1acre'"),
        ("values (7)", "values (seven)", r"a table power \(scalar\) is not 1"),
        ("1, 2, 3", "1, 2", r"a table cell_rise \(swapped\) is not 2 x 3"),
        ('index_1 ("1, 2")', 'index_1 ("2, 1")', r"an index of cell_rise \(swapped\) does not increase"),
        (
            "variable_1 : total_output_net_capacitance",
            "variable_1 : moon",
            "over a slew and a load, got moon and input",
        ),
        ("direction : input", "direction : up", "wanted a direction .* of pin A, got 'up'"),
        ("area : 2", "area : big", r"wanted a number for area of cell \(BUF\), got 'big'"),
        ("nom_voltage : 1.1;", "", r"wanted a number for nom_voltage of library \(small\), got none"),
        (
            "internal_power",
            "other_power",
            r"has no power tables \(internal_power\); energies need a library that has them",
        ),
        ("direction : input;", "direction : : input;", r"some.lib is no Liberty file: line 11 does not parse at ':'"),
        ("library (small)", "cell (small)", r"wanted library \(name\) \{ ... \} first"),
    ],
)
def test_refusals(tmp_path, old, new, match):
    assert old in SMALL
    with pytest.raises(BadInput, match=match) as caught:
        read_library(write(tmp_path, SMALL.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_text_and_cut_files_are_refused(tmp_path):
    with pytest.raises(BadInput, match="line 1 does not parse"):
        read_library(write(tmp_path, "Dear reader, this is a letter."))
    with pytest.raises(BadInput, match="does not parse at its end"):
        read_library(write(tmp_path, SMALL[:-4]))
    with pytest.raises(BadInput, match="does not parse at its end"):
        read_library(write(tmp_path, ""))


def test_no_cells_no_file_no_list(tmp_path):
    head = SMALL[: SMALL.index("cell (BUF)")] + "}"
    with pytest.raises(BadInput, match="has no cells; wanted a standard-cell library"):
        read_library(write(tmp_path, head))
    with pytest.raises(BadInput, match="cannot read the Liberty file .*none.lib: No such file"):
        read_library([tmp_path / "none.lib"])
    with pytest.raises(BadInput, match="at least one Liberty file"):
        read_library([])


def test_files_that_do_not_fit_together(tmp_path):
    with pytest.raises(BadInput, match="is for 1.1 V, .*fixture.lib for 1.0 V"):
        read_library([FIXTURE, *write(tmp_path, SMALL.replace("BUF", "BUFX"))])
    with pytest.raises(BadInput, match="has the cell BUF that an earlier"):
        read_library([FIXTURE, *write(tmp_path, SMALL)])
