"""Training a network anew as its checkpoint says."""

from pathlib import Path

import numpy as np
import pytest

from commands.evaluation.retrain import retrain
from golden import checkpoint
from golden.train import train
from golden.training.recipe import Recipe
from hw.errors import BadInput
from tests.golden.planner.made import write_checkpoint, write_mnist


def test_trained_anew_it_is_the_same_network(tmp_path: Path) -> None:
    root = write_mnist(tmp_path / "data")
    recipe = Recipe(epochs=1, full_epochs=1, joint_epochs=1, batch=20, validation=40)
    first, again = tmp_path / "first.npz", tmp_path / "out" / "again.npz"
    common = {"network": "lenet", "fractions": (0.1, 1.0), "method": "joint", "seed": 3, "recipe": recipe}
    train("mnist", root, first, **common)  # type: ignore[arg-type]  # of a dictionary's values
    assert retrain(first, root, again) == again
    one, two = checkpoint.load(first), checkpoint.load(again)
    for name, values in one.weights.state_dict().items():
        assert np.array_equal(values.numpy(), two.weights.state_dict()[name].numpy()), name
    assert two.metadata["recipe"] == one.metadata["recipe"]
    before = again.stat().st_mtime_ns
    retrain(first, root, again)
    assert again.stat().st_mtime_ns == before


def test_a_checkpoint_without_a_recipe_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.npz", write_mnist(tmp_path / "data"))
    with pytest.raises(BadInput, match="a checkpoint that says its recipe is wanted to train it anew, this one does"):
        retrain(path, tmp_path / "data", tmp_path / "b.npz")
