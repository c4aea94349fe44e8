"""Training of an incremental network on a data set, in a chain (T16 Algorithm 1) or jointly, to a checkpoint."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from golden import checkpoint, data, golden_models
from golden.networks import INPUT_SHAPES, find_network, narrow
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
    shared_classifier: bool = False,
    method: str = "chain",
    seed: int = 1,
    epochs: int | None = None,
    joint_epochs: int | None = None,
    recipe: Recipe | None = None,
    threads: int = 1,
    command: str = "",
) -> dict[str, object]:
    """Train every increment of ``network`` on a data set of folder ``root``; write the checkpoint ``out``.

    Beside it lie ``<out>-golden.npz`` (the first and the last golden model), ``<out>.log`` and, while the training is
    under way, ``<out>.state``: the same call goes on from there.
    Returns the paths, the seed, whether the network is block-causal, the accuracies on the test set per increment
    (0 to 1) and the thresholds. Thresholds are chosen on images held out of the training set; the test set is only
    scored when all else is done. block_causal, shared_classifier: as in `golden.networks.IncrementalNetwork`. method:
    ``chain`` or ``joint``, which is always block-causal and alone can share a classifier. epochs: of every training, in
    place of the recipe's; joint_epochs: of the joint one. recipe: of the data set if left out. threads: torch's; the
    bits that come out depend on their number.
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
    if epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=epochs, full_epochs=epochs, joint_epochs=epochs)
    if joint_epochs is not None:
        recipe = dataclasses.replace(recipe, joint_epochs=joint_epochs)
    block_causal = block_causal or method == "joint"
    images, held_out = split(whole, recipe.validation, seed)
    torch.set_num_threads(threads)
    state_path, log_path = out.with_suffix(".state"), out.with_suffix(".log")
    chain = Chain(
        network,
        fractions,
        recipe,
        seed,
        images,
        held_out,
        state_path,
        log_path,
        block_causal=block_causal,
        shared_classifier=shared_classifier,
        method=method,
    )
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": np.__version__}
    chain.log(f"command: {command}")
    begun = "resumed" if chain.resumed else "started"
    chain.log(f"{begun}: seed {seed}, threads {threads}, {versions}")
    chain.log(f"recipe: {dataclasses.asdict(recipe)}")
    chain.log(f"method: {method}")
    chain.log(f"block-causal: {block_causal}")
    chain.log(f"shared classifier: {shared_classifier}")
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
            "method": method,
            **results,
            "validation_images": len(held_out),
            "test_images": len(test),
            "recipe": dataclasses.asdict(recipe),
            "threads": threads,
            "versions": versions,
            "data_sha256": {"train": digest(whole), "test": digest(test)},
        },
    )
    ends = (0, len(chain.network.fractions) - 1)
    golden_models.save(
        golden_models.beside(out),
        {chain.network.fractions[index]: chain.golden(index) for index in ends},
        {"network": network, "dataset": dataset, "seed": seed, "command": command, "method": method},
    )
    state_path.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    chain.log(f"finished in {seconds:.0f} s: {out.name}")
    origin = {"checkpoint": str(out), "log": str(log_path), "seed": seed, "block_causal": block_causal}
    return {**origin, **results, "seconds": round(seconds, 1)}


def measure(chain: Chain, test: data.ImageSet) -> dict[str, object]:
    """Thresholds from the held-out images, then accuracies (0 to 1) on the test images, per increment; all logged.

    Costs are MACs: with every hidden map kept on an escalation in a block-causal network, with nothing kept in others.
    """
    held, recipe = chain.held_out, chain.recipe
    fractions = chain.network.fractions
    increments = [chain.network.increment(index) for index in range(len(fractions))]
    goldens = [chain.golden(index) for index in range(len(fractions))]
    shut = [narrow(goldens[-1], fraction) for fraction in fractions]
    macs = [thresholds.macs(model, test.shape) for model in increments]
    costs = thresholds.kept_macs(increments, test.shape) if chain.network.block_causal else macs
    views = [held.images, held.images.flip(3)] if recipe.flip else [held.images]  # as training saw them
    outputs = [torch.cat([fit.scores(model, view) for view in views]) for model in increments]
    labels = held.labels.repeat(len(views))
    tested = [fit.scores(model, test.images) for model in increments]
    chosen = {}
    for score, known, shown in (
        ("raw", outputs, tested),
        ("softmax", [F.softmax(scores, 1) for scores in outputs], [F.softmax(scores, 1) for scores in tested]),
    ):
        choice = thresholds.choose(
            known, labels, costs, recipe.most_drop, alone=macs[-1], errors=recipe.errors, copies=len(views)
        )
        margins = [thresholds.margins(scores) for scores in shown]
        found = thresholds.evaluate(shown, margins, test.labels, costs, choice.thresholds, alone=macs[-1])
        chain.log(f"thresholds {score} (validation, {len(held)} images): {dataclasses.asdict(choice)}")
        chain.log(f"thresholds {score} (test, {len(test)} images): {dataclasses.asdict(found)}")
        chosen[score] = choice
    results: dict[str, object] = {"fractions": list(fractions)}
    for part, images in (("validation_", held), ("", test)):
        for kind, models in (("float", increments), ("golden", goldens), ("shutdown", shut)):
            results[f"{part}{kind}_accuracy"] = [
                fit.accuracy(fit.scores(model, images.images), images.labels) for model in models
            ]
            chain.log(f"{part}{kind}_accuracy: {results[f'{part}{kind}_accuracy']}")
    for index, model in enumerate(increments):
        chain.log(
            f"increment {index} (fraction {fractions[index]:g}): "
            f"largest weight {max(values.abs().max().item() for values in model.parameters()):.3f}, "
            f"largest value {fit.largest_value(model, held.images):.2f}, MACs {macs[index]}, added {costs[index]}"
        )
    results["thresholds_raw"] = list(chosen["raw"].thresholds)
    results["thresholds_softmax"] = list(chosen["softmax"].thresholds)
    return results
