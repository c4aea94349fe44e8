"""Instruction fetch and control (hw.fetch, hw.control) as the clock sees them, from the Entry to the image's end."""

from collections import deque
from collections.abc import Sequence

from golden.timing.dma import Transfer
from golden.timing.walk import Walk
from hw.isa import Opcode

ENTER, RUN, DECIDE, FINISH, DONE = range(5)

Item = Transfer | Walk | Opcode  # Opcode: WINDOW, DECIDE or END


class Front:
    """Registers of Fetch and Control for one increment run alone.

    send: what is sent to a queue at the end of this cycle. moved: a register has changed. held: instructions that are
    asked for or there.
    """

    __slots__ = ("state", "send", "moved", "address", "_items", "_next", "_segment", "_ahead", "_beats", "_left",
                 "_beat", "held", "_together", "_entry_ahead", "_filling", "_arrived", "_level", "_sent_transfers",
                 "_sent_computes")  # fmt: skip

    def __init__(
        self, program: int, segment: int, items: Sequence[Item], beats: int, fetch_ahead: int, together: int,
        entry_ahead: int,
    ) -> None:  # fmt: skip
        """program, segment: beats where the Entry and the segment of ``items`` lie. beats: of an instruction. together:
        instructions for which there has to be room before one is asked for. entry_ahead: instructions of the segment,
        which lies behind the Entry, that are asked for with it."""
        self.state = ENTER
        self.send: Item | None = None
        self.moved = False
        self.address = program
        self._items, self._segment, self._beats, self._ahead = items, segment, beats, fetch_ahead
        self._together, self._filling = together, False
        self._left, self._next, self._entry_ahead = 1 + entry_ahead, 0, entry_ahead
        self._beat = self.held = self._arrived = self._level = self._sent_transfers = self._sent_computes = 0

    def wants(self) -> bool:
        """Whether an instruction's beat at ``address`` is asked for in this cycle."""
        room = self._ahead - self.held
        return self._left > 0 and (self._beat > 0 or room >= self._together or room > 0 and self._filling)

    def tick(self, transfers: bool, computes: bool, done: int, written: int, quiet: bool) -> None:
        """A cycle: the queues have room; transfers done, computes written; nothing to compute and no request waits."""
        self.send, self.moved = None, False
        room = self._ahead - self.held
        self._filling = room > 0 and (self._filling or room >= self._together)
        if self.state == FINISH:
            self.state, self.moved = DONE, True
        elif not self._level:
            return
        elif self.state == ENTER:
            self._take()
            self.state = RUN
            if self._entry_ahead:
                self._left += len(self._items) - self._entry_ahead
            else:
                self._left, self.address = len(self._items), self._segment
        elif self.state == DECIDE:
            self._take()
            self.state, self._next = RUN, self._next + 1
        else:
            self._dispatch(
                transfers, computes, quiet and done == self._sent_transfers and written == self._sent_computes
            )

    def _dispatch(self, transfers: bool, computes: bool, still: bool) -> None:
        item = self._items[self._next]
        if item is Opcode.DECIDE:
            if still:
                self.state, self.moved = DECIDE, True
        elif item is Opcode.END:
            if still:
                self._take()
                self.state = FINISH
        elif transfers if isinstance(item, Transfer) else computes:
            self._take()
            self._next += 1
            self.send = item

    def _take(self) -> None:
        self.moved = True
        self._level -= 1
        self.held -= 1

    def edge(self, asked: bool, answer: bool, transfers: deque[Transfer], computes: deque[Walk | None]) -> bool:
        """The end of a cycle: a beat was asked for, one has come. Returns whether anything has changed."""
        item = self.send
        if isinstance(item, Transfer):
            transfers.append(item)
            self._sent_transfers += 1
        elif isinstance(item, Walk):
            computes.append(item)
            self._sent_computes += 1
        elif item is not None:
            computes.append(None)
        if asked:
            self.address += 1
            self.held += self._beat == 0
            self._beat += 1
            if self._beat == self._beats:
                self._beat = 0
                self._left -= 1
        if answer:
            self._arrived += 1
            if self._arrived == self._beats:
                self._arrived = 0
                self._level += 1
        return self.moved or asked or answer
