"""Energies of increments and of escalations, from a report, for the planner."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.errors import BadInput
from synth.report import read_report


@dataclass(frozen=True)
class Energies:
    """alone: energy per image of each increment alone. chain: of the images that an opportunistic run stopped there;
    None: none did, or the report does not say. Microjoules. reuse: what escalated runs took over."""

    alone: tuple[float, ...]
    chain: tuple[float | None, ...]
    unit: str
    source: str
    reuse: str


def read_energies(
    path: Path, network: str, dataset: str, fractions: Sequence[float], macs: Sequence[int], fmt: str, with_dram: bool
) -> Energies:  # fmt: skip
    """Energies of the increments ``fractions``; refuses a report of something else. macs: of each, to compare."""
    report = read_report(path)
    for name, wanted, found in (
        ("network", network, report.network),
        ("data set", dataset, report.dataset),
        ("format", fmt, report.format),
    ):
        if wanted != found:
            raise BadInput(f"costs of a plan want a report with {name} {wanted}, {path} has {found}")
    known = {round(item.fraction, 6): item for item in report.increments}
    if missing := [f"{fraction:g}" for fraction in fractions if round(fraction, 6) not in known]:
        raise BadInput(
            f"costs of a plan want a report of every increment, {path} lacks {', '.join(missing)}: "
            "measure all of them with `tilewatt report`, without --plan"
        )
    items = [known[round(fraction, 6)] for fraction in fractions]
    if (counted := [item.macs for item in items]) != list(macs):
        raise BadInput(f"costs of a plan want increments of {list(macs)} MACs, those of {path} have {counted}")
    chance = report.opportunistic
    chain: list[float | None] = [None] * len(items)
    if chance is not None and chance.stop_energy is not None and len(report.increments) == len(items):
        chain = [
            None if stop is None else stop.total_uj if with_dram else stop.onchip_uj for stop in chance.stop_energy
        ]
    reuse = re.search(r"--reuse (\w+)", report.command)
    return Energies(
        tuple(item.energy_uj.total if with_dram else item.energy_onchip_uj for item in items),
        tuple(chain),
        "uJ with DRAM" if with_dram else "uJ on chip",
        f"{path}: {report.technology.name} profile, {report.images:,} images, commit {report.commit[:12]}",
        reuse[1] if reuse else "none",
    )
