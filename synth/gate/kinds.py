"""What the cells of a library do, as tables by their inputs and their stored bit, for the gate simulation."""

from dataclasses import dataclass

import numpy as np

from hw.errors import BadInput
from synth.gate.library import Cell
from synth.gate.logic import table

COMBINATIONAL, FLIP_FLOP, LATCH = 0, 1, 2
MOST_OUTPUTS = 8  # an evaluation gives a byte
MOST_PINS = 16  # a state is two bytes
GATES = ("latch_posedge", "latch_posedge_precontrol")


@dataclass(frozen=True)
class Kind:
    """inputs, outputs: pin names in the order of the state's bits. Tables are indexed by the inputs' bits and, above
    them, the stored bit: next_outputs has output k in bit k; rules the next state or data in bit 0, clock or enable in
    bit 1, clear in bit 2, preset in bit 3. shown [outputs]: 1 where the output is always the stored bit, -1 where it is
    always its inverse, else 0. gate: an integrated clock gate.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    store: int
    next_outputs: np.ndarray
    rules: np.ndarray
    shown: tuple[int, ...]
    gate: bool


def _bits(text: str, names: tuple[str, ...]) -> np.ndarray:
    """Values of an expression [2 ** names], 0 everywhere for no text."""
    size = 1 << len(names)
    value = table(text, names) if text else 0
    return np.unpackbits(np.frombuffer(value.to_bytes(max(1, size // 8), "little"), np.uint8), bitorder="little")[:size]


def _clock_gate(cell: Cell) -> tuple[dict[str, str], tuple[str, str, str, str]]:
    """Functions of the outputs, and the rules of the latch, with the stored bit called "stored"."""
    if cell.clock_gate not in GATES:
        raise BadInput(
            f"clock gate {cell.name} is of kind '{cell.clock_gate}', the gate simulation knows {' and '.join(GATES)}: "
            f"map to one of these"
        )
    by_role: dict[str, list[str]] = {}
    for name, pin in cell.pins.items():
        by_role.setdefault(pin.gate_role, []).append(name)
    if len(by_role.get("clock", ())) != 1 or len(by_role.get("out", ())) != 1 or "enable" not in by_role:
        raise BadInput(f"clock gate {cell.name} wants one clock pin, one output and an enable: mend the Liberty file")
    clock, out = by_role["clock"][0], by_role["out"][0]
    data = " + ".join(by_role["enable"] + by_role.get("test", []))
    return {out: f"{clock} * stored"}, (data, f"!{clock}", "", "")


def describe(cell: Cell) -> Kind:
    """BadInput for a cell that cannot be simulated: too many pins, an output without a function."""
    inputs, outputs = cell.inputs, cell.outputs
    if len(inputs) + len(outputs) > MOST_PINS or len(outputs) > MOST_OUTPUTS:
        raise BadInput(
            f"cell {cell.name} has {len(inputs)} inputs and {len(outputs)} outputs, the gate simulation takes "
            f"{MOST_PINS} pins and {MOST_OUTPUTS} outputs at most"
        )
    names, inverse, store = inputs, "", COMBINATIONAL
    texts = {name: cell.pins[name].function for name in outputs}
    rules = ("", "", "", "")
    if cell.clock_gate:
        gate_texts, rules = _clock_gate(cell)
        texts.update(gate_texts)
        names, store = (*inputs, "stored"), LATCH
    elif cell.sequential is not None:
        seq = cell.sequential
        store = LATCH if seq.latch else FLIP_FLOP
        names, inverse = (*inputs, seq.state), seq.state_inverted
        rules = (seq.next_state, seq.clocked_on, seq.clear, seq.preset)
    for name, text in texts.items():
        if not text:
            raise BadInput(f"output {name} of cell {cell.name} has no function: the gate simulation cannot run it")
    size = 1 << len(names)
    everything = np.arange(size)
    if inverse:  # a variable more, of which only the half where it is the inverse of the state can be
        everything |= (1 - (everything >> len(inputs))) << len(names)
        names = (*names, inverse)

    def values(text: str) -> np.ndarray:
        return _bits(text, names)[everything]

    next_outputs = sum((values(texts[name]) << k for k, name in enumerate(outputs)), np.zeros(size, np.uint8))
    ruled = sum((values(text) << k for k, text in enumerate(rules)), np.zeros(size, np.uint8))
    return Kind(
        inputs,
        outputs,
        store,
        next_outputs.astype(np.uint8),
        ruled.astype(np.uint8),
        tuple(_shown(values(texts[name]), 1 << len(inputs)) for name in outputs) if store else (0,) * len(outputs),
        bool(cell.clock_gate),
    )


def _shown(values: np.ndarray, half: int) -> int:
    """Whether an output is the stored bit (1), its inverse (-1), or neither (0)."""
    if not values[:half].any() and values[half:].all():
        return 1
    return -1 if values[:half].all() and not values[half:].any() else 0
