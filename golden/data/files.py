"""Finding data files, and what is said when they are not there."""

from collections.abc import Sequence
from pathlib import Path

from hw.errors import BadInput


def first_existing(folder: Path, names: Sequence[str], what: str) -> Path:
    """First of ``names`` in ``folder`` that exists."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise missing(folder, names, what)


def missing(folder: Path, names: Sequence[str], what: str) -> BadInput:
    return BadInput(
        f"{what}: none of {', '.join(names)} is in {folder}; run `make data`, or name another folder with --data"
    )
