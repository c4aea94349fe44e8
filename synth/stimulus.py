"""Toggles of the reference multiply-accumulate unit under the two stimuli its gate-level energy was measured with.

The reference is ``acc <= acc + a*b`` for 1,500 cycles (synth/tech/data/ops.csv, rows ``mac_*``): one product a cycle,
an accumulator of twice the word width that wraps. Dividing its energy by these toggles gives energy per toggle.
Run ``python -m synth.stimulus`` to rewrite synth/tech/data/mac_toggles.csv.
"""

import csv
import io

import numpy as np

from hw.errors import write_atomic
from hw.params import NumberFormat
from synth.technology import TECH_DIR

CYCLES = 1500
SEED = 1
FORMATS = (NumberFormat(16, 10), NumberFormat(32, 16))
STIMULI = ("cnn", "uniform")
SIGNALS = ("operand", "weight", "product", "accumulator")
TOGGLES_CSV = TECH_DIR / "data" / "mac_toggles.csv"


def operands(fmt: NumberFormat, stimulus: str) -> tuple[list[int], list[int]]:
    """Codes of x and w, ``CYCLES`` of each. cnn: x = ReLU of N(0,1), w of N(0, 0.1); uniform: every code as likely."""
    rng = np.random.default_rng(SEED)
    if stimulus == "cnn":
        x = np.maximum(rng.normal(0.0, 1.0, CYCLES), 0.0)
        w = rng.normal(0.0, 0.1, CYCLES)
        return [fmt.quantise(v) for v in x.tolist()], [fmt.quantise(v) for v in w.tolist()]
    return rng.integers(fmt.low, fmt.high + 1, CYCLES).tolist(), rng.integers(fmt.low, fmt.high + 1, CYCLES).tolist()


def toggles(values: list[int], width: int) -> int:
    """Bit changes of a ``width``-bit register that starts at 0 and takes each value in turn."""
    mask = (1 << width) - 1
    before = [0, *values[:-1]]
    return sum(((a ^ b) & mask).bit_count() for a, b in zip(before, values, strict=True))


def mac_toggles(fmt: NumberFormat, stimulus: str) -> dict[str, int]:
    """Bit changes of the reference's four signals over all cycles."""
    x, w = operands(fmt, stimulus)
    products = [a * b for a, b in zip(x, w, strict=True)]
    sums = np.cumsum(np.array(products, dtype=object)).tolist()
    return {
        "operand": toggles(x, fmt.width),
        "weight": toggles(w, fmt.width),
        "product": toggles(products, 2 * fmt.width),
        "accumulator": toggles(sums, 2 * fmt.width),
    }


def table() -> str:
    """The CSV text: width, stimulus, cycles, toggles of each signal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["bits", "stimulus", "cycles", *SIGNALS, "source"])
    source = f"python -m synth.stimulus, seed {SEED}"
    for fmt in FORMATS:
        for stimulus in STIMULI:
            writer.writerow([fmt.width, stimulus, CYCLES, *mac_toggles(fmt, stimulus).values(), source])
    return text.getvalue()


if __name__ == "__main__":
    write_atomic(TOGGLES_CSV, table())
