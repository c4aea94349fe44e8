"""t16.json, read and checked; and the plans that were made for its checkpoints."""

from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from hw.errors import BadInput
from synth.paper.schema import Network, Paper
from synth.plan_files import read_plan
from synth.technology import first_error


def read_paper(path: Path) -> Paper:
    """Read and check a t16.json."""
    try:
        found = Paper.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"T16's results want a readable file: {error}; `tilewatt paper` writes it") from None
    except (ValidationError, UnicodeDecodeError) as error:
        text = first_error(error) if isinstance(error, ValidationError) else "wants UTF-8"
        raise BadInput(f"results {path}: {text}") from None
    for name, network in found.networks.items():
        known, run = [item.fraction for item in network.increments], network.opportunistic
        if not set(run.fractions) <= set(known) or len(run.stops) != len(run.fractions) or not sum(run.stops):
            raise BadInput(
                f"results {path}: {name} wants an opportunistic run over some of its increments {known} and how many "
                f"images stopped at each, not {run.fractions} with {run.stops}: measure it again"
            )
    return found


def kept_networks(path: Path, measured: Collection[str], *, tile: str, fmt: str, profile: str) -> dict[str, Network]:
    """The networks of ``path`` that are not ``measured`` now; none where there is no file. They want to have run on the
    same tile and to be priced by the same profile."""
    if not path.is_file():
        return {}
    before = read_paper(path)
    kept = {name: network for name, network in before.networks.items() if name not in measured}
    had, wanted = (before.tile, before.format, before.profile), (tile, fmt, profile)
    if kept and had != wanted:
        raise BadInput(
            f"{path} holds {', '.join(kept)} on {' '.join(had)}, {' '.join(wanted)} is wanted to add to it: "
            "give another --out or measure them too"
        )
    return kept


def plans_of(paper: Paper, folder: Path) -> dict[str, Path]:
    """By network, the plan-*.json in ``folder`` that was made for its checkpoint."""
    by_checkpoint = {read_plan(path).checkpoint.sha256: path for path in sorted(folder.glob("plan-*.json"))}
    return {
        name: by_checkpoint[network.checkpoint_sha256]
        for name, network in paper.networks.items()
        if network.checkpoint_sha256 in by_checkpoint
    }
