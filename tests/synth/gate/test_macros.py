"""Buffers composed of SRAM macros, and macros read from Liberty files in the form of IHP's."""

import dataclasses
from pathlib import Path

import pytest

from hw.errors import BadInput
from hw.params import PRESETS, preset
from synth.gate.macros import Macro, Memory, compose, macro_table, memories, shared_sb
from synth.gate.sram import read_macros
from synth.tech_tables import number, row


def made(rows: int, bits: int, area: float, read: float, ports: int = 1, masked: bool = True) -> Macro:
    values = dict.fromkeys((field.name for field in dataclasses.fields(Macro)), 1.0)
    return Macro(**{  # type: ignore[arg-type]
        **values, "name": f"{ports}P_{rows}x{bits}", "rows": rows, "bits": bits, "ports": ports, "masked": masked,
        "area_um2": area, "read_pj": read, "write_pj": 2 * read, "leakage_nw": 3.0, "file": "made.lib", "sha256": "",
    })  # fmt: skip


def table(*macros: Macro) -> dict[str, Macro]:
    return {macro.name: macro for macro in macros}


def test_a_bank_is_macros_across_and_stacked() -> None:
    found = compose(Memory("nbin", 3, 100, 5, 16), table(made(64, 32, 10.0, 7.0)))
    assert (found.across, found.stacked, found.macros) == (3, 2, 18)  # 80 bits in 3 x 32, 100 rows in 2 x 64
    assert found.area_um2 == 180.0
    assert found.leakage_nw == 54.0
    assert found.read_pj == 21.0  # one of the two macros deep is selected
    assert found.write_pj == 42.0
    assert found.used_width == 80 / 96
    assert found.used_depth == 100 / 128
    assert found.used == pytest.approx(found.used_width * found.used_depth)
    assert found.text == (
        "nbin: 3 banks of 100 x 80 bits, each 3 across x 2 deep of 1P_64x32; "
        "83 % of width and 78 % of depth used"
    )  # fmt: skip


def test_least_area_or_least_energy_decides() -> None:
    macros = table(made(64, 32, 10.0, 7.0), made(64, 64, 19.0, 15.0), made(128, 32, 15.0, 9.0))
    memory = Memory("sb", 2, 64, 1, 64)
    assert compose(memory, macros).macro.name == "1P_64x64"
    assert compose(memory, macros, "energy").macro.name == "1P_64x32"
    assert compose(dataclasses.replace(memory, rows=100), macros).macro.name == "1P_128x32"


def test_equal_area_falls_to_energy() -> None:
    macros = table(made(64, 32, 10.0, 7.0), made(64, 48, 10.0, 6.0))
    assert compose(Memory("sb", 2, 64, 1, 32), macros).macro.name == "1P_64x48"


def test_macros_that_cannot_serve_are_left_out() -> None:
    bare, double = made(64, 32, 1.0, 1.0, masked=False), made(64, 32, 1.0, 1.0, ports=2)
    lane, cell = Memory("sb", 4, 10, 1, 32), Memory("nbin", 4, 10, 2, 16)
    assert compose(lane, table(bare, double)).macro is bare  # a lane is written whole: no mask is wanted
    with pytest.raises(BadInput, match=r"^nbin wants a macro of one port with a write mask, none of 1P_.*, 2P_.* is$"):
        compose(cell, table(bare, double))
    with pytest.raises(BadInput, match=r"^sb wants a macro of one port, none of no macros is$"):
        compose(lane, {})


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_s_buffers_fit_the_shipped_macros(name: str) -> None:
    params, macros = preset(name), macro_table()
    for memory in (*memories(params).values(), shared_sb(params)):
        found = compose(memory, macros)
        assert found.across * found.macro.bits >= memory.words * memory.width
        assert found.stacked * found.macro.rows >= memory.rows
        assert 0 < found.used <= 1
        assert found.area_um2 <= compose(memory, macros, "energy").area_um2
        assert found.read_pj >= compose(memory, macros, "energy").read_pj
    bits = {name: memory.bits for name, memory in memories(params).items()}
    words = {"sb": params.sb_rows * params.neurons * params.synapses, "nbin": params.nbin_rows * params.row_words}
    words["nbout"] = params.nbout_rows * params.row_words
    assert bits == {name: count * params.fmt.width for name, count in words.items()}
    assert shared_sb(params).bits == bits["sb"]


def test_paper16_is_composed_as_the_docs_say() -> None:
    found = {name: compose(memory, macro_table()) for name, memory in memories(preset("paper16")).items()}
    assert {name: (item.macro.rows, item.macro.bits, item.macros) for name, item in found.items()} == {
        "sb": (256, 16, 256),
        "nbin": (64, 64, 16),
        "nbout": (64, 64, 16),
    }


def test_the_shipped_macros_are_those_of_the_older_table() -> None:
    # sram.csv was typed from the same Liberty files by another reader
    single = [macro for macro in macro_table().values() if macro.ports == 1]
    assert len(single) == 18
    for macro in single:
        old = row("sram", tech_nm="130", buffer=f"macro_{macro.rows}x{macro.bits}")
        assert macro.read_pj == pytest.approx(number(old, "read_pJ"), rel=1e-4)
        assert macro.write_pj == pytest.approx(number(old, "write_pJ"), rel=1e-4)
        assert macro.leakage_nw * 1e-6 == pytest.approx(number(old, "leak_mW"), rel=1e-4)
        assert macro.area_um2 * 1e-6 == pytest.approx(number(old, "area_mm2"), rel=1e-4)


def test_a_missing_or_broken_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^SRAM macros want the table none.csv: make it with python -m synth.tech_ihp$"):
        macro_table(tmp_path / "none.csv")
    path = tmp_path / "few.csv"
    path.write_text("name,rows\na,1\n")
    with pytest.raises(BadInput, match=r"^few.csv wants the columns name, rows, bits, ports, masked, area_um2, "):
        macro_table(path)
    good = (Path(__file__).parents[3] / "synth" / "tech" / "data" / "ihp130_sram.csv").read_text()
    path = tmp_path / "bad.csv"
    path.write_text(good.replace("39.0507", "many", 1))
    with pytest.raises(BadInput, match=r"^bad.csv line 2 wants numbers: could not convert string to float: 'many'$"):
        macro_table(path)
    path = tmp_path / "flag.csv"
    path.write_text(good.replace("True", "yes", 1))
    with pytest.raises(BadInput, match=r"^flag.csv line 2 wants numbers: masked is True or False, not yes$"):
        macro_table(path)


def own(pin: str, *powers: tuple[str, float, float]) -> str:
    groups = "".join(
        f'internal_power () {{ when : "{when}"; rise_power (scalar) {{ values ("{rise}"); }} '
        f'fall_power (scalar) {{ values ("{fall}"); }} }}'
        for when, rise, fall in powers
    )
    return pin.replace("POWER", groups)


SETUP = (
    'timing () { timing_type : setup_rising; related_pin : "A_CLK"; '
    'rise_constraint (scalar) { values ("0.2"); } fall_constraint (scalar) { values ("0.3"); } }'
)
CLOCK = own(
    "pin (A_CLK) { direction : input; capacitance : 0.004; clock : true; POWER }",
    ("A_MEN & !A_WEN & A_REN", 40, 1),
    ("A_MEN & A_WEN & !A_REN", 50, 2),
    ("A_MEN & A_WEN & A_REN", 60, 3),
    ("!A_MEN", 5, 0),
)
MASK = own("bus (A_BM) { bus_type : D; direction : input; capacitance : 0.002; POWER SETUP }", ("", 0.2, 0.4))
DATA = own(
    "bus (A_DIN) { bus_type : D; direction : input; capacitance : 0.003; pin (A_DIN[15:0]) { POWER } SETUP }",
    ("A_MEN", 0.1, 0.3),
    ("!A_MEN", 0.1, 0.1),
)
OUT = (
    "bus (A_DOUT) { bus_type : D; direction : output; timing () { related_pin : A_CLK; timing_type : rising_edge; "
    'cell_rise (t) { values ("1, 2", "3, 4"); } cell_fall (t) { values ("1, 1", "1, 1"); } } }'
)
LIBRARY = """library (made) {{
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; leakage_power_unit : "1nW";
  pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf); nom_voltage : 1.2; nom_temperature : 25;
  lu_table_template (t) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.0, 0.2"); index_2 ("0.0, 0.04"); }}
  type (D) {{ base_type : array; data_type : bit; bit_width : 16; bit_from : 15; bit_to : 0; downto : true; }}
  type (A) {{ base_type : array; data_type : bit; bit_width : 5; bit_from : 4; bit_to : 0; downto : true; }}
  cell (M) {{ memory () {{ type : ram; address_width : 5; word_width : 16; }} area : 100; cell_leakage_power : 7;
    pin (A_MEN) {{ direction : input; capacitance : 0.001; {setup} }}
    pin (A_WEN) {{ direction : input; capacitance : 0.001; {setup} }}
    pin (A_REN) {{ direction : input; capacitance : 0.001; {setup} }}
    bus (A_ADDR) {{ bus_type : A; direction : input; capacitance : 0.005; {setup} }}
    {pins}
  }}
}}
"""


def written(path: Path, *pins: str, text: str = LIBRARY) -> Path:
    path.write_text(text.format(setup=SETUP, pins="\n".join(pins).replace("SETUP", SETUP)))
    return path


def test_a_macro_is_read_from_its_liberty_file(tmp_path: Path) -> None:
    (found,) = read_macros([written(tmp_path / "m.lib", CLOCK, MASK, DATA, OUT)])
    assert (found.name, found.rows, found.bits, found.ports, found.masked) == ("M", 32, 16, 1, True)
    assert (found.area_um2, found.leakage_nw) == (100, 7)
    assert (found.read_pj, found.write_pj) == (41, 52)  # both edges of the clock
    assert found.data_pj == pytest.approx(0.2)
    assert found.idle_data_pj == pytest.approx(0.1)
    assert found.mask_pj == found.idle_mask_pj == pytest.approx(0.3)
    assert found.address_pj == found.idle_address_pj == 0
    assert found.access_ns == pytest.approx(2.5)  # half way on both axes: 0.1 ns of 0.2, 20 fF of 40
    assert found.setup_ns == pytest.approx(0.3)
    assert (found.clock_ff, found.address_ff, found.data_ff, found.mask_ff) == pytest.approx((4, 5, 3, 2))
    assert found.file == "m.lib"
    assert len(found.sha256) == 64


def test_ports_and_mask_come_from_the_pins(tmp_path: Path) -> None:
    other = "pin (B_CLK) { direction : input; clock : true; }"
    first = written(tmp_path / "two.lib", CLOCK, DATA, OUT, other)
    second = written(tmp_path / "one.lib", CLOCK, DATA, OUT)
    found = read_macros([first, second])
    assert [(item.ports, item.masked, item.mask_pj) for item in found] == [(1, False, 0), (2, False, 0)]


def test_files_that_are_no_macro_s_are_refused(tmp_path: Path) -> None:
    fixture = Path(__file__).parent / "fixture.lib"
    with pytest.raises(BadInput, match=r"^an SRAM macro's Liberty file wants one cell, tilewatt_fixture has \d+$"):
        read_macros([fixture])
    with pytest.raises(BadInput, match=r"^an SRAM macro wants IHP's pin A_DIN, M has A_MEN, A_WEN, A_REN, A_CLK, "):
        read_macros([written(tmp_path / "no_data.lib", CLOCK, OUT)])
    untimed = "bus (A_DOUT) { bus_type : D; direction : output; }"
    with pytest.raises(BadInput, match=r"wants timing of its data and setup of its inputs, M lacks it$"):
        read_macros([written(tmp_path / "no_time.lib", CLOCK, DATA, untimed)])
