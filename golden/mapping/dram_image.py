"""Words in DRAM: lines of ``synapses`` words, each word little-endian in ``word_bytes``, lines and beats padded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.mapping.layout import lines_of, run_beats
from hw.errors import BadInput
from hw.params import TileParams

_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}


def pack_lines(lines: NDArray[np.int64], p: TileParams) -> bytes:
    """Bytes of lines [..., group, synapses]; each group starts at a beat boundary."""
    if lines.size and (int(lines.min()) < p.fmt.low or int(lines.max()) > p.fmt.high):
        raise BadInput(
            f"words of {p.fmt} want {p.fmt.low} to {p.fmt.high}, not {int(lines.min())} to {int(lines.max())}"
        )
    group = lines.shape[-2]
    flat = lines.reshape(-1, group, p.synapses)
    beats = -(-group // p.lines_per_beat)
    raw = np.zeros((len(flat), beats * p.lines_per_beat, p.line_bytes), dtype=np.uint8)
    words = np.ascontiguousarray(flat.astype(_TYPES[p.word_bytes])).view(np.uint8)
    raw[:, :group, : p.synapses * p.word_bytes] = words.reshape(len(flat), group, -1)
    return raw.tobytes()


def pack_rows(rows: NDArray[np.int64], p: TileParams) -> bytes:
    """Bytes of rows [..., width], each a run of lines from a beat boundary."""
    width = rows.shape[-1]
    lines = lines_of(width, p)
    padded = np.zeros((rows.size // width, lines * p.synapses), dtype=np.int64)
    padded[:, :width] = rows.reshape(-1, width)
    return pack_lines(padded.reshape(-1, lines, p.synapses), p)


def unpack_words(raw: bytes, count: int, p: TileParams) -> NDArray[np.int64]:
    """The first ``count`` words of one run of lines."""
    wanted = run_beats(count, p) * p.dram_beat_bytes
    if len(raw) < wanted:
        raise BadInput(f"{count} words want {wanted} bytes, not {len(raw)}")
    lines = np.frombuffer(raw[:wanted], dtype=np.uint8).reshape(-1, p.line_bytes)
    words = np.frombuffer(lines[:, : p.synapses * p.word_bytes].tobytes(), dtype=_TYPES[p.word_bytes])
    return words[:count].astype(np.int64)
