"""Joint training: one pass serves every increment, forbidden weights stay 0, and what follows for checkpoints."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from golden import checkpoint
from golden.data import ImageSet, scale
from golden.integer import forward
from golden.network import read
from golden.networks import INPUT_SHAPES, NETWORKS, IncrementalNetwork, channels, find_network, narrow, weight_layers
from golden.quantise import quantise, quantise_network
from golden.train import measure, split, train
from golden.training import chain as chains
from golden.training import fit, joint
from golden.training.chain import Chain, Phase, phases
from golden.training.norm import folded, normalised
from golden.training.recipe import Recipe
from hw.errors import BadInput
from hw.params import NumberFormat

FRACTIONS = (0.1, 0.2, 0.5, 1.0)
RECIPE = Recipe(epochs=1, full_epochs=1, joint_epochs=2, batch=16, learning_rate=0.05, weight_decay=0.5, validation=20)


def images(count: int = 100, seed: int = 0) -> ImageSet:
    """Digits that can be told apart: one bright row per label, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    pixels = torch.randint(0, 60, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(count), 0, 4 + 2 * labels, 4:24] = 250
    return ImageSet(pixels, labels, "mnist", "train", "made")


def make_chain(folder: Path, recipe: Recipe = RECIPE, count: int = 100, *, shared_classifier: bool = False) -> Chain:
    train_set, held_out = split(images(count), recipe.validation, 3)
    state, log = folder / "a.state", folder / "a.log"
    kind = {"block_causal": True, "shared_classifier": shared_classifier}
    return Chain("lenet", FRACTIONS, recipe, 3, train_set, held_out, state, log, method="joint", **kind)


def whole_numbers(network: IncrementalNetwork) -> None:
    """Small whole weights, so that float sums are exact in any order."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randint(-1, 2, parameter.shape, generator=generator))
    network.clear_forbidden()


@pytest.mark.parametrize("name", ["lenet", "convnet"])
def test_one_pass_gives_every_increments_own_scores(name: str) -> None:
    network = IncrementalNetwork(find_network(name)(), (0.25, 0.5, 1.0), block_causal=True)
    whole_numbers(network)
    shown = torch.randint(0, 2, (4, *INPUT_SHAPES[name]), generator=torch.Generator().manual_seed(2)).float()
    outputs = network(shown)
    assert outputs.shape == (3, 4, 10)
    for index, scores in enumerate(outputs):
        assert scores.abs().max() > 0
        assert torch.equal(scores, network.increment(index)(shown))


def test_a_dense_network_has_no_such_pass() -> None:
    network = IncrementalNetwork(find_network("lenet")(), FRACTIONS)
    with pytest.raises(BadInput, match=r"^one pass for every increment wants a block-causal network$"):
        network(torch.zeros(1, 1, 28, 28))


def test_the_joint_training_comes_first_then_every_golden_model() -> None:
    assert phases(2, "joint") == [Phase("joint", 1), Phase("golden", 0), Phase("golden", 1)]


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_gives_the_plain_network_that_computes_the_same(name: str) -> None:
    torch.manual_seed(3)
    plain = find_network(name)()
    trained = normalised(narrow(plain, 1.0)).train()
    shown = torch.rand(32, *INPUT_SHAPES[name])
    for _ in range(3):
        trained(shown)  # the running mean and variance leave 0 and 1
    with torch.no_grad():
        for layer in trained:
            if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                layer.weight.uniform_(-2, 2)
                layer.bias.uniform_(-1, 1)
    trained.double().eval()
    before = trained(shown.double())
    after = folded(trained)
    assert [type(layer) for layer in after] == [type(layer) for layer in plain]
    assert torch.allclose(after(shown.double()), before, rtol=0, atol=1e-9)
    assert not torch.allclose(plain.double()(shown.double()), before, rtol=0, atol=1e-2)


def test_a_normalisation_stands_behind_every_hidden_layer_with_weights() -> None:
    kinds = [type(layer).__name__ for layer in normalised(find_network("lenet")())]
    assert kinds == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d",
        "Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear",
    ]  # fmt: skip


def test_normalised_increments_have_the_same_maps_before_and_after_folding(tmp_path: Path) -> None:
    """What the one pass gives while training is what the increments of the finished network give."""
    chain = make_chain(tmp_path)
    network = joint.start(chain.fresh, FRACTIONS).train()
    network(scale(chain.images.images))
    before = fit.scores(network, chain.held_out.images)
    joint.finish(network)
    for index, scores in enumerate(before):
        assert torch.allclose(fit.scores(network.increment(index), chain.held_out.images), scores, atol=1e-5)


def test_the_loss_by_hand() -> None:
    generator = torch.Generator().manual_seed(5)
    outputs, labels = torch.randn(3, 8, 10, generator=generator) * 4, torch.arange(8)
    recipe = Recipe(earlier_weight=0.25, soft_share=0.5, score_limit=100.0)
    likely = torch.log_softmax(outputs.double(), 2)
    hard = [-likely[index, torch.arange(8), labels].mean() for index in range(3)]
    soft = [-(likely[2].exp() * likely[index]).sum(1).mean() for index in range(2)]
    wanted = hard[2] + 0.25 * sum(0.5 * hard[index] + 0.5 * soft[index] for index in range(2))
    assert joint.loss(outputs, labels, recipe).item() == pytest.approx(wanted.item(), rel=1e-6)
    over = joint.loss(outputs, labels, dataclasses.replace(recipe, score_limit=1.0)).item()
    assert over > wanted + 1e-3


def test_the_last_increment_learns_nothing_from_the_others_classifiers() -> None:
    """Its scores teach them; that must not pull it towards them."""
    outputs = torch.randn(3, 8, 10, generator=torch.Generator().manual_seed(6)).requires_grad_()
    labels = torch.arange(8)
    joint.loss(outputs, labels, Recipe()).backward()
    alone = outputs.detach()[-1].clone().requires_grad_()
    fit.fitness(alone, labels, Recipe()).backward()
    assert outputs.grad is not None
    assert alone.grad is not None
    assert torch.equal(outputs.grad[-1], alone.grad)
    assert outputs.grad[0].any()


def test_forbidden_weights_are_exactly_zero_after_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain(tmp_path)
    masks, clear = chain.network.forbidden(), IncrementalNetwork.clear_forbidden
    moved = looked = 0

    def watched(network: IncrementalNetwork) -> None:
        nonlocal moved, looked
        hidden = [layer.weight for _, layer in weight_layers(network.full)[:-1]]
        moved += any(bool(weight[mask].any()) for weight, mask in zip(hidden, masks, strict=True))
        clear(network)
        assert all(torch.equal(weight == 0, mask) for weight, mask in zip(hidden, masks, strict=True))
        looked += 1

    monkeypatch.setattr(IncrementalNetwork, "clear_forbidden", watched)
    chain.run()
    assert looked == 1 + 2 * 5  # the start, and two epochs of five batches
    assert moved == looked  # without the clearing, every step leaves weights that have to be 0
    for (_, layer), mask in zip(weight_layers(chain.network.full)[:-1], masks, strict=True):
        assert torch.equal(layer.weight == 0, mask)


def test_trained_hidden_maps_are_the_first_channels_of_the_larger_increments(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, dataclasses.replace(RECIPE, learning_rate=0.005, weight_decay=0.0))
    chain.run()
    fmt = NumberFormat(16, 10)
    shown = quantise(scale(chain.held_out.images[:3]), fmt)
    networks = [quantise_network(read(chain.network.increment(index), (1, 28, 28)), fmt) for index in range(4)]
    maps = [forward(network, shown)[0][:-1] for network in networks]
    for few, more in pairwise(maps):
        for small, large in zip(few, more, strict=True):
            assert 0 < small.shape[1] < large.shape[1]
            assert torch.equal(small, large[:, : small.shape[1]])
    assert all(values.any() for values in maps[-1])


def test_the_full_networks_own_last_layer_is_the_last_classifier(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    chain.run()
    last = chain.network.classifiers[-1].get_parameter("weight")
    assert torch.equal(list(chain.network.full)[-1].get_parameter("weight"), last)
    assert not torch.equal(last, list(chain.fresh)[-1].get_parameter("weight"))


def test_every_increment_learns(tmp_path: Path) -> None:
    recipe = Recipe(1, 1, 5, batch=16, learning_rate=0.005, weight_decay=0.1, validation=100, shift=0)
    chain = make_chain(tmp_path, recipe, 500)
    chain.run()
    outputs = fit.scores(chain.network, chain.held_out.images)
    assert outputs.shape == (4, 100, 10)
    reached = [fit.accuracy(scores, chain.held_out.labels) for scores in outputs]
    assert all(found > limit for found, limit in zip(reached, (0.5, 0.8, 0.9, 0.9), strict=True))


def test_an_interrupted_joint_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_chain(tmp_path / "whole")
    whole.run()
    save = chains.TrainingState.save
    count = 0

    def interrupt(state: chains.TrainingState, path: Path) -> None:
        nonlocal count
        save(state, path)
        count += 1
        if count in {1, 3}:  # within the joint training, and at its end
            raise KeyboardInterrupt

    monkeypatch.setattr(chains.TrainingState, "save", interrupt)
    for attempt in range(2):
        chain = make_chain(tmp_path / "broken")
        assert chain.resumed == (attempt > 0)
        with pytest.raises(KeyboardInterrupt):
            chain.run()
    last = make_chain(tmp_path / "broken")
    last.run()
    for a, b in zip(whole.network.parameters(), last.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.golden(0).parameters(), last.golden(0).parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "broken/a.log").read_text() == (tmp_path / "whole/a.log").read_text()
    assert "joint: epoch 2/2" in (tmp_path / "whole/a.log").read_text()


def test_the_state_of_another_method_and_bad_methods_are_refused(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    chain.state.save(chain.state_path)
    sets = chain.images, chain.held_out
    with pytest.raises(BadInput, match=r"a.state: an interrupted training has another method; repeat its command"):
        Chain("lenet", FRACTIONS, RECIPE, 3, *sets, chain.state_path, chain.log_path, block_causal=True)
    with pytest.raises(BadInput, match=r"^a training method wants one of chain, joint, not 'alone'$"):
        Chain("lenet", FRACTIONS, RECIPE, 3, *sets, tmp_path / "b", tmp_path / "c", method="alone")
    with pytest.raises(
        BadInput, match=r"^joint training wants a block-causal network: only its maps serve every incre"
    ):
        Chain("lenet", FRACTIONS, RECIPE, 3, *sets, tmp_path / "b", tmp_path / "c", method="joint")


def without(network: torch.nn.Sequential, fraction: float, shown: Tensor) -> Tensor:
    """Scores of the full network with the channels beyond ``fraction`` held at 0."""
    kept = iter(channels(network, fraction))
    values = scale(shown)
    for layer in network:
        values = layer(values)
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            values[:, next(kept) :] = 0
    return values


def test_shutdown_accuracy_is_the_golden_networks_with_channels_held_at_zero(tmp_path: Path) -> None:
    recipe = Recipe(1, 4, 1, batch=16, learning_rate=0.005, validation=50, shift=0)
    chain = make_chain(tmp_path, recipe, 400)
    chain.run()
    test = images(200, 1)
    found = measure(chain, test)
    with torch.no_grad():
        wanted = [fit.accuracy(without(chain.golden(3), fraction, test.images), test.labels) for fraction in FRACTIONS]
    assert found["shutdown_accuracy"] == wanted
    assert found["golden_accuracy"] == [
        fit.accuracy(fit.scores(chain.golden(index), test.images), test.labels) for index in range(4)
    ]
    assert wanted[-1] == fit.accuracy(fit.scores(chain.golden(3), test.images), test.labels)
    assert wanted[0] < wanted[-1]


def test_train_writes_a_joint_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golden.data.load", lambda _name, part, _root: images(60, int(part == "test")))
    out = tmp_path / "a.npz"
    results = train(
        "mnist", tmp_path, out, fractions=(0.5, 1.0), recipe=RECIPE, method="joint", epochs=1, joint_epochs=2
    )
    found = checkpoint.load(out)
    assert found.block_causal
    assert results["block_causal"] is True
    assert found.metadata["method"] == "joint"
    assert (found.metadata["recipe"]["joint_epochs"], found.metadata["recipe"]["full_epochs"]) == (2, 1)
    assert found.golden_accuracy == tuple(found.metadata["golden_accuracy"])
    assert found.shutdown_accuracy == tuple(found.metadata["shutdown_accuracy"])
    assert len(found.shutdown_accuracy) == 2
    for name in ("float", "golden", "shutdown"):
        assert len(found.metadata[f"validation_{name}_accuracy"]) == 2
    for index, reached in enumerate(found.float_accuracy):
        scores = fit.scores(found.increment(index), images(60, 1).images)
        assert fit.accuracy(scores, images(60, 1).labels) == reached
    log = (tmp_path / "a.log").read_text()
    assert "method: joint\nblock-causal: True\nshared classifier: False\n" in log
    assert log.count("epoch 1/1") == 2
    assert "thresholds raw (test, 60 images)" in log


def test_soft_losses_are_cross_entropies_of_the_last_increments_softmax() -> None:
    """At equal scores the soft loss is the entropy, its least."""
    last = torch.tensor([[2.0, 0.0, -1.0]])
    recipe = Recipe(earlier_weight=1.0, soft_share=1.0)
    labels = torch.tensor([1])
    likely = F.softmax(last.double(), 1)
    entropy = -(likely * likely.log()).sum()
    least = joint.loss(torch.stack([last, last]), labels, recipe) - fit.fitness(last, labels, recipe)
    assert least.item() == pytest.approx(entropy.item(), rel=1e-6)
    more = joint.loss(torch.stack([last + torch.tensor([0.0, 0.5, 0.0]), last]), labels, recipe)
    assert more > least + fit.fitness(last, labels, recipe)
