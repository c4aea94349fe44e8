"""Wire capacitance by fan-out, and which rule is chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw.errors import BadInput
from synth.gate.liberty import read_library
from synth.gate.library import WireLoad
from synth.gate.wires import stated, wires_of

LIBRARY = read_library([Path(__file__).parent / "fixture.lib"])


def test_length_between_and_beyond_the_stated_fanouts():
    wires = wires_of(LIBRARY, 100.0)
    assert wires.name == "wire load block of tilewatt_fixture"
    # 5, 10, 20 um at 1, 2, 4 sinks; 15 between; 5 um for each sink beyond; 0.2 fF/um
    np.testing.assert_allclose(
        wires.capacitance_pf(np.array([0, 1, 2, 3, 4, 10])), [0, 0.001, 0.002, 0.003, 0.004, 0.010]
    )


def test_choice_by_area_and_by_name():
    loads = {name: WireLoad(name, pf, ((1, 1.0),), 1.0) for name, pf in (("few", 0.1), ("many", 0.2))}
    library = replace(
        LIBRARY, wire_loads=loads, wire_load_by_area=((50, 100, "many"), (0, 50, "few")), default_wire_load="few"
    )
    assert wires_of(library, 49.9).pf_per_um == 0.1
    assert wires_of(library, 50).pf_per_um == 0.2
    assert wires_of(library, 5000).pf_per_um == 0.2
    assert wires_of(library, 5000, "few").pf_per_um == 0.1
    with pytest.raises(BadInput, match="library tilewatt_fixture has no wire load 'huge'; it has few, many"):
        wires_of(library, 1, "huge")


def test_library_without_wire_loads():
    wires = wires_of(replace(LIBRARY, wire_loads={}, default_wire_load=""), 100.0)
    assert wires.name == "5.3 fF per sink"
    np.testing.assert_allclose(wires.capacitance_pf(np.array([0, 1, 7])), [0, 0.0053, 0.0371])


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_bad_figure(bad):
    with pytest.raises(BadInput, match="wanted a wire capacitance of 0 or more fF per sink"):
        stated(bad)
