"""Schema 1 of ``plan.json``. docs/planner.md describes every field. Shares are 0 to 1, points are percent."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
ScoreName = Literal["raw", "softmax"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CheckpointOfPlan(_Strict):
    """The trained network that the plan is for. fractions: of every increment it has."""

    path: str
    sha256: str
    seed: int
    block_causal: bool
    fractions: list[Fraction]


class ImagesOfPlan(_Strict):
    images: int = Field(gt=0)
    source: str


class GoalOfPlan(_Strict):
    """What was made most. The limit of the drop, and by how many standard errors it is kept; None for the product."""

    name: Literal["saving", "product"]
    most_drop_points: float | None
    standard_errors: float | None


class Step(_Strict):
    """What escalating from increment ``few`` to ``more`` adds, in the unit of the costs."""

    few: Count
    more: Count
    cost: float = Field(gt=0)
    source: str


class CostOfPlan(_Strict):
    """alone: per image on each increment alone."""

    unit: str
    source: str
    reuse: Literal["none", "time", "work"]
    alone: list[Annotated[float, Field(gt=0)]]
    steps: list[Step]


class IncrementOfPlan(_Strict):
    """One that the checkpoint has. accuracy: of the integer model on the held-out images."""

    fraction: Fraction
    channels: list[int]
    accuracy: Rate


class Named(_Strict):
    """A chain of increments with thresholds of its margins, one per increment but the last."""

    fractions: list[Fraction] = Field(min_length=1)
    score: ScoreName
    thresholds: list[Annotated[float, Field(ge=0)]]

    @model_validator(mode="after")
    def _thresholds(self) -> "Named":
        wanted, given = len(self.fractions) - 1, len(self.thresholds)
        if wanted != given:
            raise ValueError(f"wants {wanted} thresholds, one per increment but the last, not {given}")
        if self.fractions != sorted(set(self.fractions)):
            raise ValueError(f"wants rising fractions, not {self.fractions}")
        return self


class Chosen(Named):
    """What Algorithm 3 gives on the held-out images. drop: against the full network alone; bound: with its standard
    errors. lost, gained: images that only the full network, and only this chain, decides rightly."""

    saving: float
    accuracy: Rate
    drop_points: float
    drop_bound_points: float
    lost: Count
    gained: Count
    product: float
    exact: bool


class Alternative(Chosen):
    """on_front: no other one has both a lower cost and a higher accuracy (equation 4)."""

    on_front: bool


class Equations(_Strict):
    """Equations 1 to 3 for the chosen chain (golden.planner.predicted)."""

    correct: list[Rate]
    right_above: list[Rate]
    wrong_above: list[Rate]
    stop: list[Rate]
    cost: float
    accuracy: float
    accuracy_as_printed: float
    redo: Rate


class Plan(Chosen):
    """The chosen chain. increments: numbers in the checkpoint. registers: thresholds as the tile takes them. stops:
    held-out images that stop at each increment."""

    increments: list[Count]
    registers: list[Count]
    stops: list[Count]
    full_accuracy: Rate
    equations: Equations


class Ideal(_Strict):
    """Equation 1 if margins told right from wrong without error: T16's choice of N and the fractions."""

    fractions: list[Fraction]
    cost: float
    accuracy: Rate


class EstimateOfPlan(_Strict):
    value: float
    low: float
    high: float


class CrossValidated(_Strict):
    """Every held-out image under a choice that was made without it; intervals by bootstrap over the images."""

    folds: int = Field(ge=2)
    confidence: Rate
    resamples: int
    drop_points: EstimateOfPlan
    saving: EstimateOfPlan
    choices: list[Named]


class Margins(_Strict):
    """Images per bin: right and wrong decisions of an increment. The last bin holds all larger margins too."""

    fraction: Fraction
    right: list[Count]
    wrong: list[Count]


class Histograms(_Strict):
    score: ScoreName
    edges: list[float]
    increments: list[Margins]


class PlanFile(_Strict):
    file_schema: Literal[1] = Field(alias="schema")
    network: str
    dataset: str
    checkpoint: CheckpointOfPlan
    format: str
    validation: ImagesOfPlan
    goal: GoalOfPlan
    cost: CostOfPlan
    increments: list[IncrementOfPlan]
    plan: Plan
    alternatives: list[Alternative]
    ideal: list[Ideal]
    cross_validation: CrossValidated
    histograms: list[Histograms]
    seed: int
    versions: dict[str, str]
    commit: str
    command: str

    @model_validator(mode="after")
    def _agrees(self) -> "PlanFile":
        known, plan = self.checkpoint.fractions, self.plan
        if any(number >= len(known) for number in plan.increments) or plan.fractions != [
            known[number] for number in plan.increments
        ]:
            raise ValueError(f"plan wants fractions {plan.fractions} of the checkpoint at its increments")
        if sum(plan.stops) != self.validation.images:
            raise ValueError(f"plan wants stops of {self.validation.images} images, not {sum(plan.stops)}")
        return self


def content(found: PlanFile) -> dict[str, Any]:
    """As it stands in the file."""
    return found.model_dump(by_alias=True, mode="json")
