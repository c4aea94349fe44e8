"""Weights and biases as they follow the program in DRAM."""

from dataclasses import dataclass

import numpy as np

from golden.mapping.dram_image import pack_lines
from golden.mapping.layout import line_beats
from golden.mapping.pieces import Block
from hw.params import TileParams


class Tables:
    """Their bytes so far; ``add`` gives the beat at which tables of lines [..., lines, synapses] start, end to end."""

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.raw = bytearray()

    @property
    def beats(self) -> int:
        return len(self.raw) // self.p.dram_beat_bytes

    def add(self, *tables: np.ndarray) -> int:
        at = self.beats
        for lines in tables:
            self.raw += pack_lines(lines, self.p)
        return at

    def mark(self) -> int:
        return len(self.raw)

    def back_to(self, mark: int) -> None:
        del self.raw[mark:]

    def since(self, mark: int) -> bytes:
        return bytes(self.raw[mark:])


@dataclass(frozen=True)
class WeightTable:
    """Where a layer's weights lie: block after block of ``params.neurons`` neurons, in each line after line, of each
    line those of the block's neurons. beat: of the first; lines: of a block; neurons: of the layer."""

    beat: int
    lines: int
    neurons: int

    def place(self, block: Block, line: int, p: TileParams) -> tuple[int, int]:
        """Beat of a block's neurons at ``line``, and beats from there to the next line."""
        step = line_beats(min(p.neurons, self.neurons - block.number * p.neurons), p)
        before = block.number * self.lines * line_beats(p.neurons, p)
        return self.beat + before + line * step + block.offset // p.lines_per_beat, step


@dataclass(frozen=True)
class Shared:
    """Of the hidden layers: beat of the biases, and the weights; of the classifier, if all increments have the same but
    for its biases; beat of lines of ones; beats of all."""

    biases: int
    weights: tuple[WeightTable, ...]
    classifier: WeightTable | None
    beats: int
    ones: int = 0
