"""Tile parameters, number formats and presets. Leaf: standard library only.

Every size of the machine is written here once; hardware, mapper, golden model and cosimulation derive theirs from it.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction

from hw.errors import BadInput

RESULT_CELLS = 2  # cells of results that may go into a neuron buffer in a cycle
QUARTERS = 4  # of a weight line's lanes, where a line of few elements serves as many steps at a time


def bits_for(count: int) -> int:
    """Bits that hold ``count`` different values 0 .. count-1 (at least 1)."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True)
class NumberFormat:
    """``<width,frac>``: two's complement, ``width`` bits of which ``frac`` are fraction bits (T16 section 5.1).

    The one rounding rule of the project stands here: round half up (towards plus infinity), then saturate.
    """

    width: int
    frac: int

    def __post_init__(self) -> None:
        if not 4 <= self.width <= 32:
            raise BadInput(f"number format wants a width of 4 to 32 bits, not {self.width}")
        if not 0 <= self.frac < self.width:
            raise BadInput(f"number format wants 0 to width-1 = {self.width - 1} fraction bits, not {self.frac}")

    @classmethod
    def parse(cls, text: str) -> "NumberFormat":
        """Read ``"<16,10>"`` or ``"16,10"``."""
        parts = text.strip().strip("<>").split(",")
        try:
            width, frac = (int(part) for part in parts)
        except ValueError:
            raise BadInput(f"number format wants two integers like <32,16>, not {text!r}") from None
        return cls(width, frac)

    @property
    def low(self) -> int:
        """Smallest integer code."""
        return -(1 << (self.width - 1))

    @property
    def high(self) -> int:
        """Largest integer code."""
        return (1 << (self.width - 1)) - 1

    @property
    def scale(self) -> int:
        """Integer code of 1.0."""
        return 1 << self.frac

    def saturate(self, code: int) -> int:
        return min(max(code, self.low), self.high)

    def quantise(self, value: float) -> int:
        """Nearest code of a real value, halves up, saturated."""
        if not math.isfinite(value):
            raise BadInput(f"a finite number is wanted for format {self}, not {value}")
        return self.saturate(math.floor(Fraction(value) * self.scale + Fraction(1, 2)))

    def narrow(self, wide: int) -> int:
        """Code of an exact sum of products (2*frac fraction bits): one rounding, one saturation."""
        return self.saturate((wide + self.half) >> self.frac)

    def limb(self, wide: int, number: int, top: bool) -> int:
        """Digit ``number - 1`` of a wide sum in base 2**(width-1); ``top``: the sum without the digits below it, which
        wants to fit a word. Then the sum is the limbs' sum, each shifted left by its number - 1 digits."""
        digits = self.width - 1
        rest = wide >> (number - 1) * digits
        return rest if top else rest & ((1 << digits) - 1)

    @property
    def half(self) -> int:
        """Rounding constant added to a wide sum before its ``frac`` low bits are dropped."""
        return (1 << self.frac) >> 1

    def __str__(self) -> str:
        return f"<{self.width},{self.frac}>"


def _power_of_two_at_least(value: int) -> int:
    return 1 << (value - 1).bit_length()


@dataclass(frozen=True)
class TileParams:
    """Everything that shapes one tile. Checked on construction; derived sizes are properties.

    neurons, synapses: lanes of the NFU (T16: 16 x 16). fmt: number format. accumulator_width: bits of a neuron's sum,
    ``2*frac`` of them fraction. cell_words: neighbouring words of a map that a neuron buffer reads or writes together,
    a cell. banks: banks of NBin and of NBout, each one cell wide. nbin_rows, nbout_rows: rows of ``banks`` cells.
    sb_rows: rows of neurons x synapses words. groups: neuron groups at most, each on a pixel of its own.
    accumulators: partial sums held per neuron. pool_entries: sums of open pooling rows held per neuron.
    dram_beat_bytes: one DRAM burst. dram_outstanding: read requests in flight. dram_bytes: size of the DRAM address
    space the tile drives. increments: snapshot and threshold registers. counters: event counters present.
    activity: toggle counters present (simulation only). budget: energy meter and budget controller present
    (docs/budget.md). clock_ns: clock period.
    """

    name: str
    neurons: int
    synapses: int
    fmt: NumberFormat
    accumulator_width: int
    nbin_rows: int
    nbout_rows: int
    sb_rows: int
    banks: int = 16
    cell_words: int = 4
    groups: int = 8
    accumulators: int = 32
    pool_entries: int = 64
    dram_beat_bytes: int = 64
    dram_outstanding: int = 16
    dram_bytes: int = 1 << 32
    increments: int = 8
    clock_ns: float = 4.0
    counters: bool = True
    activity: bool = False
    budget: bool = False

    def __post_init__(self) -> None:
        self._want("neurons", 1, 64)
        self._want("synapses", 2, 64)
        if self.neurons > self.synapses:  # a bias line holds one word per neuron
            raise BadInput(f"neurons wants at most synapses = {self.synapses}, not {self.neurons}")
        for name in ("nbin_rows", "nbout_rows"):
            self._want(name, 2, 1 << 12)
        self._want("sb_rows", 2, 1 << 12)
        self._want("banks", 2, 32)
        self._want("cell_words", 1, 8)
        self._want("groups", 1, min(self.neurons, 8))
        self._want("accumulators", 2, 256)
        self._want("pool_entries", 1, 256)
        self._want("dram_outstanding", 2, 64)
        self._want("increments", 2, 8)  # a field of one value is no array
        least = 2 * self.fmt.width + bits_for(self.synapses) if self.fmt.width <= 28 else 2 * self.fmt.width
        if not least <= self.accumulator_width <= 64:
            raise BadInput(
                f"accumulator_width of {self.fmt} with {self.synapses} synapses wants {least} to 64 bits, "
                f"not {self.accumulator_width}"
            )
        if self.clock_ns <= 0:
            raise BadInput(f"clock_ns wants a positive period, not {self.clock_ns}")
        if self.dram_beat_bytes % self.line_bytes or self.dram_beat_bytes != _power_of_two_at_least(
            self.dram_beat_bytes
        ):
            raise BadInput(
                f"dram_beat_bytes wants a power of two that holds whole {self.line_bytes}-byte lines of "
                f"{self.synapses} {self.fmt} words, not {self.dram_beat_bytes}"
            )
        if self.beat_words % self.cell_words or self.beat_cells > self.banks:
            raise BadInput(
                f"cell_words wants a divisor of the {self.beat_words} words of a beat that makes at most "
                f"banks = {self.banks} cells of it, not {self.cell_words}"
            )
        if self.cell_words > self.synapses:
            raise BadInput(f"cell_words wants at most synapses = {self.synapses}, not {self.cell_words}")
        if self.dram_bytes % self.dram_beat_bytes or self.dram_bytes <= 0:
            raise BadInput(f"dram_bytes wants a positive multiple of {self.dram_beat_bytes}, not {self.dram_bytes}")

    def _want(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise BadInput(f"{name} wants an integer from {low} to {high}, not {value!r}")

    @property
    def word_bytes(self) -> int:
        """Bytes of a word in DRAM."""
        return _power_of_two_at_least(-(-self.fmt.width // 8))

    @property
    def line_bytes(self) -> int:
        """Bytes of a line in DRAM: ``synapses`` words, padded to a power of two."""
        return _power_of_two_at_least(self.synapses * self.word_bytes)

    @property
    def lines_per_beat(self) -> int:
        return self.dram_beat_bytes // self.line_bytes

    @property
    def beat_words(self) -> int:
        """Words of a map in a DRAM beat."""
        return self.dram_beat_bytes // self.word_bytes

    @property
    def beat_cells(self) -> int:
        """Cells of a neuron buffer in a DRAM beat."""
        return self.beat_words // self.cell_words

    @property
    def row_words(self) -> int:
        """Words in a row of a neuron buffer."""
        return self.banks * self.cell_words

    @property
    def beat_bits(self) -> int:
        return 8 * self.dram_beat_bytes

    @property
    def dram_beats(self) -> int:
        return self.dram_bytes // self.dram_beat_bytes

    @property
    def dram_lines(self) -> int:
        return self.dram_bytes // self.line_bytes

    @property
    def nbin_bytes(self) -> int:
        return self.nbin_rows * self.row_words * self.word_bytes

    @property
    def nbout_bytes(self) -> int:
        return self.nbout_rows * self.row_words * self.word_bytes

    @property
    def sb_bytes(self) -> int:
        return self.sb_rows * self.neurons * self.synapses * self.word_bytes

    @property
    def buffer_rows(self) -> tuple[int, int]:
        """Rows of the two neuron buffers, by buffer number (0 NBin, 1 NBout)."""
        return (self.nbin_rows, self.nbout_rows)

    @property
    def pairs_rows(self) -> bool:
        """Whether the tile has steps of two rows (hw.instructions.Compute.paired); else it ignores that they are asked
        for. Half of the groups take the lower row, and its words lie ``groups`` words, whole cells, behind."""
        return self.groups % 2 == 0 and self.groups % self.cell_words == 0

    @property
    def crowd(self) -> int:
        """Beats of weights that, waiting for SB, go before reads of a line in every cycle: half of those in flight.

        With more of them the bus would stand still, since room for an answer is reserved before it is asked for.
        """
        return max(1, self.dram_outstanding // 2)

    @property
    def pair_cells(self) -> int:
        """Cells between two rows of a map that a step reads together; 0 where none does."""
        return self.groups // self.cell_words if self.pairs_rows else 0

    @property
    def quarter_lanes(self) -> int:
        """Lanes of a quarter of a line; 0 where the tile has no lines in quarters (hw.instructions.Compute.quarters).
        Four steps move by whole cells, and their sums lie in as many banks of accumulators."""
        even = not (self.synapses % QUARTERS or QUARTERS % self.cell_words or self.accumulators % QUARTERS)
        return self.synapses // QUARTERS if even else 0

    @property
    def sum_banks(self) -> int:
        """Banks that a neuron's accumulators lie in: number a is in bank ``a % sum_banks``. One, or one for each of the
        steps that a line in quarters takes at a time."""
        return QUARTERS if self.quarter_lanes else 1

    @property
    def clock_mhz(self) -> float:
        return 1e3 / self.clock_ns

    def as_dict(self) -> dict[str, object]:
        values = dataclasses.asdict(self)
        values["fmt"] = str(self.fmt)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "TileParams":
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise BadInput(f"tile parameters want only {sorted(known)}, not {sorted(unknown)}")
        return cls(**{**values, "fmt": NumberFormat.parse(str(values["fmt"]))})  # type: ignore[arg-type]

    @property
    def hash(self) -> str:
        """Short hash of every parameter; names build folders. A tile without budget has the hash that it had before
        there were any: its Verilog is the same, and so is what was measured of it."""
        values = {name: value for name, value in self.as_dict().items() if self.budget or name != "budget"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def replace(self, **changes: object) -> "TileParams":
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


_WIDE = NumberFormat(32, 16)
_NARROW = NumberFormat(16, 10)

PRESETS: dict[str, TileParams] = {
    # T16's machine: SB 80 KiB, NBin 5 KiB, NBout 5 KiB, DDR3-1600 x64 (64-byte bursts), 4 ns
    "paper32": TileParams("paper32", 16, 16, _WIDE, 64, nbin_rows=20, nbout_rows=20, sb_rows=80),
    # the same bytes in the narrow format
    "paper16": TileParams("paper16", 16, 16, _NARROW, 48, nbin_rows=40, nbout_rows=40, sb_rows=160),
    # quick to build and simulate
    "small": TileParams(
        "small", 4, 4, _NARROW, 40, nbin_rows=24, nbout_rows=24, sb_rows=48, banks=8, cell_words=2, groups=4,
        accumulators=8, pool_entries=64, dram_beat_bytes=16, dram_outstanding=8, dram_bytes=1 << 24, increments=4,
    ),
    # awkward on purpose: few powers of two, lines padded in DRAM
    "odd": TileParams(
        "odd", 3, 5, _WIDE, 64, nbin_rows=22, nbout_rows=19, sb_rows=41, banks=9, cell_words=2, groups=3,
        accumulators=7, pool_entries=55, dram_beat_bytes=64, dram_outstanding=5, dram_bytes=1 << 24, increments=3,
    ),
}  # fmt: skip


def preset(name: str) -> TileParams:
    """The preset called ``name``; refuses an unknown one with the names that exist."""
    if name not in PRESETS:
        raise BadInput(f"preset wants one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]
