"""State of a training under way: written whole after every epoch, so that an interrupted one goes on where it was."""

import dataclasses
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from hw.errors import BadInput, atomic_path

Weights = dict[str, Tensor]


@dataclass
class TrainingState:
    """settings: what the run was started with. phase, epoch: trainings and epochs of the current one that are done.
    network: the shared weights. goldens: weights of each finished golden model, by increment. current, optimiser:
    the training under way, empty between two."""

    settings: dict[str, object]
    network: Weights
    phase: int = 0
    epoch: int = 0
    goldens: dict[int, Weights] = field(default_factory=dict)
    current: Weights = field(default_factory=dict)
    optimiser: dict[str, object] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        with atomic_path(path) as temporary:
            torch.save(values, temporary)

    @classmethod
    def load(cls, path: Path, settings: dict[str, object]) -> "TrainingState":
        """State of an interrupted training; refuses a broken file and one that other settings made."""
        try:
            state = cls(**torch.load(path, weights_only=True))
        except (RuntimeError, EOFError, TypeError, pickle.UnpicklingError):
            raise BadInput(f"{path}: a whole training state is wanted, this file is broken; delete it") from None
        differ = sorted(name for name in settings if state.settings.get(name) != settings[name])
        if differ:
            raise BadInput(
                f"{path}: an interrupted training has another {', '.join(differ)}; repeat its command, "
                "delete this file, or choose another --out"
            )
        return state
