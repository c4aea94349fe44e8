"""The order in which result words leave the machine: what a capture of the output port must read."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golden.integer import wide_sums
from golden.mapping.ops import Emit
from golden.network import Network
from hw.errors import BadInput
from hw.params import TileParams


def captured(
    maps: Sequence[Tensor], emits: Sequence[Emit], params: TileParams, network: Network | None = None
) -> NDArray[np.int64]:
    """Output words [images, words] of one increment's run, in order of emission.

    maps: the integer layers' output maps (golden.integer.forward), each [images, channels, height, width]; emits: what
    the finishing computes of the increment's segment give (golden.mapping.mapped.Segment); network: the increment's,
    wanted where sums leave as limbs. A compute emits its rows one after the other, of each the cells from left to
    right, of each cell its channels in order, of each channel the cell's words; of a vector its channels in order. An
    escalated run gives the words of the segments that it visits one after the other; a resumed one gives but the new
    channels of kept maps.
    """
    parts = []
    for emit in emits:
        source = maps[emit.layer]
        if emit.limb:
            if network is None:
                raise BadInput("words of limbs want the network whose sums they are")
            source = _limb(wide_sums(network.layers[emit.layer], maps[emit.layer - 1], params.fmt), emit, params)
        words = source[:, emit.channel : emit.channel + emit.channels, emit.row : emit.row_end, emit.col : emit.col_end]
        cols = emit.col_end - emit.col
        first = 0 if emit.vector else -emit.sub
        cells = [(max(at, 0), at + params.cell_words) for at in range(first, cols, params.cell_words)]
        rows = [words[..., at:end].permute(0, 2, 1, 3).flatten(2) for at, end in cells]
        parts.append(torch.cat(rows, dim=2).flatten(1).numpy())
    return np.concatenate(parts, axis=1)


def _limb(wide: Tensor, emit: Emit, params: TileParams) -> Tensor:
    """Digit ``emit.limb`` of sums (hw.params.NumberFormat.limb)."""
    digits = params.fmt.width - 1
    rest = wide >> (emit.limb - 1) * digits
    return rest if emit.top else rest & ((1 << digits) - 1)
