"""Pooling and its output in plain Python: windows taken from whole maps, cells in the order in which they leave."""

from dataclasses import replace

from hw.isa import RECIPROCAL_BITS, Compute, Pool
from hw.params import TileParams

Map = list[list[int]]  # rows of words, one channel
Cell = tuple[int, int, dict[int, int]]  # row, bank, words by their place


def caffe(out: int, size: int, stride: int) -> int:
    """Windows over ``out`` pixels, Caffe's ceil rule without padding; none starts behind the last pixel."""
    windows = -(-(out - size) // stride) + 1
    return windows - ((windows - 1) * stride >= out)


def open_rows(size: int, stride: int) -> int:
    return -(-size // stride)


def fits(p: TileParams, size: int, stride: int, out_w: int, groups: int) -> bool:
    """The open window rows of all steps have an entry each."""
    return open_rows(size, stride) * -(-out_w // groups) <= p.pool_entries


def geometry(
    p: TileParams, size: int, stride: int, out_w: int, out_h: int, kind: Pool, *, groups: int = 1, floor: bool = False
) -> Compute:
    """The pooling fields of a Compute over the whole map. floor: no clipped windows, words at the edge in none."""
    assert fits(p, size, stride, out_w, groups)
    windows = [(out - size) // stride + 1 if floor else caffe(out, size, stride) for out in (out_w, out_h)]
    last = [min(size, out - (n - 1) * stride) for out, n in zip((out_w, out_h), windows, strict=True)]
    counts = (size * size, last[0] * size, size * last[1], last[0] * last[1])
    a, b, c, d = (reciprocal(count) for count in counts)
    return Compute(
        pool=kind, pool_size=size, pool_stride=stride, out_w=out_w, out_h=out_h, pool_w=windows[0], pool_h=windows[1],
        cols=out_w, rows=out_h, reciprocal=(a, b, c, d), groups=groups, to_cols=windows[0],
    )  # fmt: skip


def reciprocal(words: int) -> int:
    return (2 * (1 << RECIPROCAL_BITS) + words) // (2 * words)


def band(whole: Compute, out_y: int, rows: int) -> Compute:
    """The part of ``whole`` that computes ``rows`` rows from ``out_y``."""
    first = out_y // whole.pool_stride
    slot = first % open_rows(whole.pool_size, whole.pool_stride)
    return replace(whole, rows=rows, out_y=out_y, pool_y=first, pool_phase=out_y % whole.pool_stride, pool_slot=slot)


def window_rows(c: Compute, y: int) -> list[int]:
    """Window rows that hold map row y, the oldest first."""
    return [w for w in range(c.pool_h) if w * c.pool_stride <= y < w * c.pool_stride + c.pool_size]


def ends_in(c: Compute, y: int) -> int | None:
    """The window row whose last row is y."""
    found = [w for w in window_rows(c, y) if y == min(w * c.pool_stride + c.pool_size, c.out_h) - 1]
    assert len(found) <= 1
    return found[0] if found else None


def down(c: Compute, pixels: Map, window_row: int) -> list[int]:
    """One window row taken down each column."""
    rows = pixels[window_row * c.pool_stride : window_row * c.pool_stride + c.pool_size]
    return [max(column) if c.pool == Pool.MAX else sum(column) for column in zip(*rows, strict=True)]


def pooled_row(p: TileParams, c: Compute, pixels: Map, window_row: int) -> list[int]:
    """Every window of one window row: its maximum, or its exact mean rounded half up through the reciprocal."""
    found = []
    rows = pixels[window_row * c.pool_stride : window_row * c.pool_stride + c.pool_size]
    for wx in range(c.pool_w):
        words = [word for row in rows for word in row[wx * c.pool_stride : wx * c.pool_stride + c.pool_size]]
        if c.pool == Pool.MAX:
            found.append(max(words))
        else:
            mean = (sum(words) * reciprocal(len(words)) + (1 << (RECIPROCAL_BITS - 1))) >> RECIPROCAL_BITS
            found.append(p.fmt.saturate(mean))
    return found


def results(p: TileParams, c: Compute, pixels: Map) -> Map:
    """Rows of one channel that leave with ``c``; pixels: the whole map if it pools, else the compute's own rows."""
    if c.pool == Pool.NONE:
        words = [word for row in pixels for word in row]
        return [words[k : k + c.to_cols] for k in range(0, len(words), c.to_cols)]
    ended = [ends_in(c, y) for y in range(c.out_y, c.out_y + c.rows)]
    return [pooled_row(p, c, pixels, w) for w in ended if w is not None]


def cells(p: TileParams, row_bits: int, c: Compute, channels: list[Map]) -> list[Cell]:
    """What is written: by row, cell, channel; channels: the rows that leave of each channel."""
    width, banks = p.cell_words, p.banks
    space = banks << row_bits
    start, to_y, to_n = c.to_row * banks + c.to_bank, c.to_y_row * banks + c.to_y_bank, c.to_n_row * banks + c.to_n_bank

    def cell(at: int, words: dict[int, int]) -> Cell:
        return (at % space // banks, at % banks, words)

    if c.vector:
        words = [rows[0][0] for rows in channels]
        taken = range(c.to_sub, c.to_sub + c.neurons)
        parts = [range(k, k + width) for k in range(0, taken.stop, width)]
        return [
            cell(start + k, {at % width: words[at - c.to_sub] for at in part if at in taken})
            for k, part in enumerate(parts)
        ]
    found = []
    for y in range(len(channels[0])):
        for k in range(-(-(c.to_sub + c.to_cols) // width)):
            for n, rows in enumerate(channels):
                places = {
                    (c.to_sub + x) % width: word for x, word in enumerate(rows[y]) if (c.to_sub + x) // width == k
                }
                found.append(cell(start + y * to_y + n * to_n + k, places))
    return found
