"""The toggles that energy per toggle is divided by."""

from hw.params import NumberFormat
from synth.stimulus import FORMATS, SIGNALS, STIMULI, TOGGLES_CSV, mac_toggles, table, toggles


def test_the_committed_table_is_what_the_script_counts() -> None:
    assert TOGGLES_CSV.read_text(encoding="utf-8") == table()


def test_toggles_of_a_few_words_by_hand() -> None:
    # 0 -> 5 two bits, 5 -> -1 in four bits: 0101 -> 1111 two bits, -1 -> 0 four bits
    assert toggles([5, -1, 0], 4) == 8
    assert toggles([0, 0], 4) == 0


def test_uniform_words_change_half_their_bits() -> None:
    # 1,500 words of n fair bits: n/2 changes a cycle, standard deviation sqrt(n/4) per cycle
    for fmt in FORMATS:
        counts = mac_toggles(fmt, "uniform")
        for signal in ("operand", "weight"):
            spread = 5 * (1500 * fmt.width / 4) ** 0.5
            assert abs(counts[signal] - 750 * fmt.width) < spread


def test_cnn_data_change_fewer_bits_than_uniform_data() -> None:
    assert STIMULI == ("cnn", "uniform")
    for fmt in FORMATS:
        cnn, uniform = (mac_toggles(fmt, stimulus) for stimulus in STIMULI)
        assert cnn.keys() == set(SIGNALS)
        for signal in ("operand", "product", "accumulator"):
            assert 0 < cnn[signal] < uniform[signal]
    assert mac_toggles(NumberFormat(16, 10), "cnn") != mac_toggles(NumberFormat(32, 16), "cnn")
