"""T16's Tables 4, 6, 7, 8 and 9: ours beside the printed numbers."""

from itertools import zip_longest

from synth.paper import printed
from synth.paper.schema import Increment, Network, Opportunistic, Paper
from synth.paper.text import DASH, between, number, percent, percents, points, table
from synth.paper.text import printed as two_places


def columns(paper: Paper) -> list[tuple[Network, str | None]]:
    """Networks with T16's column that each stands beside."""
    return [(item, printed.column(name, item.dataset)) for name, item in paper.networks.items()]


def planned(network: Network) -> list[Increment]:
    """Increments of the opportunistic run."""
    of = {item.fraction: item for item in network.increments}
    return [of[fraction] for fraction in network.opportunistic.fractions]


def table_4(paper: Paper) -> str:
    """Time and energy of every increment."""
    rows = []
    for network, column in columns(paper):
        ours = {item.fraction: item for item in network.increments}
        places = {fraction: place for place, fraction in enumerate(printed.FRACTIONS[column])} if column else {}
        for fraction in sorted(ours.keys() | places.keys()):
            item, place = ours.get(fraction), places.get(fraction)
            time_us, energy_uj = (
                (printed.TIME_US[column][place], printed.ENERGY_UJ[column][place])
                if column and place is not None
                else (None, None)
            )
            cells = [network.title, f"{fraction:g}"]
            if item is None:
                cells += [DASH] * 7
            else:
                cost = item.cost
                cells += [
                    "-".join(map(str, item.channels)),
                    f"{item.macs:,}",
                    f"{cost.images:,}",
                    f"{cost.cycles:,.0f}",
                ]
                cells += [number(cost.time_us), between(cost.energy_uj, cost.energy_ci99_uj)]
                cells += [number(cost.energy_with_dram_uj)]
            cells += [two_places(time_us), two_places(energy_uj)]
            share = item.cost.energy_uj / energy_uj if item and energy_uj else None
            rows.append([*cells, number(share, 3)])
    head = "network | fraction | channels | MACs | images | cycles | T (us) | E on chip (uJ), 99 % | E with DRAM (uJ)"
    return table(f"{head} | T16: T (us) | T16: E (uJ) | E / T16's", rows)


def table_6(paper: Paper) -> str:
    """Bytes of weights and what the increments add to them."""
    rows = []
    for network, column in columns(paper):
        store, pair = network.storage, network.big_little
        of = (
            (printed.EXTRA_STORAGE_PERCENT[column], printed.BIG_LITTLE_STORAGE_PERCENT[column])
            if column
            else (None,) * 2
        )
        cells = [
            network.title,
            f"{store.full_bytes:,}",
            f"{store.increments_bytes:,}",
            f"{store.golden_models_bytes:,}",
        ]
        cells += [percents(network.extra_storage_percent), percents(of[0]), percents(golden_models_percent(network))]
        rows.append([*cells, percents(of[1]), percents(pair.extra_storage_percent if pair else None)])
    head = "network | full (bytes) | increments (bytes) | golden models (bytes) | increments add | T16"
    return table(f"{head} | golden models add | T16: Big/Little | Big/Little of two adds", rows)


def golden_models_percent(network: Network) -> float:
    """What one weight set per increment adds to the full network's."""
    return 100 * (network.storage.golden_models_bytes / network.storage.full_bytes - 1)


def _chain(fractions: tuple[float, ...] | list[float], thresholds: tuple[float, ...] | list[float]) -> str:
    """``0.1 (0.900), 1``."""
    return ", ".join(
        f"{fraction:g}" if limit is None else f"{fraction:g} ({limit:.3f})"
        for fraction, limit in zip_longest(fractions, thresholds)
    )


def table_7(paper: Paper) -> str:
    """Number of increments, fractions and thresholds of the opportunistic run."""
    rows = []
    for network, column in columns(paper):
        run = network.opportunistic
        cells = [network.title, str(len(run.fractions)), _chain(run.fractions, run.thresholds), run.score]
        cells += [
            f"{run.validation_images:,}",
            percents(run.validation_saving_percent),
            points(run.validation_drop_points),
        ]
        if column:
            theirs = printed.PLANNED_FRACTIONS[column]
            cells += [str(len(theirs)), _chain(theirs, printed.THRESHOLDS[column])]
        rows.append(cells + [DASH] * (9 - len(cells)))
    head = "network | N | fractions (thresholds) | scores | held-out images | saving on them | drop on them (points)"
    return table(f"{head} | T16: N | T16: fractions (thresholds of softmax scores)", rows)


def table_8(paper: Paper) -> str:
    """Accuracy and energy of the increments of the opportunistic run; the full networks stand side by side."""
    rows = []
    for network, column in columns(paper):
        ours = [_ours_8(item) for item in planned(network)]
        theirs = _theirs_8(column) if column else []
        pairs = [*zip_longest(ours[:-1], theirs[:-1]), (ours[-1], theirs[-1] if theirs else None)]
        for place, (one, other) in enumerate(pairs, 1):
            rows.append([network.title, str(place), *(one or [DASH] * 4), *(other or [DASH] * 4)])
    head = "network | increment | fraction | accuracy | golden model | E (uJ)"
    return table(f"{head} | T16: fraction | T16: accuracy | T16: golden model | T16: E (uJ)", rows)


def _ours_8(item: Increment) -> list[str]:
    rates = percent(item.accuracy), percent(item.golden_accuracy)
    return [f"{item.fraction:g}", *rates, number(item.cost.energy_uj)]


def _theirs_8(column: str) -> list[list[str]]:
    return [
        [f"{fraction:g}", percent(rate), percent(golden), two_places(printed.ENERGY_UJ[column][place])]
        for fraction, rate, golden, place in zip(
            printed.PLANNED_FRACTIONS[column],
            printed.ACCURACY[column],
            printed.GOLDEN_ACCURACY[column],
            printed.PLANNED_INCREMENTS[column],
            strict=True,
        )
    ]


def table_9(paper: Paper) -> str:
    """Saving and drop of the opportunistic run."""
    rows = []
    for network, column in columns(paper):
        run = network.opportunistic
        low, high = run.saving_ci99_percent
        cells = [network.title, f"{run.images:,} of {run.test_images:,}", percent(run.accuracy)]
        cells += [percent(run.full_accuracy), percent(network.golden_accuracy)]
        cells += [points(run.accuracy_drop_points), points(run.drop_to_golden_points)]
        cells += [f"{percents(run.saving_percent)} ({low:.2f} .. {high:.2f})", percents(run.saving_with_dram_percent)]
        cells += [percents(run.cycles_saving_percent)]
        of = (printed.DROP_POINTS[column], printed.SAVING_PERCENT[column]) if column else (None, None)
        rows.append([*cells, points(of[0]), percents(of[1])])
    head = "network | images in RTL | accuracy | of the last increment | of the golden model"
    head += " | drop to the increment (points) | drop to the golden model (points)"
    head += " | E saved on chip, 99 % | E saved with DRAM | cycles saved | T16: drop (points) | T16: E saved"
    return table(head, rows)


def big_little(paper: Paper) -> str:
    """The rival on the same tile, beside the opportunistic run of one weight set."""
    rows = []
    for network in paper.networks.values():
        run, pair = network.opportunistic, network.big_little
        ours = [percents(run.saving_percent), points(run.accuracy_drop_points), points(run.drop_to_golden_points)]
        ours += [percents(network.extra_storage_percent)]
        if pair is None:
            rows.append([network.title, *ours, *[DASH] * 7])
            continue
        theirs = [f"{pair.fraction:g} ({pair.threshold:.3f}, {pair.score})", percent(pair.escalated)]
        theirs += [percents(pair.saving_percent), percents(pair.saving_with_dram_percent)]
        theirs += [percent(pair.accuracy), points(pair.accuracy_drop_points), percents(pair.extra_storage_percent)]
        rows.append([network.title, *ours, *theirs])
    head = "network | increments: E saved | drop (points) | drop to golden (points) | extra storage"
    head += " | Big/Little: little one (threshold) | big one runs for | E saved | E saved with DRAM"
    return table(f"{head} | accuracy | drop (points) | extra storage", rows)


def paid_when_restarted_uj(network: Network) -> float:
    """Energy per image had every escalation started over, from the increments' own means and where images stopped."""
    run: Opportunistic = network.opportunistic
    paid, total = 0.0, 0.0
    for item, stopped in zip(planned(network), run.stops, strict=True):
        paid += item.cost.energy_uj
        total += paid * stopped
    return total / sum(run.stops)
