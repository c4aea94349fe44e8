"""The host's registers: what can change at run time without touching the program."""

from enum import IntEnum

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Out, Signature

from hw.errors import BadInput
from hw.events import METERED, WEIGHT_BITS


class HostRegister(IntEnum):
    """Register addresses. THRESHOLD is the first of one register per increment. 2 to 5 are those of a tile with
    budget: ENERGY_BUDGET in the meter's units and DELAY_BUDGET in cycles, an image each; WEIGHT takes a `WeightWord`;
    REMEMBER: whether the controller keeps what it knows of an increment when a budget is loosened. Writing WEIGHT or
    REMEMBER makes it forget."""

    CAPACITY = 0
    MODE = 1
    ENERGY_BUDGET = 2
    DELAY_BUDGET = 3
    WEIGHT = 4
    REMEMBER = 5
    THRESHOLD = 8


class Mode(data.Struct):
    """direct: run the increment of the capacity at once, else start at increment 0 (T16 Algorithm 3).
    softmax: margins of softmax scores, thresholds in units of 2**-16; else raw, in units of 2**-(2*frac)."""

    direct: unsigned(1)
    softmax: unsigned(1)


def mode_word(*, direct: bool, softmax: bool) -> int:
    """Value of the MODE register."""
    return int(direct) | int(softmax) << 1


class WeightWord(data.Struct):
    """weight: energy units per count of an event. event: its place in hw.events.METERED."""

    weight: unsigned(WEIGHT_BITS)
    event: unsigned((len(METERED) - 1).bit_length())


def weight_word(event: str, weight: int) -> int:
    """Value of the WEIGHT register that sets the meter's weight of ``event``."""
    if event not in METERED:
        raise BadInput(f"a weight wants an event of {', '.join(METERED)}, not {event!r}")
    if not 0 <= weight < 1 << WEIGHT_BITS:
        raise BadInput(f"the weight of {event} wants 0 to {(1 << WEIGHT_BITS) - 1}, not {weight}: take a larger unit")
    return weight | METERED.index(event) << WEIGHT_BITS


def host_port() -> Signature:
    """Register writes, host's side: taken in the cycle of ``write``."""
    return Signature({"write": Out(1), "address": Out(5), "data": Out(64)})
