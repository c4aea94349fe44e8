"""What the gate simulation needs to know of every cell and net: delays, energies, loads, as flat arrays."""

from dataclasses import dataclass

import numpy as np

NONE = 0xFFFF  # in a table of choices: no entry, that is no energy, or an output that no input moves


@dataclass(frozen=True)
class Delays:
    """Delays and energies of each cell of a netlist, in arrays that can be written to a file as they are.

    Pins of a type are numbered in the order of ``Cell.inputs`` and ``Cell.outputs``. The state of a cell is an integer
    whose bit j is the value of input j after the change that is looked at, and whose bit inputs + j is the value of
    output j before it; pins = inputs + outputs. An edge is 1 for a rise, 0 for a fall.

    types, type_of: names of the types and the type of each cell. inputs, outputs [types]: their pin counts.
    A table of choices names the entry, counted within the cell, that holds in a state (NONE for no entry):
    delay_choice[delay_choice_first[type] + (((output * inputs + input) * 2 + edge of the output) << pins) + state]
    gives the delay of an output's edge that an edge of an input causes; energy_choice, laid out in the same way, its
    internal energy; own_choice[own_choice_first[type] + ((input * 2 + edge of the input) << pins) + state] the energy
    of an input pin's edge by itself, which is drawn whether or not an output moves.
    Entry e of cell c is delay_ps[delay_first[c] + e], energy_fj[energy_first[c] + e], own_fj[own_first[c] + e]. A delay
    is never negative and may be below 1 ps. Energies can be negative, as in Liberty.

    load_ff [nets]: pins and wire; an edge of the net draws 1/2 C V^2 besides. extra_fj [nets]: energy of one edge of a
    clock net's estimated tree (buffers and wires), 0 for other nets. is_clock [nets]: the clock and what clock gates,
    buffers and inverters make of it; such nets are ideal: their cells have no delay, all flip-flops see one edge.
    slew_ns [nets, 2]: typical slews of fall and rise. leakage_nw [cells]: mean over states.
    overloaded [cells of them]: numbers of the cells that drive more than their library allows.
    """

    types: tuple[str, ...]
    type_of: np.ndarray  # int32
    inputs: np.ndarray  # int32
    outputs: np.ndarray  # int32
    delay_choice: np.ndarray  # uint16
    delay_choice_first: np.ndarray  # int64 [types + 1]
    energy_choice: np.ndarray
    energy_choice_first: np.ndarray
    own_choice: np.ndarray
    own_choice_first: np.ndarray
    delay_ps: np.ndarray  # float64
    delay_first: np.ndarray  # int64 [cells + 1]
    energy_fj: np.ndarray
    energy_first: np.ndarray
    own_fj: np.ndarray
    own_first: np.ndarray
    load_ff: np.ndarray  # float64 [nets]
    extra_fj: np.ndarray
    is_clock: np.ndarray  # bool [nets]
    slew_ns: np.ndarray  # float64 [nets, 2]
    leakage_nw: np.ndarray  # float64 [cells]
    overloaded: np.ndarray  # int64
    voltage_v: float
