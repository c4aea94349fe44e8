"""The reader of recordings: rows of settled values, names as in the RTL, shared nets, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from hw.errors import BadInput
from hw.params import preset
from synth.gate.recording import RecordedWindow, read_recording
from synth.gate.trace import Trace
from synth.gate.vcd import load_trace, read_trace, save_trace

CLOCK = "bench.clk"
HEADER = """$version made by hand $end
$timescale 1ps $end
 $scope module $rootio $end
 $upscope $end
 $scope module bench $end
  $var wire 1 c clk $end
  $scope module tile $end
   $var wire 1 c clk $end
   $var wire 4 ! $1 [3:0] $end
   $var wire 4 ! sum [3:0] $end
   $var wire 3 a words[0] [2:0] $end
   $var wire 3 b words[1][2:0] $end
   $var wire 1 d flag[2] $end
   $var wire 1 e control.first [0:0] $end
   $scope module lane$7 $end
    $var wire 2 "! in [1:0] $end
    $scope module deep $end
     $var wire 1 f out $end
    $upscope $end
   $upscope $end
  $upscope $end
 $upscope $end
$enddefinitions $end

"""
CHANGES = """#100
1c
b0101 !
b110 a
b1 b
0d
1e
b10 "!
0f
#150
0c
1f
#200
1d
b0000 !
1c
b1000 !
#250
0c
#260
0d
#300
b011 b
1c
"""
ROWS = {
    "sum": [5, 8, 8],
    "$1": [5, 8, 8],
    "words[0]": [6, 6, 6],
    "words[1]": [1, 1, 3],
    "flag[2]": [0, 0, 0],
    "control.first": [1, 1, 1],
    "clk": [0, 0, 0],
    "lane$7.in": [2, 2, 2],
    "lane$7.deep.out": [1, 1, 1],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.vcd"
    file.write_text(HEADER + CHANGES)
    return file


def values(trace: Trace) -> dict[str, list[int]]:
    return {
        name: (trace.of(name).astype(np.int64) @ (1 << np.arange(width))).tolist()
        for name, (_, width) in trace.places.items()
    }


def test_rows_hold_the_settled_values_of_each_cycle(path: Path) -> None:
    """Whatever the order of changes in a time step, also with changes between edges: the last one before an edge."""
    trace = read_trace(path, "bench.tile", clock=CLOCK)
    assert trace.cycles == 2
    assert values(trace) == ROWS
    assert trace.bits.dtype == np.uint8


def test_names_of_one_net_share_columns(path: Path) -> None:
    trace = read_trace(path, "bench.tile", clock=CLOCK)
    assert trace.places["sum"] == trace.places["$1"]
    assert trace.bits.shape == (3, 4 + 3 + 3 + 1 + 1 + 1 + 2 + 1)


def test_scopes_and_signals_that_are_wanted(path: Path) -> None:
    assert values(read_trace(path, "bench.tile.lane$7", clock=CLOCK)) == {"in": [2, 2, 2], "deep.out": [1, 1, 1]}
    assert list(read_trace(path, "bench.tile", ["words[1]", "lane$7.in"], clock=CLOCK).places) == [
        "words[1]", "lane$7.in",
    ]  # fmt: skip
    closed = read_trace(path, "bench.tile", clock=CLOCK, closed=["lane$7", "control"])
    assert closed.places.keys() == ROWS.keys() - {"lane$7.deep.out"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("$enddefinitions $end", ""), "a VCD file with declarations is wanted: record it anew"),
        (("c clk", "c clock"), "a recording of the clock bench.clk is wanted, it has none"),
        (("module tile", "module other"), "a recording of bench.tile is wanted, it has no signal there"),
        (("#100\n1c\n", "#100\n0c\n"), "a recording that begins at a rising edge of bench.clk is wanted"),
        (("#100", ""), "a recording that begins at a time step is wanted"),
        ((CHANGES, ""), "a recording that begins at a rising edge of bench.clk is wanted"),
        (("b110 a\n", ""), r"bench.tile.words\[0\] wants a value at the first edge, it has none"),
        (("b110 a", "b1x0 a"), r"bench.tile.words\[0\] wants values of 0 and 1 alone: record it with a two-state"),
        (("0d\n1e", "xd\n1e"), r"bench.tile.flag\[2\] wants values of 0 and 1 alone"),
        (("b110 a", "b1110 a"), r"bench.tile.words\[0\] wants values of 3 bits, not 1110"),
        (("control.first", "lane$7.in"), r"one signal of each path is wanted, two are bench.tile.lane\$7.in"),
    ],
)
def test_refusals(path: Path, change: tuple[str, str], message: str) -> None:
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(BadInput, match=rf"a\.vcd: {message}"):
        read_trace(path, "bench.tile", clock=CLOCK)


def test_a_missing_signal_and_a_missing_file_are_refused(path: Path) -> None:
    with pytest.raises(BadInput, match="a recording of bench.tile.words is wanted, it has none: record it anew"):
        read_trace(path, "bench.tile", ["sum", "words"], clock=CLOCK)
    with pytest.raises(BadInput, match=r"a recording is wanted, .*none\.vcd cannot be read \(.*No such file"):
        read_trace(path.with_name("none.vcd"), "bench.tile", clock=CLOCK)


def test_a_trace_can_be_kept(path: Path, tmp_path: Path) -> None:
    trace = read_trace(path, "bench.tile", clock=CLOCK)
    save_trace(tmp_path / "a.npz", trace)
    again = load_trace(tmp_path / "a.npz")
    assert again.places == trace.places
    assert np.array_equal(again.bits, trace.bits)
    assert again.bits.dtype == np.uint8
    for content in (b"", b"text", (tmp_path / "a.npz").read_bytes()[:100]):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(BadInput, match=r"b\.npz: a trace is wanted \(.*\): record it anew"):
            load_trace(tmp_path / "b.npz")
    with pytest.raises(BadInput, match=r"c\.npz: a trace is wanted"):
        load_trace(tmp_path / "c.npz")


def test_a_recording(tmp_path: Path, path: Path) -> None:
    window = {"file": "a.vcd", "increment": 1, "image": 4, "first": 9, "cycles": 2, "fraction": 0.5}
    index = {
        "schema": 1, "what": "by hand", "tile": preset("small").as_dict(), "verilog_sha256": "0", "scope": "bench.tile",
        "clock": CLOCK, "neurons": [0], "windows": [{**window, "layers": [["start", 0], ["conv", 1]]}],
    }  # fmt: skip
    (tmp_path / "index.json").write_text(json.dumps(index))
    recording = read_recording(tmp_path)
    assert recording.params == preset("small")
    assert recording.windows == (RecordedWindow("a.vcd", 1, 0.5, 4, 9, 2, (("start", 0), ("conv", 1))),)
    assert recording.header == {"schema": 1}
    assert values(recording.rest(recording.windows[0])) == ROWS
    for text in ("{", json.dumps({**index, "windows": [window]}), json.dumps({"schema": 1}), json.dumps([])):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(BadInput, match=r"a folder of recordings with its index\.json is wanted \(.*\): record it"):
            read_recording(tmp_path)
    (tmp_path / "index.json").unlink()
    with pytest.raises(BadInput, match=r"a folder of recordings with its index\.json is wanted \(.*No such file"):
        read_recording(tmp_path)
