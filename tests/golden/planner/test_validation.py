"""The held-out images: those of the training and no others, and scores as the tile takes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import checkpoint, data, integer
from golden.evaluate import codes, integer_networks
from golden.planner.validation import held_out, validation
from golden.train import split
from hw.errors import BadInput
from hw.params import preset
from tests.golden.planner import made

FMT = preset("paper32").fmt


def test_the_held_out_images_are_those_of_the_training_and_the_test_set_is_not_there(tmp_path: Path) -> None:
    root = made.write_mnist(tmp_path, parts=("train",))  # opening the test set would fail
    trained = checkpoint.load(made.write_checkpoint(tmp_path / "a.npz", root))
    found = held_out(trained, root)
    train, wanted = split(data.load("mnist", "train", root), made.HELD_OUT, made.SEED)
    assert len(found) == made.HELD_OUT
    assert torch.equal(found.images, wanted.images)
    assert torch.equal(found.labels, wanted.labels)
    kept = {image.numpy().tobytes() for image in train.images}
    assert not kept & {image.numpy().tobytes() for image in found.images}


def test_scores_are_the_exact_sums_of_every_increment(tmp_path: Path) -> None:
    root = made.write_mnist(tmp_path)
    trained = checkpoint.load(made.write_checkpoint(tmp_path / "a.npz", root))
    images, networks = held_out(trained, root), tuple(integer_networks(trained, FMT))
    found = validation(trained, images, networks)
    assert [wide.shape for wide in found.scores] == [(made.HELD_OUT, 10)] * 3
    for wide, network in zip(found.scores, networks, strict=True):
        maps, sums = integer.forward(network, codes(images, FMT))
        assert (wide == sums.numpy()).all()
        narrowed = integer.narrow(torch.from_numpy(wide), FMT)
        assert torch.equal(narrowed, maps[-1].flatten(1)), "the scores are taken before rounding"
    assert (found.right()[1] == (found.scores[1].argmax(1) == images.labels.numpy())).all()
    assert found.source == "40 images held out of mnist train by seed 3"
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize(
    "missing",
    [{"validation_images": None}, {"data_sha256": None}, {"data_sha256": {}}, {"validation_images": "many"}],
)
def test_a_checkpoint_that_does_not_say_what_was_held_out_is_refused(
    tmp_path: Path, missing: dict[str, Any]
) -> None:  # fmt: skip
    root = made.write_mnist(tmp_path)
    trained = checkpoint.load(made.write_checkpoint(tmp_path / "a.npz", root, **missing))
    with pytest.raises(
        BadInput,
        match=r"a plan wants a checkpoint that says which images its training held out \(validation_images, "
        r"data_sha256\), that of lenet on mnist does not: train it again with `tilewatt train`",
    ):
        held_out(trained, root)


def test_other_training_images_are_refused(tmp_path: Path) -> None:
    root = made.write_mnist(tmp_path)
    trained = checkpoint.load(made.write_checkpoint(tmp_path / "a.npz", root, data_sha256={"train": "0" * 64}))
    with pytest.raises(
        BadInput,
        match="the images that the checkpoint was trained on are wanted, of SHA-256 000000000000, not "
        "[0-9a-f]{12}: others may have been held out",
    ):
        held_out(trained, root)


def test_no_data_is_refused(tmp_path: Path) -> None:
    root = made.write_mnist(tmp_path)
    trained = checkpoint.load(made.write_checkpoint(tmp_path / "a.npz", root))
    with pytest.raises(BadInput, match="mnist train images: none of train-images-idx3-ubyte"):
        held_out(trained, tmp_path / "none")
