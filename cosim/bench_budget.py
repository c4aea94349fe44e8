"""Bench of the budget run: images under budgets that change between them, every choice of the controller by equality.

TILEWATT_JOB names the folder of a cosim.budget.BudgetJob, TILEWATT_OUTCOME the result file. Golden's controller runs
beside the tile and is fed golden's counts and the cycles that the tile's own counters saw.
"""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from cosim.bench_tile import TileDriver
from cosim.budget_job import BudgetJob, BudgetOutcome
from cosim.scoreboard import Scoreboard
from golden.budget import Budget, Controller, Used, metered
from hw.events import METERED, WORK
from hw.host import HostRegister, weight_word
from hw.meter import EnergyMeter

WRITE_EDGES = 3  # from a register's write at the bench to what it does at the tile


class BudgetDriver(TileDriver):
    """The tile's host with budget registers; configured for the largest capacity of the job."""

    def __init__(self, dut: Any, job: BudgetJob) -> None:
        super().__init__(dut, job.jobs[-1])
        self.budgets = job

    async def configure(self) -> None:
        await super().configure()
        await self.register(HostRegister.REMEMBER, int(self.budgets.remember))
        for name, weight in zip(METERED, self.budgets.weights, strict=True):
            await self.register(HostRegister.WEIGHT, weight_word(name, weight))

    async def budget(self, budget: Budget) -> None:
        """Write both budgets and wait until the tile has chosen."""
        energy, cycles = budget.registers
        await self.register(HostRegister.ENERGY_BUDGET, energy)
        await self.register(HostRegister.DELAY_BUDGET, cycles)
        for _ in range(WRITE_EDGES):
            await RisingEdge(self.dut.clk)
        await self.settle()

    async def settle(self) -> None:
        limit = EnergyMeter.latency + self.job.params.increments + 1  # one for the edge at which the bench looks
        for _ in range(limit):
            if self.dut.settled.value:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"the controller did not settle within {limit} cycles")


@cocotb.test()
async def budgets(dut: Any) -> None:
    """Capacity, metered energy, cycles and report of every image equal golden; so do words and counts."""
    job = BudgetJob.load(Path(os.environ["TILEWATT_JOB"]))
    driver = BudgetDriver(dut, job)
    await driver.reset()
    driver.fill()
    await driver.configure()
    golden = Controller(driver.job.params.increments, remember=job.remember)
    highest, cycles_at = len(job.jobs) - 1, driver.events.index("cycles")
    rows: list[dict[str, Any]] = []
    words = 0
    for index, budget in enumerate(job.budgets):
        if not index or budget != job.budgets[index - 1]:
            await driver.budget(budget)
        golden.set(budget)
        capacity = min(highest, golden.allowed)
        expected = job.jobs[capacity].part(index, index + 1)
        before = driver.dram.counters()
        _same(index, "capacity", capacity, int(dut.capacity.value))
        await driver.run(index)
        await driver.settle()
        stop = int(dut.stopped.value)
        snapshots = {k: await driver.counters(k) for k in range(capacity if expected.direct else 0, stop + 1)}
        board = Scoreboard(expected, driver.events)
        at = driver.job.result_address * driver.job.params.dram_beat_bytes + index * driver.job.result_bytes
        board.image(
            0,
            words=driver.captured(),
            stop=stop,
            winner=int(dut.winner.value),
            margin=int(dut.margin.value),
            record=driver.dram.read_bytes(at, driver.job.result_bytes),
            snapshots=snapshots,
        )
        assert not board.mismatches, f"image {index}: {board.mismatches} differences, first: {board.first}"
        board.finish()
        counts = dict(zip((event.name for event in WORK), expected.work_final[stop].tolist(), strict=True))
        counts["cycles"] = int(snapshots[stop][cycles_at])
        used = Used(stop, metered(counts, job.weights), counts["cycles"])
        golden.finish(used)
        _same(index, "energy", used.energy, int(dut.image_energy.value))
        _same(index, "cycles", used.cycles, int(dut.image_cycles.value))
        _same(index, "report of an impossible budget", int(golden.impossible), int(dut.impossible.value))
        words += board.words
        opened = driver.dram.counters()["row_misses"] - before["row_misses"]
        rows.append(
            {"capacity": capacity, "stopped": stop, "energy": used.energy, "cycles": used.cycles}
            | {"impossible": int(golden.impossible), "winners": int(dut.winner.value), "activates": opened}
            | {"events": snapshots[stop]}
        )
    arrays = {name: np.array([row[name] for row in rows], dtype=np.int64) for name in rows[0]}
    registers = np.array([budget.registers for budget in job.budgets], dtype=np.uint64)
    BudgetOutcome(**arrays, budgets=registers, words=words).save(Path(os.environ["TILEWATT_OUTCOME"]))


def _same(index: int, what: str, golden: int, rtl: int) -> None:
    assert golden == rtl, f"image {index}: {what} golden {golden}, RTL {rtl}"
