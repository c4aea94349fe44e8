"""How a layer runs: what the planner decides and the scheduler carries out."""

from dataclasses import dataclass
from enum import Enum

from golden.mapping.layout import MapLayout
from golden.mapping.pieces import Block, Piece
from golden.mapping.slabs import Slab
from golden.mapping.view import View
from golden.network import Layer
from hw.instructions import Buffer
from hw.params import TileParams


class Input(Enum):
    """How a layer's input comes into its buffer."""

    RESIDENT = 0  # the layer before wrote it there
    RING = 1  # rows are loaded, each once a block, and overwritten when they are done with (or all fit)
    AREAS = 2  # rows of a slab and channels of a piece, in equal areas used in turn


@dataclass(frozen=True)
class Areas:
    """``count`` equal areas of ``cells`` cells, used in turn; pitches of what they hold."""

    count: int
    cells: int
    pitch: int
    plane: int


@dataclass(frozen=True)
class LayerPlan:
    """How a layer runs.

    input: layout of the input map (RESIDENT, RING; of a vector: its lines). ring_rows: rows of the ring, 0 when all
    fit. areas: of AREAS. columns: cells of a run that meet in no bank, 0 of a vector. stage: areas of the target buffer
    from which the output is spilled, None when it stays. output: its layout there. vector: it is written word by word.
    slabs_first: all blocks' weights stay in SB and a slab is computed for every block before the next slab.
    cost: see golden.mapping.plan_cost.
    """

    layer: Layer
    view: View
    source: Buffer
    target: Buffer
    kind: Input
    input: MapLayout
    ring_rows: int
    areas: Areas | None
    columns: int
    output: MapLayout
    stage: Areas | None
    vector: bool
    blocks: tuple[Block, ...]
    pieces: tuple[Piece, ...]
    slabs: tuple[Slab, ...]
    slabs_first: bool
    cost: float


def vector_rows(layer: Layer, view: View, piece: Piece) -> tuple[int, int]:
    """Rows [first, end) of a map, numbered through its channels, that a piece of a vector's lines meets."""
    width = layer.in_shape[2]
    words = piece.line * view.taps, (piece.line + piece.lines - 1) * view.taps + piece.last_lanes
    return words[0] // width, -(-words[1] // width)


def tile_of(p: TileParams, steps: int, chained: bool) -> int:
    """Steps of a tile: all of a chained sum's; else half the accumulators, so that one tile drains under the next."""
    return steps if chained else min(steps, max(1, p.accumulators // 2))
