"""The example of docs/own-network.md runs as it stands."""

import re
from pathlib import Path

import pytest


@pytest.mark.cosim
def test_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", Path("docs/own-network.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/own-network.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    match = re.fullmatch(r"(\d+) words equal to golden, (\d+) cycles an image\n", said)
    assert match is not None, said
    assert int(match[1]) == 8 * (6 * 5 * 5 + 4)
