"""Weights and biases as they follow the program in DRAM."""

from dataclasses import dataclass

import numpy as np

from golden.mapping.dram_image import pack_lines
from hw.params import TileParams


class Tables:
    """Their bytes so far; ``add`` gives the beat at which a table of lines starts."""

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.raw = bytearray()

    def add(self, lines: np.ndarray) -> int:
        at = len(self.raw) // self.p.dram_beat_bytes
        if lines.size:  # a network of one layer has no hidden biases
            self.raw += pack_lines(lines, self.p)
        return at

    def mark(self) -> int:
        return len(self.raw)

    def back_to(self, mark: int) -> None:
        del self.raw[mark:]

    def since(self, mark: int) -> bytes:
        return bytes(self.raw[mark:])


@dataclass(frozen=True)
class Shared:
    """Beats of the hidden layers' biases and weights, and the lines of a block of each; of lines of ones."""

    biases: int
    weights: tuple[int, ...]
    lines: tuple[int, ...]
    ones: int = 0
