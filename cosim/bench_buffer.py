"""Bench of a neuron buffer: lines and words in and out of its banks, by lane, at any bank and row."""

from typing import Any

import cocotb

from cosim.port import BlockPort, join, pack, split
from hw.signatures import pair_layout

CYCLES = 2000


@cocotb.test()
async def buffer(dut: Any) -> None:
    """What is read is what was written last; lanes outside an access keep their word and their output."""
    port = BlockPort(dut, "buffer")
    p, rng, width = port.params, port.rng, port.params.fmt.width
    n, rows = p.synapses, p.nbin_rows
    words = [[0] * rows for _ in range(n)]  # by bank
    outputs, turned = [0] * n, 0
    await port.reset()
    reads = 0
    for _ in range(CYCLES):
        access = rng.choice(("read", "read", "read", "write_line", "write_word", ""))
        bank, lanes = rng.randrange(n), rng.choice(((1 << n) - 1, rng.getrandbits(n)))
        at = [rng.choice((0, rows - 1, rng.randrange(rows), rng.randrange(3))) for _ in range(n)]
        line, word = port.words(width, n), port.word(width)
        where = {"row": rng.randrange(3), "bank": rng.randrange(n)}
        port.set(
            read=access == "read", write_line=access == "write_line", write_word=access == "write_word", bank=bank,
            lanes=lanes, line=join(line, width), word=word & ((1 << width) - 1),
            word_at=pack(pair_layout(port.isa), where), **{f"row_{e}": at[e] for e in range(n)},
        )  # fmt: skip
        await port.settle()
        assert split(port.get("data"), width, n) == [outputs[(turned + e) % n] for e in range(n)]
        await port.step()
        for e in range(n):
            b = (bank + e) % n
            if access == "read" and lanes >> e & 1:
                outputs[b] = words[b][at[e]]
                reads += 1
            elif access == "write_line" and lanes >> e & 1:
                words[b][at[e]] = line[e]
        if access == "read":
            turned = bank
        elif access == "write_word":
            words[where["bank"]][where["row"]] = word
    assert reads > CYCLES // 3 * n // 2
    cocotb.log.info("buffer: %d words read", reads)
