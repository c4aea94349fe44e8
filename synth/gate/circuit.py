"""A netlist as the arrays of the gate simulation: nets numbered by their driver, fanouts, levels."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.delays import NONE, Delays
from synth.gate.kinds import COMBINATIONAL, Kind, describe
from synth.gate.library import Library
from synth.gate.native import INSTANCE, KIND
from synth.gate.netlist import ONE, ZERO, Netlist

SHORTEST_PS = 1


@dataclass(frozen=True)
class Circuit:
    """number [netlist.nets]: the simulation's number of each net, -1 for a net that nothing drives or reads.
    nets: how many there are, unconnected outputs among them. kinds: by type of ``delays``.
    outputs: number of the first output of each cell. drivers: cell that drives each simulated net, -1 for none.
    tables: what the core reads of the circuit. worst_ps: a bound of every path, from the edge or an input's change.
    clock_fj [blocks]: energy of one edge of the clock's own net and its tree, which the core does not count; each
    block has the share of its pins on that net.
    """

    number: np.ndarray
    nets: int
    kinds: tuple[Kind, ...]
    outputs: np.ndarray
    drivers: np.ndarray
    tables: dict[str, np.ndarray]
    levels: int
    worst_ps: int
    clock_fj: np.ndarray


def clock_share(netlist: Netlist) -> np.ndarray:
    """Each block's share [blocks] of the pins on the clock's own net; the first one has all where there is no pin."""
    clock = netlist.signals[netlist.clock][0]
    pins = np.zeros(len(netlist.blocks))
    for block, cell in zip(netlist.block.tolist(), netlist.pins, strict=True):
        pins[block] += sum(net == clock for net in cell.values())
    return pins / pins.sum() if pins.any() else np.eye(len(pins))[0]


def _number_nets(netlist: Netlist, delays: Delays, kinds: tuple[Kind, ...]) -> tuple[np.ndarray, np.ndarray, int]:
    """Numbers of the nets, first output of each cell, count: outputs of a cell follow each other."""
    number = np.full(netlist.nets, -1, np.int32)
    outputs = np.zeros(len(netlist.cells), np.int32)
    count = 0
    for cell, pins in enumerate(netlist.pins):
        outputs[cell] = count
        for name in kinds[delays.type_of[cell]].outputs:
            net = pins.get(name)
            if net is not None:
                if number[net] >= 0 or net in (ZERO, ONE):
                    what = "a constant" if net in (ZERO, ONE) else "the output of another cell too"
                    raise BadInput(f"output {name} of {netlist.cells[cell]} drives net {net}, which is {what}")
                number[net] = count
            count += 1
    drawn = {ZERO, ONE} | {net for name in netlist.inputs for net in netlist.signals[name] if net >= 0}
    for net in sorted(drawn):
        if number[net] < 0:  # a signal that names an input may hold nets of cells besides
            number[net] = count
            count += 1
    return number, outputs, count


def _fanouts(netlist: Netlist, delays: Delays, kinds: tuple[Kind, ...], number: np.ndarray) -> np.ndarray:
    """Net, cell, input of each connected input pin [pins, 3], in order of nets."""
    rows = []
    for cell, pins in enumerate(netlist.pins):
        for at, name in enumerate(kinds[delays.type_of[cell]].inputs):
            net = pins.get(name)
            if net is None or number[net] < 0:
                raise BadInput(f"nothing drives input {name} of {netlist.cells[cell]} ({netlist.types[cell]})")
            rows.append((number[net], cell, at))
    found = np.array(rows, np.int64).reshape(-1, 3)
    return found[np.argsort(found[:, 0], kind="stable")]


def _levels(
    netlist: Netlist, worst_ps: np.ndarray, store: np.ndarray, drivers: np.ndarray, fanouts: np.ndarray
) -> tuple[np.ndarray, int]:
    """Level of each cell, sequential ones at 0, and the length of the longest path by each cell's worst delay."""
    sources = drivers[fanouts[:, 0]]
    edges = (sources >= 0) & (store[fanouts[:, 1]] == COMBINATIONAL)
    edge_from, edge_to = sources[edges], fanouts[edges, 1]
    order = np.argsort(edge_from, kind="stable")
    starts = np.searchsorted(edge_from[order], np.arange(len(store) + 1))
    readers = edge_to[order].tolist()
    waiting = np.bincount(edge_to, minlength=len(store)).tolist()
    level = [0] * len(store)
    arrival = worst_ps.tolist()
    worst = list(arrival)
    queue = [cell for cell, count in enumerate(waiting) if not count]
    first = starts.tolist()
    for cell in queue:
        for reader in readers[first[cell] : first[cell + 1]]:
            level[reader] = max(level[reader], level[cell] + 1)
            arrival[reader] = max(arrival[reader], arrival[cell] + worst[reader])
            waiting[reader] -= 1
            if not waiting[reader]:
                queue.append(reader)
    if len(queue) < len(store):
        stuck = next(cell for cell, count in enumerate(waiting) if count)
        raise BadInput(f"a combinational loop goes through {netlist.cells[stuck]} ({netlist.types[stuck]}): break it")
    return np.array(level, np.int32), int(max(arrival, default=0))


def _kind_table(
    delays: Delays, kinds: tuple[Kind, ...], clock_pins: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Tables of the kinds, one for each type and set of pins on clock nets, and the kind of each cell."""
    pairs, kind_of = np.unique(np.stack([delays.type_of, clock_pins], axis=1), axis=0, return_inverse=True)
    rows = np.zeros(len(pairs), KIND)
    small: list[np.ndarray] = []
    rules: list[np.ndarray] = []
    for row, (number, mask) in zip(rows, pairs, strict=True):
        kind = kinds[number]
        pins = len(kind.inputs) + len(kind.outputs)
        own = delays.own_choice[delays.own_choice_first[number] : delays.own_choice_first[number + 1]]
        with_own = (own.reshape(-1, 2 << pins) != NONE).any(axis=1)
        row["inputs"], row["outputs"], row["store"] = len(kind.inputs), len(kind.outputs), kind.store
        row["states"], row["clock_pins"] = 1 << pins, mask
        row["own_pins"] = sum(1 << at for at in np.flatnonzero(with_own))
        row["small"] = sum(map(len, small))
        row["delay_table"] = delays.delay_choice_first[number]
        row["energy_table"] = delays.energy_choice_first[number]
        row["own_table"] = delays.own_choice_first[number]
        small.append(kind.next_outputs)
        rules.append(kind.rules)
    tables = {"kind": rows, "next_outputs": np.concatenate(small), "rules": np.concatenate(rules)}
    return tables, kind_of.reshape(-1)


def flatten(netlist: Netlist, library: Library, delays: Delays) -> Circuit:
    """BadInput for a netlist that cannot be simulated: two drivers, an open input, a combinational loop, no cells."""
    if not netlist.cells:
        raise BadInput(f"the netlist of {netlist.top} has no cells: nothing to simulate")
    kinds = tuple(describe(library.cells[name]) for name in delays.types)
    number, outputs, count = _number_nets(netlist, delays, kinds)
    fanouts = _fanouts(netlist, delays, kinds, number)
    drivers = np.full(count, -1, np.int32)
    for at in range(int(delays.outputs.max())):
        has = delays.outputs[delays.type_of] > at
        drivers[outputs[has] + at] = np.flatnonzero(has)

    net_clock = np.zeros(count, np.uint8)
    net_fj = np.zeros(count)
    drawn = number >= 0
    net_clock[number[drawn]] = delays.is_clock[drawn]
    net_fj[number[drawn]] = 0.5 * delays.load_ff[drawn] * delays.voltage_v**2 + delays.extra_fj[drawn]
    clock = number[netlist.signals[netlist.clock][0]]
    clock_fj, net_fj[clock] = clock_share(netlist) * net_fj[clock], 0.0
    clock_pins = np.zeros(len(netlist.cells), np.int64)
    on_clock = net_clock[fanouts[:, 0]] != 0
    np.bitwise_or.at(clock_pins, fanouts[on_clock, 1], 1 << fanouts[on_clock, 2])

    store = np.array([kind.store for kind in kinds])[delays.type_of]
    delay_ps = np.maximum(np.rint(delays.delay_ps), SHORTEST_PS).astype(np.int32)
    on_network = net_clock[outputs] != 0
    worst = np.zeros(len(netlist.cells), np.int64)
    with_entries = np.diff(delays.delay_first) > 0
    worst[with_entries] = np.maximum.reduceat(delay_ps, delays.delay_first[:-1][with_entries]) if len(delay_ps) else 0
    worst[on_network] = 0
    level, longest = _levels(netlist, worst, store, drivers, fanouts)

    tables, kind_of = _kind_table(delays, kinds, clock_pins)
    instance = np.zeros(len(netlist.cells), INSTANCE)
    instance["kind"], instance["output"], instance["block"], instance["level"] = kind_of, outputs, netlist.block, level
    instance["clock"] = on_network
    for name in ("delay", "energy", "own"):
        instance[name] = getattr(delays, f"{name}_first")[:-1]
    net_block = np.zeros(count, np.int32)  # of an input: the block of its first reader
    net_block[fanouts[::-1, 0]] = np.asarray(netlist.block)[fanouts[::-1, 1]]
    net_block[drivers >= 0] = np.asarray(netlist.block)[drivers[drivers >= 0]]
    constants = np.zeros(count, np.uint8)
    constants[number[ONE]] = 1
    tables |= {
        "instance": instance,
        "delay_choice": delays.delay_choice,
        "energy_choice": delays.energy_choice,
        "own_choice": delays.own_choice,
        "delay_ps": delay_ps,
        "energy_fj": delays.energy_fj,
        "own_fj": delays.own_fj,
        "fanout_start": np.searchsorted(fanouts[:, 0], np.arange(count + 1)).astype(np.int32),
        "fanout_cell": fanouts[:, 1].astype(np.int32),
        "fanout_pin": fanouts[:, 2].astype(np.int32),
        "net_fj": net_fj,
        "net_block": net_block,
        "net_clock": net_clock,
        "constants": constants,
    }
    return Circuit(number, count, kinds, outputs, drivers, tables, int(level.max()) + 1, longest, clock_fj)
