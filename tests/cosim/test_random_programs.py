"""Random hand-made programs on the RTL: words, counts and every kind of cycle; sums that stay, limbs, restored sums."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cosim.cycles import START_CYCLE
from cosim.job import Job
from cosim.simulate import simulate_jobs
from golden.counts import count, count_entry
from golden.timing import DDR3, predict
from hw.events import CYCLE_KINDS, WORK, event_names
from hw.instructions import End, Instruction
from hw.isa import isa
from hw.params import TileParams
from tests.cosim.tiles import IDEAL, params_of, tile
from tests.golden.kept_sums import kept_ways
from tests.golden.programs import Case, random_case

pytestmark = pytest.mark.cosim


@dataclass(frozen=True)
class Alone:
    """A case's one segment as golden.timing wants it; an empty image and result area lie behind its data."""

    params: TileParams
    segments: tuple[tuple[Instruction, ...], ...]
    image_address: int
    program_address: int = 0
    image_beats: int = 1
    result_beats: int = 1

    @property
    def segment_addresses(self) -> tuple[int, ...]:
        return (isa(self.params).instruction_beats,)


def job_of(case: Case) -> tuple[Job, Alone]:
    """One image of no words, whose run is the case's program; without scores class 0 wins by the largest margin."""
    p = case.program.p
    raw, beat = case.program.image(), p.dram_beat_bytes
    alone = Alone(p, ((*case.program.code, End()),), len(raw) // beat)
    counts, entry = count(alone.segments[0], p), count_entry(p)
    work = np.array([[counts[event.name] + entry[event.name] for event in WORK]])
    nothing = np.zeros((1, beat), dtype=np.uint8)
    job = Job(
        params=p, program_address=0, image_address=alone.image_address, result_address=alone.image_address + 1,
        result_bytes=beat, direct=True, capacity=0, softmax=False, image=np.frombuffer(raw, dtype=np.uint8),
        inputs=nothing, thresholds=np.zeros(0, dtype=np.uint64), words=np.array(case.words, dtype=np.int64),
        offsets=np.array([0, len(case.words)]), stops=np.zeros(1, dtype=np.int64), winners=np.zeros(1, dtype=np.int64),
        margins=np.full(1, (1 << 64) - 1, dtype=np.uint64), results=nothing, work_left=work, work_final=work,
    )  # fmt: skip
    return job, alone


def run_random(name: str, memory: str, seeds: range, folder: Path) -> None:
    p = params_of(name)
    cases = [random_case(seed, p) for seed in seeds]
    jobs, programs = zip(*(job_of(case) for case in cases), strict=True)
    ideal = IDEAL if memory == "ideal" else None
    outcomes = simulate_jobs(tile(name, ideal), jobs, folder, seed=seeds.start)
    assert [outcome.mismatches for outcome in outcomes] == [0] * len(cases)
    names = event_names(p.activity)
    kinds = [names.index(kind.name if kind.name in names else "compute_cycles") for kind in CYCLE_KINDS]
    met = Counter[str]()
    for case, job, program, outcome in zip(cases, jobs, programs, outcomes, strict=True):
        assert outcome.words == len(job.words) > 0
        found = predict(program, 0, ideal or DDR3(start_cycle=START_CYCLE, result_address=job.result_address))
        assert outcome.events[0, kinds].tolist() == list(found.stalls.values())
        assert outcome.events[0, names.index("cycles")] == found.cycles
        for c in case.computes:
            met.update(kept_ways(c, p))
        for kind, cycles in found.stalls.items():
            met[kind] += cycles > 0
    assert min(met.values()) > 0, met
    assert len(met) == 5 + 2 * isa(p).limbs + isa(p).shifts + len(CYCLE_KINDS), met


@pytest.mark.parametrize(("name", "memory"), [("small", "ddr3"), ("odd", "ddr3")])
def test_random_programs(name: str, memory: str, tmp_path: Path) -> None:
    run_random(name, memory, range(120), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "memory"), [("small", "ideal"), ("paper32", "ddr3"), ("paper16", "ddr3")])
def test_more_random_programs(name: str, memory: str, tmp_path: Path) -> None:
    run_random(name, memory, range(200, 360), tmp_path)
