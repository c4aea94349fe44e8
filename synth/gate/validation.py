"""``build/energy/validation.json``: how far the calibrated model is from the gate level on stimulus it never saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hw.errors import BadInput
from synth.technology import first_error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Errors(_Strict):
    """Of energies on the test stimulus, in percent; a mean is over increments or windows of 1,000 cycles.

    opensta_difference_percent: the own Liberty calculation over OpenSTA's by the same rules and activity, less one;
    simulated_difference_percent: the simulation, which knows causes and states, over OpenSTA; null without OpenSTA.
    """

    energy_share: float
    mean_error_percent: float
    largest_increment_error_percent: float
    window_1000_error_percent: float
    largest_window_1000_error_percent: float
    window_100_r2: float
    constant_power_error_percent: float
    constant_per_mac_error_percent: float
    opensta_difference_percent: float | None = None
    simulated_difference_percent: float | None = None


class FormatValidation(_Strict):
    """Of one tile. windows: of 1,000 cycles or a whole image. checked_bits: compared between netlist and RTL. cells and
    least_period_ns: of a neuron and of the rest. increments: of the test stimulus, of the part that was simulated.
    products: by layer of it, what one costs a neuron (synth.gate.layers).
    area_um2: by component of T16's Table 2, cells and macros before a layout. cells_pj_per_cycle: likewise, over the
    test stimulus at gate level, of all neurons, without macros."""

    preset: str
    total: Errors
    blocks: dict[str, Errors]
    windows: dict[str, int]
    checked_bits: int
    cells: dict[str, int]
    least_period_ns: dict[str, float]
    increments: dict[str, dict[str, float]]
    products: dict[str, dict[str, float]]
    area_um2: dict[str, float]
    cells_pj_per_cycle: dict[str, float]


class Validation(_Strict):
    """total and blocks hold, of each figure, the worst of the formats."""

    file_schema: Literal[1] = Field(alias="schema")
    command: str
    commit: str
    library: dict[str, Any]
    delays: str
    wires: str
    stimulus: dict[str, list[str]]
    total: Errors
    blocks: dict[str, Errors]
    formats: dict[str, FormatValidation]


def worst(errors: Sequence[Errors]) -> Errors:
    """Of each figure the one furthest from perfect."""

    def of(name: str) -> float | None:
        values = [value for error in errors if (value := getattr(error, name)) is not None]
        if not values:
            return None
        return min(values) if name in ("window_100_r2", "energy_share") else max(values, key=abs)

    return Errors.model_validate({name: of(name) for name in Errors.model_fields})


def read_validation(path: Path) -> Validation:
    """Read and check a validation.json."""
    try:
        return Validation.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"a validation wants a readable file: {error}; make it with `make energy-check`") from None
    except ValidationError as error:
        raise BadInput(f"{path}: {first_error(error)}") from None
