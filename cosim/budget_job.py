"""What one simulated budget run gets and gives: a folder of job files, read by the bench, and its result file."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.job import Job
from golden.budget import Budget, Step, Used
from hw.errors import atomic_path

SCHEDULE = "schedule.npz"


@dataclass(frozen=True, eq=False)
class BudgetJob:
    """Images under budgets. jobs: what golden expects of all images, one job for every capacity that the controller may
    choose, from 0 on. budgets: one per image. weights: of the meter, one per event of hw.events.METERED. remember: the
    controller's register (hw.budget)."""

    jobs: tuple[Job, ...]
    budgets: tuple[Budget, ...]
    weights: tuple[int, ...]
    remember: bool

    def save(self, folder: Path) -> None:
        """``folder``/schedule.npz and a job a capacity beside it."""
        for capacity, job in enumerate(self.jobs):
            job.save(folder / f"job-{capacity}.npz")
        with atomic_path(folder / SCHEDULE) as temporary, temporary.open("wb") as handle:
            np.savez(
                handle,
                budgets=np.array([budget.registers for budget in self.budgets], dtype=np.uint64),
                weights=np.array(self.weights, dtype=np.uint64),
                remember=np.array(self.remember),
                jobs=np.array(len(self.jobs)),
            )

    @classmethod
    def load(cls, folder: Path) -> "BudgetJob":
        with np.load(folder / SCHEDULE, allow_pickle=False) as archive:
            none = Budget().registers
            budgets = [
                Budget(*(None if value == limit else int(value) for value, limit in zip(row, none, strict=True)))
                for row in archive["budgets"].tolist()
            ]
            jobs = tuple(Job.load(folder / f"job-{capacity}.npz") for capacity in range(int(archive["jobs"])))
            return cls(jobs, tuple(budgets), tuple(archive["weights"].tolist()), bool(archive["remember"]))


@dataclass(frozen=True, eq=False)
class BudgetOutcome:
    """What the RTL did, image by image, all int64 [N]: capacity it was started with, increment at which it stopped,
    energy in the meter's units, cycles, impossible (0 or 1, after the image), winners, rows that DRAM opened; events
    [N, events] as cosim.job.Outcome has them; budgets: uint64 [N, 2], the registers. words: words compared."""

    capacity: NDArray[np.int64]
    stopped: NDArray[np.int64]
    energy: NDArray[np.int64]
    cycles: NDArray[np.int64]
    impossible: NDArray[np.int64]
    winners: NDArray[np.int64]
    activates: NDArray[np.int64]
    events: NDArray[np.int64]
    budgets: NDArray[np.uint64]
    words: int

    def save(self, path: Path) -> None:
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, **values)

    @classmethod
    def load(cls, path: Path) -> "BudgetOutcome":
        with np.load(path, allow_pickle=False) as archive:
            values = {f.name: archive[f.name] for f in fields(cls)}
        return cls(**{**values, "words": int(values["words"])})

    def steps(self, budgets: Sequence[Budget]) -> list[Step]:
        """The run as golden.budget has it; ``budgets``: of the job."""
        used = map(Used, self.stopped.tolist(), self.energy.tolist(), self.cycles.tolist())
        rows = zip(budgets, self.capacity.tolist(), used, self.impossible.tolist(), strict=True)
        return [Step(budget, capacity, taken, bool(flag)) for budget, capacity, taken, flag in rows]
