"""Where maps lie: word addresses in a neuron buffer, rows of beats in DRAM."""

from dataclasses import dataclass

from golden.network import Layer, Shape
from hw.instructions import Base, Buffer
from hw.params import TileParams


def congruent(at_least: int, residue: int, modulus: int) -> int:
    """Smallest number from ``at_least`` on that equals ``residue`` modulo ``modulus``."""
    return at_least + (residue - at_least) % modulus


@dataclass(frozen=True)
class MapLayout:
    """A map, or some rows and channels of it, in a buffer: word (c, y, x) is base + c*plane + y*pitch + x."""

    buffer: Buffer
    base: int
    pitch: int
    plane: int

    def word(self, c: int, y: int, x: int) -> int:
        return self.base + c * self.plane + y * self.pitch + x


def pitches(layer: Layer, rows: int, p: TileParams) -> tuple[int, int]:
    """Smallest (pitch, plane) with which ``rows`` rows of the layer's input map can be gathered without bank conflict.

    A convolution wants pitch = kernel_w and plane = kernel_w * kernel_h modulo ``synapses``; a fully connected layer
    reads its input as one vector, so its map lies without gaps.
    """
    _, height, width = layer.in_shape
    if layer.fc:
        return width, width * height
    kernel_h, kernel_w = layer.kernel
    pitch = congruent(width, kernel_w, p.synapses)
    return pitch, congruent((rows - 1) * pitch + width, kernel_w * kernel_h, p.synapses)


def extent(channels: int, rows: int, width: int, pitch: int, plane: int) -> int:
    """Words from the first to the last word of a map."""
    return (channels - 1) * plane + (rows - 1) * pitch + width


@dataclass(frozen=True)
class DramMap:
    """A map in DRAM: one run per row (c, y), each from a beat boundary, rows of a channel one behind the other."""

    base: Base
    address: int
    shape: Shape
    row_beats: int

    @classmethod
    def of(cls, shape: Shape, base: Base, address: int, p: TileParams) -> "DramMap":
        return cls(base, address, shape, run_beats(shape[2], p))

    @property
    def beats(self) -> int:
        return self.shape[0] * self.shape[1] * self.row_beats

    def row(self, c: int, y: int) -> int:
        """Beat at which row ``y`` of channel ``c`` starts."""
        return self.address + (c * self.shape[1] + y) * self.row_beats


def lines_of(words: int, p: TileParams) -> int:
    return -(-words // p.synapses)


def run_beats(words: int, p: TileParams) -> int:
    """Beats of a run of ``words`` words."""
    return -(-lines_of(words, p) // p.lines_per_beat)


@dataclass(frozen=True)
class Runs:
    """Equal runs at equal steps: one transfer. ``word``, ``beat``: first run's offsets; steps between runs."""

    word: int
    beat: int
    runs: int
    step_words: int
    step_beats: int


def runs_of(channels: int, rows: int, words: tuple[int, int], beats: tuple[int, int]) -> list[Runs]:
    """Transfers that move ``channels`` x ``rows`` runs; steps (channel, row) in words and in beats.

    One transfer where channels follow rows without a break on both sides, else the fewest: one per channel or per row.
    """
    word_c, word_y = words
    beat_c, beat_y = beats
    if channels == 1 or (word_c == rows * word_y and beat_c == rows * beat_y):
        return [Runs(0, 0, channels * rows, word_y, beat_y)]
    if rows <= channels:
        return [Runs(y * word_y, y * beat_y, channels, word_c, beat_c) for y in range(rows)]
    return [Runs(c * word_c, c * beat_c, rows, word_y, beat_y) for c in range(channels)]
