"""What the project set out to show of T16's evaluation, and whether the measured numbers keep it."""

from collections.abc import Iterator
from dataclasses import dataclass

from synth.paper import printed
from synth.paper.schema import BudgetImage, BudgetRun, Network, Paper
from synth.paper.text import DASH, listed, percent, percents, points

LENET_IMAGES = 10_000
LENET_SAVING_PERCENT, LENET_DROP_POINTS = 96.5, 0.10
ALEXNET_ACCURACY = 0.81
ALEXNET_SAVING_PERCENT, ALEXNET_DROP_POINTS = 36.0, 0.29
FOUR_DROP_POINTS = 0.3
#: 0.1 points of these are five images.
VALIDATION_IMAGES = 5_000


@dataclass(frozen=True)
class Claim:
    """A line of the page. kept: None where there is nothing to keep, or nothing was measured."""

    text: str
    paper: str
    ours: str
    kept: bool | None

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return self.text, self.paper, self.ours, DASH if self.kept is None else "yes" if self.kept else "**no**"


def by_column(paper: Paper, column: str) -> list[Network]:
    """Networks that stand beside T16's ``column``."""
    return [item for name, item in paper.networks.items() if printed.column(name, item.dataset) == column]


def missing(paper: Paper) -> list[str]:
    """T16's networks that nothing stands beside, by title."""
    return [title for column, title in printed.TITLES.items() if not by_column(paper, column)]


def _saving(network: Network, column: str, saving: float, drop: float) -> Iterator[Claim]:
    run, title = network.opportunistic, network.title
    theirs = percents(printed.SAVING_PERCENT[column]), points(printed.DROP_POINTS[column])
    kept = run.saving_percent >= saving
    yield Claim(f"{title}: on-chip energy saved >= {saving:g} %", theirs[0], percents(run.saving_percent), kept)
    kept = run.accuracy_drop_points <= drop
    yield Claim(f"{title}: drop at it <= {drop:.2f} points", theirs[1], points(run.accuracy_drop_points), kept)
    yield Claim(f"{title}: saved with the DRAM counted", DASH, percents(run.saving_with_dram_percent), None)


def _lenet(network: Network) -> Iterator[Claim]:
    run, title = network.opportunistic, network.title
    kept = run.images >= LENET_IMAGES
    yield Claim(f"{title}: opportunistic run on {LENET_IMAGES:,} images in RTL", DASH, f"{run.images:,}", kept)
    yield from _saving(network, "lenet", LENET_SAVING_PERCENT, LENET_DROP_POINTS)


def _alexnet(network: Network) -> Iterator[Claim]:
    full = network.opportunistic.full_accuracy
    text = f"{network.title}: accuracy of the full network >= {100 * ALEXNET_ACCURACY:g} %"
    yield Claim(text, percent(printed.ACCURACY["alexnet"][-1]), percent(full), full >= ALEXNET_ACCURACY)
    yield from _saving(network, "alexnet", ALEXNET_SAVING_PERCENT, ALEXNET_DROP_POINTS)


def _convnet(network: Network) -> Iterator[Claim]:
    run = network.opportunistic
    theirs = f"{printed.SAVING_PERCENT['convnet']:.2f} % at {printed.DROP_POINTS['convnet']:.2f}, {{}}"
    ours = f"{run.saving_percent:.2f} % at {run.accuracy_drop_points:.2f}, {network.dataset}"
    yield Claim(f"{network.title}: saving and drop", theirs.format(printed.DATASETS["convnet"]), ours, None)


def late_images(run: BudgetRun, fractions: int, smallest: float) -> int:
    """Images above their budget although as many as there are increments have run since it changed, or one of them was
    within it already; not those of a budget reported as impossible while the smallest increment runs."""
    late, since, settled = 0, 0, False
    for number, item in enumerate(run.images):
        if number and _budget(item) != _budget(run.images[number - 1]):
            since, settled = number, False
        if within(item):
            settled = True
        elif (settled or number - since >= fractions - 1) and not (item.impossible and item.fraction == smallest):
            late += 1
    return late


def _budget(item: BudgetImage) -> tuple[float | None, float | None]:
    return item.budget_uj, item.budget_us


def within(item: BudgetImage) -> bool:
    """Both budgets are kept, as the meter and the cycle counter see it."""
    energy = item.budget_uj is None or item.metered_uj <= item.budget_uj
    return energy and (item.budget_us is None or item.time_us <= item.budget_us)


def budget_changes(run: BudgetRun) -> int:
    """Times that a budget changed during the run."""
    return sum(_budget(item) != _budget(last) for item, last in zip(run.images[1:], run.images, strict=False))


def _budget_claims(network: Network) -> Iterator[Claim]:
    smallest = min(item.fraction for item in network.increments)
    for run in network.budget:
        changes, late = budget_changes(run), late_images(run, len(network.increments), smallest)
        text = f"{network.title}: {run.kind} budget kept after at most {len(network.increments)} images of a step"
        ours = f"{late} of {len(run.images):,} images late, {changes} steps"
        yield Claim(text, "Figure 11", ours, changes > 0 and late == run.late == 0)


def _every(network: Network, column: str | None) -> Iterator[Claim]:
    run, title = network.opportunistic, network.title
    kept = run.validation_images >= VALIDATION_IMAGES
    text = f"{title}: thresholds from at least {VALIDATION_IMAGES:,} held-out images"
    yield Claim(text, DASH, f"{run.validation_images:,}", kept)
    ours = f"{points(run.accuracy_drop_points)} and {points(run.drop_to_golden_points)}"
    text = f"{title}: drop against the last increment and against the golden model, both stated"
    yield Claim(text, DASH, ours, run.drop_to_golden_points is not None)
    drop, count = network.full_drop_to_golden_points, len(network.increments)
    text = f"{title}: four increments, full network at most {FOUR_DROP_POINTS:g} points below the golden model"
    ours = f"{points(drop)}, {count} increments"
    kept = drop is not None and drop <= FOUR_DROP_POINTS and count >= 4
    yield Claim(text, f"up to {printed.FOUR_INCREMENTS_DROP_POINTS:g}" if column else DASH, ours, kept)
    if column:
        theirs = printed.EXTRA_STORAGE_PERCENT[column]
        text = f"{title}: extra storage of all increments at most T16's"
        ours = percents(network.extra_storage_percent)
        yield Claim(text, percents(theirs), ours, network.extra_storage_percent <= theirs)
    yield from _budget_claims(network)


def claims(paper: Paper) -> list[Claim]:
    """Every claim, in the networks' order; then T16's networks that were not measured, and budget runs wanted."""
    of = {"lenet": _lenet, "alexnet": _alexnet, "convnet": _convnet}
    found: list[Claim] = []
    for name, network in paper.networks.items():
        column = printed.column(name, network.dataset)
        found += of[column](network) if column else []
        found += _every(network, column)
    found += [Claim(f"{title}: measured", "Tables 4 to 9", "not measured", False) for title in missing(paper)]
    kinds = {run.kind for network in paper.networks.values() for run in network.budget}
    if lacking := [kind for kind in ("energy", "delay") if kind not in kinds]:
        found.append(Claim(f"budget run: {listed(lacking)}", "Figure 11", "not measured", False))
    return found
