"""Weights: how a layer's windows are cut into pieces, and how its weight lines are packed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.mapping.layout import lines_of
from golden.network import Layer
from hw.params import TileParams


@dataclass(frozen=True)
class Piece:
    """Consecutive weight lines of a block that one Compute takes.

    line: first one within the block's lines in DRAM; channel, channels: input channels of its chunk; skip: words of
    the flattened chunk before the piece (0 for a convolution).
    """

    line: int
    lines: int
    last_lanes: int
    channel: int
    channels: int
    skip: int


def words_per_channel(layer: Layer) -> int:
    """Elements of a window that belong to one input channel."""
    _, height, width = layer.in_shape
    return height * width if layer.fc else layer.kernel[0] * layer.kernel[1]


def chunks(channels: int, chunk: int) -> Iterator[tuple[int, int]]:
    """(first channel, channels) of every chunk."""
    for first in range(0, channels, chunk):
        yield first, min(chunk, channels - first)


def block_lines(layer: Layer, chunk: int, p: TileParams) -> int:
    """Weight lines of one neuron; packing restarts with every chunk of input channels."""
    return sum(lines_of(n * words_per_channel(layer), p) for _, n in chunks(layer.in_shape[0], chunk))


def pieces_of(layer: Layer, chunk: int, split: int, p: TileParams) -> list[Piece]:
    """Pieces of every block; a fully connected layer's chunks are cut into at most ``split`` lines each."""
    found, line = [], 0
    for first, n in chunks(layer.in_shape[0], chunk):
        elements = n * words_per_channel(layer)
        lines = lines_of(elements, p)
        step = split if layer.fc else lines
        for skip in range(0, lines, step):
            taken = min(step, lines - skip)
            lanes = min(elements - (skip + taken - 1) * p.synapses, p.synapses)
            found.append(Piece(line + skip, taken, lanes, first, n, skip * p.synapses))
        line += lines
    return found


def blocks(neurons: int, p: TileParams) -> Iterator[tuple[int, int]]:
    """(first neuron, neurons) of every block."""
    return chunks(neurons, p.neurons)


def pack_weights(layer: Layer, chunk: int, p: TileParams) -> NDArray[np.int64]:
    """Weight lines [blocks, lines, neurons, synapses] in the order in which they lie in DRAM, zeros where none is."""
    weight = layer.weight.numpy().reshape(layer.weight.shape[0], layer.in_shape[0], -1)
    out = len(weight)
    count = -(-out // p.neurons)
    packed = np.zeros((count * p.neurons, block_lines(layer, chunk, p), p.synapses), dtype=np.int64)
    line = 0
    for first, n in chunks(layer.in_shape[0], chunk):
        flat = weight[:, first : first + n].reshape(out, -1)
        lines = lines_of(flat.shape[1], p)
        padded = np.zeros((out, lines * p.synapses), dtype=np.int64)
        padded[:, : flat.shape[1]] = flat
        packed[:out, line : line + lines] = padded.reshape(out, lines, p.synapses)
        line += lines
    return packed.reshape(count, p.neurons, -1, p.synapses).transpose(0, 2, 1, 3)
