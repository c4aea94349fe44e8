"""Batch normalisation as a help in training only: put behind the hidden layers, folded into their weights at the end.

A channel is normalised by its own values alone. In a block-causal network it has the same values in every increment, so
one mean and one scale serve all of them, and folding leaves the network of the paper, exactly as large.
"""

from typing import cast

import torch
from torch import Tensor, nn

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def normalised(network: nn.Sequential) -> nn.Sequential:
    """New module with a batch normalisation behind every layer with weights but the last; shares the layers."""
    layers: list[nn.Module] = []
    for layer in network:
        layers.append(layer)
        if layer is network[-1]:
            continue
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
        elif isinstance(layer, nn.Linear):
            layers.append(nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*layers)


def folded(network: nn.Sequential) -> nn.Sequential:
    """Plain module that computes what ``network`` does in eval mode; changes the weights of its layers."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, Norm):
            _fold(cast(nn.Conv2d | nn.Linear, layers[-1]), layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


@torch.no_grad()
def _fold(layer: nn.Conv2d | nn.Linear, norm: Norm) -> None:
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / (variance + norm.eps).sqrt()
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    bias = cast(Tensor, layer.bias)  # every hidden layer here has one
    bias.copy_((bias - mean) * scale + norm.bias)
