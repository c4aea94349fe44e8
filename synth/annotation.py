"""Annotation coverage: of what an energy is made of, the share whose activity was counted in RTL and not assumed.

Of a component priced by toggles: counted register bits over its register bits. Of every component: counts that the
measurement holds over counts that its prices want. The smaller one counts; a figure below LEAST is refused.
"""

from collections.abc import Collection, Mapping

from hw.errors import BadInput
from hw.events import REGISTER_TOGGLES
from synth.energy import ACTIVATES, EnergyModel
from synth.measurement import RegisterShare
from synth.technology import COMPONENTS

LEAST = 0.95
NEURONS = "neurons"  # as tile.json has it
_EVENTS = {component: event for event, components in REGISTER_TOGGLES.items() for component in components}
_EVENTS[NEURONS] = "toggle_product"
#: Where the energy of a component's registers lies when the event that counts them is free, its energy in others.
_NFU = (NEURONS, "nfu", "post")


def owner(model: EnergyModel, component: str) -> str:
    """Energy component that the registers of a component of the tile belong to under the model's prices."""
    priced = model.component(_EVENTS[component]) if component in _EVENTS and model.level == "rtl_activity" else None
    return priced or ("nfu" if component in _NFU else "control")


def _counts(model: EnergyModel, component: str, measured: Collection[str]) -> float:
    wanted = model.counts()[component]
    missing = sorted(wanted - {*measured, ACTIVATES})
    share = 1 - len(missing) / max(1, len(wanted))
    if share < LEAST:
        raise BadInput(
            f"annotation coverage of {component} under {model.technology.name} is {share:.1%}, at least {LEAST:.0%} is "
            f"wanted: the measurement has no count of {', '.join(missing)}; measure again"
        )
    return share


def _registers(model: EnergyModel, component: str, annotation: Mapping[str, RegisterShare]) -> float:
    mine = {name: share for name, share in annotation.items() if owner(model, name) == component}
    bits, counted = (sum(getattr(share, key) for share in mine.values()) for key in ("bits", "counted"))
    share = counted / bits if bits else 1.0
    if share < LEAST:
        lacking = [f"{name} {item.bits - item.counted:,}" for name, item in mine.items() if item.counted < item.bits]
        raise BadInput(
            f"annotation coverage of {component} under {model.technology.name} is {share:.1%}, at least {LEAST:.0%} is "
            f"wanted: no event counts {bits - counted:,} of {bits:,} register bits ({', '.join(lacking)}); let "
            "hw/monitor.py count them, or measure a tile without activity: table prices need no toggles"
        )
    return share


def coverage(
    model: EnergyModel, measured: Collection[str], annotation: Mapping[str, RegisterShare]
) -> dict[str, float]:
    """Coverage of each component, 0 to 1. measured: names of the counts. Refuses one below LEAST in one line."""
    found = {}
    for component in COMPONENTS:
        found[component] = _counts(model, component, measured)
        if model.source_levels[component] == "rtl_activity":
            found[component] = min(found[component], _registers(model, component, annotation))
    return found
