"""Bench of the DMA engine: random transfers, run by golden's interpreter as a program and by RTL under stalls.

DRAM, both neuron buffers and SB must hold the same afterwards, byte by byte and word by word.
"""

from collections import deque
from typing import Any

import cocotb
import numpy as np

from cosim.port import BlockPort, join, pack, split
from golden.interpret import Dram, Interpreter
from hw.dma import transfer_layout
from hw.isa import Base, Buffer, End, Entry, Instruction, Isa, Load, Store
from hw.params import bits_for
from hw.signatures import LOADED

TRANSFERS = 40
DATA_BEATS = 400
PATIENCE = 60_000  # cycles


def transfers_of(port: BlockPort, first: int) -> list[Load | Store]:
    """Loads that fill both neuron buffers, then random ones; DRAM addresses from beat ``first`` on, close together."""
    p, rng = port.params, port.rng
    found: list[Load | Store] = [
        Load(
            buffer=Buffer(b), address=first, length=-(-rows * p.banks // p.beat_cells),
            last_words=(rows * p.row_words - 1) % p.beat_words + 1,
        )
        for b, rows in enumerate(p.buffer_rows)
    ]  # fmt: skip
    assert max(load.length for load in found) <= DATA_BEATS
    while len(found) < TRANSFERS:
        base, at, runs = rng.choice(list(Base)), rng.randrange(40), rng.randint(1, 4)
        common: dict[str, Any] = {
            "base": base, "address": at + (first if base == Base.ABSOLUTE else 0), "run_beats": rng.randint(6, 12),
            "runs": runs,
            # a store reads its words at once: what earlier loads bring has to be there
            "wait_dma": len(found),
        }  # fmt: skip
        kind = rng.choice((Load, Load, Store))
        if kind is Load:
            common["wait_dma"] = rng.choice((0, 0, len(found)))
        if kind is Load and port.chance(0.35):
            groups = rng.randint(1, p.groups)
            common |= {"buffer": Buffer.SB, "groups": groups, "length": rng.randint(1, p.neurons // groups)}
            common |= {"last_words": rng.randint(1, p.synapses), "row": rng.randrange(p.sb_rows - 4)}
            found.append(Load(**common))
            continue
        step = rng.randrange((runs > 1) * 3 * p.banks + 1)
        free = min(p.buffer_rows) * p.banks - (runs - 1) * step
        length = rng.randint(1, min(5, free // p.beat_cells))
        cell = rng.randrange(free - length * p.beat_cells + 1)
        common |= {"buffer": rng.choice((Buffer.NBIN, Buffer.NBOUT)), "length": length}
        common |= {"last_words": rng.randint(1, p.beat_words), "row": cell // p.banks, "bank": cell % p.banks}
        common |= {"step_row": step // p.banks, "step_bank": step % p.banks}
        found.append(kind(**common))
    return found


def program(i: Isa, transfers: list[Load | Store]) -> bytes:
    """An Entry and one segment, from beat 0."""
    n = i.params.increments
    body: list[Instruction] = [*transfers, End()]
    entry = Entry(address=(i.instruction_beats,) * n, length=(len(body),) * n)
    return b"".join(i.encode(instruction) for instruction in (entry, *body))


class Machine:
    """DRAM and buffers around the engine, as the tile has them."""

    def __init__(self, port: BlockPort, raw: bytes) -> None:
        p = port.params
        self.p = p
        self.raw = bytearray(raw)
        self.buffers = [np.zeros(rows * p.row_words, dtype=np.int64) for rows in p.buffer_rows]
        self.sb = np.zeros((p.sb_rows, p.neurons, p.synapses), dtype=np.int64)

    def beat(self, address: int) -> int:
        size = self.p.dram_beat_bytes
        assert 0 <= address < len(self.raw) // size
        return int.from_bytes(self.raw[address * size : (address + 1) * size], "little")

    def write(self, address: int, data: int, mask: int) -> None:
        size, line = self.p.dram_beat_bytes, self.p.line_bytes
        new = data.to_bytes(size, "little")
        for k in range(self.p.lines_per_beat):
            if mask >> k & 1:
                self.raw[address * size + k * line : address * size + (k + 1) * line] = new[k * line : (k + 1) * line]

    def words_at(self, at: int, row_bits: int, mask: int) -> list[tuple[int, int]]:
        """(place in the beat, place in the buffer) of the words of a beat at the cell (row, bank) packed in ``at``."""
        row, bank = at & ((1 << row_bits) - 1), at >> row_bits
        start = (row * self.p.banks + bank) * self.p.cell_words
        return [(w, start + w) for w in range(self.p.beat_words) if mask >> w & 1]


def cells_written(port: BlockPort, stalls: float) -> dict[str, int]:
    """Cells of each beat whose banks are free, by chance; none goes before an older cell of its bank."""
    p, row_bits, waiting = port.params, port.isa.row_bits, set[int]()
    found = dict.fromkeys(LOADED, 0)
    for beat in LOADED:
        first, cells = port.get(f"{beat}_at") >> row_bits, port.get(f"{beat}_cells")
        banks = {k: (first + k) % p.banks for k in range(p.beat_cells) if cells >> k & 1}
        found[beat] = sum(1 << k for k, bank in banks.items() if bank not in waiting and not port.chance(stalls))
        waiting |= set(banks.values())
    return found


@cocotb.test()
async def dma(dut: Any) -> None:
    port = BlockPort(dut, "dma")
    p, i, rng, width = port.params, port.isa, port.rng, port.params.fmt.width
    first = -(-(TRANSFERS + 2) * i.instruction_bytes // p.dram_beat_bytes)
    transfers = transfers_of(port, first)
    raw = program(i, transfers).ljust(first * p.dram_beat_bytes, b"\0")
    raw += rng.randbytes(DATA_BEATS * p.dram_beat_bytes)
    image, result = first + rng.randrange(100), first + rng.randrange(100)
    golden = Interpreter(p, Dram(p, raw))
    golden.run(0, 0, image, result)
    machine = Machine(port, raw)

    await port.reset()
    port.set(image=image, result=result)
    waiting, answers = deque(transfers), deque[int]()
    store_words, in_flight, stalls, done, aside = 0, 0, 0.3, 0, 0
    layout = transfer_layout(i)
    for _ in range(PATIENCE):
        head = 0
        if waiting:
            fields = {f.name: int(getattr(waiting[0], f.name)) for f in i.fields[waiting[0].opcode]}
            head = pack(layout, {"store": int(isinstance(waiting[0], Store)), "fields": fields})
        answer = bool(answers) and not port.chance(stalls)
        grants = {name: not port.chance(stalls) for name in ("store_granted", "sb_granted", "req_ready")}
        port.set(
            head=head, head_valid=bool(waiting), store_words=store_words, rsp_valid=answer,
            rsp=answers.popleft() if answer else 0, **grants,
        )  # fmt: skip
        await port.settle()
        written = cells_written(port, stalls)
        port.set(**{f"{beat}_written": cells for beat, cells in written.items()})  # nothing read below follows from it
        if waiting and port.get("head_ready"):
            waiting.popleft()
        if answer:
            in_flight -= 1
        store_words = rng.getrandbits(width * p.beat_words)  # what is not read is no one's word
        if port.get("store_read") and grants["store_granted"]:
            buffer, words = machine.buffers[port.get("store_source")], port.words(width, p.beat_words)
            for w, place in machine.words_at(port.get("store_at"), i.row_bits, port.get("store_mask")):
                words[w] = int(buffer[place])
            store_words = join(words, width)
        for beat, cells in written.items():
            words = split(port.get(f"{beat}_words"), width, p.beat_words)
            for w, place in machine.words_at(port.get(f"{beat}_at"), i.row_bits, port.get(f"{beat}_mask")):
                if cells >> (w // p.cell_words) & 1:
                    machine.buffers[port.get("load_target")][place] = words[w]
            aside += beat == "late" and cells > 0
        if (neurons := port.get("sb_write")) and grants["sb_granted"]:
            lines = split(port.get("sb_lines"), width, p.synapses * p.lines_per_beat)
            pick_bits = bits_for(p.lines_per_beat)
            for n in range(p.neurons):
                line = port.get("sb_pick") >> (n * pick_bits) & ((1 << pick_bits) - 1)
                for e in range(p.synapses):
                    if neurons >> n & 1 and port.get("sb_lanes") >> e & 1:
                        machine.sb[port.get("sb_row"), n, e] = lines[line * p.synapses + e]
        if port.get("req_valid") and grants["req_ready"]:
            address = port.get("req_address")
            if port.get("req_write"):
                machine.write(address, port.get("req_data"), port.get("req_mask"))
            else:
                answers.append(machine.beat(address))
                in_flight += 1
                assert in_flight <= p.dram_outstanding
        done = port.get("dma_done")
        await port.step()
        if done == len(transfers):
            break
    assert aside > 20 or p.beat_cells == 1
    assert done == len(transfers), f"{done} of {len(transfers)} transfers are done"
    assert bytes(machine.raw) == bytes(golden.dram.raw)
    assert bytes(machine.raw) != raw
    for mine, wanted in zip(machine.buffers, golden.buffers, strict=True):
        assert np.array_equal(mine, wanted.reshape(-1))
        assert np.count_nonzero(mine)
    assert np.array_equal(machine.sb, golden.sb)
    assert np.count_nonzero(machine.sb)
    cocotb.log.info("dma: %d transfers, %d words of DRAM", len(transfers), len(raw) // p.word_bytes)
