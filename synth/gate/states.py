"""What a trace says of a netlist: its inputs, first states of flip-flops, the nets compared every cycle."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.circuit import Circuit
from synth.gate.delays import Delays
from synth.gate.kinds import COMBINATIONAL
from synth.gate.netlist import ONE, Netlist
from synth.gate.trace import Trace


@dataclass(frozen=True)
class Links:
    """Pairs of a simulated net and a column of the trace: inputs [.., 2] and checks [.., 2]; names of the checks.

    stored [cells]: first stored bits. unknown: flip-flops and latches of which the trace does not tell the state.
    """

    inputs: np.ndarray
    checks: np.ndarray
    names: tuple[str, ...]
    stored: np.ndarray
    unknown: tuple[str, ...]


def _wanted(netlist: Netlist, trace: Trace, name: str, what: str) -> int:
    """First column of a signal that must be in the trace, with the netlist's width."""
    place = trace.places.get(name)
    if place is None:
        raise BadInput(f"the trace lacks {name}, {what} of {netlist.top}: record it with the others")
    if place[1] != len(netlist.signals[name]):
        raise BadInput(f"{name} has {len(netlist.signals[name])} bits in the netlist and {place[1]} in the trace")
    return place[0]


def _recorded(netlist: Netlist, trace: Trace) -> dict[int, tuple[int, str]]:
    """Column and name of each net of the netlist that the trace has; of several signals of a net the first by name. A
    signal may have lost its highest bits in synthesis."""
    found: dict[int, tuple[int, str]] = {}
    for name in sorted(netlist.signals):
        place = trace.places.get(name)
        if place is None:
            continue
        if place[1] < len(netlist.signals[name]):
            _wanted(netlist, trace, name, "a signal")
        for at, net in enumerate(netlist.signals[name]):
            if net > ONE:
                found.setdefault(net, (place[0] + at, f"{name}[{at}]" if place[1] > 1 else name))
    return found


def _behind_inverters(
    netlist: Netlist, delays: Delays, circuit: Circuit, known: set[int]
) -> dict[int, tuple[int, int]]:
    """Net behind which a known net stands with only buffers and inverters between: that known net, 1 if inverted."""
    into: dict[int, list[tuple[int, int]]] = {}  # output net: input nets of single-input cells, 1 for an inverter
    for cell, pins in enumerate(netlist.pins):
        kind = circuit.kinds[delays.type_of[cell]]
        if kind.store == COMBINATIONAL and len(kind.inputs) == len(kind.outputs) == 1 and kind.outputs[0] in pins:
            values = kind.next_outputs.tolist()
            if values[0] != values[1]:
                into.setdefault(pins[kind.outputs[0]], []).append((pins[kind.inputs[0]], values[0]))
    found: dict[int, tuple[int, int]] = {net: (net, 0) for net in known}
    work = sorted(known)
    for net in work:
        origin, inverted = found[net]
        for source, inverts in into.get(net, ()):
            if source not in found:
                found[source] = (origin, inverted ^ inverts)
                work.append(source)
    return found


def link(netlist: Netlist, delays: Delays, circuit: Circuit, trace: Trace, most_unknown: int) -> Links:
    """BadInput where the trace lacks an input or an output, or the states of more than ``most_unknown`` cells."""
    number = circuit.number
    inputs: dict[int, int] = {}
    for name in netlist.inputs:
        if name == netlist.clock:
            continue
        first = _wanted(netlist, trace, name, "an input")
        for at, net in enumerate(netlist.signals[name]):
            if net > ONE and circuit.drivers[number[net]] < 0:
                inputs[int(number[net])] = first + at
    checks: dict[int, tuple[int, str]] = {}
    for name in netlist.outputs:
        first = _wanted(netlist, trace, name, "an output")
        width = len(netlist.signals[name])
        for at, net in enumerate(netlist.signals[name]):
            if net >= 0:
                if number[net] < 0:
                    raise BadInput(f"nothing drives {name}[{at}], an output of {netlist.top}")
                checks[int(number[net])] = (first + at, f"{name}[{at}]" if width > 1 else name)

    recorded = _recorded(netlist, trace)
    behind = _behind_inverters(netlist, delays, circuit, set(recorded))
    stored = np.zeros(len(netlist.cells), np.int32)
    unknown = []
    for cell, pins in enumerate(netlist.pins):
        kind = circuit.kinds[delays.type_of[cell]]
        if kind.store == COMBINATIONAL or kind.gate:
            continue
        told = False
        for name, shown in zip(kind.outputs, kind.shown, strict=True):
            if not shown or pins.get(name) not in behind:
                continue
            net, inverted = behind[pins[name]]
            column, text = recorded[net]
            stored[cell] = int(trace.bits[0, column]) ^ inverted ^ (shown < 0)
            checks.setdefault(int(number[net]), (column, text))
            told = True
        if not told:
            unknown.append(netlist.cells[cell])
    if len(unknown) > most_unknown:
        raise BadInput(
            f"the trace does not tell the state of {len(unknown)} flip-flops or latches of {netlist.top}, the first is "
            f"{unknown[0]}: record the signals that they hold"
        )
    return Links(
        np.array(sorted(inputs.items()), np.int32).reshape(-1, 2),
        np.array([(net, column) for net, (column, _) in checks.items()], np.int32).reshape(-1, 2),
        tuple(name for _, name in checks.values()),
        stored,
        tuple(unknown),
    )
