"""Blocks of neurons, pieces of weight lines and packed weights, by brute force."""

import random
from collections.abc import Iterator

import pytest
import torch

from golden.mapping.pieces import Piece, blocks, cycles_of, most_groups, pack_weights, pieces_of, split
from golden.mapping.view import Reach, columns_read, view_of
from golden.network import Layer
from hw.params import PRESETS, TileParams, preset


def random_layer(rng: random.Random, neurons: int) -> Layer:
    kernel = rng.randint(1, 3), rng.randint(1, 4)
    channels, height, width = rng.randint(1, 3), kernel[0] + rng.randint(0, 4), kernel[1] + rng.randint(0, 14)
    weight = torch.randint(-9, 9, (neurons, channels, *kernel))
    return Layer(
        name="a", fc=False, weight=weight, bias=torch.zeros(neurons, dtype=torch.int64), kernel=kernel, stride=1,
        padding=(0, 0), relu=False, pool=None, in_shape=(channels, height, width),
        sum_shape=(neurons, height - kernel[0] + 1, width - kernel[1] + 1),
    )  # fmt: skip


def cuts(count: int, offset: int, align: int) -> Iterator[tuple[int, ...]]:
    """Every way to cut a block: all parts but the last end at a beat."""
    if not count:
        yield ()
    for part in range(1, count + 1):
        if part == count or (offset + part) % align == 0:
            yield from ((part, *others) for others in cuts(count - part, offset + part, align))


def cycles(layer: Layer, part: int, reach: Reach, p: TileParams) -> int:
    view, (_, height, width) = view_of(layer, p), layer.sum_shape
    groups, paired = most_groups(view, reach, part, width, p)
    if paired:
        return view.lines * -(-height // 2)
    lanes, row = view.elements - (view.lines - 1) * view.taps, -(-width // groups)
    last = row
    if p.quarter_lanes and view.lines > 1 and columns_read(view, 1, min(4 * groups, width), 0, p) <= reach.columns:
        quarters = -(-lanes // p.quarter_lanes)
        last = min(row, quarters * -(-row // 4)) if quarters < 4 else row
    return height * ((view.lines - 1) * row + last)


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_cover_every_neuron_in_the_fewest_cycles(name: str) -> None:
    p, rng = preset(name), random.Random(name)
    several = 0
    for _ in range(15 if p.neurons == 16 else 150):
        neurons = rng.randint(1, 2 * p.neurons + 2)
        layer = random_layer(rng, neurons)
        columns = columns_read(view_of(layer, p), layer.sum_shape[2], 1, 0, p) + rng.randint(0, 2)
        reach = Reach(columns, rng.random() < 0.5)
        found = split(layer, reach, False, p)
        assert [n for b in found for n in range(b.first, b.first + b.neurons)] == list(range(neurons))
        for block in found:
            assert block.first == block.number * p.neurons + block.offset
            assert block.neurons * block.groups <= p.neurons
            assert block.offset % p.lines_per_beat == 0
        first, rest = list(blocks(neurons, p))[-1]
        best = min(sum(cycles(layer, part, reach, p) for part in cut) for cut in cuts(rest, 0, p.lines_per_beat))
        assert sum(cycles_of(layer, b, reach, p) for b in found if b.first >= first) == best
        several += sum(b.first >= first for b in found) > 1
        rest_first = split(layer, reach, True, p)
        assert sorted(rest_first, key=lambda block: block.first) == list(found)
        whole = [block.neurons == p.neurons for block in rest_first]
        assert whole == sorted(whole)
    assert several or name == "odd"  # see IMPOSSIBLE in mapping_kinds


@pytest.mark.parametrize("name", PRESETS)
def test_groups_are_the_most_that_the_cells_feed(name: str) -> None:
    p, rng = preset(name), random.Random(name)
    met: set[object] = set()
    for _ in range(60):
        layer = random_layer(rng, 1)
        width = rng.choice((layer.sum_shape[2], max(1, p.groups // 2)))
        view, neurons = view_of(layer, p), rng.choice((1, rng.randint(1, p.neurons)))
        columns = columns_read(view, width, 1, 0, p) + rng.randint(0, 3)
        able = [
            groups
            for groups in range(2, min(p.groups, width) + 1)
            if groups * neurons <= p.neurons and columns_read(view, -(-width // groups), groups, 0, p) <= columns
        ]
        assert most_groups(view, Reach(columns), neurons, width, p) == (max(able, default=1), False)
        met.add(max(able, default=1))
        paired = 2 * width == p.groups and p.groups * neurons <= p.neurons
        paired &= columns_read(view, 1, width, 0, p) <= columns
        wanted = (p.groups, True) if paired else (max(able, default=1), False)
        assert most_groups(view, Reach(columns, True), neurons, width, p) == wanted
        met.add(wanted)
    assert len(met) > 1
    assert (p.groups, True) in met or not p.pair_cells


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_pieces_follow_each_other_and_are_even(step: int) -> None:
    p, rng = preset("small"), random.Random(step)
    for _ in range(20):
        view = view_of(random_layer(rng, 1), p)
        found = pieces_of(view, step)
        assert [line for piece in found for line in range(piece.line, piece.line + piece.lines)] == [*range(view.lines)]
        assert max(piece.lines for piece in found) <= step
        assert max(piece.lines for piece in found) - min(piece.lines for piece in found) <= 1
        elements = 0
        for piece in found:
            elements += (piece.lines - 1) * view.taps + piece.last_lanes
            assert (piece.channel, piece.channels) == _channels(
                view.kernel_h * view.kernel_w, view.taps, piece, elements
            )
        assert elements == view.elements


def _channels(window: int, taps: int, piece: Piece, end: int) -> tuple[int, int]:
    first = piece.line * taps // window
    return first, (end - 1) // window + 1 - first


@pytest.mark.parametrize("name", PRESETS)
def test_packed_weights_are_the_flattened_windows(name: str) -> None:
    p, rng = preset(name), random.Random(name)
    neurons = p.neurons + 1
    layer = random_layer(rng, neurons)
    view = view_of(layer, p)
    packed = pack_weights(layer, p)
    assert [block.shape for block in packed] == [(view.lines, n, p.synapses) for n in (p.neurons, 1)]
    flat = layer.weight.reshape(neurons, -1)
    for n in range(neurons):
        for line in range(view.lines):
            for lane in range(p.synapses):
                element = line * view.taps + lane
                there = lane < view.taps and element < view.elements
                value = int(flat[n, element]) if there else 0
                assert packed[n // p.neurons][line, n % p.neurons, lane] == value
