"""Reading .npz files without trusting them."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from hw.errors import BadInput


def read_npz(path: Path, what: str) -> dict[str, np.ndarray]:
    """Every array of an .npz file, by name; no objects. ``what`` says in a refusal which file was wanted."""
    if not path.is_file():
        raise BadInput(f"{path}: {what} (.npz) is wanted, there is none")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
        raise BadInput(f"{path}: {what} (.npz) is wanted whole, this file is truncated or corrupt") from None
