"""Happens-before of transfers and computes, and per buffer word who wrote and read it last.

Transfers are done strictly in order, and so are computes' reads, and so are computes' writes; sync counts tie the two
engines. A ``Clock`` is what is certainly over when an operation starts: ``dma`` transfers done, ``read`` computes that
have read, ``written`` computes whose results are stored (counts from the segment's start).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.params import TileParams

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Clock:
    dma: int = 0
    read: int = 0
    written: int = 0

    def merge(self, other: "Clock") -> "Clock":
        return Clock(max(self.dma, other.dma), max(self.read, other.read), max(self.written, other.written))


class Order:
    """Clocks of the operations so far. Waits may only name operations that come earlier: then nothing can lock up.

    A transfer starts when its waits are met and the one before has been asked for; transfers end in order. A store
    reads its words after its start, a load writes its words after the end of the transfer before it.
    """

    def __init__(self) -> None:
        self._starts: list[Clock] = [Clock()]
        self._ends: list[Clock] = [Clock()]
        self._computes: list[Clock] = [Clock()]

    @property
    def transfers(self) -> int:
        return len(self._starts) - 1

    @property
    def computes(self) -> int:
        return len(self._computes) - 1

    def _known(self, dma: int, read: int, written: int) -> Clock:
        """What follows from the three counters having reached these values."""
        if dma > self.transfers:
            raise BadInput(f"wait_dma {dma} waits for a transfer that does not come before it; it would wait for ever")
        for name, value in (("wait_read", read), ("wait_written", written)):
            if value > self.computes:
                raise BadInput(
                    f"{name} {value} waits for a compute that does not come before it; it would wait for ever"
                )
        done = max(read, written)
        return Clock(dma, done, written).merge(self._ends[dma]).merge(self._computes[done])

    def transfer(self, dma: int, read: int, written: int, store: bool) -> Clock:
        """What is over when a store reads, or a load writes, its words."""
        start = self._known(dma, read, written).merge(self._starts[-1])
        end = start.merge(Clock(dma=self.transfers))
        self._starts.append(start)
        self._ends.append(end)
        return start if store else end

    def compute(self, dma: int, read: int, written: int) -> Clock:
        """What is over when a compute reads its first words."""
        clock = self._known(dma, read, written).merge(Clock(read=self.computes)).merge(self._computes[-1])
        self._computes.append(clock)
        return clock


class Words:
    """Last writer and readers of every word of a buffer, as counts (0: none) of transfers and of computes."""

    def __init__(self, name: str, words: int) -> None:
        self.name = name
        self._known = np.zeros(words, dtype=bool)
        self._write_dma, self._write_compute = np.zeros(words, dtype=np.int64), np.zeros(words, dtype=np.int64)
        self._read_dma, self._read_compute = np.zeros(words, dtype=np.int64), np.zeros(words, dtype=np.int64)

    def _refuse(self, words: Ints, late: NDArray[np.bool_], what: str) -> None:
        if late.any():
            raise BadInput(f"{int(late.sum())} words of {self.name}, first {int(words[late][0])}, {what}")

    def _inside(self, words: Ints) -> None:
        outside = (words < 0) | (words >= len(self._known))
        self._refuse(words, outside, f"lie outside its {len(self._known)} words")

    def read(self, words: Ints, clock: Clock, *, dma: int = 0, compute: int = 0) -> None:
        """Words read by transfer number ``dma`` or compute number ``compute`` (numbers from 1)."""
        self._inside(words)
        self._refuse(words, ~self._known[words], "are read but were never written")
        self._refuse(
            words,
            (self._write_dma[words] > clock.dma) | (self._write_compute[words] > clock.written),
            "are read before their writer is known to be done; raise its wait counts",
        )
        target, number = (self._read_dma, dma) if dma else (self._read_compute, compute)
        target[words] = number

    def write(self, words: Ints, clock: Clock, *, dma: int = 0, compute: int = 0) -> None:
        """Words written likewise. A compute writes after all earlier computes' accesses and its own reads."""
        self._inside(words)
        late = self._write_dma[words] > clock.dma
        late |= self._read_dma[words] > clock.dma
        if dma:
            late |= (self._read_compute[words] > clock.read) | (self._write_compute[words] > clock.written)
        self._refuse(words, late, "are overwritten before their users are known to be done; raise its wait counts")
        self._known[words] = True
        self._write_dma[words], self._write_compute[words] = dma, compute
        self._read_dma[words] = self._read_compute[words] = 0


def buffers(p: TileParams) -> tuple[Words, Words, Words]:
    """NBin, NBout (word = cell * cell_words + place in it) and SB ((row * neurons + neuron) * synapses + lane)."""
    return (
        Words("NBin", p.nbin_rows * p.row_words),
        Words("NBout", p.nbout_rows * p.row_words),
        Words("SB", p.sb_rows * p.neurons * p.synapses),
    )
