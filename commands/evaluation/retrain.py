"""A network trained anew by what its checkpoint says of its training."""

from pathlib import Path

from golden import checkpoint as checkpoints
from golden.train import train
from golden.training.recipe import Recipe
from hw.errors import BadInput


def retrain(checkpoint: Path, data: Path, out: Path) -> Path:
    """Train to ``out`` with network, data set, increments, method, recipe and seed of ``checkpoint``; resumable,
    and kept when it is there."""
    known = checkpoints.load(checkpoint)
    if "recipe" not in known.metadata:
        raise BadInput(f"{checkpoint}: a checkpoint that says its recipe is wanted to train it anew, this one does not")
    if not out.is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        train(
            known.dataset,
            data,
            out,
            network=known.network,
            fractions=known.fractions,
            block_causal=known.block_causal,
            shared_classifier=known.weights.shared_classifier,
            method=known.metadata.get("method", "chain"),
            seed=known.seed,
            recipe=Recipe(**known.metadata["recipe"]),
            threads=known.metadata.get("threads", 1),
            command=f"{known.command} (anew)",
        )
    return out
