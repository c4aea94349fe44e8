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
from hw.arbiter import BufferPort, DramArbiter
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
from hw.pool import PoolLane
from hw.post import PostProcess
from hw.shared import VerilogPlatform
from hw.signatures import LOADED
from hw.window import WindowLanes

COUNTED_BITS = 12  # width of every event input of the counters


class Pooling(Component):
    """Post-processing with the vertical pooling lanes of all neurons. Members: those of PostProcess, less what leads to
    the lanes."""

    INSIDE = ("pool", "pool_words", "pool_neurons", "pool_readers", "pooled")

    def __init__(self, i: Isa) -> None:
        self.post = PostProcess(i)
        self.lanes = [PoolLane(i.params) for _ in range(i.params.neurons)]
        members = self.post.signature.members.items()
        super().__init__({name: member for name, member in members if name not in self.INSIDE})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.post = post = self.post
        _pass(m, self, post, list(self.signature.members))
        for n, lane in enumerate(self.lanes):
            m.submodules[f"lane_{n}"] = lane
            m.d.comb += [lane.control.eq(post.pool), lane.word.eq(post.pool_words[n]), post.pooled[n].eq(lane.pooled)]
            with m.If(n >= post.pool_neurons):
                m.d.comb += [lane.control.write.eq(0), lane.control.result.eq(0)]
            with m.If(n >= post.pool_readers):
                m.d.comb += lane.control.read.eq(0)
        return m


class BufferAccess(Component):
    """A neuron buffer behind its arbiter. Members: those of BufferPort, and the buffer's ``data``."""

    def __init__(self, i: Isa) -> None:
        self.buffer = NeuronBuffer(i, i.params.nbin_rows)
        self.port = BufferPort(i, self.buffer)
        data = self.buffer.signature.members["data"]
        super().__init__(dict(self.port.signature.members.items()) | {"data": data})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = self.buffer
        m.submodules.arbiter = self.port
        _pass(m, self, self.port, list(self.port.signature.members))
        m.d.comb += self.data.eq(self.buffer.data)
        return m


class DmaEngine(Component):
    """The DMA engine with the ports of its two parts that lead out of it."""

    REQUESTER = ("image", "result", "req_valid", "req_ready", "req_write", "req_address", "req_data", "req_mask",
                 "store_read", "store_source", "store_at", "store_mask", "store_granted", "store_words")  # fmt: skip
    CONSUMER = ("load_target", "load_taken", "urgent",
                *(f"{beat}_{name}" for beat in LOADED for name in ("at", "mask", "words", "cells", "written")),
                "sb_write", "sb_row", "sb_lanes", "sb_lines", "sb_pick", "sb_granted")  # fmt: skip

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
            "access": BufferAccess(i),
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
            m.submodules[f"{name}_block"] = block  # a port within a block may have the block's name
            connect(m, flipped(getattr(self, name)), block)
        return m


def _convert(component: Component, name: str, platform: VerilogPlatform) -> str:
    return verilog.convert(component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True)


def build_blocks(p: TileParams, build_root: Path = BUILD_ROOT) -> tuple[Build, Path]:
    """The simulation of all blocks for ``p``, and the sidecar that benches read (`cosim.port.BlockPort`)."""
    platform = VerilogPlatform()
    texts = [_convert(Blocks(p), "blocks", platform)]
    texts += [_convert(component, name, platform) for name, component in platform.modules.items()]
    text = "\n".join(texts)
    body = re.search(r"^module blocks\b.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert body is not None
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
