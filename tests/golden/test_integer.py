"""Quantisation and integer layers against exact arithmetic in Python, value by value."""

import itertools
import math
import random
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from golden.integer import forward, layer_map, narrow, pool_map, reciprocal, scores, wide_sums
from golden.network import Layer, Pooling, read
from golden.quantise import quantise, quantise_network, saturated
from hw.errors import BadInput
from hw.instructions import Pool
from hw.params import NumberFormat, preset
from tests.golden.random_networks import images, random_case

FORMATS = [NumberFormat(32, 16), NumberFormat(16, 10), NumberFormat(8, 0), NumberFormat(4, 3), NumberFormat(32, 31)]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_quantise_equals_the_formats_own_rule(fmt: NumberFormat) -> None:
    rng = random.Random(1)
    reals = [rng.uniform(-2, 2) * 2.0 ** rng.randint(-20, fmt.width - fmt.frac) for _ in range(500)]
    ties = [(code + 0.5) / fmt.scale for code in (-3, -2, -1, 0, 1, 2, fmt.low - 1, fmt.low, fmt.high - 1, fmt.high)]
    near = [(2.0**-54 + 0.5 - 2.0**-53) / fmt.scale, -0.0, 0.49999999999999994 / fmt.scale, 1e300, -1e300]
    values = reals + ties + near
    assert quantise(torch.tensor(values, dtype=torch.float64), fmt).tolist() == [fmt.quantise(v) for v in values]


def test_quantise_refuses_what_is_not_finite() -> None:
    with pytest.raises(BadInput, match="finite numbers are wanted for format <16,10>, not 2 others"):
        quantise(torch.tensor([1.0, float("nan"), float("inf")]), NumberFormat(16, 10))


def test_saturated_counts_what_the_format_cannot_hold() -> None:
    fmt = NumberFormat(8, 4)
    values = [7.9375, 7.968, 7.96875, 8.0, -8.0, -8.03125, -8.04, -9.0]
    unsaturated = [math.floor(Fraction(v) * fmt.scale + Fraction(1, 2)) for v in values]
    wanted = sum(not fmt.low <= code <= fmt.high for code in unsaturated)
    assert saturated(torch.tensor(values, dtype=torch.float64), fmt) == wanted == 4


def test_quantise_network_refuses_weights_that_saturate() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        module.get_parameter("1.weight")[0, 0] = 40.0
    with pytest.raises(BadInput, match=r"layer 1: 1 of 4 weights do not fit <16,10> \(largest 40\)"):
        quantise_network(read(module, (2, 1, 1)), NumberFormat(16, 10))


def _slow_map(layer: Layer, x: Tensor, fmt: NumberFormat) -> tuple[list[int], list[int]]:
    """Sums and output words of one image, element by element with Python integers."""
    channels, height, width = layer.in_shape
    n, out_h, out_w = layer.sum_shape
    weight = layer.weight.tolist()
    pixels = x.tolist()
    sums: dict[tuple[int, int, int], int] = {}
    words: dict[tuple[int, int, int], int] = {}
    for o, oy, ox in itertools.product(range(n), range(out_h), range(out_w)):
        total = int(layer.bias[o]) << fmt.frac
        for c in range(channels):
            if layer.fc:
                for y, xx in itertools.product(range(height), range(width)):
                    total += weight[o][(c * height + y) * width + xx] * pixels[c][y][xx]
                continue
            for ky, kx in itertools.product(range(layer.kernel[0]), range(layer.kernel[1])):
                y, xx = oy * layer.stride + ky - layer.padding[0], ox * layer.stride + kx - layer.padding[1]
                if 0 <= y < height and 0 <= xx < width:
                    total += weight[o][c][ky][kx] * pixels[c][y][xx]
        sums[o, oy, ox] = total
        word = fmt.narrow(total)
        words[o, oy, ox] = max(word, 0) if layer.relu else word
    if layer.pool is None:
        return list(sums.values()), list(words.values())
    pooled = []
    for o, py, px in itertools.product(range(n), range(layer.out_shape[1]), range(layer.out_shape[2])):
        size, stride = layer.pool.size, layer.pool.stride
        taken = [
            words[o, y, xx]
            for y in range(py * stride, min(py * stride + size, out_h))
            for xx in range(px * stride, min(px * stride + size, out_w))
        ]
        if layer.pool.kind == Pool.MAX:
            pooled.append(max(taken))
        else:
            scale = int(Fraction(1 << 24, len(taken)) + Fraction(1, 2))
            pooled.append(fmt.saturate((sum(taken) * scale + (1 << 23)) >> 24))
    return list(sums.values()), pooled


@pytest.mark.parametrize("name", ["small", "odd"])
@pytest.mark.parametrize("seed", range(8))
def test_layers_equal_slow_loops(name: str, seed: int) -> None:
    p = preset(name)
    nets, shape = random_case(seed, p)
    net = nets[0]
    x = images(2, shape, p, seed)
    maps, wide = forward(net, x)
    assert len(maps) == len(net.layers)
    before = x
    for layer, found in zip(net.layers, maps, strict=True):
        for number in range(2):
            sums, words = _slow_map(layer, before[number], p.fmt)
            assert wide_sums(layer, before[number : number + 1], p.fmt).flatten().tolist() == sums
            assert found[number].flatten().tolist() == words
        before = found
    assert wide.shape == (2, net.classes)
    assert torch.equal(scores(net, x, batch=1), wide)


@pytest.mark.parametrize("fc", [False, True])
def test_sums_beyond_float64_stay_exact(fc: bool) -> None:
    fmt = NumberFormat(32, 16)
    generator = torch.Generator().manual_seed(3)
    module = nn.Linear(2 * 6 * 5, 3) if fc else nn.Conv2d(2, 3, (3, 4), padding=1, stride=2)
    sequence = nn.Sequential(nn.Flatten(), module) if fc else nn.Sequential(module, nn.Flatten(), nn.Linear(18, 1))
    layer = quantise_network(read(sequence, (2, 6, 5)), fmt).layers[0]
    weight = torch.randint(fmt.low, fmt.high, layer.weight.shape, generator=generator)
    layer = Layer(**{**{f: getattr(layer, f) for f in layer.__dataclass_fields__}, "weight": weight >> 6})
    x = torch.randint(fmt.low, fmt.high, (1, 2, 6, 5), generator=generator)
    sums, _ = _slow_map(layer, x[0], fmt)
    assert max(map(abs, sums)) > 1 << 53
    assert wide_sums(layer, x, fmt).flatten().tolist() == sums


def test_more_inputs_than_exact_sums_allow_are_refused() -> None:
    fmt = NumberFormat(32, 16)
    many = 1 << 21
    layer = Layer(
        "wide", True, torch.full((1, many), fmt.high), torch.zeros(1, dtype=torch.int64), (1, 1), 1, (0, 0), False,
        None, (many, 1, 1), (1, 1, 1),
    )  # fmt: skip
    with pytest.raises(BadInput, match=f"layer wide: {many} inputs of a neuron are more than exact sums allow"):
        wide_sums(layer, torch.full((1, many, 1, 1), fmt.high), fmt)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_narrow_equals_the_formats_own_rule(fmt: NumberFormat) -> None:
    edge = (fmt.high << fmt.frac) + fmt.half
    wide = [0, 1, -1, fmt.half, fmt.half - 1, -fmt.half, -fmt.half - 1, edge, edge - 1, -edge, 1 << 61, -(1 << 61)]
    assert narrow(torch.tensor(wide), fmt).tolist() == [fmt.narrow(v) for v in wide]


def test_average_of_equal_extreme_words_saturates() -> None:
    fmt = NumberFormat(32, 16)
    for size in range(1, 8):
        for value in (fmt.high, fmt.low):
            x = torch.full((1, 1, size, size), value)
            scale = reciprocal(size * size)
            wanted = fmt.saturate((value * size * size * scale + (1 << 23)) >> 24)
            assert pool_map(x, Pooling(Pool.AVERAGE, size, size, False), fmt).item() == wanted


def test_reciprocals_are_rounded_halves_up() -> None:
    for words in range(1, 50):
        assert reciprocal(words) == int(Fraction(1 << 24, words) + Fraction(1, 2))


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_integer_network_follows_the_float_network(kind: type[nn.Module]) -> None:
    """Against torch's own layers: the only place with a tolerance, as one side has rounding and the other none."""
    torch.manual_seed(5)
    pool = kind(3, 2, ceil_mode=True)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), pool, nn.Flatten(), nn.Linear(6 * 36, 10)).double()
    fmt = NumberFormat(32, 16)
    net = quantise_network(read(module, (3, 13, 13)), fmt)
    x = torch.rand(4, 3, 13, 13, dtype=torch.float64)
    wide = forward(net, quantise(x, fmt))[1].double() / (fmt.scale * fmt.scale)
    assert torch.allclose(wide, module(x).detach(), atol=2e-3)
    assert F.max_pool2d(x, 3, 2, ceil_mode=True).shape[-1] == 6


def test_forward_refuses_other_images() -> None:
    p = preset("small")
    nets, shape = random_case(0, p)
    with pytest.raises(BadInput, match=r"images want int64 of shape \[n, .*not torch.float64"):
        forward(nets[0], images(1, shape, p).double())
    with pytest.raises(BadInput, match="integer layers want a quantised network"):
        forward(read(nn.Sequential(nn.Flatten(), nn.Linear(1, 1)), (1, 1, 1)), images(1, (1, 1, 1), p))


def test_relu_and_pooling_follow_the_sum() -> None:
    fmt = NumberFormat(16, 10)
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1))
    with torch.no_grad():
        module.get_parameter("0.weight").fill_(-1.0)
    layer = quantise_network(read(module, (1, 2, 2)), fmt).layers[0]
    x = torch.tensor([[[[-5, 3], [-7, 2]]]])
    assert layer_map(layer, x, fmt).item() == 7
    assert layer_map(layer, x.abs(), fmt).item() == 0
