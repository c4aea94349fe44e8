"""docs/mapping.md: its table is computed again, from networks with random weights (counts do not depend on weights)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from golden.counts import count_run
from golden.mapping import map_network
from golden.network import read
from golden.networks import INPUT_SHAPES, find_network, narrow
from golden.quantise import quantise_network
from golden.verify import verify
from hw.params import preset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
FRACTIONS = {"lenet": (0.1, 0.2, 1.0), "convnet": (0.25, 1.0), "alexnet": (0.25, 1.0)}


def rows(name: str) -> Iterator[str]:
    """The table's rows of a network."""
    torch.manual_seed(0)
    p = preset("paper32")
    whole = find_network(name)()
    nets = [quantise_network(read(narrow(whole, fraction), INPUT_SHAPES[name]), p.fmt) for fraction in FRACTIONS[name]]
    mapped = map_network(nets, p)
    assert verify(mapped).instructions == 1 + sum(map(len, mapped.segments))
    for increment, fraction in enumerate(FRACTIONS[name]):
        counts = count_run(mapped, [increment])
        numbers = (
            counts["instructions"],
            counts["compute_cycles"],
            -(-mapped.macs(increment) // (p.neurons * p.synapses)),
            counts["sb_read"],
            mapped.dram_bytes(increment),
        )
        yield f"| {name} | {fraction:g} | " + " | ".join(f"{number:,}" for number in numbers) + " |"


@pytest.mark.parametrize("name", FRACTIONS)
def test_the_table_is_what_the_mapper_gives(name: str) -> None:
    written = re.findall(rf"^\| {name} \|.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == list(rows(name))
