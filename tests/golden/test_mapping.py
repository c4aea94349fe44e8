"""Mapper and program against the integer layers on every preset: every emitted word, score, result and event."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from golden.counts import count, count_run
from golden.integer import forward
from golden.interpret import Dram, Interpreter
from golden.mapping import Mapped, map_network
from golden.network import Network, Shape, read
from golden.order import captured
from golden.quantise import quantise_network
from golden.timing import DDR3, predict, predict_images
from golden.verify import verify
from hw.errors import BadInput
from hw.instructions import Buffer, Load
from hw.params import PRESETS, TileParams, preset
from tests.golden.mapping_kinds import IMPOSSIBLE, KINDS, kinds_of, map_by_chance
from tests.golden.random_networks import (
    by_rows_module,
    fused_module,
    images,
    increments,
    networks,
    paired_module,
    random_case,
    random_network,
)

MOST = 200  # networks that are mapped by chance
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
        segments = mapped.visited(visited)
        steps = zip(visited, segments, strict=True)
        parts = [captured(outcomes[i][0], part.emits, p, mapped.networks[i])[0] for i, part in steps]
        wanted = np.concatenate(parts)
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
        for e in (emit for emit in emits if not emit.limb):
            seen[e.layer][e.channel : e.channel + e.channels, e.row : e.row_end, e.col : e.col_end] += 1
        assert all(bool((count == 1).all()) for count in seen)


# Seeds whose networks the tile cannot hold, and what it says.
REFUSED = {(6, "small"): "layer 2 does not fit small: input 6x7x11, output 4x2x3, 120 synapses a neuron"}
CASES = [(seed, name) for seed in range(16) for name in PRESETS]


@pytest.mark.parametrize(("seed", "name"), [case for case in CASES if case not in REFUSED])
def test_random_networks(seed: int, name: str) -> None:
    p = preset(name)
    nets, shape = random_case(seed, p)
    mapped = map_network(nets, p, search=seed % 4 == 0)
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
    return map_network(networks(increments(module, fractions, shape), shape, p), p, search=False)


@pytest.mark.parametrize("name", ["small", "paper32", "paper16"])
def test_steps_of_two_rows(name: str) -> None:
    """Maps half as wide as there are groups; the plans with such steps are not only possible, they are chosen."""
    p, met = preset(name), Counter[str]()
    for seed in range(12):
        torch.manual_seed(seed)
        module, shape = paired_module(random.Random(seed), p)
        mapped = map_network(networks(increments(module, (0.5, 1.0), shape), shape, p), p, search=False)
        verify(mapped)
        met["words"] += check_runs(mapped, images(1, shape, p, seed), ((0, 1),))
        for k in range(2):
            met += kinds_of(mapped, k)
    assert met["steps of two rows"] > 5
    assert met["step of one row of two"] > 0


@pytest.mark.parametrize("name", ["small", "odd"])
def test_the_search_takes_fewer_cycles(name: str) -> None:
    p = preset(name)
    gained = []
    for seed in (0, 2, 8):
        nets = random_case(seed, p)[0][-1:]
        rough, searched = (
            sum(image.cycles for image in predict_images(map_network(nets, p, search=search), 0, DDR3(), 2))
            for search in (False, True)
        )
        gained.append(rough - searched)
    assert min(gained) >= 0
    assert max(gained) > 0


@pytest.mark.parametrize("name", ["small", "odd"])
def test_the_search_makes_the_prices_least(name: str) -> None:
    """With DRAM dear the search takes plans with fewer beats and, in some network, more cycles than the quickest."""
    p, prices = preset(name), {"dram_read": 100.0, "dram_write": 100.0, "cycles": 1.0}
    saved, lost = [], []
    for seed in (0, 2, 5, 8, 11):
        nets = random_case(seed, p)[0][-1:]
        found = []
        for mapped in (map_network(nets, p), map_network(nets, p, prices=prices)):
            cycles, events = predict(mapped, 0, DDR3()).cycles, count(mapped.segments[0], p)
            found.append((cycles, events["dram_read"] + events["dram_write"]))
        (cycles, beats), (cycles_priced, beats_priced) = found
        assert 100 * beats_priced + cycles_priced <= 100 * beats + cycles
        saved.append(beats - beats_priced)
        lost.append(cycles_priced - cycles)
    assert max(saved) > 0
    assert max(lost) > 0
    with pytest.raises(BadInput, match="prices want names of events, not joules"):
        map_network(nets, p, prices={"cycles": 1.0, "joules": 1.0})


@pytest.mark.parametrize(("name", "seed"), [("small", 64), ("odd", 41)])
def test_the_ways_a_layer_can_run_are_all_met(name: str, seed: int) -> None:
    """Plans drawn from all possible ones; every kind of mapping occurs, and none gives a wrong word or count."""
    p, rng = preset(name), random.Random(seed)
    wanted = set(KINDS) - IMPOSSIBLE[name]
    kinds: Counter[str] = Counter()
    run = words = 0
    for number in range(MOST):
        pairs = p.pair_cells and number % 9 == 2
        family = fused_module if number % 3 == 1 else paired_module if pairs else random_network
        if number % 9 == 5:
            family = by_rows_module
        module, shape = family(rng, p)
        fractions = (0.4, 1.0) if number % 8 == 0 else (1.0,)
        nets = networks(increments(module, fractions, shape), shape, p)
        try:
            mapped = map_by_chance(nets, p, rng)
        except BadInput:
            continue
        here = kinds_of(mapped, 0)
        if any(kinds[kind] < 3 for kind, count in here.items() if count):  # others bring nothing new
            verify(mapped)
            emitted_once(mapped)
            words += check_runs(mapped, images(1, shape, p, number), ((0, 0),))
            kinds += here
            run += 1
        if wanted <= kinds.keys():
            break
    print(f"{name}, seed {seed}, {run} networks, {words} words: {', '.join(f'{kind} {kinds[kind]}' for kind in KINDS)}")
    assert set(kinds) == wanted


def test_lenet_on_paper32() -> None:
    torch.manual_seed(0)
    p = preset("paper32")
    module = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip
    mapped = _map(module, (1, 28, 28), p, (0.1, 0.2, 1.0))
    # two channels work on eight pixels at a time, 20 channels as 16 and as 4 on four pixels
    assert [block.groups for block in mapped.plans[0][0].blocks] == [8]
    assert {(block.neurons, block.groups) for block in mapped.plans[2][0].blocks} == {(16, 1), (4, 4)}
    assert mapped.macs(2) == 2293000
    assert verify(mapped).instructions == 1 + sum(map(len, mapped.segments))
    assert check_runs(mapped, images(1, (1, 28, 28), p), ((2, 0),)) == 20 * 144 + 50 * 16 + 500 + 10
    # one set of weights: three increments take little more than the largest one's 430 500 words and own classifiers
    words = sum(layer.weight.numel() for layer in mapped.networks[-1].layers)
    assert len(mapped.image) < 4 * words * 1.1
    # of the biases, a beat a line, each loads those of its own hidden blocks
    loads = [[i for i in code if isinstance(i, Load) and i.buffer == Buffer.SB] for code in mapped.segments]
    end = min(load.address for load in loads[0]) + (2 + 4 + 32)
    biases = [sum(load.length for load in part if load.address < end) for part in loads]
    assert biases == [1 + 1 + 4, 1 + 1 + 7, 2 + 4 + 32]


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
    p = preset("odd")  # words of 4 bytes, 16 to a beat
    mapped = _map(nn.Sequential(nn.Conv2d(2, 1, 2), nn.Flatten(), nn.Linear(32, 6)), (2, 3, 17), p)
    image = torch.arange(102).reshape(2, 3, 17) - 20
    raw = mapped.pack_image(image)
    assert mapped.image_beats == 12
    assert len(raw) == 12 * 64
    words = np.frombuffer(raw, dtype="<i4").reshape(6, 32)
    assert words[4].tolist() == [*range(48, 65), *[0] * 15]
    assert mapped.result_beats == 1
    result = np.zeros(16, dtype="<i4")
    result[:6] = [1, -2, 3, -4, 5, 6]
    assert mapped.unpack_result(result.tobytes()).tolist() == [1, -2, 3, -4, 5, 6]
    with pytest.raises(BadInput, match="6 words want 64 bytes, not 32"):
        mapped.unpack_result(result.tobytes()[:32])
    with pytest.raises(BadInput, match=r"an image wants int64 codes of shape \(2, 3, 17\), not float64 \(2, 3, 17\)"):
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
    monkeypatch.setattr("golden.mapping.assembly.SYNC_BITS", 3)
    with pytest.raises(BadInput, match="a program segment holds less than 8 instructions, 16 are needed"):
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
        "layer 0: 3 rows of 30 sums for pooling at once, but small has pool_entries 64",
    )  # fmt: skip
    _refused(
        built((40, 16, 16), nn.Conv2d(40, 4, 7, padding=3), nn.MaxPool2d(2)), (40, 16, 16), p,
        r"layer 0 does not fit small: input 40x16x16, output 4x8x8, 1960 synapses a neuron \(490 weight lines\), "
        "but NBin holds 384 words, NBout 384, SB 44 lines, 8 accumulators",
    )  # fmt: skip
    _refused(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 400)), (4, 1, 1), p, "layer 1: at most 256 classes are wanted, not 400"
    )
    _refused(
        built((1, 40, 1), nn.Conv2d(1, 1, (32, 1))), (1, 40, 1), p,
        "layer 0: kernels up to 31 high and 11 wide are wanted, not 32x1; use several smaller ones",
    )  # fmt: skip
    _refused(
        built((1, 5, 40), nn.Conv2d(1, 1, (2, 22))), (1, 5, 40), preset("paper32"),
        "layer 0: kernels up to 31 high and 21 wide are wanted, not 2x22",
    )  # fmt: skip
    _refused(
        built((1, 5, 17)), (1, 5, 17), p,
        r"layer 1: maps with rows of whole cells \(2 words\) or up to 31 high and 12 wide are wanted, not 5x17",
    )  # fmt: skip
    _refused(built((300, 8, 8)), (300, 8, 8), p, "layer 1: fewer than 4096 weight lines a neuron are wanted, not 4800")
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
        "biases fill 8 rows of SB, but small has 2",
    )  # fmt: skip
    little = p.replace(dram_bytes=1 << 10)
    _refused(built((1, 8, 8)), (1, 8, 8), little, "program, weights and maps want .* bytes of DRAM, but small has 1024")
