"""Static delays and energies of every cell of a netlist, from Liberty tables."""

import numpy as np

from hw.errors import BadInput
from synth.gate.arcs import TypeArcs
from synth.gate.clock_tree import ClockTree, clock_tree
from synth.gate.delays import Delays
from synth.gate.graph import Graph
from synth.gate.library import Library
from synth.gate.netlist import Netlist
from synth.gate.wires import Wires

CLOCK_SLEW_NS = 0.1  # what a clock tree is asked to give
INPUT_SLEW_NS = 0.1


def typical_slews(graph: Graph, clock_slew_ns: float, input_slew_ns: float) -> np.ndarray:
    """Slews [nets, 2] of fall and rise, ns: the mean over the ways an edge can take through the cell that drives it."""
    slews = np.full((graph.netlist.nets, 2), input_slew_ns)
    slews[graph.is_clock] = clock_slew_ns
    rows = graph.rows
    for first, last in zip(rows.starts[1:-1], rows.starts[2:], strict=True):
        at = np.arange(first, last)[rows.used[first:last]]
        target = rows.out_net[at].astype(np.int64) * 2 + rows.edge_out[at]
        made = graph.tables.at(rows.slew[at], slews[rows.in_net[at], rows.edge_in[at]], graph.load_pf[rows.out_net[at]])
        places, inverse = np.unique(target, return_inverse=True)
        slews.reshape(-1)[places] = np.maximum(np.bincount(inverse, made) / np.bincount(inverse), 0.0)
    return slews


def clock_trees(graph: Graph, clock_slew_ns: float = CLOCK_SLEW_NS) -> dict[int, ClockTree]:
    """The estimated tree of every clock net."""
    return {
        int(net): clock_tree(
            graph.library, graph.wires, int(graph.fanout[net]), float(graph.pins_pf[net]), clock_slew_ns
        )
        for net in np.flatnonzero(graph.is_clock)
    }


def _delays(graph: Graph, slews: np.ndarray, load_pf: np.ndarray) -> np.ndarray:
    """Delay of every entry, ps: the mean of its rows; 0 for cells that make a clock net, or drive no net."""
    rows, entries = graph.rows, int(graph.delay_first[-1])
    made = graph.tables.at(rows.delay, slews[rows.in_net, rows.edge_in], load_pf[rows.out_net]) * 1000
    made = np.where(graph.is_clock[rows.out_net], 0.0, np.maximum(made, 0.0))
    return np.bincount(rows.entry, made, entries) / np.maximum(np.bincount(rows.entry, minlength=entries), 1)


def _energies(graph: Graph, slews: np.ndarray, load_pf: np.ndarray, own: bool) -> tuple[np.ndarray, np.ndarray]:
    """Energies of all cells, fJ, and the first of each cell [cells + 1]: of inputs by themselves, or of outputs."""
    sizes = np.array([len(group.arcs.own if own else group.arcs.energies) for group in graph.members], dtype=np.int64)
    firsts = np.concatenate([[0], np.cumsum(sizes[graph.type_of])]).astype(np.int64)
    made = np.zeros(int(firsts[-1]))
    for group in graph.members:
        for place, entry in enumerate(group.arcs.own if own else group.arcs.energies):
            slew = slews[group.in_nets[:, entry.source]][:, list(entry.edges_in)].mean(axis=1)
            load = np.zeros(len(slew)) if own else load_pf[group.out_nets[:, entry.target]]
            number = np.full(len(slew), graph.tables.add(entry.energy))
            made[firsts[group.cells] + place] = graph.tables.at(number, slew, load) * 1000
    return made, firsts


def _joined(tables: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    firsts = np.concatenate([[0], np.cumsum([len(table) for table in tables])]).astype(np.int64)
    return np.concatenate([np.zeros(0, dtype=np.uint16), *tables]), firsts


def _overloaded(graph: Graph) -> np.ndarray:
    found = []
    for group in graph.members:
        for place, name in enumerate(group.arcs.outputs):
            most = group.arcs.cell.pins[name].most_capacitance_pf
            nets = group.out_nets[:, place]
            if most is not None:
                found.append(group.cells[(nets >= 0) & ~graph.is_clock[nets] & (graph.load_pf[nets] > most)])
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))


def annotate(
    netlist: Netlist,
    library: Library,
    wires: Wires,
    *,
    clock_slew_ns: float = CLOCK_SLEW_NS,
    input_slew_ns: float = INPUT_SLEW_NS,
    graph: Graph | None = None,
) -> Delays:
    """Delays and energies at typical slews: the slew of a net is the mean over the ways its edges arise, not the worst
    of them, because energies and glitches are of what happens on the whole; `synth.gate.slack` uses the worst.

    clock_slew_ns: at every clock pin, an estimated tree gives it (see `clock_tree`). input_slew_ns: at the inputs of
    the netlist, and behind flip-flops without slew tables. graph: made before for this netlist, library and wires.

    Raises BadInput for slews that are not positive, and what `Graph` raises.
    """
    if not (0 < clock_slew_ns < np.inf and 0 < input_slew_ns < np.inf):
        raise BadInput(f"wanted slews above 0 ns, got {clock_slew_ns} (clock) and {input_slew_ns} (inputs)")
    graph = graph or Graph(netlist, library, wires)
    trees = clock_trees(graph, clock_slew_ns)
    slews = typical_slews(graph, clock_slew_ns, input_slew_ns)
    driven_pf, extra_fj = graph.load_pf.copy(), np.zeros(netlist.nets)
    for net, tree in trees.items():
        driven_pf[net], extra_fj[net] = tree.root_load_pf, tree.edge_fj
    energy_fj, energy_first = _energies(graph, slews, driven_pf, own=False)
    own_fj, own_first = _energies(graph, slews, driven_pf, own=True)
    arcs: list[TypeArcs] = [group.arcs for group in graph.members]
    delay_choice, delay_choice_first = _joined([one.delay_choice for one in arcs])
    energy_choice, energy_choice_first = _joined([one.energy_choice for one in arcs])
    own_choice, own_choice_first = _joined([one.own_choice for one in arcs])
    leakage = np.array([one.cell.leakage_nw for one in arcs])
    return Delays(
        types=graph.types,
        type_of=graph.type_of,
        inputs=np.array([len(one.inputs) for one in arcs], dtype=np.int32),
        outputs=np.array([len(one.outputs) for one in arcs], dtype=np.int32),
        delay_choice=delay_choice,
        delay_choice_first=delay_choice_first,
        energy_choice=energy_choice,
        energy_choice_first=energy_choice_first,
        own_choice=own_choice,
        own_choice_first=own_choice_first,
        delay_ps=_delays(graph, slews, driven_pf),
        delay_first=graph.delay_first,
        energy_fj=energy_fj,
        energy_first=energy_first,
        own_fj=own_fj,
        own_first=own_first,
        load_ff=graph.load_pf * 1000,
        extra_fj=extra_fj,
        is_clock=graph.is_clock,
        slew_ns=slews,
        leakage_nw=leakage[graph.type_of] if len(arcs) else np.zeros(0),
        overloaded=_overloaded(graph),
        voltage_v=library.voltage_v,
    )
