"""What a measurement is asked for: the increments that lie on the tile, and their thresholds."""

from pathlib import Path

import pytest

from cosim.measure import Request
from golden import checkpoint
from hw.errors import BadInput
from hw.params import preset

LENET = checkpoint.load(Path("checkpoints/lenet-mnist.npz"))
TILE = preset("paper32")


def test_all_increments_with_the_trained_thresholds() -> None:
    request = Request((0, 1, 2))
    assert request.chosen(LENET) == (0, 1, 2)
    real, registers = request.registers(LENET, TILE)
    assert real == LENET.thresholds_raw
    assert registers == [int(value * 2**32) for value in real]


def test_a_part_of_them_with_its_own_thresholds() -> None:
    request = Request((0, 1), "softmax", (0.75,), mapped=(0, 2))
    assert request.chosen(LENET) == (0, 2)
    assert request.registers(LENET, TILE) == ((0.75,), [49_152])
    assert Request((0,), "raw", (), mapped=(2,)).registers(LENET, TILE) == ((), [])


@pytest.mark.parametrize("mapped", [(), (0, 0), (2, 0), (0, 3), (-1, 2)])
def test_increments_that_are_not_there_are_refused(mapped: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="mapped increments want rising numbers of 0 to 2, not "):
        Request((0,), mapped=mapped).chosen(LENET)


def test_thresholds_have_to_fit_the_mapped_increments() -> None:
    with pytest.raises(BadInput, match="1 thresholds are wanted, one per increment but the last, not 2"):
        Request((0, 1), "raw", (1.0, 2.0), mapped=(0, 2)).registers(LENET, TILE)
    with pytest.raises(
        BadInput, match="trained thresholds are those of all increments: give thresholds for the mapped"
    ):
        Request((0, 1), mapped=(0, 2)).registers(LENET, TILE)
