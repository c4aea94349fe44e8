"""CIFAR-10 in its three forms, small, and every refusal."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from golden import data
from golden.data.cifar10 import CLASSES
from hw.errors import BadInput

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def batch(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 3072), dtype=np.uint8), generator.integers(0, 10, count)


def write_python(root: Path, count: int = 3) -> Path:
    folder = root / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate([*TRAIN, "test_batch"]):
        pixels, labels = batch(count, seed)
        content = {b"data": pixels, b"labels": labels.tolist(), b"filenames": [b"a.png"] * count}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def write_binary(root: Path, count: int = 3) -> Path:
    folder = root / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, name in enumerate([*TRAIN, "test_batch"]):
        pixels, labels = batch(count, seed)
        rows = np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_zip(root: Path, files: dict[str, bytes], name: str = "cifar10-jpeg.zip") -> Path:
    path = root / "cifar10" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in files.items():
            archive.writestr(entry, content)
    return path


@pytest.mark.parametrize("write", [write_python, write_binary])
def test_batches_are_read(tmp_path: Path, write) -> None:
    folder = write(tmp_path)
    train, test = (data.load("cifar10", split, tmp_path) for split in data.SPLITS)
    wanted = [batch(3, seed) for seed in range(6)]
    assert np.array_equal(train.images.numpy().reshape(15, 3072), np.concatenate([p for p, _ in wanted[:5]]))
    assert train.labels.tolist() == np.concatenate([labels for _, labels in wanted[:5]]).tolist()
    assert np.array_equal(test.images.numpy().reshape(3, 3072), wanted[5][0])
    assert (test.name, test.split, test.shape, test.source) == ("cifar10", "test", (3, 32, 32), str(folder))


def test_channels_come_before_rows(tmp_path: Path) -> None:
    write_python(tmp_path)
    pixels, _ = batch(3, 5)
    image = data.load("cifar10", "test", tmp_path).images[1]
    assert image[2, 5, 7] == pixels[1, 2 * 1024 + 5 * 32 + 7]


def test_images_of_a_zip_are_read_with_the_classes_by_turns(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    pictures = {
        f"test/{name}/{number:04}.png": generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        for name in CLASSES
        for number in range(2)
    }
    write_zip(tmp_path, {name: encoded(pixels) for name, pixels in pictures.items()} | {"train/cat/0000.jpg": b""})
    found = data.load("cifar10", "test", tmp_path)
    assert found.labels.tolist() == [*range(10), *range(10)]
    wanted = pictures["test/cat/0001.png"].transpose(2, 0, 1)
    assert np.array_equal(found.images[13].numpy(), wanted)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    flat = np.full((32, 32, 3), 200, np.uint8)
    write_zip(tmp_path, {"train/ship/0000.jpg": encoded(flat, "JPEG")})
    found = data.load("cifar10", "train", tmp_path)
    assert found.labels.tolist() == [8]
    assert torch.equal(found.images, torch.full((1, 3, 32, 32), 200, dtype=torch.uint8))


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    wanted = (
        "cifar10 train: none of cifar-10-batches-py, cifar-10-batches-bin, cifar10.zip, cifar10-jpeg.zip is in "
        f"{tmp_path / 'cifar10'}; run `make data`"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(wanted)}"):
        data.load("cifar10", "train", tmp_path)


@pytest.mark.parametrize(("write", "name"), [(write_python, "data_batch_4"), (write_binary, "data_batch_4.bin")])
def test_a_missing_batch_is_named(tmp_path: Path, write, name: str) -> None:
    (write(tmp_path) / name).unlink()
    with pytest.raises(BadInput, match=rf"^cifar10: none of {name} is in "):
        data.load("cifar10", "train", tmp_path)


class Runs:
    """Pickles to a call, as a malicious file would."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a CIFAR-10 python batch .*wanted"),
        (b"garbage", r"a CIFAR-10 python batch .*wanted"),
        (pickle.dumps({b"data": batch(3, 0)[0], b"labels": [1, 2, 3]}, 2)[:-9000], r"a CIFAR-10 python batch .*wanted"),
        (pickle.dumps({b"labels": [1]}, 2), r"a CIFAR-10 python batch .*wanted.*data"),
        (pickle.dumps({b"data": Runs(), b"labels": [1]}, 2), r"a CIFAR-10 python batch .*wanted.*builtin.*eval"),
        (pickle.dumps({b"data": [1], b"labels": [1]}, 2), r"data want uint8 \[N, 3072\], not list$"),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.int64), b"labels": [1, 1]}, 2),
            r"data want uint8 \[N, 3072\], not int64 \[2, 3072\]$",
        ),
        (
            pickle.dumps({b"data": np.zeros((2, 784), np.uint8), b"labels": [1, 1]}, 2),
            r"data want uint8 \[N, 3072\], not uint8 \[2, 784\]$",
        ),
        (pickle.dumps({b"data": batch(3, 0)[0], b"labels": [1, 2]}, 2), r"3 images want as many labels, not 2$"),
        (pickle.dumps({b"data": batch(1, 0)[0], b"labels": [12]}, 2), r"labels want 0 to 9, not 12$"),
    ],
)
def test_a_broken_python_batch_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (write_python(tmp_path) / "test_batch").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        data.load("cifar10", "test", tmp_path)


@pytest.mark.parametrize("size", [0, 3072, 3 * 3073 - 1])
def test_a_broken_binary_batch_is_refused(tmp_path: Path, size: int) -> None:
    (write_binary(tmp_path) / "test_batch.bin").write_bytes(bytes(size))
    with pytest.raises(BadInput, match=rf"rows of 3073 bytes are wanted, {size} bytes are no whole number of them$"):
        data.load("cifar10", "test", tmp_path)


def test_a_binary_label_out_of_range_is_refused(tmp_path: Path) -> None:
    (write_binary(tmp_path) / "test_batch.bin").write_bytes(bytes([77]) + bytes(3072))
    with pytest.raises(BadInput, match=r"labels want 0 to 9, not 77$"):
        data.load("cifar10", "test", tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"train/cat/0.png": encoded(np.zeros((32, 32, 3), np.uint8))},
            r"images test/<class>/NNNN.jpg are wanted, there",
        ),
        ({"test/frogs/0.png": b""}, r"test/frogs/0.png wants a class of airplane, .*, truck as its folder$"),
        ({"test/0.png": b""}, r"test/0.png wants a class of airplane"),
        ({"test/cat/0.png": b"no image"}, r"test/cat/0.png is no readable image$"),
        ({"test/cat/0.png": encoded(np.zeros((32, 32, 3), np.uint8))[:60]}, r"test/cat/0.png is no readable image$"),
        (
            {"test/cat/0.png": encoded(np.zeros((28, 30, 3), np.uint8))},
            r"test/cat/0.png wants 32x32 pixels, not 28x30$",
        ),
    ],
)
def test_a_wrong_zip_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    write_zip(tmp_path, files)
    with pytest.raises(BadInput, match=message):
        data.load("cifar10", "test", tmp_path)


def test_a_truncated_or_corrupt_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path, {"test/cat/0.png": encoded(np.zeros((32, 32, 3), np.uint8))})
    whole = path.read_bytes()
    for broken in (whole[:-30], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match=r"a whole zip file is wanted, this one is truncated or corrupt \("):
            data.load("cifar10", "test", tmp_path)
