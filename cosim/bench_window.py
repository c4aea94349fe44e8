"""Bench of the window lanes: the addresses of golden's flattened windows, line by line, and the edges of the map."""

from typing import Any

import cocotb
import torch

from cosim.port import BlockPort, encode, pack
from golden.mapping.layout import lines_of, pitches
from golden.mapping.schedule import window_of
from golden.network import Layer
from hw.isa import MAP_BITS
from hw.signatures import pair_layout

KERNELS = 25


def random_layer(port: BlockPort) -> Layer:
    rng = port.rng
    kernel = (rng.randint(1, 5), rng.randint(1, 7))
    channels, height, width = rng.randint(1, 4), rng.randint(5, 12), rng.randint(7, 12)
    weight = torch.zeros((1, channels, *kernel))
    shape = (channels, height, width)
    return Layer("random", False, weight, torch.zeros(1), kernel, 1, (0, 0), False, None, shape, (1, 1, 1))


@cocotb.test()
async def window(dut: Any) -> None:
    """Row and inside of every lane of every line; a rewind starts over; the block keeps its own copy of the window."""
    port = BlockPort(dut, "window")
    p, i, rng, n = port.params, port.isa, port.rng, port.params.synapses
    await port.reset()
    compared = [0, 0]
    for _ in range(KERNELS):
        layer = random_layer(port)
        (_, height, width), (kernel_h, kernel_w) = layer.in_shape, layer.kernel
        pitch, plane = pitches(layer, height, p)
        await port.cycle(set=1, window=encode(i, window_of(layer, pitch, plane, p)), step=0, rewind=0)
        port.set(set=0, window=0)
        lines = lines_of(layer.inputs, p)
        for last in (lines, rng.randint(1, lines)):
            for line in range(last):
                left = min(n, layer.inputs - line * n)
                x, y = rng.randint(-3, width), rng.randint(-3, height)
                row, bank = rng.randrange(1 << i.row_bits), rng.randrange(n)
                mask = (1 << MAP_BITS) - 1
                port.set(
                    origin=pack(pair_layout(i), {"row": row, "bank": bank}), x=x & mask, y=y & mask, in_w=width,
                    in_h=height, lanes_left=left, step=1, rewind=line == last - 1,
                )  # fmt: skip
                await port.settle()
                inside = port.get("inside")
                for e in range(n):
                    element = line * n + e
                    c, ky, kx = element // (kernel_h * kernel_w), element // kernel_w % kernel_h, element % kernel_w
                    here = e < left and 0 <= x + kx < width and 0 <= y + ky < height
                    assert inside >> e & 1 == here
                    if e < left:
                        word = row * n + bank + c * plane + ky * pitch + kx
                        assert word % n == (bank + e) % n  # no two lanes meet in a bank
                        assert port.get(f"row_{e}") == word // n % (1 << i.row_bits)
                    compared[here] += 1
                await port.step()
        port.set(step=0, rewind=0)
    assert min(compared) > 100
    cocotb.log.info("window: %d lanes outside, %d inside the map", *compared)
