"""Counts of the monitor beside the tile equal those of a recording of the same image of the tile that would be made."""

from pathlib import Path

import numpy as np
import pytest

from cosim.energy_plan import recorded_verilog
from cosim.prepare import prepare
from cosim.simulate import simulate
from cosim.vcd import Window, Workload, record, recorded_params
from golden.mapping import map_network
from hw.activity import BANKS
from hw.events import MONITORED, event_names
from hw.monitor import counted, registers
from hw.params import preset
from synth.gate.features import NEURON_CHANGES, neuron_activity, rest_activity
from synth.gate.recording import read_recording
from tests.cosim.tiles import images, params_of, tile
from tests.golden.random_networks import random_case

SEED = 3
EVERY_EVENT = 50  # a random network in whose run every event is counted
STARTS = 4  # bits of control that change with the start of an image, before a recording's first cycle

pytestmark = pytest.mark.cosim


def test_the_monitor_counts_what_a_recording_holds(tmp_path: Path) -> None:
    p, plain = params_of("small"), recorded_params(preset("small"))
    nets, shape = random_case(EVERY_EVENT, p)
    last = len(nets) - 1
    codes = images(1, shape, p, SEED)
    fractions = tuple((k + 1) / len(nets) for k in range(len(nets)))
    workload = Workload("a small network", {}, map_network(nets, plain, search=False), fractions, (0,), codes)
    cycles = workload.spans(last)[-1].end - 1
    record(workload, [Window(last, 0, 1, cycles)], tmp_path / "recorded", neurons=range(p.neurons), seed=SEED)
    recording = read_recording(tmp_path / "recorded")
    groups = counted(registers(recorded_verilog(plain).read_text(), "tile"))
    paths = {event: [register.inside for register in group] for event, group in groups.items()}
    found = rest_activity(recording.rest(recording.windows[0]), plain, paths)
    for neuron in range(p.neurons):
        for event, counts in neuron_activity(recording.neuron(recording.windows[0], neuron), plain).items():
            found[event] = found.get(event, np.zeros(cycles, np.int64)) + counts

    job = prepare(map_network(nets, p, search=False), codes, increment=last)
    outcome = simulate(tile("small"), job, tmp_path / "counted", seed=SEED)
    assert not outcome.mismatches
    events = dict(zip(event_names(activity=True), map(int, outcome.events[0]), strict=True))
    assert events["cycles"] == cycles
    wanted = {event: events[event] for event in (*MONITORED, *BANKS, *NEURON_CHANGES)}
    # the counters' snapshot is of the cycle before the last one: what changes with the last one is not in it
    sums = {event: int(found[event][:-1].sum()) for event in wanted}
    sums["toggle_control"] += STARTS
    assert sums == wanted
    assert all(wanted.values())
