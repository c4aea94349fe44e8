"""Accuracy of every increment of a checkpoint on a set of images: float network, and integer golden model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from golden import integer
from golden.checkpoint import Checkpoint
from golden.data import ImageSet, scale
from golden.network import Network, read
from golden.quantise import quantise, quantise_network
from hw.errors import BadInput
from hw.params import NumberFormat


@dataclass(frozen=True)
class Accuracy:
    """Share of images classified rightly, 0 to 1, of one increment."""

    fraction: float
    float_: float
    golden: float


def integer_networks(checkpoint: Checkpoint, fmt: NumberFormat) -> list[Network]:
    """Every increment with integer codes of ``fmt``."""
    modules = [checkpoint.increment(i) for i in range(len(checkpoint.fractions))]
    return [quantise_network(read(module, checkpoint.input_shape), fmt) for module in modules]


def codes(images: ImageSet, fmt: NumberFormat) -> Tensor:
    """Images as int64 codes of ``fmt``, [N, C, H, W]."""
    return quantise(scale(images.images), fmt)


def check_images(checkpoint: Checkpoint, images: ImageSet) -> None:
    if images.shape != checkpoint.input_shape:
        raise BadInput(
            f"{checkpoint.network} wants images of {checkpoint.input_shape}, {images.source} has {images.shape}"
        )


def share(predicted: Tensor, labels: Tensor) -> float:
    """Part of the predictions that is right."""
    return float((predicted == labels).double().mean())


@torch.no_grad()
def float_accuracy(checkpoint: Checkpoint, images: ImageSet, increment: int, batch: int = 500) -> float:
    module = checkpoint.increment(increment)
    predicted = [module(scale(part)).argmax(1) for part in images.images.split(batch)]
    return share(torch.cat(predicted), images.labels)


def evaluate(checkpoint: Checkpoint, images: ImageSet, fmt: NumberFormat) -> Sequence[Accuracy]:
    """Accuracies of every increment on all ``images``."""
    check_images(checkpoint, images)
    inputs = codes(images, fmt)
    found = []
    for index, network in enumerate(integer_networks(checkpoint, fmt)):
        predicted = integer.scores(network, inputs).argmax(1)
        golden = share(predicted, images.labels)
        found.append(Accuracy(checkpoint.fractions[index], float_accuracy(checkpoint, images, index), golden))
    return found
