"""What the lanes of a neuron are given, from a recording of the tile, and what the registers of each variant then hold.

The variants are those of hw/variants.py. A gate simulation compares every flip-flop with the values computed here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hw.errors import BadInput, CheckFailed
from hw.params import TileParams
from synth.gate.trace import Trace

Columns = dict[str, np.ndarray]  # integers [rows, lanes] of each register


@dataclass(frozen=True)
class Stimulus:
    """Cycles of one layer in one neuron; row 0 is the state before.

    operands, weights, products [rows, lanes]: signed words at the multipliers and the product registers. on [rows,
    lanes]: lanes that compute. lane_reads: weights read from SB for them, one in each lane.
    """

    layer: str
    operands: np.ndarray
    weights: np.ndarray
    products: np.ndarray
    on: np.ndarray
    lane_reads: int

    @property
    def cycles(self) -> int:
        return len(self.on) - 1

    @property
    def multiplies(self) -> int:
        return int(self.on[1:].sum())


def signed(bits: np.ndarray) -> np.ndarray:
    """Two's complement [...] of bits [..., width], lowest first."""
    weights = 1 << np.arange(bits.shape[-1], dtype=np.int64)
    weights[-1] = -weights[-1]
    return bits.astype(np.int64) @ weights


def bits_of(words: np.ndarray, width: int) -> np.ndarray:
    """Bits [rows, words * width], lowest first, of integers [rows, words]."""
    return ((words[:, :, None] >> np.arange(width)) & 1).astype(np.uint8).reshape(len(words), -1)


def stimulus(trace: Trace, params: TileParams, layer: str, first: int, last: int) -> Stimulus:
    """Rows ``first`` to ``last`` of a recorded neuron. CheckFailed where its products are not what it was given."""
    rows, lanes = slice(first, last + 1), params.synapses

    def words(name: str) -> np.ndarray:
        if name not in trace.places:
            raise BadInput(f"the trace lacks {name} of a neuron: record the insides of neurons")
        return signed(trace.of(name)[rows].reshape(last + 1 - first, lanes, -1))

    on = trace.of("lanes2")[rows].astype(bool)
    products = np.stack([signed(trace.of(f"products.product_{lane}")[rows]) for lane in range(lanes)], axis=1)
    given = words("operands"), words("products.weights")
    if not np.array_equal(held(on, given[0] * given[1], products[0]), products):
        raise CheckFailed(f"the recorded products of layer {layer} are not operands times weights: record it anew")
    # SB gives its words one cycle later, and a bias, which is a word of SB too, is taken one more cycle later.
    biases = np.concatenate([trace.of("bias_en"), np.zeros((2, 1), np.uint8)])[first + 2 : last + 2]
    before = slice(first, last)
    reads = trace.of("sb_read")[before] * trace.of("sb.lanes")[before] * (1 - biases)
    return Stimulus(layer, *given, products, on, int(reads.sum()))


def held(on: np.ndarray, words: np.ndarray, first: np.ndarray) -> np.ndarray:
    """A register [rows, lanes] that takes ``words`` at the end of a cycle that is ``on``, and begins as ``first``."""
    rows = np.arange(1, len(on))[:, None]
    taken = np.maximum.accumulate(np.where(on[:-1], rows, 0), axis=0)
    kept = np.take_along_axis(words, np.maximum(taken - 1, 0), axis=0)
    return np.concatenate([first[None], np.where(taken > 0, kept, first)])


def _one_cycle(given: Stimulus, width: int) -> Columns:
    return {"product": held(given.on, given.operands * given.weights, given.products[0])}


def _registered(given: Stimulus, width: int) -> Columns:
    operand = held(given.on, given.operands, given.operands[0])
    weight = held(given.on, given.weights, given.weights[0])
    return {"operand": operand, "weight": weight} | _second(given, operand * weight)


def _split(given: Stimulus, width: int) -> Columns:
    half = width // 2
    low, high = given.weights & ((1 << half) - 1), given.weights >> half
    lower = held(given.on, given.operands * low, (given.operands * low)[0])
    upper = held(given.on, given.operands * high, (given.operands * high)[0])
    return {"lower": lower, "upper": upper} | _second(given, lower + (upper << half))


def _second(given: Stimulus, made: np.ndarray) -> Columns:
    second = np.concatenate([np.zeros_like(given.on[:1]), given.on[:-1]])
    return {"second_lanes": second, "product": held(second, made, given.products[0])}


REGISTERS: dict[str, Callable[[Stimulus, int], Columns]] = {
    "plain": _one_cycle,
    "masked": _one_cycle,
    "registered": _registered,
    "split": _split,
}


def variant_trace(kind: str, given: Stimulus, params: TileParams) -> Trace:
    """Ports and registers of the module ``products`` of variant ``kind`` in each cycle."""
    width, lanes = params.fmt.width, params.synapses
    widths = {"operand": width, "weight": width, "product": 2 * width}
    widths |= {"lower": width + width // 2 + 1, "upper": 2 * width - width // 2}
    columns = {
        "operands": bits_of(given.operands, width),
        "weights": bits_of(given.weights, width),
        "lanes": given.on.astype(np.uint8),
    }
    for name, words in REGISTERS[kind](given, width).items():
        if name == "second_lanes":
            columns[name] = words.astype(np.uint8)
        else:
            columns |= {f"{name}_{lane}": bits_of(words[:, lane : lane + 1], widths[name]) for lane in range(lanes)}
    still = {"rst": 1, "clear": 1, "toggles": 48}  # of the tile's own products, all 0 here
    columns |= {name: np.zeros((len(given.on), size), np.uint8) for name, size in still.items()}
    places, at = {}, 0
    for name, values in columns.items():
        places[name] = (at, values.shape[1])
        at += values.shape[1]
    return Trace(places, np.concatenate(list(columns.values()), axis=1))


def in_halves(given: Stimulus, zeroed: bool) -> Stimulus:
    """Each cycle as two, of which the first only brings the new operands and weights and the second computes.

    zeroed: SB's output is 0 in the first one and in cycles in which no lane computes, as that of a memory which is
    read anew for each use; otherwise it is as recorded. Both cost the same clock. The state before is of the last half.
    """
    operands, weights, products, on = (
        np.repeat(words, 2, axis=0)[1:] for words in (given.operands, given.weights, given.products, given.on)
    )
    on[1::2] = False
    if zeroed:
        weights = np.where(on.any(axis=1, keepdims=True), weights, 0)
    return replace(given, operands=operands, weights=weights, products=products, on=on)
