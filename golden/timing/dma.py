"""The DMA engine of hw.dma as the clock sees it: requests, answers, and beats on their way into and out of buffers."""

from collections import deque

from hw.instructions import Base, Buffer, Load, Store
from hw.params import TileParams


class Transfer:
    """A transfer in beats: of a run, and the cells that a beat, or the last one of a run, touches."""

    __slots__ = ("wait_dma", "wait_read", "wait_written", "store", "sb", "buffer", "runs", "beats", "last_cells",
                 "bank", "step_bank", "address", "run_beats")  # fmt: skip

    def __init__(self, t: Load | Store, bases: dict[Base, int], p: TileParams) -> None:
        self.wait_dma, self.wait_read, self.wait_written = t.wait_dma, t.wait_read, t.wait_written
        self.store, self.sb, self.buffer = isinstance(t, Store), t.buffer == Buffer.SB, int(t.buffer)
        self.runs, self.beats = t.runs, -(-t.length // p.lines_per_beat) if self.sb else t.length
        self.last_cells = -(-t.last_words // p.cell_words)
        self.bank, self.step_bank = t.bank, t.step_bank
        self.address, self.run_beats = bases[t.base] + t.address, t.run_beats


class Place:
    """Where a requester or a consumer is in its transfer: banks of the beat that comes next (a consumer: those that are
    still to be written), and its DRAM address."""

    __slots__ = ("t", "run", "beat", "bank", "run_bank", "address", "run_address", "banks", "_masks", "_cells")

    def __init__(self, p: TileParams) -> None:
        full = (1 << p.banks) - 1
        self._cells = p.beat_cells
        self._masks = [
            [((1 << cells) - 1) << b & full | ((1 << cells) - 1) << b >> p.banks for b in range(p.banks)]
            for cells in range(p.beat_cells + 1)
        ]
        self.t: Transfer | None = None
        self.run = self.beat = self.bank = self.run_bank = self.address = self.run_address = self.banks = 0

    def begin(self, t: Transfer) -> None:
        self.t, self.run, self.beat = t, 0, 0
        self.bank = self.run_bank = t.bank
        self.address = self.run_address = t.address
        self._touch(t)

    def _touch(self, t: Transfer) -> None:
        if not t.sb:
            self.banks = self._masks[t.last_cells if self.beat == t.beats - 1 else self._cells][self.bank]

    @property
    def last(self) -> bool:
        """Whether the beat is its transfer's last one."""
        t = self.t
        assert t is not None
        return self.beat == t.beats - 1 and self.run == t.runs - 1

    def step(self) -> bool:
        """On to the next beat; returns whether this was the last one."""
        t = self.t
        assert t is not None
        self.beat += 1
        if self.beat < t.beats:
            self.address += 1
            if t.sb:
                return False
            self.bank = (self.bank + self._cells) % len(self._masks[0])
        else:
            self.beat = 0
            self.run += 1
            if self.run == t.runs:
                return True
            self.run_address = self.address = self.run_address + t.run_beats
            self.run_bank = self.bank = (self.run_bank + t.step_bank) % len(self._masks[0])
        self._touch(t)
        return False


class Dma:
    """Registers of Dma. queue: transfers sent by control. done: transfers finished. answers: beats that have come.

    to: where the requester is, of: where the consumer is. beats: what a store has read and DRAM has not taken: address,
    and whether it is the store's last one. reading: one whose words arrive. late: banks of the beat before the
    consumer's that are still to be written. urgent: the consumer's beat has waited for as long as it may. crowded: in
    the cycle before so many answers waited for SB that computes which read a line in every cycle do not.
    """

    __slots__ = ("queue", "done", "answers", "to", "of", "beats", "reading", "late", "_following", "_reserved",
                 "_outstanding", "_stored", "_now_stored", "_depth", "_store_queue", "_patience", "_waited",
                 "_accepted", "_asked", "_crowd", "crowded")  # fmt: skip

    def __init__(self, p: TileParams, under_way: int, store_queue: int, patience: int) -> None:
        self._depth, self._store_queue, self._outstanding = under_way, store_queue, p.dram_outstanding
        self._patience, self._crowd = patience, p.crowd
        self.queue: deque[Transfer] = deque()
        self._following: deque[Transfer] = deque()  # sent on by the requester, not begun by the consumer
        self.to, self.of = Place(p), Place(p)
        self.done = self.answers = self._reserved = self._stored = self.late = self._waited = 0
        self.beats: deque[tuple[int, bool]] = deque()
        self.reading: tuple[int, bool] | None = None
        self._now_stored = self._asked = self.crowded = False
        self._accepted: Transfer | None = None

    def accept(self, read_done: int, written: int) -> None:
        """Whether the queue's head goes to the requester at the end of this cycle. First of a cycle."""
        self._accepted = None
        if self.queue and self.to.t is None and len(self._following) < self._depth:
            head = self.queue[0]
            if self.done >= head.wait_dma and read_done >= head.wait_read and written >= head.wait_written:
                self._accepted = head

    def wants(self) -> tuple[bool, int] | None:
        """The DRAM request of this cycle: is it a write, its address."""
        if self.beats:
            return True, self.beats[0][0]
        t = self.to.t
        if t is not None and not t.store and self.reading is None and self._reserved < self._outstanding:
            return False, self.to.address
        return None

    def sent(self, write: bool) -> None:
        """The arbiter has taken the request."""
        self._asked = not write
        if write:
            self._now_stored = self.beats.popleft()[1]
        elif self.to.step():
            self.to.t = None

    def store(self) -> bool:
        """Whether a beat is to be read for a store in this cycle."""
        t = self.to.t
        return t is not None and t.store and len(self.beats) + (self.reading is not None) < self._store_queue

    @property
    def urgent(self) -> bool:
        return self._waited == self._patience

    def loads(self) -> tuple[int, int]:
        """The neuron buffer that a load writes, -1 for none, and the banks that its cells wait for."""
        t = self.of.t
        if t is None or t.store or t.sb or not (self.answers or self.late):
            return -1, 0
        return t.buffer, self.late | (self.of.banks if self.answers else 0)

    def write(self, banks: int) -> bool:
        """Cells are written to ``banks``, of those that ``loads`` has told; returns whether the consumer's beat is
        done with: all of it is written, or its last cells wait aside. A transfer's last beat waits for all cells."""
        late, self.late = self.late, self.late & ~banks
        of = self.of
        if not self.answers:
            return False
        of.banks &= ~(banks & ~late)
        if (of.banks or self.late) if of.last else (of.banks and self.late):
            self._waited = min(self._waited + 1, self._patience)
            return False
        self.late |= of.banks
        self._waited = 0
        return True

    def edge(self, taken: bool, stored: bool, answer: bool) -> bool:
        """The end of a cycle: a beat of ``answers`` was taken by a buffer, one was read for a store, one has come from
        DRAM. Returns whether anything has changed."""
        moved = taken or stored or answer or self._now_stored or self._asked
        t, retired = self.of.t, False
        self.crowded = t is not None and t.sb and not t.store and self.answers >= self._crowd
        if taken:
            self.answers -= 1
            self._reserved -= 1
            retired = self.of.step()
        elif t is not None and t.store and self._stored:
            self._stored -= 1
            retired = True
        if retired:
            self.done += 1
            self.of.t = t = None
            moved = True
        if t is None and self._following:
            self.of.begin(self._following.popleft())
            moved = True
        if self.reading is not None:
            self.beats.append(self.reading)
            self.reading = None
            moved = True
        if stored:
            self.reading = self._read()
        if self._accepted is not None:
            self.to.begin(self.queue.popleft())
            self._following.append(self._accepted)
            moved = True
        self.answers += answer
        self._reserved += self._asked
        self._stored += self._now_stored
        self._asked = self._now_stored = False
        return moved

    def _read(self) -> tuple[int, bool]:
        address, last = self.to.address, self.to.step()
        if last:
            self.to.t = None
        return address, last
