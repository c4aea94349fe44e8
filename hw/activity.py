"""What hw.monitor counts of the tile's signals: one table for the Verilog beside the tile and for its recordings.

Leaf: standard library only. A signal is named by its path below the tile, parts joined by "."; ``*`` stands for any
number, and the numbers that Amaranth sets behind the name of an instance ($12) are left out. Paths that begin with
``neuron.`` lie in every neuron.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NEURON = "neuron."
NEURONS = "nfu.neuron_*."


class Seen(Enum):
    """Which bits of the other signals count in a pair."""

    ONES = "set bits"
    DIGITS = "bits that differ from the next lower one of their lane, the lowest from 0: digit changes"
    NEIGHBOURS = "bits that differ from the same bit of the next word, of the last word from the first one"


@dataclass(frozen=True)
class Count:
    """Changed bits of ``signals`` in every cycle, or of the lowest ``low`` bits of each.

    With ``times``: every changed bit times the bits of those signals that are ``seen``, as they are in the cycle of the
    change, or with ``before`` in the cycle before it. by_lane: only bits of one synapse lane make pairs.
    """

    signals: tuple[str, ...]
    low: int | None = None
    times: tuple[str, ...] = ()
    seen: Seen = Seen.ONES
    before: bool = False
    by_lane: bool = False

    @property
    def in_neurons(self) -> bool:
        """Whether it is counted in neurons, not in the rest of the tile."""
        return self.signals[0].startswith(NEURON)


#: Events of hw.events.TOGGLES that are counts of named signals.
COUNTS: dict[str, Count] = {
    "toggle_digit": Count(("neuron.operands",), times=("neuron.products.weights",), seen=Seen.DIGITS, by_lane=True),
    "toggle_mask": Count(("neuron.lanes3",), times=("neuron.products.product_*",), by_lane=True),
    "toggle_addend": Count(("neuron.addend",)),
    "toggle_stored": Count(("neuron.accumulators.stored",)),
    "toggle_written": Count(("neuron.accumulators.written",)),
    "toggle_pool_word": Count(("neuron.pool_word",)),
    "toggle_pooled": Count(("neuron.pool_lane.pooled",)),
    "toggle_index": Count(("nfu.word_*",)),
    "toggle_choice": Count(("nfu.word_*",), low=2, times=("nfu.line",), seen=Seen.NEIGHBOURS, before=True),
    "toggle_answer": Count(("dma.answers.w_port__data",)),
    "toggle_load": Count(("nbout_port.load_words",)),
    "toggle_store": Count(("nbin_port.store_words", "nbout_port.store_words")),
    "toggle_gathered": Count(("nfu.line",)),
    "toggle_cell": Count(("nbin_port.cell_*", "nbout_port.cell_*")),
    "toggle_row": Count(("nbin_port.row_*", "nbout_port.row_*")),
    "toggle_total": Count(("dma.consumer.total",)),
    "toggle_late": Count(("dma.consumer.late_cells",)),
    "toggle_next": Count(("engine.cursor.next_place",)),
    "toggle_window_row": Count(("engine.row_*",)),
    "toggle_banks": Count(("engine.banks",)),
    "toggle_line": Count(("engine.window.line_at",)),
    "toggle_fetched": Count(("fetch.queue.r_port__data",)),
    "toggle_pool_row": Count(("post.row.pool_row_lane_*.given",)),
    "toggle_pool_window": Count(("post.row.pool_row_lane_*.window_*",)),
}


#: Registers outside of neurons that the tile counts itself: with activity a counting bank takes their place.
BANKS: dict[str, Count] = {"toggle_operand": Count(("nfu.operand_*",)), "toggle_output": Count(("post.result_*",))}


def pattern(path: str) -> re.Pattern[str]:
    """Matches the whole paths of the signals that ``path`` stands for."""
    return re.compile(r"(?:\$\d+)?\.".join(re.escape(part).replace(r"\*", r"\d+") for part in path.split(".")))


def _order(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def matching(paths: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that ``paths`` stand for, numbers in their order; none of a path is an error of the table."""
    known = list(names)
    found = []
    for path in paths:
        whole = pattern(path)
        of_path = sorted((name for name in known if whole.fullmatch(name)), key=_order)
        if not of_path:
            raise ValueError(f"the tile has no signal {path}")
        found += of_path
    return found
