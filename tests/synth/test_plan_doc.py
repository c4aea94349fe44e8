"""docs/planner.md is what the committed plan gives, and the plan holds what the page claims of it."""

import hashlib
import json
from pathlib import Path

from synth.plan_doc import BEGIN, END, PAGE, PICTURE, PLAN, page_with_results, results
from synth.plan_files import read_plan
from synth.plan_schema import PlanFile

FOUND = read_plan(PLAN)


def test_page_holds_the_results_and_the_picture() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert page_with_results(text, FOUND) == text, "run python -m synth.plan_doc"
    assert f"]({PICTURE.relative_to(PAGE.parent)})" in text
    assert PICTURE.read_bytes().startswith(b"\x89PNG")


def test_results_change_with_the_json() -> None:
    content = json.loads(PLAN.read_text())
    content["plan"]["saving"] = 0.12345
    content["cross_validation"]["drop_points"]["value"] = 7.25
    after = results(PlanFile.model_validate(content))
    assert "It saves 12.35 % of" in after or "It saves 12.34 % of" in after
    assert "drop 7.25 points" in after


def test_the_plan_is_for_the_committed_checkpoint_and_keeps_its_limit() -> None:
    checkpoint = Path(FOUND.checkpoint.path)
    assert FOUND.checkpoint.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert not FOUND.commit.endswith("+"), "plan from a clean checkout"
    assert FOUND.validation.images == 10_000
    limit = FOUND.goal.most_drop_points
    assert limit == 0.1
    assert FOUND.plan.drop_bound_points <= limit
    assert FOUND.plan.exact
    assert all(item.saving <= FOUND.plan.saving for item in FOUND.alternatives)
    assert FOUND.cross_validation.drop_points.value <= limit


def test_what_the_page_says_of_the_equations() -> None:
    plan = FOUND.plan
    assert plan.equations.accuracy > plan.accuracy, "equation 3 promises too much"
    assert plan.equations.accuracy_as_printed < 0.5
