"""What a plan makes most: the saving under a limit of the accuracy drop, or T16's product of saving and accuracy."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]
NEVER = -np.inf
MOST_ERRORS = 3.0  # up to here an escalation that changes no decision for the better never lowers `drop_bound`


def drop_bound(lost: Counts, gained: Counts, images: int, errors: float) -> Numbers:
    """Accuracy drop (0 to 1) against the full network, plus ``errors`` standard errors of it.

    lost, gained: images that only the full network, and only the plan, decides rightly: the drop is a difference of
    paired shares. Estimate and error are those of Bonett and Price (2012), "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data": one image is added to either count, so that the error is
    not 0 where no decision differs.
    """
    total = images + 2
    drop = (lost - gained) / total
    variance = (lost + gained + 2) / total - drop**2
    return drop + errors * np.sqrt(variance / total)


class Goal(Protocol):
    """value: what is made most, an array like ``saving``; NEVER where a combination is not allowed."""

    @property
    def name(self) -> str: ...

    def value(self, saving: Numbers, lost: Counts, gained: Counts, accuracy: float, images: int) -> Numbers: ...


@dataclass(frozen=True)
class MostSaving:
    """The saving, where drop plus ``errors`` standard errors keep ``most_drop`` (a share, not points)."""

    most_drop: float
    errors: float
    name: str = "saving"

    def __post_init__(self) -> None:
        if not 0 <= self.most_drop <= 1:
            raise BadInput(f"the accuracy drop wants a limit of 0 to 100 points, not {100 * self.most_drop:g}")
        if not 0 <= self.errors <= MOST_ERRORS:
            raise BadInput(f"the accuracy drop wants 0 to {MOST_ERRORS:g} standard errors, not {self.errors:g}")

    def value(self, saving: Numbers, lost: Counts, gained: Counts, accuracy: float, images: int) -> Numbers:
        bound = drop_bound(lost, gained, images, self.errors)
        return np.where(bound <= self.most_drop + 1e-12, saving, NEVER)


@dataclass(frozen=True)
class Product:
    """T16 section 5.2: saving times accuracy. accuracy: of the full network."""

    name: str = "product"

    def value(self, saving: Numbers, lost: Counts, gained: Counts, accuracy: float, images: int) -> Numbers:
        return saving * (accuracy - (lost - gained) / images)
