"""The instructions of the tile's program. Leaf: standard library and hw.params only; hw.isa encodes them.

A program is a sequence of instructions in DRAM, each ``instruction_beats`` bursts long. The tile fetches a *segment*
(address and length known beforehand), dispatches transfers to the DMA queue and windows and computes to the compute
queue, in order. Three counters, cleared at the start of a segment, order the two queues: an instruction starts only
when ``dma_done >= wait_dma`` (transfers finished), ``read_done >= wait_read`` (computes that have read all their
operands) and ``written >= wait_written`` (computes whose every result word is in its buffer).

A neuron buffer holds cells of ``cell_words`` words in ``banks`` banks. Its addresses are pairs (row, bank) of cells:
cell ``a`` is row ``a // banks``, bank ``a % banks``; ``sub`` is a word's place in its cell. Neighbouring pixels of a
map row lie in neighbouring words, and every map row starts with a cell of its own. Pairs are added with a carry from
bank to row; rows wrap at the width of the row field.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from hw.params import QUARTERS

# Instructions behind the Entry that are fetched together with it where a run starts with increment 0: the first ones of
# its segment, which lies there and is no shorter. Its first transfer so waits for one answer of DRAM, not for two.
ENTRY_AHEAD = 3
RECIPROCAL_BITS = 24
MAX_INCREMENTS = 8
SYNC_BITS = 16
MAP_BITS = 10  # widths and heights of maps
KERNEL_BITS = 5
COLUMN_BITS = 3  # cells of a run
POOL_BITS = 3
LINES_BITS = 12  # weight lines of a compute
CLASS_BITS = 8
LIMB_BITS = 3
SHIFT_BITS = 2  # digits that added lines are shifted by
INCREMENT_BITS = (MAX_INCREMENTS - 1).bit_length()


class Opcode(IntEnum):
    ENTRY = 1
    LOAD = 2
    STORE = 3
    WINDOW = 4
    COMPUTE = 5
    DECIDE = 6
    END = 7


class Buffer(IntEnum):
    """Where a transfer lands; computes read and write only NBIN and NBOUT, in either role."""

    NBIN = 0
    NBOUT = 1
    SB = 2


class Base(IntEnum):
    """What a transfer's DRAM address is relative to."""

    ABSOLUTE = 0
    IMAGE = 1
    RESULT = 2


class Pool(IntEnum):
    NONE = 0
    MAX = 1
    AVERAGE = 2


@dataclass(frozen=True)
class _Ordered:
    """Counts an instruction waits for (see the module's text)."""

    wait_dma: int = 0
    wait_read: int = 0
    wait_written: int = 0


@dataclass(frozen=True)
class Entry:
    """First instruction of a program: where each increment's segment lies, in beats and instructions. That of increment
    0 lies behind it and has ``ENTRY_AHEAD`` instructions or more."""

    opcode = Opcode.ENTRY
    address: tuple[int, ...]
    length: tuple[int, ...]


@dataclass(frozen=True)
class _Transfer(_Ordered):
    """``runs`` equal runs; run r starts ``r * run_beats`` beats after ``address``.

    NBIN, NBOUT: a run is ``length`` beats of words; run r starts at cell (row, bank) + r * (step_row, step_bank), its
    beats follow one behind the other; of a run's last beat only ``last_words`` words are moved.
    SB (loads only): a run is ``length`` weight lines, packed as many as fit whole into beats; run r goes to row
    ``row + r``. Line i goes to the banks of neurons i, i + length, ... of ``groups`` groups; of every line of the last
    run only ``last_words`` words are written.
    """

    buffer: Buffer = Buffer.NBIN
    base: Base = Base.ABSOLUTE
    address: int = 0
    run_beats: int = 0
    runs: int = 1
    length: int = 1
    last_words: int = 1
    row: int = 0
    bank: int = 0
    step_row: int = 0
    step_bank: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Load(_Transfer):
    opcode = Opcode.LOAD


@dataclass(frozen=True)
class Store(_Transfer):
    """A beat that is cut by ``last_words`` is filled up with zeros."""

    opcode = Opcode.STORE


UNUSED = (1 << COLUMN_BITS) - 1  # slot_column of a slot that serves nothing


@dataclass(frozen=True)
class Window:
    """How a weight line's taps lie in the input map: ``taps`` consecutive elements of the flattened window, order
    (channel, ky, kx), a line. A *run* is the part of a line that lies in one map row: one (channel, ky).

    Word (c, y, x) of the map lies c * plane + y * pitch cells and x words after its start. Runs have *positions*: run r
    of a line is at position r or, with ``gap`` and behind the end of its first run's channel, r + 1, since there a
    channel has a position more than the kernel has rows: that of the map row below its last run, which a step of two
    rows reads (Compute.paired). The map's pitches obey ``pitch = spacing`` and ``plane = spacing * (kernel_h + gap)``
    modulo ``banks``, so position i of any line starts ``i * spacing`` banks after its first run. All positions that a
    line uses, ``Compute.columns`` cells each, meet in no bank. gap wants fewer taps than the kernel has, a spacing
    below half of the banks, and lines that use ``synapses`` positions at most.

    Of the first line: ``kx[e]`` of lane e (lane e > 0 starts a run where kx is 0; so run(e) counts the zeros in
    kx[1..e]); ``ky[i]`` of position i, which is ky[0] + i modulo kernel_h + gap, and ``row_offset[i]``, rows from the
    cell of run 0's start to that of position i less ``i * spacing`` cells. From a line to the next kx grows by
    ``step_x`` modulo kernel_w and run 0 moves on by ``step_y`` positions and ``further``: one with carry_x of lane 0,
    one with gap where ky[0] would get kernel_h or more. Every ky grows by as much modulo kernel_h + gap (carry_y), its
    row_offset by ``delta[further + 3 * carry_y]``, and run 0's start by (line_row, line_bank) + further * (0, spacing).

    Slot k of a gather is the bank k places after run 0's start: it serves cell ``slot_column[k]`` of position
    ``slot_run[k]``, ``slot_carry[k] = (slot_run * spacing + slot_column) // banks`` rows further. UNUSED: none.
    """

    opcode = Opcode.WINDOW
    kernel_w: int
    kernel_h: int
    gap: int
    taps: int
    step_x: int
    step_y: int
    spacing: int
    line_row: int
    line_bank: int
    delta: tuple[int, ...]
    kx: tuple[int, ...]
    ky: tuple[int, ...]
    row_offset: tuple[int, ...]
    slot_run: tuple[int, ...]
    slot_column: tuple[int, ...]
    slot_carry: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Of a channel."""
        return self.kernel_h + self.gap

    def position(self, ky: Any, run: Any) -> Any:
        """Position of a line's ``run``, with ``ky`` of its first one (numbers or arrays)."""
        return run + self.gap * (ky + run >= self.kernel_h)

    def further(self, ky: int, carry_x: int) -> int:
        """Positions that run 0 moves on by beside ``step_y`` from a line with ``ky`` to the next."""
        return carry_x + self.gap * (ky + self.step_y + carry_x >= self.kernel_h)


def quads_of(steps: int, row_steps: int) -> int:
    """How often a quarter of a line takes four steps of a row, or its rest, in so many steps: those of whole rows of
    ``row_steps``, or a number that four divides, as the row's."""
    return steps // row_steps * -(-row_steps // QUARTERS) if steps % row_steps == 0 else steps // QUARTERS


def rest_of(row_steps: int) -> int:
    """Steps that the last four of a row have."""
    return (row_steps - 1) % QUARTERS + 1


@dataclass(frozen=True)
class Compute(_Ordered):
    """Dot products of ``cols * rows`` output pixels with one block of neurons, in tiles of ``tile`` steps.

    A step is ``groups`` neighbouring pixels of a row, from left to right (fewer at the row's end): neuron m computes
    channel ``m % neurons`` of pixel ``m // neurons`` of the step. Groups above 1 want stride 1.
    ``paired``: a step is a whole row of ``cols = groups // 2`` pixels and, as the upper half of the groups, the row
    below it (at the end of ``rows`` perhaps none). Wants a tile with TileParams.pair_cells and as many groups as it
    has, without ring, hold, limb or scores, and a Window with gap whose spacing is ``groups`` words: the word of an
    upper pixel is ``groups`` words behind that of the lower one. step_y is then that of two rows.
    Order: tile, line, step of the tile; a weight row is read once per line and tile and held while the steps pass.
    Steps run along x, then y. Window origin of the first pixel is the input pixel (x0, y0) (negative in padding), its
    word ``sub`` of cell (row, bank), the start of run 0 of the first line (see Window), also when that word would
    lie outside the map; a lane whose input pixel lies outside in_w x in_h is gated and adds 0. The origin moves by
    ``step_cells`` cells and ``step_sub`` words a step, and (step_y_row, step_y_bank) a row.
    The map's rows may lie in a ring of ``ring_rows`` (0: none), ``ring_back`` buffer rows long. ``ring_y`` is the place
    in it of y0; it moves with y, and when it reaches ring_rows, ring_rows are taken off it and ring_back off the
    origin's row. A run whose ``ring_y + ky`` is at least ring_rows lies ring_back rows lower.
    ``columns`` cells of a run are read when the origin enters a cell, and at the start of a line, row or tile; they
    hold the words of all steps whose origins lie in that cell.
    ``quarters`` Q above 0: the last line has lanes in use in its first Q quarters of ``synapses / 4`` lanes each. They
    are computed one after the other, each for up to four steps of a row at a time (``row_rest`` at its end): lanes of
    the quarter stand in all four quarters of the neuron, each of which works on one of the steps, quarter a % 4 on that
    of accumulator a, and its sum goes there. ``quarter_columns`` cells of a run are read for four steps, of the
    quarter's runs only. ``quarter_tile``: how often a quarter does so in a tile. Wants a tile with quarter_lanes
    (TileParams), stride 1, more lines than one, no steps of two rows, a number of accumulators to go round in that four
    divides, and tiles either of whole rows or, as the rows, of a number of steps that four divides.
    ``last_lanes`` 0 (of one line, not ``first``): nothing is read and nothing added.
    ``first``: sums start at the bias, or with ``zero`` at 0; else they go on from the accumulators (then all steps are
    one tile). What lines add is shifted left by ``shift`` digits of ``width - 1`` bits.
    Accumulators: the first step's sums are held in number ``sum_at``, the next ones' in those behind it; behind
    ``sum_last`` comes ``sum_first``. A ``first`` compute waits until an accumulator's last sum has left it.
    ``finish``: sums leave the accumulators through NFU-3 (round, saturate, ``relu``) and pooling to the output. With
    ``hold`` they stay in the accumulators as well (then all steps are one tile), for computes without ``first``; one
    that adds lines to them waits with ``wait_written`` for the last one that emits them.
    ``limb`` L above 0: NFU-3 gives digit L - 1 of the sum in base 2**(width - 1) instead, a word of at least 0; with
    ``limb_top`` the lowest ``width`` bits, with their sign, of the sum without its L - 1 lowest digits
    (hw.params.NumberFormat.limb). Limb L, read with the integer 1 for its weight and ``shift`` L - 1, adds its digit.
    ``load_bias``: the biases are the first ``neurons`` words of the SB line (bias_row, bias_bank), one a channel; they
    stay until the next load. A gated neuron keeps the bias it had.
    ``scores``: the wide sums also go to the margin controller as classes score_base, score_base + 1, ...
    Pooling windows of ``pool_size`` every ``pool_stride`` over the out_w x out_h map of which this instruction computes
    whole rows from out_y; pool_y, pool_phase, pool_slot: window row that starts at or last before out_y, rows since its
    start, its place among open rows. A window is clipped at the map's edge. ``reciprocal[clipped_x + 2 * clipped_y]``
    is round(2**24 / words in the window).
    Results (pooled or not): column x, row y, channel n of them goes to word ``to_sub + x`` of cell (to_row, to_bank) +
    y*(to_y) + n*(to_n), to_cols columns in a row. ``vector``: one pixel; channel n goes to word to_sub + n instead.
    """

    opcode = Opcode.COMPUTE
    source: Buffer = Buffer.NBIN
    row: int = 0
    bank: int = 0
    sub: int = 0
    x0: int = 0
    y0: int = 0
    stride: int = 1
    in_w: int = 1
    in_h: int = 1
    step_cells: int = 0
    step_sub: int = 0
    step_y_row: int = 0
    step_y_bank: int = 0
    ring_y: int = 0
    ring_rows: int = 0
    ring_back: int = 0
    columns: int = 1
    cols: int = 1
    rows: int = 1
    lines: int = 1
    last_lanes: int = 1
    neurons: int = 1
    groups: int = 1
    paired: int = 0
    tile: int = 1
    quarters: int = 0
    quarter_columns: int = 0
    quarter_tile: int = 0
    row_rest: int = 0
    sum_at: int = 0
    sum_first: int = 0
    sum_last: int = 0
    sb_row: int = 0
    load_bias: int = 0
    bias_row: int = 0
    bias_bank: int = 0
    first: int = 1
    zero: int = 0
    shift: int = 0
    finish: int = 1
    hold: int = 0
    limb: int = 0
    limb_top: int = 0
    relu: int = 0
    scores: int = 0
    score_base: int = 0
    pool: Pool = Pool.NONE
    pool_size: int = 1
    pool_stride: int = 1
    out_w: int = 1
    out_h: int = 1
    out_y: int = 0
    pool_w: int = 1
    pool_h: int = 1
    pool_y: int = 0
    pool_phase: int = 0
    pool_slot: int = 0
    reciprocal: tuple[int, int, int, int] = (0, 0, 0, 0)
    target: Buffer = Buffer.NBOUT
    to_row: int = 0
    to_bank: int = 0
    to_sub: int = 0
    to_cols: int = 1
    to_y_row: int = 0
    to_y_bank: int = 0
    to_n_row: int = 0
    to_n_bank: int = 0
    vector: int = 0

    @property
    def row_steps(self) -> int:
        """Steps of a row, or of two rows of a paired compute."""
        return -(-self.cols // self.groups)

    @property
    def step_rows(self) -> int:
        """Rows that a step has pixels in."""
        return 1 + self.paired

    @property
    def steps(self) -> int:
        return self.row_steps * -(-self.rows // self.step_rows)

    @property
    def row_quads(self) -> int:
        """How often a quarter of a line takes four steps, or the rest of a row, in a row."""
        return -(-self.row_steps // QUARTERS)

    @property
    def issues(self) -> int:
        """Cycles of computing: lines of steps, and quarters of a line."""
        return self.steps * self.whole_lines + self.quarters * quads_of(self.steps, self.row_steps)

    @property
    def whole_lines(self) -> int:
        """Lines that are not in quarters."""
        return self.lines - (self.quarters > 0)

    @property
    def sums(self) -> int:
        """Accumulators that its steps go round in."""
        return self.sum_last - self.sum_first + 1

    def accumulator(self, step: int) -> int:
        """The accumulator of a step."""
        return self.sum_first + (self.sum_at - self.sum_first + step) % self.sums


@dataclass(frozen=True)
class Decide:
    """Wait until everything is still, then escalate to the segment at ``address`` when the margin is below the
    increment's threshold, ``last`` is not set and the increment is below the capacity; else go on."""

    opcode = Opcode.DECIDE
    increment: int
    last: int
    address: int = 0
    length: int = 0


@dataclass(frozen=True)
class End:
    """Wait until everything is still, snapshot the counters, report the image done."""

    opcode = Opcode.END


Instruction = Entry | Load | Store | Window | Compute | Decide | End
KINDS: dict[Opcode, type] = {kind.opcode: kind for kind in (Entry, Load, Store, Window, Compute, Decide, End)}
