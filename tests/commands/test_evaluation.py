"""One network's evaluation, end to end on the small tile: what it says of a made-up network, and that it is kept."""

from pathlib import Path

import pytest
import torch
from torch import nn

import commands.evaluation.budget
import commands.evaluation.runs
from commands.evaluation.network import Case, Evaluation
from commands.evaluation.result import result
from commands.evaluation.setup import Setup, kept
from golden import checkpoint, data, golden_models
from golden.networks import INPUT_SHAPES, NETWORKS, IncrementalNetwork, narrow
from golden.training.chain import digest
from hw.params import preset
from synth.paper.schema import Network
from synth.technology import load_technology
from tests.golden.planner.made import HELD_OUT, IMAGES, SEED, write_mnist

FRACTIONS = (0.25, 0.5, 1.0)
RUN, ALONE = 30, 3


def pocket() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(4),
        nn.Flatten(), nn.Linear(8 * 6 * 6, 8), nn.ReLU(), nn.Linear(8, 10),
    )  # fmt: skip


@pytest.fixture
def evaluation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluation:
    monkeypatch.setitem(NETWORKS, "pocket", pocket)
    monkeypatch.setitem(INPUT_SHAPES, "pocket", (1, 28, 28))
    root = write_mnist(tmp_path / "data")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        weights = IncrementalNetwork(pocket(), FRACTIONS, block_causal=True)
        golden = {fraction: narrow(pocket(), fraction) for fraction in (FRACTIONS[0], 1.0)}
    metadata = {"network": "pocket", "dataset": "mnist", "seed": SEED, "command": "made"}
    described = {
        **metadata,
        "fractions": list(FRACTIONS),
        "float_accuracy": [0.1] * 3,
        "golden_accuracy": [0.1, 0.1, 0.2],
        "thresholds_raw": [1.0] * 2,
        "thresholds_softmax": [0.5] * 2,
        "validation_images": HELD_OUT,
        "data_sha256": {"train": digest(data.load("mnist", "train", root))},
    }
    path = tmp_path / "pocket.npz"
    checkpoint.save(path, weights, described)
    golden_models.save(golden_models.beside(path), golden, metadata)
    params, technology = preset("small").replace(activity=True), load_technology("macro65")
    setup = Setup(params, technology, root, {"pocket": RUN}, {"pocket": ALONE}, 1, 1, tmp_path / "out", "made", "none")
    return Evaluation(Case("pocket", "a made-up network", path, 0.9), setup)


@pytest.mark.cosim
def test_everything_about_a_network_and_again_without_a_simulation(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = result(evaluation)
    assert [one.fraction for one in found.increments] == list(FRACTIONS)
    assert all(one.cost.images == ALONE for one in found.increments)
    energies = [one.cost.energy_uj for one in found.increments]
    assert energies == sorted(energies)
    run, full = found.opportunistic, found.increments[-1]
    assert (run.images, run.test_images, sum(run.stops)) == (RUN, IMAGES, RUN)
    assert run.reuse == "work"
    assert run.saving_percent == pytest.approx(100 * (1 - run.cost.energy_uj / full.cost.energy_uj), abs=1e-5)
    low, high = run.saving_ci99_percent
    assert low < run.saving_percent < high
    assert run.accuracy_drop_points == pytest.approx(100 * (full.accuracy - run.accuracy))
    assert found.full_drop_to_golden_points == pytest.approx(100 * (0.2 - full.accuracy))
    assert found.storage.full_bytes < found.storage.increments_bytes < found.storage.golden_models_bytes
    pair = found.big_little
    assert pair is not None
    assert pair.little.energy_uj < pair.big.energy_uj
    spent = pair.little.energy_uj + pair.escalated * pair.big.energy_uj
    assert pair.saving_percent == pytest.approx(100 * (1 - spent / pair.big.energy_uj), abs=1e-5)
    energy, delay = found.budget
    assert (energy.kind, energy.late, delay.kind, delay.late) == ("energy", 0, "delay", 0)
    assert {image.fraction for image in energy.images} == {image.fraction for image in delay.images} == set(FRACTIONS)
    assert any(image.impossible for image in energy.images)
    assert any(image.impossible for image in delay.images)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was to be kept")

    for module in (commands.evaluation.runs, commands.evaluation.budget):
        monkeypatch.setattr(module, "tile_build", refuse)
    again = result(Evaluation(evaluation.case, evaluation.setup))
    assert again == found
    assert Network.model_validate_json(found.model_dump_json()) == found


def test_results_are_made_again_for_another_key_and_after_a_failure(tmp_path: Path) -> None:
    made: list[int] = []
    folder = tmp_path / "a"

    def make() -> None:
        folder.mkdir(exist_ok=True)
        made.append(len(made))

    for key in ({"a": 1}, {"a": 1}, {"a": 2}):
        assert kept(folder, key, make) == folder
    assert made == [0, 1]

    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        kept(folder, {"a": 3}, fail)
    kept(folder, {"a": 2}, make)  # what the failure left is not taken for whole
    assert made == [0, 1, 2]
