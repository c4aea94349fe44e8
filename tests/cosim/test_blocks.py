"""Every block of the tile in Verilator: all benches of a preset in one build and one run."""

from pathlib import Path

import pytest

from cosim.blocks import build_blocks
from cosim.port import CYCLE_LIMIT, SIDECAR
from cosim.runner import run
from hw.params import preset

BENCHES = ("neuron", "buffer", "access", "window", "pool", "output", "margin", "dma", "fetch", "arbiter", "counters")
SEED = 10

pytestmark = pytest.mark.cosim


def run_benches(name: str, seed: int, workdir: Path) -> None:
    simulation, sidecar = build_blocks(preset(name))
    result = run(
        simulation,
        ",".join(f"cosim.bench_{bench}" for bench in BENCHES),
        seed=seed,
        workdir=workdir,
        env={SIDECAR: str(sidecar.resolve())},
        cycle_limit=CYCLE_LIMIT,
        min_tests=len(BENCHES),
    )
    assert sorted(result.tests) == sorted(BENCHES)
    assert result.cycles > 1000


@pytest.mark.parametrize("name", ["small", "odd"])
def test_blocks(name: str, tmp_path: Path) -> None:
    run_benches(name, SEED, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
@pytest.mark.parametrize("name", ["paper32", "paper16", "small", "odd"])
def test_blocks_of_every_preset(name: str, seed: int, tmp_path: Path) -> None:
    run_benches(name, seed, tmp_path)
