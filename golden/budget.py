"""The budget run (T16 section 4.1, Algorithm 2): the energy meter's sum and the controller's choice, bit exact."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from golden.timing import DDR3, predict_images
from golden.timing.predict import Program
from hw.errors import BadInput
from hw.events import DELAY_BITS, ENERGY_BITS, METERED, WEIGHT_BITS


@dataclass(frozen=True)
class Budget:
    """What an image may take: energy in the meter's units and cycles. None: no budget."""

    energy: int | None = None
    cycles: int | None = None

    def __post_init__(self) -> None:
        for name, value, bits in (("energy", self.energy, ENERGY_BITS), ("cycles", self.cycles, DELAY_BITS)):
            if value is not None and not 0 <= value < (1 << bits) - 1:
                raise BadInput(f"a budget of {name} wants 0 to {(1 << bits) - 2}, or None for none, not {value}")

    @property
    def registers(self) -> tuple[int, int]:
        """Values of the energy and the delay register."""
        energy = (1 << ENERGY_BITS) - 1 if self.energy is None else self.energy
        return energy, (1 << DELAY_BITS) - 1 if self.cycles is None else self.cycles


@dataclass(frozen=True)
class Used:
    """What an image took: the increment at which it stopped, its metered energy in units and its cycles."""

    stopped: int
    energy: int
    cycles: int

    def above(self, budget: Budget) -> bool:
        energy, cycles = budget.registers
        return self.energy > energy or self.cycles > cycles


@dataclass(frozen=True)
class Step:
    """One image of a run: its budget, the capacity it was started with, what it took, and whether the budget was then
    known to be impossible."""

    budget: Budget
    capacity: int
    used: Used
    impossible: bool


def check_weights(weights: Sequence[int]) -> None:
    """Refuse what are not weights of the meter, one for every event of hw.events.METERED."""
    if len(weights) != len(METERED):
        raise BadInput(f"the meter wants {len(METERED)} weights, one per event of METERED, not {len(weights)}")
    for name, weight in zip(METERED, weights, strict=True):
        if not 0 <= weight < 1 << WEIGHT_BITS:
            raise BadInput(
                f"the weight of {name} wants 0 to {(1 << WEIGHT_BITS) - 1}, not {weight}: take a larger unit"
            )


def metered(counts: Mapping[str, int], weights: Sequence[int]) -> int:
    """Energy of an image in the meter's units, from its counts of the events METERED."""
    check_weights(weights)
    total = sum(weight * int(counts[name]) for name, weight in zip(METERED, weights, strict=True))
    return min(total, (1 << ENERGY_BITS) - 1)


class Controller:
    """The controller's choice. increments: of the tile. remember: keep what is known when a budget is loosened;
    without, Algorithm 2's jump to the largest increment. allowed: the largest increment that the budgets allow;
    impossible: increment 0 is known to be above them."""

    def __init__(self, increments: int, *, remember: bool) -> None:
        self._remember = remember
        self._worst: list[Used | None] = [None] * increments
        self._budget = Budget()
        self.allowed = increments - 1
        self.impossible = False

    def set(self, budget: Budget) -> None:
        """The host's budgets; the same ones again change nothing."""
        old, new = self._budget.registers, budget.registers
        if not self._remember and (new[0] > old[0] or new[1] > old[1]):
            self._worst = [None] * len(self._worst)
        self._budget = budget
        self._choose()

    def finish(self, used: Used) -> None:
        """An image is over."""
        worst = self._worst[used.stopped]
        if worst is not None:
            used = Used(used.stopped, max(worst.energy, used.energy), max(worst.cycles, used.cycles))
        self._worst[used.stopped] = used
        self._choose()

    def forget(self) -> None:
        """Nothing is known of any increment any more: another network, or other weights."""
        self._worst = [None] * len(self._worst)
        self._choose()

    def _choose(self) -> None:
        above = [k for k, worst in enumerate(self._worst) if worst is not None and worst.above(self._budget)]
        first = above[0] if above else len(self._worst)
        self.impossible = first == 0
        self.allowed = max(0, first - 1)


def guarded(budget: Budget, cycles: int, weights: Sequence[int]) -> Budget:
    """The budget for the registers when images of one increment may differ by ``cycles``: so much less of both."""
    check_weights(weights)
    energy = cycles * weights[METERED.index("cycles")]
    return Budget(
        None if budget.energy is None else max(0, budget.energy - energy),
        None if budget.cycles is None else max(0, budget.cycles - cycles),
    )


def spread(mapped: Program, *, images: int = 32, pause: int = 40) -> list[int]:
    """How far the cycles of an increment's images are apart, increment by increment, for refreshes and open rows of
    DRAM: over so many images of the cycle model, ``pause`` cycles apart, each with an address of its own."""
    found = []
    for increment in range(len(mapped.segments)):
        cycles = [one.cycles for one in predict_images(mapped, increment, DDR3(), images, pause=pause)]
        found.append(max(cycles) - min(cycles))
    return found


def run(
    budgets: Sequence[Budget],
    highest: int,
    image: Callable[[int, int], Used],
    *,
    increments: int,
    remember: bool,
) -> list[Step]:
    """A run of one image per budget. highest: the host's capacity. image(k, capacity): what image k takes with it."""
    controller = Controller(increments, remember=remember)
    steps = []
    for number, budget in enumerate(budgets):
        controller.set(budget)
        capacity = min(highest, controller.allowed)
        used = image(number, capacity)
        controller.finish(used)
        steps.append(Step(budget, capacity, used, controller.impossible))
    return steps


def late(steps: Sequence[Step], increments: int) -> list[int]:
    """Images that break the promise of the budget run: above the budget although as many images as there are
    ``increments`` have run since it changed, or one of them was within it already. Not those of a budget that is
    impossible and reported so while the smallest increment runs."""
    found = []
    since, settled = 0, False
    for number, step in enumerate(steps):
        if number and step.budget != steps[number - 1].budget:
            since, settled = number, False
        if not step.used.above(step.budget):
            settled = True
        elif (settled or number - since >= increments - 1) and not (step.impossible and step.used.stopped == 0):
            found.append(number)
    return found
