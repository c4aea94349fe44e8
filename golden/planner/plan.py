"""A plan, from a checkpoint and its data set to everything that plan.json says."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from golden import checkpoint as checkpoints
from golden.checkpoint import Checkpoint
from golden.evaluate import integer_networks
from golden.planner.case import Case
from golden.planner.choice import Choice, choices, choose, subsets
from golden.planner.costs import Costs, mac_costs
from golden.planner.equations import front
from golden.planner.goals import Goal, MostSaving, drop_bound
from golden.planner.histograms import edges, histogram
from golden.planner.levels import SCORES, Score
from golden.planner.predicted import ideal_cost, predicted
from golden.planner.resampling import CrossValidation, Estimate, cross_validate
from golden.planner.validation import Validation, held_out, validation
from golden.training.recipe import Recipe
from hw.errors import BadInput
from hw.params import NumberFormat

SCHEMA = 1
REUSE = ("none", "time", "work")
DROP = 0.001
ERRORS = Recipe.errors  # the planner keeps as far from the limit as training does
FOLDS = 5


@dataclass(frozen=True)
class Request:
    """What to plan. scores: margins to choose from. reuse: whether an escalated run takes over maps and sums, as
    golden.mapping.map_network takes it, or ``none``; None: ``work`` for a block-causal network, else ``none``. costs:
    measured ones of every increment; None: MACs. seed: of the folds and the bootstrap."""

    scores: tuple[str, ...] = SCORES
    goal: Goal = field(default_factory=lambda: MostSaving(DROP, ERRORS))
    reuse: str | None = None
    costs: Costs | None = None
    folds: int = FOLDS
    seed: int = 1

    def __post_init__(self) -> None:
        if self.reuse not in (None, *REUSE):
            raise BadInput(f"reuse wants {', '.join(REUSE)}, not {self.reuse!r}")
        if not self.scores or not set(self.scores) <= set(SCORES):
            raise BadInput(f"scores want some of {', '.join(SCORES)}, not {', '.join(self.scores) or 'none'}")


def plan(
    path: Path, root: Path, fmt: NumberFormat, request: Request, *, command: str = "", commit: str = "unknown"
) -> dict[str, Any]:
    """Plan the opportunistic runs of the checkpoint ``path`` on the held-out images of its data set below ``root``.

    fmt: number format whose exact scores decide. Returns the content of plan.json (synth/plan_schema.py).
    """
    trained = checkpoints.load(path)
    networks = tuple(integer_networks(trained, fmt))
    reuse = request.reuse or ("work" if trained.block_causal else "none")
    costs = request.costs or mac_costs(networks, reuse)
    if len(costs.alone) != len(networks):
        raise BadInput(f"costs of {len(networks)} increments are wanted, not of {len(costs.alone)}")
    found = validation(trained, held_out(trained, root), networks)
    scores = [Score(name, fmt) for name in request.scores]
    case = Case.of(found, scores, costs)
    made = choices(case, scores, request.goal)
    chosen = choose(made)
    with tqdm(total=request.folds, desc="cross-validation", leave=False, disable=None, unit="fold") as bar:
        crossed = cross_validate(case, scores, request.goal, request.folds, request.seed, lambda _: bar.update())
    return {
        "schema": SCHEMA,
        "network": trained.network,
        "dataset": trained.dataset,
        "checkpoint": {
            "path": str(path),
            "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            "seed": trained.seed,
            "block_causal": trained.block_causal,
            "fractions": list(trained.fractions),
        },
        "format": str(fmt),
        "validation": {"images": case.images, "source": found.source},
        "goal": _goal(request.goal),
        "cost": _cost(costs, reuse),
        "increments": [
            {"fraction": fraction, "channels": list(network.channels), "accuracy": float(right.mean())}
            for fraction, network, right in zip(trained.fractions, networks, case.right, strict=True)
        ],
        "plan": {**_choice(case, trained, chosen, request.goal), **_details(case, chosen)},
        "alternatives": _alternatives(case, trained, made, request.goal),
        "ideal": _ideal(case, trained, scores[0]),
        "cross_validation": _crossed(crossed, trained),
        "histograms": [_histograms(found, case, trained, Score(name, fmt)) for name in SCORES],
        "seed": request.seed,
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": np.__version__},
        "commit": commit,
        "command": command,
    }


def _goal(goal: Goal) -> dict[str, Any]:
    limits: Mapping[str, float | None] = {"most_drop_points": None, "standard_errors": None}
    if isinstance(goal, MostSaving):
        limits = {"most_drop_points": _points(goal.most_drop), "standard_errors": goal.errors}
    return {"name": goal.name, **limits}


def _cost(costs: Costs, reuse: str) -> dict[str, Any]:
    steps = [
        {"few": few, "more": more, "cost": value, "source": costs.step_sources[few][more]}
        for few, row in enumerate(costs.steps)
        for more, value in enumerate(row)
        if value is not None
    ]
    named = {"unit": costs.unit, "source": costs.source, "reuse": reuse}
    return {**named, "alone": list(costs.alone), "steps": steps}


def _named(trained: Checkpoint, choice: Choice) -> dict[str, Any]:
    return {
        "fractions": [trained.fractions[number] for number in choice.increments],
        "score": choice.score.name,
        "thresholds": [choice.score.threshold(level) for level in choice.thresholds],
    }


def _choice(case: Case, trained: Checkpoint, choice: Choice, goal: Goal) -> dict[str, Any]:
    """A chain with its best thresholds, and what Algorithm 3 gives on the held-out images."""
    outcome = case.chain(choice.increments, choice.score.name).outcome(choice.thresholds)
    lost, gained = int(outcome.lost.sum()), int(outcome.gained.sum())
    errors = goal.errors if isinstance(goal, MostSaving) else ERRORS
    bound = float(drop_bound(np.array(lost), np.array(gained), case.images, errors)) if choice.thresholds else 0.0
    return {
        **_named(trained, choice),
        "saving": outcome.saving,
        "accuracy": outcome.accuracy,
        "drop_points": _points(outcome.drop),
        "drop_bound_points": _points(bound),
        "lost": lost,
        "gained": gained,
        "product": outcome.saving * outcome.accuracy,
        "exact": choice.exact,
    }


def _details(case: Case, choice: Choice) -> dict[str, Any]:
    """Of the chosen plan only: how the tile takes it, where images stop, what the equations say."""
    chain = case.chain(choice.increments, choice.score.name)
    outcome = chain.outcome(choice.thresholds)
    return {
        "increments": list(choice.increments),
        "registers": [choice.score.register(level) for level in choice.thresholds],
        "stops": np.bincount(outcome.stops, minlength=len(choice.increments)).tolist(),
        "full_accuracy": case.full_accuracy,
        "equations": asdict(predicted(chain, choice.thresholds)),
    }


def _alternatives(case: Case, trained: Checkpoint, made: Sequence[Choice], goal: Goal) -> list[dict[str, Any]]:
    """Every chain with its best thresholds; equation 4 keeps those on the front of cost and error."""
    found = [_choice(case, trained, choice, goal) for choice in made]
    best = front([(1 - one["saving"], 1 - one["accuracy"]) for one in found])
    return [{**one, "on_front": number in best} for number, one in enumerate(found)]


def _ideal(case: Case, trained: Checkpoint, score: Score) -> list[dict[str, Any]]:
    """Equation 1 for every chain under the assumption that T16 chooses N and the fractions by: margins tell right from
    wrong. An image is then right when any of the chain's increments is."""
    found = []
    for subset in subsets(len(case.right)):
        chain = case.chain(subset, score.name)
        fractions = [trained.fractions[number] for number in subset]
        accuracy = float(chain.right.any(0).mean())
        found.append({"fractions": fractions, "cost": ideal_cost(chain), "accuracy": accuracy})
    return found


def _crossed(found: CrossValidation, trained: Checkpoint) -> dict[str, Any]:
    return {
        "folds": len(found.choices),
        "confidence": found.confidence,
        "resamples": found.resamples,
        "drop_points": _points_of(found.drop),
        "saving": asdict(found.saving),
        "choices": [_named(trained, choice) for choice in found.choices],
    }


def _histograms(found: Validation, case: Case, trained: Checkpoint, score: Score) -> dict[str, Any]:
    margins = [score.margins(wide) for wide in found.scores]
    at = edges(margins, score.softmax)
    shown = [
        {"fraction": fraction, **asdict(histogram(values, right, at))}
        for fraction, values, right in zip(trained.fractions, margins, case.right, strict=True)
    ]
    return {"score": score.name, "edges": at, "increments": shown}


def _points(share: float) -> float:
    """A share in points; twelve digits, so that 0.001 gives 0.1."""
    return round(100 * share, 12)


def _points_of(found: Estimate) -> dict[str, float]:
    return {name: _points(value) for name, value in asdict(found).items()}
