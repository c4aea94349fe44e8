"""Gate-level simulation with delays, driven by a trace of the RTL and compared with it every cycle."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput, CheckFailed
from synth.gate import native
from synth.gate.circuit import Circuit, flatten
from synth.gate.delays import Delays
from synth.gate.library import Library
from synth.gate.netlist import Netlist
from synth.gate.states import Links, link
from synth.gate.trace import Trace

ENERGIES = ("internal", "switching", "clock_pin", "leakage")
LONGEST_PERIOD_PS = 10_000_000
FINE, DIFFERS, UNSETTLED, RESTLESS, NO_ARC = range(5)


@dataclass(frozen=True)
class Result:
    """Energy and transitions of windows of cycles, by block of the netlist, and the activity of each net.

    energy_fj [windows, blocks, ENERGIES]: internal energy of the cells (own power of data pins included), switching of
    nets, all of the clock (nets, cells of its network, own power of clock pins), leakage. A net is charged to the block
    of its driver, or of its first reader at an input; the clock's own net and its tree to all, by their pins on it.
    transitions [windows, blocks]. window_cycles [windows]: the last window may be shorter.
    toggles, high_ps [nets]: transitions of each net of the netlist, and how long it was 1.
    unknown: cells whose first state the trace does not tell; they start at 0. checked: bits compared in every cycle.
    events: transitions in all. seconds: of the simulation itself.
    """

    blocks: tuple[str, ...]
    energy_fj: np.ndarray
    transitions: np.ndarray
    window_cycles: np.ndarray
    toggles: np.ndarray
    high_ps: np.ndarray
    cycles: int
    period_ps: int
    unknown: tuple[str, ...]
    checked: int
    events: int
    seconds: float

    @property
    def energy_per_cycle_fj(self) -> float:
        return float(self.energy_fj.sum()) / self.cycles


def _settings(trace: Trace, window: int, period_ps: int | None, first_ps: int, last_ps: int, worst_ps: int) -> int:
    """The period in ps; BadInput for what cannot be run. first_ps, last_ps: when inputs change."""
    if trace.cycles < 1:
        raise BadInput(f"a trace of one cycle at least is wanted, got {len(trace.bits)} rows: record more")
    if window < 1:
        raise BadInput(f"a window has one cycle at least, got {window}")
    if first_ps < 1:
        raise BadInput(f"inputs change 1 ps after the clock's edge or later, got {first_ps} ps")
    # Without a period: both halves of it are long enough for every path, as if the clock were as slow as needed.
    period = 2 * (worst_ps + last_ps + 1) if period_ps is None else period_ps
    if not last_ps < period <= LONGEST_PERIOD_PS:
        raise BadInput(
            f"a period above the last input's delay ({last_ps} ps) and of at most {LONGEST_PERIOD_PS} ps is wanted, "
            f"got {period} ps"
        )
    return period


def _changes(
    netlist: Netlist, circuit: Circuit, links: Links, input_delay_ps: int, late_ps: Mapping[str, int]
) -> np.ndarray:
    """When each input bit changes, ps after the edge, in the order of ``links.inputs``."""
    by_net = np.full(circuit.nets, input_delay_ps, np.int32)
    for name, value in late_ps.items():
        if name not in netlist.inputs:
            raise BadInput(f"late inputs name {name}, which is no input of {netlist.top}")
        by_net[[circuit.number[net] for net in netlist.signals[name] if net >= 0]] = value
    return by_net[links.inputs[:, 0]]


def _name(netlist: Netlist, circuit: Circuit, net: int) -> str:
    """A net of the simulation as a reader of the netlist knows it."""
    for name, nets in netlist.signals.items():
        for at, other in enumerate(nets):
            if other >= 0 and circuit.number[other] == net:
                return f"{name}[{at}]" if len(nets) > 1 else name
    cell = circuit.drivers[net]
    return f"the output of {netlist.cells[cell]} ({netlist.types[cell]})"


def _refuse(
    netlist: Netlist, circuit: Circuit, links: Links, trace: Trace, numbers: dict[str, int], period: int
) -> None:
    """CheckFailed, in one line, for a run that stopped."""
    failure, cycle, number = numbers["failure"], numbers["cycle"], numbers["number"]
    if failure == DIFFERS:
        wanted = int(trace.bits[cycle, links.checks[number, 1]])
        raise CheckFailed(
            f"{links.names[number]} is {1 - wanted} at the end of cycle {cycle} in the netlist of {netlist.top}, "
            f"the trace has {wanted}: they are not of one design, or the period of {period} ps is too short"
        )
    if failure == UNSETTLED:
        raise CheckFailed(
            f"{_name(netlist, circuit, number)} of {netlist.top} does not settle in {period} ps (cycle {cycle}): "
            f"a longer period is wanted"
        )
    if failure == RESTLESS:
        raise CheckFailed(
            f"{_name(netlist, circuit, number)} of {netlist.top} feeds itself and never rests (cycle {cycle})"
        )
    if failure == NO_ARC:
        raise CheckFailed(
            f"the library has no delay for the change of {_name(netlist, circuit, number)} in cycle {cycle}"
        )


def run(
    netlist: Netlist,
    library: Library,
    delays: Delays,
    trace: Trace,
    *,
    window: int = 100,
    period_ps: int | None = None,
    input_delay_ps: int = 1,
    late_ps: Mapping[str, int] | None = None,
    zero_delay: bool = False,
    most_unknown: int = 0,
) -> Result:
    """Simulate the cycles of ``trace`` and compare outputs and named states of every one with it.

    period_ps: None for one that is long enough for every path (leakage then counts for that time). input_delay_ps: when
    inputs change, after the clock's edge; late_ps: the same for single inputs by name, as what memories read.
    zero_delay: every net moves at most once a cycle, without glitches; energies
    are still those of ``delays``. most_unknown: how many flip-flops may be absent from the trace.

    Raises BadInput for a netlist or trace that cannot be run, CheckFailed where a value differs or does not settle.
    """
    circuit = flatten(netlist, library, delays)
    links = link(netlist, delays, circuit, trace, most_unknown)
    change_ps = _changes(netlist, circuit, links, input_delay_ps, late_ps or {})
    first, last = int(change_ps.min(initial=input_delay_ps)), int(change_ps.max(initial=input_delay_ps))
    period = _settings(trace, window, period_ps, first, last, circuit.worst_ps)
    tables = dict(circuit.tables)
    tables["instance"] = tables["instance"].copy()
    tables["instance"]["stored"] = links.stored
    tables["bits"] = trace.bits.astype(np.uint8)
    for name, pairs in (("input", links.inputs), ("check", links.checks)):
        tables[f"{name}_net"], tables[f"{name}_column"] = pairs[:, 0], pairs[:, 1]
    tables["input_delay_ps"] = change_ps
    tables = {name: np.ascontiguousarray(values) for name, values in tables.items()}
    windows = -(-trace.cycles // window)
    results = {
        "energy_fj": np.zeros((windows, len(netlist.blocks), len(ENERGIES) - 1)),
        "transitions": np.zeros((windows, len(netlist.blocks)), np.int64),
        "toggles": np.zeros(circuit.nets, np.int64),
        "high_ps": np.zeros(circuit.nets, np.int64),
    }
    values = {
        "cells": len(netlist.cells),
        "nets": circuit.nets,
        "blocks": len(netlist.blocks),
        "levels": circuit.levels,
        "cycles": trace.cycles,
        "window": window,
        "columns": trace.bits.shape[1],
        "inputs": len(links.inputs),
        "checks": len(links.checks),
        "period_ps": period,
        "longest_ps": int(tables["delay_ps"].max(initial=1)),
        "zero_delay": int(zero_delay),
        "clock_net": int(circuit.number[netlist.signals[netlist.clock][0]]),
    }
    began = time.perf_counter()
    numbers = native.call(values, tables, results)
    seconds = time.perf_counter() - began
    _refuse(netlist, circuit, links, trace, numbers, period)

    window_cycles = np.full(windows, window, np.int64)
    window_cycles[-1] = trace.cycles - window * (windows - 1)
    results["energy_fj"][:, :, ENERGIES.index("clock_pin")] += 2 * window_cycles[:, None] * circuit.clock_fj
    leakage_nw = np.bincount(netlist.block, weights=delays.leakage_nw, minlength=len(netlist.blocks))
    leakage_fj = window_cycles[:, None] * leakage_nw * (period * 1e-6)  # nW ps = 1e-6 fJ
    drawn = circuit.number >= 0
    by_net = {name: np.zeros(netlist.nets, np.int64) for name in ("toggles", "high_ps")}
    for name, array in by_net.items():
        array[drawn] = results[name][circuit.number[drawn]]
    return Result(
        blocks=netlist.blocks,
        energy_fj=np.concatenate([results["energy_fj"], leakage_fj[:, :, None]], axis=2),
        transitions=results["transitions"],
        window_cycles=window_cycles,
        toggles=by_net["toggles"],
        high_ps=by_net["high_ps"],
        cycles=trace.cycles,
        period_ps=period,
        unknown=links.unknown,
        checked=len(links.checks),
        events=numbers["events"],
        seconds=seconds,
    )
