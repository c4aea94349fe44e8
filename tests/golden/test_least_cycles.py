"""docs/cycles.md: what its rows take at least is counted again from the networks, the mapper's blocks and the tile."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from golden.limits import BURST_NS, limit_sbcap
from golden.mapping import map_network
from golden.mapping.pieces import Block, cycles_of, split
from golden.mapping.view import Reach, view_of
from golden.network import Layer, Network, read
from golden.networks import INPUT_SHAPES, find_network, narrow
from golden.quantise import quantise_network
from golden.timing import Ideal, predict
from hw.instructions import UNUSED
from hw.params import TileParams, preset

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, CYCLES = DOCS / "cycles.md", DOCS / "results" / "cycles.json"
NAMES = {"LeNet": "lenet", "ConvNet": "convnet", "ALEXnet": "alexnet"}

# docs/cycles.md says where these come from; the tile's cycles, nothing of a network
FIRST_REQUEST, LATENCY, TAKEN = 16, 5, 4
INTO_FC, AT_THE_END = 15, 17


def table(head: str) -> list[list[str]]:
    """Cells of every row of the page's table whose first line begins with ``head``."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(head))
    found = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    assert found
    return found


def network_of(row: str) -> tuple[Network, TileParams]:
    """The network of a row named like "LeNet 0.5, paper16"."""
    matched = re.fullmatch(r"(\w+) ([\d.]+), (\w+)", row)
    assert matched
    name, fraction, tile = matched.groups()
    p = preset(tile)
    return quantise_network(
        read(narrow(find_network(NAMES[name])(), float(fraction)), INPUT_SHAPES[NAMES[name]]), p.fmt
    ), p


def quickest(layer: Layer, p: TileParams) -> tuple[int, tuple[Block, ...]]:
    """The fewest cycles of computing that the mapper's blocks can take, whatever columns are read, and the blocks."""
    reaches = [Reach(columns, gap) for columns in range(UNUSED) for gap in (False, True)]
    ways = [(reach, split(layer, reach, not layer.fc, p)) for reach in reaches]
    return min(
        ((sum(cycles_of(layer, block, reach, p) for block in way), way) for reach, way in ways), key=lambda way: way[0]
    )


def compute_cycles(layer: Layer, p: TileParams) -> int:
    return quickest(layer, p)[0]


def bus_cycles(beats: int, p: TileParams) -> float:
    return beats * BURST_NS / p.clock_ns


def first_line(net: Network, p: TileParams) -> tuple[int, int]:
    """Beats that the first line wants, and cycles before it: rows of the image that the first windows meet, a block's
    weights, biases."""
    layer = net.layers[0]
    channels, _, width = layer.in_shape
    rows = layer.kernel[0] - layer.padding[0]
    beats = channels * rows * -(-width * p.word_bytes // p.dram_beat_bytes)
    beats += view_of(layer, p).lines * -(-quickest(layer, p)[1][0].neurons // p.lines_per_beat) + 1
    return beats, math.ceil(FIRST_REQUEST + LATENCY + bus_cycles(beats - 1, p) + TAKEN) - 1


def tail(net: Network, p: TileParams) -> int:
    """Cycles behind the last convolution's last line in which none is computed: the fully connected layer's last line
    waits for it, the others at best run meanwhile."""
    (fc,) = (layer for layer in net.layers if layer.fc)
    return max(INTO_FC - (compute_cycles(fc, p) - 1), 0) + AT_THE_END


def most(net: Network, p: TileParams) -> int:
    return int(limit_sbcap(net, p) / 0.9 + 100)


def measured(row: str) -> dict[str, Any]:
    """The measured row named like "LeNet 0.5, paper16"."""
    places = (
        (f"{name} {found['fraction']:g}, {found['preset']}", found)
        for found in json.loads(CYCLES.read_text(encoding="utf-8"))["rows"]
        for name, of in NAMES.items()
        if of == found["network"]
    )
    return dict(places)[row]


def shown(row: str, *numbers: int) -> list[str]:
    return [row, *(f"{number:,}" for number in numbers)]


BY_COMPUTES = table("| row | beats | until the first line")


@pytest.mark.parametrize("cells", BY_COMPUTES, ids=lambda cells: cells[0])
def test_a_row_that_its_computes_hold(cells: list[str]) -> None:
    row = cells[0]
    net, p = network_of(row)
    beats, first = first_line(net, p)
    computes = sum(compute_cycles(layer, p) for layer in net.layers)
    least = first + computes + tail(net, p)
    assert cells == shown(row, beats, first, computes, tail(net, p), least, most(net, p))
    assert most(net, p) < least <= measured(row)["cycles"]


def block_cycles(channels: int, p: TileParams) -> float:
    """Cycles that a block of a fully connected layer of 4 x 4 maps takes on ideal memory, where many follow."""
    cycles = []
    for blocks in (12, 16):
        torch.manual_seed(0)
        layer = nn.Sequential(nn.Flatten(), nn.Linear(channels * 16, blocks * p.neurons))
        net = quantise_network(read(layer, (channels, 4, 4)), p.fmt)
        mapped = map_network([net], p, search=False)
        assert len(mapped.fresh[0].plans[0].pieces) == 1
        cycles.append(predict(mapped, 0, Ideal()).cycles)
    return (cycles[1] - cycles[0]) / 4


@pytest.mark.parametrize("lines", [19, 25, 38])
def test_the_bus_goes_on_while_synapses_are_read(lines: int) -> None:
    """Nothing but a block's own instructions comes between its beats and the next one's."""
    p = preset("paper16")
    beats = bus_cycles(lines * p.neurons // p.lines_per_beat, p)
    taken = block_cycles(lines, p)
    assert beats < taken <= beats + bus_cycles(4, p)
    if lines == 25:
        page = " ".join(PAGE.read_text(encoding="utf-8").split())
        assert f"a block of 25 lines takes {math.ceil(taken)} cycles, its beats {beats:g}" in page
