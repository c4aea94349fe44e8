"""plan.json and its picture: written whole, read back, and refused where they do not fit."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.errors import BadInput
from synth.plan_doc import PLAN
from synth.plan_files import check_plan, read_plan, write_plan
from synth.plan_plot import COLOURS, best_of, draw
from synth.plan_schema import PlanFile
from synth.plan_text import chain, ordinal, summary

CONTENT: dict[str, Any] = json.loads(PLAN.read_text(encoding="utf-8"))


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CONTENT), **fields}


def changed_plan(**fields: Any) -> dict[str, Any]:
    return changed(plan={**CONTENT["plan"], **fields})


def test_written_and_read_back(tmp_path: Path) -> None:
    made = write_plan(CONTENT, tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"plan.json", "margins.png"}
    assert (tmp_path / "a" / "margins.png").read_bytes().startswith(b"\x89PNG")
    assert read_plan(tmp_path / "a" / "plan.json") == made
    assert json.loads((tmp_path / "a" / "plan.json").read_text()) == CONTENT
    write_plan(CONTENT, tmp_path / "b")
    for name in ("plan.json", "margins.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(schema=2), "plan of lenet: schema"),
        (changed_plan(thresholds=[1.0]), "wants 2 thresholds, one per increment but the last, not 1"),
        (changed_plan(fractions=[0.2, 0.1, 1.0]), r"wants rising fractions, not \[0.2, 0.1, 1.0\]"),
        (changed_plan(increments=[0, 1, 3]), r"plan wants fractions \[0.1, 0.2, 1.0\] of the checkpoint"),
        (changed_plan(stops=[1, 2, 3]), "plan wants stops of 10000 images, not 6"),
        (changed_plan(thresholds=[-1.0, 1.0]), "plan of lenet: plan.thresholds"),
    ],
)
def test_what_is_no_plan_is_not_written(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        write_plan(content, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a plan wants a readable file: .*none.json.*; `tilewatt plan` writes it"):
        read_plan(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    for text in (b"{", b"\xff", b"{}", json.dumps(changed(extra=1)).encode()):
        broken.write_bytes(text)
        with pytest.raises(BadInput, match="plan .*broken.json: ") as caught:
            read_plan(broken)
        assert "\n" not in str(caught.value)


def test_a_plan_of_another_checkpoint_or_format_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a.npz"
    checkpoint.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    mine = PlanFile.model_validate(changed(checkpoint={**CONTENT["checkpoint"], "sha256": digest}))
    check_plan(mine, Path("p.json"), checkpoint, "<32,16>")
    with pytest.raises(
        BadInput, match=r"plan p.json was made from scores in <32,16>, the tile has <16,10>: plan for its preset"
    ):
        check_plan(mine, Path("p.json"), checkpoint, "<16,10>")
    other = PlanFile.model_validate(CONTENT)
    wanted = f"plan p.json is for a checkpoint of SHA-256 {other.checkpoint.sha256[:12]}, .*a.npz has {digest[:12]}: "
    with pytest.raises(BadInput, match=wanted + "plan again, or give the checkpoint it was made from"):
        check_plan(other, Path("p.json"), checkpoint, "<32,16>")


def test_the_picture_shows_every_increment_and_threshold() -> None:
    found = PlanFile.model_validate(CONTENT)
    figure = draw(found)
    panels = figure.axes
    assert len(panels) == 4
    for column, shown in enumerate(found.histograms):
        best = best_of(found, shown.score)
        assert best is not None
        for line, kind in enumerate(("right", "wrong")):
            panel = panels[2 * line + column]
            dashed = [float(np.asarray(artist.get_xdata())[0]) for artist in panel.lines]
            assert dashed == best.thresholds
            legend = panel.get_legend()
            assert legend is not None
            labels = [text.get_text() for text in legend.get_texts()]
            assert labels == [f"{item.fraction:g}: {sum(getattr(item, kind)):,}" for item in shown.increments]
    assert len(COLOURS) >= 6
    assert best_of(found, found.plan.score) is found.plan


def test_the_terminal_table_is_laid_out_as_table_7() -> None:
    found = PlanFile.model_validate(CONTENT)
    lines = summary(found).splitlines()
    assert lines[0].startswith("lenet on mnist, <32,16>: 3 increments, most saving with an accuracy drop + 1.8 stand")
    rows = [line.split() for line in lines[3:6]]
    assert [row[0] for row in rows] == ["1st", "2nd", "3rd"]
    assert [row[1] for row in rows] == ["0.1", "0.2", "1"]
    assert [row[2] for row in rows] == [*(f"{value:.3f}" for value in found.plan.thresholds), "-"]
    assert sum(float(row[3]) for row in rows) == pytest.approx(100, abs=0.02)
    product = changed(goal={"name": "product", "most_drop_points": None, "standard_errors": None})
    assert "most saving x accuracy" in summary(PlanFile.model_validate(product))


def test_words() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11)] == ["1st", "2nd", "3rd", "4th", "11th"]
    found = PlanFile.model_validate(CONTENT)
    soft = next(item for item in found.alternatives if item.score == "softmax" and len(item.fractions) == 2)
    assert chain(soft) == f"{soft.fractions[0]:g} ({soft.thresholds[0]:.5f}), 1"
