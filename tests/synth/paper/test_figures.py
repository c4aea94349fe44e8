"""The pictures are PNGs of a plausible size, the same bytes every time, and drawn from the numbers."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from synth.paper import printed
from synth.paper.budget_plot import budget_run
from synth.paper.figures import draw, figure_6, figure_9, figure_10, pictures, relative_times, savings, t16_points
from tests.synth.paper.made_up import FULL_CYCLES, content, paper

NAMES = {"t16-fig6.png", "t16-fig9.png", "t16-fig10.png", "t16-saving.png", "t16-fig11-lenet.png"}


def points_of(drawn: Line2D) -> list[tuple[float, float]]:
    return list(zip(map(float, np.asarray(drawn.get_xdata())), map(float, np.asarray(drawn.get_ydata())), strict=True))


def line(figure: Figure, panel: int, label: str) -> list[tuple[float, float]]:
    """Points of the one line with a label."""
    (found,) = [item for item in figure.axes[panel].lines if item.get_label() == label]
    return points_of(found)


def test_files(tmp_path: Path) -> None:
    made = draw(paper(), tmp_path / "one")
    assert {path.name for path in made} == NAMES
    for path, again in zip(made, draw(paper(), tmp_path / "two"), strict=True):
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        assert 600 < width < 2400
        assert 400 < height < 1600
        assert len(data) > 15_000
        assert again.read_bytes() == data


def test_only_what_was_measured_is_drawn(tmp_path: Path) -> None:
    changed = content()
    for network in changed["networks"].values():
        network["budget"].clear()
        for item in network["increments"]:
            item["golden_accuracy"] = item["shutdown_accuracy"] = None
    assert {path.name for path in draw(paper(changed), tmp_path)} == {"t16-fig10.png", "t16-saving.png"}
    assert pictures(paper(content() | {"networks": {}})) == {}


def test_curves_are_the_numbers() -> None:
    found = paper()
    network = found.networks["alexnet"]
    times = relative_times(network)
    assert times[0] == pytest.approx(0.01 + 0.99 / 16)
    assert times[-1] == 1
    golden = [(time, 100 * (item.golden_accuracy or 0)) for time, item in zip(times, network.increments, strict=True)]
    own = [(time, 100 * item.accuracy) for time, item in zip(times, network.increments, strict=True)]
    shut = [(time, 100 * (item.shutdown_accuracy or 0)) for time, item in zip(times, network.increments, strict=True)]
    assert line(figure_6(found), 2, "golden models, ours") == golden
    assert line(figure_9(found), 2, "golden models") == golden
    assert line(figure_9(found), 2, "increments") == own
    assert line(figure_9(found), 2, "channel shutdown") == shut
    assert line(figure_10(found), 2, "increments") == own


def test_t16_s_points_stand_where_the_data_set_is_its_own() -> None:
    points = t16_points("alexnet", printed.ACCURACY["alexnet"])
    assert points == [(57.80 / 599.85, pytest.approx(72.4)), (1.0, pytest.approx(80.88))]
    figure = figure_10(paper())
    assert line(figure, 2, "increments, T16 Table 8") == points
    assert len(figure.axes[0].lines) == 3
    assert len(figure.axes[1].lines) == 2, "ConvNet: T16 has SVHN"


def test_savings_stand_beside_t16_s_and_big_little_s() -> None:
    figure = savings(paper())
    points = [point for item in figure.axes[0].lines for point in points_of(item)]
    run = paper().networks["lenet"].opportunistic
    assert (0.60, 95.53) in points
    assert (run.accuracy_drop_points, run.saving_percent) in points
    assert (0.31, run.saving_percent - 9) in points
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["LeNet on MNIST", "ConvNet on CIFAR-10 (T16: SVHN)", "ALEXnet on CIFAR-10"]


def test_budget_run() -> None:
    network = paper().networks["lenet"]
    figure = budget_run(network)
    assert len(figure.axes) == 2
    for panel, (run, unit) in enumerate(zip(network.budget, (2.1e-4, 0.004), strict=True)):
        full = line(figure, panel, "increment 1")
        assert len(full) == sum(item.fraction == 1 for item in run.images) == 12
        assert [y for _, y in full] == [pytest.approx(FULL_CYCLES["lenet"] * unit)] * 12
        assert [x for x, _ in line(figure, panel, "above the budget")] == [36]
        steps = [patch for patch in figure.axes[panel].patches if patch.get_label() == "budget"]
        assert len(steps) == 1


def test_a_budget_run_of_small_range_has_a_linear_axis() -> None:
    changed = content()
    for item in changed["networks"]["lenet"]["budget"][0]["images"]:
        item["budget_uj"], item["metered_uj"] = None, 2.0
    figure = budget_run(paper(changed).networks["lenet"])
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]
