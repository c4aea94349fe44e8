"""Golden models: networks of an increment's channels that were trained alone, as an ``.npz`` beside a checkpoint.

They are what increments are compared with, and the two networks of Big/Little (Park et al.), which stores a weight set
per size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from golden.network import Network, read
from golden.networks import INPUT_SHAPES, NETWORKS, find_network, narrow
from golden.npz import read_npz
from golden.quantise import quantise_network
from hw.errors import BadInput, atomic_path
from hw.params import NumberFormat

FORMAT = 1
METADATA = "metadata"


@dataclass(frozen=True)
class GoldenModels:
    """models: float32 modules in eval mode by their fraction of the channels, rising. metadata: at least network,
    dataset, seed and command."""

    models: dict[float, nn.Sequential]
    metadata: dict[str, Any]

    @property
    def network(self) -> str:
        return str(self.metadata["network"])

    def integer(self, fmt: NumberFormat) -> dict[float, Network]:
        """The models with integer codes of ``fmt``."""
        shape = INPUT_SHAPES[self.network]
        return {fraction: quantise_network(read(model, shape), fmt) for fraction, model in self.models.items()}


def beside(checkpoint: Path) -> Path:
    """Where the golden models of a checkpoint lie."""
    return checkpoint.with_name(f"{checkpoint.stem}-golden.npz")


def save(path: Path, models: Mapping[float, nn.Sequential], metadata: Mapping[str, Any]) -> None:
    """Write golden models, whole or not at all."""
    described = {**metadata, "format": FORMAT, "fractions": sorted(models)}
    arrays = {
        f"{fraction:g}/{name}": values.detach().numpy()
        for fraction, model in models.items()
        for name, values in model.state_dict().items()
    }
    arrays[METADATA] = np.array(json.dumps(described, sort_keys=True))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(path: Path) -> GoldenModels:
    """Read golden models; BadInput says in one line what is missing or broken."""
    arrays = read_npz(path, "a file of golden models")
    try:
        metadata = json.loads(str(arrays.pop(METADATA)))
        fractions = [float(fraction) for fraction in metadata["fractions"]]
        known = (
            metadata["format"] == FORMAT and metadata["network"] in NETWORKS and {"dataset", "seed"} <= set(metadata)
        )
    except (KeyError, TypeError, ValueError):
        known = False
    if not known or not fractions:
        raise BadInput(f"{path}: metadata of golden models are wanted, as `tilewatt train` writes them")
    full = find_network(metadata["network"])()
    models = {fraction: narrow(full, fraction).eval() for fraction in fractions}
    wanted = {f"{f:g}/{name}": values for f, model in models.items() for name, values in model.state_dict().items()}
    if set(arrays) != set(wanted):
        differ = ", ".join(sorted(set(arrays) ^ set(wanted)))
        raise BadInput(f"{path}: golden models of {metadata['network']} want their arrays, these differ: {differ}")
    for name, target in wanted.items():
        if arrays[name].dtype != np.float32 or arrays[name].shape != tuple(target.shape):
            came = f"{arrays[name].dtype} {list(arrays[name].shape)}"
            raise BadInput(f"{path}: {name} wants float32 {list(target.shape)}, not {came}")
        target.copy_(torch.from_numpy(arrays[name]))
    return GoldenModels(models, metadata)
