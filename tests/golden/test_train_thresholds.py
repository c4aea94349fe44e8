"""Margin thresholds: Algorithm 3 on known scores, by hand and by a slow second writing."""

import itertools

import pytest
import torch
from torch import Tensor

from golden.networks import lenet, narrow
from golden.training.thresholds import STEP, candidates, choose, evaluate, macs, margins


def test_margins_are_top_1_minus_top_2() -> None:
    assert margins(torch.tensor([[1.0, 4.0, 2.5], [3.0, 3.0, 0.0], [-1.0, -5.0, -2.0]])).tolist() == [1.5, 0.0, 1.0]


def test_macs_of_lenet() -> None:
    counts = [macs(narrow(lenet(), fraction), (1, 28, 28)) for fraction in (0.1, 0.2, 1.0)]
    assert counts == [49_300, 138_600, 2_293_000]


def by_hand(outputs: list[Tensor], labels: Tensor, costs: list[int], thresholds: tuple[float, ...]) -> tuple[int, int]:
    """Right answers and MACs, image by image, as T16 Algorithm 3 is printed."""
    right = paid = 0
    for image in range(len(labels)):
        increment = 0
        paid += costs[0]
        while increment < len(thresholds):
            best = outputs[increment][image].sort(descending=True).values
            if not best[0] - best[1] < thresholds[increment]:
                break
            increment += 1
            paid += costs[increment]
        right += int(outputs[increment][image].argmax() == labels[image])
    return right, paid


def scores(count: int, increments: int, seed: int) -> tuple[list[Tensor], Tensor]:
    """Scores that get better from increment to increment."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    truth = torch.nn.functional.one_hot(labels, 10).float()
    return [
        torch.randn(count, 10, generator=generator) + (3 + 2 * index) * truth for index in range(increments)
    ], labels


@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (1.0, 2.0), (3.0, 0.5), (99.0, 99.0), (99.0, 0.0)])
def test_evaluate_equals_the_algorithm_image_by_image(thresholds: tuple[float, ...]) -> None:
    outputs, labels = scores(300, 3, 1)
    choice = evaluate(outputs, [margins(values) for values in outputs], labels, [1, 3, 10], thresholds)
    right, paid = by_hand(outputs, labels, [1, 3, 10], thresholds)
    assert choice.accuracy == right / 300
    assert choice.saving == 1 - paid / 3000
    assert sum(choice.stops) == pytest.approx(1)
    assert choice.full_accuracy == int((outputs[-1].argmax(1) == labels).sum()) / 300


def test_a_margin_that_equals_the_threshold_stops() -> None:
    outputs = [torch.tensor([[2.0, 1.0]]), torch.tensor([[0.0, 1.0]])]
    found = [margins(values) for values in outputs]
    assert evaluate(outputs, found, torch.tensor([0]), [1, 2], (1.0,)).stops == (1.0, 0.0)
    assert evaluate(outputs, found, torch.tensor([0]), [1, 2], (1.0009765625,)).stops == (0.0, 1.0)


@pytest.mark.parametrize("increments", [2, 3, 4])
def test_the_choice_keeps_the_drop_and_saves_most_of_the_grid(increments: int) -> None:
    outputs, labels = scores(400, increments, 2)
    costs = [1, 8, 30, 100][:increments]
    choice = choose(outputs, labels, costs, most_drop=0.01)
    assert choice.accuracy >= choice.full_accuracy - 0.01 - 1e-9
    assert choice.saving > 0.2
    assert all(value * STEP == int(value * STEP) for value in choice.thresholds)
    count = int(4096 ** (1 / (increments - 1)) + 1e-9)
    grids = [candidates(margins(values), count)[:: {2: 9, 3: 8, 4: 3}[increments]] for values in outputs[:-1]]
    tried = 0
    for thresholds in itertools.product(*grids):
        other = evaluate(outputs, [margins(values) for values in outputs], labels, costs, thresholds)
        assert other.saving <= choice.saving or other.accuracy < choice.full_accuracy - 0.01
        tried += 1
    assert tried >= 30


def test_with_no_drop_allowed_it_still_answers_and_one_increment_needs_no_threshold() -> None:
    outputs, labels = scores(400, 2, 3)
    strict = choose(outputs, labels, [1, 10], most_drop=0.0)
    assert strict.accuracy >= strict.full_accuracy
    only = choose(outputs[:1], labels, [1])
    assert (only.thresholds, only.saving, only.stops) == ((), 0.0, (1.0,))


def test_if_every_combination_drops_too_much_the_most_accurate_is_taken() -> None:
    outputs, labels = scores(200, 2, 4)
    impossible = choose(outputs, labels, [1, 10], most_drop=-1.0)
    found = [margins(values) for values in outputs]
    tried = [evaluate(outputs, found, labels, [1, 10], (value,)) for value in candidates(found[0], 4096)]
    assert impossible.accuracy == max(choice.accuracy for choice in tried)


def test_candidates_begin_with_none_and_reach_nearly_all() -> None:
    found = torch.arange(1, 1001) / STEP
    values = candidates(found, 64)
    assert values[0] == 0.0
    assert values[-1] == 1000 / STEP
    assert values == sorted(set(values))
    assert 30 < len(values) <= 64
