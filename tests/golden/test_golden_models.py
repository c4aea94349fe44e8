"""Golden models in a file: what is saved is loaded, and what is not whole is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch

from golden import golden_models
from golden.networks import lenet, narrow
from hw.errors import BadInput
from hw.params import NumberFormat

METADATA = {"network": "lenet", "dataset": "mnist", "seed": 1, "command": "made"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    whole = lenet()
    found = golden_models.beside(tmp_path / "a.npz")
    golden_models.save(found, {1.0: whole, 0.2: narrow(whole, 0.2)}, METADATA)
    assert found.name == "a-golden.npz"
    return found


def change(path: Path, **arrays: np.ndarray | None) -> None:
    with np.load(path) as archive:
        values = {name: archive[name] for name in archive.files} | arrays
    np.savez(path, **{name: value for name, value in values.items() if value is not None})


def test_models_are_those_that_were_saved(path: Path) -> None:
    found = golden_models.load(path)
    assert list(found.models) == [0.2, 1.0]
    for few, more in zip(found.models[0.2].parameters(), found.models[1.0].parameters(), strict=True):
        assert torch.equal(few, more[tuple(slice(size) for size in few.shape)])
    integer = found.integer(NumberFormat(16, 10))
    assert [network.channels for network in integer.values()] == [(4, 10, 100, 10), (20, 50, 500, 10)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"metadata": np.array("{}")}, "metadata of golden models are wanted, as `tilewatt train` writes them"),
        ({"metadata": None}, "metadata of golden models are wanted, as `tilewatt train` writes them"),
        ({"0.2/0.weight": None}, "golden models of lenet want their arrays, these differ: 0.2/0.weight"),
        ({"1/0.bias": np.zeros(3, np.float32)}, r"1/0.bias wants float32 \[20\], not float32 \[3\]"),
    ],
)
def test_broken_files_are_refused(path: Path, arrays: dict[str, np.ndarray | None], message: str) -> None:
    change(path, **arrays)
    with pytest.raises(BadInput, match=f"^{path}: {message}$"):
        golden_models.load(path)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a file of golden models \(.npz\) is wanted, there is none"):
        golden_models.load(tmp_path / "none.npz")
