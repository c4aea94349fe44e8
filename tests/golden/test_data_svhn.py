"""SVHN's .mat files, small, and every refusal."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from golden import data
from hw.errors import BadInput


def write(root: Path, **variables: np.ndarray) -> Path:
    path = root / "svhn" / "test_32x32.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=True)
    return path


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)


def test_a_mat_file_is_read_and_10_is_the_digit_0(tmp_path: Path) -> None:
    wanted = pixels(3)
    path = write(tmp_path, X=wanted, y=np.array([[10], [1], [9]], np.uint8))
    found = data.load("svhn", "test", tmp_path)
    assert found.labels.tolist() == [0, 1, 9]
    assert found.images[1, 2, 5, 7] == wanted[5, 7, 2, 1]
    assert np.array_equal(found.images.numpy(), wanted.transpose(3, 2, 0, 1))
    assert (found.name, found.split, found.shape, found.source) == ("svhn", "test", (3, 32, 32), str(path))


def test_a_missing_file_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^svhn train: none of train_32x32.mat is in .*svhn; run `make data`, or name"):
        data.load("svhn", "train", tmp_path)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"X": pixels(2)}, r"the variables X and y are wanted, y not found$"),
        ({"z": pixels(2)}, r"the variables X and y are wanted, X and y not found$"),
        ({"X": pixels(2).astype(np.float64), "y": np.ones(2)}, r"X wants uint8 \[32, 32, 3, N\], not float64 \[32,"),
        ({"X": pixels(2)[:28], "y": np.ones(2)}, r"X wants uint8 \[32, 32, 3, N\], not uint8 \[28, 32, 3, 2\]$"),
        ({"X": pixels(2), "y": np.ones(3)}, r"2 images want as many labels in y, not 3$"),
        ({"X": pixels(2), "y": np.array([0, 1])}, r"labels want 1 to 10 \(10 is the digit 0\), not 0 to 1$"),
        ({"X": pixels(2), "y": np.array([11, 1])}, r"labels want 1 to 10 \(10 is the digit 0\), not 1 to 11$"),
        ({"X": pixels(2), "y": np.array([1.5, 1])}, r"labels want 1 to 10 \(10 is the digit 0\), not 1.0 to 1.5$"),
    ],
)
def test_wrong_variables_are_refused(tmp_path: Path, variables: dict[str, np.ndarray], message: str) -> None:
    write(tmp_path, **variables)
    with pytest.raises(BadInput, match=message):
        data.load("svhn", "test", tmp_path)


@pytest.mark.parametrize("kept", [0, 64, 200, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path, X=pixels(3), y=np.array([1, 2, 3]))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(
        BadInput, match=r"test_32x32.mat: (a whole MATLAB 5 file is wanted, this one is|the variables X)"
    ):
        data.load("svhn", "test", tmp_path)


def test_a_corrupt_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, X=pixels(3), y=np.array([1, 2, 3]))
    whole = bytearray(path.read_bytes())
    whole[1000:1100] = bytes(100)
    path.write_bytes(whole)
    with pytest.raises(BadInput, match=r"a whole MATLAB 5 file is wanted, this one is truncated or corrupt \("):
        data.load("svhn", "test", tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, X=pixels(1), y=np.ones(1))
    path.write_bytes(b"<html>404 not found</html>" * 40)
    with pytest.raises(BadInput, match=r"a whole MATLAB 5 file is wanted"):
        data.load("svhn", "test", tmp_path)
