"""Image sets, the reader by name, and MNIST's IDX files: every refusal, on small files of the same form."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from golden import data
from golden.data.image_set import ImageSet
from hw.errors import BadInput


def idx_bytes(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.astype(np.uint8).tobytes()


def pixels(count: int, high: int = 28, wide: int = 28) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, high, wide), dtype=np.uint8)


def write_mnist(root: Path, images: np.ndarray, labels: np.ndarray, name: str = "mnist", prefix: str = "t10k") -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return folder


LABELS = np.array([3, 0, 9, 7])


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_is_read(tmp_path: Path, name: str, split: str, prefix: str) -> None:
    wanted = pixels(4)
    folder = write_mnist(tmp_path, wanted, LABELS, name, prefix)
    found = data.load(name, split, tmp_path)
    assert np.array_equal(found.images.numpy(), wanted[:, None])
    assert found.labels.tolist() == LABELS.tolist()
    assert found.images.dtype == torch.uint8
    assert found.labels.dtype == torch.int64
    assert (found.name, found.split, found.shape, len(found)) == (name, split, (1, 28, 28), 4)
    assert found.source == str(folder / f"{prefix}-images-idx3-ubyte")


def test_gzipped_idx_is_read_alike(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path, pixels(4), LABELS)
    plain = data.load("mnist", "test", tmp_path)
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = data.load("mnist", "test", tmp_path)
    assert torch.equal(packed.images, plain.images)
    assert torch.equal(packed.labels, plain.labels)
    assert packed.source.endswith(".gz")


def test_a_missing_file_says_what_was_looked_for(tmp_path: Path) -> None:
    wanted = (
        "mnist test images: none of t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz is in "
        f"{tmp_path / 'mnist'}; run `make data`, or name another folder with --data"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(wanted)}$"):
        data.load("mnist", "test", tmp_path)


def test_missing_labels_are_told_apart(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path, pixels(4), LABELS)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BadInput, match=r"^mnist test labels: none of t10k-labels-idx1-ubyte, t10k-labels"):
        data.load("mnist", "test", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"wants the magic 00000803, not nothing$"),
        (b"PK\3\4 some other file", r"an IDX file of bytes wants the magic 00000803, not 504b0304$"),
        (bytes([0, 0, 0x0D, 3]) + bytes(12), r"wants the magic 00000803, not 00000d03$"),
        (bytes([0, 0, 8, 3, 0, 0]), r"the IDX header wants 16 bytes, the file has 6; fetch it again$"),
        (idx_bytes(pixels(4))[:-1], r"sizes \[4, 28, 28\] want 3152 bytes, the file has 3151; fetch it again$"),
        (idx_bytes(pixels(4)) + b"x", r"sizes \[4, 28, 28\] want 3152 bytes, the file has 3153; fetch it again$"),
        (idx_bytes(pixels(4, 28, 27)), r"images want 28x28 pixels, not 28x27$"),
        (idx_bytes(pixels(5)), r"5 images want as many labels, not 4; fetch both again$"),
    ],
)
def test_broken_images_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = write_mnist(tmp_path, pixels(4), LABELS)
    (folder / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        data.load("mnist", "test", tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-20], lambda whole: b"no gzip", lambda whole: whole[:30] + b"x"]
)
def test_a_broken_gzip_file_is_refused(tmp_path: Path, damage) -> None:
    folder = write_mnist(tmp_path, pixels(4), LABELS)
    path = folder / "t10k-images-idx3-ubyte"
    path.with_name(path.name + ".gz").write_bytes(damage(gzip.compress(path.read_bytes())))
    path.unlink()
    with pytest.raises(BadInput, match=r"ubyte\.gz: a whole gzip file is wanted, this one is broken \(.+\); fetch it"):
        data.load("mnist", "test", tmp_path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, pixels(4), np.array([3, 0, 10, 7]))
    with pytest.raises(BadInput, match=r"t10k-images-idx3-ubyte: labels want 0 to 9, not 10$"):
        data.load("mnist", "test", tmp_path)


def test_no_images_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, pixels(0), LABELS[:0])
    with pytest.raises(BadInput, match=r"images are wanted, the file holds none$"):
        data.load("mnist", "test", tmp_path)


def test_an_unknown_data_set_or_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data set wants one of mnist, fashion-mnist, cifar10, svhn, not 'imagenet'$"):
        data.load("imagenet", "test", tmp_path)
    with pytest.raises(BadInput, match=r"^split wants train or test, not 'valid'$"):
        data.load("mnist", "valid", tmp_path)


def test_an_image_set_checks_itself() -> None:
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(BadInput, match=r"^here: images want uint8 \[N,C,H,W\], not torch.float32 \[2, 1, 4, 4\]$"):
        ImageSet(images.float(), labels, "a", "test", "here")
    with pytest.raises(BadInput, match=r"^here: images want uint8 \[N,C,H,W\], not torch.uint8 \[1, 4, 4\]$"):
        ImageSet(images[0], labels, "a", "test", "here")
    with pytest.raises(BadInput, match=r"^here: 2 images want as many int64 labels, not torch.int64 \[1\]$"):
        ImageSet(images, labels[:1], "a", "test", "here")
    with pytest.raises(BadInput, match=r"^here: 2 images want as many int64 labels, not torch.int32 \[2\]$"):
        ImageSet(images, labels.int(), "a", "test", "here")
    with pytest.raises(BadInput, match=r"^here: labels want 0 to 9, not -1$"):
        ImageSet(images, labels - 1, "a", "test", "here")


def test_part_keeps_the_order_and_scale_is_exact() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    whole = ImageSet(images, torch.zeros(256, dtype=torch.int64), "a", "test", "here")
    assert whole.part(torch.tensor([200, 3])).images.flatten().tolist() == [200, 3]
    scaled = data.scale(whole.images)
    assert scaled.dtype == torch.float32
    assert (scaled.flatten() * 1024).tolist() == [4 * value for value in range(256)]
