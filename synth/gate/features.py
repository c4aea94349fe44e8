"""Activity of the RTL in a trace, cycle by cycle, by the definitions that hw.monitor's Verilog has (hw.activity)."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from hw.activity import BANKS, COUNTS, NEURON, Count, Seen, matching
from hw.errors import BadInput
from hw.params import TileParams
from synth.gate.trace import Trace

#: Events of a neuron that the tile counts with registers of its own, and events of work.
NEURON_CHANGES = {
    "toggle_weight": Count(("neuron.weights",)),
    "toggle_product": Count(("neuron.products.product_*",)),
    "toggle_sum": Count(("neuron.sum.total",)),
}


def table_hash() -> str:
    """Changes with every definition here."""
    return hashlib.sha256(f"4 {COUNTS} {BANKS} {NEURON_CHANGES}".encode()).hexdigest()[:16]


def _columns(trace: Trace, names: Sequence[str]) -> np.ndarray:
    return np.concatenate([np.arange(first, first + width) for first, width in map(trace.places.__getitem__, names)])


def _found(paths: tuple[str, ...], trace: Trace) -> list[str]:
    try:
        return matching((path.removeprefix(NEURON) for path in paths), trace.places)
    except ValueError as error:
        raise BadInput(f"activity wants a trace of all signals, {error}: record it anew") from None


def counts(count: Count, trace: Trace, params: TileParams) -> np.ndarray:
    """What a count adds in each row but the first [cycles]."""
    columns = [np.arange(trace.places[name][0], sum(trace.places[name])) for name in _found(count.signals, trace)]
    bits = trace.bits[:, np.concatenate([of[: count.low] for of in columns])]
    changed = bits[1:] != bits[:-1]
    if not count.times:
        return np.count_nonzero(changed, axis=1)
    lanes = params.synapses if count.by_lane else 1
    other = trace.bits[:, _columns(trace, _found(count.times, trace))]
    other = (other[:-1] if count.before else other[1:]).reshape(trace.cycles, lanes, -1)
    if count.seen is Seen.DIGITS:
        other = np.diff(other, axis=2, prepend=np.uint8(0)) != 0
    elif count.seen is Seen.NEIGHBOURS:
        other = other != np.roll(other, -params.fmt.width, axis=2)
    lane_changes = np.count_nonzero(changed.reshape(trace.cycles, lanes, -1), axis=2)
    return (lane_changes * np.count_nonzero(other, axis=2)).sum(axis=1)


def additions(trace: Trace, params: TileParams) -> dict[str, np.ndarray]:
    """Counts [cycles] of a neuron's accumulators: bit changes of what is written, and ``accumulate``, the banks that
    are written. At the end of a row the tile's event may be less, as a bank adds 0 for a pixel that is not there."""
    written, stored = (trace.of(f"accumulators.{name}")[:-1] for name in ("written", "stored"))
    enabled = trace.of("acc_en")[:-1].astype(np.int64)
    changed = (written != stored).reshape(*enabled.shape, params.accumulator_width)
    return {
        "toggle_accumulator": (np.count_nonzero(changed, axis=2) * enabled).sum(axis=1),
        "accumulate": enabled.sum(axis=1),
    }


def neuron_activity(trace: Trace, params: TileParams) -> dict[str, np.ndarray]:
    """Counts [cycles] of one neuron in its own trace, by event; ``multiply`` and ``accumulate`` are its own too."""
    found = {event: counts(count, trace, params) for event, count in NEURON_CHANGES.items()}
    found |= additions(trace, params)
    found |= {event: counts(count, trace, params) for event, count in COUNTS.items() if count.in_neurons}
    found["multiply"] = trace.of("lanes2")[:-1].sum(axis=1, dtype=np.int64)
    return found


def rest_activity(trace: Trace, params: TileParams, registers: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Counts [cycles] of the tile without its neurons, by event, and ``cycles`` (1 each). registers: their paths in
    the trace by the event that counts their changes."""
    named = BANKS | {event: count for event, count in COUNTS.items() if not count.in_neurons}
    found = {event: counts(count, trace, params) for event, count in named.items()}
    for event, names in registers.items():
        bits = trace.bits[:, _columns(trace, names)]
        found[event] = np.count_nonzero(bits[1:] != bits[:-1], axis=1)
    return found | {"cycles": np.ones(trace.cycles, dtype=np.int64)}
