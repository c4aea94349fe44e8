"""A machine of dictionaries that carries out transfers as hw.isa describes them, to compare the DMA engine with."""

import random

from hw.isa import Base, Buffer, Isa, Load, Store
from hw.params import TileParams
from tests.hw.sim import wrap


def beat_words(p: TileParams, beat: int) -> list[list[int]]:
    """Signed words of each line in a beat."""
    width, line_bits = 8 * p.word_bytes, 8 * p.line_bytes
    return [
        [wrap(beat >> (line_bits * k + width * e), p.fmt.width) for e in range(p.synapses)]
        for k in range(p.lines_per_beat)
    ]


class Machine:
    """DRAM (lines that were written), two neuron buffers and SB, words by address."""

    def __init__(self, p: TileParams, image: int, result: int) -> None:
        self.p = p
        self.bases = {Base.ABSOLUTE: 0, Base.IMAGE: image, Base.RESULT: result}
        self.dram: dict[int, int] = {}
        self.buffers: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.sb: dict[tuple[int, int, int], int] = {}

    def read_beat(self, address: int) -> int:
        """What a line holds before anything was written follows from its number; the padding is not 0 there."""
        bits, per = 8 * self.p.line_bytes, self.p.lines_per_beat
        lines = range(address * per, address * per + per)
        fresh = {line: random.Random(line).getrandbits(bits) for line in lines}
        return sum(self.dram.get(line, fresh[line]) << (bits * k) for k, line in enumerate(lines))

    def write_beat(self, address: int, beat: int, mask: int) -> None:
        bits, per = 8 * self.p.line_bytes, self.p.lines_per_beat
        for k in range(per):
            if mask >> k & 1:
                self.dram[address * per + k] = beat >> (bits * k) & ((1 << bits) - 1)

    def read_line(self, buffer: int, row: int, bank: int, lanes: int) -> list[int]:
        """Lanes that are not asked for read as garbage, as held data would."""
        words = []
        for e in range(self.p.synapses):
            at = row * self.p.synapses + bank + e
            words.append(self.buffers[buffer].get(at, wrap(3 * at + 1, self.p.fmt.width)) if lanes >> e & 1 else -77)
        return words

    def write_line(self, buffer: int, row: int, bank: int, lanes: int, line: list[int]) -> None:
        for e, word in enumerate(line):
            if lanes >> e & 1:
                self.buffers[buffer][row * self.p.synapses + bank + e] = word

    def write_sb(self, enables: int, row: int, lanes: int, lines: list[list[int]]) -> None:
        for neuron in range(self.p.neurons):
            for e in range(self.p.synapses):
                if enables >> neuron & 1 and lanes >> e & 1:
                    self.sb[neuron, row, e] = lines[neuron % self.p.lines_per_beat][e]

    def carry_out(self, transfer: Load | Store) -> None:
        """The meaning of a transfer, word by word."""
        p, n, per = self.p, self.p.synapses, self.p.lines_per_beat
        for run in range(transfer.runs):
            beat = self.bases[transfer.base] + transfer.address + run * transfer.run_beats
            start = transfer.row * n + transfer.bank + run * (transfer.step_row * n + transfer.step_bank)
            for line in range(transfer.lines):
                last_line, last_run = line == transfer.lines - 1, run == transfer.runs - 1
                words = beat_words(p, self.read_beat(beat + line // per))[line % per]
                if transfer.buffer == Buffer.SB:
                    for e in range(transfer.last_words if last_run else n):
                        self.sb[line, transfer.row + run, e] = words[e]
                    continue
                count = transfer.last_words if last_line else n
                at = start + line * n
                if isinstance(transfer, Load):
                    for e in range(count):
                        self.buffers[transfer.buffer][at + e] = words[e]
                else:
                    out = self.read_line(transfer.buffer, at // n, at % n, (1 << count) - 1)[:count]
                    bits = 8 * p.word_bytes
                    packed = sum((word & ((1 << bits) - 1)) << (bits * e) for e, word in enumerate(out))
                    mask = 1 << line % per
                    if last_line:  # zero lines fill up the beat
                        mask = (1 << per) - mask
                    self.write_beat(beat + line // per, packed << (8 * p.line_bytes * (line % per)), mask)


def random_transfer(rng: random.Random, i: Isa) -> Load | Store:
    """A transfer whose words stay inside the buffers; addresses close together, so that transfers meet in DRAM."""
    p = i.params
    kind = rng.choice((Load, Load, Store))
    buffer = rng.choice(list(Buffer) if kind is Load else [Buffer.NBIN, Buffer.NBOUT])
    base, address, run_beats = rng.choice(list(Base)), rng.randrange(40), rng.randint(8, 12)
    last_words = rng.randint(1, p.synapses)
    if buffer == Buffer.SB:
        runs = rng.randint(1, 4)
        return Load(
            buffer=buffer, base=base, address=address, run_beats=run_beats, runs=runs, lines=rng.randint(1, p.neurons),
            last_words=last_words, row=rng.randrange(p.sb_rows - runs),
        )  # fmt: skip
    lines, runs = rng.randint(1, 5), rng.randint(1, 4)
    return kind(
        buffer=buffer, base=base, address=address, run_beats=run_beats, runs=runs, lines=lines, last_words=last_words,
        row=rng.randrange(min(p.buffer_rows) - 1 - 4 * 9 - 5), bank=rng.randrange(p.synapses),
        step_row=rng.randrange(8), step_bank=rng.randrange(p.synapses),
    )  # fmt: skip
