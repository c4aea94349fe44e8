"""One network: plan, increments alone, the opportunistic run and storage."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from commands.evaluation.runs import mapping, run
from commands.evaluation.setup import Setup, digest, kept, percent
from cosim.job import Outcome
from golden import checkpoint as checkpoints
from golden import data as data_sets
from golden import integer, margin
from golden.checkpoint import Checkpoint
from golden.data import ImageSet
from golden.evaluate import codes, integer_networks
from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network
from golden.network import Network
from golden.planner import Request as PlanRequest
from golden.planner import plan
from golden.planner.goals import MostSaving
from golden.planner.plan import ERRORS
from hw.errors import CheckFailed
from hw.isa import isa
from synth.paper import schema
from synth.plan_files import read_plan, write_plan
from synth.plan_schema import PlanFile


@dataclass(frozen=True)
class Case:
    """name: in the paper's order. most_drop: limit of the accuracy drop, a share. note: what stands in for what."""

    name: str
    title: str
    checkpoint: Path
    most_drop: float
    note: str = ""


class Evaluation:
    """Everything about one network. Results lie in setup.out/<name> and are kept while what they are of stays."""

    def __init__(self, case: Case, setup: Setup) -> None:
        self.case, self.setup = case, setup
        self.folder = setup.out / case.name
        self.trained: Checkpoint = checkpoints.load(case.checkpoint)
        self.test: ImageSet = data_sets.load(self.trained.dataset, "test", setup.data)
        self.networks: list[Network] = integer_networks(self.trained, setup.params.fmt)
        self.key: dict[str, object] = {"checkpoint": digest(case.checkpoint)}
        self.reuse = "work" if self.trained.block_causal else None

    @cached_property
    def inputs(self) -> Tensor:
        return codes(self.test, self.setup.params.fmt)

    @cached_property
    def wide(self) -> list[np.ndarray]:
        """Exact scores of every increment on every test image."""
        found = self.folder / "scores"

        def make() -> None:
            found.mkdir(parents=True, exist_ok=True)
            wide = {str(k): integer.scores(net, self.inputs).numpy() for k, net in enumerate(self.networks)}
            np.savez(found / "wide.npz", **wide)  # type: ignore[arg-type]  # numpy's stub takes a bool there

        key = {**self.key, "format": str(self.setup.params.fmt), "images": len(self.test)}
        with np.load(kept(found, key, make) / "wide.npz") as arrays:
            return [arrays[str(k)] for k in range(len(self.networks))]

    def share(self, winners: np.ndarray) -> float:
        return float((winners == self.test.labels.numpy()).mean())

    @cached_property
    def plan(self) -> PlanFile:
        folder = self.folder / "plan"

        def make() -> None:
            request = PlanRequest(goal=MostSaving(self.case.most_drop, ERRORS))
            fmt, made_by = self.setup.params.fmt, {"command": self.setup.command, "commit": self.setup.commit}
            write_plan(plan(self.case.checkpoint, self.setup.data, fmt, request, **made_by), folder)

        key = {**self.key, "most_drop": self.case.most_drop, "format": str(self.setup.params.fmt), "errors": ERRORS}
        return read_plan(kept(folder, key, make) / "plan.json")

    def mapped(self, increments: tuple[int, ...]) -> Mapped:
        networks = [self.networks[k] for k in increments]
        folder = self.folder / "-".join(["mapped", *map(str, increments)])
        return mapping(self.setup, networks, folder, self.key, self.reuse)

    @cached_property
    def whole(self) -> Mapped:
        return self.mapped(tuple(range(len(self.networks))))

    @cached_property
    def alone(self) -> list[Outcome]:
        """Runs of every increment alone."""
        codes_of, found = self.inputs[: self.setup.alone[self.case.name]], []
        for k, fraction in enumerate(self.trained.fractions):
            text = f"{self.case.name}, increment {fraction:g}"
            found.append(run(self.setup, self.whole, codes_of, self.folder / f"increment-{k}", text, increment=k))
        return found

    def increments(self) -> list[schema.Increment]:
        found = []
        golden, shut = self.trained.golden_accuracy, self.trained.shutdown_accuracy
        for k, fraction in enumerate(self.trained.fractions):
            found.append(
                schema.Increment(
                    fraction=fraction,
                    channels=list(self.networks[k].channels),
                    macs=self.whole.macs(k),
                    accuracy=self.share(margin.winner(self.wide[k])),
                    golden_accuracy=None if golden is None else golden[k],
                    shutdown_accuracy=None if shut is None else shut[k],
                    cost=self.setup.cost(self.alone[k]),
                )
            )
        return found

    def opportunistic(self, full: schema.Increment) -> schema.Opportunistic:
        planned = self.plan.plan
        chosen = tuple(planned.increments)
        softmax = planned.score == "softmax"
        mapped = self.whole if len(chosen) == len(self.networks) else self.mapped(chosen)
        inputs = self.inputs[: self.setup.images.get(self.case.name)]
        text = f"{self.case.name}, opportunistic"
        registers = planned.registers
        outcome = run(
            self.setup, mapped, inputs, self.folder / "opportunistic", text, thresholds=registers, softmax=softmax
        )
        wide = [self.wide[k] for k in chosen]
        stops = margin.stops(wide, registers, self.setup.params.fmt, len(chosen) - 1, softmax)
        if not np.array_equal(stops[: len(inputs)], outcome.stopped):
            raise CheckFailed(f"{self.case.name}: stops on RTL differ from those of the scores on the whole test set")
        winners = np.stack([margin.winner(scores) for scores in wide])[stops, np.arange(len(stops))]
        accuracy, cost = self.share(winners), self.setup.cost(outcome)
        golden = self.trained.golden_accuracy
        return schema.Opportunistic(
            score=planned.score,
            fractions=[self.trained.fractions[k] for k in chosen],
            thresholds=planned.thresholds,
            validation_images=self.plan.validation.images,
            validation_saving_percent=100 * planned.saving,
            validation_drop_points=planned.drop_points,
            reuse="none" if self.reuse is None else "work",
            images=len(inputs),
            test_images=len(self.test),
            stops=np.bincount(outcome.stopped, minlength=len(chosen)).tolist(),
            cost=cost,
            accuracy=accuracy,
            full_accuracy=full.accuracy,
            accuracy_drop_points=percent(full.accuracy - accuracy),
            drop_to_golden_points=None if golden is None else percent(golden[-1] - accuracy),
            saving_percent=_saving(cost.energy_uj, full.cost.energy_uj),
            saving_ci99_percent=_saving_interval(cost, full.cost),
            saving_with_dram_percent=_saving(cost.energy_with_dram_uj, full.cost.energy_with_dram_uj),
            cycles_saving_percent=_saving(cost.cycles, full.cost.cycles),
        )

    def storage(self) -> schema.Storage:
        def stored(networks: list[Network]) -> int:
            return _constants(map_network(networks, self.setup.params, search=False))

        alone, together = [stored([net]) for net in self.networks], stored(self.networks)
        without = [stored([*self.networks[:k], *self.networks[k + 1 :]]) for k in range(len(self.networks) - 1)]
        return schema.Storage(
            full_bytes=alone[-1],
            increments_bytes=together,
            added_bytes=[together - others for others in without],
            golden_models_bytes=sum(alone),
        )


def _constants(mapped: Mapped) -> int:
    """Bytes of weights and biases in a DRAM image."""
    segments = [*mapped.fresh, *(found for found in mapped.resumed if found is not None)]
    beats = isa(mapped.params).instruction_beats * (1 + sum(len(segment.code) for segment in segments))
    return len(mapped.image) - beats * mapped.params.dram_beat_bytes


def _saving(mine: float, full: float) -> float:
    return percent(1 - mine / full)


def _saving_interval(mine: schema.Cost, full: schema.Cost) -> tuple[float, float]:
    """Of both means: the least and the most saving that their intervals allow."""
    few, most = mine.energy_ci99_uj or (mine.energy_uj, mine.energy_uj)
    low, high = full.energy_ci99_uj or (full.energy_uj, full.energy_uj)
    return _saving(most, low), _saving(few, high)
