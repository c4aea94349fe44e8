"""Weights: blocks of neurons, pieces of weight lines, and how the lines are packed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from golden.mapping.quarters import quarters_of
from golden.mapping.view import Reach, View, columns_read, view_of
from golden.network import Layer
from hw.params import TileParams


@dataclass(frozen=True)
class Block:
    """Neurons that are computed together: ``neurons`` channels from ``first`` on, on ``groups`` pixels at a time.

    number, offset: the block of ``params.neurons`` in which their weights lie, and their place in it. paired: the
    pixels are those of two rows, half of them each.
    """

    first: int
    neurons: int
    groups: int
    number: int
    offset: int
    paired: bool = False

    @property
    def row_groups(self) -> int:
        """Pixels of a row at a time."""
        return self.groups // 2 if self.paired else self.groups

    def steps(self, width: int, height: int) -> int:
        """Steps over so many pixels."""
        return -(-height // (1 + self.paired)) * -(-width // self.row_groups)


@dataclass(frozen=True)
class Piece:
    """Consecutive weight lines of a block that one Compute takes, and the channels of the view that they read."""

    line: int
    lines: int
    last_lanes: int
    channel: int
    channels: int


def blocks(neurons: int, p: TileParams) -> Iterator[tuple[int, int]]:
    """(first neuron, neurons) of every block of weights in DRAM."""
    for first in range(0, neurons, p.neurons):
        yield first, min(p.neurons, neurons - first)


def most_groups(view: View, reach: Reach, neurons: int, width: int, p: TileParams) -> tuple[int, bool]:
    """Groups in which ``neurons`` channels can work with what ``reach`` gives of a row of inputs at a time, and whether
    they are on two rows."""
    if view.stride > 1 or view.vector or width == 1:
        return 1, False
    whole_rows = 2 * width == p.groups and columns_read(view, 1, width, -view.padding[1], p) <= reach.columns
    if reach.gap and whole_rows and p.groups <= p.neurons // neurons:
        return p.groups, True
    for groups in range(min(p.groups, p.neurons // neurons, width), 1, -1):
        if columns_read(view, -(-width // groups), groups, -view.padding[1], p) <= reach.columns:
            return groups, False
    return 1, False


def block_of(layer: Layer, reach: Reach, first: int, neurons: int, p: TileParams) -> Block:
    """The block of ``neurons`` channels from ``first`` on, in as many groups as can work."""
    groups, paired = most_groups(view_of(layer, p), reach, neurons, layer.sum_shape[2], p)
    return Block(first, neurons, groups, *divmod(first, p.neurons), paired)


def cycles_of(layer: Layer, block: Block, reach: Reach, p: TileParams) -> int:
    """Cycles of computing that a block takes, if all its lines are one piece."""
    view, (_, height, width) = view_of(layer, p), layer.sum_shape
    cycles = view.lines * block.steps(width, height)
    if block.paired:
        return cycles
    first, end = view.span(view.lines - 1)
    found = quarters_of(view, view.lines, end - first, block.groups, width, -view.padding[1], reach, p)
    return cycles - height * found.saved


@lru_cache
def split(layer: Layer, reach: Reach, rest_first: bool, p: TileParams) -> tuple[Block, ...]:
    """The layer's blocks: full ones, and the rest in the parts that take the fewest cycles; none of kept channels.

    rest_first: the rest comes first, so that the long blocks stand before the next layer and its weights are loaded
    while they run.
    """
    neurons = layer.sum_shape[0]
    align = p.lines_per_beat  # a block's lines are loaded from a beat boundary

    @lru_cache
    def best(count: int, offset: int) -> tuple[int, tuple[int, ...]]:
        """(cycles, parts) for ``count`` neurons whose weights start ``offset`` lines into their block."""
        if not count:
            return 0, ()
        found = None
        for part in range(count, 0, -1):
            if part != count and (offset + part) % align:
                continue
            rest, parts = best(count - part, offset + part)
            cycles = cycles_of(layer, block_of(layer, reach, 0, part, p), reach, p) + rest
            if found is None or cycles < found[0]:
                found = (cycles, (part, *parts))
        assert found is not None  # a part of all is always there
        return found

    result = []
    for first, count in blocks(neurons, p):
        offset = max(layer.kept - first, 0)
        for end in sorted({min(max(layer.sums.channels - first, 0), count), count}):
            size = end - offset
            if size <= 0:
                continue
            for part in (size,) if size == p.neurons else best(size, offset)[1]:
                result.append(block_of(layer, reach, first + offset, part, p))
                offset += part
    if rest_first:
        result.sort(key=lambda block: (block.neurons, block.first))
    return tuple(result)


def pieces_of(view: View, step: int, begin: int = 0) -> tuple[Piece, ...]:
    """Pieces of at most ``step`` lines, as even as that allows; none reaches over the end of a segment, one begins at
    line ``begin``."""
    found: list[Piece] = []
    for first, end in pairwise(sorted({*(line for _, line in view.segments), begin, view.lines})):
        count = -(-(end - first) // step)
        cuts = [first + (end - first) * k // count for k in range(count + 1)]
        found += pieces_at(view, cuts)
    return tuple(found)


def pieces_at(view: View, lines: Sequence[int]) -> tuple[Piece, ...]:
    """A piece from each of ``lines`` to the next one."""
    return tuple(_piece(view, *ends) for ends in pairwise(lines))


def pieces_between(view: View, cuts: Sequence[int]) -> tuple[Piece, ...]:
    """A piece for the channels from each of ``cuts`` to the next one; a line wants to begin at each of them."""
    return pieces_at(view, [line_of(view, cut)[0] for cut in cuts])


def line_of(view: View, cut: int) -> tuple[int, bool]:
    """The first line that reads no channel before ``cut``, and whether the channel begins there."""
    size = view.kernel_h * view.kernel_w
    channel, line = next(segment for segment in reversed(view.segments) if segment[0] <= cut)
    return line - (-(cut - channel) * size // view.taps), (cut - channel) * size % view.taps == 0


def _piece(view: View, line: int, end: int) -> Piece:
    first, last = view.span(end - 1)
    channel, channel_end = view.channel_range(line, end - line)
    return Piece(line, end - line, last - first, channel, channel_end - channel)


def pack_weights(layer: Layer, p: TileParams) -> list[NDArray[np.int64]]:
    """Weight lines [lines, neurons, synapses] of each block, in the order in which they lie in DRAM."""
    view = view_of(layer, p)
    weight = layer.weight.numpy().reshape(layer.weight.shape[0], -1)
    packed = np.zeros((view.lines, len(weight), p.synapses), dtype=np.int64)
    for line in range(view.lines):
        first, end = view.span(line)
        end = min(end, weight.shape[1])  # the last channel of a vector may be cut
        packed[line, :, : end - first] = weight[:, first:end]
    return [packed[:, first : first + count] for first, count in blocks(len(weight), p)]
