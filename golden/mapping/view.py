"""How a layer's inputs are read: windows of a map, flattened, cut into weight lines, and the banks that a line meets.

A convolution reads its map as it is. A fully connected layer reads a map with rows of whole cells as one vector, any
other map as the one window that covers it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from golden.network import Layer
from hw.errors import BadInput
from hw.instructions import KERNEL_BITS, UNUSED, Window
from hw.isa import isa
from hw.params import TileParams


@dataclass(frozen=True)
class View:
    """Windows of kernel_h x kernel_w over a map of channels x height x width; ``taps`` elements make a weight line.

    elements: of a window (the last channel of a vector may be cut). vector: the map is one row of words without gaps.
    segments: (first channel, first line) of the parts of a window whose weights begin a line of their own, in order.
    """

    kernel_h: int
    kernel_w: int
    channels: int
    height: int
    width: int
    stride: int
    padding: tuple[int, int]
    elements: int
    taps: int
    vector: bool
    segments: tuple[tuple[int, int], ...] = ((0, 0),)

    @property
    def lines(self) -> int:
        channel, line = self.segments[-1]
        return line - (-(self.elements - channel * self.kernel_h * self.kernel_w) // self.taps)

    def segment(self, line: int) -> int:
        """Number of the segment that holds a line."""
        return bisect_right(self.segments, line, key=lambda segment: segment[1]) - 1

    def span(self, line: int) -> tuple[int, int]:
        """Elements [first, end) of a line."""
        number = self.segment(line)
        channel, start = self.segments[number]
        behind = self.segments[number + 1][0] if number + 1 < len(self.segments) else self.channels
        size = self.kernel_h * self.kernel_w
        first = channel * size + (line - start) * self.taps
        return first, min(first + self.taps, behind * size, self.elements)

    def runs(self, line: int) -> tuple[int, int]:
        """First run of a line, and how many it has; a run is a (channel, ky)."""
        first, end = self.span(line)
        return first // self.kernel_w, (end - 1) // self.kernel_w - first // self.kernel_w + 1

    def channel_range(self, line: int, lines: int) -> tuple[int, int]:
        """Channels [first, end) that lines line .. line+lines-1 read."""
        first = self.runs(line)[0] // self.kernel_h
        run, runs = self.runs(line + lines - 1)
        return first, (run + runs - 1) // self.kernel_h + 1


@lru_cache
def _most_runs(kernel_w: int, taps: int) -> int:
    """Runs of a line at most, over every place in a row at which a line can start."""
    return max(-(-(line * taps % kernel_w + taps) // kernel_w) for line in range(kernel_w))


class Reach(NamedTuple):
    """What a step may read for each run of a line: ``columns`` cells and, with ``gap``, those of the map row below
    (hw.instructions.Window)."""

    columns: int
    gap: bool = False


def positions_of(view: View, gap: bool) -> int:
    """Positions of a line at most: of its runs and, with ``gap``, below the last ones of two channels."""
    return _most_runs(view.kernel_w, view.taps) + 2 * gap


def meets_no_bank(spacing: int, runs: int, columns: int, banks: int) -> bool:
    """Whether ``columns`` cells of each of ``runs`` runs, ``spacing`` banks apart, lie in different banks."""
    return len({(r * spacing + m) % banks for r in range(runs) for m in range(columns)}) == runs * columns


def loose_columns(kernel_w: int, p: TileParams) -> int:
    """Cells of a run that hold a window wherever in a cell it starts."""
    return -(-(p.cell_words - 1 + kernel_w) // p.cell_words)


@lru_cache
def taps_of(kernel_w: int, columns: int, p: TileParams) -> int:
    """Most taps of a line for which some spacing keeps its runs apart; 0 when there is none."""
    for taps in range(p.synapses, 0, -1):
        runs = _most_runs(kernel_w, taps)
        if any(meets_no_bank(d, runs, columns, p.banks) for d in range(p.banks)):
            return taps
    return 0


def view_of(layer: Layer, p: TileParams) -> View:
    """The view of ``layer``; refuses a window that the tile cannot read."""
    channels, height, width = layer.in_shape
    most = (1 << KERNEL_BITS) - 1
    words = channels * height * width
    if layer.fc and (height * width == 1 or width % p.cell_words == 0):
        taps = min(p.synapses, most) // p.cell_words * p.cell_words
        return View(1, taps, -(-words // taps), 1, taps, 1, (0, 0), words, taps, True)
    kernel_h, kernel_w = (height, width) if layer.fc else layer.kernel
    columns = cells_of(kernel_w, p) if layer.fc else loose_columns(kernel_w, p)
    taps = taps_of(kernel_w, columns, p) if max(kernel_h, kernel_w) <= most and columns < UNUSED else 0
    if not taps:
        what = f"maps with rows of whole cells ({p.cell_words} words) or" if layer.fc else "kernels"
        raise BadInput(
            f"layer {layer.name}: {what} up to {most} high and {widest_kernel(layer.fc, p)} wide are wanted, "
            f"not {kernel_h}x{kernel_w}; use several smaller ones"
        )
    stride, padding = (1, (0, 0)) if layer.fc else (layer.stride, layer.padding)
    elements = channels * kernel_h * kernel_w
    segments = _segments(layer.cuts, channels, kernel_h * kernel_w, taps)
    return View(kernel_h, kernel_w, channels, height, width, stride, padding, elements, taps, False, segments)


def _segments(cuts: tuple[int, ...], channels: int, size: int, taps: int) -> tuple[tuple[int, int], ...]:
    """(first channel, first line) of segments that begin at the cuts; cuts at which a line begins anyway make none."""
    found = [(0, 0)]
    for cut in cuts:
        channel, line = found[-1]
        if cut < channels and (cut - channel) * size % taps:
            found.append((cut, line - (-(cut - channel) * size // taps)))
    return tuple(found)


@lru_cache
def widest_kernel(fc: bool, p: TileParams) -> int:
    """Widest kernel that the tile's banks allow: of a convolution, or of one that covers its map."""
    found = 0
    for width in range(1, 1 << KERNEL_BITS):
        columns = cells_of(width, p) if fc else loose_columns(width, p)
        if columns < UNUSED and taps_of(width, columns, p):
            found = width
    return found


def columns_read(view: View, steps: int, groups: int, x0: int, p: TileParams) -> int:
    """Cells of a run that the steps of a row read at a time; the first step's origin is pixel x0."""
    places = {(x0 + i * groups * view.stride) % p.cell_words for i in range(min(steps, p.cell_words))}
    return -(-(max(places) + groups - 1 + view.kernel_w) // p.cell_words)


def cells_of(words: int, p: TileParams) -> int:
    return -(-words // p.cell_words)


def congruent(at_least: int, residue: int, modulus: int) -> int:
    """Smallest number from ``at_least`` on that equals ``residue`` modulo ``modulus``."""
    return at_least + (residue - at_least) % modulus


@lru_cache
def pitches(view: View, rows: int, reach: Reach, channels: int, ring: bool, p: TileParams) -> tuple[int, int] | None:
    """Smallest (pitch, plane) in cells with which ``rows`` rows of ``channels`` channels can be read.

    What ``reach`` wants for a line must meet in no bank. ring: rows that wrap keep their banks.
    """
    width, (columns, gap) = cells_of(view.width, p), reach
    if gap and (ring or not _allows_gap(view, p)):
        return None
    runs = positions_of(view, gap)
    best: tuple[int, int, int] | None = None
    if view.kernel_h == 1:  # no line goes from a row to the next: only planes count
        found = (width, plane) if (plane := _plane_of_flat(rows * width, runs, columns, p)) else None
        return found if not ring or (found and rows * width % p.banks == 0) else None
    for pitch in range(width, width + p.banks):
        if not meets_no_bank(pitch % p.banks, runs, columns, p.banks) or (ring and rows * pitch % p.banks):
            continue
        if gap and pitch % p.banks != p.pair_cells:
            continue
        least = rows * pitch if ring else (rows - 1) * pitch + width
        plane = congruent(least, pitch * (view.kernel_h + gap), p.banks)
        words = (channels - 1) * plane + (rows - 1) * pitch + width
        if best is None or words < best[0]:
            best = (words, pitch, plane)
    return best[1:] if best else None


def _allows_gap(view: View, p: TileParams) -> bool:
    """Whether a step can read two rows of this map (see Compute.paired): a line meets two channels at most."""
    within = view.taps < view.kernel_h * view.kernel_w
    return view.kernel_h > 1 and within and view.stride == 1 and 0 < 2 * p.pair_cells < p.banks


def _plane_of_flat(least: int, runs: int, columns: int, p: TileParams) -> int | None:
    candidates = range(least, least + p.banks)
    return next((n for n in candidates if meets_no_bank(n % p.banks, runs, columns, p.banks)), None)


def window_of(view: View, pitch: int, plane: int, line: int, reach: Reach, p: TileParams) -> Window:
    """The Window of computes whose first line is ``line``, in a map with these pitches (cells)."""
    height = view.kernel_h + reach.gap  # positions of a channel
    mask = (1 << isa(p).row_bits) - 1
    spacing = (plane if view.kernel_h == 1 else pitch) % p.banks
    run, kx = divmod(view.span(line)[0], view.kernel_w)
    ky = run % view.kernel_h

    def rows(c: int, y: int, r: int) -> int:
        return (c * plane + y * pitch - r * spacing) // p.banks & mask

    row_offset, kys = [], []
    for r in range(p.synapses):
        c, y = divmod(ky + r, height)
        row_offset.append(rows(c, y - ky, r))
        kys.append(y)
    advance = view.taps // view.kernel_w
    channels, step_y = divmod(advance, view.kernel_h)
    delta = [
        rows(channels + carry_y, step_y + further - carry_y * height, advance + further)
        if further < 2 or reach.gap
        else 0
        for carry_y in (0, 1)
        for further in (0, 1, 2)
    ]
    slots = dict(_slots(spacing, positions_of(view, reach.gap), reach.columns, p))
    line_row, line_bank = divmod(advance * spacing, p.banks)
    return Window(
        kernel_w=view.kernel_w,
        kernel_h=view.kernel_h,
        gap=int(reach.gap),
        taps=view.taps,
        step_x=view.taps % view.kernel_w,
        step_y=step_y,
        spacing=spacing,
        line_row=line_row & mask,
        line_bank=line_bank,
        delta=tuple(delta),
        kx=tuple((kx + e) % view.kernel_w for e in range(p.synapses)),
        ky=tuple(kys),
        row_offset=tuple(row_offset),
        slot_run=tuple(slots[k][0] if k in slots else 0 for k in range(p.banks)),
        slot_column=tuple(slots[k][1] if k in slots else UNUSED for k in range(p.banks)),
        slot_carry=tuple(slots[k][2] if k in slots else 0 for k in range(p.banks)),
    )


def _slots(spacing: int, positions: int, columns: int, p: TileParams) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Bank after run 0's start -> (position, column, rows further)."""
    for r in range(positions):
        for m in range(columns):
            carry, bank = divmod(r * spacing + m, p.banks)
            yield bank, (r, m, carry)
