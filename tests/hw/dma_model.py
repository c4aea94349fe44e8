"""A machine of dictionaries that carries out transfers as hw.isa describes them, to compare the DMA engine with."""

import random

from hw.isa import Base, Buffer, Isa, Load, Store
from hw.params import TileParams
from tests.hw.sim import wrap


def map_words(p: TileParams, beat: int) -> list[int]:
    """Signed words of a map in a beat."""
    width = 8 * p.word_bytes
    return [wrap(beat >> (width * w), p.fmt.width) for w in range(p.beat_words)]


def weight_lines(p: TileParams, beat: int) -> list[list[int]]:
    """Signed words of each weight line in a beat."""
    width, line_bits = 8 * p.word_bytes, 8 * p.line_bytes
    return [
        [wrap(beat >> (line_bits * k + width * e), p.fmt.width) for e in range(p.synapses)]
        for k in range(p.lines_per_beat)
    ]


class Machine:
    """DRAM (lines that were written), two neuron buffers (word of cell a: a * cell_words and on) and SB."""

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

    def read_words(self, buffer: int, row: int, bank: int, mask: int) -> list[int]:
        """A beat of words from a cell on; what is not asked for reads as garbage, as held data would."""
        start, words = (row * self.p.banks + bank) * self.p.cell_words, []
        for w in range(self.p.beat_words):
            held = self.buffers[buffer].get(start + w, wrap(3 * (start + w) + 1, self.p.fmt.width))
            words.append(held if mask >> w & 1 else -77)
        return words

    def write_words(self, buffer: int, row: int, bank: int, mask: int, words: list[int]) -> None:
        start = (row * self.p.banks + bank) * self.p.cell_words
        for w, word in enumerate(words):
            if mask >> w & 1:
                self.buffers[buffer][start + w] = word

    def write_sb(self, enables: int, row: int, lanes: int, lines: list[list[int]], picks: list[int]) -> None:
        for neuron in range(self.p.neurons):
            for e in range(self.p.synapses):
                if enables >> neuron & 1 and lanes >> e & 1:
                    self.sb[neuron, row, e] = lines[picks[neuron]][e]

    def carry_out(self, transfer: Load | Store) -> None:
        """The meaning of a transfer, word by word."""
        if transfer.buffer == Buffer.SB:
            self._carry_weights(transfer)
            return
        p = self.p
        for run in range(transfer.runs):
            beat = self.bases[transfer.base] + transfer.address + run * transfer.run_beats
            cell = transfer.row * p.banks + transfer.bank + run * (transfer.step_row * p.banks + transfer.step_bank)
            for k in range(transfer.length):
                count = transfer.last_words if k == transfer.length - 1 else p.beat_words
                row, bank = divmod(cell + k * p.beat_cells, p.banks)
                mask = (1 << count) - 1
                if isinstance(transfer, Load):
                    self.write_words(transfer.buffer, row, bank, mask, map_words(p, self.read_beat(beat + k)))
                    continue
                bits = 8 * p.word_bytes
                words = self.read_words(transfer.buffer, row, bank, mask)[:count]
                packed = sum((word & ((1 << bits) - 1)) << (bits * w) for w, word in enumerate(words))
                self.write_beat(beat + k, packed, (1 << p.lines_per_beat) - 1)

    def _carry_weights(self, load: Load | Store) -> None:
        p = self.p
        for run in range(load.runs):
            beat = self.bases[load.base] + load.address + run * load.run_beats
            for line in range(load.length):
                words = weight_lines(p, self.read_beat(beat + line // p.lines_per_beat))[line % p.lines_per_beat]
                for group in range(load.groups):
                    for e in range(load.last_words if run == load.runs - 1 else p.synapses):
                        self.sb[group * load.length + line, load.row + run, e] = words[e]


def random_transfer(rng: random.Random, i: Isa) -> Load | Store:
    """A transfer whose words stay inside the buffers; addresses close together, so that transfers meet in DRAM."""
    p = i.params
    kind = rng.choice((Load, Load, Store))
    buffer = rng.choice(list(Buffer) if kind is Load else [Buffer.NBIN, Buffer.NBOUT])
    base, address, run_beats = rng.choice(list(Base)), rng.randrange(40), rng.randint(8, 12)
    if buffer == Buffer.SB:
        runs, groups = rng.randint(1, 4), rng.randint(1, p.groups)
        return Load(
            buffer=buffer, base=base, address=address, run_beats=run_beats, runs=runs, groups=groups,
            length=rng.randint(1, p.neurons // groups), last_words=rng.randint(1, p.synapses),
            row=rng.randrange(p.sb_rows - runs),
        )  # fmt: skip
    runs = rng.randint(1, 4)
    step_cells = rng.randrange((runs > 1) * 3 * p.banks + 1)
    free = min(p.buffer_rows) * p.banks - (runs - 1) * step_cells
    length = rng.randint(1, min(5, free // p.beat_cells))
    cell = rng.randrange(free - length * p.beat_cells + 1)
    return kind(
        buffer=buffer, base=base, address=address, run_beats=run_beats, runs=runs, length=length,
        last_words=rng.randint(1, p.beat_words), row=cell // p.banks, bank=cell % p.banks,
        step_row=step_cells // p.banks, step_bank=step_cells % p.banks,
    )  # fmt: skip
