"""The budget run (T16 Algorithm 2, Figure 11) on RTL: budgets that step, and what every image then took."""

from typing import Literal

import numpy as np

from commands.evaluation.network import Evaluation
from commands.evaluation.setup import kept, sha256, verilog_sha256, work_of
from cosim.budget import prepare_budget, run_budget
from cosim.budget_job import BudgetOutcome
from cosim.job import Outcome
from cosim.measure import MEMORY_BEATS
from cosim.simulate import tile_build
from golden.budget import Budget, Step, guarded, late, spread
from golden.mapping.mapper import map_network
from hw.events import event_names
from synth.energy import Work
from synth.figures import seven
from synth.meter import Weights, meter_errors, meter_prices, meter_weights
from synth.paper import schema

Kind = Literal["energy", "delay"]
HOLD = 8  # images under each budget
ROOM = 1.1  # of a budget over what its increment takes
#: Increments that the budgets leave room for, counted from the last one, one after the other; None: no budget.
STEPS: tuple[int | None, ...] = (None, -2, -4, -3, None, -4, -2, -1)
TOO_LITTLE = 0.5  # of what the smallest increment takes: an impossible budget


def budget_runs(of: Evaluation, alone: list[Outcome]) -> list[schema.BudgetRun]:
    """One run of energy budgets and one of delay budgets. alone: the increments' runs, of which the meter's weights and
    the budgets are made."""
    works = [work_of(one) for one in alone]
    weights = meter_weights(meter_prices(works, of.setup.model, dram=False))
    errors = [100 * found["error"] for found in meter_errors(works, of.setup.model, weights, dram=False)]
    return [_run(of, kind, works, weights, errors) for kind in ("energy", "delay")]


def _wanted(kind: Kind, works: list[Work], weights: Weights) -> list[tuple[Budget, int]]:
    """A budget an image, and the largest increment that it has room for: what an increment takes at most and some room,
    at last one that none can keep, then none."""
    cycles = works[0].names.index("cycles")
    takes = [
        float(weights.energy_pj(work).max()) / weights.unit_pj
        if kind == "energy"
        else float(work.events[:, cycles].max())
        for work in works
    ]
    last = len(works) - 1
    amounts: list[tuple[float | None, int]] = []
    for step in STEPS:
        largest = last if step is None else last + 1 + step
        if largest >= 0:
            amounts.append((None if step is None else ROOM * takes[largest], largest))
    amounts += [(TOO_LITTLE * takes[0], 0), (None, last)]
    found = []
    for amount, largest in amounts:
        value = None if amount is None else int(amount)
        found += [(Budget(energy=value) if kind == "energy" else Budget(cycles=value), largest)] * HOLD
    return found


def _run(of: Evaluation, kind: Kind, works: list[Work], weights: Weights, errors: list[float]) -> schema.BudgetRun:
    setup = of.setup
    params = setup.params.replace(budget=True)
    mapped = map_network(of.networks, params, search=False)
    planned = _wanted(kind, works, weights)
    wanted = [budget for budget, _ in planned]
    apart = spread(mapped)  # a larger increment than the budget has room for is above it by far
    budgets = [guarded(budget, max(apart[: largest + 1]), weights.values) for budget, largest in planned]
    codes = of.inputs[: len(budgets)]
    folder = of.folder / f"budget-{kind}"

    def make() -> None:
        beats = mapped.image_address + len(codes) * (mapped.image_beats + mapped.result_beats)
        job = prepare_budget(mapped, codes, budgets, weights.values)
        run_budget(tile_build(params, max(MEMORY_BEATS, beats)), job, folder / "run", seed=setup.seed).save(
            folder / "outcome.npz"
        )

    key = {"program": sha256(mapped.image), "verilog": verilog_sha256(params), "seed": setup.seed}
    key |= {"images": sha256(codes.numpy().tobytes()), "weights": weights.values, "budgets": repr(budgets)}
    outcome = BudgetOutcome.load(kept(folder, key, make) / "outcome.npz")
    taken = outcome.steps(wanted)
    energies, _ = setup.energies_uj(Work(event_names(activity=True), outcome.events, outcome.activates))
    clock_us = params.clock_ns / 1e3
    return schema.BudgetRun(
        kind=kind,
        images=[
            _image(step, of.trained.fractions[step.used.stopped], weights, clock_us, float(energy))
            for step, energy in zip(taken, energies, strict=True)
        ],
        late=len(late(taken, len(works))),
        meter_error_percent=[float(np.round(error, 4)) for error in errors],
    )


def _image(step: Step, fraction: float, weights: Weights, clock_us: float, energy_uj: float) -> schema.BudgetImage:
    unit_uj = weights.unit_pj / 1e6
    return schema.BudgetImage(
        budget_uj=None if step.budget.energy is None else seven(step.budget.energy * unit_uj),
        budget_us=None if step.budget.cycles is None else seven(step.budget.cycles * clock_us),
        fraction=fraction,
        metered_uj=seven(step.used.energy * unit_uj),
        energy_uj=seven(energy_uj),
        time_us=seven(step.used.cycles * clock_us),
        impossible=step.impossible,
    )
