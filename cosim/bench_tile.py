"""Bench of the whole tile: runs the images of jobs and compares every word, stop, score record and event count.

TILEWATT_JOB names the job file, TILEWATT_OUTCOME the result file; several of each are parted by colons and run one
after the other, with a reset and an empty DRAM between them. TILEWATT_SAIF names a folder for an activity window over
the first image of every job (builds with traces only); TILEWATT_SAIF_WORDS, if set, ends it after so many output words.
TILEWATT_VCD names what to record (JSON, see `_recordings`; builds with recordings only).
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge
from numpy.typing import NDArray

from cosim import memory
from cosim.dram import dram_config
from cosim.job import Job, Outcome
from cosim.scoreboard import Scoreboard
from hw.events import COUNTER_BITS, event_names
from hw.host import HostRegister, mode_word

PROGRESS_S = 5.0
START_EDGES = 2  # from the edge at which the bench starts an image to the one that begins the image's first cycle


def _unpack(snapshot: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Counters of a snapshot, lowest bits first."""
    size = COUNTER_BITS // 8
    wide = np.zeros((count, 8), dtype=np.uint8)
    wide[:, :size] = snapshot[: count * size].reshape(count, size)
    return wide.view("<i8").reshape(count)


class TileDriver:
    """Drives the tile's host side: registers, start, and the views of memory and capture."""

    def __init__(self, dut: Any, job: Job) -> None:
        self.dut = dut
        self.job = job
        built = memory.view("testbench.dram", "memory").size // job.params.dram_beat_bytes
        self.config = dram_config(job.params, built)
        self.dram = memory.DramView("testbench.dram", self.config)
        self.capture = memory.view("testbench", "capture", "<i4")
        self.capture_count = memory.view("testbench", "capture_count", "<u4")
        self.snapshot = memory.view("testbench", "snapshot") if job.params.counters else None
        self.events = event_names(job.params.activity)

    async def reset(self) -> None:
        dut = self.dut
        for name in ("start", "host__write", "host__address", "host__data", "program_address"):
            getattr(dut, name).value = 0
        if self.snapshot is not None:
            dut.snapshot_index.value = 0
        dut.image_address.value = 0
        dut.result_address.value = 0
        dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)

    async def register(self, address: int, value: int) -> None:
        self.dut.host__address.value = address
        self.dut.host__data.value = value
        self.dut.host__write.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.host__write.value = 0
        await RisingEdge(self.dut.clk)

    def fill(self) -> None:
        """Load DRAM."""
        job = self.job
        beat = job.params.dram_beat_bytes
        memory.view("testbench.dram", "memory")[:] = 0  # a record's padding is compared too
        self.dram.forget()
        self.dram.set_size(job.memory_beats * beat)
        self.dram.write_bytes(0, job.image)
        self.dram.write_bytes(job.image_address * beat, job.inputs)

    async def configure(self) -> None:
        """Set the host registers of the job."""
        job = self.job
        self.dut.program_address.value = job.program_address
        await self.register(HostRegister.MODE, mode_word(direct=job.direct, softmax=job.softmax))
        await self.register(HostRegister.CAPACITY, job.capacity)
        for index, threshold in enumerate(job.thresholds):
            await self.register(HostRegister.THRESHOLD + index, int(threshold))

    async def run(self, index: int, windows: Sequence[tuple[str, int, int]] = ()) -> None:
        """Run image ``index`` to its end. windows: file, first cycle of the image (from 1 on) and cycles to record."""
        job, dut = self.job, self.dut
        dut.image_address.value = job.image_address + index * job.beats_per_input
        dut.result_address.value = job.result_address + index * (job.result_bytes // job.params.dram_beat_bytes)
        dut.start.value = 1
        self.capture_count[0] = 0
        for file, first, cycles in windows:
            memory.vcd_window(file, memory.cycles() + START_EDGES + first - 1, cycles)
        await RisingEdge(dut.busy)
        dut.start.value = 0
        await FallingEdge(dut.busy)
        self.check_faults()
        assert not memory.vcd_left(), f"image {index} ended before {memory.vcd_left()} of its recordings"

    def check_faults(self) -> None:
        dut = self.dut
        if dut.dram_fault.value:
            kind, address = int(dut.dram_fault_kind.value), int(dut.dram_fault_address.value)
            raise memory.DramFault(memory.fault_line(kind, address, self.config))
        assert not dut.fault.value, "the tile fetched an unknown instruction"
        assert not dut.capture_fault.value, "the tile wrote more words than the capture holds"

    async def counters(self, increment: int) -> NDArray[np.int64]:
        """Counters at the edge of ``increment``."""
        assert self.snapshot is not None
        self.dut.snapshot_index.value = increment
        await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        return _unpack(self.snapshot, len(self.events))

    def captured(self) -> NDArray[np.int64]:
        """Words written since the image was started."""
        raw = self.capture[: int(self.capture_count[0])].astype(np.int64)
        width = self.job.params.fmt.width
        return ((raw & ((1 << width) - 1)) ^ (1 << (width - 1))) - (1 << (width - 1))


async def _window(dut: Any, driver: TileDriver, folder: Path) -> None:
    """An activity window from now to the end of the image, or to the given number of words."""
    memory.saif_open(folder / "window.saif")
    words = int(os.environ.get("TILEWATT_SAIF_WORDS") or 0)
    assert words <= driver.job.offsets[1], f"a window of {words} words, but the image has {driver.job.offsets[1]}"
    if words:
        while driver.capture_count[0] < words:
            await RisingEdge(dut.clk)
    else:
        await FallingEdge(dut.busy)
    memory.saif_close()


@cocotb.test()
async def images(dut: Any) -> None:
    """Every image of every job: words, stop, winner, margin, result record and every event count equal golden."""
    recordings = _recordings()
    files = [[Path(part) for part in os.environ[f"TILEWATT_{what}"].split(":")] for what in ("JOB", "OUTCOME")]
    for number, (job, outcome) in enumerate(zip(*files, strict=True)):
        print(f"job {job}", flush=True)
        await _run_job(dut, Job.load(job), outcome, recordings.get(number, {}))


Recordings = Mapping[int, Sequence[tuple[str, int, int]]]  # image -> what TileDriver.run wants


def _recordings() -> dict[int, Recordings]:
    """What to record, by job: the file holds ``scopes``, [scope, levels] each, and ``windows``, [job, image, file,
    first cycle, cycles] each."""
    name = os.environ.get("TILEWATT_VCD")
    if not name:
        return {}
    wanted = json.loads(Path(name).read_text())
    for scope, levels in wanted["scopes"]:
        memory.vcd_scope(scope, levels)
    found: dict[int, dict[int, list[tuple[str, int, int]]]] = {}
    for job, image, file, first, cycles in wanted["windows"]:
        found.setdefault(job, {}).setdefault(image, []).append((file, first, cycles))
    return dict(found)


async def _run_job(dut: Any, job: Job, outcome_file: Path, recordings: Recordings) -> None:
    driver = TileDriver(dut, job)
    if not job.follows:
        await driver.reset()
        driver.fill()
    await driver.configure()
    board = Scoreboard(job, driver.events)
    first_increment = job.capacity if job.direct else 0
    events, activates, refreshes, forced, stopped, winners = [], [], [], [], [], []
    saif = os.environ.get("TILEWATT_SAIF")
    cycles, started, shown = memory.cycles(), time.perf_counter(), time.monotonic()
    for index in range(job.images):
        before = driver.dram.counters()
        window = cocotb.start_soon(_window(dut, driver, Path(saif))) if saif and index == 0 else None
        await driver.run(index, recordings.get(index, ()))
        if window is not None:
            await window
        stop = int(dut.stopped.value)
        snapshots = None
        if job.params.counters:
            snapshots = {k: await driver.counters(k) for k in range(first_increment, stop + 1)}
        board.image(
            index,
            words=driver.captured(),
            stop=stop,
            winner=int(dut.winner.value),
            margin=int(dut.margin.value),
            record=driver.dram.read_bytes(
                (job.result_address * job.params.dram_beat_bytes) + index * job.result_bytes, job.result_bytes
            ),
            snapshots=snapshots,
        )
        events.append(snapshots[stop] if snapshots is not None else np.zeros(0, dtype=np.int64))
        after = driver.dram.counters()
        activates.append(after["row_misses"] - before["row_misses"])
        refreshes.append(after["refreshes"] - before["refreshes"])
        forced.append(after["forced_refreshes"] - before["forced_refreshes"])
        stopped.append(stop)
        winners.append(int(dut.winner.value))
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            print(f"progress {index + 1}/{job.images}", flush=True)
    outcome = Outcome(
        events=np.array(events, dtype=np.int64),
        activates=np.array(activates, dtype=np.int64),
        refreshes=np.array(refreshes, dtype=np.int64),
        forced_refreshes=np.array(forced, dtype=np.int64),
        stopped=np.array(stopped, dtype=np.int64),
        winners=np.array(winners, dtype=np.int64),
        words=board.words,
        mismatches=board.mismatches,
        first=board.first,
        cycles=memory.cycles() - cycles,
        seconds=time.perf_counter() - started,
    )
    outcome.save(outcome_file)
    board.finish()
