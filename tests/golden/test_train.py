"""Incremental training: frozen weights stay bit for bit, an interrupted run goes on as if it had not been."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from golden import checkpoint
from golden.data import ImageSet
from golden.networks import IncrementalNetwork, narrow, prefix, weight_layers
from golden.train import split, train
from golden.training import chain as chains
from golden.training import fit
from golden.training.chain import Chain, Phase, frozen_weights, phases, start_of
from golden.training.recipe import RECIPES, Recipe
from hw.errors import BadInput

# Large steps, momentum and decay: whatever is not held fast would move
RECIPE = Recipe(epochs=2, full_epochs=2, batch=16, learning_rate=0.05, weight_decay=0.5, validation=20)


def images(count: int = 100, seed: int = 0, name: str = "mnist") -> ImageSet:
    """Digits that can be told apart: one bright row per label, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    pixels = torch.randint(0, 60, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(count), 0, 4 + 2 * labels, 4:24] = 250
    return ImageSet(pixels, labels, name, "train", "made")


def write_mnist(root: Path) -> Path:
    folder = root / "mnist"
    folder.mkdir(parents=True)
    for part, seed in (("train", 0), ("t10k", 1)):
        found = images(100, seed)
        for kind, values in (("images-idx3", found.images.squeeze(1)), ("labels-idx1", found.labels)):
            array = values.numpy().astype(np.uint8)
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return root


def make_chain(folder: Path, recipe: Recipe = RECIPE, seed: int = 3, causal: bool = False) -> Chain:
    train_set, held_out = split(images(), recipe.validation, seed)
    state, log = folder / "a.state", folder / "a.log"
    return Chain("lenet", (0.1, 0.2, 1.0), recipe, seed, train_set, held_out, state, log, block_causal=causal)


def parameters(network: nn.Module) -> list[Tensor]:
    return [values.detach().clone() for values in network.parameters()]


@pytest.mark.parametrize("causal", [False, True])
def test_earlier_weights_are_frozen_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, causal: bool) -> None:
    """After every increment: all earlier weights, biases and classifiers, and what the sub-networks compute."""
    chain = make_chain(tmp_path, causal=causal)
    before: dict[int, list[Tensor]] = {}
    outputs: dict[int, Tensor] = {}
    probe = images(32, seed=9).images
    compared = 0
    adopt = IncrementalNetwork.adopt

    def watched(network: IncrementalNetwork, index: int, trained: nn.Sequential) -> None:
        nonlocal compared
        adopt(network, index, trained)
        before[index] = parameters(network.increment(index))
        outputs[index] = fit.scores(network.increment(index), probe)
        for earlier in range(index):
            now = network.increment(earlier)
            for was, values in zip(before[earlier], parameters(now), strict=True):
                assert torch.equal(was, values)
                compared += was.numel()
            assert torch.equal(outputs[earlier], fit.scores(now, probe))

    monkeypatch.setattr(IncrementalNetwork, "adopt", watched)
    chain.run()
    sizes = {index: sum(values.numel() for values in before[index]) for index in before}
    assert sizes == {0: 4_867, 1: 18_224, 2: 431_080}
    assert compared == 2 * sizes[0] + sizes[1]
    # the free part of the larger increments did learn: nothing there equals its golden model
    for index in (1, 2):
        for golden, values in zip(chain.golden(index).parameters(), before[index], strict=True):
            assert not torch.equal(golden.detach()[-1], values[-1])


def test_frozen_weights_would_move_without_being_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with the restoring taken out, momentum and decay move what was frozen."""
    chain = make_chain(tmp_path)
    frozen = frozen_weights(IncrementalNetwork(narrow(chain.fresh, 1.0), (0.1, 1.0)), 1)
    model = narrow(chain.fresh, 1.0)
    fit.restore(model, frozen)
    monkeypatch.setattr(fit, "restore", lambda network, values: None)
    fit.train_epoch(model, frozen, fit.make_optimiser(model.parameters(), RECIPE), chain.images, RECIPE, 0, 1, 0)
    moved = [
        not torch.equal(values, parameter[tuple(slice(size) for size in values.shape)])
        for values, parameter in zip(frozen, model.parameters(), strict=False)
    ]
    assert len(moved) == 6
    assert all(moved)


def test_forbidden_weights_stay_exactly_zero_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every training step of an increment; the golden models in between keep all their connections."""
    chain = make_chain(tmp_path, causal=True)
    masks = chain.network.forbidden()
    restore, steps = fit.restore, 0

    def watched(model: nn.Sequential, frozen: Sequence[Tensor]) -> None:
        nonlocal steps
        restore(model, frozen)
        for (_, layer), mask in zip(weight_layers(model)[:-1], masks, strict=True):
            found = layer.weight[prefix(mask, layer.weight.shape)]
            assert not frozen or not found.any()
            steps += bool(frozen) and found.numel() > 0

    monkeypatch.setattr(fit, "restore", watched)
    chain.run()
    assert steps == 2 * 2 * (1 + 2 * 5)  # layers, increments, and: the start and two epochs of five batches
    for (_, layer), mask in zip(weight_layers(chain.network.full)[:-1], masks, strict=True):
        assert torch.equal(layer.weight == 0, mask)
    assert all(values.all() for values in chain.golden(2).parameters())


def test_what_is_frozen_of_a_block_causal_network_goes_on_with_zeros() -> None:
    network = IncrementalNetwork(chains.fresh_network("lenet", 1), (0.1, 0.2, 1.0), block_causal=True)
    frozen, earlier = frozen_weights(network, 2), parameters(network.increment(1))[:6]
    assert [tuple(values.shape) for values in frozen] == [
        (4, 1, 5, 5), (4,), (10, 20, 5, 5), (10,), (100, 800), (100,),
    ]  # fmt: skip
    for values, few in zip(frozen, earlier, strict=True):
        assert torch.equal(prefix(values, few.shape), few)
        assert values.count_nonzero() == few.count_nonzero() > 0


def test_what_is_frozen_are_the_hidden_layers_of_the_increment_before() -> None:
    network = IncrementalNetwork(chains.fresh_network("lenet", 1), (0.1, 0.2, 1.0))
    assert frozen_weights(network, 0) == []
    shapes = [tuple(values.shape) for values in frozen_weights(network, 2)]
    assert shapes == [(4, 1, 5, 5), (4,), (10, 4, 5, 5), (10,), (100, 160), (100,)]


def test_the_chain_trains_a_golden_model_before_each_later_increment() -> None:
    assert phases(1) == [Phase("increment", 0)]
    assert phases(3) == [
        Phase("increment", 0),
        Phase("golden", 1),
        Phase("increment", 1),
        Phase("golden", 2),
        Phase("increment", 2),
    ]


def test_an_increment_starts_from_its_golden_model_with_the_frozen_weights_put_in() -> None:
    network = IncrementalNetwork(chains.fresh_network("lenet", 1), (0.1, 0.2, 1.0))
    golden = narrow(chains.fresh_network("lenet", 2), 0.2)
    start = start_of(Phase("increment", 1), network, chains.fresh_network("lenet", 3), golden)
    earlier = parameters(network.increment(0))
    for index, (values, made) in enumerate(zip(parameters(start), parameters(golden), strict=True)):
        wanted = made.clone()
        if index < 6:  # weights and biases of the three hidden layers; the classifier is all new
            wanted[tuple(slice(size) for size in earlier[index].shape)] = earlier[index]
            assert not torch.equal(wanted, made)
        assert torch.equal(values, wanted)


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_chain(tmp_path / "whole")
    whole.run()
    save = chains.TrainingState.save
    count = 0

    def interrupt(state: chains.TrainingState, path: Path) -> None:
        nonlocal count
        save(state, path)
        count += 1
        if count in {1, 3, 8}:  # within the first training, between two, and within a frozen one
            raise KeyboardInterrupt

    monkeypatch.setattr(chains.TrainingState, "save", interrupt)
    for attempt in range(3):
        chain = make_chain(tmp_path / "broken")
        assert chain.resumed == (attempt > 0)
        with pytest.raises(KeyboardInterrupt):
            chain.run()
    last = make_chain(tmp_path / "broken")
    last.run()
    for a, b in zip(whole.network.parameters(), last.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "broken/a.log").read_text() == (tmp_path / "whole/a.log").read_text()


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, other = make_chain(tmp_path / "a"), make_chain(tmp_path / "b", seed=4)
    assert not torch.equal(next(one.fresh.parameters()), next(other.fresh.parameters()))


def test_the_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    chain.state.save(chain.state_path)
    with pytest.raises(
        BadInput, match=r"a.state: an interrupted training has another data, seed; repeat its command, del"
    ):
        make_chain(tmp_path, seed=4)
    with pytest.raises(BadInput, match=r"a.state: an interrupted training has another recipe; repeat its command"):
        make_chain(tmp_path, dataclasses.replace(RECIPE, batch=8))
    with pytest.raises(BadInput, match=r"a.state: an interrupted training has another block_causal; repeat its com"):
        make_chain(tmp_path, causal=True)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_broken_state_is_refused(tmp_path: Path, content: bytes | None) -> None:
    chain = make_chain(tmp_path)
    chain.state.save(chain.state_path)
    whole = chain.state_path.read_bytes()
    chain.state_path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(BadInput, match=r"a.state: a whole training state is wanted, this file is broken; delete it$"):
        make_chain(tmp_path)


def test_train_writes_a_checkpoint_and_its_log(tmp_path: Path) -> None:
    root = write_mnist(tmp_path / "data")
    out = tmp_path / "out" / "lenet.npz"
    results = train("mnist", root, out, fractions=(0.1, 1.0), seed=5, recipe=RECIPE, command="as typed")
    found = checkpoint.load(out)
    assert (found.network, found.dataset, found.fractions, found.seed) == ("lenet", "mnist", (0.1, 1.0), 5)
    assert (found.command, results["checkpoint"], results["seed"]) == ("as typed", str(out), 5)
    test = images(100, 1)
    for index, reached in enumerate(found.float_accuracy):
        assert fit.accuracy(fit.scores(found.increment(index), test.images), test.labels) == reached
    assert len(found.metadata["golden_accuracy"]) == 2
    assert found.metadata["versions"]["torch"] == torch.__version__
    assert found.metadata["data_sha256"] == {"train": chains.digest(images(100, 0)), "test": chains.digest(test)}
    log = (tmp_path / "out" / "lenet.log").read_text().splitlines()
    assert log[0] == "command: as typed"
    assert log[1].startswith("started: seed 5, threads ")
    assert sum("epoch" in line and "validation" in line for line in log[3:]) == 6
    assert log[-1].startswith("finished in ")
    assert sorted(path.name for path in out.parent.iterdir()) == ["lenet-golden.npz", "lenet.log", "lenet.npz"]


@pytest.mark.parametrize("causal", [False, True])
def test_train_says_whether_the_network_is_block_causal(tmp_path: Path, causal: bool) -> None:
    root, out = write_mnist(tmp_path / "data"), tmp_path / "a.npz"
    results = train("mnist", root, out, fractions=(0.5, 1.0), recipe=RECIPE, block_causal=causal)
    found = checkpoint.load(out)
    assert results["block_causal"] == found.block_causal == found.metadata["block_causal"] == causal
    assert f"block-causal: {causal}" in (tmp_path / "a.log").read_text().splitlines()
    zeros = [int((layer.weight == 0).sum()) for _, layer in weight_layers(found.increment(1))]
    assert zeros == ([0, 25 * 10 * 25, 250 * 25 * 16, 0] if causal else [0] * 4)


def test_training_learns(tmp_path: Path) -> None:
    recipe = Recipe(epochs=5, full_epochs=5, batch=16, learning_rate=0.005, validation=100, shift=0)
    train_set, held_out = split(images(400), 100, 1)
    chain = Chain("lenet", (1.0,), recipe, 1, train_set, held_out, tmp_path / "a.state", tmp_path / "a.log")
    before = fit.accuracy(fit.scores(chain.network.increment(0), held_out.images), held_out.labels)
    chain.run()
    after = fit.accuracy(fit.scores(chain.network.increment(0), held_out.images), held_out.labels)
    assert before < 0.4
    assert after > 0.9


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    root = write_mnist(tmp_path)
    with pytest.raises(BadInput, match=r"^alexnet wants images of \(3, 32, 32\) \(C,H,W\), mnist has \(1, 28, 28\)$"):
        train("mnist", root, tmp_path / "a.npz", network="alexnet")


def test_too_few_images_and_bad_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^validation wants fewer than the 100 training images, not 100$"):
        split(images(), 100, 1)
    with pytest.raises(BadInput, match=r"^seed wants a number from 0 to 2147483647, not -1$"):
        make_chain(tmp_path, seed=-1)
    with pytest.raises(BadInput, match=r"^training wants epochs of at least 1, not 0$"):
        Recipe(epochs=0)
    with pytest.raises(BadInput, match=r"^training wants batch of at least 1, not -8$"):
        dataclasses.replace(Recipe(), batch=-8)


def test_the_held_out_images_are_not_trained_on() -> None:
    labelled = ImageSet(
        torch.arange(200, dtype=torch.uint8).view(200, 1, 1, 1), torch.zeros(200, dtype=torch.int64), "a", "train", "b"
    )
    kept, held = split(labelled, 50, 2)
    assert (len(kept), len(held)) == (150, 50)
    assert sorted([*kept.images.flatten().tolist(), *held.images.flatten().tolist()]) == list(range(200))
    assert held.images.flatten().tolist() != list(range(50))


def test_shifts_move_whole_images_by_at_most_one_pixel() -> None:
    source = images(64).images
    moved = fit.augment(source, Recipe(shift=1), torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(source, (1, 1, 1, 1))
    seen = set()
    for index in range(64):
        places = [
            (down, right)
            for down in range(3)
            for right in range(3)
            if torch.equal(moved[index], padded[index, :, down : down + 28, right : right + 28])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 9


def test_mirrored_images_are_mirrored_and_others_left_alone() -> None:
    source = images(64).images
    moved = fit.augment(source, Recipe(shift=0, flip=True), torch.Generator().manual_seed(1))
    kinds = [
        (torch.equal(after, before), torch.equal(after, before.flip(2)))
        for after, before in zip(moved, source, strict=True)
    ]
    assert set(kinds) == {(True, False), (False, True)}
    assert torch.equal(fit.augment(source, Recipe(shift=0), torch.Generator()), source)


def test_the_learning_rate_warms_up_and_ends_near_nothing() -> None:
    rates = [fit.learning_rate(Recipe(learning_rate=1.0), step, 100) for step in range(100)]
    assert rates[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert rates[5] == 1.0
    assert all(b < a for a, b in zip(rates[5:-1], rates[6:], strict=True))
    assert 0 < rates[-1] < 0.001


def test_digits_are_never_mirrored() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.flip] == ["fashion-mnist", "cifar10"]


def test_the_largest_value_looks_behind_the_relu() -> None:
    first, last = nn.Linear(1, 2), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[2.0], [-900.0]]))
        last.weight.copy_(torch.tensor([[-3.0, 1.0]]))
        first.bias.zero_()
        last.bias.zero_()
    network = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    assert fit.largest_value(network, torch.full((1, 1, 1, 1), 128, dtype=torch.uint8)) == 3.0


def test_bad_options_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    with pytest.raises(BadInput, match=r"^network wants one of lenet, convnet, alexnet, not 'resnet'$"):
        train("mnist", tmp_path, out, network="resnet")
    with pytest.raises(BadInput, match=r"^data set wants one of mnist, fashion-mnist, cifar10, svhn, not 'letters'$"):
        train("letters", tmp_path, out)
    with pytest.raises(BadInput, match=r"^threads want a number of at least 1, not 0$"):
        train("mnist", tmp_path, out, threads=0)
    with pytest.raises(BadInput, match=r"^a checkpoint wants a file name that ends in .npz, not weights.pt$"):
        train("mnist", tmp_path, Path("weights.pt"))
    with pytest.raises(BadInput, match=r"^mnist train images: none of train-images-idx3-ubyte, .*; run `make data`"):
        train("mnist", tmp_path, out)
    write_mnist(tmp_path / "data")
    with pytest.raises(BadInput, match=r"^fractions want growing numbers above 0 that end at 1"):
        train("mnist", tmp_path / "data", out, fractions=(1.0, 0.5), recipe=RECIPE)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
