"""Big/Little (Park et al. 2015) with golden models: two networks trained alone, on the same tile as the increments."""

import numpy as np

from commands.evaluation.network import Evaluation
from commands.evaluation.runs import mapping, run
from commands.evaluation.setup import digest, percent
from golden import integer, margin
from golden.evaluate import codes
from golden.golden_models import GoldenModels, beside
from golden.planner.case import Case
from golden.planner.choice import choices
from golden.planner.costs import ALONE, Costs
from golden.planner.goals import MostSaving
from golden.planner.levels import SCORES, Score
from golden.planner.plan import ERRORS
from golden.planner.validation import Validation, held_out
from synth.paper import schema


def big_little(of: Evaluation, models: GoldenModels) -> schema.BigLittle:
    """The smallest and the largest golden model; the threshold is chosen on the images that training held out, by the
    measured energies of both, with the same limit of the drop as the increments'."""
    setup, fmt = of.setup, of.setup.params.fmt
    networks = models.integer(fmt)
    fractions = (min(networks), max(networks))
    nets = [networks[fraction] for fraction in fractions]
    costs = []
    for name, net in zip(("little", "big"), nets, strict=True):
        into = of.folder / f"golden-{name}"
        mapped = mapping(
            setup, [net], into / "mapped", {"golden_models": digest(beside(of.case.checkpoint)), "as": name}
        )
        outcome = run(
            setup, mapped, of.inputs[: setup.alone[of.case.name]], into, f"{of.case.name}, {name}", increment=0
        )
        costs.append(setup.cost(outcome))
    little, big = costs

    held = held_out(of.trained, setup.data)
    wide = tuple(integer.scores(net, codes(held, fmt)).numpy() for net in nets)
    scores = [Score(name, fmt) for name in SCORES]
    pays = Costs(
        (little.energy_uj, big.energy_uj),
        ((None, big.energy_uj), (None, None)),
        "uJ",
        "RTL",
        ((None, ALONE), (None, None)),
    )
    case = Case.of(Validation(wide, held.labels.numpy(), held.source), scores, pays)
    goal = MostSaving(of.case.most_drop, ERRORS)
    chosen = max((c for c in choices(case, scores, goal) if len(c.increments) == 2), key=lambda c: (c.value, c.saving))

    tested = [integer.scores(net, of.inputs).numpy() for net in nets]
    register = chosen.score.register(chosen.thresholds[0])
    escalates = margin.below(tested[0], register, fmt, chosen.score.softmax)
    small, large = (margin.winner(found) for found in tested)
    accuracy, full = of.share(np.where(escalates, large, small)), of.share(large)
    share = float(escalates.mean())

    def saving(cheap: float, dear: float) -> float:
        return percent(1 - (cheap + share * dear) / dear)

    words = [sum(values.numel() for values in model.parameters()) for model in models.models.values()]
    return schema.BigLittle(
        fraction=fractions[0],
        score="softmax" if chosen.score.softmax else "raw",
        threshold=chosen.score.threshold(chosen.thresholds[0]),
        escalated=share,
        little=little,
        big=big,
        little_accuracy=of.share(small),
        big_accuracy=full,
        accuracy=accuracy,
        accuracy_drop_points=percent(full - accuracy),
        saving_percent=saving(little.energy_uj, big.energy_uj),
        saving_with_dram_percent=saving(little.energy_with_dram_uj, big.energy_with_dram_uj),
        extra_storage_percent=percent(sum(words) / max(words) - 1),
    )
