"""Runs jobs on the simulated tile: one cut into parts that run side by side, or many small ones in one process."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
from tqdm import tqdm

from cosim.dram import DDR3_1600K, Ideal, Timing
from cosim.job import Job, Outcome
from cosim.runner import Build, run
from cosim.testbench import build_tile
from hw.errors import BadInput, CheckFailed
from hw.generate import generate
from hw.params import TileParams

BENCH = "cosim.bench_tile"
LEAST_PART = 25  # images: below that, starting a simulation costs more than it saves
TIMEOUT_S = 3600.0


@functools.lru_cache
def tile_build(
    params: TileParams,
    memory_beats: int,
    *,
    timing: Timing = DDR3_1600K,
    owed: int = 0,
    ideal: Ideal | None = None,
    trace_saif: bool = False,
    trace_vcd: bool = False,
    trace_depth: int = 0,
) -> Build:
    """Generate the tile's Verilog (build/verilog) and build its simulation (build/cosim), or take what is there."""
    folder = Path("build/verilog") / f"{params.name}-{params.hash}"
    generate(params, folder)
    return build_tile(
        folder,
        memory_beats,
        timing=timing,
        owed=owed,
        ideal=ideal,
        trace_saif=trace_saif,
        trace_vcd=trace_vcd,
        trace_depth=trace_depth,
    )


def _run(
    simulation: Build, jobs: Sequence[tuple[Job, Path]], seed: int, saif: str = "", vcd: Path | None = None
) -> list[Outcome]:
    """Run jobs, each with a folder of its own, in one process; saif: words of the activity window, "" for none; vcd:
    the file that says what to record."""
    files = []
    for job, folder in jobs:
        folder.mkdir(parents=True, exist_ok=True)
        job_file, outcome_file = (folder.resolve() / name for name in ("job.npz", "outcome.npz"))
        outcome_file.unlink(missing_ok=True)
        job.save(job_file)
        files.append((job_file, outcome_file))
    first = jobs[0][1]
    env = {
        "TILEWATT_JOB": ":".join(str(job_file) for job_file, _ in files),
        "TILEWATT_OUTCOME": ":".join(str(outcome_file) for _, outcome_file in files),
    }
    if saif:
        env |= {"TILEWATT_SAIF": str(first.resolve()), "TILEWATT_SAIF_WORDS": saif}
    if vcd is not None:
        env["TILEWATT_VCD"] = str(vcd.resolve())
    limit = sum(job.cycle_limit for job, _ in jobs)
    run(simulation, BENCH, "images", seed=seed, workdir=first, env=env, timeout_s=TIMEOUT_S, cycle_limit=limit)
    return [Outcome.load(outcome_file) for _, outcome_file in files]


def simulate_jobs(
    simulation: Build, jobs: Sequence[Job], folder: Path, *, seed: int, vcd: Path | None = None
) -> list[Outcome]:
    """Run many jobs one after the other in one process (starting one costs more than a small job): folder/job-<k>.

    vcd: the file that says what to record of them (cosim.bench_tile).
    """
    if not jobs:
        raise BadInput("at least one job is wanted, not none")
    return _run(simulation, [(job, folder / f"job-{k}") for k, job in enumerate(jobs)], seed, vcd=vcd)


def simulate(
    simulation: Build,
    job: Job,
    folder: Path,
    *,
    seed: int,
    jobs: int = 1,
    progress: str = "",
    saif: bool = False,
    saif_words: int = 0,
) -> Outcome:
    """Run every image of ``job``; raises CosimFailed at the first part that differs from golden or does not end.

    folder: where jobs, logs and outcomes of the parts go. jobs: simulations side by side. progress: text of a progress
    bar, shown when stderr is a terminal. saif: activity of the first image goes to folder/part-0/window.saif, up to
    its output word ``saif_words`` (0: to its end).
    """
    count = max(1, min(job.images // LEAST_PART, 4 * jobs)) if jobs > 1 else 1
    cuts = [job.images * k // count for k in range(count + 1)]
    parts = [job.part(first, end) for first, end in zip(cuts, cuts[1:], strict=False)]
    work = (
        joblib.delayed(_run)(
            simulation, [(part, folder / f"part-{k}")], seed, (str(saif_words) if saif and not k else "")
        )
        for k, part in enumerate(parts)
    )
    outcomes: list[Outcome] = []
    with tqdm(total=job.images, desc=progress, unit="image", disable=None if progress else True) as bar:
        for (outcome,) in joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(work):
            outcomes.append(outcome)
            bar.update(len(outcome.stopped))
    joined = Outcome.join(outcomes)
    if len(joined.stopped) != job.images:
        raise CheckFailed(f"{job.images} images were to be simulated, {len(joined.stopped)} came back")
    if progress:
        rate = f"{joined.cycles / joined.seconds:,.0f} cycles/s a process"
        print(
            f"{progress}: {job.images} images, {joined.words:,} words equal to golden, {rate}, seed {seed}",
            file=sys.stderr,
        )
    return joined
