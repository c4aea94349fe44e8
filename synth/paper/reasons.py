"""Why ours differs from what T16 prints: a sentence or two per network, worked out of the numbers."""

from synth.paper import printed
from synth.paper.claims import budget_changes, missing, within
from synth.paper.schema import BudgetRun, Network, Paper
from synth.paper.tables import columns, golden_models_percent, paid_when_restarted_uj, planned
from synth.paper.text import listed, number, percent, points

REUSE = {
    "none": "an escalation starts over",
    "time": "an escalation keeps a layer's work where that saves cycles",
    "work": "an escalation keeps whatever of the smaller increment does not change",
}


def _bullets(lines: list[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def not_comparable(paper: Paper) -> str:
    """What keeps ours from being T16's own experiment."""
    lines = [
        f"T16 has its own {printed.NODE_NM} nm tile and multiplies its power by time; ours is the tile `{paper.tile}` "
        f"with `{paper.format}`, its joules are counted activity at the prices of `{paper.profile}` "
        f"({paper.profile_title}, {paper.node_nm} nm). Shares and savings compare; joules do only as far as the "
        "profile does.",
        "T16 cuts its validation images out of the test set (section 5.1); ours are held out of the training set, and "
        "accuracies are of whole test sets.",
    ]
    for network, column in columns(paper):
        if column and network.dataset != printed.DATASETS[column]:
            lines.append(f"{network.title}: T16 has {printed.DATASETS[column].upper()}, ours is on {network.dataset}.")
        if column is None:
            lines.append(f"{network.title}: not in T16.")
        if network.dataset_note:
            lines.append(f"{network.title}: {network.dataset_note.rstrip('.')}.")
        if network.block_causal:
            lines.append(_causal(network))
    if absent := missing(paper):
        lines.append(f"**Missing: {listed(absent)}.** Nothing was measured beside T16's columns of these.")
    lines.append("T16's Jetson TX1 (Table 5 and the last line of Table 9) is not here.")
    return _bullets(lines)


def _causal(network: Network) -> str:
    """What a saving of a block-causal network is a share of."""
    said = (
        f"{network.title}: block-causal; the tile computes the connections that it has not as zeros, so its full "
        "network alone takes what a dense one of the same channels takes"
    )
    pair = network.big_little
    if pair is None:
        return f"{said}."
    saved = 100 * (1 - network.opportunistic.cost.energy_uj / pair.big.energy_uj)
    return (
        f"{said}: {number(network.increments[-1].cost.energy_uj)} uJ, its dense golden model "
        f"{number(pair.big.energy_uj)} uJ. Against that the opportunistic run saves {saved:.2f} %."
    )


def time_and_power(paper: Paper) -> str:
    """Table 4: energy is power x time, so its ratio is that of both."""
    lines = []
    for network, column in columns(paper):
        ours = {item.fraction: item.cost for item in network.increments}
        if column is None:
            continue
        fractions = printed.FRACTIONS[column]
        both = [fraction for fraction in fractions if fraction in ours]
        parts = []
        for fraction in dict.fromkeys(both[:1] + both[-1:]):
            place, cost = fractions.index(fraction), ours[fraction]
            time_us, energy_uj = printed.TIME_US[column][place], printed.ENERGY_UJ[column][place]
            ratios = cost.energy_uj / energy_uj, cost.time_us / time_us
            parts.append(
                f"at {fraction:g} {number(ratios[0], 3)} of T16's energy = {number(ratios[1], 3)} of its time x "
                f"{number(ratios[0] / ratios[1], 3)} of its power ({number(1e3 * cost.energy_uj / cost.time_us)} of "
                f"{number(1e3 * energy_uj / time_us)} mW)"
            )
        if parts:
            lines.append(f"{network.title}: {'; '.join(parts)}.")
    return _bullets(lines)


def storage(paper: Paper) -> str:
    """Table 6: which bytes are added."""
    lines = []
    for network, column in columns(paper):
        added = network.storage.increments_bytes - network.storage.full_bytes
        pairs = zip(network.increments, network.storage.added_bytes, strict=False)
        parts = [f"{item.fraction:g} ({more:,})" for item, more in pairs]
        what = "one classifier; the biases" if network.shared_classifier else "classifiers and biases"
        text = f"{network.title}: {what} of {listed(parts)} take {added:,} bytes"
        if column:
            more = network.extra_storage_percent - printed.EXTRA_STORAGE_PERCENT[column]
            text += f", {abs(more):.2f} points of the full network {'more' if more > 0 else 'less'} than T16's"
        lines.append(f"{text}; a weight set each would add {golden_models_percent(network):.2f} %.")
    return _bullets(lines)


def plans(paper: Paper) -> str:
    """Table 7: how many increments, and whose thresholds are comparable."""
    lines = []
    for network, column in columns(paper):
        run = network.opportunistic
        text = f"{network.title}: {len(run.fractions)} increments"
        if column:
            theirs = len(printed.PLANNED_FRACTIONS[column])
            text += ", as in T16" if theirs == len(run.fractions) else f", T16 has {theirs}"
        raw = "thresholds of raw scores, which T16's cannot be compared with" * (run.score == "raw")
        lines.append(f"{text}; {raw or 'thresholds of softmax scores, as T16 has them'}.")
    return _bullets(lines)


def accuracies(paper: Paper) -> str:
    """Table 8: the full network against its golden model, and what the first increment costs."""
    lines = []
    for network, column in columns(paper):
        steps = planned(network)
        share = 100 * steps[0].cost.energy_uj / steps[-1].cost.energy_uj
        text = f"{network.title}: the first increment takes {number(share, 3)} % of the full network's energy"
        if column:
            places = printed.PLANNED_INCREMENTS[column]
            theirs = [printed.ENERGY_UJ[column][place] for place in (places[0], places[-1])]
            text += f" (T16: {number(100 * theirs[0] / theirs[1], 3)} %)"
        text += f"; full network {percent(steps[-1].accuracy)}, golden model {percent(steps[-1].golden_accuracy)}"
        if column:
            rates = printed.ACCURACY[column][-1], printed.GOLDEN_ACCURACY[column][-1]
            text += f" (T16: {percent(rates[0])}, {percent(rates[1])})"
        lines.append(f"{text}.")
    return _bullets(lines)


def savings(paper: Paper) -> str:
    """Table 9: what the first increment costs, how many images escalate, and what an escalation keeps."""
    lines = []
    for network, column in columns(paper):
        run, steps = network.opportunistic, planned(network)
        share = 100 * steps[0].cost.energy_uj / steps[-1].cost.energy_uj
        stays = 100 * run.stops[0] / sum(run.stops)
        text = (
            f"{network.title}: {stays:.2f} % of the images stop at {steps[0].fraction:g}, at {number(share, 3)} % of "
            "the full network's energy"
        )
        if column:
            places = printed.PLANNED_INCREMENTS[column]
            theirs = 100 * printed.ENERGY_UJ[column][places[0]] / printed.ENERGY_UJ[column][places[-1]]
            paid = 100 - printed.SAVING_PERCENT[column]
            text += f"; T16's first increment takes {number(theirs, 3)} % and its run {paid:.2f} %"
            if len(places) == 2:
                text += f", so that {100 - paid + theirs:.1f} % of its images stop there if an escalation starts over"
        kind = "block-causal" if network.block_causal else "dense"
        paid, restarted = run.cost.energy_uj, paid_when_restarted_uj(network)
        lines.append(
            f"{text}. {kind.capitalize()}, {REUSE[run.reuse]}: {number(paid)} uJ an image, where starting over would "
            f"take {number(restarted)} uJ by the increments' own means ({_change(paid, restarted)})."
        )
    return _bullets(lines)


def _change(value: float, base: float) -> str:
    share = 100 * (value / base - 1)
    return f"{abs(share):.1f} % {'less' if share < 0 else 'more'}"


def rivals(paper: Paper) -> str:
    """Big/Little beside one weight set, and how many images its energies are means of."""
    lines = []
    for network in paper.networks.values():
        if (pair := network.big_little) is None:
            lines.append(f"{network.title}: Big/Little not measured.")
            continue
        run = network.opportunistic
        more = run.saving_percent - pair.saving_percent
        lines.append(
            f"{network.title}: {abs(more):.2f} points {'more' if more > 0 else 'less'} saved than by Big/Little, at a "
            f"drop of {points(run.accuracy_drop_points)} where it has {points(pair.accuracy_drop_points)}; its networks"
            f" alone reach {percent(pair.little_accuracy)} and {percent(pair.big_accuracy)}, their energies are means "
            f"of {pair.little.images:,} and {pair.big.images:,} images."
        )
    return _bullets(lines)


def golden_models(paper: Paper) -> str:
    """Figure 6: what the smallest golden model reaches, in what share of the time."""
    lines = []
    for network in paper.networks.values():
        known = [item for item in network.increments if item.golden_accuracy is not None]
        if known:
            full = network.increments[-1].cost.cycles
            parts = [
                f"{item.fraction:g} reaches {percent(item.golden_accuracy)} in "
                f"{number(100 * item.cost.cycles / full, 3)} % of the cycles"
                for item in known[:1] + known[1:][-1:]
            ]
            lines.append(f"{network.title}: {listed(parts)}.")
    return _bullets(lines)


def shutdown(paper: Paper) -> str:
    """Figure 9: how far channel shutdown falls below half width, beside the increments."""
    lines = []
    for network in paper.networks.values():
        low = [item for item in network.increments if item.fraction <= 0.5 and item.shutdown_accuracy is not None]
        if low:
            parts = [
                f"at {item.fraction:g} channel shutdown has {percent(item.shutdown_accuracy)}, the increment "
                f"{percent(item.accuracy)}"
                for item in low
            ]
            lines.append(f"{network.title}: {'; '.join(parts)}.")
    return _bullets(lines)


def four_increments(paper: Paper) -> str:
    """Figure 10: the full network against the golden model."""
    lines = []
    for network, column in columns(paper):
        drop = points(network.full_drop_to_golden_points)
        theirs = f" (T16: up to {printed.FOUR_INCREMENTS_DROP_POINTS:g} with four)" if column else ""
        lines.append(
            f"{network.title}: {len(network.increments)} increments, drop of the full network against its golden model "
            f"{drop} points{theirs}."
        )
    return _bullets(lines)


def _searching(run: BudgetRun) -> int:
    """Most images in a row above their budget that it was not reported as impossible for."""
    most = row = 0
    for item in run.images:
        row = 0 if within(item) or item.impossible else row + 1
        most = max(most, row)
    return most


def _budget_run(network: Network, run: BudgetRun) -> str:
    impossible = sum(item.impossible for item in run.images)
    errors = [f"{error:+.2f} %" for error in run.meter_error_percent]
    return (
        f"{network.title}, {run.kind}: {len(run.images):,} images, {budget_changes(run)} changes of the budget; "
        f"at most {_searching(run)} images in a row above a budget that can be kept, {run.late} late; "
        f"{impossible} images of budgets reported as impossible; the meter's errors against the activity energy, "
        f"increment by increment: {', '.join(errors) or 'not measured'}."
    )


def budgets(paper: Paper) -> str:
    """Figure 11: every run in numbers."""
    return _bullets([_budget_run(network, run) for network in paper.networks.values() for run in network.budget])
