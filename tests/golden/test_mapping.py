"""Mapper and program against the integer layers on every preset: every emitted word, score, result and event."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from golden.counts import count_run
from golden.integer import forward
from golden.interpret import Dram, Interpreter
from golden.mapping import Mapped, map_network
from golden.network import Network, Shape, read
from golden.order import captured
from golden.quantise import quantise_network
from golden.verify import verify
from hw.errors import BadInput
from hw.params import PRESETS, TileParams, preset
from tests.golden.random_networks import images, increments, networks, random_case

RUNS = ((0, 0), (1, 0), (2, 0), (0, 2), (1, 1))  # first increment, escalations


def check_runs(mapped: Mapped, image: Tensor, runs: Sequence[tuple[int, int]]) -> int:
    """Interpret ``runs`` of one image and compare with the integer layers; returns the number of compared words."""
    p = mapped.params
    outcomes = [forward(net, image) for net in mapped.networks]
    compared = 0
    for start, escalations in runs:
        dram = Dram(p, mapped.image)
        dram.put(mapped.image_address, mapped.pack_image(image[0]))
        found = Interpreter(p, dram, mapped.program_address).run(
            start, escalations, mapped.image_address, mapped.result_address
        )
        visited = range(start, start + escalations + 1)
        wanted = np.concatenate([captured(outcomes[i][0], mapped.emits[i], p)[0] for i in visited])
        assert found.words == wanted.tolist()
        assert found.scores == [outcomes[i][1][0].tolist() for i in visited]
        assert found.stopped == visited[-1]
        assert dict(found.counts) == count_run(mapped, visited)
        stored = mapped.unpack_result(dram.beats(mapped.result_address, mapped.result_beats))
        assert stored.tolist() == outcomes[visited[-1]][0][-1].flatten().tolist()
        compared += len(wanted)
    return compared


def emitted_once(mapped: Mapped) -> None:
    """Every word of every layer's output map leaves exactly once."""
    for net, emits in zip(mapped.networks, mapped.emits, strict=True):
        seen = [torch.zeros(layer.out_shape, dtype=torch.int64) for layer in net.layers]
        for e in emits:
            seen[e.layer][e.channel : e.channel + e.channels, e.row : e.row_end, e.col : e.col_end] += 1
        assert all(bool((count == 1).all()) for count in seen)


# Seeds whose networks the tile cannot hold, and what it says.
REFUSED = {
    **{(5, name): "rows of .* pooling windows open at once" for name in PRESETS},
    (6, "paper32"): "layer 2 does not fit paper32: input 21x8x19",
}
CASES = [(seed, name) for seed in range(16) for name in PRESETS]


@pytest.mark.parametrize(("seed", "name"), [case for case in CASES if case not in REFUSED])
def test_random_networks(seed: int, name: str) -> None:
    p = preset(name)
    nets, shape = random_case(seed, p)
    mapped = map_network(nets, p)
    verify(mapped)
    emitted_once(mapped)
    assert check_runs(mapped, images(1, shape, p, seed), RUNS) > 0


@pytest.mark.parametrize(("seed", "name"), REFUSED)
def test_random_networks_that_do_not_fit(seed: int, name: str) -> None:
    p = preset(name)
    nets, _ = random_case(seed, p)
    with pytest.raises(BadInput, match=REFUSED[seed, name]):
        map_network(nets, p)


def _map(module: nn.Sequential, shape: Shape, p: TileParams, fractions: Sequence[float] = (1.0,)) -> Mapped:
    return map_network(networks(increments(module, fractions, shape), shape, p), p)


def test_the_ways_a_layer_can_run_are_all_met() -> None:
    """Resident, streamed, spilled, streamed and spilled, chained sums, split columns, several weight pieces."""
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.Conv2d(12, 6, 3), nn.ReLU(),
        nn.AvgPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(96, 20), nn.ReLU(), nn.Linear(20, 7),
    )  # fmt: skip
    mapped = _map(module, (3, 12, 12), p, (0.5, 1.0))
    verify(mapped)
    emitted_once(mapped)
    assert check_runs(mapped, images(1, (3, 12, 12), p), ((1, 0), (0, 1))) > 0
    plans = mapped.plans[-1]
    assert any(plan.stream is not None and plan.stage is not None for plan in plans)
    assert any(plan.stream is not None and plan.stage is None for plan in plans)
    assert any(plan.stream is None and len(plan.pieces) > 1 for plan in plans)
    assert any(len(plan.pieces) > 1 and not plan.layer.fc for plan in plans)
    assert any(plan.slabs[0].cols < plan.layer.sum_shape[2] for plan in plans)


def test_lenet_streams_its_second_layer_on_paper32() -> None:
    """The map between the convolutions (2880 words) does not fit a buffer of 1280."""
    torch.manual_seed(0)
    p = preset("paper32")
    module = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip
    mapped = _map(module, (1, 28, 28), p, (0.1, 0.2, 1.0))
    first, second, third, last = mapped.plans[-1]
    assert first.stage is not None
    assert first.stage.count >= 2
    assert second.stream is not None
    assert second.stream.count >= 2
    assert (third.stream, last.stream) == (None, None)
    assert all(plan.stream is None and plan.stage is None for plans in mapped.plans[:-1] for plan in plans)
    assert mapped.macs(2) == 2293000
    assert verify(mapped).instructions == 1 + sum(map(len, mapped.segments))
    assert check_runs(mapped, images(1, (1, 28, 28), p), ((2, 0),)) == 20 * 144 + 50 * 16 + 500 + 10
    # one set of weights: three increments take little more than the largest one's 430 500 words and own classifiers
    words = sum(layer.weight.numel() for layer in mapped.networks[-1].layers)
    assert len(mapped.image) < 4 * words * 1.1


@pytest.mark.parametrize("name", PRESETS)
def test_a_single_layer_is_a_network(name: str) -> None:
    torch.manual_seed(0)
    p = preset(name)
    mapped = _map(nn.Sequential(nn.Flatten(), nn.Linear(30, 20)), (2, 3, 5), p)
    verify(mapped)
    assert check_runs(mapped, images(1, (2, 3, 5), p), ((0, 0),)) == 20


def test_mapping_is_reproducible() -> None:
    p = preset("odd")
    nets, _ = random_case(3, p)
    assert map_network(nets, p).image == map_network(nets, p).image


def test_images_and_results_are_packed_in_rows_from_beat_boundaries() -> None:
    p = preset("odd")  # lines of 5 words of 4 bytes, padded to 32; two to a beat of 64
    mapped = _map(nn.Sequential(nn.Conv2d(2, 1, 2), nn.Flatten(), nn.Linear(12, 6)), (2, 3, 7), p)
    image = torch.arange(42).reshape(2, 3, 7) - 20
    raw = mapped.pack_image(image)
    assert mapped.image_beats == 6
    assert len(raw) == 6 * 64
    words = np.frombuffer(raw, dtype="<i4").reshape(6, 2, 8)
    assert words[4, 0].tolist() == [8, 9, 10, 11, 12, 0, 0, 0]
    assert words[4, 1].tolist() == [13, 14, 0, 0, 0, 0, 0, 0]
    assert mapped.result_beats == 1
    result = np.zeros((2, 8), dtype="<i4")
    result[0, :5], result[1, 0] = [1, -2, 3, -4, 5], 6
    assert mapped.unpack_result(result.tobytes()).tolist() == [1, -2, 3, -4, 5, 6]
    with pytest.raises(BadInput, match="6 words want 64 bytes, not 32"):
        mapped.unpack_result(result.tobytes()[:32])
    with pytest.raises(BadInput, match=r"an image wants int64 codes of shape \(2, 3, 7\), not float64 \(2, 3, 7\)"):
        mapped.pack_image(image.double())
    with pytest.raises(BadInput, match="words of <32,16> want -2147483648 to 2147483647, not -19 to 2147483648"):
        mapped.pack_image(image.index_put((torch.tensor(0), torch.tensor(0), torch.tensor(0)), torch.tensor(1 << 31)))


# -- refusals ----------------------------------------------------------------------------------------------------


def _networks(p: TileParams, fractions: Sequence[float] = (0.5, 1.0)) -> list[Network]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    return networks(increments(module, fractions, (1, 8, 8)), (1, 8, 8), p)


def _changed(net: Network, layer: int, **changes: object) -> Network:
    layers = list(net.layers)
    layers[layer] = replace(layers[layer], **changes)  # type: ignore[arg-type]
    return replace(net, layers=tuple(layers))


def test_refuses_increments_that_do_not_belong_together() -> None:
    p = preset("small")
    nets = _networks(p)
    with pytest.raises(BadInput, match="small wants 1 to 4 increments, not 0"):
        map_network([], p)
    with pytest.raises(BadInput, match="small wants 1 to 4 increments, not 5"):
        map_network([nets[1]] * 5, p)
    with pytest.raises(BadInput, match="increment 0 wants weights quantised to <16,10>, not <32,16>"):
        map_network(_networks(preset("paper32")), p)
    with pytest.raises(BadInput, match="increment 0 wants weights quantised to <16,10>, not real numbers"):
        map_network([replace(nets[1], fmt=None)], p)
    with pytest.raises(BadInput, match="increment 0 wants the layers, input and classes of the largest increment"):
        map_network([replace(nets[0], input_shape=(1, 9, 9)), nets[1]], p)
    with pytest.raises(BadInput, match="increment 0, layer 0: wants the shape of the largest increment's layer"):
        map_network([_changed(nets[0], 0, relu=False), nets[1]], p)
    other = nets[0].layers[0].weight + 1
    with pytest.raises(BadInput, match="increment 0, layer 0: weights want to be the first 2 x 1 of the largest"):
        map_network([_changed(nets[0], 0, weight=other), nets[1]], p)
    with pytest.raises(BadInput, match="increment 0, layer 0: weights want to be the first 4 x 1 of the largest"):
        map_network([nets[1], nets[0]], p)


def test_refuses_sums_that_could_overflow_an_accumulator() -> None:
    p = preset("small")
    net = _networks(p)[1]
    weight = net.layers[1].weight.clone()
    weight[3] = p.fmt.high
    many = _changed(net, 1, weight=weight)
    wide = p.replace(accumulator_width=36)
    reach = 36 * p.fmt.high * (1 << 15) + (abs(int(net.layers[1].bias[3])) << 10) + 512
    with pytest.raises(BadInput, match=f"layer 4: a sum of neuron 3 can reach {reach}, but accumulators of small hold "
                       r"less than 34359738368 \(36 bits\)"):  # fmt: skip
        map_network([many], wide)
    map_network([many], p)


def test_refuses_a_program_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golden.mapping.mapper.SYNC_BITS", 3)
    with pytest.raises(BadInput, match="a program segment holds less than 8 instructions, 14 are needed"):
        map_network(_networks(preset("small")), preset("small"))


def _refused(module: nn.Sequential, shape: Shape, p: TileParams, message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(BadInput, match=message):
        map_network([quantise_network(read(module, shape), p.fmt)], p)


def test_refuses_what_does_not_fit_with_the_sizes() -> None:
    p = preset("small")

    def built(shape: Shape, *layers: nn.Module) -> nn.Sequential:
        module = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))
        module(torch.zeros(1, *shape))
        return module

    _refused(
        built((1, 30, 30), nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(3, 1)), (1, 30, 30), p,
        "layer 0: 3 rows of 28 pooling windows open at once, but small has pool_entries 16",
    )  # fmt: skip
    _refused(
        built((40, 16, 16), nn.Conv2d(40, 4, 7, padding=3), nn.MaxPool2d(2)), (40, 16, 16), p,
        r"layer 0 does not fit small: input 40x16x16, output 4x8x8, 1960 synapses a neuron \(520 weight lines\), "
        "but NBin holds 384 words, NBout 384, SB 46 lines, 8 accumulators",
    )  # fmt: skip
    _refused(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 400)), (4, 1, 1), p, "layer 1: at most 256 classes are wanted, not 400"
    )
    _refused(
        built((1, 20, 1), nn.Conv2d(1, 1, (16, 1))), (1, 20, 1), p, "layer 0: kernels up to 15 are wanted, not 16x1"
    )
    _refused(
        built((1, 20, 20), nn.Conv2d(1, 1, 3, stride=8)), (1, 20, 20), p, "layer 0: strides up to 7 are wanted, not 8"
    )
    _refused(
        built((1, 9, 9), nn.Conv2d(1, 1, 2), nn.MaxPool2d(8)), (1, 9, 9), p,
        "layer 0: pooling windows and strides up to 7 are wanted, not 8 and 8",
    )  # fmt: skip
    _refused(
        built((1, 1, 1100), nn.Conv2d(1, 1, 1)), (1, 1, 1100), preset("paper16"),
        "layer 0: maps up to 511 pixels wide and high are wanted, not 1x1100",
    )  # fmt: skip
    tiny = p.replace(sb_rows=2)
    _refused(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 30), nn.Linear(30, 30), nn.Linear(30, 2)), (4, 1, 1), tiny,
        "biases fill 5 rows of SB, but small has 2",
    )  # fmt: skip
    little = p.replace(dram_bytes=1 << 10)
    _refused(built((1, 8, 8)), (1, 8, 8), little, "program, weights and maps want .* bytes of DRAM, but small has 1024")
