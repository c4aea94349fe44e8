"""Static timing at worst slews: the longest path, the least period it allows, slack to a given one."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.arcs import FALL, RISE
from synth.gate.graph import Graph
from synth.gate.timing import CLOCK_SLEW_NS, INPUT_SLEW_NS

SETUP = {"setup_rising": RISE, "setup_falling": FALL}


@dataclass(frozen=True)
class Step:
    """One cell of a path and the edge of its output: arrival after the clock's edge, and the delay within the cell."""

    cell: str
    type: str
    edge: str
    arrival_ns: float
    delay_ns: float
    fanout: int
    load_pf: float


@dataclass(frozen=True)
class Path:
    """The longest path. start: flip-flop or input; end: cell.pin or an output's net. setup_ns: of its end, with the
    outside's part for an output. endpoints: how many ends were looked at. least_period_ns: arrival and setup."""

    start: str
    end: str
    setup_ns: float
    least_period_ns: float
    endpoints: int
    steps: tuple[Step, ...]

    def slack_ns(self, period_ns: float) -> float:
        """Negative where the period is too short."""
        return period_ns - self.least_period_ns


class _Arrivals:
    """Latest arrival and worst slew [nets * 2], at net * 2 + edge, and the row that made the arrival (-1: a start)."""

    def __init__(self, graph: Graph, clock_slew_ns: float, input_slew_ns: float, input_delay_ns: float) -> None:
        rows, nets = graph.rows, graph.netlist.nets
        clock = np.repeat(graph.is_clock, 2)
        self.slew = np.where(clock, clock_slew_ns, input_slew_ns)
        self.time = np.zeros(nets * 2)
        for name in graph.netlist.inputs:
            for net in graph.netlist.signals[name]:
                self.time[[net * 2, net * 2 + 1]] = input_delay_ns
        self.time[clock] = 0.0
        self.row = np.full(nets * 2, -1, dtype=np.int64)
        self.delay = np.zeros(len(rows.cell))
        for first, last in zip(rows.starts[1:-1], rows.starts[2:], strict=True):
            at = np.arange(first, last)
            source = rows.in_net[at].astype(np.int64) * 2 + rows.edge_in[at]
            target = rows.out_net[at].astype(np.int64) * 2 + rows.edge_out[at]
            load = graph.load_pf[rows.out_net[at]]
            self.delay[at] = np.maximum(graph.tables.at(rows.delay[at], self.slew[source], load), 0.0)
            arrival = self.time[source] + self.delay[at]
            slew = np.maximum(graph.tables.at(rows.slew[at], self.slew[source], load), 0.0)
            self.time[target] = self.slew[target] = -np.inf
            np.maximum.at(self.time, target, arrival)
            np.maximum.at(self.slew, target, slew)
            latest = arrival == self.time[target]
            self.row[target[latest]] = at[latest]


def _setups(graph: Graph, arrivals: _Arrivals, clock_slew_ns: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Ends at cells: place (net * 2 + edge) and setup time [ends], and their names."""
    places, setups, names = [], [], []
    for group in graph.members:
        cell = group.arcs.cell
        if not cell.sequential and not cell.clock_gate:
            continue
        latch = cell.sequential is not None and cell.sequential.latch
        for source, pin in enumerate(group.arcs.inputs):
            for arc in cell.pins[pin].arcs:
                if arc.kind not in SETUP or arc.related not in group.arcs.inputs:
                    continue
                clocks = group.in_nets[:, group.arcs.inputs.index(arc.related)]
                off = ~graph.is_clock[clocks] & (clocks > 1)
                if latch or SETUP[arc.kind] != RISE or np.any(off):
                    first = graph.netlist.cells[group.cells[0 if not np.any(off) else int(np.argmax(off))]]
                    raise BadInput(
                        f"slack is found between rising edges of one clock; {first} ({cell.name}) is not on it"
                    )
                for edge, constraint in ((FALL, arc.fall), (RISE, arc.rise)):
                    if constraint is None:
                        continue
                    place = group.in_nets[:, source].astype(np.int64) * 2 + edge
                    number = np.full(len(place), graph.tables.add(constraint))
                    places.append(place)
                    setups.append(graph.tables.at(number, arrivals.slew[place], np.full(len(place), clock_slew_ns)))
                    names += [f"{graph.netlist.cells[at]}.{pin}" for at in group.cells]
    empty = np.zeros(0)
    return np.concatenate([empty.astype(np.int64), *places]), np.concatenate([empty, *setups]), names


def worst_path(
    graph: Graph,
    *,
    clock_slew_ns: float = CLOCK_SLEW_NS,
    input_slew_ns: float = INPUT_SLEW_NS,
    input_delay_ns: float = 0.0,
    output_delay_ns: float = 0.0,
) -> Path:
    """The longest path between rising edges of an ideal clock, from flip-flops and inputs to flip-flops, clock gates
    and outputs. Every net has the worst slew of all ways to it, and every condition of an arc counts, as in any STA.

    input_delay_ns: when inputs change after the edge. output_delay_ns: what the outside needs before the next edge.
    Hold times are not looked at: the clock is ideal. Raises BadInput for latches, falling edges and other clocks, which
    one period does not describe, and for a netlist without an end.
    """
    arrivals = _Arrivals(graph, clock_slew_ns, input_slew_ns, input_delay_ns)
    places, setups, names = _setups(graph, arrivals, clock_slew_ns)
    outside = sorted({net for name in graph.netlist.outputs for net in graph.netlist.signals[name] if net > 1})
    ends = np.concatenate([places, *[np.array([net * 2, net * 2 + 1]) for net in outside]]).astype(np.int64)
    setups = np.concatenate([setups, np.full(2 * len(outside), output_delay_ns)])
    if not len(ends):
        raise BadInput(f"netlist {graph.netlist.top} has no flip-flop and no output; there is no path")
    periods = arrivals.time[ends] + setups
    worst = int(np.argmax(periods))
    at, steps, rows = int(ends[worst]), [], graph.rows
    while arrivals.row[at] >= 0:
        row = int(arrivals.row[at])
        cell, net = int(rows.cell[row]), at >> 1
        steps.append(
            Step(
                graph.netlist.cells[cell],
                graph.netlist.types[cell],
                "rise" if at & 1 else "fall",
                float(arrivals.time[at]),
                float(arrivals.delay[row]),
                int(graph.fanout[net]),
                float(graph.load_pf[net]),
            )
        )
        at = int(rows.in_net[row]) * 2 + int(rows.edge_in[row])
    start = steps[-1].cell if graph.is_clock[at >> 1] and steps else _name(graph, at >> 1)
    end = names[worst] if worst < len(names) else _name(graph, int(ends[worst]) >> 1)
    return Path(start, end, float(setups[worst]), float(periods[worst]), len(ends) // 2, tuple(reversed(steps)))


def _name(graph: Graph, net: int) -> str:
    ports = [*graph.netlist.inputs, *graph.netlist.outputs, *graph.netlist.signals]
    return next(
        (f"{name}[{graph.netlist.signals[name].index(net)}]" for name in ports if net in graph.netlist.signals[name]),
        f"net {net}",
    )
