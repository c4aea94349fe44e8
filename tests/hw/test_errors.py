"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from hw.errors import BadInput, atomic_path, write_atomic


def test_bad_input_is_a_value_error() -> None:
    assert issubclass(BadInput, ValueError)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.json"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
        temporary.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["a.json"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    target = write_atomic(tmp_path / "a.txt", "old \u00b5")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise BadInput("stop")

    with pytest.raises(BadInput, match="^stop$"):
        fail()
    assert target.read_text(encoding="utf-8") == "old \u00b5"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_follows_the_mask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
