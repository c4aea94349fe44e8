"""Closed-form counts against sums by hand; test_mapping compares them with the interpreter's on random networks."""

import itertools

import pytest
import torch
from torch import nn

from golden.counts import count, count_entry, count_run, emitted_rows, gathered, windows_of
from golden.mapping import map_network
from golden.mapping.schedule import window_of
from golden.network import read
from golden.quantise import quantise_network
from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import Compute, Load, Pool
from hw.isa import isa
from hw.params import preset
from tests.golden.random_networks import increments, networks


def test_a_layer_counted_by_hand() -> None:
    """3 of 4 neurons, 2x2 kernel, padding 1, one channel of 3x3 pixels, max pooling 2/2: 4x4 sums, 2x2 words."""
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(nn.Conv2d(1, 3, 2, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    mapped = map_network([quantise_network(read(module, (1, 3, 3)), p.fmt)], p)
    segment = mapped.segments[0]
    computes = [item for item in segment if isinstance(item, Compute)]
    assert len(computes) == 2
    beats = isa(p).instruction_beats
    found = count(segment, p)
    conv_cycles, fc_cycles = 16 * 1, 1 * 3
    taps = 4 * 9  # every one of the 4 taps meets each of the 9 pixels once, the rest lies in the padding
    conv_tiles = 4  # of 4 pixels: half of the 8 accumulators
    # lines are 8 bytes, two to a beat: an image row of 3 words is a beat, lines of 3 or 4 neurons are two, of 2 are one
    weights, biases, image = 1 * 2 + 3 * 1, (1 + 1) * 2, 3
    assert found == {
        "instructions": len(segment),
        "compute_cycles": conv_cycles + fc_cycles,
        "multiply": taps * 3 + 12 * 2,
        "lane_gated": (conv_cycles + fc_cycles) * 16 - taps * 3 - 12 * 2,
        "accumulate": conv_cycles * 3 + fc_cycles * 2,
        "activation": 16 * 3 + 2,
        "pool_update": 16 * 3,
        "sb_read": conv_tiles * 3 * 4 + 4 + 3 * 2 * 4 + 4,
        "sb_write": 3 * 4 + 2 * 12 + 2 * 16,
        "nbin_read": taps + 2,
        "nbin_write": 9 + 2,
        "nbout_read": 12,
        "nbout_write": 12,
        "output": 12 + 2,
        "dram_read": beats * len(segment) + weights + biases + image,
        "dram_write": 1,
        "score_vector": 1,
        "decision": 1,
    }
    assert set(found) == {event.name for event in WORK}
    assert mapped.dram_bytes(0) == (found["dram_read"] + 1 + beats) * p.dram_beat_bytes
    assert mapped.macs(0) == 16 * 4 * 3 + 24


@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (5, 5)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_gathered_words_equal_a_walk_over_pixels_and_taps(kernel: tuple[int, int], stride: int, padding: int) -> None:
    p = preset("odd")
    layer = read(
        nn.Sequential(nn.Conv2d(2, 1, kernel), nn.Flatten(), nn.Linear((8 - kernel[0]) * (9 - kernel[1]), 1)),
        (2, 7, 8),
    ).layers[0]
    window = window_of(layer, 100, 1000, p)
    taps = list(itertools.product(range(3), range(kernel[0]), range(kernel[1])))
    for elements in range(1, len(taps)):
        lines = -(-elements // p.synapses)
        compute = Compute(
            x0=-padding, y0=1 - padding, stride=stride, in_w=8, in_h=7, cols=4, rows=3, lines=lines,
            last_lanes=elements - (lines - 1) * p.synapses,
        )  # fmt: skip
        walked = sum(
            0 <= compute.x0 + i * stride + kx < 8 and 0 <= compute.y0 + j * stride + ky < 7
            for j, i in itertools.product(range(3), range(4))
            for _, ky, kx in taps[:elements]
        )
        assert gathered(compute, window) == walked


@pytest.mark.parametrize("size", range(1, 5))
@pytest.mark.parametrize("stride", range(1, 5))
def test_pooling_counts_equal_a_walk_over_windows(size: int, stride: int) -> None:
    length, windows = 11, (11 - size) // stride + 1
    for first, positions in itertools.combinations(range(length + 1), 2):
        positions -= first
        held = [range(w * stride, w * stride + size) for w in range(windows)]
        walked = sum(at in window for window in held for at in range(first, first + positions))
        assert windows_of(first, positions, size, stride, windows) == walked
        compute = Compute(
            pool=Pool.MAX, pool_size=size, pool_stride=stride, out_h=length, pool_h=windows, out_y=first, rows=positions
        )  # fmt: skip
        assert emitted_rows(compute) == sum(first <= window[-1] < first + positions for window in held)


def test_an_escalated_run_is_the_sum_of_its_segments() -> None:
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    mapped = map_network(networks(increments(module, (0.25, 0.5, 1.0), (1, 8, 8)), (1, 8, 8), p), p)
    whole = [count(segment, p) for segment in mapped.segments]
    cut = [count(segment, p, escalates=True) for segment in mapped.segments]
    for full, part, segment in zip(whole, cut, mapped.segments, strict=True):
        assert full["instructions"] - part["instructions"] == 2  # the store of the scores and END
        assert full["dram_read"] == part["dram_read"]  # the fetch has read the whole segment by then
        assert (full["dram_write"], part["dram_write"]) == (1, 0)
        assert full["instructions"] == len(segment)
    run = count_run(mapped, [0, 1, 2])
    for name in run:
        assert run[name] == count_entry(p)[name] + cut[0][name] + cut[1][name] + whole[2][name]
    assert run["decision"] == 3
    assert count_run(mapped, [1])["dram_read"] == whole[1]["dram_read"] + isa(p).instruction_beats
    work = [count_run(mapped, [i])["multiply"] for i in range(3)]
    assert work[0] < work[1] < work[2]


def test_refusals() -> None:
    torch.manual_seed(0)
    p = preset("small")
    mapped = map_network([quantise_network(read(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (4, 1, 1)), p.fmt)], p)
    with pytest.raises(BadInput, match=r"a run wants increments one after the other, not \[0, 2\]"):
        count_run(mapped, [0, 2])
    with pytest.raises(BadInput, match=r"a run wants increments one after the other, not \[\]"):
        count_run(mapped, [])
    with pytest.raises(BadInput, match=r"a run wants increments from 0 to 0, not \[1\]"):
        count_run(mapped, [1])
    with pytest.raises(BadInput, match="a compute wants a window before it"):
        count([Compute()], p)
    assert count([Load(runs=3, lines=5, last_words=2)], p)["nbin_write"] == 3 * (4 * 4 + 2)
