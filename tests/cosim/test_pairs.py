"""The C function that hw.monitor imports, against the definition, for every width of a number format."""

import ctypes
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cosim.runner import PAIRS
from cosim.toolchain import find_toolchain
from hw.monitor import DIGIT_PAIRS

LANES = 37  # ends within a word for most widths

pytestmark = pytest.mark.cosim


def packed(lanes: Sequence[int], bits: int) -> ctypes.Array[ctypes.c_uint32]:
    """Lanes side by side in 32-bit words, the first one lowest."""
    whole = sum(word << (number * bits) for number, word in enumerate(lanes))
    words = -(-len(lanes) * bits // 32)
    return (ctypes.c_uint32 * words)(*(whole >> (32 * at) & 0xFFFFFFFF for at in range(words)))


def digit_changes(word: int, bits: int) -> int:
    """Bits that differ from the next lower one, the lowest from 0."""
    text = f"{word:0{bits}b}0"
    return sum(a != b for a, b in zip(text, text[1:], strict=False))


def test_digit_pairs_are_changed_bits_times_digit_changes(tmp_path: Path) -> None:
    library = tmp_path / "pairs.so"
    subprocess.run([find_toolchain().cxx, "-O3", "-shared", "-fPIC", "-o", library, PAIRS], check=True)
    count = getattr(ctypes.CDLL(str(library)), DIGIT_PAIRS)
    count.restype = ctypes.c_uint32
    rng = random.Random(1)
    for bits in range(4, 33):
        now, was, beside = ([rng.getrandbits(bits) for _ in range(LANES)] for _ in range(3))
        wanted = sum(
            (new ^ old).bit_count() * digit_changes(word, bits) for new, old, word in zip(now, was, beside, strict=True)
        )
        assert wanted > 0
        assert count(*(packed(words, bits) for words in (now, was, beside)), LANES, bits) == wanted, bits
