"""Schema 2 of ``t16.json``: what T16's evaluation measures, network by network. Shares are 0 to 1, points are percent.

Energies are means of an image. On-chip is T16's measure; with_dram adds the DRAM's. ci99: 99 % t-interval over images.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
Uj = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Interval = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cost(_Strict):
    """Measured on RTL, mean of ``images`` images that RTL and golden agreed on word for word."""

    images: Count
    cycles: float
    time_us: float
    energy_uj: Uj
    energy_ci99_uj: Interval | None
    energy_with_dram_uj: Uj
    energy_with_dram_ci99_uj: Interval | None


class Increment(_Strict):
    """accuracy: of the integer model on every test image. golden: of the model of the same channels trained alone;
    shutdown: of the last golden model, trailing channels shut off; floats, None where a checkpoint has none."""

    fraction: float
    channels: list[int]
    macs: Count
    accuracy: Rate
    golden_accuracy: Rate | None
    shutdown_accuracy: Rate | None
    cost: Cost


class Opportunistic(_Strict):
    """T16 Algorithm 3. fractions, thresholds: as planned on held-out images, before the test set was seen. images: run
    on RTL, of test_images. saving: against the last increment alone, Table 9's measure; ci99: of both means. accuracy,
    drop: over every test image by the integer model, which RTL agreed with on ``images``. drop_to_golden: against the
    golden model of all channels (float)."""

    score: Literal["raw", "softmax"]
    fractions: list[float]
    thresholds: list[float]
    validation_images: Count
    validation_saving_percent: float
    validation_drop_points: float
    reuse: Literal["none", "time", "work"]
    images: Count
    test_images: Count
    stops: list[Count]
    cost: Cost
    accuracy: Rate
    full_accuracy: Rate
    accuracy_drop_points: float
    drop_to_golden_points: float | None
    saving_percent: float
    saving_ci99_percent: Interval
    saving_with_dram_percent: float
    cycles_saving_percent: float


class Storage(_Strict):
    """Bytes of weights, biases included, as they lie in the DRAM image. full: of the last increment alone; increments:
    with every increment's own classifier or biases; added: what each increment but the last adds to those;
    golden_models: one weight set per increment."""

    full_bytes: Count
    increments_bytes: Count
    added_bytes: list[Count]
    golden_models_bytes: Count


class BigLittle(_Strict):
    """Park et al.: two networks trained alone, the little one of ``fraction``; the big one runs where its margin is
    below the threshold, chosen on held-out images. Energies are of golden models on the same tile."""

    fraction: float
    score: Literal["raw", "softmax"]
    threshold: float
    escalated: Rate
    little: Cost
    big: Cost
    little_accuracy: Rate
    big_accuracy: Rate
    accuracy: Rate
    accuracy_drop_points: float
    saving_percent: float
    saving_with_dram_percent: float
    extra_storage_percent: float


class BudgetImage(_Strict):
    """One image of a budget run: budgets and what the on-chip meter and the cycle counter gave. None: no budget."""

    budget_uj: float | None
    budget_us: float | None
    fraction: float
    metered_uj: float
    energy_uj: float
    time_us: float
    impossible: bool


class BudgetRun(_Strict):
    """T16 Algorithm 2 on RTL (Figure 11). late: images that break the promise of docs/budget.md. meter_error_percent:
    of the meter against the activity energy, increment by increment."""

    kind: Literal["energy", "delay"]
    images: list[BudgetImage]
    late: Count
    meter_error_percent: list[float]


class Origin(_Strict):
    """What measured a network: seed of the simulations; versions of Python and packages."""

    command: str
    commit: str
    seed: int
    versions: dict[str, str]


class Network(_Strict):
    """dataset_note: what stands in for what, or "". shared_classifier: increments have one but for its biases.
    extra_storage: of all increments, over the full network."""

    title: str
    origin: Origin
    dataset: str
    dataset_note: str
    checkpoint: str
    checkpoint_sha256: str
    block_causal: bool
    shared_classifier: bool
    test_images: Count
    increments: list[Increment]
    golden_accuracy: Rate | None
    full_drop_to_golden_points: float | None
    opportunistic: Opportunistic
    storage: Storage
    extra_storage_percent: float
    big_little: BigLittle | None
    budget: list[BudgetRun]


class Paper(_Strict):
    """networks: by name, in the paper's order; measured together or one at a time."""

    file_schema: Literal[2] = Field(alias="schema")
    tile: str
    format: str
    profile: str
    profile_title: str
    node_nm: int
    networks: dict[str, Network]
