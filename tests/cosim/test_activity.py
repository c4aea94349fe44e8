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
from tests.cosim.test_tile import small_net
from tests.cosim.tiles import images, integer, modules, params_of, tile

SEED = 3
STARTS = 3  # bits of control that change with the start of an image, before a recording's first cycle

pytestmark = pytest.mark.cosim


def test_the_monitor_counts_what_a_recording_holds(tmp_path: Path) -> None:
    p, plain = params_of("small"), recorded_params(preset("small"))
    full, shape = small_net()
    nets = integer(modules(full, (0.5, 1.0), SEED), shape, p)
    codes = images(1, shape, p, SEED)
    workload = Workload("a small network", {}, map_network(nets, plain), (0.5, 1.0), (0,), codes)
    cycles = workload.spans(1)[-1].end - 1
    record(workload, [Window(1, 0, 1, cycles)], tmp_path / "recorded", neurons=range(p.neurons), seed=SEED)
    recording = read_recording(tmp_path / "recorded")
    groups = counted(registers(recorded_verilog(plain).read_text(), "tile"))
    paths = {event: [register.inside for register in group] for event, group in groups.items()}
    found = rest_activity(recording.rest(recording.windows[0]), plain, paths)
    for neuron in range(p.neurons):
        for event, counts in neuron_activity(recording.neuron(recording.windows[0], neuron), plain).items():
            found[event] = found.get(event, np.zeros(cycles, np.int64)) + counts

    outcome = simulate(
        tile("small"), prepare(map_network(nets, p), codes, increment=1), tmp_path / "counted", seed=SEED
    )
    assert not outcome.mismatches
    events = dict(zip(event_names(activity=True), map(int, outcome.events[0]), strict=True))
    assert events["cycles"] == cycles
    wanted = {event: events[event] for event in (*MONITORED, *BANKS, *NEURON_CHANGES)}
    # the counters' snapshot is of the cycle before the last one: what changes with the last one is not in it
    sums = {event: int(found[event][:-1].sum()) for event in wanted}
    sums["toggle_control"] += STARTS
    assert sums == wanted
    # no map is that long here
    assert [event for event, count in wanted.items() if not count] == ["toggle_ports"]
