"""Readers of the data sets, from a data folder, by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from golden.data import cifar10, idx, svhn
from golden.data.image_set import ImageSet, scale
from golden.data.subset import load_subset, save_subset
from hw.errors import BadInput

__all__ = ["READERS", "SPLITS", "ImageSet", "load", "load_subset", "save_subset", "scale"]

SPLITS = ("train", "test")
# name -> reader of (split, folder); the folder is <root>/<name>
READERS: dict[str, Callable[[str, Path], ImageSet]] = {
    "mnist": partial(idx.read, "mnist"),
    "fashion-mnist": partial(idx.read, "fashion-mnist"),
    "cifar10": cifar10.read,
    "svhn": svhn.read,
}


def load(dataset: str, split: str, root: Path) -> ImageSet:
    """One split (``train`` or ``test``) of a data set from ``root/<dataset>``; BadInput says what is wrong."""
    if dataset not in READERS:
        raise BadInput(f"data set wants one of {', '.join(READERS)}, not {dataset!r}")
    if split not in SPLITS:
        raise BadInput(f"split wants train or test, not {split!r}")
    return READERS[dataset](split, Path(root) / dataset)
