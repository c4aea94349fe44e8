"""The model of the tile's cycles without RTL: by hand, against the closed form of counts, and its own short cuts."""

import contextlib
import functools
from dataclasses import dataclass, replace

import pytest

from golden.counts import count
from golden.mapping import Mapped, map_network
from golden.timing import DDR3, Ideal, Memory, predict
from golden.timing.machine import Machine
from hw.errors import BadInput
from hw.events import CYCLE_KINDS
from hw.instructions import Buffer, Compute, End, Instruction, Load
from hw.isa import isa
from hw.params import TileParams, preset
from tests.golden.maps import Map
from tests.golden.random_networks import random_case

SMALL = preset("small")
WINDOW = Map(1, 1, 1, 1).window(SMALL, 1, 0, 1, 1)
MEMORIES: tuple[Memory, ...] = (Ideal(), Ideal(latency_ps=100_000, burst_ps=0), DDR3(), DDR3(start_cycle=1234))


@dataclass(frozen=True)
class Program:
    """One segment behind its Entry."""

    params: TileParams
    segment: tuple[Instruction, ...]
    program_address: int = 0
    image_address: int = 1 << 12
    image_beats: int = 16
    result_beats: int = 1

    @property
    def segments(self) -> tuple[tuple[Instruction, ...], ...]:
        return (self.segment,)

    @property
    def segment_addresses(self) -> tuple[int, ...]:
        return (isa(self.params).instruction_beats,)


@functools.lru_cache
def cases(name: str) -> list[Mapped]:
    """The first five random networks that suit the tile."""
    p, seed = preset(name), 0
    found: list[Mapped] = []
    while len(found) < 5:
        with contextlib.suppress(BadInput):
            found.append(map_network(random_case(seed, p)[0], p))
        seed += 1
    return found


def fetched(beats: int) -> int:
    """Cycles from the one in which a fetch may ask to the one before its instruction is there, by hand.

    The first beat is asked for in cycle 1 and sent in cycle 2 (8 ns), its burst ends 20 ns later, the others 5 ns
    apart; the answer is sampled at the next edge and is in the queue a cycle later.
    """
    return -(-(8 + 20 + 5 * (beats - 1)) // 4)


def test_an_empty_program_by_hand() -> None:
    beats = isa(SMALL).instruction_beats
    found = predict(Program(SMALL, (WINDOW, WINDOW, End())), 0, Ideal())
    assert found.cycles == fetched(4 * beats) + 1  # all come together with the Entry
    assert found.stalls == {kind.name: 0 for kind in CYCLE_KINDS} | {"setup": 2, "idle": found.cycles - 2}


@pytest.mark.parametrize("beats", [1, 3, 20])
def test_a_load_by_hand(beats: int) -> None:
    """End waits until the last beat is in its buffer; every beat is asked for before the End's, which is behind it."""
    load = Load(buffer=Buffer.NBIN, length=beats, last_words=1)
    found = predict(Program(SMALL, (load, WINDOW, End())), 0, Ideal(burst_ps=4000))
    instruction = isa(SMALL).instruction_beats
    at = 7 + 2 * instruction  # the cycle in which the load is taken: 4 ns a beat, an answer 7 cycles after its request
    # the queue's head in the next cycle, the requester's a cycle later, asked for in that; meanwhile fetch asks first
    ends_of_fetch = 4 * instruction  # asked for in a row, with the Entry
    first = max(at + 2, ends_of_fetch + 1)
    # eight answers at most are asked for and not in the buffer: another request the cycle after one is taken
    window, way = SMALL.dram_outstanding, 7  # from a request to its answer in the queue, taken in that cycle
    last = first + (beats - 1) % window + (beats - 1) // window * (way + 1)
    assert found.cycles == last + way + 1


@pytest.mark.parametrize("name", ["small", "odd"])
def test_kinds_add_up_and_work_is_that_of_counts(name: str) -> None:
    for mapped in cases(name):
        for increment, segment in enumerate(mapped.segments):
            work = count(segment, mapped.params)
            for memory in MEMORIES:
                found = predict(mapped, increment, memory)
                assert found.cycles == sum(found.stalls.values())
                assert found.stalls["compute_busy"] == work["compute_cycles"] > 0
            beats = work["dram_read"] + work["dram_write"]
            assert predict(mapped, increment, Ideal()).cycles * 4 > beats * 5  # ns


def test_the_short_cut_over_quiet_cycles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = [(mapped, memory) for name in ("small", "odd") for mapped in cases(name) for memory in MEMORIES]
    skipping = [predict(mapped, 2, memory) for mapped, memory in programs]
    skip, skipped = Machine._skip, []

    def none(machine: Machine, cycle: int, kind: int) -> int:
        before = machine.engine.at, bytes(machine.engine._used), machine._reading_weights
        skipped.append(skip(machine, cycle, kind))
        machine.engine.at, used, machine._reading_weights = before
        machine.engine._used[:] = used
        return 0

    monkeypatch.setattr(Machine, "_skip", none)
    assert [predict(mapped, 2, memory) for mapped, memory in programs] == skipping
    assert max(skipped) > 4


def test_a_program_that_waits_for_itself_is_told() -> None:
    stuck = Program(SMALL, (Load(wait_dma=1, buffer=Buffer.NBIN), End()))
    with pytest.raises(RuntimeError, match="the program waits for itself in cycle "):
        predict(stuck, 0, Ideal())


def test_bad_input() -> None:
    program = Program(SMALL, (End(),))
    for increment in (-1, 1):
        with pytest.raises(BadInput, match=f"increment wants 0 to 0, not {increment}"):
            predict(program, increment, Ideal())
    with pytest.raises(BadInput, match="a run wants to start 0 cycles or more after reset, not -1"):
        DDR3(start_cycle=-1)
    with pytest.raises(BadInput, match="a compute wants a window before it; emit one"):
        predict(replace(program, segment=(Compute(), End())), 0, Ideal())
