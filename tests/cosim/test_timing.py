"""The model of the tile's cycles against RTL, by equality: every kind of cycle, on random networks."""

import contextlib
import random
from pathlib import Path

import pytest

import hw.dma
import hw.fetch
import hw.post
import hw.tile
from cosim.cycles import PAUSE, START_CYCLE
from cosim.dram import Request, Timing, dram_config, replay
from cosim.prepare import prepare
from cosim.simulate import simulate_jobs, tile_build
from golden.mapping import map_network
from golden.timing import DDR3, Ideal, Memory, predict, predict_images
from golden.timing.machine import Depths
from golden.timing.memory import DramPort
from hw.errors import BadInput
from hw.events import CYCLE_KINDS, event_names
from hw.params import preset
from tests.cosim.tiles import IDEAL, MEMORY_BEATS, params_of, tile
from tests.golden.random_networks import images, random_case

SEEDS = range(40, 52)


def test_the_queues_are_as_deep_as_the_tiles() -> None:
    assert Depths() == Depths(
        transfers=hw.tile.TRANSFER_QUEUE,
        under_way=hw.dma.TRANSFER_QUEUE,
        stores=hw.dma.STORE_QUEUE,
        computes=hw.tile.COMPUTE_QUEUE,
        post=hw.post.QUEUE,
        fetch=hw.fetch.FETCH_AHEAD,
        fetch_together=hw.fetch.FETCH_TOGETHER,
        fetch_first=hw.fetch.FETCH_FIRST,
        patience=hw.dma.PATIENCE,
    )


@pytest.mark.parametrize(
    "memory",
    [Ideal(), Ideal(3_000, 0), DDR3(), DDR3(start_cycle=1951), DDR3(owed=8), DDR3(Timing(t_refi=780_000), 7)],
)
@pytest.mark.parametrize("name", ["small", "paper32"])
def test_the_port_is_as_fast_as_the_replay(name: str, memory: Memory) -> None:
    p, rng = preset(name), random.Random(3)
    if isinstance(memory, DDR3):
        config, start = dram_config(p, p.dram_beats, timing=memory.timing, owed=memory.owed), memory.start_cycle
    else:
        config, start = dram_config(p, p.dram_beats, ideal=memory), 0
    port, trace, answers, address, full = DramPort(p, memory), [], [], 0, 0
    for cycle in range(6000):
        full += not port.ready
        if port.ready and rng.random() < (0.9 if cycle % 1000 < 500 else 0.05):
            address = address + 1 if rng.random() < 0.8 else rng.randrange(p.dram_beats - 6000)
            request = Request((start + cycle) * config.clock_ps, rng.random() < 0.3, address)
            trace.append(request)
            port.accept(cycle, request.write, request.address)
        if port.edge(cycle):
            answers.append((start + cycle + 1) * config.clock_ps)
    wanted = replay(config, trace, (start + 6000) * config.clock_ps).response_ps
    assert answers == wanted[: len(answers)]
    assert len(answers) > 500
    assert len(wanted) - len(answers) <= p.dram_outstanding
    assert full > 0 or memory == Ideal(3_000, 0)


@pytest.mark.cosim
@pytest.mark.parametrize(("name", "memory"), [("small", "ideal"), ("small", "ddr3"), ("odd", "ddr3")])
def test_every_kind_of_cycle_equals_rtl(name: str, memory: str, tmp_path: Path) -> None:
    """Each increment of random networks; of an increment one image, whose start after reset is known."""
    compare(name, memory, tmp_path)


@pytest.mark.cosim
def test_every_kind_of_refresh_equals_rtl(tmp_path: Path) -> None:
    """Three images one after the other, from the worst start, with refreshes that fall due ten times as often."""
    p, jobs, predicted = params_of("small"), [], []
    timing = Timing(t_refi=780_000, t_rfc=100_000, t_idle=80_000, t_idle_early=160_000)
    for seed in SEEDS:
        nets, shape = random_case(seed, p)
        with contextlib.suppress(BadInput):  # too large for the tile
            mapped = map_network(nets, p)
            job = prepare(mapped, images(3, shape, p, seed), increment=0)
            memory = DDR3(timing, START_CYCLE, job.result_address, owed=8)
            jobs.append(job)
            predicted.append([one.cycles for one in predict_images(mapped, 0, memory, 3, pause=PAUSE)])
    simulation = tile_build(p, MEMORY_BEATS, timing=timing, owed=8)
    outcomes = simulate_jobs(simulation, jobs, tmp_path, seed=1)
    assert [outcome.events[:, event_names(p.activity).index("cycles")].tolist() for outcome in outcomes] == predicted
    forced, done = (sum(int(getattr(o, name).sum()) for o in outcomes) for name in ("forced_refreshes", "refreshes"))
    assert 0 < forced < done


@pytest.mark.slow
@pytest.mark.cosim
def test_odd_tile_on_ideal_memory(tmp_path: Path) -> None:
    compare("odd", "ideal", tmp_path)


def compare(name: str, memory: str, folder: Path) -> None:
    p, jobs, predicted = params_of(name), [], []
    for seed in SEEDS:
        nets, shape = random_case(seed, p)
        try:
            mapped = map_network(nets, p)
        except BadInput:  # too large for the tile
            continue
        for increment in range(len(nets)):
            job = prepare(mapped, images(1, shape, p, seed), increment=increment)
            model = IDEAL if memory == "ideal" else DDR3(start_cycle=START_CYCLE, result_address=job.result_address)
            jobs.append(job)
            predicted.append(predict(mapped, increment, model))
    assert len(jobs) >= 18
    names = event_names(p.activity)
    kinds = [names.index(kind.name if kind.name in names else "compute_cycles") for kind in CYCLE_KINDS]
    outcomes = simulate_jobs(tile(name, IDEAL if memory == "ideal" else None), jobs, folder, seed=1)
    for outcome, found in zip(outcomes, predicted, strict=True):
        assert outcome.events[0, kinds].tolist() == list(found.stalls.values())
        assert outcome.events[0, names.index("cycles")] == found.cycles
    met = [sum(found.stalls[kind.name] > 0 for found in predicted) for kind in CYCLE_KINDS]
    assert min(met) > 0, met
