"""How a layer runs: what the planner decides and the scheduler carries out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from golden.mapping.layout import MapLayout
from golden.mapping.pieces import Block, Piece, line_of
from golden.mapping.quarters import NONE, Quarters, quarters_of, tile_of_quads
from golden.mapping.slabs import Slab
from golden.mapping.view import Reach, View, cells_of
from golden.network import Layer
from hw.instructions import Buffer
from hw.params import QUARTERS, TileParams


class Input(Enum):
    """How a layer's input comes into its buffer."""

    RESIDENT = 0  # the layer before wrote it there
    RING = 1  # rows are loaded, each once a block, and overwritten when they are done with (or all fit)
    OVERLAP = 2  # as a ring, but straight on: a channel's last rows over the next one's first, which are done with
    AREAS = 3  # rows of a slab and channels of a piece, in equal areas used in turn
    ROWS = 4  # the layer before leaves rows there by and by, as with OVERLAP, and they are read as they appear
    FUSED = 5  # the layer before leaves a block of channels in an area, and it is read at once


PARTS = (Input.OVERLAP, Input.ROWS)  # of a map only some rows are there, and planes overlap


class Order(Enum):
    """Nesting of a layer's loops, the outermost first."""

    BLOCK_SLAB_PIECE = 0
    SLAB_BLOCK_PIECE = 1  # all weights stay in SB
    SLAB_PIECE_BLOCK = 2  # the sums of all blocks stay in accumulators, and an area is loaded once for all blocks


@dataclass(frozen=True)
class Areas:
    """``count`` equal areas of ``cells`` cells, used in turn; pitches of what they hold."""

    count: int
    cells: int
    pitch: int
    plane: int


@dataclass(frozen=True)
class LimbAreas:
    """``count`` equal areas of ``cells`` cells from cell ``base`` on, used in turn: each for one limb of a block's sums
    of a slab."""

    base: int
    count: int
    cells: int


@dataclass(frozen=True)
class LayerPlan:
    """How a layer runs.

    input: layout of the input map (RESIDENT, RING, OVERLAP, ROWS; of a vector: its lines). ring_rows: rows of the ring,
    0 without one. areas: of AREAS and FUSED. reach: what steps may read of a run, 0 cells of a vector. stage: areas of
    the target buffer for the results of a block: they are spilled from there or, ``feeds``, read by the next layer,
    which is FUSED; None when the whole output stays. output: its layout. vector: it is written word by word. order: of
    the loops. sums: first and last accumulator. most_steps: of a tile, unless sums are chained. cost: see
    golden.mapping.plan_cost. restored: areas of the source buffer for sums that a smaller increment left; saved: of the
    target buffer, for those that this one leaves.
    """

    layer: Layer
    view: View
    source: Buffer
    target: Buffer
    kind: Input
    input: MapLayout
    ring_rows: int
    areas: Areas | None
    reach: Reach
    output: MapLayout
    stage: Areas | None
    vector: bool
    blocks: tuple[Block, ...]
    pieces: tuple[Piece, ...]
    slabs: tuple[Slab, ...]
    order: Order
    sums: tuple[int, int]
    feeds: bool
    most_steps: int
    cost: float
    restored: LimbAreas | None = None
    saved: LimbAreas | None = None

    @property
    def spilled(self) -> bool:
        """Whether the output goes to DRAM."""
        return self.stage is not None and not self.feeds

    def rows_held(self, p: TileParams) -> int:
        """Rows of a map in parts that are there at a time; 0 when it is whole."""
        if self.kind not in (Input.OVERLAP, Input.ROWS):
            return self.ring_rows
        return (self.input.plane - cells_of(self.layer.in_shape[2], p)) // self.input.pitch + 1

    @property
    def chained(self) -> bool:
        """Whether sums go on over several computes."""
        return len(self.pieces) > 1 or self.saved is not None

    def first_piece(self, block: Block) -> Piece:
        """The piece with which a block's computes begin: sums that were left by a smaller increment hold the first."""
        sums = self.layer.sums
        if block.first >= sums.channels:
            return self.pieces[0]
        line = line_of(self.view, sums.inputs)[0]
        return next(piece for piece in self.pieces if piece.line == line)

    def steps(self, block: Block, slab: Slab) -> int:
        return block.steps(slab.cols, slab.rows)

    def tile(self, steps: int, quarters: Quarters = NONE, row_steps: int = 1) -> int:
        """Steps of a tile: all of a chained sum's; with lines in quarters those in which four steps of a row are never
        cut."""
        most = steps if self.chained else min(steps, self.most_steps)
        return tile_of_quads(most, row_steps) if quarters.count else most

    def quarters(self, block: Block, slab: Slab, piece: Piece, p: TileParams) -> Quarters:
        """How a block computes the last line of a piece, in tiles of ``tile_of_quads`` steps."""
        row_steps = -(-slab.cols // block.row_groups)
        fits = tile_of_quads(self.tile(self.steps(block, slab)), row_steps) > 0
        if block.paired or not fits or (self.sums[1] - self.sums[0] + 1) % QUARTERS:
            return NONE
        x0, lanes = slab.x * self.view.stride - self.view.padding[1], piece.last_lanes
        return quarters_of(self.view, piece.lines, lanes, block.groups, slab.cols, x0, self.reach, p)

    def shorter_tiles(self) -> Iterator["LayerPlan"]:
        """The plan with shorter tiles: weights are read more often, but fewer results are on their way at the end."""
        sums = self.sums[1] - self.sums[0] + 1
        most = max((self.steps(block, slab) for block in self.blocks for slab in self.slabs), default=0)
        if not self.chained and most > 1:
            yield from (replace(self, most_steps=sums // parts) for parts in (4, 8) if sums // parts > 1)


def vector_rows(layer: Layer, view: View, piece: Piece) -> tuple[int, int]:
    """Rows [first, end) of a map, numbered through its channels, that a piece of a vector's lines meets."""
    width = layer.in_shape[2]
    words = piece.line * view.taps, (piece.line + piece.lines - 1) * view.taps + piece.last_lanes
    return words[0] // width, -(-words[1] // width)
