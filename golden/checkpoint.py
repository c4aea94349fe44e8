"""Checkpoints: one .npz with the shared weights, every increment's classifier, and how they were made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from golden.networks import INPUT_SHAPES, NETWORKS, IncrementalNetwork, find_network
from golden.npz import read_npz
from hw.errors import BadInput, atomic_path

FORMAT = "tilewatt-checkpoint-1"
METADATA = "metadata"
KINDS = ("block_causal", "shared_classifier")  # of IncrementalNetwork; older files have none: false


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained incremental network and its origin.

    network, dataset: names. fractions: channel share per increment. seed, command: what made it. float_accuracy: on the
    test set per increment, 0 to 1. thresholds_raw: margin thresholds on scores, real units; thresholds_softmax: on
    softmax scores, 0 to 1; one per increment but the last. metadata: these and more (versions, hashes of the data,
    golden models' accuracies) as stored.
    """

    network: str
    dataset: str
    fractions: tuple[float, ...]
    seed: int
    command: str
    float_accuracy: tuple[float, ...]
    thresholds_raw: tuple[float, ...]
    thresholds_softmax: tuple[float, ...]
    metadata: dict[str, Any]
    weights: IncrementalNetwork

    @property
    def block_causal(self) -> bool:
        """Whether an increment's hidden maps are the first channels of every larger increment's."""
        return self.weights.block_causal

    @property
    def golden_accuracy(self) -> tuple[float, ...] | None:
        """On the test set, per increment, of models of the same channels trained alone; older files may have none."""
        return tuple(self.metadata["golden_accuracy"]) if "golden_accuracy" in self.metadata else None

    @property
    def shutdown_accuracy(self) -> tuple[float, ...] | None:
        """The same of the last golden model with all but the first channels shut off; older files have none."""
        return tuple(self.metadata["shutdown_accuracy"]) if "shutdown_accuracy" in self.metadata else None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return INPUT_SHAPES[self.network]

    def increment(self, index: int) -> nn.Sequential:
        """Increment ``index`` as a plain float32 module in eval mode; copies, free to change."""
        if not 0 <= index < len(self.fractions):
            raise BadInput(f"{self.network} has increments 0 to {len(self.fractions) - 1}, not {index}")
        return self.weights.increment(index).eval()


def save(path: Path, weights: IncrementalNetwork, metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. The metadata want at least the fields of `Checkpoint`.

    Whether the network is block-causal and whether its increments share a classifier are taken from ``weights``.
    """
    described = {"format": FORMAT, **metadata, **{name: getattr(weights, name) for name in KINDS}}
    arrays = {name: values.detach().numpy() for name, values in _stored(weights).items()}
    arrays[METADATA] = np.array(json.dumps(described, sort_keys=True))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _stored(weights: IncrementalNetwork) -> dict[str, Tensor]:
    """The arrays of a checkpoint: nothing twice. The last layer of the full network is the last classifier, and the
    weights of shared classifiers are that one's."""
    twice = {f"full.{len(weights.full) - 1}.{name}" for name in ("weight", "bias")}
    if weights.shared_classifier:
        twice |= {f"classifiers.{index}.weight" for index in range(len(weights.fractions) - 1)}
    return {name: values for name, values in weights.state_dict().items() if name not in twice}


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; BadInput says in one line what is missing or broken."""
    path = Path(path)
    arrays = read_npz(path, "a checkpoint")
    metadata = _metadata(path, arrays.pop(METADATA, None))
    full = find_network(metadata["network"])()
    try:
        weights = IncrementalNetwork(full, metadata["fractions"], **{name: metadata[name] for name in KINDS})
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    wanted = _stored(weights)
    if missing := sorted(set(wanted) - set(arrays)):
        raise BadInput(f"{path}: a checkpoint of {metadata['network']} wants the arrays {', '.join(missing)} too")
    if unknown := sorted(set(arrays) - set(wanted)):
        raise BadInput(f"{path}: a checkpoint of {metadata['network']} has no arrays {', '.join(unknown)}")
    for name, target in wanted.items():
        _fill(path, name, target, arrays[name])
    weights.share()
    try:
        weights.adopt(len(weights.fractions) - 1, weights.increment(len(weights.fractions) - 1))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    return Checkpoint(
        metadata["network"],
        metadata["dataset"],
        weights.fractions,
        metadata["seed"],
        metadata["command"],
        tuple(metadata["float_accuracy"]),
        tuple(metadata["thresholds_raw"]),
        tuple(metadata["thresholds_softmax"]),
        metadata,
        weights.eval(),
    )


def _metadata(path: Path, stored: np.ndarray | None) -> dict[str, Any]:
    if stored is None:
        raise BadInput(f"{path}: a checkpoint wants the array {METADATA}; `tilewatt train` writes such files")
    try:
        metadata = json.loads(str(stored))
    except json.JSONDecodeError:
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise BadInput(f"{path}: {METADATA} want JSON of format {FORMAT}")
    fields = [
        name for name in Checkpoint.__dataclass_fields__ if name not in (METADATA, "weights") and name not in metadata
    ]
    if fields:
        raise BadInput(f"{path}: {METADATA} want {', '.join(fields)} too")
    if metadata["network"] not in list(NETWORKS):
        raise BadInput(f"{path}: network wants one of {', '.join(NETWORKS)}, not {metadata['network']!r}")
    if not _numbers(metadata["fractions"]):
        raise BadInput(f"{path}: fractions want a list of numbers, not {metadata['fractions']!r}")
    if not isinstance(metadata["seed"], int):
        raise BadInput(f"{path}: seed wants an integer, not {metadata['seed']!r}")
    for name in KINDS:
        if not isinstance(metadata.setdefault(name, False), bool):
            raise BadInput(f"{path}: {name} wants true or false, not {metadata[name]!r}")
    increments = len(metadata["fractions"])
    optional = [(name, 0) for name in ("golden_accuracy", "shutdown_accuracy") if name in metadata]
    for name, count in (("float_accuracy", 0), ("thresholds_raw", 1), ("thresholds_softmax", 1), *optional):
        if not _numbers(metadata[name]) or len(metadata[name]) != increments - count:
            raise BadInput(f"{path}: {name} want {increments - count} numbers, not {metadata[name]!r}")
    return metadata


def _numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)


def _fill(path: Path, name: str, target: Tensor, stored: np.ndarray) -> None:
    """Copy an array into the state dict's tensor, which shares its memory with the network."""
    if stored.dtype != np.float32 or stored.shape != tuple(target.shape):
        raise BadInput(f"{path}: {name} wants float32 {list(target.shape)}, not {stored.dtype} {list(stored.shape)}")
    if not np.isfinite(stored).all():
        raise BadInput(f"{path}: {name} wants finite weights, some are not")
    target.copy_(torch.from_numpy(stored))
