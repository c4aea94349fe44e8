"""The host's registers: no two at one address, and the words are the layouts that the tile reads."""

import re

import pytest

from hw.errors import BadInput
from hw.events import METERED, WEIGHT_BITS
from hw.host import HostRegister, Mode, WeightWord, host_port, mode_word, weight_word
from hw.instructions import MAX_INCREMENTS


def test_registers_have_addresses_of_their_own() -> None:
    addresses = [int(register) for register in HostRegister if register is not HostRegister.THRESHOLD]
    addresses += [HostRegister.THRESHOLD + k for k in range(MAX_INCREMENTS)]
    assert len(set(addresses)) == len(addresses) == 6 + MAX_INCREMENTS
    assert max(addresses) < 1 << host_port().members["address"].shape


def test_the_mode_word_is_the_mode_layout() -> None:
    for direct in (False, True):
        for softmax in (False, True):
            read = Mode.from_bits(mode_word(direct=direct, softmax=softmax))
            assert (read.direct, read.softmax) == (direct, softmax)


def test_the_weight_word_is_its_layout() -> None:
    for place, event in enumerate(METERED):
        for weight in (0, 5 * place, (1 << WEIGHT_BITS) - 1):
            read = WeightWord.from_bits(weight_word(event, weight))
            assert (read.event, read.weight) == (place, weight)


@pytest.mark.parametrize(
    ("event", "weight", "message"),
    [
        ("idle", 1, f"a weight wants an event of {', '.join(METERED)}, not 'idle'"),
        ("multiply", -1, "the weight of multiply wants 0 to 16777215, not -1: take a larger unit"),
        ("cycles", 1 << WEIGHT_BITS, "the weight of cycles wants 0 to 16777215, not 16777216: take a larger unit"),
    ],
)
def test_a_wrong_weight_is_refused(event: str, weight: int, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        weight_word(event, weight)
