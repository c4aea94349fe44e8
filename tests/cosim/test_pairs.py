"""Counts of bits in C against their definitions: what hw.monitor imports, and what all generated code calls."""

import ctypes
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cosim.runner import PAIRS, POPCOUNT
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


ONES = """
#include "popcount.h"
extern "C" unsigned ones(int words, const uint32_t* given) {
    VlWide<5> wide;
    for (int at = 0; at < 5; ++at) wide[at] = given[at];
    if (words == 1) return VL_COUNTONES_I(given[0]);
    if (words == 2) return VL_COUNTONES_Q(given[0] | static_cast<QData>(given[1]) << 32);
    return VL_COUNTONES_W(words, wide);
}
"""


@pytest.mark.parametrize("options", [(), find_toolchain().processor], ids=["plain", "processor"])
def test_ones_are_set_bits(tmp_path: Path, options: Sequence[str]) -> None:
    tools, source, library = find_toolchain(), tmp_path / "ones.cpp", tmp_path / "ones.so"
    asked: list[str | Path] = [tools.perl, tools.verilator, "--getenv", "VERILATOR_ROOT"]
    root = Path(subprocess.run(asked, check=True, capture_output=True, text=True, env=tools.environment).stdout.strip())
    source.write_text(ONES)
    folders = [f"-I{folder}" for folder in (POPCOUNT.parent, root / "include", root / "include" / "vltstd")]
    command: list[str | Path] = [
        tools.cxx,
        "-O3",
        "-shared",
        "-fPIC",
        "-DVL_TIME_CONTEXT",
        *options,
        *folders,
        "-o",
        library,
        source,
    ]
    subprocess.run(command, check=True)
    count, rng = ctypes.CDLL(str(library)).ones, random.Random(2)
    for words in range(1, 6):
        for _ in range(20):
            given = [rng.getrandbits(32) for _ in range(5)]
            assert count(words, packed(given, 32)) == sum(word.bit_count() for word in given[:words])
