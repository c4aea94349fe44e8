"""The roofline floor of a network on a tile: what its multipliers and its DRAM bandwidth allow at best.

Each weight and the image cross the DRAM port once; biases, instructions, scores and spilled maps are not counted, and
neither are padding-free refinements: a padded convolution has its nominal number of multiplications.
"""

import math

from golden.network import Network
from hw.params import TileParams

BURST_NS = 5.0  # eight transfers of DDR3-1600: 1.25 ns a clock, two transfers a clock
BURST_BYTES = 64


def limit_cycles(network: Network, params: TileParams) -> int:
    """max(multiplications / multipliers, bytes / bytes per cycle), in cycles, rounded up."""
    macs = sum(layer.macs for layer in network.layers)
    words = sum(layer.weight.numel() for layer in network.layers) + math.prod(network.input_shape)
    bursts = words * params.word_bytes / BURST_BYTES
    return math.ceil(max(macs / (params.neurons * params.synapses), bursts * BURST_NS / params.clock_ns))
