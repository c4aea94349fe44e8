"""What increments and escalations cost, in MACs or in energy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from golden.checkpoint import Checkpoint
from golden.evaluate import integer_networks
from golden.mapping.reuse import stable_layers
from golden.network import Network
from hw.errors import BadInput
from hw.params import NumberFormat

Table = tuple[tuple[float | None, ...], ...]
ALONE = "whole run of the larger increment"


@dataclass(frozen=True)
class Costs:
    """alone: cost of an image on each increment alone, of ``unit``. steps[i][j]: what escalating from i to j > i adds;
    None elsewhere. source: where the numbers come from. step_sources[i][j]: likewise, of every step."""

    alone: tuple[float, ...]
    steps: Table
    unit: str
    source: str
    step_sources: tuple[tuple[str | None, ...], ...]

    def __post_init__(self) -> None:
        for name, values in (("alone", self.alone), *((f"steps of {i}", row) for i, row in enumerate(self.steps))):
            if any(value is not None and not 0 < value < float("inf") for value in values):
                raise BadInput(f"costs {name} want finite numbers above 0, not {list(values)}")

    def step(self, few: int, more: int) -> float:
        """What escalating from increment ``few`` to ``more`` adds."""
        found = self.steps[few][more]
        if found is None:
            raise BadInput(f"an escalation wants a larger increment, not {more} after {few}")
        return found

    def paid(self, subset: Sequence[int]) -> list[float]:
        """What a run through ``subset`` has cost when it stops at each of its increments."""
        found = [self.alone[subset[0]]]
        for few, more in zip(subset, subset[1:], strict=False):
            found.append(found[-1] + self.step(few, more))
        return found


def increment_macs(checkpoint: Checkpoint, fmt: NumberFormat) -> list[int]:
    """MACs per image of every increment, padding included."""
    return [_macs(network) for network in integer_networks(checkpoint, fmt)]


def _macs(network: Network) -> int:
    return sum(layer.macs for layer in network.layers)


def kept_macs(few: Network, more: Network) -> int:
    """MACs of ``more`` that an escalation from ``few`` need not do again: the old channels of every hidden layer whose
    values the step does not change. Of a block-causal network that is all hidden layers, of a dense one the first."""
    total = 0
    for index in stable_layers((few, more))[0]:
        layer, old = more.layers[index], few.layers[index].out_shape[0]
        total += layer.macs // layer.out_shape[0] * old
    return total


def mac_costs(networks: Sequence[Network], reuse: str) -> Costs:
    """MACs per image of quantised increments, padding and the zeros of a block-causal network included.

    reuse: ``none``: an escalated image pays the larger increment whole; else without `kept_macs`.
    """
    macs = [_macs(network) for network in networks]
    steps: list[list[float | None]] = [[None] * len(macs) for _ in macs]
    sources: list[list[str | None]] = [[None] * len(macs) for _ in macs]
    for few, more in combinations(range(len(macs)), 2):
        kept = 0 if reuse == "none" else kept_macs(networks[few], networks[more])
        steps[few][more] = macs[more] - kept
        sources[few][more] = f"the larger increment's MACs without the {kept:,} kept ones" if kept else ALONE
    return Costs(
        tuple(float(count) for count in macs),
        tuple(map(tuple, steps)),
        "MAC",
        "multiply-accumulates of the layers",
        tuple(map(tuple, sources)),
    )


def measured_costs(
    alone: Sequence[float], chain: Sequence[float | None], *, unit: str, source: str
) -> Costs:  # fmt: skip
    """Costs from measured energies per image. alone: of every increment. chain: mean of the images of an opportunistic
    run that stopped there, None where none did or that was not measured.

    A step between neighbours costs what the measured chain says; every other one, and one the chain does not show, a
    whole run of the larger increment.
    """
    count = len(alone)
    steps: list[list[float | None]] = [[None] * count for _ in alone]
    sources: list[list[str | None]] = [[None] * count for _ in alone]
    for few, more in combinations(range(count), 2):
        before, after = chain[few], chain[more]
        if more == few + 1 and before is not None and after is not None and after > before:
            steps[few][more], sources[few][more] = after - before, "measured on escalated images"
        else:
            steps[few][more], sources[few][more] = alone[more], ALONE
    return Costs(tuple(alone), tuple(map(tuple, steps)), unit, source, tuple(map(tuple, sources)))
