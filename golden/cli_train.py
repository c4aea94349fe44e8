"""What ``tilewatt train`` and ``tilewatt data`` do with their options."""

import dataclasses
import os
from pathlib import Path

import torch

from golden.data import READERS
from golden.data.fetch import fetch, fetch_all
from golden.networks import find_network
from golden.train import train
from golden.training.recipe import RECIPES
from hw.errors import BadInput

# network -> data set and fractions that T16 ran it with (LeNet's: T16 Tables 4 and 8 fit 0.1 and 0.2)
DATASETS = {"lenet": "mnist", "convnet": "svhn", "alexnet": "cifar10"}
FRACTIONS = {"lenet": "0.1,0.2,1", "convnet": "0.25,1", "alexnet": "0.25,1"}


def data_root(given: Path | None) -> Path:
    """The data folder: what was given, else $TILEWATT_DATA, else ``data``."""
    return given or Path(os.environ.get("TILEWATT_DATA") or "data")


def parse_fractions(text: str) -> tuple[float, ...]:
    """Read ``0.1,0.2,1``."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"fractions want numbers with commas between, like 0.1,0.2,1, not {text!r}") from None


def run_train(
    network: str = "lenet",
    dataset: str | None = None,
    fractions: str | None = None,
    seed: int = 1,
    epochs: int | None = None,
    threads: int = 1,
    data: Path | None = None,
    out: Path | None = None,
) -> dict[str, object]:
    """Train one network; options left out take the network's usual values. The command is written out in full, so that
    it can be repeated. epochs: of every training, in place of the recipe's. threads: other numbers round differently.
    """
    find_network(network)
    dataset = dataset or DATASETS[network]
    if dataset not in READERS:
        raise BadInput(f"data set wants one of {', '.join(READERS)}, not {dataset!r}")
    if threads < 1:
        raise BadInput(f"threads want a number of at least 1, not {threads}")
    fractions = fractions or FRACTIONS[network]
    out = out or Path("build/train") / f"{network}-{dataset}.npz"
    if out.suffix != ".npz":
        raise BadInput(f"--out wants a file name that ends in .npz, not {out}")
    recipe = RECIPES[dataset]
    if epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=epochs, full_epochs=epochs)
    command = f"tilewatt train --network {network} --dataset {dataset} --fractions {fractions} --seed {seed}"
    command += (f" --epochs {epochs}" if epochs is not None else "") + f" --threads {threads} --out {out}"
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return train(
            dataset,
            data_root(data),
            out,
            network=network,
            fractions=parse_fractions(fractions),
            seed=seed,
            recipe=recipe,
            command=command,
        )
    finally:
        torch.set_num_threads(before)


def run_data(data: Path | None = None, dataset: str | None = None) -> dict[str, str]:
    """Fetch one data set, or all that registries hold; data set -> what was done."""
    root = data_root(data)
    return fetch_all(root) if dataset is None else {dataset: fetch(dataset, root)}
