"""Incremental training (T16 Algorithm 1) of a network on a data set, from images to a checkpoint."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from golden import checkpoint, data
from golden.networks import INPUT_SHAPES, find_network
from golden.training import fit, thresholds
from golden.training.chain import Chain, digest
from golden.training.recipe import RECIPES, Recipe
from hw.errors import BadInput


def split(images: data.ImageSet, validation: int, seed: int) -> tuple[data.ImageSet, data.ImageSet]:
    """Training images and ``validation`` held-out ones, drawn at random from ``seed``."""
    if validation >= len(images):
        raise BadInput(f"validation wants fewer than the {len(images)} training images, not {validation}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.part(order[validation:]), images.part(order[:validation])


def train(
    dataset: str,
    root: Path,
    out: Path,
    *,
    network: str = "lenet",
    fractions: Sequence[float] = (0.1, 0.2, 1.0),
    block_causal: bool = False,
    seed: int = 1,
    recipe: Recipe | None = None,
    threads: int = 1,
    command: str = "",
) -> dict[str, object]:
    """Train ``network`` increment by increment on a data set of folder ``root``; write the checkpoint ``out``.

    Beside it lie ``<out>.log`` and, while the training is under way, ``<out>.state``: the same call goes on from there.
    Returns the paths, the seed, whether the network is block-causal, the accuracies on the test set per increment
    (0 to 1) and the thresholds. Thresholds are chosen on images held out of the training set; the test set is only
    scored when all else is done. block_causal: as in `golden.networks.IncrementalNetwork`. threads: torch's; the bits
    that come out depend on their number.
    """
    started = time.monotonic()
    find_network(network)
    if out.suffix != ".npz":
        raise BadInput(f"a checkpoint wants a file name that ends in .npz, not {out}")
    if threads < 1:
        raise BadInput(f"threads want a number of at least 1, not {threads}")
    whole, test = (data.load(dataset, part, root) for part in data.SPLITS)
    for images in (whole, test):
        if images.shape != INPUT_SHAPES[network]:
            raise BadInput(f"{network} wants images of {INPUT_SHAPES[network]} (C,H,W), {dataset} has {images.shape}")
    recipe = recipe or RECIPES[dataset]
    images, held_out = split(whole, recipe.validation, seed)
    torch.set_num_threads(threads)
    state_path, log_path = out.with_suffix(".state"), out.with_suffix(".log")
    chain = Chain(network, fractions, recipe, seed, images, held_out, state_path, log_path, block_causal=block_causal)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": np.__version__}
    chain.log(f"command: {command}")
    begun = "resumed" if chain.resumed else "started"
    chain.log(f"{begun}: seed {seed}, threads {threads}, {versions}")
    chain.log(f"recipe: {dataclasses.asdict(recipe)}")
    chain.log(f"block-causal: {block_causal}")
    chain.run()
    results = measure(chain, test)
    checkpoint.save(
        out,
        chain.network,
        {
            "network": network,
            "dataset": dataset,
            "seed": seed,
            "command": command,
            **results,
            "validation_images": len(held_out),
            "test_images": len(test),
            "recipe": dataclasses.asdict(recipe),
            "threads": threads,
            "versions": versions,
            "data_sha256": {"train": digest(whole), "test": digest(test)},
        },
    )
    state_path.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    chain.log(f"finished in {seconds:.0f} s: {out.name}")
    origin = {"checkpoint": str(out), "log": str(log_path), "seed": seed, "block_causal": block_causal}
    return {**origin, **results, "seconds": round(seconds, 1)}


def measure(chain: Chain, test: data.ImageSet) -> dict[str, list[float]]:
    """Thresholds from the held-out images, then accuracies (0 to 1) on the test images, per increment; all logged."""
    labels = chain.held_out.labels
    indices = range(len(chain.network.fractions))
    increments = [chain.network.increment(index) for index in indices]
    goldens = [chain.golden(index) for index in indices]
    outputs = [fit.scores(model, chain.held_out.images) for model in increments]
    costs = [thresholds.macs(model, test.shape) for model in increments]
    raw = thresholds.choose(outputs, labels, costs)
    softmax = thresholds.choose([F.softmax(scores, 1) for scores in outputs], labels, costs)
    for score, choice in (("raw", raw), ("softmax", softmax)):
        chain.log(f"thresholds {score} (validation, {len(labels)} images): {dataclasses.asdict(choice)}")
    reached = [fit.accuracy(fit.scores(model, test.images), test.labels) for model in increments]
    golden = [fit.accuracy(fit.scores(model, test.images), test.labels) for model in goldens]
    for index, model in enumerate(increments):
        chain.log(
            f"increment {index} (fraction {chain.network.fractions[index]:g}): test accuracy {reached[index]:.4f}, "
            f"golden model {golden[index]:.4f}, "
            f"largest weight {max(values.abs().max().item() for values in model.parameters()):.3f}, "
            f"largest value {fit.largest_value(model, chain.held_out.images):.2f}, MACs {costs[index]}"
        )
    return {
        "fractions": list(chain.network.fractions),
        "float_accuracy": reached,
        "golden_accuracy": golden,
        "thresholds_raw": list(raw.thresholds),
        "thresholds_softmax": list(softmax.thresholds),
    }
