"""One classifier for all increments, but for its biases: in training, in the checkpoint and in the DRAM image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from golden import checkpoint
from golden.data import scale
from golden.mapping import map_network
from golden.mapping.nested import same_classifier
from golden.network import Network
from golden.networks import IncrementalNetwork, lenet
from golden.training import joint
from golden.training.chain import Chain, fresh_network
from hw.errors import BadInput
from hw.params import PRESETS, preset
from tests.golden.kept import causal, map_kept
from tests.golden.random_networks import images as random_images
from tests.golden.random_networks import random_case
from tests.golden.test_checkpoint import METADATA, rewrite
from tests.golden.test_mapping import RUNS, check_runs
from tests.golden.test_train_joint import FRACTIONS, RECIPE, images, make_chain


def shared(nets: list[Network]) -> list[Network]:
    """The networks with the last one's classifier in all of them, each with its own biases."""
    whole = nets[-1].layers[-1].weight
    lasts = [replace(net.layers[-1], weight=whole[:, : net.layers[-1].weight.shape[1]].contiguous()) for net in nets]
    return [replace(net, layers=(*net.layers[:-1], last)) for net, last in zip(nets, lasts, strict=True)]


def trained(folder: Path) -> Chain:
    chain = make_chain(folder, shared_classifier=True)
    chain.run()
    return chain


def test_increments_read_the_first_weights_of_the_last_classifier_and_keep_their_biases() -> None:
    network = IncrementalNetwork(lenet(), FRACTIONS, block_causal=True, shared_classifier=True)
    with torch.no_grad():
        network.classifiers[-1].get_parameter("weight").uniform_(-1, 1)
        for index, head in enumerate(network.classifiers):
            head.get_parameter("bias").fill_(index)
    whole = network.classifiers[-1].get_parameter("weight")
    for index in range(4):
        last = network.increment(index)[-1]
        assert torch.equal(last.get_parameter("weight"), whole[:, : last.get_parameter("weight").shape[1]])
        assert last.get_parameter("bias").unique().tolist() == [index]


def test_a_joint_training_moves_the_shared_weights_once_and_every_bias() -> None:
    fresh = fresh_network("lenet", 3)
    network = joint.start(fresh, FRACTIONS, shared_classifier=True)
    moved = joint.parameters(network)
    own = joint.parameters(joint.start(fresh, FRACTIONS))
    sizes = [values.numel() for values in own if values.dim() == 2 and len(values) == 10]
    assert len(sizes) == 4
    assert sum(values.numel() for values in own) - sum(values.numel() for values in moved) == sum(sizes[:-1])
    assert len({id(values) for values in moved}) == len(moved)
    scores = network(scale(images(20).images))
    scores.sum().backward()
    assert all(values.grad is not None for values in moved)


def test_a_trained_network_shares_its_classifier_and_reads_back(tmp_path: Path) -> None:
    network = trained(tmp_path).network
    biases = [head.get_parameter("bias") for head in network.classifiers]
    assert not torch.equal(biases[0], biases[-1])
    metadata = METADATA | {"fractions": list(FRACTIONS), "float_accuracy": [0.5] * 4}
    metadata |= {"thresholds_raw": [1.0] * 3, "thresholds_softmax": [0.5] * 3}
    checkpoint.save(tmp_path / "a.npz", network, metadata)
    with np.load(tmp_path / "a.npz") as archive:
        assert [name for name in archive.files if name.startswith("classifiers") and "weight" in name] == [
            "classifiers.3.weight"
        ]
    found = checkpoint.load(tmp_path / "a.npz")
    assert found.weights.shared_classifier
    shown = scale(images(8).images)
    for index in range(4):
        assert torch.equal(found.increment(index)(shown), network.increment(index).eval()(shown))


def test_a_checkpoint_says_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, IncrementalNetwork(lenet(), (0.1, 1.0)), METADATA)
    rewrite(path, {}, {"shared_classifier": "yes"})
    with pytest.raises(BadInput, match=r"shared_classifier wants true or false, not 'yes'$"):
        checkpoint.load(path)


def test_a_chain_cannot_share(tmp_path: Path) -> None:
    sets = images(60), images(20)
    with pytest.raises(BadInput, match=r"^a shared classifier wants joint training: a chain gives every increment a n"):
        Chain("lenet", FRACTIONS, RECIPE, 3, *sets, tmp_path / "b", tmp_path / "c", shared_classifier=True)


@pytest.mark.parametrize("name", PRESETS)
def test_shared_classifiers_are_stored_once_and_every_word_is_golden(name: str) -> None:
    p = preset(name)
    compared = mapped_count = 0
    for seed in range(30):
        nets, shape = random_case(seed, p)
        one = shared(nets)
        assert same_classifier(one)
        assert not same_classifier(nets)
        try:
            apart = map_network(nets, p, search=False)
            kept = map_kept(causal(one), p)
        except BadInput:  # some do not fit the small tiles
            continue
        mapped = map_network(one, p, search=False)
        assert len(mapped.image) < len(apart.image)
        for program in (mapped, kept):
            compared += check_runs(program, random_images(1, shape, p, seed), RUNS)
        mapped_count += 1
        if mapped_count == 8:
            break
    assert mapped_count == 8
    assert compared > 0
