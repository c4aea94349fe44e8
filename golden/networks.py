"""The networks of T16 Table 3 as ordinary ``nn.Sequential`` modules, and channel gating on any such module.

A network is written once, at full size. An increment is a prefix of it: the first channels of every hidden layer, and
a classifier of its own (T16 section 3). Because torch flattens (c, y, x), a prefix of the channels is also a prefix of
the vector that the first fully connected layer reads, so one rule slices every layer.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from hw.errors import BadInput

STATELESS = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten)
WeightLayer = nn.Conv2d | nn.Linear


def lenet() -> nn.Sequential:
    """LeNet, 1x28x28: no padding (Caffe's ``lenet``), with a ReLU after the convolutions too."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(50 * 4 * 4, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def convnet() -> nn.Sequential:
    """ConvNet, 3x32x32: no padding, average pooling."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 512, 7), nn.ReLU(),
        nn.Conv2d(512, 20, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(20 * 2 * 2, 20), nn.ReLU(), nn.Linear(20, 10),
    )  # fmt: skip


def alexnet() -> nn.Sequential:
    """ALEXnet, 3x32x32: Caffe's ``cifar10_full`` without response normalisation, in its order of pooling and ReLU.

    ``ceil_mode`` is Caffe's rule: a window that hangs over the edge counts, and is averaged over the pixels it covers.
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.Linear(64 * 4 * 4, 10),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"lenet": lenet, "convnet": convnet, "alexnet": alexnet}
INPUT_SHAPES: dict[str, tuple[int, int, int]] = {"lenet": (1, 28, 28), "convnet": (3, 32, 32), "alexnet": (3, 32, 32)}


def find_network(name: str) -> Callable[[], nn.Sequential]:
    """What builds the network called ``name``; refuses an unknown one with the names that exist."""
    if name not in NETWORKS:
        raise BadInput(f"network wants one of {', '.join(NETWORKS)}, not {name!r}")
    return NETWORKS[name]


def weight_layers(network: nn.Sequential) -> list[tuple[str, WeightLayer]]:
    """The layers with weights, by their name in the module, in order."""
    return [(name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)]


def width(layer: WeightLayer) -> int:
    """Output channels of a layer."""
    return layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features


def channels(network: nn.Sequential, fraction: float) -> tuple[int, ...]:
    """Output channels of every layer with weights at ``fraction``: halves up, at least 1, the last layer whole."""
    if not 0 < fraction <= 1:
        raise BadInput(f"a fraction of channels wants a number above 0 and at most 1, not {fraction}")
    widths = [width(layer) for _, layer in weight_layers(network)]
    return (*(max(1, math.floor(count * fraction + 0.5)) for count in widths[:-1]), widths[-1])


def check_fractions(network: nn.Sequential, fractions: Sequence[float]) -> tuple[float, ...]:
    """``fractions`` as a tuple; refuses a set that does not grow to 1."""
    values = tuple(float(value) for value in fractions)
    if not values or values[-1] != 1 or values[0] <= 0 or any(b <= a for a, b in pairwise(values)):
        raise BadInput(f"fractions want growing numbers above 0 that end at 1, like 0.1,0.2,1, not {list(values)}")
    for (a, few), (b, more) in pairwise((value, channels(network, value)) for value in values):
        if few == more:
            raise BadInput(f"fractions {a} and {b} both give the channels {list(few)}: leave one of them out")
    return values


def prefix(values: Tensor, shape: Sequence[int]) -> Tensor:
    """View of the leading corner of ``values``, of the given shape."""
    return values[tuple(slice(count) for count in shape)]


def narrow(network: nn.Sequential, fraction: float) -> nn.Sequential:
    """New plain module of the first channels of every hidden layer of ``network``, with copies of their weights."""
    widths = iter(channels(network, fraction))
    inputs: tuple[int, int] | None = None  # channels of the layer before: whole, kept
    layers: list[nn.Module] = []
    for name, layer in network.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            kept = next(widths)
            whole, use = inputs or (layer.weight.shape[1], layer.weight.shape[1])
            fan_in = layer.weight.shape[1] // whole * use
            layers.append(_narrow_layer(layer, fan_in, kept))
            inputs = width(layer), kept
        elif isinstance(layer, STATELESS):
            layers.append(layer)
        else:
            raise BadInput(
                f"layer {name} is a {type(layer).__name__}; channel gating wants Conv2d, Linear, ReLU, MaxPool2d, "
                "AvgPool2d and Flatten"
            )
    return nn.Sequential(*layers).train(network.training)


def _narrow_layer(layer: WeightLayer, fan_in: int, kept: int) -> WeightLayer:
    new: WeightLayer
    if isinstance(layer, nn.Conv2d):
        options = {"stride": layer.stride, "padding": layer.padding, "bias": layer.bias is not None}
        new = skip_init(nn.Conv2d, fan_in, kept, layer.kernel_size, **options)
    else:
        new = skip_init(nn.Linear, fan_in, kept, bias=layer.bias is not None)
    with torch.no_grad():
        for target, source in zip(new.parameters(), layer.parameters(), strict=True):
            target.copy_(prefix(source, target.shape))
    return new


class IncrementalNetwork(nn.Module):
    """One set of full-size weights that serves every increment, and one classifier per increment.

    Parameters: full: the network at full size. Its last layer becomes the last increment's classifier.
    fractions: share of the channels per increment, growing, ending at 1. block_causal: hidden channels that an
    increment brings read no channels that a later one brings, so that its hidden maps are the first channels of every
    larger increment's; the weights of ``full`` for such inputs are set to 0. Classifiers read every channel.
    shared_classifier: an increment's classifier has the first weights of the last one's and a bias of its own.
    Members: full, fractions, block_causal, shared_classifier, classifiers (one Linear per increment).
    """

    def __init__(
        self,
        full: nn.Sequential,
        fractions: Sequence[float],
        *,
        block_causal: bool = False,
        shared_classifier: bool = False,
    ) -> None:
        super().__init__()
        self.fractions = check_fractions(full, fractions)
        self.full = full
        self.block_causal = block_causal
        self.shared_classifier = shared_classifier
        heads = [list(narrow(full, fraction).children())[-1] for fraction in self.fractions]
        if not all(isinstance(head, nn.Linear) for head in heads):
            raise BadInput(f"an incremental network wants a Linear layer at its end, not {type(heads[-1]).__name__}")
        self.classifiers = nn.ModuleList(heads)
        self.clear_forbidden()

    def forbidden(self) -> list[Tensor]:
        """Per hidden layer: bool, shaped like its full-size weights, true where a weight has to be exactly 0."""
        hidden = [layer for _, layer in weight_layers(self.full)[:-1]]
        masks = [torch.zeros_like(layer.weight, dtype=torch.bool) for layer in hidden]
        for kept in (channels(self.full, fraction) for fraction in self.fractions if self.block_causal):
            for number in range(1, len(hidden)):  # the first layer reads the image, which every increment has
                inputs = hidden[number].weight.shape[1] // width(hidden[number - 1])  # of one channel: flattened pixels
                masks[number][: kept[number], kept[number - 1] * inputs :] = True
        return masks

    def forward(self, images: Tensor) -> Tensor:
        """Scores [increments, N, classes] of images [N,C,H,W]: one pass, each classifier on its prefix of the last map.

        Only a block-causal network's increments have such a prefix; a dense one is refused.
        """
        if not self.block_causal:
            raise BadInput("one pass for every increment wants a block-causal network")
        values = images
        for layer in list(self.full)[:-1]:
            values = layer(values)
        return torch.stack(
            [F.linear(values[:, : weight.shape[1]], weight, bias) for weight, bias in self.classifier_weights()]
        )

    def classifier_weights(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and bias of every classifier; the weights of shared ones are views of the last one's."""
        heads = cast(list[nn.Linear], list(self.classifiers))
        shared = [heads[-1] if self.shared_classifier else head for head in heads]
        return [(whole.weight[:, : head.in_features], head.bias) for whole, head in zip(shared, heads, strict=True)]

    def share(self) -> None:
        """Copy the last classifier's weights into the others where they are shared."""
        with torch.no_grad():
            for head, (weight, _) in zip(self.classifiers, self.classifier_weights(), strict=True):
                cast(nn.Linear, head).weight.copy_(weight)

    def clear_forbidden(self) -> None:
        """Put exact zeros back where weights have to be 0."""
        with torch.no_grad():
            for (_, layer), mask in zip(weight_layers(self.full)[:-1], self.forbidden(), strict=True):
                layer.weight.masked_fill_(mask, 0)

    def increment(self, index: int) -> nn.Sequential:
        """Plain module of increment ``index`` with copies of exactly its weights; [N,C,H,W] to [N,classes] scores."""
        sub = narrow(self.full, self.fractions[index])
        with torch.no_grad():
            for target, source in zip(sub[-1].parameters(), self.classifier_weights()[index], strict=True):
                target.copy_(source)
        return sub

    def adopt(self, index: int, trained: nn.Sequential) -> None:
        """Store a trained increment: its hidden weights into the shared set, its last layer as classifier ``index``.

        Raises BadInput, and stores nothing, where a weight that has to be 0 is not.
        """
        hidden = weight_layers(self.full)[:-1]
        for (name, layer), mask in zip(weight_layers(trained)[:-1], self.forbidden(), strict=True):
            if found := layer.weight[prefix(mask, layer.weight.shape)].count_nonzero():
                raise BadInput(
                    f"layer {name} of a block-causal network wants weights 0 from later channels to earlier ones, "
                    f"{found} are not"
                )
        with torch.no_grad():
            for (_, target), (_, source) in zip(hidden, weight_layers(trained)[:-1], strict=True):
                for whole, part in zip(target.parameters(), source.parameters(), strict=True):
                    prefix(whole, part.shape).copy_(part)
            heads = [self.classifiers[index]] + ([self.full[-1]] if self.fractions[index] == 1 else [])
            for head in heads:
                for whole, part in zip(head.parameters(), trained[-1].parameters(), strict=True):
                    whole.copy_(part)
