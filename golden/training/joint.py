"""Joint training of a block-causal network: one pass of the full network trains every increment at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from golden.networks import IncrementalNetwork, weight_layers
from golden.training.fit import fitness
from golden.training.recipe import Recipe


def parameters(network: IncrementalNetwork) -> list[nn.Parameter]:
    """What a joint training moves: the hidden layers and every classifier.

    The full network's own last layer is a copy of the last classifier, made when the training is done.
    """
    return [*network.full[:-1].parameters(), *network.classifiers.parameters()]


def start(network: IncrementalNetwork) -> None:
    """Scale torch's initial weights to the inputs that each channel has left, as if it had been made with those alone.

    torch divides by the root of the full network's inputs, of which a channel of the first increment may read a tenth.
    """
    with torch.no_grad():
        for (_, layer), mask in zip(weight_layers(network.full)[:-1], network.forbidden(), strict=True):
            whole = mask[0].numel()
            left = whole - mask.flatten(1).sum(1)
            layer.weight.mul_((whole / left).sqrt().view(-1, *[1] * (mask.dim() - 1)))


def loss(outputs: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Sum of the increments' losses on scores [increments, N, classes].

    The last increment learns from the labels alone. The others learn in part from its softmax scores: an opportunistic
    run asks that they agree with it where they are sure, and its doubts teach them where not to be.
    """
    *earlier, last = outputs
    total = fitness(last, labels, recipe)
    taught = F.softmax(last.detach(), 1)
    for scores in earlier:
        soft = F.cross_entropy(scores, taught)
        total = total + recipe.earlier_weight * (
            (1 - recipe.soft_share) * fitness(scores, labels, recipe) + recipe.soft_share * soft
        )
    return total


def finish(network: IncrementalNetwork) -> None:
    """Copy the last classifier into the full network, and have the zeros looked at."""
    last = len(network.fractions) - 1
    network.adopt(last, network.increment(last))
