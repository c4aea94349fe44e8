"""A module beside the generated tile that counts bit changes of its registers and what its multipliers see.

For simulation only, in tiles made with activity. It reads the tile's signals by their paths, so that the tile's own
logic is the same with and without it; one wide population count per group costs next to nothing in Verilator.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hw.events import COUNTER_BITS, MONITORED, REGISTER_TOGGLES
from hw.params import TileParams

MODULE = "activity_monitor"
_REGISTER = re.compile(r"^  reg (?:signed )?(?:\[(\d+):0\] )?(?!\\\$auto\$)(\S+) +=", re.MULTILINE)
_INSTANCE = re.compile(r"^  \\?([\w.$]+) +\\?(\S+) +\($", re.MULTILINE)
_MODULE = re.compile(r"^module \\?([\w.$]+)[^\n]*\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Register:
    """A clocked register of the generated Verilog: instance names from the top on, its own name, its bits."""

    path: tuple[str, ...]
    name: str
    width: int

    @property
    def reference(self) -> str:
        """Verilog's hierarchical name."""
        return ".".join(_escaped(part) for part in (*self.path, self.name))


def _escaped(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"\\{name} "


def registers(text: str, top: str) -> list[Register]:
    """Every register below ``top``, each instance's own; memories and their output registers are none."""
    modules = dict(_MODULE.findall(text))

    def below(module: str, path: tuple[str, ...]) -> Iterator[Register]:
        body = modules[module]
        for high, name in _REGISTER.findall(body):
            yield Register(path, name.removeprefix("\\"), int(high or 0) + 1)
        for child, instance in _INSTANCE.findall(body):
            if child in modules:
                yield from below(child, (*path, instance))

    return list(below(top, (top,)))


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
        signals = ", ".join(register.reference for register in group)
        body.append(f"  wire [{width - 1}:0] now_{event} = {{{signals}}};\n  logic [{width - 1}:0] was_{event};")
        body.append(f"  always_ff @(posedge clk) was_{event} <= now_{event};")
        body.append(_count(event, f"$countones(now_{event} ^ was_{event})"))
    body.append(_switching(top, p))
    outputs = "".join(f",\n    output logic [{COUNTER_BITS - 1}:0] {port}" for port in MONITORED)
    header = f"module {MODULE} (\n    input logic clk,\n    input logic rst,\n    input logic clear{outputs}\n);\n"
    return header + "\n".join(body) + "\nendmodule\n"


def _count(event: str, amount: str) -> str:
    return (
        f"  always_ff @(posedge clk)\n    if (rst || clear) {event} <= '0;\n"
        f"    else {event} <= {event} + {COUNTER_BITS}'({amount});"
    )


def _switching(top: str, p: TileParams) -> str:
    """Bits of one operand of every multiplier that changed, each times the set bits of the other operand."""
    lanes, width = p.neurons * p.synapses, p.fmt.width
    signals = {
        name: ", ".join(f"{top}.nfu.neuron_{n}.{name}" for n in reversed(range(p.neurons)))
        for name in ("operands", "weights")
    }
    text = []
    for name, joined in signals.items():
        text.append(
            f"  wire [{lanes * width - 1}:0] {name} = {{{joined}}};\n  logic [{lanes * width - 1}:0] was_{name};"
        )
        text.append(f"  always_ff @(posedge clk) was_{name} <= {name};")
    for event, changed, other in (
        ("toggle_cross_operand", "operands", "weights"),
        ("toggle_cross_weight", "weights", "operands"),
    ):
        text.append(
            f"  logic [31:0] sum_{event};\n  always_comb begin\n    sum_{event} = '0;\n"
            f"    for (int i = 0; i < {lanes}; i++)\n"
            f"      sum_{event} += 32'($countones({changed}[i*{width}+:{width}] ^ was_{changed}[i*{width}+:{width}]))\n"
            f"          * 32'($countones({other}[i*{width}+:{width}]));\n  end"
        )
        text.append(_count(event, f"sum_{event}"))
    return "\n".join(text)
