"""Which layer a window's cycles are of."""

from synth.gate.layers import layer_of_rows
from synth.gate.recording import RecordedWindow


def test_rows_of_two_layers_are_of_none() -> None:
    window = RecordedWindow("0.vcd", 0, 1.0, 0, 1, 500, (("start", 0), ("0", 100), ("3", 250), ("7", 400)))
    assert layer_of_rows(window, 5) == ["start", "0", "", "3", "7"]


def test_a_window_of_one_layer() -> None:
    assert layer_of_rows(RecordedWindow("0.vcd", 0, 1.0, 0, 1, 250, (("9", 0),)), 3) == ["9"] * 3
