"""The budget run on whole tiles: RTL against golden by equality, and the promise that the controller makes."""

import functools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from amaranth.hdl import Value
from torch import nn

from cosim.budget import prepare_budget, run_budget
from cosim.budget_job import BudgetJob, BudgetOutcome
from cosim.prepare import prepare
from cosim.runner import Build, CosimFailed
from cosim.simulate import tile_build
from cosim.testbench import build_tile
from golden.budget import Budget, guarded, late, metered, spread
from golden.counts import count_run
from golden.mapping import Mapped, map_network
from golden.network import Shape
from golden.timing import DDR3, predict
from hw.budget import BudgetController
from hw.errors import BadInput
from hw.events import METERED, event_names
from hw.generate import generate
from hw.params import TileParams, preset
from tests.golden.random_networks import images, increments, networks

pytestmark = pytest.mark.cosim

MEMORY_BEATS = 1 << 15
SEED = 90
FRACTIONS = {"small": (0.25, 0.5, 0.75, 1.0), "odd": (0.3, 0.6, 1.0)}


def params_of(name: str) -> TileParams:
    return preset(name).replace(budget=True)


@functools.lru_cache(maxsize=2)
def tile(name: str) -> Build:
    return tile_build(params_of(name), MEMORY_BEATS)


def random_layers(rng: random.Random) -> tuple[nn.Sequential, Shape]:
    """Two convolutions and two fully connected layers, large enough for increments that refreshes do not mix up."""
    shape = (rng.randint(1, 2), rng.randint(10, 13), rng.randint(10, 13))
    first, second, hidden = rng.randint(8, 12), rng.randint(12, 16), rng.randint(12, 24)
    pool = rng.choice((nn.MaxPool2d, nn.AvgPool2d))
    module = nn.Sequential(
        nn.Conv2d(shape[0], first, 3, padding=1), nn.ReLU(), pool(2), nn.Conv2d(first, second, 3), nn.ReLU(),
        nn.Flatten(), nn.LazyLinear(hidden), nn.ReLU(), nn.Linear(hidden, rng.randint(3, 6)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


class Case:
    """A random network whose increments take more and more, random weights, and what each is likely to take."""

    def __init__(self, name: str, seed: int) -> None:
        self.p, self.rng = params_of(name), random.Random(seed)
        self.count = len(FRACTIONS[name])
        while not self._drawn(FRACTIONS[name]):
            pass
        self.short, self.starved = Budget(None, self.cycles[0] // 2), Budget(self.energy[0] // 2)  # impossible

    def _drawn(self, fractions: tuple[float, ...]) -> bool:
        """Whether a network has come each increment of which costs enough more than the one before."""
        module, shape = random_layers(self.rng)
        nets = networks(increments(module, fractions, shape), shape, self.p)
        self.mapped: Mapped = map_network(nets, self.p)
        # gated lanes get fewer with the increments, all else gets more
        self.weights = [
            0 if name == "lane_gated" else self.rng.randrange(1 << self.rng.randint(1, 16)) for name in METERED
        ]
        self.cycles = [predict(self.mapped, k, DDR3()).cycles for k in range(self.count)]
        self.energy = [
            metered(count_run(self.mapped, [k]) | {"cycles": cycles}, self.weights)
            for k, cycles in enumerate(self.cycles)
        ]
        self.guard = max(spread(self.mapped))
        guards = (self.guard * self.weights[METERED.index("cycles")], self.guard)
        rows = ((self.energy, guards[0]), (self.cycles, guards[1]))
        return all(b - a > 3 * guard for row, guard in rows for a, b in zip(row, row[1:], strict=False))

    def between(self, low: int) -> Budget:
        """A budget of energy and cycles that increment ``low`` keeps and the next one does not."""
        rows = (self.energy, self.cycles)
        return Budget(*((row[low] + row[low + 1]) // 2 for row in rows))

    def budgets(self) -> list[Budget]:
        """None; down to the smallest step by step; impossible in either; up again; energy or delay alone; any."""
        n, rng = self.count, random.Random(SEED)
        down = [self.between(k) for k in reversed(range(n - 1))]
        steps = [Budget(), *down, self.short, *reversed(down), self.starved, Budget()]
        steps += [Budget(down[0].energy), Budget(None, down[-1].cycles), Budget(down[-1].energy, down[0].cycles)]
        for _ in range(6):
            parts = (rng.randint(0, 2 * row[-1]) for row in (self.energy, self.cycles))
            steps.append(Budget(*(part if rng.random() < 0.7 else None for part in parts)))
        return [step for step in steps for _ in range(rng.randint(n + 1, n + 3))]


@functools.lru_cache(maxsize=2)
def drawn(name: str, seed: int) -> Case:
    return Case(name, seed)


def simulated(case: Case, job: BudgetJob, name: str, folder: Path) -> BudgetOutcome:
    outcome = run_budget(tile(name), job, folder, seed=SEED)
    count = len(job.budgets)
    assert outcome.words > 0
    assert outcome.events.shape == (count, len(event_names()))
    assert np.array_equal(outcome.events[:, event_names().index("cycles")], outcome.cycles)
    energy = [metered(dict(zip(event_names(), row, strict=True)), case.weights) for row in outcome.events.tolist()]
    assert energy == outcome.energy.tolist()
    return outcome


@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.parametrize(("name", "seed"), [("small", 4), ("odd", 1)])
def test_the_promise(name: str, seed: int, remember: bool, tmp_path: Path) -> None:
    """Within the budget in at most as many images as there are increments, and never above it from then on; impossible
    ones are reported and the smallest increment runs. The registers hold the budgets less what images differ by."""
    case = drawn(name, seed)
    budgets = case.budgets()
    codes = images(len(budgets), case.mapped.networks[0].input_shape, case.p, SEED)
    written = [guarded(budget, case.guard, case.weights) for budget in budgets]
    job = prepare_budget(case.mapped, codes, written, case.weights, remember=remember)
    outcome = simulated(case, job, name, tmp_path)
    assert np.array_equal(outcome.stopped, outcome.capacity)
    steps = outcome.steps(budgets)
    assert late(steps, case.count) == []
    met = {step.capacity for step in steps}
    assert met == set(range(case.count))
    for number in (budgets.index(case.short), budgets.index(case.starved)):
        part = steps[number : number + case.count + 1]
        assert [step.impossible for step in part[-2:]] == [True, True]
        assert [step.capacity for step in part[-2:]] == [0, 0]
    assert 4 <= outcome.impossible.sum() < len(budgets) - 10
    moves = np.sign(np.diff(outcome.capacity)).tolist()
    assert min(moves.count(move) for move in (-1, 0, 1)) >= 3
    for low in range(case.count - 1):  # it is the largest increment that is within the budget
        assert {step.capacity for step in steps if step.budget == case.between(low)} >= {low}
        assert next(step.capacity for step in reversed(steps) if step.budget == case.between(low)) == low
    above = sum(step.used.above(step.budget) and not step.impossible for step in steps)
    print(f"{name}, remember {remember}: {len(steps)} images, {above} above a budget while it settles")


def test_escalation_up_to_the_capacity(tmp_path: Path) -> None:
    """Opportunistic images under a budget: the capacity caps how far they escalate."""
    case = drawn("small", 4)
    budgets = [Budget()] * 3 + [Budget(sum(case.energy[:3])), Budget(sum(case.energy[:3]))] * 3 + [Budget(1)] * 5
    codes = images(len(budgets), case.mapped.networks[0].input_shape, case.p, SEED)
    never = [(1 << 62)] * (case.count - 1)
    job = prepare_budget(case.mapped, codes, budgets, case.weights, thresholds=never)
    outcome = simulated(case, job, "small", tmp_path)
    assert np.array_equal(outcome.stopped, outcome.capacity)  # no margin is enough
    assert outcome.stopped[:4].tolist() == [3, 3, 3, 2]
    assert outcome.stopped[-1] == 0
    assert outcome.impossible.tolist()[-2:] == [1, 1]
    at_once = prepare_budget(case.mapped, codes, budgets, case.weights, thresholds=[0] * (case.count - 1))
    outcome = simulated(case, at_once, "small", tmp_path)
    assert set(outcome.stopped.tolist()) == {0}  # every margin is: no cap is needed until the smallest is too much
    assert outcome.capacity[:9].tolist() == [3] * 9


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["flipped", "never"])
def test_a_broken_controller_is_found(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(used: Value, budget: Value) -> Value:
        return used < budget if broken == "flipped" else (used > budget) & 0

    monkeypatch.setattr(BudgetController, "over", staticmethod(over))
    generate(params_of("small"), tmp_path / "verilog")
    simulation = build_tile(tmp_path / "verilog", MEMORY_BEATS, build_root=tmp_path / "build")
    case = drawn("small", 4)
    budgets = case.budgets()[:20]
    codes = images(len(budgets), case.mapped.networks[0].input_shape, case.p, SEED)
    job = prepare_budget(case.mapped, codes, budgets, case.weights)
    with pytest.raises(CosimFailed, match=r"image \d+: (capacity|report of an impossible budget) golden \d, RTL \d"):
        run_budget(simulation, job, tmp_path / "run", seed=SEED)


def test_what_cannot_be_run_is_refused() -> None:
    case = drawn("small", 4)
    codes = images(2, case.mapped.networks[0].input_shape, case.p, SEED)
    with pytest.raises(BadInput, match="2 budgets are wanted, one an image, not 1"):
        prepare_budget(case.mapped, codes, [Budget()], case.weights)
    with pytest.raises(BadInput, match=r"the meter wants \d+ weights"):
        prepare_budget(case.mapped, codes, [Budget()] * 2, [1])
    with pytest.raises(BadInput, match="capacity wants 0 to 3 in an opportunistic run, not 4"):
        prepare(case.mapped, codes, capacity=4, thresholds=[0] * 3)
    with pytest.raises(BadInput, match="capacity wants 0 to 3 in an opportunistic run, not 1"):
        prepare(case.mapped, codes, increment=1, capacity=1)
    without = map_network(case.mapped.networks, preset("small"))
    with pytest.raises(BadInput, match="a budget run wants a tile with budget and counters, small has not both"):
        prepare_budget(without, codes, [Budget()] * 2, case.weights)


def test_a_job_survives_its_folder(tmp_path: Path) -> None:
    case = drawn("small", 4)
    codes = images(3, case.mapped.networks[0].input_shape, case.p, SEED)
    budgets = [Budget(), Budget(5, None), Budget(7, 9)]
    job = prepare_budget(case.mapped, codes, budgets, case.weights, remember=False)
    job.save(tmp_path)
    read = BudgetJob.load(tmp_path)
    assert (read.budgets, read.weights, read.remember) == (tuple(budgets), tuple(case.weights), False)
    assert [part.capacity for part in read.jobs] == [0, 1, 2, 3]
    assert all(np.array_equal(one.words, other.words) for one, other in zip(read.jobs, job.jobs, strict=True))
