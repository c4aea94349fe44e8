"""The simulation of a whole tile: its generated Verilog, the DRAM model and the capture memory in one build."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2

from cosim import dram
from cosim.dram import DDR3_1600K, DramConfig, Ideal, Timing, dram_config
from cosim.runner import BUILD_ROOT, Build, build
from hw.errors import BadInput, write_atomic
from hw.params import RESULT_CELLS, NumberFormat, TileParams

_VERILOG = Path(__file__).resolve().parent / "verilog"
CAPTURE_WORDS = 1 << 20
_OUT = ("out__valid", "out__mask", "out__data")


def _sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput(f"a generated tile is wanted, {path} is not there: make it with `tilewatt verilog`")
    return json.loads(path.read_text())


def render(sidecar: dict[str, Any], config: DramConfig, capture_words: int) -> str:
    """Verilog of the testbench: every port of the tile but DRAM and output log is a port of its own."""
    ports = sidecar["ports"]
    wanted = {"dram__req_address": config.address_bits, "dram__req_data": 8 * config.beat_bytes}
    words = RESULT_CELLS * sidecar["parameters"]["cell_words"]  # of results, at most, in a cycle
    width = NumberFormat.parse(sidecar["parameters"]["fmt"]).width
    wanted |= {"dram__rsp_data": 8 * config.beat_bytes, "dram__req_mask": config.lines, "out__valid": 1}
    wanted |= {"out__mask": words, "out__data": words * width}
    for name, bits in wanted.items():
        if name not in ports or ports[name]["width"] != bits:
            came = ports[name]["width"] if name in ports else "no such port"
            raise BadInput(f"tile port {name} wants {bits} bits, not {came}: generate the tile anew")
    if not 2 <= capture_words <= 1 << 31:
        raise BadInput(f"capture_words wants 2 to {1 << 31}, not {capture_words}")
    passed = {n: p for n, p in ports.items() if n not in ("clk", "rst", *_OUT) and not n.startswith("dram__")}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((_VERILOG / "testbench.sv.j2").read_text()).render(
        ports=passed,
        dram=config.parameters(),
        out_words=words,
        word_bits=width,
        capture_words=capture_words,
        capture_bits=(capture_words - 1).bit_length(),
    )


def build_tile(
    folder: str | Path,
    memory_beats: int,
    *,
    capture_words: int = CAPTURE_WORDS,
    timing: Timing = DDR3_1600K,
    owed: int = 0,
    ideal: Ideal | None = None,
    trace_depth: int = 0,
    trace_saif: bool = False,
    trace_vcd: bool = False,
    build_root: str | Path = BUILD_ROOT,
) -> Build:
    """Build module ``testbench`` around ``folder/tile.v`` and its sidecar ``tile.json``.

    memory_beats: least DRAM memory simulated (`cosim.dram.dram_config` rounds it up). owed: refreshes owed at the end
    of reset. capture_words: output words
    between two resets of the count. trace_depth: DRAM requests recorded. Scopes of views: testbench, testbench.dram.
    """
    folder = Path(folder)
    sidecar = _sidecar(folder / "tile.json")
    params = TileParams.from_dict(sidecar["parameters"])
    config = dram_config(params, memory_beats, timing=timing, owed=owed, ideal=ideal, trace_depth=trace_depth)
    text = render(sidecar, config, capture_words)
    # by content: two tests of one tile on two memories build side by side
    content = hashlib.sha256(text.encode()).hexdigest()[:16]
    top = write_atomic(Path(build_root) / "testbench" / content / "testbench.sv", text)
    passed = {
        name: port for name, port in sidecar["ports"].items() if not name.startswith("dram__") and name not in _OUT
    }
    # only what the bench drives is writable: logic behind a writable variable is evaluated at every step
    inputs = [name for name, port in passed.items() if port["direction"] == "input"]
    outputs = [name for name, port in passed.items() if port["direction"] == "output"]
    outputs += ["capture_fault", "dram_fault", "dram_fault_kind", "dram_fault_address", "capture", "capture_count"]
    return build(
        [folder / "tile.v", _VERILOG / "dram.sv", top],
        "testbench",
        name=f"tile-{params.name}" + ("-saif" if trace_saif else "-vcd" if trace_vcd else ""),
        build_root=build_root,
        public=[("dram", name) for name in dram.PUBLIC] + [("testbench", name) for name in outputs],
        writable=[("testbench", name) for name in inputs],
        clock_ps=config.clock_ps,
        trace_saif=trace_saif,
        trace_vcd=trace_vcd,
    )
