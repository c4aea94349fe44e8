"""Where a streamed input lies in its buffer, and the areas from which an output is spilled."""

from collections.abc import Iterator

from golden.mapping.layer_plan import Areas, Input, vector_rows
from golden.mapping.layout import MapLayout, extent
from golden.mapping.pieces import Piece
from golden.mapping.slabs import Slab, input_rows
from golden.mapping.view import Reach, View, cells_of, pitches, view_of
from golden.network import Layer
from hw.instructions import Buffer
from hw.params import TileParams


def cells_in(buffer: Buffer, p: TileParams) -> int:
    return p.buffer_rows[buffer] * p.banks


def places(
    layer: Layer, source: Buffer, kind: Input, reach: Reach, pieces: tuple[Piece, ...], slabs: tuple[Slab, ...],
    p: TileParams,
) -> Iterator[tuple[MapLayout, int, Areas | None]]:  # fmt: skip
    """Where an input that is streamed to buffer ``source`` may lie: (layout, rows of the ring, areas)."""
    view = view_of(layer, p)
    cells = cells_in(source, p)
    channels, height, width = layer.in_shape
    if view.vector:
        yield from _vector_places(layer, view, source, kind, pieces, p)
        return
    spans = [input_rows(layer, slab) for slab in slabs]
    rows = max(end - first for first, end in spans)
    if kind == Input.AREAS:
        most = max(piece.channels for piece in pieces)
        pair = pitches(view, rows, reach, most, False, p)
        if pair is None:
            return
        area = extent(most, rows, width, *pair, p)
        if area <= cells:
            yield MapLayout(source, 0, *pair), 0, Areas(cells // area, area, *pair)
        return
    pair = pitches(view, height, reach, channels, False, p) if kind == Input.RING else None
    if pair and extent(channels, height, width, *pair, p) <= cells:
        yield MapLayout(source, 0, *pair), 0, None
        return
    if kind == Input.OVERLAP:
        # a plane of as many rows as fit, of which a slab needs ``rows`` at a time
        for held in range(height - 1, rows - 1, -1):
            pair = pitches(view, held, reach, channels, False, p)
            if pair and extent(channels, height, width, *pair, p) <= cells:
                yield MapLayout(source, 0, *pair), 0, None
                return
        return
    for ring_rows in range(height - 1, rows - 1, -1):
        pair = pitches(view, ring_rows, reach, channels, True, p)
        if pair and extent(channels, ring_rows, width, *pair, p) <= cells:
            yield MapLayout(source, 0, *pair), ring_rows, None
            return


def _vector_places(
    layer: Layer, view: View, source: Buffer, kind: Input, pieces: tuple[Piece, ...], p: TileParams
) -> Iterator[tuple[MapLayout, int, Areas | None]]:
    """A vector is a map's rows without gaps; an area holds the rows that a piece meets."""
    channels, height, width = layer.in_shape
    if height * width == 1:
        return  # vectors are never spilled
    step = view.taps // p.cell_words
    place = MapLayout(source, 0, step, step)
    row = cells_of(width, p)
    if kind == Input.RING:
        if channels * height * row <= cells_in(source, p):
            yield place, 0, None
        return
    rows = max(vector_rows(layer, view, piece)[1] - vector_rows(layer, view, piece)[0] for piece in pieces)
    if rows * row <= cells_in(source, p):
        yield place, 0, Areas(cells_in(source, p) // (rows * row), rows * row, row, row)


def stage_of(layer: Layer, slabs: tuple[Slab, ...], target: Buffer, p: TileParams) -> Areas | None:
    """Areas of buffer ``target`` that hold a block's results of a slab; None when not even one fits."""
    n, _, width = layer.out_shape
    rows = max(1, max(slab.out_end - slab.out_y for slab in slabs))
    pitch = cells_of(width, p)
    area = min(n, p.neurons) * rows * pitch
    count = cells_in(target, p) // area
    return Areas(count, area, pitch, rows * pitch) if count else None
