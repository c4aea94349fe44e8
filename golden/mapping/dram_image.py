"""Words in DRAM, each little-endian in ``word_bytes``: weight lines of ``synapses`` words, padded; dense rows of maps.

Runs of lines and rows start at beat boundaries; the rest of their last beat is zero.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.mapping.layout import line_beats, run_beats
from hw.errors import BadInput
from hw.params import TileParams

_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}


def _raw(words: NDArray[np.int64], p: TileParams) -> NDArray[np.uint8]:
    """Bytes of words [..., count] as [..., count * word_bytes]; refuses a word that is none of the format's."""
    if words.size and (int(words.min()) < p.fmt.low or int(words.max()) > p.fmt.high):
        raise BadInput(
            f"words of {p.fmt} want {p.fmt.low} to {p.fmt.high}, not {int(words.min())} to {int(words.max())}"
        )
    return np.ascontiguousarray(words.astype(_TYPES[p.word_bytes])).view(np.uint8)


def pack_lines(lines: NDArray[np.int64], p: TileParams) -> bytes:
    """Bytes of weight lines [..., group, synapses]; each group starts at a beat boundary."""
    group = lines.shape[-2]
    words = _raw(lines.reshape(-1, group, p.synapses), p)
    beats = line_beats(group, p)
    raw = np.zeros((len(words), beats * p.lines_per_beat, p.line_bytes), dtype=np.uint8)
    raw[:, :group, : words.shape[-1]] = words
    return raw.tobytes()


def pack_rows(rows: NDArray[np.int64], p: TileParams) -> bytes:
    """Bytes of map rows [..., width], each dense from a beat boundary on."""
    words = _raw(rows.reshape(-1, rows.shape[-1]), p)
    raw = np.zeros((len(words), run_beats(rows.shape[-1], p) * p.dram_beat_bytes), dtype=np.uint8)
    raw[:, : words.shape[-1]] = words
    return raw.tobytes()


def unpack_words(raw: bytes, count: int, p: TileParams) -> NDArray[np.int64]:
    """The first ``count`` words of one map row."""
    wanted = run_beats(count, p) * p.dram_beat_bytes
    if len(raw) < wanted:
        raise BadInput(f"{count} words want {wanted} bytes, not {len(raw)}")
    return np.frombuffer(raw[:wanted], dtype=_TYPES[p.word_bytes])[:count].astype(np.int64)
