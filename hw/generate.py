"""Verilog of a tile and its sidecar: ``tile.v`` and ``tile.json``. The same parameters give the same bytes."""

import json
import re
from importlib.metadata import version
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib.wiring import Component

from hw.annotation import annotation
from hw.errors import atomic_path, write_atomic
from hw.events import COUNTER_BITS, event_names
from hw.isa import isa
from hw.monitor import monitor, registers
from hw.params import TileParams
from hw.shared import VerilogPlatform
from hw.tile import Tile

CELLS = Path(__file__).parent / "verilog"
TOP = "tile"


def generate(params: TileParams, out: Path) -> tuple[Path, Path]:
    """Write ``out/tile.v`` and ``out/tile.json``; returns both paths.

    The sidecar holds the parameters and their hash, the ports with their widths, the packing of the snapshot, the
    number of clocked register bits of the tile without counters (SRAM excluded), how many of them an event counts
    (hw.annotation) and the generator's version: readers never guess.
    """
    texts = _modules(params)
    made = _modules(params.replace(counters=False, activity=False))  # what would be made: measuring is not part of it
    built = registers("\n".join(made), TOP)
    measuring = registers("\n".join(texts), TOP) if params.activity else None
    if params.activity:
        texts.append(monitor("\n".join(texts), TOP, params))
        texts += [(CELLS / name).read_text() for name in ("toggle_register.sv", "toggle_probe.sv")]
    text = "\n".join(texts)
    source = write_atomic(out / "tile.v", text)
    sidecar = {
        "schema": 1,
        "top": TOP,
        "parameters": params.as_dict(),
        "hash": params.hash,
        "ports": _ports(texts[0]),
        "snapshot": {"counter_bits": COUNTER_BITS, "events": list(event_names(params.activity))}
        if params.counters
        else None,
        "instruction_beats": isa(params).instruction_beats,
        "register_bits": sum(register.width for register in built),
        "annotation": annotation(built, measuring),
        "versions": {"amaranth": version("amaranth")},
    }
    with atomic_path(out / "tile.json") as path:
        path.write_text(json.dumps(sidecar, indent=1) + "\n")
    return source, out / "tile.json"


def _modules(params: TileParams) -> list[str]:
    """Verilog of the tile and of each shared module."""
    platform = VerilogPlatform()
    texts = [_convert(Tile(params), TOP, platform)]
    return texts + [_convert(component, name, platform) for name, component in platform.modules.items()]


def _convert(component: Component, name: str, platform: VerilogPlatform) -> str:
    return verilog.convert(component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True)


def _ports(text: str) -> dict[str, dict[str, object]]:
    body = re.search(rf"^module {TOP}\b.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    if body is None:
        raise RuntimeError(f"the generated Verilog has no module {TOP}")
    found = re.finditer(r"^  (input|output)(?: reg)? (?:\[(\d+):0\] )?(\w+);", body[0], re.MULTILINE)
    return {match[3]: {"direction": match[1], "width": int(match[2] or 0) + 1} for match in found}
