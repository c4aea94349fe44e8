"""Bench of the output writer: every word of every vector at the address of its layout, under stalls of both sides."""

from typing import Any

import cocotb

from cosim.port import BlockPort, encode, join, signed
from hw.isa import Compute

COMPUTES = 12


def random_compute(port: BlockPort) -> Compute:
    p, rng, rows = port.params, port.rng, 1 << port.isa.row_bits
    pairs: dict[str, Any] = {}
    for name in ("to_", "to_x_", "to_y_", "to_n_"):
        pairs |= {f"{name}row": rng.randrange(rows), f"{name}bank": rng.randrange(p.synapses)}
    return Compute(neurons=rng.randint(1, p.neurons), to_cols=rng.randint(1, 5), **pairs)


def address(port: BlockPort, c: Compute, pixel: int, neuron: int) -> int:
    """The word's place in a buffer as large as the row field allows."""
    n, (y, x) = port.params.synapses, divmod(pixel, c.to_cols)
    word = c.to_row * n + c.to_bank + x * (c.to_x_row * n + c.to_x_bank)
    word += y * (c.to_y_row * n + c.to_y_bank) + neuron * (c.to_n_row * n + c.to_n_bank)
    return word % (n << port.isa.row_bits)


@cocotb.test()
async def output(dut: Any) -> None:
    """Words, addresses and their order; a word that is not granted stays."""
    port = BlockPort(dut, "output")
    p, width, n = port.params, port.params.fmt.width, port.params.synapses
    await port.reset()
    compared = 0
    for number in range(COMPUTES):
        c, stalls = random_compute(port), (0.0, 0.5)[number % 2]
        vectors = [port.words(width, p.neurons) for _ in range(port.rng.randint(4, 12))]
        await port.cycle(config=encode(port.isa, c), start=1, valid=0, granted=0)
        port.set(start=0)
        got, fed, busy = [], 0, 1
        while fed < len(vectors) or busy:
            valid, granted = fed < len(vectors) and not port.chance(stalls), not port.chance(stalls)
            port.set(valid=valid, granted=granted, vector=join(vectors[fed], width) if valid else 0)
            await port.settle()
            if port.get("write") and granted:
                at = port.get("at")
                row, bank = at & ((1 << port.isa.row_bits) - 1), at >> port.isa.row_bits
                got.append((row * n + bank, signed(port.get("word"), width)))
            fed += valid and port.get("ready")
            await port.step()
            busy = port.get("busy")
        assert got == [
            (address(port, c, pixel, neuron), vector[neuron])
            for pixel, vector in enumerate(vectors)
            for neuron in range(c.neurons)
        ]
        compared += len(got)
    assert compared > 4 * COMPUTES
    cocotb.log.info("output: %d words compared", compared)
