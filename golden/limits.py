"""The roofline floors of a network on a tile: what its multipliers and its DRAM bandwidth allow at best.

Both count the same work: each weight and the image cross the DRAM port once, in T16's DDR3-1600 x64 without row misses,
refreshes or latency. Biases, instructions, scores and spilled maps are not counted, and neither are padding-free
refinements: a padded convolution has its nominal number of multiplications. Pooling and ReLU cost nothing.
"""

import math
from collections import deque

from golden.network import Network
from hw.params import TileParams

BURST_NS = 5.0  # eight transfers of DDR3-1600: 1.25 ns a clock, two transfers a clock
BURST_BYTES = 64
CHUNK_BYTES = 1024  # weights are prefetched, and their space in SB is freed, in pieces of this size


def limit_cycles(network: Network, params: TileParams) -> int:
    """max(multiplications / multipliers, bytes / bytes per cycle), in cycles, rounded up."""
    macs = sum(layer.macs for layer in network.layers)
    words = sum(layer.weight.numel() for layer in network.layers) + math.prod(network.input_shape)
    bursts = words * params.word_bytes / BURST_BYTES
    return math.ceil(max(macs / (params.neurons * params.synapses), bursts * BURST_NS / params.clock_ns))


def limit_sbcap(network: Network, params: TileParams) -> float:
    """The same floor with weights prefetched only into free space of SB, in cycles, not rounded.

    One engine loads, one computes. Weights come layer by layer in pieces of CHUNK_BYTES, the image in equal shares with
    the pieces of the first layer. A piece is computed once it is there and the pieces before it are done, in its share
    of the layer's multiplications over all multipliers. It fills SB from the start of its load to the end of
    its computing; a load waits until SB (``params.sb_bytes``) has room. Feature maps never touch DRAM.
    """
    bytes_per_cycle = BURST_BYTES * params.clock_ns / BURST_NS
    lanes = params.neurons * params.synapses
    in_sb: deque[tuple[float, float]] = deque()  # bytes of a piece, and when it is computed; oldest first
    loaded = computed = used = 0.0
    image = math.prod(network.input_shape) * params.word_bytes
    for layer in network.layers:
        weights = layer.weight.numel() * params.word_bytes
        pieces = math.ceil(weights / CHUNK_BYTES)
        for _ in range(pieces):
            used += weights / pieces
            while used > params.sb_bytes:
                size, done = in_sb.popleft()
                used -= size
                loaded = max(loaded, done)
            loaded += (weights + image) / pieces / bytes_per_cycle
            computed = max(computed, loaded) + layer.macs / lanes / pieces
            in_sb.append((weights / pieces, computed))
        image = 0
    return computed
