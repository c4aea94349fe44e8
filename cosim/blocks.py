"""The tile's blocks side by side in one simulation, every port of a block named ``<block>__<port>``, for their benches.

One Verilator build per preset serves all benches: starting a compiler costs more than the blocks themselves.
"""

import json
import re
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from cosim.runner import BUILD_ROOT, Build, build
from hw.arbiter import DramArbiter
from hw.buffers import NeuronBuffer
from hw.counters import Counters
from hw.dma import Dma
from hw.errors import write_atomic
from hw.events import event_names
from hw.fetch import Fetch
from hw.isa import Isa, isa
from hw.margin import MarginController
from hw.neuron import Neuron
from hw.output import OutputWriter
from hw.params import TileParams
from hw.pool import PoolLane, PoolSequencer
from hw.shared import VerilogPlatform
from hw.window import WindowLanes

COUNTED_BITS = 12  # width of every event input of the counters


class Pooling(Component):
    """A pool sequencer with one lane. Members: those of the sequencer, word : In and result : Out of the lane."""

    def __init__(self, i: Isa) -> None:
        self.sequencer = PoolSequencer(i)
        self.lane = PoolLane(i.params)
        lane = self.lane.signature.members
        members = dict(self.sequencer.signature.members.items())
        super().__init__({**members, "word": lane["word"], "result": lane["result"]})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.lane = lane = self.lane
        _pass(m, self, sequencer, list(sequencer.signature.members))
        _pass(m, self, lane, ["word", "result"])
        m.d.comb += lane.control.eq(sequencer.control)
        return m


class DmaEngine(Component):
    """The DMA engine with the ports of its two parts that lead out of it."""

    REQUESTER = ("image", "result", "req_valid", "req_ready", "req_write", "req_address", "req_data", "req_mask",
                 "store_read", "store_source", "store_at", "store_lanes", "store_granted", "store_line")  # fmt: skip
    CONSUMER = ("line_write", "line_target", "line_at", "line_lanes", "line", "line_granted",
                "sb_write", "sb_row", "sb_lanes", "sb_lines", "sb_granted")  # fmt: skip

    def __init__(self, i: Isa) -> None:
        self.dma = Dma(i)
        requester, consumer = self.dma.requester.signature.members, self.dma.consumer.signature.members
        super().__init__(
            dict(self.dma.signature.members.items())
            | {name: requester[name] for name in self.REQUESTER}
            | {name: consumer[name] for name in self.CONSUMER}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dma = dma = self.dma
        _pass(m, self, dma, list(dma.signature.members))
        _pass(m, self, dma.requester, self.REQUESTER)
        _pass(m, self, dma.consumer, self.CONSUMER)
        return m


def _pass(m: Module, outer: Any, inner: Any, names: Any) -> None:
    """Lead ports of ``inner`` through to the equal ports of ``outer``."""
    for name in names:
        sides = getattr(inner, name), getattr(outer, name)
        target, source = sides if inner.signature.members[name].flow == In else sides[::-1]
        m.d.comb += target.eq(source)


class Blocks(Component):
    """All blocks, unconnected to each other. Members: one interface per block."""

    def __init__(self, p: TileParams) -> None:
        i = isa(p)
        self.blocks: dict[str, Component] = {
            "neuron": Neuron(i),
            "buffer": NeuronBuffer(i, p.nbin_rows),
            "window": WindowLanes(i),
            "pool": Pooling(i),
            "output": OutputWriter(i),
            "margin": MarginController(p),
            "dma": DmaEngine(i),
            "fetch": Fetch(i),
            "arbiter": DramArbiter(i),
            "counters": Counters(p, dict.fromkeys(event_names(p.activity), COUNTED_BITS)),
        }
        super().__init__({name: Out(block.signature) for name, block in self.blocks.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, block in self.blocks.items():
            m.submodules[name] = block
            connect(m, flipped(getattr(self, name)), block)
        return m


def build_blocks(p: TileParams, build_root: Path = BUILD_ROOT) -> tuple[Build, Path]:
    """The simulation of all blocks for ``p``, and the sidecar that benches read (`cosim.port.BlockPort`)."""
    platform = VerilogPlatform()
    text = verilog.convert(Blocks(p), name="blocks", platform=platform, emit_src=False, strip_internal_attrs=True)
    body = re.search(r"^module blocks\b.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    assert not platform.modules, "no block of the bundle holds a shared module"
    found = re.finditer(r"^  (input|output)(?: reg)? (?:\[\d+:0\] )?(\w+);", body[0], re.MULTILINE)
    ports = {match[2]: match[1] for match in found}
    folder = Path(build_root) / "blocks" / f"{p.name}-{p.hash}"
    source = write_atomic(folder / "blocks.v", text)
    sidecar = write_atomic(folder / "blocks.json", json.dumps({"parameters": p.as_dict(), "ports": ports}))
    writable = [("blocks", name) for name, direction in ports.items() if direction == "input"]
    public = [("blocks", name) for name, direction in ports.items() if direction == "output"]
    simulation = build(
        [source], "blocks", name=f"blocks-{p.name}", build_root=build_root, writable=writable, public=public
    )
    return simulation, sidecar
