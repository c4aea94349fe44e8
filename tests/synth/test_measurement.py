"""The measurement folder: what is read, and each fault refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.errors import BadInput
from hw.events import event_names
from hw.params import preset
from synth.measurement import read_measurement
from tests.synth import synthetic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return synthetic.write(tmp_path / "measured")


def change_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "measurement.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_npz(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(folder / "measurement.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    np.savez(folder / "measurement.npz", **arrays)


def test_a_folder_is_read_back(folder: Path) -> None:
    measured = read_measurement(folder)
    assert measured.params == preset("paper32").replace(activity=True)
    assert [run.fraction for run in measured.header.runs] == [0.1, 0.2, 1.0, 1.0]
    assert measured.counts[2].events.shape == (6, len(event_names(True)))
    assert measured.column(0, "multiply").tolist() == [12_000] * 6
    assert measured.stopped(3).tolist() == [0, 0, 0, 1, 1, 0]
    with pytest.raises(BadInput, match=r"run 0 is not opportunistic: its images stop nowhere"):
        measured.stopped(0)


JSON_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "extra key": (lambda h: h.update(speed=1), r"measurement.json: speed: Extra inputs are not permitted"),
    "no images": (lambda h: h.update(images=0), r"measurement.json: images: Input should be greater than 0"),
    "accuracy": (
        lambda h: h["runs"][0]["accuracy"].update(rtl=98.6),
        r"measurement.json: runs.0.accuracy.rtl: Input should be less than or equal to 1",
    ),
    "order": (
        lambda h: h["runs"][0].update(fraction=0.5),
        r"measurement.json: runs: wants increment runs of rising fraction, not \[0.5, 0.2, 1.0\]",
    ),
    "two margins": (
        lambda h: h["runs"].append(h["runs"][3]),
        r"measurement.json: runs: wants at most one opportunistic run; measure other scores in a folder of their own",
    ),
    "no macs": (
        lambda h: h["runs"][0].pop("macs"),
        r"measurement.json: runs.0: an increment run wants macs, dram_bytes, limit_cycles and no score or thresholds",
    ),
    "no thresholds": (
        lambda h: h["runs"][3].pop("thresholds"),
        r"measurement.json: runs.3: an opportunistic run wants score, thresholds and no macs, dram_bytes or",
    ),
    "hash": (
        lambda h: h.update(tile_hash="0"),
        r"measurement.json: tile_hash says 0, its tile has [0-9a-f]{12}",
    ),
    "format": (lambda h: h.update(format="<16,10>"), r"measurement.json: format says <16,10>, its tile has <32,16>"),
    "events": (
        lambda h: h["events"].reverse(),
        r"measurement.json: events differ from hw/events.py of this version; measure again",
    ),
    "activity": (
        lambda h: h.update(activity=False),
        r"measurement.json: annotation wants no counted bits in a measurement without activity",
    ),
    "register bits": (
        lambda h: h.update(register_bits=47_999),
        r"measurement.json: annotation wants components of 47999 bits together, not 48000",
    ),
    "counted": (
        lambda h: h["annotation"]["post"].update(counted=4_001),
        r"measurement.json: annotation.post: counted wants at most the 4000 bits, not 4001",
    ),
    "no annotation": (lambda h: h.pop("annotation"), r"measurement.json: annotation: Field required"),
    "bytes": (
        lambda h: h["runs"][1].update(dram_bytes=64),
        r"measurement run 1: dram_bytes says 64, beats counted make \d+; measure again",
    ),
}


@pytest.mark.parametrize("name", sorted(JSON_FAULTS))
def test_a_faulty_header_is_refused(name: str, folder: Path) -> None:
    change, message = JSON_FAULTS[name]
    change_json(folder, change)
    with pytest.raises(BadInput, match=message) as caught:
        read_measurement(folder)
    assert "\n" not in str(caught.value)


def add_cycle(arrays: dict[str, np.ndarray]) -> None:
    arrays["run1_events"][4, event_names(True).index("cycles")] += 1


NPZ_FAULTS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "missing": (
        lambda a: a.pop("run2_dram_activates"),
        r"measurement.npz wants an array run2_dram_activates, but holds run0_dram_activates, run0_events",
    ),
    "no stops": (lambda a: a.pop("run3_stopped"), r"measurement.npz wants an array run3_stopped, but holds"),
    "shape": (
        lambda a: a.update(run0_events=a["run0_events"][1:]),
        r"measurement.npz: run0_events wants int64 \[6, \d+\], not int64 \[5, \d+\]",
    ),
    "type": (
        lambda a: a.update(run0_dram_activates=a["run0_dram_activates"].astype(float)),
        r"measurement.npz: run0_dram_activates wants int64 \[6\], not float64 \[6\]",
    ),
    "negative": (
        lambda a: a["run0_dram_activates"].__setitem__(0, -1),
        r"measurement.npz: run0_dram_activates holds a negative count",
    ),
    "cycle kinds": (
        add_cycle,
        r"measurement run 1 image 4: the cycle kinds add to \d+, cycles says \d+; measure again",
    ),
    "still": (
        lambda a: a["run0_events"].__imul__(0),
        r"measurement run 0 has an image of 0 cycles; measure again",
    ),
    "stop": (
        lambda a: a["run3_stopped"].__setitem__(1, 3),
        r"measurement run 3: an image stopped at 3, above 2",
    ),
}


@pytest.mark.parametrize("name", sorted(NPZ_FAULTS))
def test_faulty_arrays_are_refused(name: str, folder: Path) -> None:
    change, message = NPZ_FAULTS[name]
    change_npz(folder, change)
    with pytest.raises(BadInput, match=message):
        read_measurement(folder)


def test_files_that_are_not_there_or_broken_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"measurement folder wants measurement.json; .* has none: run the cosimulation"):
        read_measurement(tmp_path / "nowhere")
    whole = (folder / "measurement.npz").read_bytes()
    (folder / "measurement.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"measurement.npz wants a NumPy archive: "):
        read_measurement(folder)
    (folder / "measurement.json").write_text("{")
    with pytest.raises(BadInput, match=r"measurement.json wants JSON: Expecting property name"):
        read_measurement(folder)
