"""plan.json and its picture: written together, read and checked again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hw.errors import BadInput, write_atomic
from synth.plan_plot import picture
from synth.plan_schema import PlanFile
from synth.plan_schema import content as content_of
from synth.technology import first_error


def write_plan(made: Mapping[str, Any], out: Path) -> PlanFile:
    """Write ``out``/margins.png and, last, ``out``/plan.json; returns what was written."""
    try:
        found = PlanFile.model_validate(made)
    except ValidationError as error:
        raise BadInput(f"plan of {made.get('network')}: {first_error(error)}") from None
    picture(found, out / "margins.png")
    write_atomic(out / "plan.json", json.dumps(content_of(found), indent=1) + "\n")
    return found


def read_plan(path: Path) -> PlanFile:
    """Read and check a plan.json."""
    try:
        return PlanFile.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"a plan wants a readable file: {error}; `tilewatt plan` writes it") from None
    except (ValidationError, UnicodeDecodeError) as error:
        text = first_error(error) if isinstance(error, ValidationError) else "wants UTF-8"
        raise BadInput(f"plan {path}: {text}") from None


def check_plan(found: PlanFile, path: Path, checkpoint: Path, fmt: str) -> None:
    """Refuse a plan that was made for another checkpoint or number format."""
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    if digest != found.checkpoint.sha256:
        raise BadInput(
            f"plan {path} is for a checkpoint of SHA-256 {found.checkpoint.sha256[:12]}, {checkpoint} has "
            f"{digest[:12]}: plan again, or give the checkpoint it was made from"
        )
    if fmt != found.format:
        raise BadInput(f"plan {path} was made from scores in {found.format}, the tile has {fmt}: plan for its preset")
