"""The own energies beside OpenSTA's, on the same netlist, loads and activity.

Two differences are told apart. ``same_rules``: the own reading of the Liberty tables against OpenSTA's, both from each
net's transitions and time at 1. ``simulated``: the gate simulation, which knows causes and states, against OpenSTA,
which takes signals as independent. What OpenSTA has in no instance is left out of both: nets that the outside drives,
and the estimated clock tree, which is not in the netlist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.errors import BadInput
from synth.gate.circuit import clock_share
from synth.gate.delays import Delays
from synth.gate.library import Library
from synth.gate.netlist import Netlist
from synth.gate.opensta import report_power
from synth.gate.simulate import Result
from synth.gate.sta_files import Activity, Conditions
from synth.gate.static_power import static_energy


@dataclass(frozen=True)
class Comparison:
    """Energies in fJ [blocks] over the same time. annotated: share of OpenSTA's pins that had activity."""

    blocks: tuple[str, ...]
    version: str
    annotated: float
    opensta_fj: np.ndarray
    static_fj: np.ndarray
    simulated_fj: np.ndarray

    def percent(self) -> dict[str, dict[str, float]]:
        """Own over OpenSTA less one, in percent: by block, and of all as "total"."""
        kinds = {"same_rules": self.static_fj, "simulated": self.simulated_fj}
        by_block = {
            block: {kind: 100 * float(own[at] / self.opensta_fj[at] - 1) for kind, own in kinds.items()}
            for at, block in enumerate(self.blocks)
            if self.opensta_fj[at] > 0
        }
        whole = {kind: 100 * float(own.sum() / self.opensta_fj.sum() - 1) for kind, own in kinds.items()}
        return {**by_block, "total": whole}


def block_of_net(netlist: Netlist, library: Library) -> tuple[np.ndarray, np.ndarray]:
    """Block [nets] that a net's energy is charged to, as the simulation does but for the clock's own net: its driver's,
    else that of its first reader, -1 for neither; and whether a cell drives it [nets]."""
    block, driven = np.full(netlist.nets, -1), np.zeros(netlist.nets, dtype=bool)
    pins = [
        (net, library.cells[kind].pins[name].direction == "output", int(of))
        for kind, cell, of in zip(netlist.types, netlist.pins, netlist.block, strict=True)
        for name, net in cell.items()
    ]
    for net, output, of in pins:
        if output:
            block[net], driven[net] = of, True
    for net, output, of in pins:
        if not output and block[net] < 0:
            block[net] = of
    return block, driven


def simulated_energy(netlist: Netlist, library: Library, delays: Delays, result: Result) -> np.ndarray:
    """The simulation's energy [blocks] without the clock's estimated tree and nets that the outside drives, fJ."""
    block, driven = block_of_net(netlist, library)
    outside = np.where(driven, 0.0, 0.5 * delays.load_ff * delays.voltage_v**2) + delays.extra_fj
    left_out_fj = outside * result.toggles
    clock = netlist.signals[netlist.clock][0]
    charged = (block >= 0) & (np.arange(netlist.nets) != clock)
    left_out = np.bincount(block[charged], left_out_fj[charged], len(netlist.blocks))
    left_out += clock_share(netlist) * left_out_fj[clock]
    return result.energy_fj.sum(axis=(0, 2)) - left_out


def compare(
    netlist: Netlist,
    library: Library,
    liberty: Sequence[Path],
    delays: Delays,
    result: Result,
    slews_ns: tuple[float, float],
    sta: tuple[Path, str],
) -> Comparison:
    """Runs OpenSTA (``sta`` of find_sta) on the activity of ``result``; slews_ns: of the clock and of the inputs."""
    if result.blocks != netlist.blocks:
        raise BadInput(f"a comparison wants the result of its netlist's blocks {netlist.blocks}, not {result.blocks}")
    activity = Activity(result.toggles, result.high_ps, result.cycles * result.period_ps)
    conditions = Conditions(result.period_ps, *slews_ns)
    report = report_power(netlist, liberty, delays.load_ff, activity, conditions, sta)
    return Comparison(
        blocks=netlist.blocks,
        version=report.version,
        annotated=report.annotated,
        opensta_fj=report.energy_fj.sum(axis=1),
        static_fj=static_energy(netlist, library, delays, activity).sum(axis=1),
        simulated_fj=simulated_energy(netlist, library, delays, result),
    )
