"""The host's registers: no two at one address, and the mode word is the layout that control reads."""

from hw.host import HostRegister, Mode, host_port, mode_word
from hw.instructions import MAX_INCREMENTS


def test_registers_have_addresses_of_their_own() -> None:
    addresses: list[int] = [HostRegister.CAPACITY, HostRegister.MODE]
    addresses += [HostRegister.THRESHOLD + k for k in range(MAX_INCREMENTS)]
    assert len({int(address) for address in addresses}) == len(addresses) == 2 + MAX_INCREMENTS
    assert max(addresses) < 1 << host_port().members["address"].shape


def test_the_mode_word_is_the_mode_layout() -> None:
    for direct in (False, True):
        for softmax in (False, True):
            read = Mode.from_bits(mode_word(direct=direct, softmax=softmax))
            assert (read.direct, read.softmax) == (direct, softmax)
