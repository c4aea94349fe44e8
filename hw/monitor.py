"""A module beside the generated tile that counts bit changes of its registers and what its multipliers see.

For simulation only, in tiles made with activity. It reads the tile's signals by their paths, so that the tile's own
logic is the same with and without it; one wide population count per group costs next to nothing in Verilator.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hw.activity import COUNTS, NEURON, NEURONS, Count, Seen, matching
from hw.events import COUNTER_BITS, MONITORED, REGISTER_TOGGLES
from hw.params import TileParams

MODULE = "activity_monitor"
_REGISTER = re.compile(r"^  reg (?:signed )?(?:\[(\d+):0\] )?(?!\\\$auto\$)(\S+) +=", re.MULTILINE)
_SIGNAL = re.compile(
    r"^  (?:input|output|wire|reg)(?: reg)?(?: signed)? (?:\[(\d+):0\] )?(\\\S+|\w+) *(?:=[^;]*)?;", re.MULTILINE
)
_INSTANCE = re.compile(r"^  \\?([\w.$]+) +\\?(\S+) +\($", re.MULTILINE)
_MODULE = re.compile(r"^module \\?([\w.$]+)[^\n]*\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Register:
    """A signal of the generated Verilog: instance names from the top on, its own name, its bits."""

    path: tuple[str, ...]
    name: str
    width: int

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
    return {".".join((*found.path[1:], found.name)): found for found in _below(text, top, _SIGNAL)}


def _group(register: Register) -> str | None:
    """The event that counts a register's changes; None for those of neurons and of the counters themselves."""
    inside = [part.partition("$")[0] for part in register.path[1:]]
    if any(part.startswith("neuron_") for part in inside):
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


def monitor(text: str, top: str, p: TileParams) -> str:
    """Verilog of the module for a tile's Verilog ``text``: ports clk, rst, clear, and one count an event.

    A count is cleared by ``clear`` and lags the registers by a cycle.
    """
    body = []
    for event, group in counted(registers(text, top)).items():
        width = sum(register.width for register in group)
        joined = ", ".join(register.reference for register in group)
        body.append(f"  wire [{width - 1}:0] now_{event} = {{{joined}}};\n  logic [{width - 1}:0] was_{event};")
        body.append(f"  always_ff @(posedge clk) was_{event} <= now_{event};")
        body.append(_count(event, f"$countones(now_{event} ^ was_{event})"))
    named = signals(text, top)
    body += [_named(event, count, named, p) for event, count in COUNTS.items()]
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


def _before(name: str, width: int) -> str:
    return f"  logic [{width - 1}:0] was_{name};\n  always_ff @(posedge clk) was_{name} <= {name};"


def _seen(name: str, width: int, count: Count, p: TileParams) -> str:
    """Expression for the bits of ``name``, a lane of ``width`` bits, that make pairs."""
    if count.seen is Seen.NEIGHBOURS:
        return f"{name} ^ {{{name}[{p.fmt.width - 1}:0], {name}[{width - 1}:{p.fmt.width}]}}"
    return f"{name} ^ ({name} << 1)" if count.seen is Seen.DIGITS else name


def _named(event: str, count: Count, named: Mapping[str, Register], p: TileParams) -> str:
    """Verilog of one count of hw.activity.COUNTS."""

    def found(paths: Sequence[str]) -> list[Register]:
        return [named[name] for name in matching((re.sub(f"^{NEURON}", NEURONS, path) for path in paths), named)]

    changing = found(count.signals)
    low = [min(signal.width, count.low or signal.width) for signal in changing]
    slices = [
        (signal.reference if bits == signal.width else f"{signal.reference}[{bits - 1}:0]", bits)
        for signal, bits in zip(changing, low, strict=True)
    ]
    lines = [_wire(f"now_{event}", slices), _before(f"now_{event}", sum(low))]
    changed = f"now_{event} ^ was_now_{event}"
    if not count.times:
        return "\n".join((*lines, _count(event, f"$countones({changed})")))
    other = [(signal.reference, signal.width) for signal in found(count.times)]
    width = sum(bits for _, bits in other)
    lanes = p.neurons * p.synapses if count.by_lane else 1
    lines.append(_wire(f"other_{event}", other))
    if count.before:
        lines.append(_before(f"other_{event}", width))
    other_name = f"was_other_{event}" if count.before else f"other_{event}"
    if lanes == 1:
        pairs = f"32'($countones({changed})) * 32'($countones({_seen(other_name, width, count, p)}))"
        return "\n".join((*lines, _count(event, pairs)))
    per, of = sum(low) // lanes, width // lanes
    # slices first: Verilator would compute a wide expression anew for every lane
    slice_of = "{}[i*{}+:{}]".format
    now, was = (slice_of(name, per, per) for name in (f"now_{event}", f"was_now_{event}"))
    lines.append(f"  logic [{of - 1}:0] lane_{event};\n  logic [31:0] sum_{event};")
    lines.append(f"  always_comb begin\n    sum_{event} = '0;\n    for (int i = 0; i < {lanes}; i++) begin")
    lines.append(f"      lane_{event} = {slice_of(other_name, of, of)};")
    seen = _seen(f"lane_{event}", of, count, p)
    lines.append(f"      sum_{event} += 32'($countones({now} ^ {was})) * 32'($countones({seen}));\n    end\n  end")
    return "\n".join((*lines, _count(event, f"sum_{event}")))
