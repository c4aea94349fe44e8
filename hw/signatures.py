"""Layouts, signatures and small combinational helpers shared by the tile's blocks."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from hw.isa import Isa, Opcode
from hw.params import TileParams, bits_for

RESULTS = ("output", "second")  # the cells of results that may be written in a cycle, the one that goes first in front
LOADED = ("late", "load")  # the two beats that loads may be writing to a neuron buffer, the older one first


def line_layout(p: TileParams) -> data.ArrayLayout:
    """``synapses`` words: a weight line, or the operands of a neuron."""
    return data.ArrayLayout(signed(p.fmt.width), p.synapses)


def cell_layout(p: TileParams) -> data.ArrayLayout:
    """One cell of a neuron buffer."""
    return data.ArrayLayout(signed(p.fmt.width), p.cell_words)


def beat_layout(p: TileParams) -> data.ArrayLayout:
    """The words of a map in one DRAM beat."""
    return data.ArrayLayout(signed(p.fmt.width), p.beat_words)


def row_layout(p: TileParams) -> data.ArrayLayout:
    """One row of a neuron buffer: word ``bank * cell_words + sub``."""
    return data.ArrayLayout(signed(p.fmt.width), p.row_words)


def wide_layout(p: TileParams) -> data.ArrayLayout:
    """One exact sum per neuron."""
    return data.ArrayLayout(signed(p.accumulator_width), p.neurons)


def sums_layout(p: TileParams) -> data.ArrayLayout:
    """A neuron's exact sums, one for each bank of its accumulators."""
    return data.ArrayLayout(signed(p.accumulator_width), p.sum_banks)


def indices_layout(p: TileParams) -> data.ArrayLayout:
    """A word of each bank of accumulators: number ``a`` is word ``a // sum_banks`` of bank ``a % sum_banks``."""
    return data.ArrayLayout(unsigned(bits_for(p.accumulators // p.sum_banks)), p.sum_banks)


def result_layout(p: TileParams) -> data.ArrayLayout:
    """One result word per neuron."""
    return data.ArrayLayout(signed(p.fmt.width), p.neurons)


def pair_layout(isa: Isa) -> data.StructLayout:
    """Cell of a neuron buffer: row and bank."""
    return data.StructLayout({"row": unsigned(isa.row_bits), "bank": unsigned(isa.bank_bits)})


def instruction_layout(isa: Isa, opcode: Opcode) -> data.StructLayout:
    """An instruction above its opcode bits, derived from the one list of fields."""

    def shape(width: int, count: int, is_signed: bool) -> Shape | data.ArrayLayout:
        item = Shape(width, signed=is_signed)
        return data.ArrayLayout(item, count) if count > 1 else item

    return data.StructLayout({f.name: shape(f.width, f.count, f.signed) for f in isa.fields[opcode]})


def dram_port(p: TileParams) -> Signature:
    """Master side of the DRAM port, in beats.

    A request is taken in a cycle with valid and ready. Writes carry a mask of lines and get no response. Reads are
    answered in order; the master accepts every response at once and keeps ``dram_outstanding`` reads in flight at most.
    """
    return Signature(
        {
            "req_valid": Out(1),
            "req_ready": In(1),
            "req_write": Out(1),
            "req_address": Out((p.dram_beats - 1).bit_length()),
            "req_data": Out(p.beat_bits),
            "req_mask": Out(p.lines_per_beat),
            "rsp_valid": In(1),
            "rsp_data": In(p.beat_bits),
        }
    )


class PairAdder:
    """Adds cell addresses kept as (row, bank) pairs: carry from bank to row."""

    def __init__(self, m: Module, isa: Isa) -> None:
        self._m = m
        self._isa = isa
        self._layout = pair_layout(isa)

    def add(self, a: data.View, b_row: Value, b_bank: Value) -> data.View:
        """The sum of ``a`` and (b_row, b_bank), rows modulo their field."""
        banks = self._isa.params.banks
        total = Signal(range(2 * banks))
        result = Signal(self._layout)
        carry = Signal()
        self._m.d.comb += [
            total.eq(a.bank + b_bank),
            carry.eq(total >= banks),
            result.bank.eq(Mux(carry, total - banks, total)),
            result.row.eq(a.row + b_row + carry),
        ]
        return result


def rotate(items: Sequence[Value], amount: Value, *, left: bool) -> list[Value]:
    """Rotate ``items`` by ``amount`` places (below their number) with a logarithmic rotator.

    left: result[i] = items[(i + amount) % n]; else result[(i + amount) % n] = items[i].
    """
    n = len(items)
    current = list(items)
    for stage in range((n - 1).bit_length()):
        step = (1 << stage) % n if left else n - (1 << stage) % n
        current = [Mux(amount[stage], current[(i + step) % n], current[i]) for i in range(n)]
    return current


def below(count: Value, n: int) -> Value:
    """Mask of ``n`` bits, bit i set when i < count."""
    return Cat(i < count for i in range(n))


def used_cells(p: TileParams, mask: Value) -> Value:
    """Cells of a beat in which a mask of its words has a bit."""
    return Cat(mask.word_select(i, p.cell_words).any() for i in range(p.beat_cells))


def popcount(bits: Value) -> Value:
    """Number of set bits, as a balanced sum."""
    terms: list[Value] = [bits[i] for i in range(len(bits))]
    while len(terms) > 1:
        terms = [terms[i] + terms[i + 1] if i + 1 < len(terms) else terms[i] for i in range(0, len(terms), 2)]
    return terms[0]
