"""Where Liberty files are: given by the user, in an open PDK below $PDK_ROOT, or with Debian's qflow packages."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.errors import BadInput

QFLOW = Path("/usr/share/qflow/tech")


@dataclass(frozen=True)
class Pdk:
    """cells, macros: file patterns below the root. wire_load: name of the library's wire load that is used for blocks
    of every size, "" for the choice by area. help: how a user gets it."""

    cells: str
    macros: str
    wire_load: str
    help: str


# SG13G2's wire loads state a capacitance per length that grows with the block, 0.1 to 2.7 fF/um, where a wire of a
# 130 nm process has about 0.2 to 0.3 fF/um whatever the block; "30k" (0.3 fF/um, 17.5 um to a first sink, 5.3 fF) is
# the largest one that is physical, so it serves all blocks.
PDKS = {
    "ihp-sg13g2": Pdk(
        "ihp-sg13g2/libs.ref/sg13g2_stdcell/lib/sg13g2_stdcell_typ_1p20V_25C.lib",
        "ihp-sg13g2/libs.ref/sg13g2_sram/lib/RM_IHPSG13_*_typ_1p20V_25C.lib",
        "30k",
        "install IHP-Open-PDK and set PDK_ROOT to the folder that holds ihp-sg13g2",
    ),
    "osu018": Pdk("osu018/osu018_stdcells.lib", "", "", "install Debian's package qflow-tech-osu018"),
}


def pdk_of(pdk: str) -> Pdk:
    """The PDK of a name. Raises BadInput for an unknown one."""
    if pdk not in PDKS:
        raise BadInput(f"wanted a PDK out of {', '.join(PDKS)}, got '{pdk}'; other libraries go by --liberty")
    return PDKS[pdk]


def _root(pdk: str) -> Path:
    if pdk == "osu018":
        return QFLOW
    root = os.environ.get("PDK_ROOT", "")
    if not root:
        raise BadInput(f"PDK_ROOT is not set; {pdk_of(pdk).help}, or name a library by --liberty")
    return Path(root)


def find_liberty(liberty: Sequence[Path] = (), pdk: str = "ihp-sg13g2") -> list[Path]:
    """Liberty files of the standard cells: ``liberty`` where given, else those of ``pdk``.

    Raises BadInput when a file is missing, $PDK_ROOT is not set or has no such PDK, or the name is unknown.
    """
    if liberty:
        for path in liberty:
            if not Path(path).is_file():
                raise BadInput(f"no Liberty file {path}; check --liberty")
        return [Path(path) for path in liberty]
    known = pdk_of(pdk)
    path = _root(pdk) / known.cells
    if not path.is_file():
        raise BadInput(f"no {path}; {known.help}, or name a library by --liberty")
    return [path]


def find_macros(pdk: str = "ihp-sg13g2") -> list[Path]:
    """Liberty files of the PDK's SRAM macros, sorted. Raises BadInput when there are none."""
    known = pdk_of(pdk)
    if not known.macros:
        raise BadInput(f"PDK {pdk} has no SRAM macros; use ihp-sg13g2")
    found = sorted(_root(pdk).glob(known.macros))
    if not found:
        raise BadInput(f"no {_root(pdk) / known.macros}; {known.help}")
    return found
