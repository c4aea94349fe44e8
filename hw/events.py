"""Every event the tile counts, its meaning and its unit. Leaf: standard library only.

``WORK`` events follow from the program alone: golden gives them in closed form and RTL must agree by equality.
``TIME`` events depend on the DRAM; each cycle of the compute engine falls in exactly one of the ``CYCLE_KINDS``, so
their sum equals ``cycles``. ``TOGGLES`` (present when the tile is built with activity) count bit changes.
"""

from dataclasses import dataclass

COUNTER_BITS = 48


@dataclass(frozen=True)
class Event:
    """One counted event: its name, its unit and what one count means."""

    name: str
    unit: str
    meaning: str


WORK: tuple[Event, ...] = (
    Event("instructions", "instruction", "instructions taken from a fetched segment and executed"),
    Event("compute_cycles", "cycle", "cycles in which the NFU takes a line of one step or, in quarters, of up to four"),
    Event("multiply", "product", "active lane-cycles of NFU-1, over all pixels of a step"),
    Event("lane_gated", "lane-cycle", "lane-cycles of NFU-1 held still while the NFU computes"),
    Event("accumulate", "sum", "sums added to an accumulator, one per channel and pixel of a step"),
    Event("activation", "word", "results of NFU-3"),
    Event("pool_update", "word", "words taken into a pooling window, down its rows first, then across its columns"),
    Event("sb_read", "word", "weight and bias words read from SB; every group reads its own weights"),
    Event("sb_write", "word", "words written to SB by DMA; every group has its own weights"),
    Event("nbin_read", "word", "words read from NBin: whole cells by the NFU, words by DMA"),
    Event("nbin_write", "word", "words written to NBin, without the rest of their cells"),
    Event("nbout_read", "word", "words read from NBout: whole cells by the NFU, words by DMA"),
    Event("nbout_write", "word", "words written to NBout, without the rest of their cells"),
    Event("output", "word", "result words written by NFU-3 and pooling"),
    Event("dram_read", "beat", "DRAM bursts read, instructions included"),
    Event("dram_write", "beat", "DRAM bursts written"),
    Event("score_vector", "vector", "vectors of scores taken by the margin controller"),
    Event("decision", "decision", "margin decisions"),
)

CYCLE_KINDS: tuple[Event, ...] = (
    Event("compute_busy", "cycle", "the NFU takes a line of one step or, in quarters, of up to four"),
    Event(
        "setup", "cycle", "a window or compute instruction is taken and nothing else is done, or a bias line is read"
    ),
    Event("stall_data", "cycle", "next compute waits for a transfer"),
    Event("stall_order", "cycle", "next compute waits for an earlier compute's reads or results"),
    Event("stall_port", "cycle", "a bank that the next step reads is taken by a load"),
    Event("stall_accumulator", "cycle", "no free accumulator or post-processing slot"),
    Event("idle", "cycle", "no compute instruction is there: fetch, transfers, decision, drain"),
)

TIME: tuple[Event, ...] = (Event("cycles", "cycle", "cycles since the image was started"), *CYCLE_KINDS[1:])

TOGGLES: tuple[Event, ...] = (
    Event("toggle_operand", "bit", "bit changes of the NFU's input operand registers"),
    Event("toggle_weight", "bit", "bit changes of the SB output (held weights)"),
    Event("toggle_product", "bit", "bit changes of NFU-1 product registers"),
    Event("toggle_sum", "bit", "bit changes of NFU-2 sum registers"),
    Event("toggle_accumulator", "bit", "bit changes of accumulator words as they are written"),
    Event("toggle_output", "bit", "bit changes of the result registers behind NFU-3"),
    Event("toggle_digit", "pair", "changed bits of a multiplier's operand times digit changes of its weight"),
    Event("toggle_mask", "pair", "set bits of the products whose lanes begin or cease to count in a sum"),
    Event("toggle_addend", "bit", "bit changes of what accumulators may add"),
    Event("toggle_stored", "bit", "bit changes of the accumulator words read to be added to"),
    Event("toggle_written", "bit", "bit changes of what accumulators would write"),
    Event("toggle_pool_word", "bit", "bit changes of the words at the vertical pooling lanes"),
    Event("toggle_pooled", "bit", "bit changes of the results of the vertical pooling lanes"),
    Event("toggle_index", "bit", "bit changes of the places in the gathered line that operands are chosen from"),
    Event(
        "toggle_choice", "pair", "changed low bits of those places times bits in which neighbours in the line differ"
    ),
    Event("toggle_answer", "bit", "bit changes of the beats read from DRAM"),
    Event("toggle_load", "bit", "bit changes of the words that DMA takes into buffers"),
    Event("toggle_store", "bit", "bit changes of the words that buffers give to DMA"),
    Event("toggle_gathered", "bit", "bit changes of the words read for a line, of either buffer"),
    Event("toggle_cell", "bit", "bit changes of the cells that ports would write into the banks of NBin and NBout"),
    Event("toggle_row", "bit", "bit changes of the rows wanted of the banks of NBin and NBout"),
    Event("toggle_total", "bit", "bit changes of DMA's number of words in a transfer's run"),
    Event("toggle_late", "bit", "bit changes of the cells of a beat that DMA has still to write"),
    Event("toggle_next", "bit", "bit changes of the cell in the map that the compute engine's cursor goes to next"),
    Event("toggle_window_row", "bit", "bit changes of the buffer rows that the compute engine makes"),
    Event("toggle_banks", "bit", "bit changes of the banks that the compute engine reads"),
    Event("toggle_line", "bit", "bit changes of the way from a window's first line to the line at work"),
    Event("toggle_fetched", "bit", "bit changes of the fetched beats that instructions are taken from"),
    Event("toggle_pool_row", "bit", "bit changes of the words that horizontal pooling gives"),
    Event("toggle_pool_window", "bit", "bit changes of the open windows of horizontal pooling"),
    Event("toggle_select", "bit", "bit changes of the registers that choose and time operands, neurons excluded"),
    Event("toggle_post", "bit", "bit changes of the registers of pooling and of the output writer"),
    Event("toggle_ports", "bit", "bit changes of the registers of NBin's and NBout's ports"),
    Event("toggle_dma", "bit", "bit changes of the registers of DMA"),
    Event("toggle_arbiter", "bit", "bit changes of the registers of the DRAM arbiter"),
    Event("toggle_engine", "bit", "bit changes of the registers of the compute engine and its window"),
    Event("toggle_control", "bit", "bit changes of the registers of control, fetch, queues, meter and budget"),
    Event("toggle_margin", "bit", "bit changes of the registers of the margin controller"),
)

#: Components of the tile (instances in it; "tile" its own registers) whose registers an event of TOGGLES counts.
REGISTER_TOGGLES: dict[str, tuple[str, ...]] = {
    "toggle_select": ("nfu",),
    "toggle_post": ("post",),
    "toggle_ports": ("nbin_port", "nbout_port"),
    "toggle_dma": ("dma",),
    "toggle_arbiter": ("arbiter",),
    "toggle_engine": ("engine",),
    "toggle_control": ("tile", "control", "fetch", "computes", "transfers", "meter", "budget"),
    "toggle_margin": ("margin",),
}

#: Events of TOGGLES that registers of the tile count, made for it; hw.monitor counts all others from outside its logic.
COUNTED_INSIDE: tuple[str, ...] = (
    *("toggle_operand", "toggle_weight", "toggle_product", "toggle_sum", "toggle_accumulator", "toggle_output"),
)
MONITORED: tuple[str, ...] = tuple(event.name for event in TOGGLES if event.name not in COUNTED_INSIDE)


CYCLE_PARTS: tuple[str, ...] = ("compute_cycles", *(event.name for event in CYCLE_KINDS[1:]))
"""Counters that add up to ``cycles``: compute_busy is counted as the work event compute_cycles."""

METERED: tuple[str, ...] = (*(event.name for event in WORK), "cycles")
"""Events that the tile's energy meter weighs (hw.meter), in the order of their weights."""

WEIGHT_BITS = 24  # of a weight: energy units per count
ENERGY_BITS = 48  # of an image's energy in units, and of the energy budget
DELAY_BITS = 32  # of an image's cycles, and of the delay budget


def event_names(activity: bool = False) -> tuple[str, ...]:
    """Names in the order in which the tile's snapshot packs them, lowest bits first."""
    return tuple(event.name for event in WORK + TIME + (TOGGLES if activity else ()))
