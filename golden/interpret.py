"""A slow, independent interpreter of an encoded program: the machine word by word, one instruction after the other.

It reads nothing but DRAM bytes and tile parameters and follows hw.instructions to the letter, so it shows that a
program and its DRAM image are right before there is hardware, and finds the first wrong step afterwards. Its counts are
taken as the work happens; golden.counts gives the same in closed form. golden.interpret_gather is its operands' part,
golden.interpret_pool its pooling.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.interpret_gather import Gather, passes_of
from golden.interpret_pool import Pooling
from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import (
    ENTRY_AHEAD,
    Base,
    Buffer,
    Compute,
    Decide,
    End,
    Entry,
    Instruction,
    Load,
    Pool,
    Store,
    Window,
)
from hw.isa import isa
from hw.params import QUARTERS, TileParams

Ints = NDArray[np.int64]


class Dram:
    """Beats of words, with a mark on those that were ever written."""

    def __init__(self, params: TileParams, raw: bytes) -> None:
        self.p = params
        self.raw = bytearray()
        self.known = bytearray()
        self._type = np.dtype(f"<i{params.word_bytes}")
        self.put(0, raw)

    def put(self, beat: int, raw: bytes) -> None:
        """Preload bytes at a beat; a last beat that they fill in part counts as written."""
        size = self.p.dram_beat_bytes
        count = -(-len(raw) // size)
        self._grow(beat + count)
        self.raw[beat * size : beat * size + len(raw)] = raw
        self.known[beat : beat + count] = b"\1" * count

    def _grow(self, beats: int) -> None:
        if beats > self.p.dram_beats:
            raise BadInput(f"DRAM beat {beats - 1} lies outside the {self.p.dram_beats} beats of {self.p.name}")
        if beats > len(self.known):
            self.raw.extend(bytes(beats * self.p.dram_beat_bytes - len(self.raw)))
            self.known.extend(bytes(beats - len(self.known)))

    def beats(self, beat: int, count: int) -> bytes:
        size = self.p.dram_beat_bytes
        return bytes(self.raw[beat * size : (beat + count) * size])

    def words(self, beat: int) -> Ints:
        """The words of a map in one beat."""
        if beat >= len(self.known) or not self.known[beat]:
            raise BadInput(f"DRAM beat {beat} is read but was never written")
        return np.frombuffer(self.beats(beat, 1), dtype=self._type).astype(np.int64)

    def lines(self, beat: int) -> Ints:
        """The weight lines of one beat [lines_per_beat, synapses]."""
        p = self.p
        return self.words(beat).reshape(p.lines_per_beat, -1)[:, : p.synapses]

    def set_words(self, beat: int, words: Ints) -> None:
        """Write a whole beat, zeros after ``words``."""
        self.put(beat, words.astype(self._type).tobytes().ljust(self.p.dram_beat_bytes, b"\0"))


@dataclass
class Outcome:
    """What a run gives: words in the order of emission, wide scores per increment, events, where it stopped."""

    words: list[int] = field(default_factory=list)
    scores: list[list[int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=lambda: Counter({event.name: 0 for event in WORK}))
    stopped: int = 0


class Interpreter:
    """Runs programs of one tile on one DRAM."""

    def __init__(self, params: TileParams, dram: Dram, program_address: int = 0) -> None:
        self.p = params
        self.isa = isa(params)
        self.dram = dram
        self.program_address = program_address

    def run(self, start: int, escalations: int, image: int, result: int) -> Outcome:
        """Run the image at beat ``image`` from increment ``start`` on, escalating ``escalations`` times."""
        self.out = Outcome()
        self.base = {Base.ABSOLUTE: 0, Base.IMAGE: image, Base.RESULT: result}
        entry = self._fetch(self.program_address, 1)[0]
        assert isinstance(entry, Entry)
        self.out.counts["instructions"] += 1
        address, length = entry.address[start], entry.length[start]
        behind = self.program_address + self.isa.instruction_beats
        if start == 0 and (address != behind or length < ENTRY_AHEAD):
            raise BadInput(
                f"increment 0 is fetched from beat {behind} on, at least {ENTRY_AHEAD} instructions: {entry}"
            )
        while True:
            following = self._segment(address, length, escalations)
            if following is None:
                return self.out
            address, length = following
            escalations -= 1

    def _fetch(self, beat: int, count: int) -> list[Instruction]:
        beats, size = self.isa.instruction_beats, self.isa.instruction_bytes
        self.out.counts["dram_read"] += beats * count
        raw = self.dram.beats(beat, beats * count)
        return [self.isa.decode(raw[i * size : (i + 1) * size]) for i in range(count)]

    def _clear(self) -> None:
        """Buffers hold nothing at the start of a segment."""
        p = self.p
        self.buffers = [np.zeros((rows, p.row_words), dtype=np.int64) for rows in p.buffer_rows]
        self.buffer_known = [np.zeros((rows, p.row_words), dtype=bool) for rows in p.buffer_rows]
        self.sb = np.zeros((p.sb_rows, p.neurons, p.synapses), dtype=np.int64)
        self.sb_known = np.zeros((p.sb_rows, p.neurons, p.synapses), dtype=bool)
        self.bias = np.zeros(p.neurons, dtype=np.int64)
        # by accumulator: a word per channel of every pixel of the step that goes on there
        self.sums: dict[int, list[Ints]] = {}
        self.pooling = Pooling(p)
        self.out.scores.append([])

    def _segment(self, address: int, length: int, escalations: int) -> tuple[int, int] | None:
        """Run a segment; the next one's address and length when it escalates."""
        self._clear()
        for instruction in self._fetch(address, length):
            self.out.counts["instructions"] += 1
            if isinstance(instruction, Load | Store):
                self._transfer(instruction)
            elif isinstance(instruction, Window):
                self.window = instruction
            elif isinstance(instruction, Compute):
                self._compute(instruction)
            elif isinstance(instruction, Decide):
                self.out.counts["decision"] += 1
                self.out.stopped = instruction.increment
                if escalations and not instruction.last:
                    return instruction.address, instruction.length
            elif isinstance(instruction, End):
                return None
        raise BadInput("a segment ends without End")

    # -- buffers -------------------------------------------------------------------------------------------------

    def _places(self, buffer: Buffer, words: Ints) -> Ints:
        """Places of words (numbered from cell 0 on) in a neuron buffer; rows wrap at the width of their field."""
        places = words % (self.p.row_words << self.isa.row_bits)
        outside = places >= self.p.buffer_rows[buffer] * self.p.row_words
        if outside.any():
            row = int(places[outside][0]) // self.p.row_words
            raise BadInput(f"{_NAMES[buffer]} has {self.p.buffer_rows[buffer]} rows, row {row} is used")
        return places

    def _cell(self, row: int, bank: int) -> int:
        return row * self.p.banks + bank

    # -- transfers -----------------------------------------------------------------------------------------------

    def _transfer(self, t: Load | Store) -> None:
        p = self.p
        for run in range(t.runs):
            beat = self.base[t.base] + t.address + run * t.run_beats
            if t.buffer == Buffer.SB:
                self._load_lines(t, beat, t.row + run, t.last_words if run == t.runs - 1 else p.synapses)
                continue
            cell = self._cell(t.row, t.bank) + run * self._cell(t.step_row, t.step_bank)
            count = (t.length - 1) * p.beat_words + t.last_words
            places = self._places(t.buffer, cell * p.cell_words + np.arange(count))
            if isinstance(t, Load):
                self._load(t, beat, places)
            else:
                self._store(t, beat, places)

    def _load_lines(self, t: Load | Store, beat: int, row: int, words: int) -> None:
        p = self.p
        beats = -(-t.length // p.lines_per_beat)
        lines = np.concatenate([self.dram.lines(beat + i) for i in range(beats)])[: t.length, :words]
        for group in range(t.groups):
            neurons = slice(group * t.length, (group + 1) * t.length)
            self.sb[row, neurons, :words] = lines
            self.sb_known[row, neurons, :words] = True
        self.out.counts["dram_read"] += beats
        self.out.counts["sb_write"] += t.groups * lines.size

    def _load(self, t: Load, beat: int, places: Ints) -> None:
        words = np.concatenate([self.dram.words(beat + i) for i in range(t.length)])
        self.buffers[t.buffer].reshape(-1)[places] = words[: len(places)]
        self.buffer_known[t.buffer].reshape(-1)[places] = True
        self.out.counts["dram_read"] += t.length
        self.out.counts[f"{_NAMES[t.buffer]}_write"] += len(places)

    def _store(self, t: Store, beat: int, places: Ints) -> None:
        if not self.buffer_known[t.buffer].reshape(-1)[places].all():
            raise BadInput(f"a store reads words of {_NAMES[t.buffer]} that were never written: {t}")
        words, size = self.buffers[t.buffer].reshape(-1)[places], self.p.beat_words
        for i in range(t.length):
            self.dram.set_words(beat + i, words[i * size : (i + 1) * size])
        self.out.counts["dram_write"] += t.length
        self.out.counts[f"{_NAMES[t.buffer]}_read"] += len(places)

    # -- computes ------------------------------------------------------------------------------------------------

    def _check(self, c: Compute) -> None:
        p = self.p
        if c.groups * c.neurons > p.neurons:
            raise BadInput(f"{c.groups} groups of {c.neurons} channels want more than {p.neurons} neurons: {c}")
        if c.groups > 1 and c.stride > 1:
            raise BadInput(f"groups above 1 want stride 1, not {c.stride}: {c}")
        if c.paired and (c.groups != 2 * c.cols or c.ring_rows or c.hold or c.limb or c.scores):
            raise BadInput(f"steps of two rows want groups for both, without ring, hold, limb and scores: {c}")
        if not c.last_lanes and (c.lines > 1 or c.first):
            raise BadInput(f"a compute that adds nothing wants one line and first 0: {c}")
        if c.limb > self.isa.limbs or c.limb and (c.relu or c.scores or c.pool != Pool.NONE):
            raise BadInput(f"limbs 1 to {self.isa.limbs} are wanted, without relu, pooling and scores: {c}")
        if c.quarters and (not p.quarter_lanes or c.lines == 1 or c.stride > 1 or c.paired or c.sums % QUARTERS):
            raise BadInput(
                f"quarters want a tile that has them, some lines, stride 1, one row a step, sums in fours: {c}"
            )

    def _compute(self, c: Compute) -> None:
        p, pixels = self.p, c.cols * c.rows
        self._check(c)
        if c.load_bias:
            self._load_bias(c)
        row, column = np.divmod(np.arange(pixels), c.cols)
        group = column + row % 2 * c.cols if c.paired else column % c.groups
        lanes = (group * c.neurons)[:, None] + np.arange(c.neurons)
        biases = np.where(c.zero, 0, self.bias[lanes] << p.fmt.frac)
        sums = self._begun(c, c.steps, list(biases))
        sums = self._added(c, sums)
        if c.finish:
            self._finish(c, sums)
            if not c.hold:
                return
        width = c.cols * c.step_rows
        rows = [sums[y : y + width] for y in range(0, pixels, width)]
        parts = [row[x : x + c.groups] for row in rows for x in range(0, width, c.groups)]
        self.sums |= {c.accumulator(step): part for step, part in enumerate(parts)}

    def _added(self, c: Compute, sums: list[Ints]) -> list[Ints]:
        """The sums of each pixel with those of all lines."""
        p, count, rows = self.p, self.out.counts, 1 << self.isa.row_bits
        lanes = np.append(np.full(c.lines - 1, self.window.taps), c.last_lanes)
        weights = self._weights(c, np.arange(p.synapses) < lanes[:, None])
        count["sb_read"] += -(-c.steps // c.tile) * c.groups * c.neurons * int(lanes.sum())
        for part in passes_of(c, self.window, p, rows):
            lines = slice(part.at, part.at + len(part.lines.lanes))
            gather = Gather(c, self.window, part, self.buffers[c.source], self.buffer_known[c.source], rows, p)
            found = np.concatenate([_products(operands, weights[lines]) for operands in gather.operands()])
            found = found.reshape(-(-c.rows // c.step_rows) * c.step_rows, -1, c.neurons)  # rows of the map
            products = found[: c.rows, : c.cols].reshape(len(sums), c.neurons) << c.shift * (p.fmt.width - 1)
            sums = [total + more for total, more in zip(sums, products, strict=True)]
            cycles, multiply = len(part.steps.at) * len(part.lines.lanes), gather.active * c.neurons
            count["compute_cycles"] += cycles
            count["multiply"] += multiply
            count["lane_gated"] += cycles * p.neurons * p.synapses - multiply
            count["accumulate"] += len(part.lines.lanes) * len(sums) * c.neurons if c.last_lanes else 0
            count[f"{_NAMES[c.source]}_read"] += gather.cells_read * p.cell_words
        return sums

    def _begun(self, c: Compute, steps: int, biases: list[Ints]) -> list[Ints]:
        """What each pixel's sums start from: its biases, or what the compute before has left in the accumulators."""
        places = [c.accumulator(step) for step in range(steps)]
        whole = c.first and c.finish and not c.hold
        if not whole and (c.tile < steps or len(set(places)) < steps):
            raise BadInput(f"a chained compute wants one tile, not {steps} steps in tiles of {c.tile}: {c}")
        if c.first:
            if open_ones := self.sums.keys() & set(places):
                raise BadInput(f"accumulators {sorted(open_ones)} still hold sums that go on: {c}")
            return biases
        if missing := set(places) - self.sums.keys():
            raise BadInput(f"accumulators {sorted(missing)} hold no sums that a chained compute could go on from: {c}")
        found = [word for place in places for word in self.sums.pop(place)]
        if [len(words) for words in found] != [c.neurons] * len(biases):
            raise BadInput(f"a chained compute wants sums of {len(biases)} pixels of {c.neurons} channels: {c}")
        return found

    def _load_bias(self, c: Compute) -> None:
        if not self.sb_known[c.bias_row, c.bias_bank, : c.neurons].all():
            raise BadInput(f"biases at SB row {c.bias_row}, bank {c.bias_bank} are read but were never written")
        words = self.sb[c.bias_row, c.bias_bank, : c.neurons]
        self.bias[: c.groups * c.neurons] = np.tile(words, c.groups)
        self.out.counts["sb_read"] += self.p.synapses

    def _weights(self, c: Compute, used: NDArray[np.bool_]) -> Ints:
        """Weights [lines, groups, channels, synapses], 0 where a line has no lane."""
        rows, neurons = slice(c.sb_row, c.sb_row + c.lines), c.groups * c.neurons
        if not (self.sb_known[rows, :neurons] | ~used[:, None, :]).all():
            raise BadInput(f"weights at SB rows {c.sb_row} to {c.sb_row + c.lines - 1} are read but were never written")
        return (self.sb[rows, :neurons] * used[:, None, :]).reshape(c.lines, c.groups, c.neurons, -1)

    def _finish(self, c: Compute, sums: list[Ints]) -> None:
        count, fmt = self.out.counts, self.p.fmt
        wide = np.array(sums)
        count["activation"] += wide.size
        if c.scores:
            count["score_vector"] += c.steps
            self.out.scores[-1].extend(wide.reshape(-1).tolist())
        narrow = ((wide + fmt.half) >> fmt.frac).clip(0 if c.relu else fmt.low, fmt.high)
        results = self._limb(c, wide) if c.limb else narrow
        if c.pool != Pool.NONE:
            results = self.pooling.take(c, results.reshape(c.rows, c.cols, c.neurons), count).reshape(-1, c.neurons)
        if not results.size:
            return
        places, words = self._emitted(c, results)
        places = self._places(c.target, places)
        self.buffers[c.target].reshape(-1)[places] = words
        self.buffer_known[c.target].reshape(-1)[places] = True
        self.out.words.extend(words.tolist())
        count["output"] += len(words)
        count[f"{_NAMES[c.target]}_write"] += len(words)

    def _limb(self, c: Compute, wide: Ints) -> Ints:
        digits = self.p.fmt.width - 1
        rest = wide >> (c.limb - 1) * digits
        word = rest & ((1 << digits) - 1)
        return word - (rest & (1 << digits)) if c.limb_top else word

    def _emitted(self, c: Compute, results: Ints) -> tuple[Ints, Ints]:
        """Places and words of results [pixels, channels] in the order in which they leave: row, cell, channel, word."""
        size = self.p.cell_words
        start = self._cell(c.to_row, c.to_bank) * size + c.to_sub
        if c.vector:
            if len(results) != 1:
                raise BadInput(f"a vector wants one pixel, not {len(results)}: {c}")
            return start + np.arange(c.neurons), results[0]
        pixel, channel = np.indices(results.shape).reshape(2, -1)
        y, x = np.divmod(pixel, c.to_cols)
        order = np.lexsort((x, channel, (c.to_sub + x) // size, y))
        to_y, to_n = self._cell(c.to_y_row, c.to_y_bank) * size, self._cell(c.to_n_row, c.to_n_bank) * size
        return (start + x + y * to_y + channel * to_n)[order], results.reshape(-1)[order]


_NAMES = ("nbin", "nbout")


def _products(operands: Ints, weights: Ints) -> Ints:
    """Sums over lines and lanes: [steps, lines, pixels, synapses] x [lines, groups, channels, synapses] gives
    [steps, pixels, channels]; pixels go round in the groups."""
    steps, _, pixels, _ = operands.shape
    parts = []
    for j in range(pixels):
        line = operands[:, :, j].reshape(steps, -1)
        parts.append(line @ weights[:, j % weights.shape[1]].transpose(0, 2, 1).reshape(line.shape[1], -1))
    return np.stack(parts, axis=1)
