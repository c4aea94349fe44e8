"""A flat netlist of library cells, with the names of the RTL's signals kept."""

from dataclasses import dataclass

import numpy as np

ZERO, ONE = 0, 1  # numbers of the constant nets
GONE = -1  # in signals: a bit that nothing drives any more, optimised away


@dataclass(frozen=True)
class Netlist:
    """Nets are numbers below ``nets``; 0 and 1 are the constants.

    cells, types: instance name and Liberty cell of each cell. pins: its pins' nets (unconnected outputs are absent).
    blocks, block: names of the components and the number of the one that each cell belongs to.
    signals: nets (lowest bit first) of every signal of the RTL of which something is left, by its path within the top
    module, parts joined by "."; a word of a small memory is name[row], as in Verilator's traces; GONE for a lost bit.
    inputs, outputs: signals that the outside drives and reads: ports, and the words read from and the pins of memories
    that are macros, not cells.
    """

    top: str
    nets: int
    cells: tuple[str, ...]
    types: tuple[str, ...]
    pins: tuple[dict[str, int], ...]
    blocks: tuple[str, ...]
    block: np.ndarray
    signals: dict[str, tuple[int, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    clock: str
