"""``tilewatt plan``."""

from pathlib import Path

import click

from commands.shared import (
    Results,
    checkpoint_option,
    command,
    data_option,
    dataset_option,
    network_option,
    preset_option,
)
from golden.training.recipe import Recipe
from hw.errors import BadInput
from hw.params import preset as find_preset


@command
@network_option
@dataset_option
@checkpoint_option
@data_option
@preset_option
@click.option(
    "--score",
    type=click.Choice(["best", "raw", "softmax"]),
    default="best",
    show_default=True,
    help="Margin whose thresholds are chosen.",
)
@click.option(
    "--objective",
    type=click.Choice(["saving", "product"]),
    default="saving",
    show_default=True,
    help="Made most: the saving under a limit of the accuracy drop, or T16's product of saving and accuracy.",
)
@click.option("--most-drop", type=float, metavar="POINTS", help="Limit of the accuracy drop.  [default: 0.1]")
@click.option(
    "--errors",
    type=float,
    metavar="Z",
    help=f"Standard errors that the limit leaves room for.  [default: {Recipe.errors:g}]",
)
@click.option(
    "--cost", type=click.Path(path_type=Path), metavar="REPORT", help="report.json of energies, in place of MACs."
)
@click.option("--with-dram", is_flag=True, help="Take its energies with DRAM, not on chip.")
@click.option(
    "--reuse",
    type=click.Choice(["none", "time", "work"]),
    help="Whether an escalated run takes over maps and sums.  [default: the report's; else work if block-causal]",
)
@click.option("--folds", type=int, default=5, show_default=True, help="Of the cross-validation.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of folds and bootstrap.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the plan.  [default: build/plan/NETWORK]")
def plan(
    network: str,
    dataset: str,
    checkpoint: Path | None,
    data: Path,
    preset: str,
    score: str,
    objective: str,
    most_drop: float | None,
    errors: float | None,
    cost: Path | None,
    with_dram: bool,
    reuse: str | None,
    folds: int,
    seed: int,
    out: Path | None,
) -> Results:
    """Choose increments and thresholds of opportunistic runs on the images that training held out."""
    fmt = find_preset(preset).fmt
    if objective == "product" and (most_drop, errors) != (None, None):
        raise BadInput("--most-drop and --errors limit --objective saving: leave them out for the product")
    if with_dram and cost is None:
        raise BadInput("--with-dram says which energies of a report to take: give one with --cost")
    from cosim.measure import commit
    from golden import checkpoint as checkpoints
    from golden.planner import Request, plan
    from golden.planner.costs import increment_macs, measured_costs
    from golden.planner.goals import Goal, MostSaving, Product
    from golden.planner.levels import SCORES
    from golden.planner.plan import DROP, ERRORS
    from synth.plan_cost import read_energies
    from synth.plan_files import write_plan
    from synth.plan_text import summary

    path = checkpoint or Path("checkpoints") / f"{network}-{dataset}.npz"
    line = f"tilewatt plan --checkpoint {path} --preset {preset} --score {score} --objective {objective}"
    goal: Goal = Product()
    if objective == "saving":
        limit, spare = DROP if most_drop is None else most_drop / 100, ERRORS if errors is None else errors
        goal = MostSaving(limit, spare)
        line += f" --most-drop {100 * limit:g} --errors {spare:g}"
    costs = None
    if cost is not None:
        trained = checkpoints.load(path)
        read = read_energies(
            cost, trained.network, trained.dataset, trained.fractions, increment_macs(trained, fmt), str(fmt), with_dram
        )
        if reuse not in (None, read.reuse):
            raise BadInput(f"--reuse wants {read.reuse}, as {cost} was measured, not {reuse}: leave it out")
        reuse = read.reuse
        costs = measured_costs(read.alone, read.chain, unit=read.unit, source=read.source)
        line += f" --cost {cost}" + (" --with-dram" if with_dram else "")
    line += (f" --reuse {reuse}" if reuse else "") + f" --folds {folds} --seed {seed}"
    request = Request(SCORES if score == "best" else (score,), goal, reuse, costs, folds, seed)
    folder = out or Path("build/plan") / network
    made = write_plan(plan(path, data, fmt, request, command=line, commit=commit()), folder)
    click.echo(summary(made), err=True)
    chosen, crossed = made.plan, made.cross_validation
    return {
        "plan": str(folder / "plan.json"),
        "picture": str(folder / "margins.png"),
        "fractions": chosen.fractions,
        "score": chosen.score,
        "thresholds": chosen.thresholds,
        "saving_percent": round(100 * chosen.saving, 3),
        "drop_points": chosen.drop_points,
        "cross_validated_saving_percent": round(100 * crossed.saving.value, 3),
        "cross_validated_drop_points": crossed.drop_points.value,
    }
