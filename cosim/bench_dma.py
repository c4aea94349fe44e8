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

TRANSFERS = 40
DATA_BEATS = 400
PATIENCE = 60_000  # cycles


def transfers_of(port: BlockPort, first: int) -> list[Load | Store]:
    """Loads that fill both neuron buffers, then random ones; DRAM addresses from beat ``first`` on, close together."""
    p, rng = port.params, port.rng
    found: list[Load | Store] = [
        Load(buffer=Buffer(b), address=first, lines=rows, last_words=p.synapses) for b, rows in enumerate(p.buffer_rows)
    ]
    while len(found) < TRANSFERS:
        base, at = rng.choice(list(Base)), rng.randrange(40)
        common: dict[str, Any] = {
            "base": base, "address": at + (first if base == Base.ABSOLUTE else 0), "run_beats": rng.randint(6, 12),
            "runs": rng.randint(1, 4), "last_words": rng.randint(1, p.synapses),
            # a store reads its words at once: what earlier loads bring has to be there
            "wait_dma": len(found),
        }  # fmt: skip
        kind = rng.choice((Load, Load, Store))
        if kind is Load:
            common["wait_dma"] = rng.choice((0, 0, len(found)))
        if kind is Load and port.chance(0.35):
            common |= {"buffer": Buffer.SB, "lines": rng.randint(1, p.neurons), "row": rng.randrange(p.sb_rows - 4)}
            found.append(Load(**common))
            continue
        reach = 4 * 6 + 6  # rows that the steps and lines below can go beyond the first
        common |= {"buffer": rng.choice((Buffer.NBIN, Buffer.NBOUT)), "lines": rng.randint(1, 5)}
        common |= {"row": rng.randrange(min(p.buffer_rows) - reach), "bank": rng.randrange(p.synapses)}
        common |= {"step_row": rng.randrange(6), "step_bank": rng.randrange(p.synapses)}
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
        self.buffers = [np.zeros((rows, p.synapses), dtype=np.int64) for rows in p.buffer_rows]
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

    def words_at(self, row: int, bank: int, lanes: int) -> list[tuple[int, tuple[int, int]]]:
        """(lane, place) of the lanes of a line that starts at (row, bank)."""
        n = self.p.synapses
        return [(e, divmod(row * n + bank + e, n)) for e in range(n) if lanes >> e & 1]


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
    store_line, in_flight, stalls, done = 0, 0, 0.3, 0
    layout = transfer_layout(i)
    row_mask = (1 << i.row_bits) - 1
    for _ in range(PATIENCE):
        head = 0
        if waiting:
            fields = {f.name: int(getattr(waiting[0], f.name)) for f in i.fields[waiting[0].opcode]}
            head = pack(layout, {"store": int(isinstance(waiting[0], Store)), "fields": fields})
        answer = bool(answers) and not port.chance(stalls)
        grants = {
            name: not port.chance(stalls) for name in ("line_granted", "store_granted", "sb_granted", "req_ready")
        }
        port.set(
            head=head, head_valid=bool(waiting), store_line=store_line, rsp_valid=answer,
            rsp=answers.popleft() if answer else 0, **grants,
        )  # fmt: skip
        await port.settle()
        if waiting and port.get("head_ready"):
            waiting.popleft()
        if answer:
            in_flight -= 1
        store_line = rng.getrandbits(width * p.synapses)  # what is not read is no one's word
        if port.get("store_read") and grants["store_granted"]:
            at, lanes = port.get("store_at"), port.get("store_lanes")
            buffer = machine.buffers[port.get("store_source")]
            line = port.words(width, p.synapses)
            for e, place in machine.words_at(at & row_mask, at >> i.row_bits, lanes):
                line[e] = int(buffer[place])
            store_line = join(line, width)
        if port.get("line_write") and grants["line_granted"]:
            at, lanes = port.get("line_at"), port.get("line_lanes")
            words = split(port.get("line"), width, p.synapses)
            for e, place in machine.words_at(at & row_mask, at >> i.row_bits, lanes):
                machine.buffers[port.get("line_target")][place] = words[e]
        if (neurons := port.get("sb_write")) and grants["sb_granted"]:
            lines = split(port.get("sb_lines"), width, p.synapses * p.lines_per_beat)
            for n in range(p.neurons):
                for e in range(p.synapses):
                    if neurons >> n & 1 and port.get("sb_lanes") >> e & 1:
                        machine.sb[port.get("sb_row"), n, e] = lines[n % p.lines_per_beat * p.synapses + e]
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
    assert done == len(transfers), f"{done} of {len(transfers)} transfers are done"
    assert bytes(machine.raw) == bytes(golden.dram.raw)
    assert bytes(machine.raw) != raw
    for mine, wanted in zip(machine.buffers, golden.buffers, strict=True):
        assert np.array_equal(mine, wanted)
        assert np.count_nonzero(mine)
    assert np.array_equal(machine.sb, golden.sb)
    assert np.count_nonzero(machine.sb)
    cocotb.log.info("dma: %d transfers, %d words of DRAM", len(transfers), len(raw) // p.word_bytes)
