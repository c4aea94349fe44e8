"""Runs that escalate and take over maps and sums of the smaller increment, on the RTL against golden."""

from collections import Counter
from pathlib import Path

import pytest

from cosim.prepare import prepare
from cosim.simulate import simulate_jobs
from golden.checkpoint import load
from golden.evaluate import integer_networks
from golden.mapping import map_network
from hw.events import event_names
from tests.cosim.tiles import params_of, tile
from tests.golden.kept import WAYS, kept_cases, layer_counts
from tests.golden.random_networks import images

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
NEVER = 1 << 62  # a threshold that every margin lies below, but that of a single class

pytestmark = pytest.mark.cosim


@pytest.mark.parametrize("name", ["small", "odd"])
def test_escalated_runs(name: str, tmp_path: Path) -> None:
    p, jobs, kept = params_of(name), [], Counter[str]()
    for way in WAYS:
        for seed, mapped, shape in kept_cases(p, way, range(200, 260), 10):
            jobs.append(prepare(mapped, images(1, shape, p, seed), thresholds=[NEVER] * (len(mapped.fresh) - 1)))
            for plan in (plan for segment in mapped.resumed if segment is not None for plan in segment.plans):
                kept["maps"] += plan.layer.kept > 0
                kept["sums"] += plan.restored is not None
    outcomes = simulate_jobs(tile(name), jobs, tmp_path, seed=3)
    assert [outcome.mismatches for outcome in outcomes] == [0] * len(jobs)
    assert all(outcome.words == len(job.words) > 0 for outcome, job in zip(outcomes, jobs, strict=True))
    ends = sum(bool(outcome.stopped[0] == job.capacity) for outcome, job in zip(outcomes, jobs, strict=True))
    print(f"{name}: {len(jobs)} networks, {ends} escalated to the end, kept {dict(kept)}")
    assert ends > 20
    assert min(kept["maps"], kept["sums"]) > 10


@pytest.mark.parametrize(("name", "most"), [("half", 0.80), ("causal", 0.55)])
def test_lenet_escalates_for_less_than_a_run_from_scratch(name: str, most: float, tmp_path: Path) -> None:
    """Cycles and multiplications of the two convolutions, counted by the RTL: the run's, less those of other layers."""
    p = params_of("paper32")
    networks = integer_networks(load(CHECKPOINTS / f"lenet-mnist-{name}.npz"), p.fmt)
    mapped = map_network(networks, p, search=False, reuse="work")
    codes = images(1, (1, 28, 28), p, 5)
    runs = [prepare(mapped, codes, increment=0), prepare(mapped, codes, increment=1)]
    runs.append(prepare(mapped, codes, thresholds=[NEVER]))
    outcomes = simulate_jobs(tile("paper32"), runs, tmp_path, seed=5)
    assert [outcome.mismatches for outcome in outcomes] == [0, 0, 0]
    assert outcomes[2].stopped[0] == 1
    segment = mapped.resumed[1]
    assert segment is not None
    for event in ("compute_cycles", "multiply"):
        small, anew, escalated = (int(outcome.events[0, event_names(True).index(event)]) for outcome in outcomes)
        anew -= sum(counts[event] for counts in layer_counts(mapped.fresh[1], p)[2:])
        resumed = escalated - small - sum(counts[event] for counts in layer_counts(segment, p)[2:])
        print(f"{name}: {event} {resumed} of {anew}, {resumed / anew:.4f}")
        assert 0 < resumed <= most * anew
