"""The host's registers: what can change at run time without touching the program."""

from enum import IntEnum

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Out, Signature


class HostRegister(IntEnum):
    """Register addresses. THRESHOLD is the first of one register per increment."""

    CAPACITY = 0
    MODE = 1
    THRESHOLD = 8


class Mode(data.Struct):
    """direct: run the increment of the capacity at once, else start at increment 0 (T16 Algorithm 3).
    softmax: margins of softmax scores, thresholds in units of 2**-16; else raw, in units of 2**-(2*frac)."""

    direct: unsigned(1)
    softmax: unsigned(1)


def mode_word(*, direct: bool, softmax: bool) -> int:
    """Value of the MODE register."""
    return int(direct) | int(softmax) << 1


def host_port() -> Signature:
    """Register writes, host's side: taken in the cycle of ``write``."""
    return Signature({"write": Out(1), "address": Out(5), "data": Out(64)})
