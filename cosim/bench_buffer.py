"""Bench of a neuron buffer: words of cells in and out of its banks, each bank on its own."""

from typing import Any

import cocotb

from cosim.port import BlockPort, join, split

CYCLES = 2000


@cocotb.test()
async def buffer(dut: Any) -> None:
    """What is read is what was written last; banks outside an access keep their words and their output."""
    port = BlockPort(dut, "buffer")
    p, rng, width, size = port.params, port.rng, port.params.fmt.width, port.params.cell_words
    cells = [[[0] * size for _ in range(p.nbin_rows)] for _ in range(p.banks)]
    outputs = [0] * p.row_words
    await port.reset()
    done = {"read": 0, "write": 0, "idle": 0}
    for _ in range(CYCLES):
        read = 0
        values: dict[str, int] = {}
        new = list(outputs)
        for b in range(p.banks):
            kind = rng.choice(("read", "read", "write", "idle"))
            row = rng.choice((0, p.nbin_rows - 1, rng.randrange(p.nbin_rows), rng.randrange(3)))
            mask, cell = rng.getrandbits(size) if kind == "write" else 0, port.words(width, size)
            values |= {f"row_{b}": row, f"write_{b}": mask, f"cell_{b}": join(cell, width)}
            done[kind] += 1
            if kind == "read":
                read |= 1 << b
                new[b * size : (b + 1) * size] = cells[b][row]
            cells[b][row] = [cell[s] if mask >> s & 1 else old for s, old in enumerate(cells[b][row])]
        port.set(read=read, **values)
        await port.settle()
        assert split(port.get("data"), width, p.row_words) == outputs
        await port.step()
        outputs = new
    assert min(done.values()) > CYCLES * p.banks // 8, done
    cocotb.log.info("buffer: %s", done)
