"""The budget run on the simulated tile: images one after the other under budgets that change, RTL against golden."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cosim.budget_job import BudgetJob, BudgetOutcome
from cosim.prepare import prepare
from cosim.runner import Build, run
from golden.budget import Budget, check_weights
from golden.mapping.mapped import Mapped
from hw.errors import BadInput

BENCH = "cosim.bench_budget"
TIMEOUT_S = 3600.0


def prepare_budget(
    mapped: Mapped,
    codes: Tensor,
    budgets: Sequence[Budget],
    weights: Sequence[int],
    *,
    remember: bool = True,
    thresholds: Sequence[int] | None = None,
    softmax: bool = False,
) -> BudgetJob:
    """The job that runs ``codes`` (int64 [N, C, H, W]) under ``budgets``, one an image.

    thresholds: None runs the increment of the capacity; else images escalate by their margins up to the capacity, with
    these register values, one per increment but the last.
    """
    if not mapped.params.budget or not mapped.params.counters:
        raise BadInput(f"a budget run wants a tile with budget and counters, {mapped.params.name} has not both")
    if len(budgets) != len(codes):
        raise BadInput(f"{len(codes)} budgets are wanted, one an image, not {len(budgets)}")
    check_weights(weights)
    capacities = range(len(mapped.segments))
    if thresholds is None:
        jobs = [prepare(mapped, codes, increment=k) for k in capacities]
    else:
        jobs = [prepare(mapped, codes, capacity=k, thresholds=thresholds, softmax=softmax) for k in capacities]
    return BudgetJob(tuple(jobs), tuple(budgets), tuple(int(weight) for weight in weights), remember)


def run_budget(simulation: Build, job: BudgetJob, folder: Path, *, seed: int) -> BudgetOutcome:
    """Run the job's images one after the other on one tile; raises CosimFailed unless every word, count, energy, cycle
    number, capacity and report equals golden. folder: where job, log and outcome go."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = folder.resolve() / "outcome.npz"
    outcome.unlink(missing_ok=True)
    job.save(folder)
    env = {"TILEWATT_JOB": str(folder.resolve()), "TILEWATT_OUTCOME": str(outcome)}
    limit = max(part.cycle_limit for part in job.jobs)
    run(simulation, BENCH, "budgets", seed=seed, workdir=folder, env=env, timeout_s=TIMEOUT_S, cycle_limit=limit)
    return BudgetOutcome.load(outcome)
