"""One epoch of training with part of the weights frozen, and scores of a trained network."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from golden.data.image_set import ImageSet, scale
from golden.networks import prefix
from golden.training.recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)
RANGE_PENALTY = 1e-3  # per squared unit beyond the score limit: holds scores back, hardly felt below it


def channels_last(network: Network) -> Network:
    """The same network with its kernels laid out for the faster convolutions; values are unchanged."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def make_optimiser(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Rate at ``step`` of ``steps``: linear over the first twentieth, then a cosine down to 0."""
    warm = max(1, steps // 20)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to ``recipe.shift`` pixels (zeros come in), and mirrored if the recipe says so."""
    count, _, high, wide = images.shape
    if recipe.flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    if recipe.shift == 0:
        return images
    padded = F.pad(images, (recipe.shift,) * 4)
    down, right = torch.randint(0, 2 * recipe.shift + 1, (2, count, 1, 1), generator=generator)
    rows = (down + torch.arange(high).view(1, -1, 1)).expand(-1, -1, wide)
    columns = (right + torch.arange(wide).view(1, 1, -1)).expand(-1, high, -1)
    picked = padded[torch.arange(count).view(-1, 1, 1), :, rows, columns]  # [N,H,W,C]
    return picked.permute(0, 3, 1, 2)


def restore(network: nn.Sequential, frozen: Sequence[Tensor]) -> None:
    """Write ``frozen`` back over the leading corner of each parameter of ``network``, in order."""
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), frozen, strict=False):
            prefix(parameter, values.shape).copy_(values)


def fitness(outputs: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Loss of scores [N, classes]: cross entropy, and a penalty on scores beyond the recipe's limit."""
    beyond = F.relu(outputs.abs() - recipe.score_limit)
    return F.cross_entropy(outputs, labels) + RANGE_PENALTY * beyond.square().sum(1).mean()


def train_epoch(
    network: nn.Sequential,
    frozen: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    data: ImageSet,
    recipe: Recipe,
    epoch: int,
    epochs: int,
    seed: int,
) -> float:
    """Train ``network`` in place for epoch ``epoch`` of ``epochs``; returns the mean loss. All chance is from ``seed``.

    After every step ``frozen`` is written back: momentum and weight decay would move frozen weights although their
    gradient were masked, and a copy is exact.
    """
    hold = partial(restore, network, frozen)
    return run_epoch(network, partial(fitness, recipe=recipe), hold, optimiser, data, recipe, epoch, epochs, seed)


def run_epoch(
    network: nn.Module,
    objective: Callable[[Tensor, Tensor], Tensor],
    hold: Callable[[], None],
    optimiser: torch.optim.Optimizer,
    data: ImageSet,
    recipe: Recipe,
    epoch: int,
    epochs: int,
    seed: int,
) -> float:
    """One epoch of any training; returns the mean loss. All chance is from ``seed``.

    network: what images [N,C,H,W] become scores by; its products are done in bfloat16, weights and updates are float32.
    objective: loss of float32 scores and labels. hold: called after every step, puts back what must not have moved.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator).split(recipe.batch)
    network.train()
    total = 0.0
    for number, indices in enumerate(order):
        rate = learning_rate(recipe, epoch * len(order) + number, epochs * len(order))
        for group in optimiser.param_groups:
            group["lr"] = rate
        images = scale(augment(data.images[indices], recipe, generator)).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(images).float()
        loss = objective(outputs, data.labels[indices])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        hold()
        total += loss.item() * len(indices)
    return total / len(data)


def scores(network: nn.Module, images: Tensor, batch: int = 1000) -> Tensor:
    """float32 scores [N, classes] of uint8 images [N,C,H,W]; of an incremental network [increments, N, classes]."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(scale(part)) for part in images.split(batch)], -2)


def largest_value(network: nn.Sequential, images: Tensor) -> float:
    """Largest magnitude in any map or score on uint8 images: what a number format must hold.

    A hidden sum is looked at behind its ReLU or pooling: what saturates below 0 is cut off by the ReLU anyway.
    """
    network.eval()
    largest = 0.0
    with torch.no_grad():
        values = scale(images)
        for layer in network:
            values = layer(values)
            if layer is network[-1] or not isinstance(layer, nn.Conv2d | nn.Linear):
                largest = max(largest, values.abs().max().item())
    return largest


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Share of images whose highest score is their label, 0 to 1."""
    return int((outputs.argmax(1) == labels).sum()) / len(labels)
