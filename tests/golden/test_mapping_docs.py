"""docs/mapping.md: its table is computed again, from networks with random weights (counts do not depend on weights)."""

import re
from pathlib import Path

import pytest
import torch

from golden.counts import count_run
from golden.mapping import map_network
from golden.network import Layer, read
from golden.networks import INPUT_SHAPES, find_network, narrow
from golden.quantise import quantise_network
from golden.verify import verify
from hw.params import TileParams, preset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
FRACTIONS = {"lenet": (0.1, 0.2, 1.0), "convnet": (0.25, 0.5, 0.75, 1.0), "alexnet": (0.25, 0.5, 0.75, 1.0)}


def grouped(layer: Layer, p: TileParams) -> int:
    """Compute cycles if a block's idle neurons worked on other pixels, in 1, 2, 4, 8 or 16 groups."""
    pixels, lines = layer.sum_shape[1] * layer.sum_shape[2], -(-layer.inputs // p.synapses)
    full, rest = divmod(layer.sum_shape[0], p.neurons)
    groups = [g for g in (1, 2, 4, 8, 16) if g <= p.neurons]
    remainder = min(-(-pixels // g) * lines * -(-rest // (p.neurons // g)) for g in groups)
    return full * pixels * lines + (remainder if rest else 0)


@pytest.mark.parametrize("name", FRACTIONS)
def test_the_table_is_what_the_mapper_gives(name: str) -> None:
    torch.manual_seed(0)
    p = preset("paper32")
    whole = find_network(name)()
    nets = [quantise_network(read(narrow(whole, fraction), INPUT_SHAPES[name]), p.fmt) for fraction in FRACTIONS[name]]
    mapped = map_network(nets, p)
    assert verify(mapped).instructions == 1 + sum(map(len, mapped.segments))
    rows = []
    for increment, (fraction, net) in enumerate(zip(FRACTIONS[name], nets, strict=True)):
        counts = count_run(mapped, [increment])
        numbers = (
            counts["instructions"],
            counts["compute_cycles"],
            sum(grouped(layer, p) for layer in net.layers),
            counts["sb_read"],
            mapped.dram_bytes(increment),
        )
        rows.append(f"| {name} | {fraction:g} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    written = re.findall(rf"^\| {name} \|.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == rows
