"""The result of mapping: program, DRAM image, addresses, and what is needed to read the results."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from golden.counts import count_run
from golden.mapping.dram_image import pack_rows, unpack_words
from golden.mapping.layer_plan import LayerPlan
from golden.mapping.ops import Emit
from golden.network import Network
from hw.errors import BadInput
from hw.instructions import Instruction
from hw.params import TileParams


@dataclass(frozen=True)
class Segment:
    """An increment's part of the program.

    address: its first beat. code: instructions as encoded. emits: what every finishing compute gives. plans: of layers.
    """

    address: int
    code: tuple[Instruction, ...]
    emits: tuple[Emit, ...]
    plans: tuple[LayerPlan, ...]


@dataclass(frozen=True, eq=False)
class Mapped:
    """Nested increments on one tile.

    image: bytes from DRAM address 0: program, then weights and biases. Addresses are in beats: program_address (of the
    Entry instruction), scratch_address (maps in DRAM, scratch_beats long), image_address and result_address (where the
    free areas for images and results may start: image i at image_address + i * image_beats, and its result in an area
    of its own, result_beats each).
    fresh: every increment's segment, which starts anew. resumed: the one that an escalated run takes instead, because
    it goes on from what the segment before has kept or keeps something itself; None where that is the fresh one.
    """

    params: TileParams
    networks: tuple[Network, ...]
    image: bytes
    program_address: int
    scratch_address: int
    scratch_beats: int
    image_address: int
    image_beats: int
    result_address: int
    result_beats: int
    fresh: tuple[Segment, ...]
    resumed: tuple[Segment | None, ...]

    @property
    def classes(self) -> int:
        return self.networks[0].classes

    @property
    def segment_addresses(self) -> tuple[int, ...]:
        """Of the fresh segments."""
        return tuple(segment.address for segment in self.fresh)

    @property
    def segments(self) -> tuple[tuple[Instruction, ...], ...]:
        """Instructions of the fresh segments."""
        return tuple(segment.code for segment in self.fresh)

    @property
    def emits(self) -> tuple[tuple[Emit, ...], ...]:
        return tuple(segment.emits for segment in self.fresh)

    @property
    def plans(self) -> tuple[tuple[LayerPlan, ...], ...]:
        return tuple(segment.plans for segment in self.fresh)

    def visited(self, increments: Sequence[int]) -> list[Segment]:
        """The segments of a run that starts at the first of ``increments`` and escalates to one after the other."""
        found = [self.fresh[increments[0]]]
        goes_on = self.resumed[increments[0]] is None  # else this fresh segment is for direct runs only
        for number in increments[1:]:
            resumed = self.resumed[number] if goes_on else None
            found.append(self.fresh[number] if resumed is None else resumed)
        return found

    def pack_image(self, image: Tensor | NDArray[np.int64]) -> bytes:
        """DRAM bytes (image_beats beats) of one image, int64 codes [channels, height, width]."""
        codes = np.asarray(image)
        if codes.shape != self.networks[0].input_shape or codes.dtype != np.int64:
            raise BadInput(
                f"an image wants int64 codes of shape {self.networks[0].input_shape}, not {codes.dtype} {codes.shape}"
            )
        return pack_rows(codes, self.params)

    def unpack_result(self, raw: bytes) -> NDArray[np.int64]:
        """The score words of one result area."""
        return unpack_words(raw, self.classes, self.params)

    def macs(self, increment: int) -> int:
        """Multiplications of an increment with a weight, padding included."""
        return sum(layer.macs for layer in self.networks[increment].layers)

    def dram_bytes(self, increment: int) -> int:
        """DRAM bytes that a run of this increment alone moves, in whole beats, instructions included."""
        counted = count_run(self, [increment])
        return (counted["dram_read"] + counted["dram_write"]) * self.params.dram_beat_bytes
