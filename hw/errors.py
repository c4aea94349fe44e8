"""Errors a user can cause, and files that are written whole or not at all. Leaf: standard library only."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


class BadInput(ValueError):
    """Input the user can mend: what was wanted, what came, what to do, in one line.

    The command line prints the text after ``error:`` and exits with code 2.
    """


class CheckFailed(Exception):
    """The work was done and a check of its result failed: exit code 1."""


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` only when the block succeeds."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(target: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` to ``target`` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(target)
