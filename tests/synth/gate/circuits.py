"""Small netlists of fixture.lib by net names, for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synth.gate.liberty import read_library
from synth.gate.netlist import Netlist

FIXTURE = Path(__file__).parent / "fixture.lib"
LIBRARY = read_library([FIXTURE])


def circuit(
    cells: Sequence[tuple[str, str, str]],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    clock: str = "",
) -> Netlist:
    """cells: (name, type, "PIN=net PIN=net ..."); every net is a signal of one bit of its own name; nets 0 and 1 are
    the constants."""
    numbers: dict[str, int] = {"0": 0, "1": 1}
    pins = []
    for _, _, text in cells:
        given = dict(pair.split("=") for pair in text.split())
        pins.append({pin: numbers.setdefault(net, len(numbers)) for pin, net in given.items()})
    for net in (*inputs, *outputs):
        numbers.setdefault(net, len(numbers))
    return Netlist(
        top="circuit",
        nets=len(numbers),
        cells=tuple(name for name, _, _ in cells),
        types=tuple(kind for _, kind, _ in cells),
        pins=tuple(pins),
        blocks=("all",),
        block=np.zeros(len(cells), dtype=np.int32),
        signals={name: (net,) for name, net in numbers.items() if net > 1},
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        clock=clock,
    )
