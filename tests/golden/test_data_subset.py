"""The committed images, and files of images that are broken."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from golden import data
from hw.errors import BadInput

COMMITTED = Path(__file__).resolve().parents[2] / "checkpoints" / "mnist-test-1000.npz"


def parts() -> dict[str, np.ndarray]:
    images = np.random.default_rng(5).integers(0, 256, (4, 1, 6, 7), dtype=np.uint8)
    labels = np.array([1, 2, 3, 9], np.uint8)
    names = {"name": "some", "split": "test", "source": "of someone"}
    return {"images": images, "labels": labels, **{key: np.array(value) for key, value in names.items()}}


def test_the_committed_images_are_mnist_s_first_thousand() -> None:
    """Their hash was taken from the first 1,000 records of t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte."""
    found = data.load_subset(COMMITTED)
    assert (found.images.shape, found.name, found.split) == ((1000, 1, 28, 28), "mnist", "test")
    assert "LeCun" in found.source
    records = found.images.numpy().tobytes() + found.labels.to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(records).hexdigest() == "433b45373ea5854af220ecaa5779542557e32a893fbaf90aa26d1e31123335de"
    assert found.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_a_subset_reads_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, **parts())
    first = data.load_subset(tmp_path / "a.npz")
    data.save_subset(tmp_path / "b.npz", first.part(slice(1, 3)), "by hand")
    second = data.load_subset(tmp_path / "b.npz")
    assert torch.equal(second.images, first.images[1:3])
    assert torch.equal(second.labels, first.labels[1:3])
    assert (second.name, second.split, second.source) == ("some", "test", "by hand")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.npz: a file of images \(.npz\) is wanted, there is none$"):
        data.load_subset(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0, 3, 50, -1, -50])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, allow_pickle=False, **parts())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        BadInput, match=r"a file of images \(.npz\) is wanted whole, this file is truncated or corrupt$"
    ):
        data.load_subset(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((4, 1, 6, 7))}, r"images want uint8 \[N, C, H, W\], not float64 \[4, 1, 6, 7\]$"),
        ({"images": np.zeros((4, 42), np.uint8)}, r"images want uint8 \[N, C, H, W\], not uint8 \[4, 42\]$"),
        ({"labels": np.zeros(3, np.uint8)}, r"4 images want as many uint8 labels, not uint8 \[3\]$"),
        ({"labels": np.zeros(4)}, r"4 images want as many uint8 labels, not float64 \[4\]$"),
        ({"labels": np.full(4, 10, np.uint8)}, r"labels want 0 to 9, not 10$"),
        ({"labels": None, "split": None}, r"images, labels, name, split, source are wanted, labels, split not found$"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, changes: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {name: value for name, value in {**parts(), **changes}.items() if value is not None}
    np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)
    with pytest.raises(BadInput, match=message):
        data.load_subset(tmp_path / "a.npz")
