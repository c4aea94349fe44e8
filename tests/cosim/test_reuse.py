"""Runs that escalate and take over maps and sums of the smaller increment, on the RTL against golden."""

import random
from pathlib import Path

import pytest

from cosim.prepare import prepare
from cosim.simulate import simulate_jobs
from hw.errors import BadInput
from tests.cosim.tiles import params_of, tile
from tests.golden.kept import causal, map_kept
from tests.golden.random_networks import images, random_case

pytestmark = pytest.mark.cosim


@pytest.mark.parametrize("name", ["small"])
def test_escalated_runs(name: str, tmp_path: Path) -> None:
    p, rng, jobs, kept = params_of(name), random.Random(3), [], 0
    for seed in range(200, 216):
        nets, shape = random_case(seed, p)
        try:
            mapped = map_kept(causal(nets) if seed % 2 else nets, p, rng if seed % 4 > 1 else None)
        except BadInput:
            continue
        never = [1 << 62] * (len(nets) - 1)  # margins below it: every image escalates to the end
        jobs.append(prepare(mapped, images(1, shape, p, seed), thresholds=never))
        kept += sum(plan.layer.kept > 0 for segment in mapped.resumed if segment is not None for plan in segment.plans)
    assert len(jobs) > 8
    assert kept > 2 * len(jobs)
    outcomes = simulate_jobs(tile(name), jobs, tmp_path, seed=3)
    assert [outcome.mismatches for outcome in outcomes] == [0] * len(jobs)
    assert all(outcome.words == len(job.words) > 0 for outcome, job in zip(outcomes, jobs, strict=True))
    escalated = sum(
        int((outcome.stopped == len(job.work_left) - 1).all()) for outcome, job in zip(outcomes, jobs, strict=True)
    )
    assert escalated > 8  # the margin of a single class is above any threshold
