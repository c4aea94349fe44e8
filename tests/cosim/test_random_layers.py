"""Random nested networks on the RTL against golden; every way in which a layer can be mapped has to occur."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from cosim.job import Job
from cosim.prepare import prepare
from cosim.simulate import simulate_jobs
from golden.mapping import Mapped, map_network
from golden.network import Shape
from hw.errors import BadInput
from hw.params import TileParams
from tests.cosim.tiles import params_of, tile
from tests.golden.mapping_kinds import IMPOSSIBLE, KINDS, kinds_of, map_by_chance
from tests.golden.random_networks import (
    by_rows_module,
    flat_module,
    fused_module,
    images,
    increments,
    networks,
    paired_module,
    random_network,
    tall_module,
)

FRACTION_SETS = ((1.0,), (0.5, 1.0), (0.25, 0.6, 1.0))
AS_CHOSEN = 20  # one network in so many is mapped as the mapper does it; that takes ten times as long

Family = Callable[[random.Random, TileParams], tuple[nn.Sequential, Shape]]
# the last ones: what hardly any of the others has
RARE: tuple[Family, ...] = (tall_module, paired_module, by_rows_module, by_rows_module, fused_module) * 6

pytestmark = pytest.mark.cosim


def random_family(rng: random.Random) -> Family:
    """Few of the others fuse layers, or spill whole planes."""
    chance = rng.random()
    return fused_module if chance < 0.2 else (lambda rng, _: flat_module(rng)) if chance < 0.3 else random_network


def random_mapped(rng: random.Random, p: TileParams, as_chosen: bool, made: Family | None = None) -> Mapped:
    """A network that fits, ``made`` by this if given; another one is drawn for what the mapper refuses as too large."""
    for _ in range(200):
        module, shape = (made or random_family(rng))(rng, p)
        nets = networks(increments(module, rng.choice(FRACTION_SETS), shape), shape, p)
        try:
            return map_network(nets, p) if as_chosen else map_by_chance(nets, p, rng)
        except BadInput:
            continue
    raise AssertionError("200 random networks in a row did not fit the tile")


def random_jobs(name: str, count: int, seed: int) -> tuple[list[Job], Counter[str]]:
    """Jobs of ``count`` networks, each on a random increment or opportunistically, and the kinds that they cover."""
    p, rng = params_of(name), random.Random(seed)
    jobs: list[Job] = []
    kinds: Counter[str] = Counter()
    for number in range(count):
        made = RARE[number - count] if number >= count - len(RARE) else None
        mapped = random_mapped(rng, p, number % AS_CHOSEN == 0, made)
        nets = len(mapped.networks)
        codes = images(rng.randint(1, 2), mapped.networks[0].input_shape, p, seed + number)
        if nets > 1 and rng.random() < 0.5:
            never = [1 << 62] * (nets - 1)  # escalates to the end, so that every segment runs
            jobs.append(prepare(mapped, codes, thresholds=never))
            run = range(nets)
        else:
            increment = rng.randrange(nets)
            jobs.append(prepare(mapped, codes, increment=increment))
            run = range(increment, increment + 1)
        for increment in run:
            kinds += kinds_of(mapped, increment)
    return jobs, kinds


def run_random(name: str, count: int, seed: int, folder: Path) -> None:
    jobs, kinds = random_jobs(name, count, seed)
    print(f"{name}, {count} networks, seed {seed}: " + ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS))
    outcomes = simulate_jobs(tile(name), jobs, folder, seed=seed)
    assert len(outcomes) == count
    assert [outcome.mismatches for outcome in outcomes] == [0] * count
    assert all(outcome.words == len(job.words) > 0 for outcome, job in zip(outcomes, jobs, strict=True))
    missing = [kind for kind in KINDS if not kinds[kind] and kind not in IMPOSSIBLE[name]]
    assert not missing, f"kinds that did not occur: {', '.join(missing)}"


@pytest.mark.parametrize(("name", "seed"), [("small", 49), ("odd", 45)])
def test_random_networks(name: str, seed: int, tmp_path: Path) -> None:
    run_random(name, 140, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [*(("small", seed) for seed in (51, 52, 53)), *(("odd", seed) for seed in range(50, 54))]
)
def test_many_random_networks(name: str, seed: int, tmp_path: Path) -> None:
    run_random(name, 300, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), [("paper16", 60), ("paper32", 61)])
def test_random_networks_on_full_size_tiles(name: str, seed: int, tmp_path: Path) -> None:
    """On these tiles small networks stay resident: only equality is asked for."""
    jobs, kinds = random_jobs(name, 20, seed)
    print(f"{name}: {dict(kinds)}")
    outcomes = simulate_jobs(tile(name), jobs, tmp_path, seed=seed)
    assert [outcome.mismatches for outcome in outcomes] == [0] * len(jobs) == [0] * 20
