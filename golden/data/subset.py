"""A few images of a data set in one small .npz file, to be kept with the sources."""

from pathlib import Path

import numpy as np
import torch

from golden.data.image_set import ImageSet
from golden.npz import read_npz
from hw.errors import BadInput, atomic_path

ARRAYS = ("images", "labels", "name", "split", "source")


def save_subset(path: Path, images: ImageSet, attribution: str) -> None:
    """Write ``images`` with the words that say where they come from, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            images=images.images.numpy(),
            labels=images.labels.numpy().astype(np.uint8),
            name=np.array(images.name),
            split=np.array(images.split),
            source=np.array(attribution),
        )


def load_subset(path: Path) -> ImageSet:
    """Images that `save_subset` wrote; their ``source`` is the attribution."""
    path = Path(path)
    arrays = read_npz(path, "a file of images")
    if absent := [name for name in ARRAYS if name not in arrays]:
        raise BadInput(f"{path}: the arrays {', '.join(ARRAYS)} are wanted, {', '.join(absent)} not found")
    images, labels = arrays["images"], arrays["labels"]
    if images.dtype != np.uint8 or images.ndim != 4:
        raise BadInput(f"{path}: images want uint8 [N, C, H, W], not {images.dtype} {list(images.shape)}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise BadInput(
            f"{path}: {len(images)} images want as many uint8 labels, not {labels.dtype} {list(labels.shape)}"
        )
    return ImageSet(
        torch.from_numpy(images),
        torch.from_numpy(labels.astype(np.int64)),
        *(str(arrays[name]) for name in ("name", "split", "source")),
    )
