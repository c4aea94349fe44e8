"""The results in docs/planner.md, from the committed plan; ``python -m synth.plan_doc`` rewrites page and picture."""

from pathlib import Path

from hw.errors import write_atomic
from synth.marks import between
from synth.plan_files import read_plan
from synth.plan_plot import picture
from synth.plan_schema import PlanFile
from synth.plan_text import chain, increment_rows, rule

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "planner.md"
PLAN = ROOT / "docs" / "results" / "plan-lenet-mnist.json"
PICTURE = ROOT / "docs" / "img" / "plan-lenet-mnist.png"
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def results(found: PlanFile) -> str:
    """What stands between the marks."""
    plan, crossed, equations = found.plan, found.cross_validation, found.plan.equations
    drop, saving = crossed.drop_points, crossed.saving
    unit = found.cost.unit
    table = [_row(("increment", "fraction", f"threshold ({plan.score})", "stop here", "accuracy alone", unit))]
    table += [_row(("---",) * 6)]
    table += [_row((*row[:3], f"{row[3]} %", f"{row[4]} %", row[5])) for row in increment_rows(found)]
    others = [_row(("increments (thresholds)", "score", "saving", "drop", "with its errors")), _row(("---",) * 5)]
    for item in sorted(found.alternatives, key=lambda item: -item.saving):
        points = (f"{item.drop_points:.2f} points", f"{item.drop_bound_points:.3f}") if item.thresholds else ("0", "0")
        others.append(_row((chain(item), item.score if item.thresholds else "", f"{100 * item.saving:.2f} %", *points)))
    least = min(found.ideal, key=lambda item: item.cost)
    given = 100 * (1 - plan.saving), 100 * plan.accuracy
    return f"""\
LeNet on MNIST, {found.format}; {rule(found)}; cost in {unit}.
{found.validation.source}:

{chr(10).join(table)}

It saves {100 * plan.saving:.2f} % of the full network's {unit}, at {given[1]:.2f} % accuracy:
{plan.drop_points:.2f} points below the full network ({plan.lost} images lost, {plan.gained} gained; with its errors
{plan.drop_bound_points:.3f}). {100 * equations.redo:.2f} % of the images are computed again.

On images it was not chosen on ({crossed.folds}-fold cross-validation, {100 * crossed.confidence:.0f} % intervals):
saving {100 * saving.value:.2f} % ({100 * saving.low:.2f} .. {100 * saving.high:.2f}),
drop {drop.value:.2f} points ({drop.low:.2f} .. {drop.high:.2f}).

Every chain with its best thresholds:

{chr(10).join(others)}

The equations: expected cost (1) {100 * equations.cost:.2f} % of the full network's, the images give {given[0]:.2f} %;
expected accuracy (3) {100 * equations.accuracy:.2f} %, as printed {100 * equations.accuracy_as_printed:.2f} %, the
images give {given[1]:.2f} %. Under T16's assumption the least expected cost, {100 * least.cost:.2f} %, is that of the
increments {", ".join(f"{fraction:g}" for fraction in least.fractions)}.

From `{found.command}` at commit `{found.commit[:12]}`.
"""


def page_with_results(text: str, found: PlanFile) -> str:
    """``text`` with what stands between the marks replaced by the results."""
    return between(text, BEGIN, END, results(found))


if __name__ == "__main__":
    committed = read_plan(PLAN)
    picture(committed, PICTURE)
    write_atomic(PAGE, page_with_results(PAGE.read_text(encoding="utf-8"), committed))
