"""Margin thresholds: Algorithm 3 on known scores, by hand and by a slow second writing."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from golden.networks import NETWORKS, IncrementalNetwork, find_network, lenet, narrow, weight_layers
from golden.training.thresholds import STEP, candidates, choose, evaluate, kept_macs, layer_macs, macs, margins


def test_margins_are_top_1_minus_top_2() -> None:
    assert margins(torch.tensor([[1.0, 4.0, 2.5], [3.0, 3.0, 0.0], [-1.0, -5.0, -2.0]])).tolist() == [1.5, 0.0, 1.0]


def test_macs_of_lenet() -> None:
    counts = [macs(narrow(lenet(), fraction), (1, 28, 28)) for fraction in (0.1, 0.2, 1.0)]
    assert counts == [49_300, 138_600, 2_293_000]


def test_macs_layer_by_layer() -> None:
    assert layer_macs(lenet(), (1, 28, 28)) == [20 * 24 * 24 * 25, 50 * 8 * 8 * 20 * 25, 500 * 800, 5_000]


def test_kept_macs_of_lenet_by_hand() -> None:
    """Layer by layer: new channels times everything they read; the classifier whole."""
    increments = [narrow(lenet(), fraction) for fraction in (0.1, 0.5, 1.0)]
    assert kept_macs(increments, (1, 28, 28)) == [
        2 * 576 * 25 + 5 * 64 * 2 * 25 + 50 * 80 + 500,
        8 * 576 * 25 + 20 * 64 * 10 * 25 + 200 * 400 + 2_500,
        10 * 576 * 25 + 25 * 64 * 20 * 25 + 250 * 800 + 5_000,
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_increments_kept_work_add_up_to_the_full_network_without_its_zeros(name: str) -> None:
    shape = {"lenet": (1, 28, 28)}.get(name, (3, 32, 32))
    full = find_network(name)()
    for _, layer in weight_layers(full):
        torch.nn.init.ones_(layer.weight)  # a random weight may be zero, and be taken for one that the mask removed
    network = IncrementalNetwork(full, (0.25, 0.5, 1.0), block_causal=True)
    increments = [network.increment(index) for index in range(3)]
    layers = [layer.weight for _, layer in weight_layers(increments[-1])]
    counts = layer_macs(increments[-1], shape)
    total = sum(
        count * int(weight.count_nonzero()) // weight.numel() for count, weight in zip(counts, layers, strict=True)
    )
    classifiers = [layer_macs(increment, shape)[-1] for increment in increments[:-1]]
    assert sum(kept_macs(increments, shape)) == total + sum(classifiers) < macs(increments[-1], shape)


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


def test_savings_are_a_share_of_what_the_last_increment_costs_alone() -> None:
    outputs, labels = scores(300, 3, 1)
    found = [margins(values) for values in outputs]
    choice = evaluate(outputs, found, labels, [1, 2, 7], (1.0, 2.0), alone=20)
    first, second, third = choice.stops
    assert choice.saving == pytest.approx(1 - (first * 1 + second * 3 + third * 10) / 20)
    assert evaluate(outputs, found, labels, [1, 2, 7], (1.0, 2.0)).saving < choice.saving


def test_the_error_is_the_standard_error_of_the_drop() -> None:
    outputs, labels = scores(300, 2, 1)
    choice = evaluate(outputs, [margins(values) for values in outputs], labels, [1, 2], (1.0,))
    kept = margins(outputs[0]) >= 1
    last = (outputs[1].argmax(1) == labels).double()
    gains = torch.where(kept, (outputs[0].argmax(1) == labels).double(), last) - last
    assert choice.accuracy - choice.full_accuracy == pytest.approx(gains.mean().item())
    assert choice.error == pytest.approx(gains.std(correction=0).item() / math.sqrt(300), rel=1e-5)
    assert choice.error > 0


def test_errors_make_the_choice_more_careful() -> None:
    outputs, labels = scores(400, 3, 2)
    costs = [1, 8, 30]
    bold, careful = (choose(outputs, labels, costs, most_drop=0.02, errors=errors) for errors in (0.0, 1.8))
    assert careful.full_accuracy - careful.accuracy + 1.8 * careful.error <= 0.02 + 1e-9
    assert bold.full_accuracy - bold.accuracy + 1.8 * bold.error > 0.02
    assert 0 < careful.saving < bold.saving


def test_views_of_the_same_images_count_as_one_image_each() -> None:
    """Repeated rows tell nothing new: the choice is the same and so is its error."""
    outputs, labels = scores(400, 3, 2)
    once = choose(outputs, labels, [1, 8, 30], most_drop=0.02, errors=1.8)
    twice = choose(
        [values.repeat(2, 1) for values in outputs], labels.repeat(2), [1, 8, 30], most_drop=0.02, errors=1.8, copies=2
    )
    assert twice.error == pytest.approx(once.error)
    assert twice.full_accuracy - twice.accuracy + 1.8 * twice.error <= 0.02 + 1e-9
    assert twice.saving == pytest.approx(once.saving, abs=0.01)  # its grid steps differ


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
