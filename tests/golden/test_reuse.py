"""Escalated runs that take over maps and sums of the smaller increment: right words, nothing computed twice."""

import random
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from golden.checkpoint import load
from golden.evaluate import integer_networks
from golden.mapping import Mapped, map_network
from golden.mapping.fusion import cut_networks, fused_sizes
from golden.mapping.limbs import limbs_needed
from golden.mapping.reuse import Kept, choose, stable_layers, summable
from golden.verify import verify
from hw.errors import BadInput
from hw.instructions import Base, Decide, Load, Store
from hw.isa import isa
from hw.params import preset
from tests.golden.kept import WAYS, causal, kept_cases, layer_counts, map_kept
from tests.golden.random_networks import fused_module, images, increments, networks, random_case
from tests.golden.test_mapping import check_runs

RUNS = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1))  # first increment, escalations
KINDS = {
    "maps": {"map resident", "map spilled"},
    "sums": {"map resident", "sums", "sums in slabs", "sums pooled", "sums taken and left"},
    "causal": {"map resident", "map spilled", "map vector", "later map"},
}
CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


def _kinds(mapped: Mapped, increment: int) -> Counter[str]:
    """Ways in which the resumed segment takes over; its layers compute no channel, and no product, that is there."""
    p, nets = mapped.params, mapped.networks
    segment = mapped.resumed[increment]
    assert segment is not None
    found: Counter[str] = Counter()
    few, more = nets[increment - 1], nets[increment]
    stable = stable_layers(nets)[increment - 1]
    for index, plan in enumerate(segment.plans):
        first = min(e.channel for e in segment.emits if e.layer == index and not e.limb)
        old = few.layers[index].out_shape[0]
        if index in stable:
            least = min(old, more.layers[index].out_shape[0] - 1)
            assert least - p.lines_per_beat < first <= least
            kind = "vector" if plan.vector else "resident" if plan.stage is None else "spilled"
            found[f"map {kind}"] += first > 0
            found["later map"] += index > 0 and first > 0
            continue
        assert first == 0
        if plan.restored is not None:
            assert old - p.lines_per_beat < plan.layer.sums.channels <= old
            assert plan.layer.sums.inputs == few.layers[index].in_shape[0]
            found["sums"] += 1
            found["sums in slabs"] += len(plan.slabs) > 1
            found["sums pooled"] += plan.layer.pool is not None
            found["sums taken and left"] += plan.saved is not None
    fresh = layer_counts(mapped.fresh[increment], p)
    for index, (anew, resumed) in enumerate(zip(fresh, layer_counts(segment, p), strict=True)):
        plan = segment.plans[index]
        (neurons, height, width), sums = plan.layer.sum_shape, plan.layer.sums
        left = (neurons - plan.layer.kept) * plan.layer.in_shape[0] - sums.channels * sums.inputs
        lanes = sum(block.neurons**2 for block in plan.blocks if block.first < sums.channels)  # of lines of ones
        products = resumed["multiply"] - lanes * height * width * sums.limbs
        assert products * neurons * plan.layer.in_shape[0] == anew["multiply"] * left
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["small", "odd", "paper16"])
def test_random_networks(name: str, way: str) -> None:
    p = preset(name)
    seen: Counter[str] = Counter()
    for seed, mapped, shape in kept_cases(p, way, range(100, 200), 16 if way == "sums" else 10):
        verify(mapped)
        assert check_runs(mapped, images(1, shape, p, seed), RUNS) > 0
        for increment in (1, 2):
            seen += _kinds(mapped, increment)
    print(name, way, dict(seen))
    assert KINDS[way] - {"map spilled"} <= seen.keys()


@pytest.mark.parametrize("name", ["small", "odd"])
def test_a_layer_that_feeds_the_next_one_is_stored_from_its_areas(name: str) -> None:
    p, rng, stored = preset(name), random.Random(3), 0
    for seed in range(60):
        torch.manual_seed(seed)
        module, shape = fused_module(rng, p)
        nets = networks(increments(module, (0.5, 1.0), shape), shape, p)
        cut = cut_networks(causal(nets) if seed % 2 else nets, rng.choice(fused_sizes(nets, p)), p)
        mapped = map_kept(cut, p, rng)
        if mapped.fresh[0].plans[0].feeds:
            verify(mapped)
            assert check_runs(mapped, images(1, shape, p, seed), ((0, 0), (0, 1))) > 0
            stored += 1
    assert stored > 0


@cache
def lenet(name: str, reuse: str | None, rate: float = 0.5) -> Mapped:
    p = preset("paper32")
    networks = integer_networks(load(CHECKPOINTS / f"lenet-mnist-{name}.npz"), p.fmt)
    return map_network(networks, p, search=False, reuse=reuse, escalation_rate=rate)


@pytest.mark.parametrize(("name", "most"), [("half", 0.80), ("causal", 0.55)])
def test_convolutions_of_an_escalated_lenet(name: str, most: float) -> None:
    mapped = lenet(name, "work")
    verify(mapped)
    segment = mapped.resumed[1]
    assert segment is not None
    anew, resumed = (layer_counts(part, mapped.params)[:2] for part in (mapped.fresh[1], segment))
    cells = []
    for event in ("compute_cycles", "multiply"):
        few, all_ = (sum(counts[event] for counts in part) for part in (resumed, anew))
        assert 0 < few <= most * all_
        cells.append(f"{few:,} of {all_:,} ({few / all_:.1%})".replace("%", " %"))
    print(name, cells)
    assert f"| {cells[0]} | {cells[1]} |" in (CHECKPOINTS.parent / "docs" / "mapping.md").read_text()
    assert check_runs(mapped, images(1, (1, 28, 28), mapped.params), ((0, 1),)) > 0


def test_an_escalated_run_takes_over_what_pays() -> None:
    """What of the dense LeNet is worth its work is not worth its time: fully connected layers wait for DRAM anyway."""
    resumed = lenet("half", "work").resumed[1]
    assert resumed is not None
    assert [plan.restored is not None for plan in resumed.plans] == [False, True, False, False]
    assert lenet("half", "time").resumed == (None, None)
    assert lenet("half", "work", 0.0).resumed == (None, None)
    assert lenet("half", "work", 0.0).image == lenet("half", None).image


def test_a_layer_is_kept_when_that_costs_less() -> None:
    def cost(k: int, kept: Kept) -> float:
        return 100 + 10 * len(kept.stored) - 30 * (0 in kept.found) - 15 * (1 in kept.found) + k

    stable = [frozenset({0, 1})]
    assert choose(stable, 0.5, cost)[1].found == {0}
    assert choose(stable, 0.7, cost)[1].found == {0, 1}
    assert choose(stable, 0.3, cost) == [Kept(), Kept()]


def test_layers_whose_maps_do_not_change() -> None:
    p = preset("small")
    nets = random_case(0, p)[0]
    hidden = len(nets[0].layers) - 1
    assert stable_layers(nets) == [frozenset({0})] * 2
    assert stable_layers(causal(nets)) == [frozenset(range(hidden))] * 2
    assert not any(summable(causal(nets), stable_layers(causal(nets)), p))


def test_limbs_hold_the_largest_sum() -> None:
    p = preset("paper16")
    layer = random_case(0, p)[0][0].layers[0]
    weight = layer.weight.clone().zero_()
    weight[0].view(-1)[0] = 1  # times -2**15, of 2 * 15 digits
    small = replace(layer, weight=weight, bias=layer.bias.clone().zero_())
    assert limbs_needed(small, p) == 2
    assert limbs_needed(replace(small, weight=weight * ((1 << 15) - 1)), p) == 2
    assert limbs_needed(replace(small, weight=weight * (1 << 15)), p) == 3


@pytest.mark.parametrize(("reuse", "rate", "message"), [
    ("all", 0.5, "reuse wants time, work or None, not 'all'"),
    ("time", -0.1, "escalation_rate wants a number of at least 0, not -0.1"),
])  # fmt: skip
def test_bad_wishes_are_refused(reuse: str, rate: float, message: str) -> None:
    p = preset("small")
    with pytest.raises(BadInput, match=message):
        map_network(random_case(0, p)[0], p, reuse=reuse, escalation_rate=rate)


def _without_stores(mapped: Mapped, first: int) -> Mapped:
    """The program whose smallest increment stores its kept maps ``first`` beats further on."""
    coder, raw = isa(mapped.params), bytearray(mapped.image)
    for number, item in enumerate(mapped.fresh[0].code):
        if isinstance(item, Store) and item.base == Base.ABSOLUTE:
            at = mapped.fresh[0].address * mapped.params.dram_beat_bytes + number * coder.instruction_bytes
            raw[at : at + coder.instruction_bytes] = coder.encode(replace(item, address=item.address + first))
            return replace(mapped, image=bytes(raw))
    raise AssertionError("no map is kept")


def test_a_resumed_segment_reads_only_what_was_kept() -> None:
    mapped = lenet("causal", "work")
    spoilt = _without_stores(mapped, 1)
    with pytest.raises(BadInput, match="read but were never written"):
        verify(spoilt)
    kept = [item for item in mapped.fresh[0].code if isinstance(item, Store) and item.base == Base.ABSOLUTE]
    segment = mapped.resumed[1]
    assert segment is not None
    stored = {kept_.address for kept_ in kept}
    assert stored & {item.address for item in segment.code if isinstance(item, Load)}


def test_the_decision_leads_to_the_resumed_segment() -> None:
    mapped = lenet("causal", "work")
    segment = mapped.resumed[1]
    assert segment is not None
    decide = next(item for item in mapped.fresh[0].code if isinstance(item, Decide))
    assert (decide.address, decide.length) == (segment.address, len(segment.code))
    coder, index = isa(mapped.params), mapped.fresh[0].code.index(decide)
    at = mapped.fresh[0].address * mapped.params.dram_beat_bytes + index * coder.instruction_bytes
    fresh = replace(decide, address=mapped.fresh[1].address, length=len(mapped.fresh[1].code))
    raw = mapped.image[:at] + coder.encode(fresh) + mapped.image[at + coder.instruction_bytes :]
    with pytest.raises(BadInput, match="the next segment .* is wanted"):
        verify(replace(mapped, image=raw))
