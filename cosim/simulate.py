"""Runs a job on the simulated tile, cut into parts that run side by side, and joins what came out."""

from pathlib import Path

import joblib
from tqdm import tqdm

from cosim.dram import Ideal
from cosim.job import Job, Outcome
from cosim.runner import Build, run
from cosim.testbench import build_tile
from hw.errors import CheckFailed
from hw.generate import generate
from hw.params import TileParams

BENCH = "cosim.bench_tile"
LEAST_PART = 25  # images: below that, starting a simulation costs more than it saves
TIMEOUT_S = 3600.0


def tile_build(
    params: TileParams, memory_beats: int, *, ideal: Ideal | None = None, trace_saif: bool = False, trace_depth: int = 0
) -> Build:
    """Generate the tile's Verilog (build/verilog) and build its simulation (build/cosim), or take what is there."""
    folder = Path("build/verilog") / f"{params.name}-{params.hash}"
    generate(params, folder)
    return build_tile(folder, memory_beats, ideal=ideal, trace_saif=trace_saif, trace_depth=trace_depth)


def _part(simulation: Build, job: Job, folder: Path, seed: int, saif: bool) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    job_file, outcome_file = folder / "job.npz", folder / "outcome.npz"
    outcome_file.unlink(missing_ok=True)
    job.save(job_file)
    env = {"TILEWATT_JOB": str(job_file.resolve()), "TILEWATT_OUTCOME": str(outcome_file.resolve())}
    if saif:
        env["TILEWATT_SAIF"] = str(folder.resolve())
    run(simulation, BENCH, "images", seed=seed, workdir=folder, env=env, timeout_s=TIMEOUT_S)
    return Outcome.load(outcome_file)


def simulate(
    simulation: Build, job: Job, folder: Path, *, seed: int, jobs: int = 1, progress: str = "", saif: bool = False
) -> Outcome:
    """Run every image of ``job``; raises CosimFailed at the first part that differs from golden or does not end.

    folder: where jobs, logs and outcomes of the parts go. jobs: simulations side by side. progress: text of a progress
    bar, shown when stderr is a terminal. saif: activity of the first image goes to folder/part-0/window.saif.
    """
    count = max(1, min(job.images // LEAST_PART, 4 * jobs)) if jobs > 1 else 1
    cuts = [job.images * k // count for k in range(count + 1)]
    parts = [job.part(first, end) for first, end in zip(cuts, cuts[1:], strict=False)]
    work = (
        joblib.delayed(_part)(simulation, part, folder / f"part-{k}", seed, saif and k == 0)
        for k, part in enumerate(parts)
    )
    outcomes: list[Outcome] = []
    with tqdm(total=job.images, desc=progress, unit="image", disable=None if progress else True) as bar:
        for outcome in joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(work):
            outcomes.append(outcome)
            bar.update(len(outcome.stopped))
    joined = Outcome.join(outcomes)
    if len(joined.stopped) != job.images:
        raise CheckFailed(f"{job.images} images were to be simulated, {len(joined.stopped)} came back")
    return joined
