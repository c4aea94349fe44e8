"""Checkpoints: what is written reads back bit for bit; every broken file is refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import checkpoint, data
from golden.networks import IncrementalNetwork, lenet
from golden.training import fit
from hw.errors import BadInput

COMMITTED = Path(__file__).resolve().parents[2] / "checkpoints"
METADATA: dict[str, Any] = {
    "network": "lenet",
    "dataset": "mnist",
    "fractions": [0.1, 1.0],
    "seed": 7,
    "command": "tilewatt train",
    "float_accuracy": [0.5, 0.75],
    "thresholds_raw": [2.5],
    "thresholds_softmax": [0.5],
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "lenet.npz"
    checkpoint.save(path, IncrementalNetwork(lenet(), (0.1, 1.0)), METADATA)
    return path


def rewrite(path: Path, arrays: dict[str, np.ndarray | None], metadata: dict[str, object]) -> None:
    """Change arrays (None removes one) and metadata (None removes a field) of a checkpoint."""
    with np.load(path) as archive:
        stored = {name: archive[name] for name in archive.files}
    values = {**json.loads(str(stored["metadata"])), **metadata}
    stored["metadata"] = np.array(json.dumps({name: value for name, value in values.items() if value is not None}))
    changed = {name: value for name, value in {**stored, **arrays}.items() if value is not None}
    np.savez_compressed(path, allow_pickle=False, **changed)


def test_a_checkpoint_reads_back(tmp_path: Path) -> None:
    network = IncrementalNetwork(lenet(), (0.1, 0.2, 1.0))
    metadata = METADATA | {"fractions": [0.1, 0.2, 1.0], "float_accuracy": [0.5, 0.6, 0.7]}
    metadata |= {"thresholds_raw": [2.5, 1.5], "thresholds_softmax": [0.5, 0.25], "versions": {"torch": "2"}}
    checkpoint.save(tmp_path / "a.npz", network, metadata)
    found = checkpoint.load(tmp_path / "a.npz")
    assert (found.network, found.dataset, found.seed, found.command) == ("lenet", "mnist", 7, "tilewatt train")
    assert (found.fractions, found.float_accuracy) == ((0.1, 0.2, 1.0), (0.5, 0.6, 0.7))
    assert (found.thresholds_raw, found.thresholds_softmax) == ((2.5, 1.5), (0.5, 0.25))
    assert (found.input_shape, found.metadata["versions"]) == ((1, 28, 28), {"torch": "2"})
    images = torch.rand(4, *found.input_shape)
    for index in range(3):
        wanted, came = network.increment(index).eval(), found.increment(index)
        assert not came.training
        assert torch.equal(came(images), wanted(images))
        for a, b in zip(came.parameters(), wanted.parameters(), strict=True):
            assert torch.equal(a, b)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_older_files_have_no_accuracies_to_compare_with(written: Path) -> None:
    found = checkpoint.load(written)
    assert (found.golden_accuracy, found.shutdown_accuracy) == (None, None)
    rewrite(written, {}, {"golden_accuracy": [0.5, 0.8], "shutdown_accuracy": [0.125, 0.8]})
    found = checkpoint.load(written)
    assert (found.golden_accuracy, found.shutdown_accuracy) == ((0.5, 0.8), (0.125, 0.8))


def test_a_block_causal_checkpoint_reads_back(tmp_path: Path) -> None:
    network = IncrementalNetwork(lenet(), (0.1, 1.0), block_causal=True)
    checkpoint.save(tmp_path / "a.npz", network, METADATA | {"block_causal": False})  # the network knows better
    found = checkpoint.load(tmp_path / "a.npz")
    assert found.block_causal
    assert found.metadata["block_causal"] is True
    for a, b in zip(network.parameters(), found.weights.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_that_does_not_say_is_dense(written: Path) -> None:
    rewrite(written, {}, {"block_causal": None})
    with np.load(written) as archive:
        assert "block_causal" not in json.loads(str(archive["metadata"]))
    assert not checkpoint.load(written).block_causal


@pytest.mark.parametrize(
    ("name", "fractions", "causal", "least"),
    [
        ("lenet-mnist", (0.1, 0.2, 1.0), False, (0.986, 0.989, 0.992)),
        ("lenet-mnist-half", (0.5, 1.0), False, (0.992, 0.992)),
        ("lenet-mnist-causal", (0.5, 1.0), True, (0.992, 0.992)),
    ],
)
def test_a_committed_checkpoint_is_what_its_metadata_say(
    name: str, fractions: tuple[float, ...], causal: bool, least: tuple[float, ...]
) -> None:
    found = checkpoint.load(COMMITTED / f"{name}.npz")
    assert (found.network, found.dataset, found.fractions) == ("lenet", "mnist", fractions)
    assert found.block_causal == causal
    assert all(got >= wanted for got, wanted in zip(found.float_accuracy, least, strict=True))
    assert all(0 <= value < 32 for value in found.thresholds_raw)
    assert all(0 <= value < 1 for value in found.thresholds_softmax)
    images = data.load_subset(COMMITTED / "mnist-test-1000.npz")
    assert len(images) == 1000
    for index, whole in enumerate(found.float_accuracy):
        increment = found.increment(index)
        reached = fit.accuracy(fit.scores(increment, images.images), images.labels)
        assert abs(reached - whole) <= 0.006  # 1,000 of 10,000 images: two standard deviations at 99 %
        assert max(values.abs().max().item() for values in increment.parameters()) < 8
        assert fit.largest_value(increment, images.images) < 32  # <16,10> holds every map and score
    log = (COMMITTED / f"{name}.log").read_text()
    assert f"command: {found.command}\n" in log
    assert f"seed {found.seed}," in log


@pytest.mark.parametrize("index", [-1, 2])
def test_an_increment_that_is_not_there_is_refused(written: Path, index: int) -> None:
    with pytest.raises(BadInput, match=rf"^lenet has increments 0 to 1, not {index}$"):
        checkpoint.load(written).increment(index)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.npz: a checkpoint \(.npz\) is wanted, there is none$"):
        checkpoint.load(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(written: Path, kept: float) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(BadInput, match=r"lenet.npz: a checkpoint \(.npz\) is wanted whole, this file is truncated or"):
        checkpoint.load(written)


def test_a_corrupt_checkpoint_is_refused(written: Path) -> None:
    whole = bytearray(written.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 8] = bytes(value ^ 255 for value in whole[middle : middle + 8])
    written.write_bytes(whole)
    with pytest.raises(BadInput, match=r"lenet.npz: a checkpoint \(.npz\) is wanted whole, this file is truncated or"):
        checkpoint.load(written)


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npy").read_bytes())
    with pytest.raises(BadInput, match=r"b.npz: a checkpoint \(.npz\) is wanted whole"):
        checkpoint.load(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"metadata": None}, r"a checkpoint wants the array metadata; `tilewatt train` writes such files$"),
        ({"metadata": np.array("{not json")}, r"metadata want JSON of format tilewatt-checkpoint-1$"),
        ({"metadata": np.array("[]")}, r"metadata want JSON of format tilewatt-checkpoint-1$"),
        (
            {"full.0.weight": None, "classifiers.1.bias": None},
            r"a checkpoint of lenet wants the arrays classifiers.1.bias, full.0.weight too$",
        ),
        ({"full.12.weight": np.zeros(3)}, r"a checkpoint of lenet has no arrays full.12.weight$"),
        (
            {"full.3.weight": np.zeros((50, 20, 3, 3), np.float32)},
            r"full.3.weight wants float32 \[50, 20, 5, 5\], not float32 \[50, 20, 3, 3\]$",
        ),
        ({"full.0.bias": np.zeros(20)}, r"full.0.bias wants float32 \[20\], not float64 \[20\]$"),
        ({"full.0.bias": np.full(20, np.nan, np.float32)}, r"full.0.bias wants finite weights, some are not$"),
        ({"full.0.bias": np.full(20, np.inf, np.float32)}, r"full.0.bias wants finite weights, some are not$"),
    ],
)
def test_wrong_arrays_are_refused(written: Path, arrays: dict[str, np.ndarray | None], message: str) -> None:
    rewrite(written, arrays, {})
    with pytest.raises(BadInput, match=message):
        checkpoint.load(written)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "other-2"}, r"metadata want JSON of format tilewatt-checkpoint-1$"),
        ({"seed": None, "command": None}, r"metadata want seed, command too$"),
        ({"network": "vgg"}, r"network wants one of lenet, convnet, alexnet, not 'vgg'$"),
        ({"network": ["lenet"]}, r"network wants one of lenet, convnet, alexnet, not \['lenet'\]$"),
        ({"network": "alexnet"}, r"a checkpoint of alexnet wants the arrays full.6.bias, full.6.weight too$"),
        ({"network": "convnet"}, r"a checkpoint of convnet wants the arrays .*full.5.bias, full.5.weight, .* too$"),
        ({"fractions": [0.1, 0.5, 1.0]}, r"float_accuracy want 3 numbers, not \[0.5, 0.75\]$"),
        ({"fractions": [0.2, 1.0]}, r"classifiers.0.weight wants float32 \[10, 100\], not float32 \[10, 50\]$"),
        ({"fractions": "all"}, r"fractions want a list of numbers, not 'all'$"),
        ({"fractions": [0.1, 0.5]}, r"npz: fractions want growing numbers above 0 that end at 1"),
        ({"float_accuracy": [0.5]}, r"float_accuracy want 2 numbers, not \[0.5\]$"),
        ({"thresholds_raw": [1, 2]}, r"thresholds_raw want 1 numbers, not \[1, 2\]$"),
        ({"thresholds_softmax": ["a"]}, r"thresholds_softmax want 1 numbers, not \['a'\]$"),
        ({"seed": "one"}, r"seed wants an integer, not 'one'$"),
        ({"golden_accuracy": [0.5]}, r"npz: golden_accuracy want 2 numbers, not \[0.5\]$"),
        ({"shutdown_accuracy": 0.5}, r"npz: shutdown_accuracy want 2 numbers, not 0.5$"),
        ({"block_causal": 1}, r"npz: block_causal wants true or false, not 1$"),
        (
            {"block_causal": True},
            r"npz: layer 3 of a block-causal network wants weights 0 from later channels to .* ones, 2250 are not$",
        ),
    ],
)
def test_wrong_metadata_are_refused(written: Path, metadata: dict[str, object], message: str) -> None:
    rewrite(written, {}, metadata)
    with pytest.raises(BadInput, match=message):
        checkpoint.load(written)


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoint.save(tmp_path / "a.npz", IncrementalNetwork(lenet(), (1.0,)), METADATA | {"extra": object()})
    assert list(tmp_path.iterdir()) == []
