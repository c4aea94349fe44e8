"""Bench of the output writer: every word of every pixel at the address of its layout, under stalls of both sides."""

from typing import Any

import cocotb

from cosim.port import BlockPort, encode, join, signed
from hw.isa import Compute
from hw.params import RESULT_CELLS

COMPUTES = 16


def random_layout(port: BlockPort, cols: int, rows: int, neurons: int) -> Compute:
    """The output fields of a Compute whose words, rows * cols of each channel, do not meet."""
    p, rng = port.params, port.rng
    start, sub = rng.randrange(p.banks << port.isa.row_bits), rng.randrange(p.cell_words)
    row = -(-(sub + cols) // p.cell_words) + rng.randint(0, 2)
    to_y, to_n = (row, row * rows + rng.randint(0, 3)) if port.chance(0.5) else (row * neurons, row)
    assert row * rows * neurons + 3 * neurons < p.banks << port.isa.row_bits
    pairs: dict[str, Any] = {}
    for name, cells in (("to_", start), ("to_y_", to_y), ("to_n_", to_n)):
        pairs |= dict(zip((f"{name}row", f"{name}bank"), divmod(cells, p.banks), strict=True))
    return Compute(neurons=neurons, to_cols=cols, to_sub=sub, **pairs)


def put(port: BlockPort, words: dict[int, int], at: int, mask: int, cell: int) -> None:
    """Take a written cell into ``words``, by place in the buffer; nothing is written twice."""
    p = port.params
    row, bank = at & ((1 << port.isa.row_bits) - 1), at >> port.isa.row_bits
    assert mask
    for s in range(p.cell_words):
        if mask >> s & 1:
            place = (row * p.banks + bank) * p.cell_words + s
            assert place not in words
            words[place] = signed(cell >> (s * p.fmt.width), p.fmt.width)


def cells_of(port: BlockPort, c: Compute, rows: list[list[list[int]]]) -> list[dict[int, int]]:
    """Words by place, cell by cell in order; rows: by row and column a word per channel."""
    p, found = port.params, []
    space = p.row_words << port.isa.row_bits
    if c.vector:
        start, end = (c.to_row * p.banks + c.to_bank) * p.cell_words, c.to_sub + c.neurons
        cells = [range(k, min(k + p.cell_words, end)) for k in range(0, end, p.cell_words)]
        return [{(start + at) % space: rows[0][0][at - c.to_sub] for at in cell if at >= c.to_sub} for cell in cells]
    for y, pixels in enumerate(rows):
        for k in range(-(-(c.to_sub + c.to_cols) // p.cell_words)):
            for n in range(c.neurons):
                at = (c.to_row + y * c.to_y_row + n * c.to_n_row) * p.banks + c.to_bank + y * c.to_y_bank
                start = (at + n * c.to_n_bank) * p.cell_words + c.to_sub
                inside = [x for x in range(c.to_cols) if (c.to_sub + x) // p.cell_words == k]
                found.append({(start + x) % space: pixels[x][n] for x in inside})
    return found


def taken(port: BlockPort, granted: int) -> list[tuple[int, int, int]]:
    """The cells on offer that are granted, in order: where, which words, the words."""
    p, found = port.params, []
    sizes = (port.isa.row_bits + port.isa.bank_bits, p.cell_words, p.cell_words * p.fmt.width)
    for k in range(RESULT_CELLS):
        if port.get("write") & granted & 1 << k:
            at, mask, cell = (
                port.get(name) >> k * size & (1 << size) - 1
                for name, size in zip(("at", "mask", "cell"), sizes, strict=True)
            )
            found.append((at, mask, cell))
    return found


def grant(port: BlockPort, stalls: float) -> int:
    """Which of the cells a buffer would take in this cycle, by chance: none, the first, both."""
    return 0 if port.chance(stalls) else 1 if port.chance(stalls) else 3


@cocotb.test()
async def output(dut: Any) -> None:
    """Cells, places and their order; cells that are not granted stay; computes follow while cells are written."""
    port = BlockPort(dut, "output")
    p, rng, width = port.params, port.rng, port.params.fmt.width
    await port.reset()
    got: list[dict[int, int]] = []
    wanted: list[dict[int, int]] = []
    targets: list[int] = []
    pairs: list[bool] = []

    async def cycle(stalls: float, **values: int) -> tuple[int, int]:
        granted = grant(port, stalls)
        port.set(granted=granted, **values)
        await port.settle()
        ready, halves = port.get("ready"), port.get("halves")
        cells = taken(port, granted)
        for cell in cells:
            got.append({})
            put(port, got[-1], *cell)
            assert port.get("target") == targets[len(got) - 1]
        pairs.append(len(cells) == RESULT_CELLS)
        await port.step()
        return ready, halves

    for number in range(COMPUTES):
        stalls, vector = (0.0, 0.5)[number % 2], int(number % 4 == 3)
        cols, count = (1, 1) if vector else (rng.randint(1, 3 * p.cell_words), rng.randint(1, 4))
        c = random_layout(port, cols, count, rng.randint(1, p.neurons))
        rows = [[port.words(width, p.neurons) for _ in range(cols)] for _ in range(count)]
        target = rng.getrandbits(1)
        c = Compute(**{**vars(c), "vector": vector, "target": target})
        cells = cells_of(port, c, rows)
        wanted += cells
        targets += [target] * len(cells)
        await cycle(stalls, config=encode(port.isa, c), start=1, valid=0)
        port.set(start=0)
        pixels = [pixel for row in rows for pixel in row]
        while pixels:
            valid = not port.chance(stalls)
            ready, _ = await cycle(stalls, valid=valid, vector=join(pixels[0], width) if valid else 0)
            if ready and valid:
                pixels.pop(0)
    halves = 2
    while halves:
        _, halves = await cycle(0.3, valid=0)
    assert got == wanted
    assert len(got) > 2 * COMPUTES
    assert sum(pairs) > COMPUTES
    cocotb.log.info("output: %d cells compared", len(got))
