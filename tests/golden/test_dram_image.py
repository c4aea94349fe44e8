"""Words in DRAM, byte by byte, on a tile whose lines are padded."""

import numpy as np
import pytest

from golden.mapping.dram_image import pack_lines, pack_rows, unpack_words
from hw.errors import BadInput
from hw.params import PRESETS, preset

P = preset("odd")  # lines of 5 words of 4 bytes, padded to 32; two to a beat of 64, which holds 16 words of a map


def test_lines_are_packed_into_beats() -> None:
    lines = np.arange(2 * 3 * 5).reshape(2, 3, 5) - 7
    words = np.frombuffer(pack_lines(lines, P), dtype="<i4").reshape(2, 4, 8)
    assert words[:, :3, :5].tolist() == lines.tolist()
    assert not words[:, 3].any()
    assert not words[..., 5:].any()


def test_rows_are_dense_from_a_beat_on() -> None:
    rows = np.arange(2 * 3 * 17).reshape(2, 3, 17) - 7
    words = np.frombuffer(pack_rows(rows, P), dtype="<i4").reshape(2, 3, 32)
    assert words[..., :17].tolist() == rows.tolist()
    assert not words[..., 17:].any()
    with pytest.raises(BadInput, match=r"words of <32,16> want -2147483648 to 2147483647, not 0 to 2147483648"):
        pack_rows(np.array([[0, 1 << 31]]), P)


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_comes_back(name: str) -> None:
    p = preset(name)
    for count in (1, p.beat_words - 1, p.beat_words, p.beat_words + 1):
        row = np.arange(count) - 3
        raw = pack_rows(row[None], p)
        assert unpack_words(raw, count, p).tolist() == row.tolist()
        with pytest.raises(BadInput, match=f"{count} words want {len(raw)} bytes, not {len(raw) - 1}"):
            unpack_words(raw[:-1], count, p)
