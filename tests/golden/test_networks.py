"""Networks of T16 Table 3 and channel gating as a prefix."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from golden.integer import forward
from golden.network import Network, causal_inputs, read
from golden.networks import (
    INPUT_SHAPES,
    NETWORKS,
    IncrementalNetwork,
    channels,
    check_fractions,
    find_network,
    narrow,
    weight_layers,
)
from golden.quantise import quantise, quantise_network
from golden.training.thresholds import macs
from hw.errors import BadInput
from hw.params import NumberFormat

# MACs and weights of each layer at full size, written out from T16 Table 3: output pixels, weights
LAYERS = {
    "lenet": [(24 * 24, 20 * 25), (8 * 8, 50 * 25 * 20), (1, 500 * 800), (1, 10 * 500)],
    "convnet": [(28 * 28, 16 * 25 * 3), (8 * 8, 512 * 49 * 16), (4 * 4, 20 * 25 * 512), (1, 20 * 80), (1, 10 * 20)],
    "alexnet": [(32 * 32, 32 * 25 * 3), (16 * 16, 32 * 25 * 32), (8 * 8, 64 * 25 * 32), (1, 10 * 1024)],
}


def weights(network: nn.Sequential) -> list[torch.Tensor]:
    return [layer.weight for _, layer in weight_layers(network)]


def biases(network: nn.Sequential) -> list[torch.Tensor]:
    return [layer.bias for _, layer in weight_layers(network) if layer.bias is not None]


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_are_those_of_the_paper(name: str) -> None:
    network = find_network(name)()
    assert [values.numel() for values in weights(network)] == [count for _, count in LAYERS[name]]
    assert macs(network, INPUT_SHAPES[name]) == sum(pixels * count for pixels, count in LAYERS[name])
    assert network(torch.zeros(2, *INPUT_SHAPES[name])).shape == (2, 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_fx_can_trace_every_increment(name: str) -> None:
    network = IncrementalNetwork(find_network(name)(), (0.25, 1.0)).increment(0).eval()
    images = torch.rand(2, *INPUT_SHAPES[name])
    assert torch.equal(torch.fx.symbolic_trace(network)(images), network(images))


def test_caffe_pools_32_to_16_to_8_to_4_and_averages_over_what_is_covered() -> None:
    network = find_network("alexnet")()
    values = torch.zeros(1, *INPUT_SHAPES["alexnet"])
    maps = []
    for layer in network:
        values = layer(values)
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            maps.append(values.shape[-1])
    assert maps == [16, 8, 4]
    assert torch.equal(network[5](torch.ones(1, 1, 16, 16)), torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("name", "fraction", "wanted"),
    [
        ("lenet", 0.1, (2, 5, 50, 10)),
        ("lenet", 0.2, (4, 10, 100, 10)),
        ("lenet", 1.0, (20, 50, 500, 10)),
        ("lenet", 0.01, (1, 1, 5, 10)),
        ("lenet", 0.25, (5, 13, 125, 10)),  # 12.5 rounds up
        ("convnet", 0.25, (4, 128, 5, 5, 10)),
        ("alexnet", 0.75, (24, 24, 48, 10)),
    ],
)
def test_channels(name: str, fraction: float, wanted: tuple[int, ...]) -> None:
    assert channels(find_network(name)(), fraction) == wanted
    assert channels(narrow(find_network(name)(), fraction), 1.0) == wanted


@pytest.mark.parametrize("name", NETWORKS)
def test_a_narrow_network_equals_the_whole_with_the_other_channels_at_zero(name: str) -> None:
    torch.manual_seed(3)
    whole = find_network(name)().double().eval()
    kept = channels(whole, 0.25)
    small = narrow(whole, 0.25)
    with torch.no_grad():
        for (_, layer), count in zip(weight_layers(whole), kept, strict=True):
            layer.weight[count:] = 0
            assert layer.bias is not None
            layer.bias[count:] = 0
    images = torch.rand(3, *INPUT_SHAPES[name], dtype=torch.float64)
    torch.testing.assert_close(small.double()(images), whole(images), rtol=1e-12, atol=1e-12)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in whole.parameters())


def test_a_narrow_network_keeps_stride_padding_and_no_bias() -> None:
    whole = nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5)
    )
    small = narrow(whole, 0.5)
    first = small[0]
    assert isinstance(first, nn.Conv2d)
    assert (first.stride, first.padding, first.bias) == ((2, 2), (1, 1), None)
    assert torch.equal(weights(small)[0], weights(whole)[0][:4])
    assert torch.equal(weights(small)[1], weights(whole)[1][:, :16])


def test_increments_are_prefixes_of_one_set_and_have_their_own_classifier() -> None:
    network = IncrementalNetwork(find_network("lenet")(), (0.1, 0.2, 1.0))
    with torch.no_grad():
        for index, head in enumerate(network.classifiers):
            assert isinstance(head, nn.Linear)
            head.bias.fill_(index)
    increments = [network.increment(index) for index in range(3)]
    for few, more in pairwise(increments):
        for a, b in zip(weights(few)[:-1], weights(more)[:-1], strict=True):
            assert torch.equal(a, b[: a.shape[0], : a.shape[1]])
        for a, b in zip(biases(few)[:-1], biases(more)[:-1], strict=True):
            assert torch.equal(a, b[: len(a)])
    assert [biases(part)[-1].unique().tolist() for part in increments] == [[0.0], [1.0], [2.0]]


def test_an_increment_is_a_copy() -> None:
    network = IncrementalNetwork(find_network("lenet")(), (0.1, 1.0))
    before = weights(network.full)[0].clone()
    with torch.no_grad():
        weights(network.increment(0))[0].zero_()
    assert torch.equal(weights(network.full)[0], before)


def test_adopt_stores_what_increment_gives_back() -> None:
    torch.manual_seed(4)
    network = IncrementalNetwork(find_network("lenet")(), (0.1, 1.0))
    outside = weights(network.full)[1][5:].clone()
    for index in range(2):
        trained = narrow(find_network("lenet")(), network.fractions[index])
        network.adopt(index, trained)
        for stored, wanted in zip(network.increment(index).parameters(), trained.parameters(), strict=True):
            assert torch.equal(stored, wanted)
        if index == 0:
            assert torch.equal(weights(network.full)[1][5:], outside)
    assert torch.equal(weights(network.full)[-1], network.classifiers[1].get_parameter("weight"))


FMT = NumberFormat(16, 10)


def quantised(name: str, fractions: tuple[float, ...], causal: bool) -> list[Network]:
    torch.manual_seed(6)
    whole = IncrementalNetwork(find_network(name)(), fractions, block_causal=causal)
    increments = [whole.increment(index).eval() for index in range(len(fractions))]
    return [quantise_network(read(increment, INPUT_SHAPES[name]), FMT) for increment in increments]


def hidden_maps(name: str, causal: bool) -> list[list[Tensor]]:
    """Integer maps of the hidden layers of increments 0.25, 0.5 and 1 on the same images."""
    images = quantise(torch.rand(3, *INPUT_SHAPES[name]).double(), FMT)
    return [forward(network, images)[0][:-1] for network in quantised(name, (0.25, 0.5, 1.0), causal)]


@pytest.mark.parametrize("name", NETWORKS)
def test_block_causal_hidden_maps_are_the_first_channels_of_the_larger_increments(name: str) -> None:
    compared = 0
    for few, more in pairwise(hidden_maps(name, causal=True)):
        for small, large in zip(few, more, strict=True):
            assert 0 < small.shape[1] < large.shape[1]
            assert small.any()
            assert torch.equal(small, large[:, : small.shape[1]])
            compared += 1
    assert compared == 2 * (len(LAYERS[name]) - 1)


def test_dense_hidden_maps_change_behind_the_first_layer() -> None:
    few, _, more = hidden_maps("lenet", causal=False)
    same = [torch.equal(small, large[:, : small.shape[1]]) for small, large in zip(few, more, strict=True)]
    assert same == [True, False, False]


def test_forbidden_weights_are_those_from_later_channels_to_earlier_ones() -> None:
    """Counted one by one from the increment that each channel came with."""
    network = IncrementalNetwork(find_network("lenet")(), (0.1, 0.2, 1.0), block_causal=True)
    kept = [channels(network.full, fraction) for fraction in network.fractions]
    first, *masks = network.forbidden()
    assert not first.any()
    for number, (mask, pixels) in enumerate(zip(masks, (1, 4 * 4), strict=True), start=1):
        came_with = [[sum(channel >= of[layer] for of in kept) for channel in range(500)] for layer in range(3)]
        wanted = [
            [came_with[number - 1][column // pixels] > came_with[number][row] for column in range(mask.shape[1])]
            for row in range(mask.shape[0])
        ]
        per_row = mask.flatten(2).all(2) if mask.dim() == 4 else mask
        assert per_row.tolist() == wanted
        assert mask.flatten(1).sum() == per_row.sum() * mask[0, 0].numel()
    for weight, mask in zip(weights(network.full)[:-1], network.forbidden(), strict=True):
        assert torch.equal(weight == 0, mask)
    assert all(values.all() for values in network.classifiers.parameters())


def test_a_dense_network_forbids_nothing() -> None:
    network = IncrementalNetwork(find_network("lenet")(), (0.1, 1.0))
    assert [tuple(mask.shape) for mask in network.forbidden()] == [(20, 1, 5, 5), (50, 20, 5, 5), (500, 800)]
    assert not any(mask.any() for mask in network.forbidden())


def test_adopt_refuses_a_dense_increment_and_stores_nothing_of_it() -> None:
    network = IncrementalNetwork(find_network("lenet")(), (0.5, 1.0), block_causal=True)
    before = [values.clone() for values in network.parameters()]
    message = r"^layer 3 of a block-causal network wants weights 0 from later channels to earlier ones, 6250 are not$"
    with pytest.raises(BadInput, match=message):
        network.adopt(1, find_network("lenet")())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_causal_inputs_of_block_causal_and_dense_increments() -> None:
    assert causal_inputs(quantised("lenet", (0.1, 0.2, 1.0), causal=True)) == [
        [[(0, 2, 1)], [(0, 5, 2)], [(0, 50, 5)]],
        [[(0, 2, 1), (2, 4, 1)], [(0, 5, 2), (5, 10, 4)], [(0, 50, 5), (50, 100, 10)]],
        [
            [(0, 2, 1), (2, 4, 1), (4, 20, 1)],
            [(0, 5, 2), (5, 10, 4), (10, 50, 20)],
            [(0, 50, 5), (50, 100, 10), (100, 500, 50)],
        ],
    ]
    assert causal_inputs(quantised("lenet", (0.5, 1.0), causal=False)) == [
        [[(0, 10, 1)], [(0, 25, 10)], [(0, 250, 25)]],
        [[(0, 10, 1), (10, 20, 1)], [(0, 25, 20), (25, 50, 20)], [(0, 250, 50), (250, 500, 50)]],
    ]


def test_causal_inputs_refuses_increments_in_the_wrong_order() -> None:
    message = r"want the same layers with growing channels, not \(20, 50, 500, 10\) before \(10, 25, 250, 10\)$"
    with pytest.raises(BadInput, match=message):
        causal_inputs(quantised("lenet", (0.5, 1.0), causal=True)[::-1])


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^network wants one of lenet, convnet, alexnet, not 'vgg'$"):
        find_network("vgg")


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(BadInput, match=rf"wants a number above 0 and at most 1, not {fraction}$"):
        channels(find_network("lenet")(), fraction)


@pytest.mark.parametrize("fractions", [(), (0.1, 0.5), (0.5, 0.2, 1), (0.5, 0.5, 1), (0, 1), (0.5, 1, 2)])
def test_fractions_that_do_not_grow_to_1_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(
        BadInput, match=r"^fractions want growing numbers above 0 that end at 1, like 0.1,0.2,1, not \["
    ):
        check_fractions(find_network("lenet")(), fractions)


def test_two_fractions_with_the_same_channels_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^fractions 0.1 and 0.1001 both give the channels \[2, 5, 50, 10\]: leave one"):
        check_fractions(find_network("lenet")(), (0.1, 0.1001, 1))


def test_a_layer_that_cannot_be_gated_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^layer 1 is a BatchNorm2d; channel gating wants Conv2d, Linear, ReLU"):
        narrow(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)), 0.5)


def test_an_incremental_network_wants_a_linear_layer_last() -> None:
    with pytest.raises(BadInput, match=r"^an incremental network wants a Linear layer at its end, not ReLU$"):
        IncrementalNetwork(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2), nn.ReLU()), (1.0,))
