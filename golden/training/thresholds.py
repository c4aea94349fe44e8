"""Score-margin thresholds of an opportunistic run (T16 Algorithm 3), chosen on validation scores."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from golden.networks import weight_layers, width

STEP = 1024  # thresholds are multiples of 1/1024: the same number in <16,10>, <32,16> and in the report
COMBINATIONS = 4096
FINE = 256  # steps per threshold once the grid's best combination is known


@dataclass(frozen=True)
class Choice:
    """thresholds: one per increment but the last. stops: share of images per increment. accuracy, full_accuracy: of the
    opportunistic run and of the last increment alone. saving: share of the last increment's MACs not done. error:
    standard error of accuracy - full_accuracy, as far as it comes from which images were drawn."""

    thresholds: tuple[float, ...]
    stops: tuple[float, ...]
    accuracy: float
    full_accuracy: float
    saving: float
    error: float = 0.0


def layer_macs(network: nn.Sequential, shape: tuple[int, int, int]) -> list[int]:
    """Multiply-accumulates of each layer with weights on one image of ``shape`` (C,H,W); padding taps count."""
    counts = []
    values = torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in network:
            values = layer(values)
            if isinstance(layer, nn.Conv2d | nn.Linear):
                counts.append(values.numel() * layer.weight[0].numel())
    return counts


def macs(network: nn.Sequential, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image of ``shape`` (C,H,W); padding taps count."""
    return sum(layer_macs(network, shape))


def kept_macs(increments: Sequence[nn.Sequential], shape: tuple[int, int, int]) -> list[int]:
    """What each increment of a block-causal network adds where an escalation keeps every hidden map.

    An increment computes its new channels alone, from all channels it reads, and the whole of its own classifier.
    """
    added = []
    before = [0] * len(weight_layers(increments[0]))
    for increment in increments:
        widths = [width(layer) for _, layer in weight_layers(increment)]
        counts = layer_macs(increment, shape)
        hidden = [count // of * (of - old) for count, of, old in zip(counts, widths, before, strict=True)][:-1]
        added.append(sum(hidden) + counts[-1])
        before = widths
    return added


def margins(outputs: Tensor) -> Tensor:
    """Top-1 minus top-2 score of each row."""
    best = outputs.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def evaluate(
    outputs: Sequence[Tensor],
    found: Sequence[Tensor],
    labels: Tensor,
    costs: Sequence[float],
    thresholds: Sequence[float],
    *,
    alone: float | None = None,
) -> Choice:
    """Algorithm 3 on known scores: an image escalates while its margin is below the threshold.

    outputs: scores [N, classes] per increment. found: their margins [N]. costs: what each increment costs an image that
    comes to it, in MACs or any other unit; an image pays for every increment it passed. With kept work they are the
    increments' additions (`kept_macs`). alone: cost of the last increment run by itself, which savings are a share of;
    its entry in ``costs`` if left out.
    """
    right = [scores.argmax(1) == labels for scores in outputs]
    return _evaluate(right, found, costs, thresholds, costs[-1] if alone is None else alone)


def _evaluate(
    right: Sequence[Tensor],
    found: Sequence[Tensor],
    costs: Sequence[float],
    thresholds: Sequence[float],
    alone: float,
    copies: int = 1,
) -> Choice:
    """The same from which answers are right, [N] bool per increment; copies: as in `choose`."""
    count = len(right[-1])
    undecided = torch.ones(count, dtype=torch.bool)
    answered = torch.zeros(count, dtype=torch.bool)
    paid = 0.0
    stops: list[float] = []
    for index, good in enumerate(right):
        paid += costs[index] * int(undecided.sum())
        stop = undecided & (found[index] >= thresholds[index]) if index < len(thresholds) else undecided
        answered |= stop & good
        stops.append(int(stop.sum()) / count)
        undecided = undecided & ~stop
    hits, full = int(answered.sum()), int(right[-1].sum())
    gains = (answered.float() - right[-1].float()).view(copies, -1).mean(0)  # per image: -1 where it loses, 1 gains
    error = gains.std(correction=0).item() / math.sqrt(len(gains))
    return Choice(tuple(thresholds), tuple(stops), hits / count, full / count, 1 - paid / (alone * count), error)


def candidates(found: Tensor, count: int) -> list[float]:
    """Thresholds under which growing shares of the images escalate: none, then even steps of the logarithm."""
    ordered = found.sort().values
    shares = [math.exp(math.log(1 / len(ordered)) * (1 - index / max(1, count - 2))) for index in range(count - 1)]
    values = [ordered[min(len(ordered) - 1, int(share * len(ordered)))].item() for share in shares]
    return sorted({0.0, *(math.ceil(value * STEP) / STEP for value in values)})


def choose(
    outputs: Sequence[Tensor],
    labels: Tensor,
    costs: Sequence[float],
    most_drop: float = 0.001,
    *,
    alone: float | None = None,
    errors: float = 0.0,
    copies: int = 1,
) -> Choice:
    """The thresholds that save most while accuracy stays within ``most_drop`` of the last increment's alone.

    costs, alone: as in `evaluate`. errors: standard errors of the drop to keep below ``most_drop``; on as many other
    images the drop differs by sqrt(2) of one, so 1.28 * sqrt(2) = 1.8 keeps it within the aim nine times in ten.
    copies: views of each image that the rows hold, all first views before all second ones; an error is over images.
    Searches a grid of at most 4096 combinations, then one threshold at a time in finer steps, as long as it helps. If
    no combination keeps the drop, the most accurate one is taken.
    """
    found = [margins(scores) for scores in outputs]
    right = [scores.argmax(1) == labels for scores in outputs]
    whole = costs[-1] if alone is None else alone

    def rank(choice: Choice) -> tuple[bool, float, float]:
        kept = choice.accuracy - choice.full_accuracy - errors * choice.error >= -most_drop - 1e-9
        return (True, choice.saving, choice.accuracy) if kept else (False, choice.accuracy, choice.saving)

    def best_of(tried: Iterable[Sequence[float]]) -> Choice:
        return max((_evaluate(right, found, costs, values, whole, copies) for values in tried), key=rank)

    count = int(COMBINATIONS ** (1 / max(1, len(outputs) - 1)) + 1e-9)
    best = best_of(itertools.product(*(candidates(values, count) for values in found[:-1])))
    fine = [candidates(values, FINE) for values in found[:-1]]
    while True:
        now = best.thresholds
        steps = [(*now[:place], value, *now[place + 1 :]) for place, values in enumerate(fine) for value in values]
        better = best_of([now, *steps])
        if rank(better) == rank(best):
            return best
        best = better
