"""The images that training held out, and every increment's exact scores on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from golden import data, integer
from golden.checkpoint import Checkpoint
from golden.evaluate import check_images
from golden.margin import Scores, winner
from golden.network import Network
from golden.quantise import quantise
from golden.train import split
from golden.training.chain import digest
from hw.errors import BadInput

BATCH = 500


@dataclass(frozen=True, eq=False)
class Validation:
    """scores: exact wide sums of every increment, [images, classes] each. labels: [images]. source: in words."""

    scores: tuple[Scores, ...]
    labels: NDArray[np.int64]
    source: str

    def right(self) -> NDArray[np.bool_]:
        """Which decisions of every increment are right, [increments, images]."""
        return np.array([winner(wide) == self.labels for wide in self.scores])


def held_out(checkpoint: Checkpoint, root: Path) -> data.ImageSet:
    """The images that the checkpoint's training held out of the training set; the test set is not opened.

    Raises BadInput where the checkpoint does not say which they were, or the data are not those it was trained on.
    """
    known = checkpoint.metadata
    count, hashes = known.get("validation_images"), known.get("data_sha256")
    if not isinstance(count, int) or not isinstance(hashes, dict) or "train" not in hashes:
        raise BadInput(
            f"a plan wants a checkpoint that says which images its training held out (validation_images, data_sha256), "
            f"that of {checkpoint.network} on {checkpoint.dataset} does not: train it again with `tilewatt train`"
        )
    whole = data.load(checkpoint.dataset, "train", root)
    check_images(checkpoint, whole)
    if (found := digest(whole)) != hashes["train"]:
        raise BadInput(
            f"{whole.source}: the images that the checkpoint was trained on are wanted, of SHA-256 "
            f"{hashes['train'][:12]}, not {found[:12]}: others may have been held out"
        )
    return split(whole, count, checkpoint.seed)[1]


def validation(checkpoint: Checkpoint, images: data.ImageSet, networks: tuple[Network, ...]) -> Validation:
    """Scores of quantised ``networks`` on ``images``, as the margin controller takes them: before rounding."""
    found = []
    for fraction, network in zip(checkpoint.fractions, networks, strict=True):
        assert network.fmt is not None
        parts = tqdm(images.images.split(BATCH), f"scores at {fraction:g}", leave=False, disable=None, unit="batch")
        wide = [integer.scores(network, quantise(data.scale(part), network.fmt)).numpy() for part in parts]
        found.append(np.concatenate(wide))
    source = f"{len(images):,} images held out of {images.name} {images.split} by seed {checkpoint.seed}"
    return Validation(tuple(found), images.labels.numpy(), source)
