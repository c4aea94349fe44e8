"""The testbench, rendered around a tile from its sidecar."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import cosim.testbench
from cosim.dram import Ideal, dram_config
from cosim.memory import view
from cosim.runner import run
from cosim.testbench import build_tile, render
from hw.errors import BadInput
from hw.params import preset

HERE = Path(__file__).parent
SMALL = preset("small")


def _sidecar() -> dict[str, Any]:
    """The ports of the copier, which has those of preset small."""
    ports = re.findall(r"(input|output) (?:reg )?(?:\[(\d+):0\] )?(\w+)", (HERE / "copier.v").read_text())
    described = {name: {"direction": direction, "width": int(high or 0) + 1} for direction, high, name in ports}
    return {"parameters": SMALL.as_dict(), "ports": described}


@pytest.mark.cosim
def test_copies_captures_and_refuses(tmp_path: Path) -> None:
    shutil.copy(HERE / "copier.v", tmp_path / "tile.v")
    (tmp_path / "tile.json").write_text(json.dumps(_sidecar()))
    simulation = build_tile(tmp_path, 3000, capture_words=256, trace_depth=1000)
    result = run(
        simulation,
        "bench_testbench",
        seed=3,
        workdir=tmp_path / "run",
        python_path=[HERE],
        env={"DRAM_CONFIG": dram_config(SMALL, 3000, trace_depth=1000).to_json()},
        cycle_limit=100_000,
        min_tests=4,
    )
    assert len(result.tests) == 4


def test_each_memory_has_a_testbench_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of one tile on two memories run side by side: neither may build the other's testbench."""
    (tmp_path / "tile.json").write_text(json.dumps(_sidecar()))
    tops = []
    monkeypatch.setattr(cosim.testbench, "build", lambda sources, *_args, **_options: tops.append(sources[-1]))
    for ideal in (None, Ideal()):
        build_tile(tmp_path, 3000, ideal=ideal, build_root=tmp_path)
    assert tops[0].read_text() != tops[1].read_text()


def test_render_refuses_what_does_not_fit() -> None:
    config = dram_config(SMALL, 1)
    with pytest.raises(BadInput, match="tile port dram__req_data wants 512 bits, not 128: generate the tile anew"):
        render(_sidecar(), dram_config(preset("odd").replace(dram_bytes=1 << 26), 1), 128)
    sidecar = _sidecar()
    del sidecar["ports"]["out__valid"]
    with pytest.raises(BadInput, match="tile port out__valid wants 1 bits, not no such port: generate the tile anew"):
        render(sidecar, config, 128)
    sidecar = _sidecar()
    sidecar["ports"]["out__data"]["width"] = 16
    with pytest.raises(BadInput, match="tile port out__data wants 64 bits, not 16: generate the tile anew"):
        render(sidecar, config, 128)
    with pytest.raises(BadInput, match="capture_words wants 2 to 2147483648, not 1"):
        render(_sidecar(), config, 1)


def test_missing_tile(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a generated tile is wanted, .*tile\.json is not there: make it with"):
        build_tile(tmp_path, 1)


def test_views_want_a_simulation() -> None:
    with pytest.raises(BadInput, match=r"views of memories want the program of cosim\.runner\.build, not this process"):
        view("dram", "memory")
