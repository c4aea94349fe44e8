"""Decides, layer by layer, where maps lie, what is streamed, and how a layer is cut into steps.

A layer reads one neuron buffer and writes the other. Its input is resident when it is there or fits, else it is streamed
from DRAM: row by row through a ring, or in areas that hold the channels of a piece of weight lines and the rows of a
slab. Its output stays in the other buffer, laid out as the next layer wants it, when that fits, else it is spilled to
DRAM slab by slab. The plans of a network are those with the least estimated cycles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from golden.limits import BURST_NS
from golden.mapping.layout import DramMap, MapLayout, extent
from golden.mapping.pieces import Block, Piece, pieces_of, split, steps_of
from golden.mapping.slabs import Slab, input_rows, open_rows, slabs_of
from golden.mapping.view import View, cells_of, columns_read, pitches, view_of
from golden.network import Layer, Network
from hw.errors import BadInput
from hw.instructions import MAP_BITS, POOL_BITS, UNUSED, Base, Buffer
from hw.params import TileParams

# Of the estimate only: cycles of a transfer's start, of taking a compute.
TRANSFER_CYCLES = 2.0
COMPUTE_CYCLES = 2.0
FIRST_CHANNELS = 4  # a streamed map of so few channels is the image: nothing could be loaded before
SB_WEIGHT = 0.02  # price of a weight-row read, in cycles: between equals the plan with fewer reads wins


class Input(Enum):
    """How a layer's input comes into its buffer."""

    RESIDENT = 0  # the layer before wrote it there
    RING = 1  # rows are loaded, each once a block, and overwritten when they are done with (or all fit)
    AREAS = 2  # rows of a slab and channels of a piece, in equal areas used in turn


@dataclass(frozen=True)
class Areas:
    """``count`` equal areas of ``cells`` cells, used in turn; pitches of what they hold."""

    count: int
    cells: int
    pitch: int
    plane: int


@dataclass(frozen=True)
class LayerPlan:
    """How a layer runs.

    input: layout of the input map (RESIDENT, RING; of a vector: its lines). ring_rows: rows of the ring, 0 when all
    fit. areas: of AREAS. columns: cells of a run that meet in no bank. output: layout of the output map, in its stage
    when ``stage`` is set: areas of the target buffer from which it is spilled. vector: the output is written word by word.
    slabs_first: all blocks' weights stay in SB and a slab is computed for every block before the next slab.
    """

    layer: Layer
    view: View
    source: Buffer
    target: Buffer
    kind: Input
    input: MapLayout
    ring_rows: int
    areas: Areas | None
    columns: int
    output: MapLayout
    stage: Areas | None
    vector: bool
    blocks: tuple[Block, ...]
    pieces: tuple[Piece, ...]
    slabs: tuple[Slab, ...]
    slabs_first: bool
    cost: float


@dataclass(frozen=True)
class _State:
    """Before a layer: its input's layout (None: in DRAM) and columns, and the buffer that it is or may be in."""

    resident: MapLayout | None
    columns: int
    source: Buffer


class Planner:
    """Plans networks for one set of tile parameters; ``bias_rows`` rows of SB are taken.

    prices: of a cycle of computing and of one of DRAM time; which of them holds a network back shows only when all its
    layers are put together.
    """

    def __init__(self, params: TileParams, bias_rows: int, prices: tuple[float, float] = (1.0, 0.1)) -> None:
        self.p = params
        self.prices = prices
        self.ring = params.sb_rows - bias_rows
        if self.ring < 1:
            raise BadInput(
                f"biases fill {bias_rows} rows of SB, but {params.name} has {params.sb_rows}; use fewer neurons"
            )

    def network(self, network: Network) -> list[LayerPlan]:
        """A plan for every layer."""
        for layer in network.layers:
            self._check(layer)
        stuck: list[int] = []

        @lru_cache
        def best(index: int, state: _State) -> tuple[float, tuple[LayerPlan, ...]] | None:
            if index == len(network.layers):
                return 0.0, ()
            found: tuple[float, tuple[LayerPlan, ...]] | None = None
            following = network.layers[index + 1] if index + 1 < len(network.layers) else None
            plans = self._cheapest(network.layers[index], following, state)
            if not plans:
                stuck.append(index)
            for plan, after in plans:
                rest = best(index + 1, after)
                if rest is not None and (found is None or plan.cost + rest[0] < found[0]):
                    found = (plan.cost + rest[0], (plan, *rest[1]))
            return found

        starts = [best(0, _State(None, 0, buffer)) for buffer in (Buffer.NBIN, Buffer.NBOUT)]
        chosen = min((start for start in starts if start is not None), key=lambda start: start[0], default=None)
        if chosen is None:
            raise BadInput(self._misfit(network.layers[max(stuck)]))
        return list(chosen[1])

    def alternatives(self, network: Network, plans: Sequence[LayerPlan], index: int, most: int) -> list[LayerPlan]:
        """The cheapest ``most`` other plans of layer ``index`` between the same layouts, one of a kind."""
        plan, layer = plans[index], network.layers[index]
        following = network.layers[index + 1] if index + 1 < len(network.layers) else None
        resident = plan.input if plan.kind == Input.RESIDENT else None
        state = _State(resident, plan.columns if resident is not None else 0, plan.source)
        output = plan.output if plan.stage is None else None
        found: dict[tuple[object, ...], LayerPlan] = {}
        for other in self._plans(layer, following, state, output, plan.stage is not None):
            kind = (other.kind, len(other.pieces), len(other.slabs), other.slabs_first)
            if kind not in found or other.cost < found[kind].cost:
                found[kind] = other
        return sorted(found.values(), key=lambda other: other.cost)[:most]

    def _check(self, layer: Layer) -> None:
        p = self.p
        view = view_of(layer, p)
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
        if view.lines >> 12:
            raise BadInput(f"layer {layer.name}: fewer than 4096 weight lines a neuron are wanted, not {view.lines}")
        if layer.pool is not None and open_rows(layer) * layer.sum_shape[2] > p.pool_entries:
            raise BadInput(
                f"layer {layer.name}: {open_rows(layer)} rows of {layer.sum_shape[2]} sums for pooling at once, "
                f"but {p.name} has pool_entries {p.pool_entries}; use a smaller map or a larger tile"
            )

    def _misfit(self, layer: Layer) -> str:
        p = self.p
        channels, height, width = layer.in_shape
        n, out_h, out_w = layer.out_shape
        return (
            f"layer {layer.name} does not fit {p.name}: input {channels}x{height}x{width}, output {n}x{out_h}x{out_w}, "
            f"{layer.inputs} synapses a neuron ({view_of(layer, p).lines} weight lines), but NBin holds "
            f"{p.nbin_rows * p.row_words} words, NBout {p.nbout_rows * p.row_words}, SB {self.ring} lines, "
            f"{p.accumulators} accumulators; use smaller maps or a larger tile"
        )

    def _cells(self, buffer: Buffer) -> int:
        return self.p.buffer_rows[buffer] * self.p.banks

    # -- candidates ----------------------------------------------------------------------------------------------

    def _cheapest(self, layer: Layer, following: Layer | None, state: _State) -> list[tuple[LayerPlan, _State]]:
        """The cheapest plan for every state that it can leave behind."""
        found: dict[_State, LayerPlan] = {}
        for output, stage_wanted, after in self._outputs(layer, following, Buffer(1 - state.source)):
            for plan in self._plans(layer, following, state, output, stage_wanted):
                if after not in found or plan.cost < found[after].cost:
                    found[after] = plan
        return [(plan, after) for after, plan in found.items()]

    def _outputs(
        self, layer: Layer, following: Layer | None, target: Buffer
    ) -> Iterator[tuple[MapLayout | None, bool, _State]]:
        """(layout of the whole output or None, whether it is spilled, the state behind it)."""
        p = self.p
        n, height, width = layer.out_shape
        if following is None:
            yield MapLayout(target, 0, 1, 1), False, _State(None, 0, target)
            return
        view = view_of(following, p)
        if view.vector:
            cells = cells_of(width, p)
            whole = cells_of(n, p) if height * width == 1 else n * height * cells
            if whole <= self._cells(target):
                yield (
                    MapLayout(target, 0, cells, height * cells),
                    False,
                    _State(MapLayout(target, 0, view.taps // p.cell_words, view.taps // p.cell_words), 0, target),
                )
        else:
            for columns in self._columns(following, view):
                pair = pitches(view, height, columns, n, False, p)
                if pair and extent(n, height, width, *pair, p) <= self._cells(target):
                    layout = MapLayout(target, 0, *pair)
                    yield layout, False, _State(layout, columns, target)
        if height * width > 1:
            for source in (target, Buffer(1 - target)):
                yield None, True, _State(None, 0, source)

    def _columns(self, layer: Layer, view: View) -> list[int]:
        """Sensible numbers of cells of a run to read at a time: every one that makes the layer quicker."""
        p = self.p
        if view.vector:
            return [0]
        least = columns_read(view, layer.sum_shape[2], 1, -view.padding[1], p)
        found: list[int] = []
        quickest = None
        for columns in range(least, min(UNUSED, p.banks + 1)):
            if pitches(view, layer.in_shape[1], columns, view.channels, False, p) is None:
                continue
            steps = self._steps(layer, split(layer, columns, False, p))
            if quickest is None or steps < quickest:
                found.append(columns)
                quickest = steps
        return found

    def _steps(self, layer: Layer, blocks: tuple[Block, ...]) -> int:
        _, height, width = layer.sum_shape
        return sum(steps_of(width, height, block.groups) for block in blocks)

    def _plans(
        self, layer: Layer, following: Layer | None, state: _State, output: MapLayout | None, spilled: bool
    ) -> Iterator[LayerPlan]:  # fmt: skip
        view = view_of(layer, self.p)
        if state.resident is not None:
            yield from self._with(layer, following, view, state, Input.RESIDENT, state.columns, output, spilled)
            return
        for columns in self._columns(layer, view):
            yield from self._with(layer, following, view, state, Input.RING, columns, output, spilled)
            yield from self._with(layer, following, view, state, Input.AREAS, columns, output, spilled)

    def _with(
        self, layer: Layer, following: Layer | None, view: View, state: _State, kind: Input, columns: int,
        output: MapLayout | None, spilled: bool,
    ) -> Iterator[LayerPlan]:  # fmt: skip
        p = self.p
        blocks = split(layer, columns, following is not None, p)
        target = Buffer(1 - state.source)
        for step in self._line_steps(view, kind):
            pieces = tuple(pieces_of(view, step))
            if max(piece.lines for piece in pieces) > self.ring:
                continue
            for rows, cols in self._shapes(layer, blocks, len(pieces) > 1, kind, spilled):
                slabs = slabs_of(layer, rows, cols)
                stage = self._stage(layer, slabs, target) if spilled else None
                if spilled and stage is None:
                    continue
                held = output or MapLayout(target, 0, *((stage.pitch, stage.plane) if stage else (1, 1)))
                single = layer.out_shape[1] * layer.out_shape[2] == 1 and not spilled
                vector = single and (following is None or view_of(following, p).vector)
                for place, ring_rows, areas in self._places(layer, view, state, kind, columns, pieces, slabs):
                    for first in (False, True) if self._together(layer, view, blocks, slabs) else (False,):
                        if first and areas is not None and len(pieces) > areas.count:
                            continue  # an area would be loaded for every block all the same
                        cost = self._cost(layer, view, kind, blocks, pieces, slabs, ring_rows, areas, stage, first)
                        yield LayerPlan(
                            layer, view, state.source, target, kind, place, ring_rows, areas, columns, held, stage,
                            vector, blocks, pieces, slabs, first, cost,
                        )  # fmt: skip

    def _together(self, layer: Layer, view: View, blocks: tuple[Block, ...], slabs: tuple[Slab, ...]) -> bool:
        """Whether a slab can be computed for every block before the next one: all weights fit, no window stays open."""
        pool = layer.pool
        closed = pool is None or (pool.size == pool.stride and all(slab.y % pool.stride == 0 for slab in slabs))
        return closed and len(slabs) > 1 and 1 < len(blocks) and len(blocks) * view.lines <= self.ring

    def _line_steps(self, view: View, kind: Input) -> list[int]:
        """Weight lines of a piece to try."""
        if view.vector:
            return [max(1, min(view.lines, self.ring // 3))]
        if kind == Input.RING:
            return [view.lines]
        most = min(view.lines, self.ring)
        if kind == Input.RESIDENT:
            return [most] if view.lines <= self.ring else [max(1, self.ring // 3)]
        return sorted({most, *(n for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26) if n < most)})

    def _shapes(
        self, layer: Layer, blocks: tuple[Block, ...], chained: bool, kind: Input, spilled: bool
    ) -> Iterator[tuple[int, int]]:
        """Rows and columns of a slab. Pooling wants whole rows; a sum over several computes wants one tile."""
        p = self.p
        _, height, width = layer.sum_shape
        most = p.accumulators
        per_row = max(-(-width // block.groups) for block in blocks)
        if kind == Input.RESIDENT and not chained and not spilled:
            yield height, width
            return
        for rows in sorted({min(n, height) for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, height)}):
            if not chained or rows * per_row <= most:
                yield rows, width
        if layer.pool is None and chained and per_row > most // 2 and kind != Input.RING:
            yield 1, max(1, most // 2)

    def _places(
        self, layer: Layer, view: View, state: _State, kind: Input, columns: int, pieces: tuple[Piece, ...],
        slabs: tuple[Slab, ...],
    ) -> Iterator[tuple[MapLayout, int, Areas | None]]:  # fmt: skip
        """(layout of the input, rows of the ring, areas)."""
        p = self.p
        if kind == Input.RESIDENT:
            assert state.resident is not None
            yield state.resident, 0, None
            return
        cells = self._cells(state.source)
        channels, height, width = layer.in_shape
        if view.vector:
            yield from self._vector_places(layer, view, state, kind, pieces)
            return
        spans = [input_rows(layer, slab) for slab in slabs]
        rows = max(end - first for first, end in spans)
        if kind == Input.AREAS:
            most = max(piece.channels for piece in pieces)
            pair = pitches(view, rows, columns, most, False, p)
            if pair is None:
                return
            area = extent(most, rows, width, *pair, p)
            if area <= cells:
                yield MapLayout(state.source, 0, *pair), 0, Areas(cells // area, area, *pair)
            return
        pair = pitches(view, height, columns, channels, False, p)
        if pair and extent(channels, height, width, *pair, p) <= cells:
            yield MapLayout(state.source, 0, *pair), 0, None
            return
        for ring_rows in range(height - 1, rows - 1, -1):
            pair = pitches(view, ring_rows, columns, channels, True, p)
            if pair and extent(channels, ring_rows, width, *pair, p) <= cells:
                yield MapLayout(state.source, 0, *pair), ring_rows, None
                return

    def _vector_places(
        self, layer: Layer, view: View, state: _State, kind: Input, pieces: tuple[Piece, ...]
    ) -> Iterator[tuple[MapLayout, int, Areas | None]]:
        """A vector is a map's rows without gaps; an area holds the rows that a piece meets."""
        p = self.p
        channels, height, width = layer.in_shape
        if height * width == 1:
            return  # vectors are never spilled
        step = view.taps // p.cell_words
        place = MapLayout(state.source, 0, step, step)
        row = cells_of(width, p)
        if kind == Input.RING:
            if channels * height * row <= self._cells(state.source):
                yield place, 0, None
            return
        rows = max(vector_rows(layer, view, piece)[1] - vector_rows(layer, view, piece)[0] for piece in pieces)
        if rows * row <= self._cells(state.source):
            yield place, 0, Areas(self._cells(state.source) // (rows * row), rows * row, row, row)

    def _stage(self, layer: Layer, slabs: tuple[Slab, ...], target: Buffer) -> Areas | None:
        p = self.p
        n, _, width = layer.out_shape
        rows = max(1, max(slab.out_end - slab.out_y for slab in slabs))
        pitch = cells_of(width, p)
        area = min(n, p.neurons) * rows * pitch
        count = self._cells(target) // area
        return Areas(count, area, pitch, rows * pitch) if count else None

    # -- estimate ------------------------------------------------------------------------------------------------

    def _cost(
        self, layer: Layer, view: View, kind: Input, blocks: tuple[Block, ...], pieces: tuple[Piece, ...],
        slabs: tuple[Slab, ...], ring_rows: int, areas: Areas | None, stage: Areas | None, slabs_first: bool,
    ) -> float:  # fmt: skip
        """Estimate of the layer's cycles; a price, no promise."""
        p = self.p
        n, out_h, _ = layer.out_shape
        channels, height, _ = layer.in_shape
        chained = len(pieces) > 1
        compute = reads = loads = beats = 0.0
        row_beats = DramMap.of(layer.in_shape, Base.ABSOLUTE, 0, p).run_beats
        line_beats = [-(-block.neurons // p.lines_per_beat) for block in blocks]
        again = 1 if view.lines <= self.ring else len(slabs)
        if kind != Input.RESIDENT and layer.in_shape[0] <= FIRST_CHANNELS:  # nothing runs until the first rows are there
            first, end = input_rows(layer, slabs[0])
            compute += (end - first) * channels * row_beats * BURST_NS / p.clock_ns
        if slabs_first:
            compute += len(slabs) * len(blocks)  # biases change with the block
        for block, per_line in zip(blocks, line_beats, strict=True):
            for slab in slabs:
                steps = steps_of(slab.cols, slab.rows, block.groups)
                words = block.neurons * block.groups
                emitted = words * (slab.out_end - slab.out_y) / max(slab.rows, 1)  # per step and row of sums
                drain = max(1.0, emitted / p.cell_words)
                if chained and steps > p.accumulators // 2:
                    compute += steps * (view.lines + drain)
                else:
                    compute += steps * max(view.lines, drain)
                compute += COMPUTE_CYCLES * len(pieces) * (2 if chained else 1)
                reads += view.lines * -(-steps // tile_of(p, steps, chained))
                loads += len(pieces)
            beats += again * view.lines * per_line
        if kind == Input.RING:
            passes = 1 if not ring_rows or slabs_first else len(blocks)
            beats += passes * channels * height * row_beats
            loads += passes * height
            if ring_rows:
                spans = [input_rows(layer, slab) for slab in slabs]
                spare = ring_rows - max(end - first for first, end in spans)
                new = max(after[1] - before[1] for before, after in zip(spans, spans[1:], strict=False))
                if spare < new:  # a slab's rows cannot be loaded under the one before
                    late = (new - max(spare, 0)) * channels * row_beats * BURST_NS / p.clock_ns + 20
                    compute += late * len(slabs) * passes
        if kind == Input.AREAS and areas is not None:
            passes = 1 if len(slabs) * len(pieces) <= areas.count or slabs_first else len(blocks)
            if self._planes(layer, view, slabs, areas):
                per_channel = DramMap.of(layer.in_shape, Base.ABSOLUTE, 0, p, True).run_beats
                moved = len(slabs) * sum(piece.channels for piece in pieces) * per_channel
                loads += passes * len(slabs) * len(pieces)
            else:
                moved = sum(self._area_rows(layer, view, slab, piece) for slab in slabs for piece in pieces) * row_beats
                loads += passes * len(slabs) * sum(min(piece.channels, height) for piece in pieces)
            beats += passes * moved
            if areas.count == 1:
                compute += moved * passes * BURST_NS / p.clock_ns
        if stage is not None:
            stored = n * out_h * DramMap.of(layer.out_shape, Base.ABSOLUTE, 0, p).run_beats
            beats += 2 * stored
            loads += len(slabs) * len(blocks)
            if stage.count == 1:
                compute += stored * BURST_NS / p.clock_ns
        dma = beats * BURST_NS / p.clock_ns + loads * TRANSFER_CYCLES
        return self.prices[0] * compute + self.prices[1] * dma + SB_WEIGHT * reads

    def _planes(self, layer: Layer, view: View, slabs: tuple[Slab, ...], areas: Areas) -> bool:
        """Whether areas take whole planes, which can then lie in DRAM without gaps between rows."""
        _, height, width = layer.in_shape
        whole = all(input_rows(layer, slab) == (0, height) for slab in slabs)
        return whole and not view.vector and width % self.p.cell_words == 0 and areas.pitch == cells_of(width, self.p)

    def _area_rows(self, layer: Layer, view: View, slab: Slab, piece: Piece) -> int:
        if view.vector:
            first, end = vector_rows(layer, view, piece)
            return end - first
        first, end = input_rows(layer, slab)
        return piece.channels * (end - first)


def vector_rows(layer: Layer, view: View, piece: Piece) -> tuple[int, int]:
    """Rows [first, end) of a map, numbered through its channels, that a piece of a vector's lines meets."""
    width = layer.in_shape[2]
    words = piece.line * view.taps, (piece.line + piece.lines - 1) * view.taps + piece.last_lanes
    return words[0] // width, -(-words[1] // width)


def tile_of(p: TileParams, steps: int, chained: bool) -> int:
    """Steps of a tile: all of a chained sum's; else half the accumulators, so that one tile drains under the next."""
    return steps if chained else min(steps, max(1, p.accumulators // 2))
