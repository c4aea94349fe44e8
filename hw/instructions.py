"""The instructions of the tile's program. Leaf: standard library only; hw.isa encodes them.

A program is a sequence of instructions in DRAM, each ``instruction_beats`` bursts long. The tile fetches a *segment*
(address and length known beforehand), dispatches transfers to the DMA queue and windows and computes to the compute
queue, in order. Three counters, cleared at the start of a segment, order the two queues: an instruction starts only
when ``dma_done >= wait_dma`` (transfers finished), ``read_done >= wait_read`` (computes that have read all their
operands) and ``written >= wait_written`` (computes whose every result word is in its buffer).

Neuron-buffer addresses are pairs (row, bank); word ``a`` of a buffer is row ``a // synapses``, bank ``a % synapses``.
Pairs are added with a carry from bank to row; rows wrap at the width of the row field.
"""

from dataclasses import dataclass
from enum import IntEnum

RECIPROCAL_BITS = 24
MAX_INCREMENTS = 8
SYNC_BITS = 16
MAP_BITS = 10  # widths and heights of maps
KERNEL_BITS = 4
POOL_BITS = 3
LINES_BITS = 12  # weight lines of a compute
CLASS_BITS = 8
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
    """First instruction of a program: where each increment's segment lies, in beats and instructions."""

    opcode = Opcode.ENTRY
    address: tuple[int, ...]
    length: tuple[int, ...]


@dataclass(frozen=True)
class _Transfer(_Ordered):
    """``runs`` runs of ``lines`` consecutive lines. A run starts at a beat boundary, ``run_beats`` after the last.

    NBIN, NBOUT: run r starts at (row, bank) + r * (step_row, step_bank), its lines follow at steps of ``synapses``
    words; of a run's last line only ``last_words`` words are moved. SB (loads only): run r goes to row ``row + r``,
    its line n to the bank of neuron n; of every line of the last run only ``last_words`` words are written.
    """

    buffer: Buffer = Buffer.NBIN
    base: Base = Base.ABSOLUTE
    address: int = 0
    run_beats: int = 0
    runs: int = 1
    lines: int = 1
    last_words: int = 1
    row: int = 0
    bank: int = 0
    step_row: int = 0
    step_bank: int = 0


@dataclass(frozen=True)
class Load(_Transfer):
    opcode = Opcode.LOAD


@dataclass(frozen=True)
class Store(_Transfer):
    """A line that is cut by ``last_words`` is padded with zeros, and the beat in which a run ends with zero lines."""

    opcode = Opcode.STORE


@dataclass(frozen=True)
class Window:
    """Which word of the input map each synapse lane reads: element ``i = line * synapses + lane`` of the flattened
    window, order (channel, ky, kx), lies at word offset ``off(i) = c*C + ky*P + kx`` from the window's origin.

    The map's pitches obey ``P = kernel_w`` and ``C = kernel_w * kernel_h`` modulo ``synapses``, so lane e of every
    line sits ``e`` banks after the origin's bank: no two lanes meet in a bank. ``row_offset[e]`` is
    ``(off(e) - e) / synapses``; from a line to the next it grows by ``delta[carry_x + 2 * carry_y]``, where kx grows by
    ``step_x`` modulo kernel_w (carry_x), ky by ``step_y + carry_x`` modulo kernel_h (carry_y).
    """

    opcode = Opcode.WINDOW
    row_offset: tuple[int, ...]
    kx: tuple[int, ...]
    ky: tuple[int, ...]
    kernel_w: int
    kernel_h: int
    step_x: int
    step_y: int
    delta: tuple[int, int, int, int]


@dataclass(frozen=True)
class Compute(_Ordered):
    """Dot products of ``cols * rows`` output pixels with one block of neurons, in tiles of ``tile`` pixels.

    Order: tile, line, pixel of the tile; a weight row is read once per line and tile and held while the pixels pass.
    Pixels run along x, then y. Window origin of the first pixel is the input pixel (x0, y0) (negative in padding) at
    buffer word (row, bank), also when that word would lie outside the map; a lane whose input pixel lies outside
    in_w x in_h is gated and adds 0.
    ``first``: sums start at the bias, else they go on from the accumulators (then all pixels are one tile).
    ``finish``: sums leave the accumulators through NFU-3 (round, saturate, ``relu``) and pooling to the output.
    ``load_bias``: the neurons' biases are the first words of the SB line (bias_row, bias_bank); they stay until the
    next load. A gated neuron keeps the bias it had.
    ``scores``: the wide sums also go to the margin controller as classes score_base, score_base + 1, ...
    Pooling windows of ``pool_size`` every ``pool_stride`` over the out_w x out_h map of which this instruction computes
    whole rows from out_y; pool_y, pool_phase, pool_slot: window row that starts at or last before out_y, rows since its
    start, its place among open rows. A window is clipped at the map's edge. ``reciprocal[clipped_x + 2 * clipped_y]``
    is round(2**24 / words in the window).
    Results (pooled or not) go to (to_row, to_bank) + x*(to_x) + y*(to_y) + neuron*(to_n), to_cols in a row.
    """

    opcode = Opcode.COMPUTE
    source: Buffer = Buffer.NBIN
    row: int = 0
    bank: int = 0
    x0: int = 0
    y0: int = 0
    stride: int = 1
    in_w: int = 1
    in_h: int = 1
    step_x_row: int = 0
    step_x_bank: int = 0
    step_y_row: int = 0
    step_y_bank: int = 0
    cols: int = 1
    rows: int = 1
    lines: int = 1
    last_lanes: int = 1
    neurons: int = 1
    tile: int = 1
    sb_row: int = 0
    load_bias: int = 0
    bias_row: int = 0
    bias_bank: int = 0
    first: int = 1
    finish: int = 1
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
    to_cols: int = 1
    to_x_row: int = 0
    to_x_bank: int = 0
    to_y_row: int = 0
    to_y_bank: int = 0
    to_n_row: int = 0
    to_n_bank: int = 0


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
