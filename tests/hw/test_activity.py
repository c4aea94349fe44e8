"""The table of counted signals: its events, the paths it names, and how they are found."""

import pytest

from hw.activity import COUNTS, matching
from hw.events import COUNTED_INSIDE, MONITORED, REGISTER_TOGGLES, TOGGLES
from hw.monitor import Register, signals

VERILOG = r"""
module tile(clk, a);
  input clk;
  input [7:0] a;
  wire [7:0] a;
  reg [3:0] \$signal$2  = 4'h0;
  reg [15:0] bank_0 [39:0];
  \tile.part  \part$12  (
    .clk(clk)
  );
endmodule
module \tile.part (clk);
  output reg [1:0] row_10;
  reg [1:0] row_10 = 2'h0;
  wire \top.winner ;
  wire [1:0] row_9;
endmodule
"""


def test_every_event_is_counted_in_one_way() -> None:
    ways = (*COUNTED_INSIDE, *COUNTS, *REGISTER_TOGGLES)
    assert len(set(ways)) == len(ways)
    assert set(ways) == {event.name for event in TOGGLES}
    assert set(MONITORED) == {*COUNTS, *REGISTER_TOGGLES}
    units = {event.name: event.unit for event in TOGGLES}
    assert {name: units[name] for name in COUNTS} == {
        name: "pair" if count.times else "bit" for name, count in COUNTS.items()
    }


def test_signals_of_all_instances_by_path() -> None:
    found = signals(VERILOG, "tile")
    assert {name: signal.width for name, signal in found.items()} == {
        "clk": 1, "a": 8, "$signal$2": 4, "part$12.row_10": 2, "part$12.row_9": 2, "part$12.top.winner": 1,
    }  # fmt: skip
    assert found["part$12.row_9"] == Register(("tile", "part$12"), "row_9", 2)
    assert found["part$12.row_9"].reference == r"tile.\part$12 .\row_9 "


def test_paths_stand_for_numbers_in_their_order() -> None:
    names = ["part$12.row_10", "part$12.row_9", "part.row_x", "part.row_2$3", "part.deep.row_1"]
    assert matching(["part.row_*"], names) == ["part$12.row_9", "part$12.row_10"]
    assert matching(["part.row_9", "part.row_10"], names) == ["part$12.row_9", "part$12.row_10"]
    with pytest.raises(ValueError, match="the tile has no signal part.column"):
        matching(["part.row_9", "part.column"], names)
