"""A plan as lines for a terminal, laid out as T16's Table 7."""

from collections.abc import Sequence

from synth.plan_schema import Named, PlanFile


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def threshold(named: Named, number: int) -> str:
    """Five digits behind the point of a softmax threshold, three of a raw one; nothing for the last increment."""
    if number >= len(named.thresholds):
        return ""
    return f"{named.thresholds[number]:.{5 if named.score == 'softmax' else 3}f}"


def chain(named: Named) -> str:
    """``0.1 (2.850), 0.2 (1.429), 1``."""
    shown = [(f"{fraction:g}", threshold(named, number)) for number, fraction in enumerate(named.fractions)]
    return ", ".join(f"{fraction} ({limit})" if limit else fraction for fraction, limit in shown)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Right-aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def increment_rows(found: PlanFile) -> list[tuple[str, ...]]:
    """A row per chosen increment: fraction, threshold, images that stop there, accuracy alone, cost alone."""
    plan, images = found.plan, found.validation.images
    rows: list[tuple[str, ...]] = []
    for number, (index, stopped) in enumerate(zip(plan.increments, plan.stops, strict=True)):
        rows.append(
            (
                ordinal(number + 1),
                f"{plan.fractions[number]:g}",
                threshold(plan, number) or "-",
                f"{100 * stopped / images:.2f}",
                f"{100 * found.increments[index].accuracy:.2f}",
                f"{found.cost.alone[index]:,.5g}" if found.cost.unit != "MAC" else f"{found.cost.alone[index]:,.0f}",
            )
        )
    return rows


def rule(found: PlanFile) -> str:
    """What was made most, under which rule."""
    goal = found.goal
    if goal.name == "product":
        return "most saving x accuracy"
    errors = f"{goal.standard_errors:g} standard error{'s' * (goal.standard_errors != 1)}"
    return f"most saving with an accuracy drop + {errors} <= {goal.most_drop_points:g} points"


def summary(found: PlanFile) -> str:
    """The plan, what it gives on the held-out images, and on images it was not chosen on."""
    plan, crossed = found.plan, found.cross_validation
    drop, saving = crossed.drop_points, crossed.saving
    head = ("increment", "fraction", f"threshold ({plan.score})", "stop here %", "accuracy alone %", found.cost.unit)
    lines = [f"{found.network} on {found.dataset}, {found.format}: {len(plan.fractions)} increments, {rule(found)}", ""]
    lines += table([head, *increment_rows(found)])
    lines += [
        "",
        f"{found.validation.source}: saves {100 * plan.saving:.2f} % of the full network's {found.cost.unit}; accuracy "
        f"{100 * plan.accuracy:.2f} %, drop {plan.drop_points:.2f} points ({plan.lost} lost, {plan.gained} gained; "
        f"with its errors {plan.drop_bound_points:.3f}); {100 * plan.equations.redo:.2f} % computed again",
        f"{crossed.folds}-fold cross-validation: saves {100 * saving.value:.2f} % ({100 * saving.low:.2f} .. "
        f"{100 * saving.high:.2f}), drop {drop.value:.2f} points ({drop.low:.2f} .. {drop.high:.2f}), "
        f"{100 * crossed.confidence:.0f} % intervals",
    ]
    return "\n".join(lines)
