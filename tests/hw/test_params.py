"""Parameters and number formats: the sizes of the presets, the rounding rule, and every refusal."""

import math
import random
from fractions import Fraction

import pytest

from hw.errors import BadInput
from hw.params import PRESETS, NumberFormat, TileParams, bits_for, preset


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65])
def test_bits_for_is_the_least_width(count: int) -> None:
    bits = bits_for(count)
    assert 1 << bits >= count
    assert bits == 1 or 1 << (bits - 1) < count


def test_limbs_by_hand() -> None:
    fmt = NumberFormat(8, 4)
    for wide in (0, 1, -1, 5000, -5000, 1 << 14, -(1 << 14)):
        low, high = fmt.limb(wide, 1, False), fmt.limb(wide, 2, True)
        assert (low, high) == (wide % 128, wide // 128)
        assert low + (high << 7) == wide
    assert [fmt.limb(-1, number, False) for number in (1, 2, 3)] == [127, 127, 127]


def test_paper32_is_the_published_machine() -> None:
    p = preset("paper32")
    assert (p.neurons, p.synapses, str(p.fmt), p.clock_mhz) == (16, 16, "<32,16>", 250.0)
    assert (p.sb_bytes, p.nbin_bytes, p.nbout_bytes) == (80 << 10, 5 << 10, 5 << 10)
    assert (p.line_bytes, p.lines_per_beat, p.beat_bits) == (64, 1, 512)
    assert (p.banks, p.cell_words, p.row_words, p.beat_words, p.beat_cells) == (16, 4, 64, 16, 4)


def test_paper16_has_the_same_bytes() -> None:
    wide, narrow = preset("paper32"), preset("paper16")
    assert str(narrow.fmt) == "<16,10>"
    for name in ("sb_bytes", "nbin_bytes", "nbout_bytes"):
        assert getattr(narrow, name) == getattr(wide, name)


def test_odd_pads_its_lines() -> None:
    p = preset("odd")
    assert (p.synapses * p.word_bytes, p.line_bytes, p.lines_per_beat) == (20, 32, 2)
    assert p.dram_lines == 2 * p.dram_beats
    assert (p.beat_words, p.beat_cells, p.row_words, p.buffer_rows) == (16, 8, 18, (22, 19))  # rows of maps are dense


def test_two_rows_want_halves_of_whole_cells() -> None:
    assert [name for name in PRESETS if preset(name).pairs_rows] == ["paper32", "paper16", "small"]
    assert not preset("small").replace(groups=1).pairs_rows
    assert not preset("small").replace(groups=2, cell_words=4).pairs_rows


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_survive_a_dictionary(name: str) -> None:
    p = preset(name)
    assert p.name == name
    assert TileParams.from_dict(p.as_dict()) == p
    assert TileParams.from_dict(p.as_dict()).hash == p.hash


def test_the_hash_sees_every_parameter() -> None:
    p = preset("small").replace(groups=2)
    changed = [
        p.replace(name="other"), p.replace(neurons=3), p.replace(synapses=8), p.replace(fmt=NumberFormat(16, 9)),
        p.replace(accumulator_width=41), p.replace(nbin_rows=95), p.replace(nbout_rows=95), p.replace(sb_rows=47),
        p.replace(banks=9), p.replace(cell_words=4), p.replace(groups=3),
        p.replace(accumulators=9), p.replace(pool_entries=17), p.replace(dram_beat_bytes=32),
        p.replace(dram_outstanding=9), p.replace(dram_bytes=1 << 23), p.replace(increments=3),
        p.replace(clock_ns=5.0), p.replace(counters=False), p.replace(activity=True), p.replace(budget=True),
    ]  # fmt: skip
    assert len(changed) == len(p.as_dict())
    assert len({q.hash for q in changed} | {p.hash}) == len(changed) + 1


def test_a_tile_without_budget_keeps_its_name() -> None:
    """Measured results hold hashes from before tiles could have one."""
    assert preset("paper32").hash == "1c4fec54e7ed"
    assert preset("paper32").replace(activity=True).hash == "b5ceee62cb9b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": 0}, "neurons wants an integer from 1 to 64, not 0"),
        ({"neurons": 5}, "neurons wants at most synapses = 4, not 5"),
        ({"neurons": 2.0}, "neurons wants an integer from 1 to 64, not 2.0"),
        ({"synapses": 65}, "synapses wants an integer from 2 to 64, not 65"),
        ({"nbin_rows": 1}, "nbin_rows wants an integer from 2 to 4096, not 1"),
        ({"nbout_rows": 4097}, "nbout_rows wants an integer from 2 to 4096, not 4097"),
        ({"sb_rows": 1}, "sb_rows wants an integer from 2 to 4096, not 1"),
        ({"banks": 33}, "banks wants an integer from 2 to 32, not 33"),
        ({"cell_words": 9}, "cell_words wants an integer from 1 to 8, not 9"),
        ({"groups": 0}, "groups wants an integer from 1 to 4, not 0"),
        ({"groups": 5}, "groups wants an integer from 1 to 4, not 5"),
        ({"cell_words": 3}, "a divisor of the 8 words of a beat that makes at most banks = 8 cells of it, not 3"),
        ({"banks": 3}, "a divisor of the 8 words of a beat that makes at most banks = 3 cells of it, not 2"),
        ({"cell_words": 8}, "cell_words wants at most synapses = 4, not 8"),
        ({"accumulators": 1}, "accumulators wants an integer from 2 to 256, not 1"),
        ({"pool_entries": 0}, "pool_entries wants an integer from 1 to 256, not 0"),
        ({"dram_outstanding": 65}, "dram_outstanding wants an integer from 2 to 64, not 65"),
        ({"increments": 9}, "increments wants an integer from 2 to 8, not 9"),
        ({"increments": 1}, "increments wants an integer from 2 to 8, not 1"),
        ({"accumulator_width": 33}, "accumulator_width of <16,10> with 4 synapses wants 34 to 64 bits, not 33"),
        ({"accumulator_width": 65}, "accumulator_width of <16,10> with 4 synapses wants 34 to 64 bits, not 65"),
        ({"clock_ns": 0.0}, "clock_ns wants a positive period, not 0.0"),
        ({"dram_beat_bytes": 24}, "a power of two that holds whole 8-byte lines of 4 <16,10> words, not 24"),
        ({"dram_beat_bytes": 4}, "a power of two that holds whole 8-byte lines of 4 <16,10> words, not 4"),
        ({"dram_bytes": 17}, "dram_bytes wants a positive multiple of 16, not 17"),
        ({"dram_bytes": 0}, "dram_bytes wants a positive multiple of 16, not 0"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        preset("small").replace(**changes)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_other_refusals() -> None:
    with pytest.raises(BadInput, match="preset wants one of paper32, paper16, small, odd, not 'big'"):
        preset("big")
    with pytest.raises(BadInput, match="tile parameters want only .*, not \\['colour'\\]"):
        TileParams.from_dict({**preset("small").as_dict(), "colour": 1})
    with pytest.raises(BadInput, match="number format wants a width of 4 to 32 bits, not 33"):
        NumberFormat(33, 16)
    with pytest.raises(BadInput, match="number format wants 0 to width-1 = 15 fraction bits, not 16"):
        NumberFormat(16, 16)
    for text in ("16", "<a,b>", "16,8,1"):
        with pytest.raises(BadInput, match="number format wants two integers like <32,16>, not"):
            NumberFormat.parse(text)
    with pytest.raises(BadInput, match="a finite number is wanted for format <16,10>, not nan"):
        NumberFormat(16, 10).quantise(math.nan)


@pytest.mark.parametrize("fmt", [NumberFormat(32, 16), NumberFormat(16, 10), NumberFormat(8, 0), NumberFormat(4, 3)])
def test_one_rounding_rule(fmt: NumberFormat) -> None:
    """Half up, then saturate: quantise and narrow are the same rule seen from a real and from an exact sum."""
    rng = random.Random(1)
    assert NumberFormat.parse(str(fmt)) == fmt
    for _ in range(500):
        wide = rng.randint(-(1 << 2 * fmt.width), 1 << 2 * fmt.width) >> rng.randrange(2 * fmt.width)
        exact = Fraction(wide, fmt.scale)
        rounded = math.floor(exact + Fraction(1, 2))
        assert fmt.narrow(wide) == min(max(rounded, fmt.low), fmt.high)
    for code in (fmt.low, -1, 0, 1, fmt.high):
        assert fmt.quantise(code / fmt.scale) == code
        assert fmt.quantise((code + 0.5) / fmt.scale) == min(code + 1, fmt.high)
    assert fmt.quantise(1e30) == fmt.high
    assert fmt.quantise(-1e30) == fmt.low
