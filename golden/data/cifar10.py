"""CIFAR-10: python batches, binary batches, or a zip of images ``train|test/<class>/NNNN.jpg``."""

import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from golden.data.files import missing
from golden.data.image_set import ImageSet
from hw.errors import BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
BYTES = 3 * 32 * 32
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
# What a batch of the python form may name when it is unpickled: arrays of numbers, nothing that runs.
SAFE: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
} | {
    (f"numpy.{core}.multiarray", "_reconstruct"): np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    for core in ("core", "_core")
}
Labelled = tuple[np.ndarray, np.ndarray]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in SAFE:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return SAFE[module, name]


def read(split: str, folder: Path) -> ImageSet:
    """One split of CIFAR-10: the first form found in ``folder``."""
    forms: list[tuple[str, Callable[[str, Path], Labelled]]] = [
        ("cifar-10-batches-py", _python_batches),
        ("cifar-10-batches-bin", _binary_batches),
        ("cifar10.zip", _image_zip),
        ("cifar10-jpeg.zip", _image_zip),
    ]
    for name, reader in forms:
        if (folder / name).exists():
            pixels, labels = reader(split, folder / name)
            images = torch.from_numpy(pixels.reshape(-1, *SHAPE).copy())
            return ImageSet(images, torch.from_numpy(labels.astype(np.int64)), "cifar10", split, str(folder / name))
    raise missing(folder, [name for name, _ in forms], f"cifar10 {split}")


def _python_batches(split: str, folder: Path) -> Labelled:
    parts = [_python_batch(_batch(folder, name)) for name in BATCHES[split]]
    return np.concatenate([data for data, _ in parts]), np.concatenate([labels for _, labels in parts])


def _batch(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise missing(folder, [name], "cifar10")
    return folder / name


def _python_batch(path: Path) -> Labelled:
    try:
        batch = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        data, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BadInput(
            f"{path}: a CIFAR-10 python batch with data and labels is wanted; unpickling failed: {error}"
        ) from None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != BYTES:
        came = f"{data.dtype} {list(data.shape)}" if isinstance(data, np.ndarray) else type(data).__name__
        raise BadInput(f"{path}: data want uint8 [N, {BYTES}], not {came}")
    if labels.shape != data.shape[:1]:
        raise BadInput(f"{path}: {len(data)} images want as many labels, not {labels.size}")
    return data, labels


def _binary_batches(split: str, folder: Path) -> Labelled:
    parts = [_binary_batch(_batch(folder, f"{name}.bin")) for name in BATCHES[split]]
    rows = np.concatenate(parts)
    return rows[:, 1:], rows[:, 0]


def _binary_batch(path: Path) -> np.ndarray:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    if len(data) == 0 or len(data) % (1 + BYTES):
        raise BadInput(f"{path}: rows of {1 + BYTES} bytes are wanted, {len(data)} bytes are no whole number of them")
    return data.reshape(-1, 1 + BYTES)


def _image_zip(split: str, path: Path) -> Labelled:
    """Images in the order of their numbers, the classes by turns, so that any prefix is balanced."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/") for name in archive.namelist() if name.startswith(f"{split}/") and name[-1] != "/"]
            if not names:
                raise BadInput(f"{path}: images {split}/<class>/NNNN.jpg are wanted, there are none")
            for parts in names:
                if len(parts) != 3 or parts[1] not in CLASSES:
                    raise BadInput(f"{path}: {'/'.join(parts)} wants a class of {', '.join(CLASSES)} as its folder")
            names.sort(key=lambda parts: (parts[2], parts[1]))
            pixels = [_pixels(path, "/".join(parts), archive.read("/".join(parts))) for parts in names]
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadInput(f"{path}: a whole zip file is wanted, this one is truncated or corrupt ({error})") from None
    return np.stack(pixels), np.array([CLASSES.index(parts[1]) for parts in names])


def _pixels(path: Path, name: str, data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            values = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError):  # Pillow's words for unreadable, truncated and malformed images
        raise BadInput(f"{path}: {name} is no readable image") from None
    if values.shape != (32, 32, 3):
        raise BadInput(f"{path}: {name} wants 32x32 pixels, not {values.shape[0]}x{values.shape[1]}")
    return values.transpose(2, 0, 1)
