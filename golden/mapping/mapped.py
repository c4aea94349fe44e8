"""The result of mapping: program, DRAM image, addresses, and what is needed to read the results."""

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


@dataclass(frozen=True, eq=False)
class Mapped:
    """Nested increments on one tile.

    image: bytes from DRAM address 0: program, then weights and biases. Addresses are in beats: program_address (of the
    Entry instruction), scratch_address (spilled maps, scratch_beats long), image_address and result_address (where the
    free areas for images and results may start: image i at image_address + i * image_beats, and its result in an area
    of its own, result_beats each).
    segments: instructions of every increment, as encoded. emits: per increment, what every finishing compute gives.
    """

    params: TileParams
    networks: tuple[Network, ...]
    image: bytes
    program_address: int
    segment_addresses: tuple[int, ...]
    scratch_address: int
    scratch_beats: int
    image_address: int
    image_beats: int
    result_address: int
    result_beats: int
    segments: tuple[tuple[Instruction, ...], ...]
    emits: tuple[tuple[Emit, ...], ...]
    plans: tuple[tuple[LayerPlan, ...], ...]

    @property
    def classes(self) -> int:
        return self.networks[0].classes

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
