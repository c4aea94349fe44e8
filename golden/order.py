"""The order in which result words leave the machine: what a capture of the output port must read."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from golden.mapping.ops import Emit


def captured(maps: Sequence[Tensor], emits: Sequence[Emit]) -> NDArray[np.int64]:
    """Output words [images, words] of one increment's run, in order of emission.

    maps: the integer layers' output maps (golden.integer.forward), each [images, channels, height, width]; emits: what
    the increment's finishing computes give (Mapped.emits). A compute emits its pixels in raster order, each with its
    neurons in order. An escalated run gives the increments' words one after the other.
    """
    parts = []
    for emit in emits:
        words = maps[emit.layer][
            :, emit.channel : emit.channel + emit.channels, emit.row : emit.row_end, emit.col : emit.col_end
        ]
        parts.append(words.permute(0, 2, 3, 1).reshape(len(words), -1).numpy())
    return np.concatenate(parts, axis=1)
