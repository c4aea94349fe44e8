"""MNIST and Fashion-MNIST: IDX files (LeCun's format), plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from golden.data.files import first_existing
from golden.data.image_set import ImageSet
from hw.errors import BadInput

PREFIX = {"train": "train", "test": "t10k"}
UINT8 = 0x08  # IDX type code of unsigned bytes, the only one these data sets use


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Unsigned bytes of an IDX file as an array with ``dimensions`` axes."""
    data = content(path)
    header = 4 + 4 * dimensions
    magic = bytes([0, 0, UINT8, dimensions])
    if data[:4] != magic:
        raise BadInput(f"{path}: an IDX file of bytes wants the magic {magic.hex()}, not {data[:4].hex() or 'nothing'}")
    if len(data) < header:
        raise BadInput(f"{path}: the IDX header wants {header} bytes, the file has {len(data)}; fetch it again")
    sizes = [int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4)]
    if len(data) != header + math.prod(sizes):
        raise BadInput(
            f"{path}: sizes {sizes} want {header + math.prod(sizes)} bytes, the file has {len(data)}; fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(sizes)


def content(path: Path) -> bytes:
    """Bytes of a file, unpacked if its name ends in .gz."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: a whole gzip file is wanted, this one is broken ({error}); fetch it again") from None


def read(name: str, split: str, folder: Path) -> ImageSet:
    """One split from ``<prefix>-images-idx3-ubyte[.gz]`` and ``<prefix>-labels-idx1-ubyte[.gz]`` in ``folder``."""
    found = []
    for kind, dimensions in (("images", 3), ("labels", 1)):
        stem = f"{PREFIX[split]}-{kind}-idx{dimensions}-ubyte"
        path = first_existing(folder, [stem, f"{stem}.gz"], f"{name} {split} {kind}")
        found.append((path, read_idx(path, dimensions)))
    (path, images), (label_path, labels) = found
    if images.shape[1:] != (28, 28):
        raise BadInput(f"{path}: images want 28x28 pixels, not {images.shape[1]}x{images.shape[2]}")
    if len(images) != len(labels):
        raise BadInput(f"{label_path}: {len(images)} images want as many labels, not {len(labels)}; fetch both again")
    pixels = torch.from_numpy(images.copy()).unsqueeze(1)
    return ImageSet(pixels, torch.from_numpy(labels.astype(np.int64)), name, split, str(path))
