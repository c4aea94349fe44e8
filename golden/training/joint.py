"""Joint training of a block-causal network: one pass of the full network trains every increment at once."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from golden.networks import IncrementalNetwork, narrow
from golden.training.fit import fitness
from golden.training.norm import folded, normalised
from golden.training.recipe import Recipe


def parameters(network: IncrementalNetwork) -> list[nn.Parameter]:
    """What a joint training moves: the hidden layers and every classifier, of shared ones the weights once.

    The full network's own last layer is a copy of the last classifier, made when the training is done.
    """
    hidden = list(network.full[:-1].parameters())
    if not network.shared_classifier:
        return [*hidden, *network.classifiers.parameters()]
    biases = [head.get_parameter("bias") for head in network.classifiers]
    return [*hidden, network.classifiers[-1].get_parameter("weight"), *biases]


def start(fresh: nn.Sequential, fractions: Sequence[float], *, shared_classifier: bool = False) -> IncrementalNetwork:
    """The block-causal network that a joint training begins with: weights of ``fresh``, with batch normalisation."""
    network = IncrementalNetwork(narrow(fresh, 1.0), fractions, block_causal=True, shared_classifier=shared_classifier)
    network.full = normalised(network.full)
    return network


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
    """Fold the normalisation, copy the last classifier to where it counts too, and have the zeros looked at."""
    network.full = folded(network.full)
    network.share()
    last = len(network.fractions) - 1
    network.adopt(last, network.increment(last))
