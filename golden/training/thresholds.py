"""Score-margin thresholds of an opportunistic run (T16 Algorithm 3), chosen on validation scores."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEP = 1024  # thresholds are multiples of 1/1024: the same number in <16,10>, <32,16> and in the report
COMBINATIONS = 4096


@dataclass(frozen=True)
class Choice:
    """thresholds: one per increment but the last. stops: share of images per increment. accuracy, full_accuracy: of the
    opportunistic run and of the last increment alone. saving: share of the last increment's MACs not done."""

    thresholds: tuple[float, ...]
    stops: tuple[float, ...]
    accuracy: float
    full_accuracy: float
    saving: float


def macs(network: nn.Sequential, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image of ``shape`` (C,H,W); padding taps count."""
    total = 0
    values = torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in network:
            values = layer(values)
            if isinstance(layer, nn.Conv2d | nn.Linear):
                total += values.numel() * layer.weight[0].numel()
    return total


def margins(outputs: Tensor) -> Tensor:
    """Top-1 minus top-2 score of each row."""
    best = outputs.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def evaluate(
    outputs: Sequence[Tensor],
    found: Sequence[Tensor],
    labels: Tensor,
    costs: Sequence[int],
    thresholds: Sequence[float],
) -> Choice:
    """Algorithm 3 on known scores: an image escalates while its margin is below the threshold.

    outputs: scores [N, classes] per increment. found: their margins [N]. costs: MACs per increment; an escalated image
    pays for every increment it passed (nothing kept).
    """
    undecided = torch.ones(len(labels), dtype=torch.bool)
    right = 0
    paid = 0
    stops: list[float] = []
    for index, scores in enumerate(outputs):
        paid += costs[index] * int(undecided.sum())
        stop = undecided & (found[index] >= thresholds[index]) if index < len(thresholds) else undecided
        right += int((scores.argmax(1) == labels)[stop].sum())
        stops.append(int(stop.sum()) / len(labels))
        undecided = undecided & ~stop
    full = int((outputs[-1].argmax(1) == labels).sum()) / len(labels)
    return Choice(tuple(thresholds), tuple(stops), right / len(labels), full, 1 - paid / (costs[-1] * len(labels)))


def candidates(found: Tensor, count: int) -> list[float]:
    """Thresholds under which growing shares of the images escalate: none, then even steps of the logarithm."""
    ordered = found.sort().values
    shares = [math.exp(math.log(1 / len(ordered)) * (1 - index / max(1, count - 2))) for index in range(count - 1)]
    values = [ordered[min(len(ordered) - 1, int(share * len(ordered)))].item() for share in shares]
    return sorted({0.0, *(math.ceil(value * STEP) / STEP for value in values)})


def choose(outputs: Sequence[Tensor], labels: Tensor, costs: Sequence[int], most_drop: float = 0.001) -> Choice:
    """The thresholds that save most MACs while accuracy stays within ``most_drop`` of the last increment's alone.

    Searches a grid of at most 4096 combinations. If no combination keeps the drop, the most accurate one is taken.
    """
    found = [margins(scores) for scores in outputs]
    count = int(COMBINATIONS ** (1 / max(1, len(outputs) - 1)) + 1e-9)
    grids = [candidates(values, count) for values in found[:-1]]
    tried = [evaluate(outputs, found, labels, costs, combination) for combination in itertools.product(*grids)]
    kept = [choice for choice in tried if choice.accuracy >= choice.full_accuracy - most_drop - 1e-9]
    if not kept:
        return max(tried, key=lambda choice: (choice.accuracy, choice.saving))
    return max(kept, key=lambda choice: (choice.saving, choice.accuracy))
