"""A module beside the generated tile that counts bit changes of its registers and what its multipliers see.

For simulation only, in tiles made with activity. It reads the tile's signals by their paths, so that the tile's own
logic is the same with and without it. What is counted together lies in whole words as far as it can, for one wide
population count per event (cosim/popcount.h makes them quick): that is where the time of a simulation with activity
goes. Pairs of many bits in each lane cost more: the simulator gives ``DIGIT_PAIRS`` as a C function (cosim/pairs.cpp).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hw.activity import BANKS, COUNTS, NEURON, NEURONS, Count, Seen, matching, pattern
from hw.events import COUNTER_BITS, MONITORED, REGISTER_TOGGLES
from hw.params import TileParams

MODULE = "activity_monitor"
DIGIT_PAIRS = "tilewatt_digit_pairs"  # DPI: sum over lanes of changed bits times digit changes of what is beside
WORD = 32  # bits: what the simulator keeps vectors in
_REGISTER = re.compile(r"^  reg (?:signed )?(?:\[(\d+):0\] )?(?!\\\$auto\$)(\S+) +=", re.MULTILINE)
_SIGNAL = re.compile(
    r"^  (?:input|output|wire|reg)(?: reg)?(?: signed)? (?:\[(\d+):0\] )?(\\\S+|\w+) *(?:=[^;]*)?;", re.MULTILINE
)
_INSTANCE = re.compile(r"^  \\?([\w.$]+) +\\?(\S+) +\($", re.MULTILINE)
_BANKS = [pattern(path) for count in BANKS.values() for path in count.signals]
_MODULE = re.compile(r"^module \\?([\w.$]+)[^\n]*\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Register:
    """A signal of the generated Verilog: instance names from the top on, its own name, its bits."""

    path: tuple[str, ...]
    name: str
    width: int

    @property
    def inside(self) -> str:
        """Its path below the top, parts joined by "."."""
        return ".".join((*self.path[1:], self.name))

    @property
    def reference(self) -> str:
        """Verilog's hierarchical name."""
        return ".".join((self.path[0], *(_escaped(part) for part in (*self.path[1:], self.name))))


def _escaped(name: str) -> str:
    return f"\\{name} "  # always: a name may be a keyword of SystemVerilog


def _below(text: str, top: str, declared: re.Pattern[str]) -> list[Register]:
    """What ``declared`` finds in every instance below ``top``."""
    modules = dict(_MODULE.findall(text))

    def below(module: str, path: tuple[str, ...]) -> Iterator[Register]:
        body = modules[module]
        for high, name in declared.findall(body):
            yield Register(path, name.removeprefix("\\"), int(high or 0) + 1)
        for child, instance in _INSTANCE.findall(body):
            if child in modules:
                yield from below(child, (*path, instance))

    return list(below(top, (top,)))


def registers(text: str, top: str) -> list[Register]:
    """Every clocked register below ``top``, each instance's own; memories and their output registers are none."""
    return _below(text, top, _REGISTER)


def signals(text: str, top: str) -> dict[str, Register]:
    """Every signal below ``top`` but memories, by its path below it."""
    return {found.inside: found for found in _below(text, top, _SIGNAL)}


def _group(register: Register) -> str | None:
    """The event that counts a register's changes here; None for those that the tile counts itself, for those of neurons
    and of the counters."""
    inside = [part.partition("$")[0] for part in register.path[1:]]
    if any(part.startswith("neuron_") for part in inside) or any(bank.fullmatch(register.inside) for bank in _BANKS):
        return None
    component = inside[0] if inside else "tile"
    return next((event for event, components in REGISTER_TOGGLES.items() if component in components), None)


def counted(found: Sequence[Register]) -> dict[str, list[Register]]:
    """Registers by the event of hw.events.REGISTER_TOGGLES that counts them."""
    groups: dict[str, list[Register]] = {event: [] for event in REGISTER_TOGGLES}
    for register in found:
        if event := _group(register):
            groups[event].append(register)
    return groups


def named(found: Sequence[Register]) -> list[Register]:
    """Registers whose changes an event of hw.activity.COUNTS counts, each bit of them."""
    plain = [path for count in COUNTS.values() if not count.times and not count.low for path in count.signals]
    paths = [pattern(re.sub(f"^{NEURON}", NEURONS, path)) for path in plain]
    return [register for register in found if any(path.fullmatch(register.inside) for path in paths)]


def monitor(text: str, top: str, p: TileParams) -> str:
    """Verilog of the module for a tile's Verilog ``text``: ports clk, rst, clear, and one count an event.

    A count is cleared by ``clear`` and lags the registers by a cycle.
    """
    body = []
    for event, group in counted(registers(text, top)).items():
        body.append(_changes(event, [(register.reference, register.width) for register in group]))
    every = signals(text, top)
    body += [_named(event, count, every, p) for event, count in COUNTS.items()]
    outputs = "".join(f",\n    output logic [{COUNTER_BITS - 1}:0] {port}" for port in MONITORED)
    header = f"module {MODULE} (\n    input logic clk,\n    input logic rst,\n    input logic clear{outputs}\n);\n"
    return header + "\n".join(body) + "\nendmodule\n"


def _count(event: str, amount: str) -> str:
    return (
        f"  always_ff @(posedge clk)\n    if (rst || clear) {event} <= '0;\n"
        f"    else {event} <= {event} + {COUNTER_BITS}'({amount});"
    )


def _wire(name: str, parts: Sequence[tuple[str, int]]) -> str:
    """One wire for signals (reference, bits), the first one lowest."""
    joined = ", ".join(reference for reference, _ in reversed(parts))
    return f"  wire [{sum(width for _, width in parts) - 1}:0] {name} = {{{joined}}};"


def _in_words(parts: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The same with zeros in between, so that no signal lies in more words than it must: no shifts to join them."""
    found, end = [], 0
    for name, width in parts:
        left = -end % WORD
        if left and width > left:
            found.append((f"{left}'d0", left))
            end += left
        found.append((name, width))
        end += width
    return found


def _changes(event: str, signals: Sequence[tuple[str, int]]) -> str:
    """Verilog of one count of all changes of signals (reference, bits)."""
    parts = _in_words(signals)
    width = sum(bits for _, bits in parts)
    now = f"now_{event}"
    return "\n".join((_wire(now, parts), _before(now, width), _count(event, f"$countones({now} ^ was_{now})")))


def _before(name: str, width: int) -> str:
    return f"  logic [{width - 1}:0] was_{name};\n  always_ff @(posedge clk) was_{name} <= {name};"


def _seen(name: str, width: int, count: Count, p: TileParams) -> str:
    """Expression for the bits of ``name``, a lane of ``width`` bits, that make pairs."""
    if count.seen is Seen.NEIGHBOURS:
        return f"{name} ^ {{{name}[{p.fmt.width - 1}:0], {name}[{width - 1}:{p.fmt.width}]}}"
    assert count.seen is Seen.ONES
    return name


def _named(event: str, count: Count, every: Mapping[str, Register], p: TileParams) -> str:
    """Verilog of one count of hw.activity.COUNTS."""

    def found(paths: Sequence[str]) -> list[Register]:
        return [every[name] for name in matching((re.sub(f"^{NEURON}", NEURONS, path) for path in paths), every)]

    changing = found(count.signals)
    low = [min(signal.width, count.low or signal.width) for signal in changing]
    slices = [
        (signal.reference if bits == signal.width else f"{signal.reference}[{bits - 1}:0]", bits)
        for signal, bits in zip(changing, low, strict=True)
    ]
    if not count.times:
        return _changes(event, slices)
    lines = [_wire(f"now_{event}", slices), _before(f"now_{event}", sum(low))]
    other = [(signal.reference, signal.width) for signal in found(count.times)]
    width = sum(bits for _, bits in other)
    if count.by_lane and count.seen is Seen.ONES:
        amounts = _pairs_by_lane(event, slices, other, p)
        return "\n".join((*lines, amounts, _count(event, f"sum_{event}")))
    lines.append(_wire(f"other_{event}", other))
    if count.by_lane:
        assert (count.seen, sum(low), width) == (Seen.DIGITS, width, p.neurons * p.synapses * p.fmt.width)
        vectors = ", ".join(f"input bit [{width - 1}:0] {name}" for name in ("now", "was", "beside"))
        prototype = f"function int unsigned {DIGIT_PAIRS}({vectors}, input int lanes, input int bits);"
        given = f"now_{event}, was_now_{event}, other_{event}, {p.neurons * p.synapses}, {p.fmt.width}"
        return "\n".join((f'  import "DPI-C" pure {prototype}', *lines, _count(event, f"{DIGIT_PAIRS}({given})")))
    if count.before:
        lines.append(_before(f"other_{event}", width))
    other_name = f"was_other_{event}" if count.before else f"other_{event}"
    changed = f"now_{event} ^ was_now_{event}"
    pairs = f"32'($countones({changed})) * 32'($countones({_seen(other_name, width, count, p)}))"
    return "\n".join((*lines, _count(event, pairs)))


def _lanes(parts: Sequence[tuple[str, int]], bits: int) -> list[str]:
    """The lanes of ``bits`` that signals hold, each signal a whole number of them."""
    found = []
    for name, width in parts:
        found += [name] if width == bits else [f"{name}[{low}+:{bits}]" for low in range(0, width, bits)]
    return found


def _pairs_by_lane(event: str, now: Sequence[tuple[str, int]], other: Sequence[tuple[str, int]], p: TileParams) -> str:
    """One statement a lane, whose one bit of ``now`` changes or not, on constant slices: Verilator selects and shifts
    anew in every pass of a loop."""
    lanes = p.neurons * p.synapses
    per, of = (sum(bits for _, bits in parts) // lanes for parts in (now, other))
    assert per == 1
    lines = [f"  logic [31:0] sum_{event};\n  always_comb begin\n    sum_{event} = '0;"]
    lines.append(f"    if (now_{event} != was_now_{event}) begin")  # in most cycles no lane's bit changes
    for lane, (word, beside) in enumerate(zip(_lanes(now, per), _lanes(other, of), strict=True)):
        changed = f"{word} ^ was_now_{event}[{lane}]"
        lines.append(f"      if ({changed}) sum_{event} += 32'($countones({beside}));")
    return "\n".join((*lines, "    end\n  end"))
