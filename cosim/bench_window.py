"""Bench of the window lanes: the words of golden's flattened windows, line by line, and the cells that hold them."""

from typing import Any

import cocotb
import torch

from cosim.port import BlockPort, encode, pack
from golden.mapping.view import Reach, View, pitches, view_of, window_of
from golden.network import Layer
from hw.cursor import place_layout
from hw.errors import BadInput
from hw.instructions import UNUSED
from hw.isa import MAP_BITS
from hw.window import places_layout

KERNELS = 25


def random_view(port: BlockPort) -> tuple[View, int, Reach, int, int]:
    """A view with its groups, reach, pitch and plane, such as the tile can read."""
    rng, p = port.rng, port.params
    gap = p.pair_cells > 0 and rng.random() < 0.3
    while True:
        kernel = (rng.randint(1, 5), rng.randint(1, 7))
        channels, height, width = rng.randint(1, 4), rng.randint(5, 12), rng.randint(7, 12)
        weight, shape = torch.zeros((1, channels, *kernel)), (channels, height, width)
        layer = Layer("random", False, weight, torch.zeros(1), kernel, 1, (0, 0), False, None, shape, (1, 1, 1))
        try:
            view = view_of(layer, p)
        except BadInput:
            continue
        groups = rng.randint(1, p.groups)
        columns = -(-(p.cell_words - 1 + groups - 1 + view.kernel_w) // p.cell_words)
        reach, most = Reach(columns, gap), p.pair_cells if gap else UNUSED - 1
        found = pitches(view, height, reach, channels, False, p) if columns <= most else None
        if found:
            return view, groups, reach, *found


@cocotb.test()
async def window(dut: Any) -> None:
    """Lanes, words and cells of every line; a rewind starts over; the block keeps its own copy of the window."""
    port = BlockPort(dut, "window")
    p, i, rng = port.params, port.isa, port.rng
    row_mask = (1 << i.row_bits) - 1
    await port.reset()
    compared, gaps = [0, 0], 0
    for _ in range(KERNELS):
        view, groups, reach, pitch, plane = random_view(port)
        gaps += reach.gap
        await port.cycle(set=1, window=encode(i, window_of(view, pitch, plane, 0, reach, p)))
        port.set(set=0, window=0)
        commands = {"begin": 1, "advance": 0, "step": 0, "rewind": 0}  # that bring the step
        for last in (view.lines, rng.randint(1, view.lines)):
            for line in range(last):
                left = min(view.taps, view.elements - line * view.taps)
                x, y, pixels = rng.randint(-3, view.width), rng.randint(-3, view.height), rng.randint(1, groups)
                base = rng.randrange(p.banks << i.row_bits)
                row, bank = divmod(base + y * pitch + x // p.cell_words, p.banks)
                mask, sub = (1 << MAP_BITS) - 1, x % p.cell_words
                at = {"x": x, "y": y, "ring_y": y, "cell": {"row": row & row_mask, "bank": bank}, "sub": sub}
                place = pack(place_layout(i), at)
                await port.cycle(next_at=place, next_in_w=view.width & mask, next_columns=reach.columns, **commands)
                port.set(
                    next_at=0, begin=0, advance=0, at=place, in_h=view.height & mask, lanes_left=left, pixels=pixels,
                    ring_rows=0, ring_back=0, paired=0, split=0, quarter=0, turn=0, groups=groups,
                )  # fmt: skip
                commands = {"begin": 0, "advance": 1, "step": 1, "rewind": int(line == last - 1)}
                await port.settle()
                start, banks, lanes = port.get("start"), port.get("banks"), port.get("lanes")
                places = places_layout(p).from_bits(port.get("place"))
                cells = set()
                for j in range(p.groups):
                    for e in range(p.synapses):
                        element = line * view.taps + e
                        run, kx = divmod(element, view.kernel_w)
                        c, ky = divmod(run, view.kernel_h)
                        here = e < left and j < pixels and 0 <= x + kx + j < view.width and 0 <= y + ky < view.height
                        assert lanes >> (j * p.synapses + e) & 1 == here
                        compared[here] += 1
                        if here:
                            cell, sub = divmod(x + kx + j, p.cell_words)
                            cell += base + c * plane + (y + ky) * pitch
                            cells.add(cell)
                            assert (start + places[e] + j) % p.row_words == cell % p.banks * p.cell_words + sub
                            assert banks >> cell % p.banks & 1
                            assert port.get(f"row_{cell % p.banks}") == cell // p.banks & row_mask
                assert len(cells) == len({cell % p.banks for cell in cells})  # no two cells meet in a bank
    assert min(compared) > 100
    assert gaps > 0 or not p.pair_cells
    cocotb.log.info("window: %d lanes outside, %d inside the map", *compared)
