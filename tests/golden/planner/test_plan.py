"""A whole plan: it holds what the tile's own margin rule gives, says where it comes from, and repeats bit by bit."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import checkpoint, margin
from golden.evaluate import integer_networks
from golden.planner import Request, plan
from golden.planner.goals import MostSaving, Product
from golden.planner.histograms import edges, histogram
from golden.planner.validation import held_out, validation
from hw.errors import BadInput
from hw.params import preset
from tests.golden.planner import made

FMT = preset("paper16").fmt
GOAL = MostSaving(0.3, 0.5)  # wide enough for 40 images of noise


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(checkpoint, data folder)"""
    root = made.write_mnist(tmp_path_factory.mktemp("data"))
    return made.write_checkpoint(root / "a.npz", root), root


@pytest.fixture(scope="module", params=["raw", "softmax"])
def found(request: pytest.FixtureRequest, place: tuple[Path, Path]) -> dict[str, Any]:
    wanted = Request((request.param,), GOAL, folds=4, seed=2)
    return plan(*place, FMT, wanted, command="tilewatt plan", commit="abc")


def test_stops_and_accuracy_are_those_of_the_tiles_rule(found: dict[str, Any], place: tuple[Path, Path]) -> None:
    trained = checkpoint.load(place[0])
    chosen, networks = found["plan"], tuple(integer_networks(trained, FMT))
    scores = validation(trained, held_out(trained, place[1]), networks)
    wide = [scores.scores[number] for number in chosen["increments"]]
    soft = chosen["score"] == "softmax"
    assert len(wide) > 1, "nothing was chosen: the rule was not tried"
    at = margin.stops(wide, chosen["registers"], FMT, len(wide) - 1, soft)
    assert np.bincount(at, minlength=len(wide)).tolist() == chosen["stops"]
    winners = np.array([margin.winner(one) for one in wide])[at, np.arange(len(at))]
    assert chosen["accuracy"] == (winners == scores.labels).mean()
    assert chosen["drop_points"] == pytest.approx(100 * (chosen["full_accuracy"] - chosen["accuracy"]))
    register = margin.softmax_threshold if soft else lambda real: margin.raw_threshold(real, FMT)
    assert [register(real) for real in chosen["thresholds"]] == chosen["registers"]
    alone = dict(zip(trained.fractions, found["cost"]["alone"], strict=True))
    costs = np.cumsum([alone[fraction] for fraction in chosen["fractions"]])
    assert chosen["saving"] == pytest.approx(1 - costs[at].mean() / alone[1.0])


def test_it_says_where_it_comes_from(found: dict[str, Any], place: tuple[Path, Path]) -> None:
    assert found["checkpoint"]["sha256"] == hashlib.sha256(place[0].read_bytes()).hexdigest()
    assert found["checkpoint"]["fractions"] == [0.1, 0.2, 1.0]
    assert found["validation"]["images"] == made.HELD_OUT
    assert (found["network"], found["dataset"], found["format"]) == ("lenet", "mnist", "<16,10>")
    assert (found["seed"], found["commit"], found["command"]) == (2, "abc", "tilewatt plan")
    assert found["goal"] == {"name": "saving", "most_drop_points": 30.0, "standard_errors": 0.5}
    assert found["cost"]["reuse"] == "none"
    assert found["cost"]["unit"] == "MAC"
    assert [(step["few"], step["more"]) for step in found["cost"]["steps"]] == [(0, 1), (0, 2), (1, 2)]


def test_the_plan_is_the_best_alternative_and_keeps_its_limit(found: dict[str, Any]) -> None:
    assert len(found["alternatives"]) <= 4
    best = max(found["alternatives"], key=lambda item: item["saving"])
    assert best["saving"] == found["plan"]["saving"]
    assert found["plan"]["drop_bound_points"] <= 30
    assert any(item["on_front"] and item["saving"] == best["saving"] for item in found["alternatives"])
    assert [item["fractions"] for item in found["ideal"]] == [[1.0], [0.1, 1.0], [0.2, 1.0], [0.1, 0.2, 1.0]]


def test_histograms_hold_every_image(found: dict[str, Any]) -> None:
    assert [item["score"] for item in found["histograms"]] == ["raw", "softmax"]
    for item in found["histograms"]:
        for row, increment in zip(item["increments"], found["increments"], strict=True):
            assert sum(row["right"]) + sum(row["wrong"]) == made.HELD_OUT
            assert sum(row["right"]) == round(increment["accuracy"] * made.HELD_OUT)
            assert len(row["right"]) == len(row["wrong"]) == len(item["edges"]) - 1


def test_the_same_request_gives_the_same_plan(found: dict[str, Any], place: tuple[Path, Path]) -> None:
    again = Request((found["plan"]["score"],), GOAL, folds=4, seed=2)
    assert plan(*place, FMT, again, command="tilewatt plan", commit="abc") == found


def test_the_product_needs_no_limit(place: tuple[Path, Path]) -> None:
    found = plan(*place, FMT, Request(goal=Product(), folds=2))
    assert found["goal"] == {"name": "product", "most_drop_points": None, "standard_errors": None}
    assert found["plan"]["product"] == max(item["product"] for item in found["alternatives"]) > 0
    assert len(found["alternatives"]) == 1 + 3 * 2


def test_measured_costs_and_reuse_are_taken(place: tuple[Path, Path]) -> None:
    found = plan(*place, FMT, Request(goal=GOAL, reuse="time", costs=made.costs((1.0, 2.0, 30.0)), folds=2))
    assert found["cost"]["alone"] == [1.0, 2.0, 30.0]
    assert found["cost"]["reuse"] == "time"
    with pytest.raises(BadInput, match="costs of 3 increments are wanted, not of 2"):
        plan(*place, FMT, Request(costs=made.costs((1.0, 30.0))))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(BadInput, match="reuse wants none, time, work, not 'all'"):
        Request(reuse="all")
    with pytest.raises(BadInput, match="scores want some of raw, softmax, not mean"):
        Request(("mean",))
    with pytest.raises(BadInput, match="scores want some of raw, softmax, not none"):
        Request(())


def test_edges_and_bins_by_hand() -> None:
    margins = [np.linspace(0, 23.4, 1000), np.linspace(0, 5, 1000)]
    at = edges(margins, softmax=False)
    assert (at[0], at[-1], len(at)) == (0.0, 25.0, 41)
    assert edges(margins, softmax=True)[-1] == 1.0
    assert edges([np.zeros(5)], softmax=False)[-1] == 1.0
    found = histogram(np.array([0.0, 0.6, 7.0, 1.2]), np.array([True, False, True, True]), [0.0, 0.5, 1.0, 2.0])
    assert found.right == (1, 0, 2)  # 7 lies beyond the last edge
    assert found.wrong == (0, 1, 0)
