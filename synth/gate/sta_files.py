"""What OpenSTA reads: the netlist as Verilog, activity as SAIF, and the commands of one power report.

Cells are called c<number> and nets n<number> there, by their numbers in the Netlist, so no name needs escaping. Ports
have the names of their nets. Activity is written per pin of a cell: OpenSTA takes SAIF entries as pins, not nets.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.errors import BadInput
from synth.gate.netlist import ONE, ZERO, Netlist

TOP = "top"


@dataclass(frozen=True)
class Activity:
    """toggles, high_ps [nets]: transitions and time at 1 of each net in duration_ps of simulated time."""

    toggles: np.ndarray
    high_ps: np.ndarray
    duration_ps: int


@dataclass(frozen=True)
class Conditions:
    """Clock period, and slews of the clock and of the netlist's inputs, as the own calculation has them."""

    period_ps: int
    clock_slew_ns: float
    input_slew_ns: float


def clock_net(netlist: Netlist) -> int:
    return netlist.signals[netlist.clock][0]


def _input_nets(netlist: Netlist) -> list[int]:
    nets = {net for name in netlist.inputs for net in netlist.signals[name]} | {clock_net(netlist)}
    return sorted(net for net in nets if net > ONE)


def _output_nets(netlist: Netlist) -> list[int]:
    nets = {net for name in netlist.outputs for net in netlist.signals[name] if net > ONE}
    return sorted(nets.difference(_input_nets(netlist)))


def _verilog_net(net: int) -> str:
    return {ZERO: "1'b0", ONE: "1'b1"}.get(net, f"n{net}")


def verilog(netlist: Netlist) -> Iterator[str]:
    """Lines of a structural module ``top``; a net that passes from an input to an output is only an input."""
    inputs, outputs = _input_nets(netlist), _output_nets(netlist)
    used = {net for pins in netlist.pins for net in pins.values()}
    yield f"module {TOP} ({', '.join(_verilog_net(net) for net in (*inputs, *outputs))});"
    yield from (f"  input n{net};" for net in inputs)
    yield from (f"  output n{net};" for net in outputs)
    yield from (f"  wire n{net};" for net in sorted(used.difference(inputs, outputs, (ZERO, ONE))))
    for number, (kind, pins) in enumerate(zip(netlist.types, netlist.pins, strict=True)):
        yield f"  {kind} c{number} ({', '.join(f'.{pin}({_verilog_net(net)})' for pin, net in pins.items())});"
    yield "endmodule"


def saif(netlist: Netlist, activity: Activity) -> Iterator[str]:
    """Lines of a SAIF file in ps: ports and every pin of every cell, but for those on the clock's own net, whose
    activity OpenSTA takes from the clock."""
    duration = activity.duration_ps
    if duration <= 0:
        raise BadInput(f"SAIF wants activity over a time above 0, not {duration} ps")
    toggles, high = activity.toggles.tolist(), activity.high_ps.tolist()
    clock = clock_net(netlist)

    def entry(name: str, net: int) -> str:
        at_one, changes = {ZERO: (0, 0), ONE: (duration, 0)}.get(net, (high[net], toggles[net]))
        if not 0 <= at_one <= duration:
            raise BadInput(f"SAIF wants a time at 1 from 0 to {duration} ps, net {net} has {at_one}")
        return f"({name} (T0 {duration - at_one}) (T1 {at_one}) (TX 0) (TC {changes}) (IG 0))"

    yield '(SAIFILE (SAIFVERSION "2.0") (DIRECTION "backward") (DIVIDER /) (TIMESCALE 1 ps)'
    yield f"(DURATION {duration})"
    yield f"(INSTANCE {TOP}"
    ports = [net for net in (*_input_nets(netlist), *_output_nets(netlist)) if net != clock]
    if ports:
        yield f"(NET {' '.join(entry(f'n{net}', net) for net in ports)})"
    for number, pins in enumerate(netlist.pins):
        entries = [entry(pin, net) for pin, net in pins.items() if net != clock]
        if entries:
            yield f"(INSTANCE c{number} (NET {' '.join(entries)}))"
    yield "))"


def commands(netlist: Netlist, liberty: Sequence[Path], load_ff: np.ndarray, conditions: Conditions) -> Iterator[str]:
    """Tcl: reads netlist.v and activity.saif of the working folder, writes annotation.txt and power.txt there.

    load_ff [nets]: the whole load of each net, pins included; OpenSTA takes it in place of its own sum, in which a pin
    has the larger of its rise and fall capacitance.
    """
    yield from (f"read_liberty {{{path.resolve()}}}" for path in liberty)
    yield "read_verilog netlist.v"
    yield f"link_design {TOP}"
    yield "set_cmd_units -time ps -capacitance fF"
    clock = f"n{clock_net(netlist)}"
    half = conditions.period_ps / 2
    yield f"create_clock -name clock -period {conditions.period_ps} -waveform {{0 {half:g}}} [get_ports {clock}]"
    yield f"set_clock_transition {conditions.clock_slew_ns * 1e3:g} [get_clocks clock]"
    if ports := [f"n{net}" for net in _input_nets(netlist) if f"n{net}" != clock]:
        yield f"set_input_transition {conditions.input_slew_ns * 1e3:g} [get_ports {{{' '.join(ports)}}}]"
    for net in sorted({net for pins in netlist.pins for net in pins.values() if net > ONE}):
        yield f"set_load -subtract_pin_load {load_ff[net]:.6g} [get_nets n{net}]"
    yield f"read_saif -scope {TOP} activity.saif"
    yield "report_activity_annotation > annotation.txt"
    yield "report_power -instances [get_cells *] -digits 8 > power.txt"


def write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(f"{line}\n" for line in lines)
