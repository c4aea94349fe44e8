"""Where maps lie: cells of a neuron buffer, beats of DRAM."""

from dataclasses import dataclass

from golden.mapping.view import cells_of
from golden.network import Shape
from hw.instructions import Base, Buffer
from hw.isa import isa
from hw.params import TileParams


@dataclass(frozen=True)
class MapLayout:
    """A map, or some rows and channels of it, in a buffer: row (c, y) starts at cell base + c*plane + y*pitch."""

    buffer: Buffer
    base: int
    pitch: int
    plane: int

    def cell(self, c: int, y: int) -> int:
        return self.base + c * self.plane + y * self.pitch


def pair_of(cell: int, p: TileParams) -> tuple[int, int]:
    """Row and bank of a cell, as instructions hold them; negative ones wrap."""
    row, bank = divmod(cell, p.banks)
    return row & ((1 << isa(p).row_bits) - 1), bank


def extent(channels: int, rows: int, width: int, pitch: int, plane: int, p: TileParams) -> int:
    """Cells from the first to the last one of a map with rows of ``width`` words."""
    return (channels - 1) * plane + (rows - 1) * pitch + cells_of(width, p)


def run_beats(words: int, p: TileParams) -> int:
    """Beats of a run of ``words`` words."""
    return -(-words // p.beat_words)


def line_beats(lines: int, p: TileParams) -> int:
    """Beats of ``lines`` weight lines of one place, one for each of as many neurons."""
    return -(-lines // p.lines_per_beat)


@dataclass(frozen=True)
class DramMap:
    """A map in DRAM. Every row (c, y) starts a beat or, ``dense``, every plane does, its rows cell by cell.

    row_cells: cells of a row. run_beats: beats of a row or, ``dense``, of a plane.
    """

    base: Base
    address: int
    shape: Shape
    dense: bool
    row_cells: int
    run_beats: int

    @classmethod
    def of(cls, shape: Shape, base: Base, address: int, p: TileParams, dense: bool = False) -> "DramMap":
        rows = shape[1] if dense else 1
        cells = cells_of(shape[2], p)
        return cls(base, address, shape, dense, cells, -(-rows * cells // p.beat_cells))

    @property
    def beats(self) -> int:
        return self.shape[0] * self.run_beats * (1 if self.dense else self.shape[1])

    def row(self, c: int, y: int, p: TileParams) -> int:
        """Beat at which row ``y`` of channel ``c`` starts."""
        if self.dense:
            return self.address + c * self.run_beats + y * self.row_cells // p.beat_cells
        return self.address + (c * self.shape[1] + y) * self.run_beats


@dataclass(frozen=True)
class Runs:
    """Equal runs at equal steps: one transfer. ``cell``, ``beat``: first run's offsets; steps between runs."""

    cell: int
    beat: int
    runs: int
    step_cells: int
    step_beats: int


def runs_of(channels: int, rows: int, cells: tuple[int, int], beats: tuple[int, int]) -> list[Runs]:
    """Transfers that move ``channels`` x ``rows`` runs; steps (channel, row) in cells and in beats.

    One transfer where channels follow rows without a break on both sides, else the fewest: one per channel or per row.
    """
    cell_c, cell_y = cells
    beat_c, beat_y = beats
    if channels == 1 or (cell_c == rows * cell_y and beat_c == rows * beat_y):
        return [Runs(0, 0, channels * rows, cell_y, beat_y)]
    if rows <= channels:
        return [Runs(y * cell_y, y * beat_y, channels, cell_c, beat_c) for y in range(rows)]
    return [Runs(c * cell_c, c * beat_c, rows, cell_y, beat_y) for c in range(channels)]
