"""Runs that escalate and take over maps and sums of the smaller increment, on the RTL against golden."""

import random
from collections import Counter
from pathlib import Path

import pytest

from cosim.prepare import prepare
from cosim.simulate import simulate_jobs
from golden.mapping.reuse import cut_at_increments
from hw.errors import BadInput
from tests.cosim.tiles import params_of, tile
from tests.golden.kept import causal, map_kept
from tests.golden.random_networks import images, random_case

pytestmark = pytest.mark.cosim


@pytest.mark.parametrize("name", ["small", "odd"])
def test_escalated_runs(name: str, tmp_path: Path) -> None:
    p, rng, jobs, kept = params_of(name), random.Random(3), [], Counter[str]()
    for seed in range(200, 224):
        nets, shape = random_case(seed, p)
        nets = causal(nets) if seed % 2 else list(cut_at_increments(nets))
        try:
            mapped = map_kept(nets, p, rng if seed % 4 > 1 else None)
        except BadInput:
            continue
        never = [1 << 62] * (len(nets) - 1)  # margins below it: every image escalates to the end
        jobs.append(prepare(mapped, images(1, shape, p, seed), thresholds=never))
        for plan in (plan for segment in mapped.resumed if segment is not None for plan in segment.plans):
            kept["maps"] += plan.layer.kept > 0
            kept["sums"] += plan.restored is not None
    outcomes = simulate_jobs(tile(name), jobs, tmp_path, seed=3)
    assert [outcome.mismatches for outcome in outcomes] == [0] * len(jobs)
    assert all(outcome.words == len(job.words) > 0 for outcome, job in zip(outcomes, jobs, strict=True))
    ends = sum(bool(outcome.stopped[0] == job.capacity) for outcome, job in zip(outcomes, jobs, strict=True))
    print(f"{name}: {len(jobs)} networks, {ends} escalated to the end, kept {dict(kept)}")
    assert ends > 8  # but those of one class, whose margin is above any threshold
    assert min(kept["maps"], kept["sums"]) > 8
