"""SVHN, cropped digits: ``train_32x32.mat`` and ``test_32x32.mat`` (Netzer et al. 2011)."""

import zlib
from pathlib import Path

import numpy as np
import scipy.io
import torch
from scipy.io.matlab import MatReadError

from golden.data.files import first_existing
from golden.data.image_set import ImageSet
from hw.errors import BadInput


def read(split: str, folder: Path) -> ImageSet:
    """One split: X uint8 [32,32,3,N] and y [N,1] of 1 to 10, in which 10 is the digit 0."""
    path = first_existing(folder, [f"{split}_32x32.mat"], f"svhn {split}")
    try:
        content = scipy.io.loadmat(path)
    except (
        MatReadError,
        ValueError,
        TypeError,
        OSError,
        EOFError,
        KeyError,
        IndexError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise BadInput(f"{path}: a whole MATLAB 5 file is wanted, this one is truncated or corrupt ({error})") from None
    if absent := [name for name in ("X", "y") if name not in content]:
        raise BadInput(f"{path}: the variables X and y are wanted, {' and '.join(absent)} not found")
    pixels, labels = content["X"], content["y"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3):
        raise BadInput(f"{path}: X wants uint8 [32, 32, 3, N], not {pixels.dtype} {list(pixels.shape)}")
    if labels.size != pixels.shape[3]:
        raise BadInput(f"{path}: {pixels.shape[3]} images want as many labels in y, not {labels.size}")
    if labels.size and not (np.isin(labels, range(1, 11)).all()):
        raise BadInput(f"{path}: labels want 1 to 10 (10 is the digit 0), not {labels.min()} to {labels.max()}")
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)))
    return ImageSet(images, torch.from_numpy(labels.reshape(-1).astype(np.int64) % 10), "svhn", split, str(path))
