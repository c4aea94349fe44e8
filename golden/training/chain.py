"""The trainings of one incremental network: increment by increment (T16 Algorithm 1, section 3.2), or all jointly."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from golden.data import ImageSet
from golden.networks import IncrementalNetwork, find_network, narrow, weight_layers
from golden.training import fit, joint
from golden.training.norm import folded, normalised
from golden.training.recipe import Recipe
from golden.training.state import TrainingState
from hw.errors import BadInput

MOST_SEED = 2**31 - 1
METHODS = ("chain", "joint")


# Title for the log, what is trained, its optimiser, and one epoch of it
Prepared = tuple[str, nn.Sequential | IncrementalNetwork, torch.optim.AdamW, Callable[..., float]]


@dataclass(frozen=True)
class Phase:
    """One training. kind: ``golden`` (one model, all weights free), ``increment`` (earlier weights frozen) or ``joint``
    (every increment at once; ``increment`` is then the last)."""

    kind: str
    increment: int


def phases(increments: int, method: str = "chain") -> list[Phase]:
    """chain: the first increment (its own golden model), then golden model and increment by turns. joint: the joint
    training, then every golden model to compare with."""
    if method == "joint":
        return [Phase("joint", increments - 1), *(Phase("golden", index) for index in range(increments))]
    later = [Phase(kind, index) for index in range(1, increments) for kind in ("golden", "increment")]
    return [Phase("increment", 0), *later]


def frozen_weights(network: IncrementalNetwork, increment: int) -> list[Tensor]:
    """Copies of what ``increment`` must not change: weights and biases of the hidden layers of the one before it.

    In a block-causal network the weights go on with zeros for the channels that ``increment`` brings.
    """
    if increment == 0:
        return []
    earlier, whole = (weight_layers(network.increment(index))[:-1] for index in (increment - 1, increment))
    return [
        (wide[: len(values)] if network.block_causal else values).detach().clone()
        for (_, few), (_, more) in zip(earlier, whole, strict=True)
        for values, wide in zip(few.parameters(), more.parameters(), strict=True)
    ]


def start_of(phase: Phase, network: IncrementalNetwork, fresh: nn.Sequential, golden: nn.Sequential) -> nn.Sequential:
    """The module that ``phase`` starts from: fresh weights, or the golden model with the frozen weights put in."""
    if phase.kind == "golden" or phase.increment == 0:
        return narrow(fresh, network.fractions[phase.increment])
    start = narrow(golden, 1.0)
    fit.restore(start, frozen_weights(network, phase.increment))
    return start


def fresh_network(name: str, seed: int) -> nn.Sequential:
    """The network at full size with torch's own initialisation from ``seed``; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return find_network(name)()


class Chain:
    """The whole training of one incremental network, resumable after every epoch.

    Parameters: name: network. fractions: increments. recipe: numbers. seed: of everything random. images: to train on.
    held_out: validation images, only looked at for the log. state_path: file of the state. log: file of the log.
    block_causal, shared_classifier: as in `IncrementalNetwork`; golden models have all their connections either way.
    method: of `METHODS`; a joint training wants a block-causal network, a shared classifier a joint training.
    """

    def __init__(
        self,
        name: str,
        fractions: Sequence[float],
        recipe: Recipe,
        seed: int,
        images: ImageSet,
        held_out: ImageSet,
        state_path: Path,
        log: Path,
        *,
        block_causal: bool = False,
        shared_classifier: bool = False,
        method: str = "chain",
    ) -> None:
        if method not in METHODS:
            raise BadInput(f"a training method wants one of {', '.join(METHODS)}, not {method!r}")
        if method == "joint" and not block_causal:
            raise BadInput("joint training wants a block-causal network: only its maps serve every increment")
        if shared_classifier and method != "joint":
            raise BadInput("a shared classifier wants joint training: a chain gives every increment a new one")
        if not 0 <= seed <= MOST_SEED:
            raise BadInput(f"seed wants a number from 0 to {MOST_SEED}, not {seed}")
        self.recipe, self.seed, self.images, self.held_out = recipe, seed, images, held_out
        self.state_path, self.log_path = state_path, log
        self.fresh, self.method = fresh_network(name, seed), method
        self.network = IncrementalNetwork(
            narrow(self.fresh, 1.0), fractions, block_causal=block_causal, shared_classifier=shared_classifier
        )
        settings: dict[str, object] = {
            "network": name,
            "dataset": images.name,
            "data": digest(images),
            "fractions": list(self.network.fractions),
            "block_causal": block_causal,
            "shared_classifier": shared_classifier,
            "method": method,
            "seed": seed,
            "recipe": dataclasses.asdict(recipe),
        }
        self.resumed = state_path.is_file()
        if self.resumed:
            self.state = TrainingState.load(state_path, settings)
            self.network.load_state_dict(self.state.network)
        else:
            self.state = TrainingState(settings, self.network.state_dict())
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("", encoding="utf-8")

    def log(self, line: str) -> None:
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def epochs_of(self, phase: Phase) -> int:
        if phase.kind == "joint":
            return self.recipe.joint_epochs
        last = phase.increment == len(self.network.fractions) - 1
        return self.recipe.full_epochs if last else self.recipe.epochs

    def golden(self, increment: int) -> nn.Sequential:
        """The golden model of ``increment``; in a chain that of the first is the first increment itself."""
        model = narrow(self.fresh, self.network.fractions[increment])
        model.load_state_dict(self.state.goldens[increment])
        return model.eval()

    def run(self) -> None:
        """Train every phase that is not done."""
        todo = phases(len(self.network.fractions), self.method)
        done = sum(self.epochs_of(phase) for phase in todo[: self.state.phase]) + self.state.epoch
        total = sum(self.epochs_of(phase) for phase in todo)
        with tqdm(total=total, initial=done, unit="epoch", disable=not sys.stderr.isatty()) as bar:
            for phase in todo[self.state.phase :]:
                self._train(phase, bar)

    def _train(self, phase: Phase, bar: "tqdm[object]") -> None:
        """Train one phase from its start or from the saved epoch; the state is saved after every epoch."""
        if phase.kind == "joint":
            title, model, optimiser, train_epoch = self._prepare_joint()
        else:
            title, model, optimiser, train_epoch = self._prepare(phase)
        if self.state.epoch:
            model.load_state_dict(self.state.current)
            optimiser.load_state_dict(self.state.optimiser)
        epochs = self.epochs_of(phase)
        for epoch in range(self.state.epoch, epochs):
            seed = (self.seed * 1_009 + self.state.phase) * 100_003 + epoch  # its own stream for every epoch
            bar.set_description(title)
            loss = train_epoch(optimiser, self.images, self.recipe, epoch, epochs, seed)
            outputs = fit.scores(model, self.held_out.images)
            each = outputs if phase.kind == "joint" else [outputs]
            held = " ".join(f"{fit.accuracy(scores, self.held_out.labels):.4f}" for scores in each)
            self.log(f"{title}: epoch {epoch + 1}/{epochs} loss {loss:.4f} validation {held}")
            bar.set_postfix(loss=f"{loss:.4f}", validation=held)
            bar.update()
            self.state.epoch = epoch + 1
            self.state.current = model.state_dict()
            self.state.optimiser = optimiser.state_dict()
            self.state.save(self.state_path)
        if isinstance(model, IncrementalNetwork):
            joint.finish(model)
            self.network = model
        elif phase.kind == "increment":
            self.network.adopt(phase.increment, model)
        self.state.network = self.network.state_dict()
        if phase.kind == "golden" or phase == Phase("increment", 0):
            self.state.goldens[phase.increment] = folded(cast(nn.Sequential, model)).state_dict()
        self.state.phase += 1
        self.state.epoch, self.state.current, self.state.optimiser = 0, {}, {}
        self.state.save(self.state_path)

    def _prepare(self, phase: Phase) -> Prepared:
        """Start of one increment's training, or of one golden model's."""
        frozen = frozen_weights(self.network, phase.increment) if phase.kind == "increment" else []
        golden = self.golden(phase.increment) if frozen else self.fresh
        model = fit.channels_last(start_of(phase, self.network, self.fresh, golden))
        if self.method == "joint":
            model = normalised(model)
        optimiser = fit.make_optimiser(model.parameters(), self.recipe)
        title = f"{phase.kind} {self.network.fractions[phase.increment]:g}"
        return title, model, optimiser, partial(fit.train_epoch, model, frozen)

    def _prepare_joint(self) -> Prepared:
        """Start of the joint training."""
        shared = self.network.shared_classifier
        model = fit.channels_last(joint.start(self.fresh, self.network.fractions, shared_classifier=shared))
        optimiser = fit.make_optimiser(joint.parameters(model), self.recipe)
        objective = partial(joint.loss, recipe=self.recipe)
        return "joint", model, optimiser, partial(fit.run_epoch, model, objective, model.clear_forbidden)


def digest(images: ImageSet) -> str:
    """SHA-256 over the pixels and labels of a set: the same whatever file form they came in."""
    found = hashlib.sha256(images.images.contiguous().numpy().tobytes())
    found.update(images.labels.numpy().tobytes())
    return found.hexdigest()
