"""t16.json, read and checked; and the margin pictures of the plans made for its checkpoints."""

from pathlib import Path

from pydantic import ValidationError

from hw.errors import BadInput
from synth.paper.schema import Paper
from synth.plan_files import read_plan
from synth.technology import first_error


def read_paper(path: Path) -> Paper:
    """Read and check a t16.json."""
    try:
        return Paper.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"T16's results want a readable file: {error}; `tilewatt paper` writes it") from None
    except (ValidationError, UnicodeDecodeError) as error:
        text = first_error(error) if isinstance(error, ValidationError) else "wants UTF-8"
        raise BadInput(f"results {path}: {text}") from None


def margin_pictures(paper: Paper, plans: Path, images: Path) -> dict[str, str]:
    """File names, in ``images``, of Figure 7 by network: of the plan in ``plans`` (plan-X.json, its picture plan-X.png)
    that was made for the network's checkpoint."""
    by_checkpoint = {}
    for path in sorted(plans.glob("plan-*.json")):
        if (images / f"{path.stem}.png").exists():
            by_checkpoint[read_plan(path).checkpoint.sha256] = f"{path.stem}.png"
    return {
        name: by_checkpoint[network.checkpoint_sha256]
        for name, network in paper.networks.items()
        if network.checkpoint_sha256 in by_checkpoint
    }
