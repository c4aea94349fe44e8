"""Checks an encoded program before it is run: it decodes every instruction from the DRAM image and follows what it
reads and writes, word by word, under the sync counts.

Every increment is followed as it starts anew, and so is the run that escalates from the smallest to the largest one: a
resumed segment may read scratch words that a segment before it has left.

A program that passes reads no word that was not written before, overwrites none that is still needed, keeps within
every size of the tile, cannot lock up, and leaves all scores in the result area.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.hazards import Clock, Ints, Order, buffers
from golden.mapping.layout import run_beats
from golden.mapping.mapped import Mapped
from golden.verify_compute import Computes
from golden.verify_window import want
from hw.errors import BadInput
from hw.instructions import ENTRY_AHEAD, Base, Buffer, Compute, Decide, End, Entry, Instruction, Load, Store, Window
from hw.isa import isa
from hw.params import TileParams

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Checked:
    """What was followed: a pass on nothing is no pass."""

    instructions: int
    words_read: int
    words_written: int

    def and_(self, segment: "_Segment") -> "Checked":
        return Checked(
            self.instructions + segment.instructions,
            self.words_read + segment.words_read,
            self.words_written + segment.words_written,
        )


@contextmanager
def _place(text: str) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{text}: {error}") from None


def verify(mapped: Mapped) -> Checked:
    """Check every segment of ``mapped``'s program as it lies in its image; BadInput names the instruction."""
    p = mapped.params
    with _place("entry"):
        entry = _decode(mapped, mapped.program_address, 1)[0]
        if not isinstance(entry, Entry):
            raise BadInput(f"an ENTRY is wanted at beat {mapped.program_address}, not {entry.opcode.name}")
        behind = mapped.program_address + isa(p).instruction_beats
        want(
            entry.address[0] == behind and entry.length[0] >= ENTRY_AHEAD,
            f"the first segment wants to lie at beat {behind} and to have {ENTRY_AHEAD} instructions or more, not at "
            f"{entry.address[0]} with {entry.length[0]}",
        )
    total = Checked(1, 0, 0)
    chain: _Segment | None = None  # the last one of an escalated run from the smallest increment on
    for increment in range(len(mapped.fresh)):
        start = (entry.address[increment], entry.length[increment])
        resumes = chain is not None and chain.following != start
        fresh = _follow(mapped, entry, increment, start, None, not resumes)
        total = total.and_(fresh)
        if resumes:
            assert chain is not None
            chain = _follow(mapped, entry, increment, chain.following, chain.kept, True)
            total = total.and_(chain)
        else:
            chain = fresh
    want(
        len(mapped.image) >= mapped.scratch_address * p.dram_beat_bytes,
        f"an image of {mapped.scratch_address * p.dram_beat_bytes} bytes up to the scratch area is wanted, not of "
        f"{len(mapped.image)}",
    )
    want(p.dram_beats >= mapped.result_address + mapped.result_beats, "result area lies outside DRAM")
    return total


def _follow(
    mapped: Mapped, entry: Entry, increment: int, place: tuple[int, int], kept: Flags | None, escalates: bool
) -> "_Segment":
    """Check the segment at ``place`` (address, length). kept: None, or scratch beats that the segment before wrote;
    escalates: it is part of the run that escalates from the smallest increment on."""
    name = f"increment {increment}" + (", resumed" if kept is not None else "")
    with _place(name):
        code = _decode(mapped, *place)
    segment = _Segment(mapped, increment, entry, kept, escalates)
    for index, instruction in enumerate(code):
        with _place(f"{name}, instruction {index} ({instruction.opcode.name})"):
            segment.step(instruction)
    with _place(name):
        segment.close()
    return segment


def _decode(mapped: Mapped, beat: int, count: int) -> list[Instruction]:
    coder = isa(mapped.params)
    first, size = beat * mapped.params.dram_beat_bytes, coder.instruction_bytes
    want(
        count > 0 and first + count * size <= len(mapped.image),
        f"{count} instructions from beat {beat} on want to lie in the image of {len(mapped.image)} bytes",
    )
    found = []
    for index in range(count):
        with _place(f"instruction {index}"):
            raw = mapped.image[first + index * size : first + (index + 1) * size]
            try:
                found.append(coder.decode(raw))
            except ValueError as error:  # BadInput too: an opcode, buffer, base or pooling that does not exist
                raise BadInput(f"cannot be decoded, {error}") from None
    return found


class _Segment:
    """Abstract state of the machine while one segment runs.

    following: address and length of the segment that it escalates to. kept: scratch beats written when it does.
    """

    def __init__(self, mapped: Mapped, increment: int, entry: Entry, kept: Flags | None, escalates: bool) -> None:
        self.mapped, self.increment, self.entry, self.escalates = mapped, increment, entry, escalates
        self.p: TileParams = mapped.params
        self.order = Order()
        self.buffers = buffers(self.p)
        self.scratch = np.zeros(mapped.scratch_beats, dtype=bool) if kept is None else kept.copy()
        self.result = np.zeros(mapped.result_beats, dtype=bool)
        self.computes = Computes(self.p)
        self.decided = self.ended = False
        self.instructions = self.words_read = self.words_written = 0
        self.following = (0, 0)
        self.kept = self.scratch

    def step(self, instruction: Instruction) -> None:
        want(not self.ended, "nothing may follow END")
        self.instructions += 1
        if isinstance(instruction, Load | Store):
            self._transfer(instruction)
        elif isinstance(instruction, Window):
            self.computes.take_window(instruction)
        elif isinstance(instruction, Compute):
            want(not self.decided, "no compute may follow DECIDE")
            self._compute(instruction)
        elif isinstance(instruction, Decide):
            self._decide(instruction)
        elif isinstance(instruction, End):
            self.ended = True
        else:
            raise BadInput("ENTRY is wanted only at the program's start")

    def close(self) -> None:
        want(self.ended and self.decided, "a segment wants one DECIDE and an END as its last instruction")
        wanted = run_beats(self.mapped.classes, self.p)
        want(bool(self.result[:wanted].all()), f"{wanted} beats of scores want to be stored in the result area")

    def _decide(self, d: Decide) -> None:
        count = len(self.mapped.fresh)
        last = self.increment == count - 1
        want(not self.decided, "one DECIDE a segment is wanted")
        want(d.increment == self.increment, f"increment {self.increment} is wanted, not {d.increment}")
        want(d.last == last, f"last {int(last)} is wanted, not {d.last}")
        if not last:
            wanted = (self.entry.address[self.increment + 1], self.entry.length[self.increment + 1])
            resumed = self.mapped.resumed[self.increment + 1]
            if self.escalates and resumed is not None:
                wanted = (resumed.address, len(resumed.code))
            want((d.address, d.length) == wanted, f"the next segment {wanted} is wanted, not {(d.address, d.length)}")
        self.computes.close(self.mapped.classes)
        self.decided, self.following, self.kept = True, (d.address, d.length), self.scratch.copy()

    # -- transfers -----------------------------------------------------------------------------------------------

    def _transfer(self, t: Load | Store) -> None:
        p = self.p
        clock = self.order.transfer(t.wait_dma, t.wait_read, t.wait_written, isinstance(t, Store))
        number = self.order.transfers
        want(
            t.runs >= 1 and t.length >= 1, f"at least one run of one beat or line is wanted, not {t.runs} of {t.length}"
        )
        to_synapses = t.buffer == Buffer.SB
        want(not to_synapses or isinstance(t, Load), "a store wants NBin or NBout, not SB")
        most = p.synapses if to_synapses else p.beat_words
        want(1 <= t.last_words <= most, f"last_words wants 1 to {most}, not {t.last_words}")
        beats = -(-t.length // p.lines_per_beat) if to_synapses else t.length
        self._dram(t, t.address + np.arange(t.runs)[:, None] * t.run_beats + np.arange(beats))
        if to_synapses:
            self._write(Buffer.SB, self._synapses(t), clock, dma=number)
            return
        want(t.bank < p.banks and t.step_bank < p.banks, f"banks want to be below {p.banks}")
        length = (t.length - 1) * p.beat_words + t.last_words
        cells = t.row * p.banks + t.bank + np.arange(t.runs) * (t.step_row * p.banks + t.step_bank)
        words = (cells[:, None] * p.cell_words + np.arange(length)) % (p.row_words << isa(p).row_bits)
        if isinstance(t, Load):
            self._write(t.buffer, words.reshape(-1), clock, dma=number)
        else:
            self.buffers[t.buffer].read(words.reshape(-1), clock, dma=number)
            self.words_read += words.size

    def _synapses(self, t: Load | Store) -> Ints:
        """Words of SB that a load writes."""
        p = self.p
        want(
            1 <= t.groups <= p.groups and t.length * t.groups <= p.neurons,
            f"an SB load wants at most {p.neurons} neurons in 1 to {p.groups} groups, not {t.groups} x {t.length}",
        )
        want(t.row + t.runs <= p.sb_rows, f"SB rows {t.row} to {t.row + t.runs - 1} want to be below {p.sb_rows}")
        lines = ((t.row + np.arange(t.runs)) * p.neurons)[:, None] + np.arange(t.length * t.groups)
        words = lines[..., None] * p.synapses + np.arange(p.synapses)
        keep = np.ones(words.shape, dtype=bool)
        keep[-1, :, t.last_words :] = False
        return words[keep]

    def _dram(self, t: Load | Store, beats: Ints) -> None:
        """Where the beats of a transfer lie in DRAM, and that what is loaded was ever written."""
        mapped = self.mapped
        low, high = int(beats.min()), int(beats.max())
        if isinstance(t, Store):
            area = self.result if t.base == Base.RESULT else self.scratch
            first = 0 if t.base == Base.RESULT else mapped.scratch_address
            want(t.base != Base.IMAGE, "a store wants the scratch or result area, not the image")
            want(
                first <= low and high < first + len(area),
                f"DRAM beats {low} to {high} want to lie in {first} to {first + len(area) - 1}",
            )
            area[beats - first] = True
            return
        want(t.base != Base.RESULT, "a load from the result area is not wanted")
        if t.base == Base.IMAGE:
            count = mapped.image_beats
            want(high < count, f"beats {low} to {high} lie outside the image's {count} beats")
            return
        loaded = beats[beats >= mapped.scratch_address] - mapped.scratch_address
        known = bool((loaded < len(self.scratch)).all()) and bool(self.scratch[loaded].all())
        want(known, f"DRAM beats {low} to {high} are read but were never written")

    def _write(self, buffer: Buffer, words: Ints, clock: Clock, *, dma: int = 0, compute: int = 0) -> None:
        self.buffers[buffer].write(words, clock, dma=dma, compute=compute)
        self.words_written += len(words)

    # -- computes ------------------------------------------------------------------------------------------------

    def _compute(self, c: Compute) -> None:
        clock = self.order.compute(c.wait_dma, c.wait_read, c.wait_written)
        number = self.order.computes
        touched = self.computes.take(c, number, clock.written)
        self.buffers[Buffer.SB].read(touched.synapses, clock, compute=number)
        self.buffers[c.source].read(touched.source, clock, compute=number)
        self.words_read += len(touched.synapses) + len(touched.source)
        if c.finish:
            self._write(c.target, touched.target, clock, compute=number)
