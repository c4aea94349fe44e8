"""Cycles of increments: what is refused, what is stored, and rows end to end in Verilator."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cosim import cycles
from cosim.cycles import PAUSE, STALLS, START_CYCLE, Request, measure_cycles, nested, smooth_images, stream_cycles
from cosim.dram import DDR3_1600K
from cosim.runner import CosimFailed
from golden.mapping import map_network
from golden.networks import INPUT_SHAPES, NETWORKS, channels
from golden.timing import DDR3, predict_images
from hw.errors import BadInput, CheckFailed
from hw.params import preset
from tests.cosim.tiles import params_of

SMALL = params_of("small")  # with toggle counters: the build that the other tests use
RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "cycles.json"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Request:
    """A network of one padded convolution and two fully connected layers, in two increments."""

    def build() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(6 * 4 * 4, 8), nn.ReLU(), nn.Linear(8, 5),
        )  # fmt: skip

    monkeypatch.setitem(NETWORKS, "tiny", build)
    monkeypatch.setitem(INPUT_SHAPES, "tiny", (2, 8, 8))
    return Request((SMALL,), ("tiny",), (0.5, 1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiles": ()}, "cycles wants each tile once and at least one, not none"),
        ({"tiles": (SMALL, SMALL)}, "cycles wants each tile once and at least one, not small, small"),
        ({"networks": ("lenet", "lenet")}, "cycles wants each network once and at least one, not lenet, lenet"),
        ({"networks": ("vgg",)}, "network wants one of lenet, convnet, alexnet, not 'vgg'"),
        ({"fractions": (0.1, 0.5)}, r"fractions want growing numbers above 0 that end at 1, .* not \[0.1, 0.5\]"),
        ({"images": 0}, "cycles wants at least 1 image, not 0"),
        (
            {"tiles": (preset("odd").replace(counters=False),)},
            "cycles wants a tile with counters, odd has none: set counters",
        ),
    ],
)
def test_bad_requests(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        dataclasses.replace(Request((SMALL,)), **changes)


def test_weights_are_one_nest_and_depend_on_the_seed_alone(tiny: Request) -> None:
    small, full = nested("tiny", (0.5, 1.0), SMALL, 4)
    for part, whole in zip(small.layers[:-1], full.layers[:-1], strict=True):
        corner = tuple(slice(size) for size in part.weight.shape)
        assert torch.equal(part.weight, whole.weight[corner])
    assert not torch.equal(small.layers[-1].weight, full.layers[-1].weight[:, :4])
    torch.rand(1)  # torch's own state does not matter
    again, other = nested("tiny", (0.5, 1.0), SMALL, 4), nested("tiny", (0.5, 1.0), SMALL, 5)
    assert torch.equal(again[1].layers[0].weight, full.layers[0].weight)
    assert not torch.equal(other[1].layers[0].weight, full.layers[0].weight)


def test_channels_are_those_of_channel_gating() -> None:
    p = preset("paper32")
    found = nested("lenet", cycles.FRACTIONS, p, 1)
    assert [net.channels for net in found] == [channels(NETWORKS["lenet"](), f) for f in cycles.FRACTIONS]
    assert found[0].channels == (2, 5, 50, 10)


def test_images_are_smooth_and_within_range() -> None:
    p = preset("paper16")
    codes = smooth_images(3, (3, 32, 32), p, 7)
    assert codes.shape == (3, 3, 32, 32)
    assert codes.dtype == torch.int64
    assert (int(codes.min()), int(codes.max())) == (0, p.fmt.scale)
    assert not torch.equal(codes[0], codes[1])
    near, far = ((codes[..., step:] - codes[..., :-step]).abs().double().mean() for step in (1, 16))
    assert 0 < 3 * near < far


@pytest.mark.cosim
def test_rows_end_to_end_and_resumed(tiny: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, folder = tmp_path / "cycles.json", tmp_path / "rows"
    result = measure_cycles(tiny, target, jobs=1, command="tilewatt cycles", folder=folder)
    assert json.loads(target.read_text()) == result
    rows = result["rows"]
    assert [(row["network"], row["fraction"], row["preset"]) for row in rows] == [
        ("tiny", 0.5, "small"),
        ("tiny", 1.0, "small"),
    ]
    words = [2 * 2 * (3 * 16 + 4 + 5), 2 * 2 * (6 * 16 + 8 + 5)]  # 2 images, on DDR3 and on ideal memory
    for row, compared in zip(rows, words, strict=True):
        assert (row["words_compared"], row["mismatches"], row["images_compared"]) == (compared, 0, 2)
        assert tuple(row["stalls"]) == STALLS
        assert row["compute_cycles"] + sum(row["stalls"].values()) == row["cycles"]
        assert row["ratio"] == row["cycles"] / row["limit_sbcap"] > 1
        assert row["limit_hard"] <= row["limit_sbcap"] + 1
        assert row["utilisation"] == row["multiply"] / (row["cycles"] * 16)
        assert 0 < row["multiply"] < row["macs"]  # padding is in macs only
        assert row["limit_sbcap"] < row["cycles_ideal_dram"] < row["cycles"]
        assert row["predicted_cycles"]["ideal"] == row["cycles_ideal_dram"]
        assert row["predicted_cycles"]["ddr3"] == row["cycles"]
        assert row["cycles_ideal_dram"] < row["stream_cycles"] < 1.2 * row["cycles"]
        assert row["row_misses"] > 0
        assert row["dram_read"] > row["dram_write"] > 0
        assert row["forced_refreshes"] <= row["refreshes"] <= row["cycles"] * 4 // 7800 + 16  # 8 are pulled in at most
        assert row["refresh_cycles"] == row["forced_refreshes"] * 65  # 260 ns
        assert row["dram_busy"] == (row["dram_read"] + row["dram_write"]) * 1.25  # a whole burst for 16 bytes
    assert rows[0]["cycles"] < rows[1]["cycles"]
    # pixels x channels x window, and fully connected; weights and image in beats of 16 bytes
    assert rows[1]["macs"] == 64 * 6 * 18 + 96 * 8 + 8 * 5 == 16 * rows[1]["compute_floor"]
    assert rows[1]["dram_floor"] == -(-2 * (6 * 18 + 96 * 8 + 8 * 5 + 2 * 64) // 16)

    # a row that is missing is measured again, alone, and is the same; the one that is there is taken
    stored = sorted(path for path in folder.iterdir() if path.is_file())
    assert len(stored) == 2
    kept, lost = stored
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "kept": True}))
    lost.unlink()
    again = measure_cycles(tiny, target, jobs=1, command="tilewatt cycles", folder=folder)["rows"]
    assert sum(row.pop("kept", False) for row in again) == 1
    assert again == rows

    # with every row there, nothing is simulated; other images are other rows
    monkeypatch.setattr("cosim.cycles.simulate_jobs", None)
    measure_cycles(tiny, target, jobs=1, command="tilewatt cycles", folder=folder)
    with pytest.raises(TypeError, match="not callable"):
        measure_cycles(dataclasses.replace(tiny, seed=2), target, jobs=1, command="", folder=folder)
    lost.write_text("{")
    with pytest.raises(BadInput, match=r"a measured row wants JSON \(.*\): delete the file"):
        measure_cycles(tiny, target, jobs=1, command="tilewatt cycles", folder=folder)


def test_a_stream_pays_every_refresh() -> None:
    """Images that never leave the bus idle: 65 cycles of each 1,950 go to refreshes, though two images see none."""
    p, t = preset("paper32"), DDR3_1600K
    (net,) = nested("lenet", (1.0,), p, 1)
    mapped = map_network([net], p, search=False)
    (alone,) = predict_images(mapped, 0, DDR3(), 1)
    found = stream_cycles(mapped, 0, alone.cycles)
    images = -(-16 * t.t_refi // 4000 // alone.cycles)
    result = mapped.image_address + 2 * images * mapped.image_beats
    memory = DDR3(start_cycle=START_CYCLE, result_address=result)
    every = predict_images(mapped, 0, memory, 2 * images, pause=PAUSE)
    assert found == sum(image.cycles for image in every[images:]) / images
    never = DDR3(dataclasses.replace(t, t_refi=10**12), START_CYCLE, result)
    none = predict_images(mapped, 0, never, 2 * images, pause=PAUSE)
    free = sum(image.cycles for image in none[images:]) / images
    assert free < found < free * (1 + 1.3 * t.t_rfc / t.t_refi)


@pytest.mark.cosim
def test_a_difference_fails_and_stores_nothing(tiny: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = cycles.prepare

    def wrong(*arguments: Any, **options: Any) -> Any:
        job = prepare(*arguments, **options)
        return dataclasses.replace(job, words=np.concatenate([job.words[:-1], job.words[-1:] + 1]))

    monkeypatch.setattr("cosim.cycles.prepare", wrong)
    with pytest.raises(CosimFailed, match="1 differences, first: image 1, word"):
        measure_cycles(tiny, tmp_path / "cycles.json", jobs=1, command="", folder=tmp_path)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.cosim
def test_what_the_mapper_refuses_is_recorded(tmp_path: Path) -> None:
    target = tmp_path / "cycles.json"
    request = Request((SMALL,), ("lenet",), (0.1, 0.2, 0.3, 0.5, 1.0))
    with pytest.raises(
        CheckFailed, match=r"5 of 5 rows were refused by the mapper, first: lenet on small: .* --allow-refused accepts"
    ):
        measure_cycles(request, target, jobs=1, command="", folder=tmp_path / "rows")
    rows = json.loads(target.read_text())["rows"]
    assert [row["fraction"] for row in rows] == [0.1, 0.2, 0.3, 0.5, 1.0]
    assert all(row["refused"] and "cycles" not in row for row in rows)
    target.unlink()
    allowed = measure_cycles(request, target, jobs=1, command="", folder=tmp_path / "rows", allow_refused=True)
    assert allowed["rows"] == rows == json.loads(target.read_text())["rows"]


@pytest.mark.slow
@pytest.mark.cosim
@pytest.mark.parametrize("tile", ["paper32", "paper16"])
def test_every_row_is_the_published_one(tile: str, tmp_path: Path) -> None:
    published = json.loads(RESULT.read_text())
    request = Request((preset(tile),), images=published["images"], seed=published["seed"])
    assert list(request.fractions) == published["fractions"]
    found = measure_cycles(request, tmp_path / "cycles.json", jobs=2, command="", folder=tmp_path)["rows"]
    assert len(found) == 3 * len(request.fractions)
    assert found == [row for row in published["rows"] if row["preset"] == tile]
