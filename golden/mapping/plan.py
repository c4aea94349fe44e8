"""Decides, layer by layer, where maps lie, what is streamed, and how a layer is cut into steps.

A layer reads one neuron buffer and writes the other. Its input is resident when it fits, else it is streamed from
DRAM in slabs of rows and chunks of channels. Its output stays in the other buffer, laid out as the next layer wants
it, when that fits, else it is spilled to DRAM slab by slab. Candidates are compared by an estimate of cycles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from golden.limits import BURST_NS
from golden.mapping.layout import MapLayout, extent, lines_of, pitches, run_beats
from golden.mapping.pieces import Piece, block_lines, blocks, chunks, pieces_of
from golden.network import Layer, Network
from hw.errors import BadInput
from hw.instructions import KERNEL_BITS, MAP_BITS, POOL_BITS, Buffer, Pool
from hw.params import TileParams

# Of the estimate only: cycles of a transfer's start, of taking a compute.
TRANSFER_CYCLES = 6.0
COMPUTE_CYCLES = 4.0
SB_WEIGHT = 0.05  # price of a weight-row read, in cycles: between equals the plan with fewer reads wins


@dataclass(frozen=True)
class Slab:
    """Output pixels of a step, before pooling: ``cols`` x ``rows`` from (x, y); rows out_y .. out_end-1 leave it."""

    x: int
    y: int
    cols: int
    rows: int
    out_y: int
    out_end: int


@dataclass(frozen=True)
class Areas:
    """``count`` equal areas of ``rows`` buffer rows, used in turn; pitches of what they hold."""

    count: int
    rows: int
    pitch: int
    plane: int


@dataclass(frozen=True)
class LayerPlan:
    """How a layer runs. ``stream``: areas of the source buffer for slabs of the input, None when it is resident.

    ``load``: the resident input has to be loaded from DRAM first. ``stage``: areas of the target buffer from which
    the output is spilled, None when it stays there, laid out as ``output``. ``chunk``: channels after which weight
    packing restarts and which a streamed area holds.
    """

    layer: Layer
    source: Buffer
    target: Buffer
    input: MapLayout
    load: bool
    stream: Areas | None
    output: MapLayout
    stage: Areas | None
    chunk: int
    pieces: tuple[Piece, ...]
    slabs: tuple[Slab, ...]
    cost: float


def rows_emitted(layer: Layer, y: int, end: int) -> tuple[int, int]:
    """Pooled rows [first, end) whose last pixel row lies in rows [y, end) of the sums."""
    if layer.pool is None:
        return y, end
    height, pooled = layer.sum_shape[1], layer.out_shape[1]
    last = [min(r * layer.pool.stride + layer.pool.size, height) - 1 for r in range(pooled)]
    first = sum(row < y for row in last)
    return first, sum(row < end for row in last)


def input_rows(layer: Layer, slab: Slab) -> tuple[int, int]:
    """Input rows [first, end) that a slab's windows meet."""
    if layer.fc:
        return 0, layer.in_shape[1]
    first = slab.y * layer.stride - layer.padding[0]
    last = (slab.y + slab.rows - 1) * layer.stride - layer.padding[0] + layer.kernel[0]
    height = layer.in_shape[1]
    start = min(max(first, 0), height - 1)
    return start, max(min(last, height), start + 1)


def _slabs(layer: Layer, rows: int, cols: int) -> tuple[Slab, ...]:
    _, height, width = layer.sum_shape
    found: list[Slab] = []
    for y in range(0, height, rows):
        end = min(y + rows, height)
        emitted = rows_emitted(layer, y, end)
        found.extend(Slab(x, y, min(cols, width - x), end - y, *emitted) for x in range(0, width, cols))
    return tuple(found)


def open_rows(layer: Layer) -> int:
    """Rows of pooling windows that are open at a time."""
    return -(-layer.pool.size // layer.pool.stride) if layer.pool is not None else 0


class Planner:
    """Plans networks for one set of tile parameters; ``bias_rows`` rows of SB are taken."""

    def __init__(self, params: TileParams, bias_rows: int) -> None:
        self.p = params
        self.ring = params.sb_rows - bias_rows
        if self.ring < 1:
            raise BadInput(
                f"biases fill {bias_rows} rows of SB, but {params.name} has {params.sb_rows}; use fewer neurons"
            )

    def network(self, network: Network, given: Sequence[int] | None) -> list[LayerPlan]:
        """A plan for every layer. ``given``: chunk of each layer, fixed by the largest increment; None to choose."""
        plans: list[LayerPlan] = []
        resident: MapLayout | None = None
        free = Buffer.NBIN
        for index, layer in enumerate(network.layers):
            following = network.layers[index + 1] if index + 1 < len(network.layers) else None
            self._check(layer)
            chunk = None if given is None else given[index]
            sources = (free, Buffer(1 - free)) if resident is None else (resident.buffer,)
            best: LayerPlan | None = None
            for source in sources:
                for plan in self._candidates(layer, following, source, resident, chunk):
                    if best is None or plan.cost < best.cost:
                        best = plan
            if best is None:
                raise BadInput(self._misfit(layer, chunk))
            plans.append(best)
            resident = best.output if best.stage is None else None
            free = best.source
        return plans

    def _check(self, layer: Layer) -> None:
        p = self.p
        most = (1 << KERNEL_BITS) - 1
        if max(layer.kernel) > most:
            raise BadInput(
                f"layer {layer.name}: kernels up to {most} are wanted, not {layer.kernel[0]}x{layer.kernel[1]}; "
                f"use several smaller ones"
            )
        most = (1 << POOL_BITS) - 1
        if layer.stride > most:
            raise BadInput(
                f"layer {layer.name}: strides up to {most} are wanted, not {layer.stride}; use a smaller one"
            )
        if layer.pool is not None and max(layer.pool.size, layer.pool.stride) > most:
            raise BadInput(
                f"layer {layer.name}: pooling windows and strides up to {most} are wanted, not {layer.pool.size} and "
                f"{layer.pool.stride}; use smaller windows"
            )
        most = (1 << (MAP_BITS - 1)) - 1  # pixel positions are signed
        if not layer.fc and max(*layer.in_shape[1:], *layer.sum_shape[1:]) > most:
            raise BadInput(
                f"layer {layer.name}: maps up to {most} pixels wide and high are wanted, not "
                f"{layer.in_shape[1]}x{layer.in_shape[2]}; use smaller images"
            )
        if layer.pool is not None and open_rows(layer) * layer.out_shape[2] > p.pool_entries:
            raise BadInput(
                f"layer {layer.name}: {open_rows(layer)} rows of {layer.out_shape[2]} pooling windows open at once, "
                f"but {p.name} has pool_entries {p.pool_entries}; use a smaller map or a larger tile"
            )

    def _misfit(self, layer: Layer, chunk: int | None) -> str:
        p = self.p
        channels, height, width = layer.in_shape
        n, out_h, out_w = layer.out_shape
        lines = block_lines(layer, chunk or 1, p)
        return (
            f"layer {layer.name} does not fit {p.name}: input {channels}x{height}x{width}, output {n}x{out_h}x{out_w}, "
            f"{layer.inputs} synapses a neuron ({lines} weight lines), but NBin holds {p.nbin_rows * p.synapses} "
            f"words, NBout {p.nbout_rows * p.synapses}, SB {self.ring} lines, {p.accumulators} accumulators; "
            f"use smaller maps or a larger tile"
        )

    def _candidates(
        self, layer: Layer, following: Layer | None, source: Buffer, resident: MapLayout | None, given: int | None
    ) -> Iterator[LayerPlan]:
        p = self.p
        target = Buffer(1 - source)
        channels, height, width = layer.in_shape
        pitch, plane = pitches(layer, height, p)
        words = p.buffer_rows[source] * p.synapses
        whole = resident or MapLayout(source, 0, pitch, plane)
        fits = resident is not None or extent(channels, height, width, pitch, plane) <= words
        output = self._output(layer, following, target)
        for chunk in (given,) if given is not None else range(channels, 0, -1):
            pieces = tuple(pieces_of(layer, chunk, max(1, self.ring // 3), p))
            if max(piece.lines for piece in pieces) > self.ring:
                continue
            if layer.fc and fits and given is None and chunk < channels:
                break  # a resident vector is cut by lines, never by channels
            for rows, cols in self._shapes(layer, len(pieces) > 1, fits and output is not None):
                slabs = _slabs(layer, rows, cols)
                stream = None if fits else self._stream(layer, chunk, slabs, source)
                stage = None if output is not None else self._stage(layer, slabs, target)
                if (not fits and stream is None) or (output is None and stage is None):
                    continue
                cost = self._cost(layer, chunk, pieces, slabs, stream, stage)
                held = output or MapLayout(target, 0, *((stage.pitch, stage.plane) if stage else (1, 1)))
                load = fits and resident is None
                yield LayerPlan(layer, source, target, whole, load, stream, held, stage, chunk, pieces, slabs, cost)

    def _output(self, layer: Layer, following: Layer | None, target: Buffer) -> MapLayout | None:
        """Layout of the whole output in the target buffer, None when it does not fit."""
        n, height, width = layer.out_shape
        pitch, plane = (width, height * width) if following is None else pitches(following, height, self.p)
        fits = extent(n, height, width, pitch, plane) <= self.p.buffer_rows[target] * self.p.synapses
        return MapLayout(target, 0, pitch, plane) if fits else None

    def _shapes(self, layer: Layer, chained: bool, whole: bool) -> Iterator[tuple[int, int]]:
        """Rows and columns of a slab. Pooling wants whole rows; a sum over several computes wants one tile."""
        _, height, width = layer.sum_shape
        for rows in (height,) if whole and not chained else range(1, height + 1):
            if not chained or rows * width <= self.p.accumulators:
                yield rows, width
        if layer.pool is None and chained and width > self.p.accumulators:
            yield 1, self.p.accumulators
            yield 1, -(-self.p.accumulators // 2)

    def _stream(self, layer: Layer, chunk: int, slabs: tuple[Slab, ...], source: Buffer) -> Areas | None:
        p = self.p
        channels, _, width = layer.in_shape
        rows = max(end - first for first, end in (input_rows(layer, slab) for slab in slabs))
        pitch, plane = pitches(layer, rows, p)
        area = lines_of(extent(min(chunk, channels), rows, width, pitch, plane), p)
        count = p.buffer_rows[source] // area
        return Areas(count, area, pitch, plane) if count else None

    def _stage(self, layer: Layer, slabs: tuple[Slab, ...], target: Buffer) -> Areas | None:
        p = self.p
        n, _, width = layer.out_shape
        rows = max(1, max(slab.out_end - slab.out_y for slab in slabs))
        area = lines_of(extent(min(n, p.neurons), rows, width, width, rows * width), p)
        count = p.buffer_rows[target] // area
        return Areas(count, area, width, rows * width) if count else None

    def _cost(
        self, layer: Layer, chunk: int, pieces: tuple[Piece, ...], slabs: tuple[Slab, ...], stream: Areas | None,
        stage: Areas | None,
    ) -> float:  # fmt: skip
        """Estimate of the layer's cycles; a price, no promise."""
        p = self.p
        n, out_h, out_w = layer.out_shape
        channels, _, width = layer.in_shape
        lines = sum(piece.lines for piece in pieces)
        per_block = list(blocks(n, p))
        sums = layer.sum_shape[1] * layer.sum_shape[2]
        emitted = out_h * out_w / sums
        drain = max(min(n, p.neurons) * emitted, 1.0 if layer.pool is None else 2.0)  # cycles a result vector
        compute = reads = 0.0
        for slab in slabs:
            pixels = slab.cols * slab.rows
            if len(pieces) > 1 and pixels > p.accumulators // 2:
                compute += pixels * (lines + drain)
            else:
                compute += pixels * max(lines, drain)
            compute += len(pieces) * COMPUTE_CYCLES
            reads += lines * -(-pixels // tile_of(p, pixels, len(pieces) > 1))
        compute, reads = compute * len(per_block), reads * len(per_block)
        group = -(-p.neurons // p.lines_per_beat)
        again = 1 if lines <= self.ring else len(slabs)
        beats = float(again * lines * group * len(per_block))
        transfers = float(again * len(pieces) * len(per_block))
        if stream is not None:
            rows = [end - first for first, end in (input_rows(layer, slab) for slab in slabs)]
            parts = len(list(chunks(channels, chunk)))
            passes = 1 if len(slabs) * parts <= stream.count else len(per_block)
            beats += passes * sum(rows) * channels * run_beats(width, p)
            transfers += passes * sum(min(row * parts, channels) for row in rows)
        if stage is not None:
            beats += n * out_h * lines_of(out_w, p)
            transfers += len(slabs) * len(per_block)
        dma = beats * BURST_NS / p.clock_ns + transfers * TRANSFER_CYCLES
        overlapped = (stream is None or stream.count > 1) and (stage is None or stage.count > 1)
        return (max(compute, dma) if overlapped else compute + dma) + SB_WEIGHT * reads


def tile_of(p: TileParams, pixels: int, chained: bool) -> int:
    """Pixels of a tile: all of a chained sum's; else half the accumulators, so that one tile drains under the next."""
    return pixels if chained else min(pixels, max(1, p.accumulators // 2))


def pool_fields(layer: Layer, y: int) -> dict[str, Any]:
    """The pooling fields of a Compute whose sums start at row ``y``."""
    _, height, width = layer.sum_shape
    _, pool_h, pool_w = layer.out_shape
    if layer.pool is None:
        return {"pool": Pool.NONE, "out_w": width, "out_h": height, "out_y": y, "pool_w": width, "pool_h": height}
    size, stride = layer.pool.size, layer.pool.stride
    return {
        "pool": layer.pool.kind,
        "pool_size": size,
        "pool_stride": stride,
        "out_w": width,
        "out_h": height,
        "out_y": y,
        "pool_w": pool_w,
        "pool_h": pool_h,
        "pool_y": y // stride,
        "pool_phase": y % stride,
        "pool_slot": y // stride % open_rows(layer),
    }
