"""Cycles of one increment run alone, from its program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from golden.timing.dma import Transfer
from golden.timing.front import Front, Item
from golden.timing.machine import Depths, Machine
from golden.timing.memory import DDR3, DramPort, Memory
from golden.timing.walk import Lines, Walk
from hw.errors import BadInput
from hw.events import CYCLE_KINDS
from hw.instructions import ENTRY_AHEAD, Base, Compute, Instruction, Load, Store, Window
from hw.isa import isa
from hw.params import TileParams

DEPTHS = Depths()


class Program(Protocol):
    """What is wanted of a golden.mapping.Mapped."""

    @property
    def params(self) -> TileParams: ...
    @property
    def program_address(self) -> int: ...
    @property
    def segment_addresses(self) -> tuple[int, ...]: ...
    @property
    def image_address(self) -> int: ...
    @property
    def image_beats(self) -> int: ...
    @property
    def result_beats(self) -> int: ...
    @property
    def segments(self) -> tuple[tuple[Instruction, ...], ...]: ...


@dataclass(frozen=True)
class Predicted:
    """Cycles from the start to the end of an image, as the tile's counter has them, and their kinds by the names of
    hw.events.CYCLE_KINDS, which add up to them. starts: the cycle, from 1 on, in which each compute is started."""

    cycles: int
    stalls: dict[str, int]
    starts: tuple[int, ...]


def _items(segment: Sequence[Instruction], bases: dict[Base, int], p: TileParams) -> list[Item]:
    items: list[Item] = []
    window: Window | None = None
    lines: dict[Window, Lines] = {}
    for instruction in segment:
        if isinstance(instruction, Load | Store):
            items.append(Transfer(instruction, bases, p))
        elif isinstance(instruction, Compute):
            if window is None:
                raise BadInput("a compute wants a window before it; emit one")
            items.append(Walk(instruction, lines[window], window.taps, p))
        else:
            items.append(instruction.opcode)
            if isinstance(instruction, Window):
                window = instruction
                if window not in lines:
                    lines[window] = Lines(window, p)
    return items


def predict(mapped: Program, increment: int, memory: Memory, depths: Depths = DEPTHS) -> Predicted:
    """Cycles of ``increment`` run alone (direct mode, raw margins) on one image."""
    return predict_images(mapped, increment, memory, 1, depths=depths)[0]


def predict_images(
    mapped: Program, increment: int, memory: Memory, images: int, *, pause: int = 0, depths: Depths = DEPTHS
) -> list[Predicted]:  # fmt: skip
    """The same for ``images`` images one after the other, each of which finds DRAM as the one before left it.

    pause: cycles from an image's last one to the next one's first.
    """
    p = mapped.params
    if not 0 <= increment < len(mapped.segments):
        raise BadInput(f"increment wants 0 to {len(mapped.segments) - 1}, not {increment}")
    result = mapped.image_address + mapped.image_beats
    if isinstance(memory, DDR3) and memory.result_address is not None:
        result = memory.result_address
    port, found = DramPort(p, memory), []
    for image in range(images):
        bases = {
            Base.ABSOLUTE: 0,
            Base.IMAGE: mapped.image_address + image * mapped.image_beats,
            Base.RESULT: result + image * mapped.result_beats,
        }
        front = Front(
            mapped.program_address,
            mapped.segment_addresses[increment],
            _items(mapped.segments[increment], bases, p),
            isa(p).instruction_beats,
            depths.fetch,
            depths.fetch_together,
            ENTRY_AHEAD if increment == 0 else 0,
        )
        machine = Machine(p, front, port, depths)
        kinds = machine.run()
        stalls = {kind.name: count for kind, count in zip(CYCLE_KINDS, kinds, strict=True)}
        found.append(Predicted(sum(kinds), stalls, tuple(machine.starts)))
        port.rebase(found[-1].cycles + pause)
    return found
