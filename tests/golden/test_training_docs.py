"""The tables of docs/training.md on jointly trained networks say what the committed checkpoints and logs hold."""

import ast
from pathlib import Path

import pytest

from golden import checkpoint
from golden.networks import channels
from golden.training.thresholds import Choice, kept_macs, layer_macs, macs

ROOT = Path(__file__).resolve().parents[2]
JOINT = sorted(
    path.stem for path in (ROOT / "checkpoints").glob("*.log") if "method: joint" in path.read_text().splitlines()
)


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def accuracy_table(found: checkpoint.Checkpoint) -> list[str]:
    """One row per increment: MACs alone and added; accuracies on the test images and, in brackets, held-out ones."""
    increments = [found.increment(index) for index in range(len(found.fractions))]
    added = kept_macs(increments, found.input_shape)
    rows = ["| Fraction | Channels | MACs | Added | Increment | Golden model | Channels shut |", "|---" * 7 + "|"]
    for index, fraction in enumerate(found.fractions):
        cells = [f"{fraction:g}", "-".join(map(str, channels(found.weights.full, fraction)[:-1]))]
        cells += [f"{macs(increments[index], found.input_shape):,}", f"{added[index]:,}"]
        for kind in ("float", "golden", "shutdown"):
            test, held = (found.metadata[f"{part}{kind}_accuracy"][index] for part in ("", "validation_"))
            cells.append(f"{percent(test)} ({100 * held:.2f})")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def choices(log: str, score: str) -> dict[str, Choice]:
    """What the log says of the thresholds on one kind of score, by part of the data."""
    start = f"thresholds {score} ("
    lines = [line.removeprefix(start) for line in log.splitlines() if line.startswith(start)]
    return {line.split(",")[0]: Choice(**ast.literal_eval(line.split("): ", 1)[1])) for line in lines}


def threshold_table(found: checkpoint.Checkpoint, log: str) -> list[str]:
    """Saving: in MACs, escalations keep every hidden map; of the full network's, and of those that are not zeros."""
    increments = [found.increment(index) for index in range(len(found.fractions))]
    whole = macs(increments[-1], found.input_shape)
    # the zeros of the last increment: what it costs alone, less all additions but the smaller classifiers
    added = kept_macs(increments, found.input_shape)
    used = sum(added) - sum(layer_macs(increment, found.input_shape)[-1] for increment in increments[:-1])
    rows = [
        "| Score | Thresholds | Stops | Drop, held-out | Drop, test | Saved, test | Of no zeros |",
        "|---" * 7 + "|",
    ]
    for score in ("raw", "softmax"):
        by = choices(log, score)
        held, test = by["validation"], by["test"]
        assert list(test.thresholds) == list(found.metadata[f"thresholds_{score}"])
        drops = [100 * (choice.full_accuracy - choice.accuracy) for choice in (held, test)]
        stops = " / ".join(f"{100 * share:.2f}" for share in test.stops)
        cells = [score, ", ".join(f"{value:.3f}" for value in test.thresholds), f"{stops} %"]
        cells += [f"{drops[0]:.2f} ± {100 * held.error:.2f}", f"{drops[1]:.2f}"]
        cells += [f"{100 * test.saving:.1f} %", f"{100 * (1 - (1 - test.saving) * whole / used):.1f} %"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


@pytest.mark.parametrize("name", JOINT)
def test_tables_are_the_checkpoints(name: str) -> None:
    text = (ROOT / "docs/training.md").read_text()
    found = checkpoint.load(ROOT / f"checkpoints/{name}.npz")
    log = (ROOT / f"checkpoints/{name}.log").read_text()
    for table in (accuracy_table(found), threshold_table(found, log)):
        assert "\n".join(table) in text
    assert f"    {found.command}\n" in text
    assert f"command: {found.command}\n" in log


def test_every_joint_checkpoint_is_in_the_list_of_files() -> None:
    assert JOINT
    text = (ROOT / "checkpoints/README.md").read_text()
    assert all(f"| `{name}.npz`, `.log` |" in text for name in JOINT)
