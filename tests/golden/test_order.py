"""Order of captured words against a walk over rows, cells, channels and words."""

import numpy as np
import torch

from golden.mapping.ops import Emit
from golden.order import captured
from hw.params import PRESETS, preset
from tests.golden.programs import emitted


def test_every_part_of_a_map_leaves_row_by_row_in_cells() -> None:
    maps = [torch.arange(2 * 5 * 4 * 9).reshape(2, 5, 4, 9), -torch.arange(2 * 7).reshape(2, 7, 1, 1)]
    for p in map(preset, PRESETS):
        for sub in range(p.cell_words):
            emits = [
                Emit(0, 1, 3, 1, 3, 2, 9, sub, 0),
                Emit(0, 0, 5, 2, 2, 0, 9, 0, 0),
                Emit(1, 2, 5, 0, 1, 0, 1, sub, 1),
            ]
            found = captured(maps, emits, p)
            for image in range(2):
                part = maps[0][image, 1:4, 1:3, 2:9].numpy()
                wanted = emitted(part, sub, p) + maps[1][image, 2:7].flatten().tolist()
                assert found[image].tolist() == wanted
            assert found.dtype == np.int64


def test_a_cell_by_hand() -> None:
    """Two channels of three pixels from place 1 of a cell of two words on: x = 0, then x = 1 and 2."""
    p = preset("small")
    maps = [torch.tensor([[[[1, 2, 3]], [[4, 5, 6]]]])]
    assert captured(maps, [Emit(0, 0, 2, 0, 1, 0, 3, 1, 0)], p).tolist() == [[1, 4, 2, 3, 5, 6]]
    assert captured(maps, [Emit(0, 0, 2, 0, 1, 0, 3, 0, 0)], p).tolist() == [[1, 2, 4, 5, 3, 6]]
