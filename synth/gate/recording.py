"""A folder of recorded windows (written by cosim.vcd): what they are of, and their traces."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.errors import BadInput
from hw.params import TileParams
from synth.gate.trace import Trace
from synth.gate.vcd import read_trace


@dataclass(frozen=True)
class RecordedWindow:
    """``cycles`` cycles of an image from its cycle ``first`` on (1 is the first one). layers: name and row of the trace
    from which it is computed, in order; "start" before any."""

    file: str
    increment: int
    fraction: float
    image: int
    first: int
    cycles: int
    layers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Recording:
    """header: all of index.json but what stands in the other fields."""

    folder: Path
    what: str
    params: TileParams
    verilog_sha256: str
    scope: str
    clock: str
    neurons: tuple[int, ...]
    windows: tuple[RecordedWindow, ...]
    header: dict[str, Any]

    def neuron(self, window: RecordedWindow, number: int) -> Trace:
        """All signals of one neuron, its ports among them."""
        if number not in self.neurons:
            raise BadInput(f"{self.folder}: the insides of neurons {list(self.neurons)} are recorded, not of {number}")
        return read_trace(self.folder / window.file, f"{self.scope}.nfu.neuron_{number}", clock=self.clock)

    def rest(self, window: RecordedWindow, signals: Collection[str] | None = None) -> Trace:
        """Signals of the tile but those inside of neurons, whose outermost level (with the ports) is there; all of them
        or those named."""
        closed = [f"nfu.neuron_{number}" for number in range(self.params.neurons)]
        return read_trace(self.folder / window.file, self.scope, signals, clock=self.clock, closed=closed)


def read_recording(folder: Path) -> Recording:
    """Read the index of a folder of recordings."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        windows = tuple(
            RecordedWindow(**{**window, "layers": tuple((name, row) for name, row in window["layers"])})
            for window in index.pop("windows")
        )
        return Recording(
            folder=folder,
            what=index.pop("what"),
            params=TileParams.from_dict(index.pop("tile")),
            verilog_sha256=index.pop("verilog_sha256"),
            scope=index.pop("scope"),
            clock=index.pop("clock"),
            neurons=tuple(index.pop("neurons")),
            windows=windows,
            header=index,
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder}: a folder of recordings with its index.json is wanted ({error}): record it") from None
