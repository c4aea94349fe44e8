"""What a product costs a neuron in each layer: at gate level, by the calibrated model and at one energy a multiply."""

from collections.abc import Mapping, Sequence

import numpy as np

from synth.gate.blocks import NEURON_BLOCKS
from synth.gate.calibrate import Calibrated, windows_of
from synth.gate.fit import constant_per_mac
from synth.gate.recording import RecordedWindow
from synth.gate.reference import WINDOW, Simulated

_BLOCKS = tuple(NEURON_BLOCKS.values())


def layer_of_rows(window: RecordedWindow, rows: int) -> list[str]:
    """The layer that each of the ``rows`` energies of a window is of; "" where two layers share its cycles."""
    found = []
    for first in range(0, rows * WINDOW, WINDOW):
        before = [name for name, row in window.layers if row <= first]
        during = [name for name, row in window.layers if first < row < first + WINDOW]
        found.append(before[-1] if before and not during else "")
    return found


def product_energies(
    model: Calibrated, fitted: Mapping[str, Sequence[Simulated]], tested: Mapping[str, Sequence[Simulated]]
) -> dict[str, dict[str, float]]:
    """By network, increment and layer of the test stimulus: ``products`` of the simulated neurons and, in pJ for each
    one, ``gate_pj``, ``activity_pj`` and ``table_pj`` (one energy a multiply, fitted as the model is). The energy is
    that of whole neurons; layers without a product are left out."""
    windows = windows_of(tested, _BLOCKS)
    activity_pj = model.of_blocks(_BLOCKS).energy_pj(windows)
    table = constant_per_mac(windows_of(fitted, _BLOCKS)).prices_pj["multiply"]
    labels = np.array(
        [
            f"{label} {item.window.fraction:g} {layer}" if layer else ""
            for label, items in tested.items()
            for item in items
            for layer in layer_of_rows(item.window, len(item.energy_pj))
        ]
    )
    found = {}
    for label in dict.fromkeys(labels.tolist()):
        rows = labels == label
        products = float(windows.column("multiply")[rows].sum())
        if label and products:
            found[label] = {
                "products": products,
                "gate_pj": float(windows.energy_pj[rows].sum()) / products,
                "activity_pj": float(activity_pj[rows].sum()) / products,
                "table_pj": table,
            }
    return found
