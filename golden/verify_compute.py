"""Checks computes one after the other, and finds the words that each reads and writes. Part of golden.verify."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.counts import emitted_rows
from golden.integer import reciprocal
from golden.verify_window import check_window, want, words_read
from hw.errors import BadInput
from hw.instructions import LINES_BITS, MAP_BITS, POOL_BITS, UNUSED, Compute, Pool, Window, quads_of, rest_of
from hw.isa import isa
from hw.params import QUARTERS, TileParams

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Touched:
    """Words of a compute: of its source buffer, of SB, of its target buffer."""

    source: Ints
    synapses: Ints
    target: Ints


class Computes:
    """What the computes and windows so far leave behind in the compute engine.

    open_sums: by accumulator, (cols, rows, neurons, groups, paired) of a sum that goes on, and its step; and the last
    compute that has emitted the sum and left it there, 0 none. open_pool: pooling and next row of a block with rows to
    come. classes: scores so far.
    """

    def __init__(self, p: TileParams) -> None:
        self.p = p
        self.window: Window | None = None
        self.bias_for = (0, 0)  # channels and groups whose biases are loaded
        self.open_sums: dict[int, tuple[tuple[int, ...], int]] = {}
        self.open_pool: tuple[object, ...] | None = None
        self.classes = 0

    def take_window(self, w: Window) -> None:
        check_window(w, self.p)
        self.window = w

    def take(self, c: Compute, number: int = 0, written: int = 0) -> Touched:
        """Check a compute, the segment's ``number``-th, against the ones before, of which ``written`` are certainly
        written when it starts; BadInput says what is wrong."""
        if self.window is None:
            raise BadInput("a compute wants a WINDOW before it")
        self._sizes(c, self.window)
        # the margin controller reads scores in their accumulators until the decision
        want(not self.classes or bool(c.scores) or not c.finish, "after scores no other results are wanted")
        self._sums(c)
        self._chain(c, number, written)
        synapses = self._synapses(c, self.window)
        source = words_read(c, self.window, self.p) if c.last_lanes else np.zeros(0, dtype=np.int64)
        return Touched(source, synapses, self._finish(c) if c.finish else np.zeros(0, dtype=np.int64))

    def close(self, classes: int) -> None:
        """Nothing may be open at the end."""
        want(not self.open_sums, "a sum is still open; its last compute wants finish and hold 0")
        want(self.open_pool is None, "pooling windows are still open; the rows up to out_h are wanted")
        want(self.classes == classes, f"scores of {classes} classes are wanted, not of {self.classes}")

    def _sizes(self, c: Compute, w: Window) -> None:
        p = self.p
        most = (1 << MAP_BITS) - 1
        for name, low, high in (
            ("cols", 1, most), ("rows", 1, most), ("lines", 1, (1 << LINES_BITS) - 1),
            ("last_lanes", int(c.lines > 1 or c.first), w.taps), ("limb", 0, isa(p).limbs), ("shift", 0, isa(p).shifts),
            ("neurons", 1, p.neurons), ("groups", 1, min(p.groups, p.neurons // max(1, c.neurons))),
            ("sum_last", 0, p.accumulators - 1), ("sum_first", 0, c.sum_last), ("sum_at", c.sum_first, c.sum_last),
            ("tile", 1, c.sums), ("stride", 1, (1 << POOL_BITS) - 1 if c.groups == 1 else 1),
            ("columns", 1, UNUSED), ("sub", 0, p.cell_words - 1), ("step_sub", 0, p.cell_words - 1),
            ("to_sub", 0, p.cell_words - 1), ("to_cols", 1, most), ("bias_row", 0, p.sb_rows - 1),
            ("bias_bank", 0, p.neurons - 1), ("sb_row", 0, p.sb_rows - c.lines),
        ):  # fmt: skip
            want(low <= getattr(c, name) <= high, f"{name} wants {low} to {high}, not {getattr(c, name)}")
        if c.paired:
            self._paired(c, w)
        if c.quarters:
            self._quarters(c)
        banks = (c.bank, c.to_bank, c.step_y_bank, c.to_y_bank, c.to_n_bank)
        want(max(banks) < p.banks, f"banks want to be below {p.banks}, not {max(banks)}")
        want(c.source != c.target, f"source and target want to be different buffers, not both {c.source.name}")

    def _paired(self, c: Compute, w: Window) -> None:
        """Steps of two rows."""
        p, cells = self.p, self.p.pair_cells
        want(cells > 0, f"paired wants groups in two rows of whole cells, {p.name} has {p.groups}: set paired 0")
        want(
            c.groups == p.groups == 2 * c.cols,
            f"paired wants {p.groups} groups and half as many cols, not {c.groups} and {c.cols}",
        )
        want(not (c.ring_rows or c.hold or c.limb or c.scores), "paired wants neither a ring, hold, a limb nor scores")
        want(
            w.gap == 1 and w.spacing == cells,
            f"paired wants a window with a gap and spacing {cells}, not {w.gap} and {w.spacing}",
        )

    def _quarters(self, c: Compute) -> None:
        """A last line in quarters, and the steps that they take together."""
        lanes = self.p.quarter_lanes
        want(lanes > 0, f"quarters want a tile that has them, {self.p.name} has none: set quarters 0")
        want(c.lines > 1 and c.stride == 1 and not c.paired, "quarters want lines before, stride 1 and paired 0")
        least, most = (c.quarters - 1) * lanes + 1, c.quarters * lanes
        want(
            least <= c.last_lanes <= most,
            f"{c.quarters} quarters want {least} to {most} last_lanes, not {c.last_lanes}",
        )
        want(c.sums % QUARTERS == 0, f"quarters want accumulators in fours, not {c.sum_first} to {c.sum_last}")
        fours = not (c.tile % QUARTERS or c.row_steps % QUARTERS)
        want(
            fours or c.tile % c.row_steps == 0,
            f"quarters want tiles of whole rows of {c.row_steps} steps, or of fours in rows of fours, not {c.tile}",
        )
        times, rest = quads_of(c.tile, c.row_steps), rest_of(c.row_steps)
        want(c.quarter_tile == times, f"quarter_tile wants {times}, not {c.quarter_tile}")
        want(c.row_rest == rest, f"row_rest wants {rest}, not {c.row_rest}")

    def _sums(self, c: Compute) -> None:
        """How sums begin and leave."""
        want(bool(c.first or not c.zero), "zero wants first")
        want(bool(c.finish or not c.hold), "hold wants finish; a compute without it keeps its sums anyway")
        want(bool(c.finish or not c.limb), "a limb wants finish")
        want(bool(c.limb or not c.limb_top), "limb_top wants a limb")
        bare = not (c.relu or c.scores or c.pool != Pool.NONE)
        want(bare or not c.limb, "a limb wants neither relu, pooling nor scores")

    def _chain(self, c: Compute, number: int, written: int) -> None:
        """Sums that go on over several computes stay in their accumulators."""
        steps = c.steps
        places = [c.accumulator(step) for step in range(min(steps, c.sums))]
        if not c.first or not c.finish or c.hold:
            want(c.tile >= steps, f"a sum over several computes wants one tile, not {steps} steps in {c.tile}s")
        for step, place in enumerate(places):
            block = (c.cols, c.rows, c.neurons, c.groups, c.paired, step)
            found, emitted = self.open_sums.pop(place, (None, 0))
            if c.first:
                want(found is None, f"a sum is still open in accumulator {place}; finish it before another one starts")
            else:
                want(found is not None, f"first 0 wants an open sum in accumulator {place}, there is none")
                want(
                    found == block,
                    f"the open sum in accumulator {place} has (cols, rows, neurons, groups, paired, step) {found}, "
                    f"not {block}",
                )
                want(
                    emitted <= written or not c.last_lanes,
                    f"the sum in accumulator {place}, to which lines are added, may not have left with compute "
                    f"{emitted} yet; raise wait_written",
                )
            if not c.finish or c.hold:
                self.open_sums[place] = block, number if c.hold else emitted

    def _synapses(self, c: Compute, w: Window) -> Ints:
        p, neurons = self.p, c.neurons * c.groups
        lines = ((c.sb_row + np.arange(c.lines)) * p.neurons)[:, None] + np.arange(neurons)
        words = lines[..., None] * p.synapses + np.arange(p.synapses)
        lanes = np.where(np.arange(c.lines) == c.lines - 1, c.last_lanes, w.taps)
        keep = np.broadcast_to(np.arange(p.synapses) < lanes[:, None, None], words.shape)
        found = words[keep]
        if c.load_bias:
            bias = (c.bias_row * p.neurons + c.bias_bank) * p.synapses
            found = np.append(found, bias + np.arange(c.neurons))
            self.bias_for = (c.neurons, c.groups)
        channels, groups = self.bias_for
        there = channels >= c.neurons if c.groups == 1 else channels == c.neurons and groups >= c.groups
        want(
            not c.first or bool(c.zero) or there,
            f"biases of {c.neurons} neurons in {c.groups} groups want to be loaded first",
        )
        return found

    def _finish(self, c: Compute) -> Ints:
        p = self.p
        cols = c.cols
        if c.pool != Pool.NONE:
            self._pooling(c)
            cols = c.pool_w
        want(c.to_cols == cols, f"to_cols wants {cols}, not {c.to_cols}")
        if c.scores:
            want(c.cols * c.rows == 1 and c.pool == Pool.NONE, "scores want one pixel without pooling")
            want(self.classes % p.neurons == 0, f"all {p.neurons} neurons are wanted in all scores but the last ones")
            want(c.score_base == self.classes, f"score_base wants {self.classes}, not {c.score_base}")
            self.classes += c.neurons
        rows = emitted_rows(c)
        want(not c.vector or rows * cols <= 1, f"a vector wants one pixel, not {rows * cols}")
        to, to_y, to_n = (
            (row * p.banks + bank) * p.cell_words
            for row, bank in ((c.to_row, c.to_bank), (c.to_y_row, c.to_y_bank), (c.to_n_row, c.to_n_bank))
        )
        y, x, n = np.ogrid[:rows, :cols, : c.neurons]
        words = to + c.to_sub + (y + n if c.vector else y * to_y + x + n * to_n)
        words = words.reshape(-1) % (p.row_words << isa(p).row_bits)
        want(len(np.unique(words)) == len(words), "two results are written to the same word")
        return words

    def _pooling(self, c: Compute) -> None:
        p, size, stride = self.p, c.pool_size, c.pool_stride
        want(
            size >= 1 and stride >= 1, f"a pooling window and stride of at least 1 are wanted, not {size} and {stride}"
        )
        rows, steps = -(-size // stride), c.row_steps
        want(
            rows * steps <= p.pool_entries,
            f"{rows} rows of pooling windows over {steps} steps are open at a time, but there are {p.pool_entries} "
            f"entries",
        )
        want(c.cols == c.out_w, f"pooling wants whole rows of {c.out_w} pixels, not {c.cols}")
        want(c.out_y + c.rows <= c.out_h, f"rows up to {c.out_y + c.rows} want to lie in a map of {c.out_h}")
        for name, windows, length in (("pool_w", c.pool_w, c.out_w), ("pool_h", c.pool_h, c.out_h)):
            least, most = (length - size) // stride + 1, -(-max(length - size, 0) // stride) + 1
            starts = (windows - 1) * stride < length
            want(least <= windows <= most and starts, f"{name} wants {least} to {most} windows, not {windows}")
        place = (c.out_y // stride, c.out_y % stride, c.out_y // stride % rows)
        given = (c.pool_y, c.pool_phase, c.pool_slot)
        want(given == place, f"pool_y, pool_phase, pool_slot want {place} at row {c.out_y}, not {given}")
        if c.pool == Pool.AVERAGE:
            last = [min(size, n - (m - 1) * stride) for n, m in ((c.out_w, c.pool_w), (c.out_h, c.pool_h))]
            scales = tuple(reciprocal(a * b) for b in (size, last[1]) for a in (size, last[0]))
            want(c.reciprocal == scales, f"reciprocal wants {scales}, not {c.reciprocal}")
        block = (c.pool, size, stride, c.out_w, c.out_h, c.pool_w, c.pool_h, c.neurons, c.groups)
        wanted = self.open_pool
        want(
            wanted == (*block, c.out_y) if wanted else not _window_open(c, c.out_y),
            f"pooling of a block wants its rows in order: row {wanted[-1] if wanted else 0} of the same block is next, "
            f"not {c.out_y}",
        )
        end = c.out_y + c.rows
        self.open_pool = (*block, end) if _window_open(c, end) else None


def _window_open(c: Compute, y: int) -> bool:
    """Whether a pooling window has rows both before row ``y`` and from it on."""
    starts = (window * c.pool_stride for window in range(c.pool_h))
    return any(start < y < min(start + c.pool_size, c.out_h) for start in starts)
