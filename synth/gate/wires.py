"""Capacitance of wires before there is a layout: the library's wire load, or a stated figure for each sink."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.library import Library

# What SG13G2's wire load "30k" gives a net of one sink (17.53 um at 0.3 fF/um); for libraries that state no wire load.
FF_PER_SINK = 5.3


@dataclass(frozen=True)
class Wires:
    """Rule for the capacitance of a net by its number of sinks. name: what it is, for reports.

    Length is linear between the stated fan-outs and grows by ``slope`` a sink beyond the last, as Liberty has it.
    """

    name: str
    pf_per_um: float
    lengths: tuple[tuple[int, float], ...]
    slope: float

    def capacitance_pf(self, fanout: np.ndarray | int) -> np.ndarray:
        """pF of nets with ``fanout`` sinks, same shape; 0 for none."""
        sinks = np.asarray(fanout, dtype=float)
        known = np.array([0] + [at for at, _ in self.lengths], dtype=float)
        length = np.array([0.0] + [um for _, um in self.lengths])
        um = np.interp(sinks, known, length) + np.maximum(sinks - known[-1], 0) * self.slope
        return um * self.pf_per_um


def stated(ff_per_sink: float) -> Wires:
    """The same capacitance for every sink. Raises BadInput for a negative figure."""
    if not 0 <= ff_per_sink < np.inf:
        raise BadInput(f"wanted a wire capacitance of 0 or more fF per sink, got {ff_per_sink}")
    return Wires(f"{ff_per_sink:g} fF per sink", ff_per_sink / 1000, (), 1.0)


def wires_of(library: Library, area_um2: float, name: str = "") -> Wires:
    """The library's wire load called ``name``, else the one it selects for a block of ``area_um2``, else its default,
    else ``FF_PER_SINK``. A block larger than all areas takes the largest. Raises BadInput for an unknown name.
    """
    if not name:
        choices = sorted(library.wire_load_by_area)
        fitting = [choice for least, most, choice in choices if least <= area_um2 < most]
        name = fitting[0] if fitting else choices[-1][2] if choices else library.default_wire_load
    if not name:
        return stated(FF_PER_SINK)
    if name not in library.wire_loads:
        known = ", ".join(library.wire_loads) or "none"
        raise BadInput(f"library {library.name} has no wire load '{name}'; it has {known}")
    load = library.wire_loads[name]
    return Wires(f"wire load {name} of {library.name}", load.capacitance_pf, load.lengths, load.slope)
