"""The calibrated model: energy of a block as a sum of price x activity, fitted against the gate-level reference.

Rows are windows of 100 cycles. Prices are never negative (scipy.optimize.nnls), so that each keeps a meaning: pJ of one
count. The fit makes the sum of squared errors least, each window's relative to its energy and a part of the mean.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from hw.errors import BadInput

FLOOR_PJ = 1e-9
SMALL = 0.3  # of the mean energy: a window of less counts by its absolute error, one of more by its relative error


@dataclass(frozen=True)
class Windows:
    """One block's windows: activity [windows, names] and reference energy [windows]; groups [windows] numbers the
    stretch of 1,000 cycles that a window lies in, increments [windows] the increment of the network that it ran."""

    names: tuple[str, ...]
    activity: np.ndarray
    energy_pj: np.ndarray
    groups: np.ndarray
    increments: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.energy_pj), len(self.names))
        if self.activity.shape != shape or not self.groups.shape == self.increments.shape == shape[:1]:
            raise BadInput(f"windows of {shape[0]} x {shape[1]} activities are wanted, not {self.activity.shape}")

    def column(self, name: str) -> np.ndarray:
        return self.activity[:, self.names.index(name)]

    def take(self, rows: np.ndarray) -> "Windows":
        parts = (self.activity[rows], self.energy_pj[rows], self.groups[rows], self.increments[rows])
        return Windows(self.names, *parts)


@dataclass(frozen=True)
class Model:
    """Prices in pJ of one count of each activity; those left out cost nothing."""

    prices_pj: dict[str, float]

    def energy_pj(self, windows: Windows) -> np.ndarray:
        """Energy of each window [windows]; an activity that the windows lack is an error."""
        missing = sorted(set(self.prices_pj) - set(windows.names))
        if missing:
            raise BadInput(f"the model prices {', '.join(missing)}, which the windows do not hold")
        return np.sum([windows.column(name) * price for name, price in self.prices_pj.items()], axis=0)


def fit(windows: Windows, names: tuple[str, ...]) -> Model:
    """Prices of ``names`` from ``windows``; at least three windows for each price."""
    if len(windows.energy_pj) < 3 * len(names):
        raise BadInput(f"a fit of {len(names)} prices wants {3 * len(names)} windows, not {len(windows.energy_pj)}")
    matrix = np.stack([windows.column(name) for name in names], axis=1).astype(np.float64)
    scale = np.maximum(np.abs(matrix).max(axis=0), 1)
    weight = 1 / (windows.energy_pj + SMALL * windows.energy_pj.mean())
    prices, _ = nnls(matrix / scale * weight[:, None], windows.energy_pj * weight)
    return Model({name: float(price) for name, price in zip(names, prices / scale, strict=True) if price > 0})


def constant_power(windows: Windows) -> Model:
    """What T16 does: one energy per cycle."""
    return Model({"cycles": float(windows.energy_pj.sum() / windows.column("cycles").sum())})


def constant_per_mac(windows: Windows) -> Model:
    """What table-based tools do: one energy per multiply, nothing else."""
    return Model({"multiply": float(windows.energy_pj.sum() / max(windows.column("multiply").sum(), 1))})


def _sums(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([values[labels == label].sum() for label in np.unique(labels)])


def errors_percent(wanted_pj: np.ndarray, found_pj: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """|found - wanted| / wanted in percent of the energy of each label."""
    wanted, found = _sums(wanted_pj, labels), _sums(found_pj, labels)
    return 100 * np.abs(found - wanted) / np.maximum(wanted, FLOOR_PJ)


def r2(wanted_pj: np.ndarray, found_pj: np.ndarray) -> float:
    """Share of the variance of ``wanted`` that ``found`` explains (not squared correlation: an offset counts)."""
    spread = float(((wanted_pj - wanted_pj.mean()) ** 2).sum())
    if spread == 0:
        raise BadInput("R2 wants windows of different energies, all are equal")
    return 1 - float(((wanted_pj - found_pj) ** 2).sum()) / spread


def metrics(model: Model, windows: Windows, baselines: dict[str, Model]) -> dict[str, float]:
    """Errors on ``windows``: per increment, per 1,000 cycles and R2 per window, with those of the baselines."""
    found = model.energy_pj(windows)
    by_increment = errors_percent(windows.energy_pj, found, windows.increments)
    by_group = errors_percent(windows.energy_pj, found, windows.groups)
    shown = {
        "mean_error_percent": float(by_increment.mean()),
        "largest_increment_error_percent": float(by_increment.max()),
        "window_1000_error_percent": float(by_group.mean()),
        "largest_window_1000_error_percent": float(by_group.max()),
        "window_100_r2": r2(windows.energy_pj, found),
    }
    for name, baseline in baselines.items():
        error = errors_percent(windows.energy_pj, baseline.energy_pj(windows), windows.increments)
        shown[f"{name}_error_percent"] = float(error.mean())
    return shown
