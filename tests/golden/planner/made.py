"""Made-up cases, data sets and checkpoints for the planner's tests."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from golden import checkpoint, data
from golden.networks import IncrementalNetwork, lenet
from golden.planner.case import Case, Chain
from golden.planner.costs import ALONE, Costs
from golden.training.chain import digest

IMAGES, HELD_OUT, SEED = 120, 40, 3


def costs(alone: tuple[float, ...]) -> Costs:
    """Every escalation pays the larger increment whole."""
    numbers = range(len(alone))
    steps = tuple(tuple(alone[more] if more > few else None for more in numbers) for few in numbers)
    sources = tuple(tuple(ALONE if more > few else None for more in numbers) for few in numbers)
    return Costs(alone, steps, "MAC", "made", sources)


def case(images: int, increments: int, seed: int, most: int = 6) -> Case:
    """Levels from 1 to ``most``; larger increments are right more often, and large margins more often than small."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, most + 1, (increments, images))
    chance = 0.35 + 0.5 * levels / most + 0.1 * np.arange(increments)[:, None]
    right = rng.random((increments, images)) < chance
    return Case({"raw": levels, "softmax": levels[::-1].copy()}, right, costs((1.0, 3.0, 7.0, 20.0)[:increments]))


def chain(images: int, increments: int, seed: int, most: int = 6) -> Chain:
    return case(images, increments, seed, most).chain(range(increments), "raw")


def write_mnist(root: Path, parts: tuple[str, ...] = ("train", "t10k")) -> Path:
    """IDX files of random images below ``root``; returns ``root``."""
    folder = root / "mnist"
    folder.mkdir(parents=True)
    for seed, part in enumerate(parts):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 10, (IMAGES,), generator=generator).numpy().astype(np.uint8)
        pixels = torch.randint(0, 256, (IMAGES, 28, 28), generator=generator).numpy().astype(np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return root


def write_checkpoint(path: Path, root: Path, fractions: tuple[float, ...] = (0.1, 0.2, 1.0), **changes: Any) -> Path:
    """LeNet with random weights, as if it had been trained on the data below ``root``. A change to None leaves out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = IncrementalNetwork(lenet(), fractions)
    metadata = {
        "network": "lenet",
        "dataset": "mnist",
        "fractions": list(fractions),
        "seed": SEED,
        "command": "made",
        "float_accuracy": [0.1] * len(fractions),
        "thresholds_raw": [1.0] * (len(fractions) - 1),
        "thresholds_softmax": [0.5] * (len(fractions) - 1),
        "validation_images": HELD_OUT,
        "data_sha256": {"train": digest(data.load("mnist", "train", root))},
        **changes,
    }
    checkpoint.save(path, weights, {name: value for name, value in metadata.items() if value is not None})
    return path
