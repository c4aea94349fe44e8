"""Whole tiles in Verilator against golden: every word, stop, winner, margin, record and event count, by equality."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cosim.dram import Ideal
from cosim.job import Job, Outcome
from cosim.prepare import prepare
from cosim.simulate import simulate_jobs
from golden import margin
from golden.integer import scores
from golden.mapping import Mapped, map_network
from golden.network import Shape
from hw.events import COUNTED_INSIDE, CYCLE_KINDS, WORK, event_names
from hw.params import preset
from tests.cosim.tiles import IDEAL, images, integer, modules, params_of, tile

FRACTIONS = (0.25, 0.5, 1.0)
IMAGES = 24
SEED = 20

pytestmark = pytest.mark.cosim


def small_net() -> tuple[nn.Sequential, Shape]:
    """Convolutions with and without padding, both poolings, two fully connected layers."""
    layers = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU()]
    layers += [nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(8 * 2 * 2, 12), nn.ReLU(), nn.Linear(12, 6)]
    return nn.Sequential(*layers), (1, 10, 10)


def wide_net() -> tuple[nn.Sequential, Shape]:
    """More channels than a block of 16 neurons, overlapping windows; for the tiles of 16 x 16."""
    layers = [nn.Conv2d(3, 20, 5, stride=2, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()]
    layers += [nn.Conv2d(20, 36, 3), nn.ReLU(), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(36, 40), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(40, 10)), (3, 18, 18)


NETS = {"small": small_net, "odd": small_net, "paper32": wide_net, "paper16": wide_net}


def balanced(wide: Sequence[Tensor], name: str, softmax: bool) -> list[int]:
    """Thresholds at which about a third of the images stops at each increment."""
    fmt = preset(name).fmt
    if softmax:  # the largest theta that lets a third stop, by bisection on the decision itself
        found = []
        for part in wide[:-1]:
            low, high = 0, 1 << 16
            while high - low > 1:
                middle = (low + high) // 2
                stopping = int((~margin.below(part.numpy(), middle, fmt, True)).sum())
                low, high = (middle, high) if stopping * 3 >= len(part) else (low, middle)
            found.append(low)
        return found
    return [int(np.sort(margin.raw_margin(part.numpy()))[2 * len(part) // 3]) for part in wide[:-1]]


def mapped_of(name: str) -> tuple[Mapped, Tensor]:
    p = params_of(name)
    full, shape = NETS[name]()
    nets = integer(modules(full, FRACTIONS, SEED), shape, p)
    return map_network(nets, p), images(IMAGES, shape, p, SEED)


def every_run(name: str) -> list[Job]:
    """Each increment directly, and both opportunistic runs."""
    mapped, codes = mapped_of(name)
    wide = [scores(net, codes) for net in mapped.networks]
    jobs = [prepare(mapped, codes[:6], increment=k) for k in range(len(FRACTIONS))]
    for softmax in (False, True):
        jobs.append(prepare(mapped, codes, thresholds=balanced(wide, name, softmax), softmax=softmax))
    return jobs


def check(jobs: Sequence[Job], outcomes: Sequence[Outcome], names: tuple[str, ...]) -> None:
    assert len(jobs) == len(outcomes) > 0
    for job, outcome in zip(jobs, outcomes, strict=True):
        assert (outcome.mismatches, outcome.first) == (0, "")
        assert outcome.words == len(job.words) > 0
        assert np.array_equal(outcome.stopped, job.stops)
        assert np.array_equal(outcome.winners, job.winners)
        assert outcome.events.shape == (job.images, len(names))
        assert len(outcome.activates) == job.images


def run_all(name: str, folder: Path, ideal: Ideal | None) -> None:
    jobs = every_run(name)
    names = event_names(activity=True)
    outcomes = simulate_jobs(tile(name, ideal), jobs, folder, seed=SEED)
    check(jobs, outcomes, names)
    direct, raw, softmax = jobs[:3], jobs[3], jobs[4]
    assert [job.capacity for job in direct] == [0, 1, 2]
    for opportunistic in (raw, softmax):  # every increment is met as the last one, by several images
        assert np.bincount(opportunistic.stops, minlength=3).min() >= 3
    assert not np.array_equal(raw.thresholds, softmax.thresholds)
    cycles = [outcome.events[:, names.index("cycles")].mean() for outcome in outcomes]
    products = [outcome.events[:, names.index("multiply")].mean() for outcome in outcomes]
    assert cycles[0] < cycles[1] < cycles[2]
    assert products[0] < products[1] < products[2]
    for event in COUNTED_INSIDE:  # of the monitored ones some rest in nets this small: test_activity.py holds them
        assert outcomes[2].events[:, names.index(event)].min() > 0
    waits = [names.index(kind.name) for kind in CYCLE_KINDS[1:]]
    assert outcomes[2].events[:, waits].sum() > 0
    if ideal is None:
        assert min(int(outcome.activates.sum()) for outcome in outcomes) > 0


@pytest.mark.parametrize(
    ("name", "memory"),
    [("small", "ddr3"), ("odd", "ddr3"), ("small", "ideal"), pytest.param("odd", "ideal", marks=pytest.mark.slow)],
)
def test_increments_and_both_margins(name: str, memory: str, tmp_path: Path) -> None:
    run_all(name, tmp_path, IDEAL if memory == "ideal" else None)


def test_paper32(tmp_path: Path) -> None:
    run_all("paper32", tmp_path, None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "memory"), [("paper16", "ddr3"), ("paper16", "ideal"), ("paper32", "ideal")])
def test_full_size_tiles(name: str, memory: str, tmp_path: Path) -> None:
    run_all(name, tmp_path, IDEAL if memory == "ideal" else None)


def test_both_formats_are_covered() -> None:
    assert {str(preset(name).fmt) for name in ("small", "odd", "paper32")} == {"<16,10>", "<32,16>"}


def test_the_host_lowers_the_capacity(tmp_path: Path) -> None:
    """Thresholds that no margin reaches: the run goes on to the capacity, and no further."""
    mapped, codes = mapped_of("small")
    never = [(1 << 63), (1 << 63)]
    job = prepare(mapped, codes[:3], thresholds=never)
    assert job.stops.tolist() == [2, 2, 2]
    always = prepare(mapped, codes[:3], thresholds=[0, 0])
    assert always.stops.tolist() == [0, 0, 0]
    check([job, always], simulate_jobs(tile("small"), [job, always], tmp_path, seed=SEED), event_names(activity=True))


def test_a_change_of_capacity_reloads_nothing(tmp_path: Path) -> None:
    """From increment to increment, up and down, by one host register: no reset, and DRAM as the runs before left it."""
    mapped, codes = mapped_of("small")
    order = (2, 0, 1, 2, 1, 0)
    jobs = [replace(prepare(mapped, codes[:2], increment=k), follows=at > 0) for at, k in enumerate(order)]
    jobs.append(replace(prepare(mapped, codes[:2], thresholds=[1 << 63, 1 << 63]), follows=True))
    names = event_names(activity=True)
    outcomes = simulate_jobs(tile("small"), jobs, tmp_path, seed=SEED)
    check(jobs, outcomes, names)
    work = [names.index(event.name) for event in WORK]
    for k in range(3):  # the same reads and writes of DRAM and buffers, whatever ran before
        first, again = (outcomes[at].events[:, work] for at, number in enumerate(order) if number == k)
        assert np.array_equal(first, again)


def test_a_job_can_be_cut(tmp_path: Path) -> None:
    """Parts of a job, with their result records moved along, give what the whole gives."""
    mapped, codes = mapped_of("small")
    whole = prepare(mapped, codes[:9], increment=1)
    jobs = [whole, whole.part(0, 4), whole.part(4, 9)]
    outcomes = simulate_jobs(tile("small"), jobs, tmp_path, seed=SEED)
    check(jobs, outcomes, event_names(activity=True))
    joined = Outcome.join(outcomes[1:])
    assert joined.words == outcomes[0].words
    assert np.array_equal(joined.winners, outcomes[0].winners)


def test_padding_wider_than_the_kernel(tmp_path: Path) -> None:
    """Windows that lie wholly outside the map: their sums are the bias alone."""
    jobs = []
    p = params_of("small")
    for kernel, padding, stride in ((1, 2, 1), (2, 2, 2), (1, 1, 3)):
        full = nn.Sequential(nn.Conv2d(2, 3, kernel, stride, padding), nn.Flatten())
        with torch.no_grad():
            inputs = full(torch.zeros(1, 2, 5, 4)).numel()
        full = nn.Sequential(*full, nn.Linear(inputs, 3))
        torch.manual_seed(SEED)
        nets = integer([full], (2, 5, 4), p)
        jobs.append(prepare(map_network(nets, p), images(2, (2, 5, 4), p, SEED), increment=0))
    check(jobs, simulate_jobs(tile("small"), jobs, tmp_path, seed=SEED), event_names(activity=True))
