"""How a network is trained: numbers only, one recipe per data set."""

from dataclasses import dataclass

from hw.errors import BadInput


@dataclass(frozen=True)
class Recipe:
    """epochs: of each training in the chain. full_epochs: of the last increment and its golden model, whose epochs take
    several times as long. joint_epochs: of a joint training. batch: images per step. learning_rate: peak.
    weight_decay: AdamW's. score_limit: scores of larger magnitude are penalised, because <16,10> ends at 32. flip:
    mirror half of the images (never digits).
    validation: images held out of the training set. shift: largest random shift in pixels. earlier_weight: in a joint
    training, share of each loss but the last increment's, which has 1. soft_share: part of the earlier losses that is
    taken against the last increment's softmax scores in place of the labels. most_drop: accuracy that thresholds may
    cost against the last increment alone, 0 to 1; errors: its standard errors to keep below that (see `thresholds`).
    """

    epochs: int = 30
    full_epochs: int = 12
    joint_epochs: int = 30
    batch: int = 256
    learning_rate: float = 8e-3
    weight_decay: float = 0.1
    score_limit: float = 16.0
    flip: bool = False
    validation: int = 10_000
    shift: int = 1
    earlier_weight: float = 0.5
    soft_share: float = 0.5
    most_drop: float = 0.001
    errors: float = 1.8

    def __post_init__(self) -> None:
        counts = ("epochs", "full_epochs", "joint_epochs", "batch", "validation")
        for name, low in (*((name, 1) for name in counts), ("shift", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise BadInput(f"training wants {name} of at least {low}, not {value!r}")


# Shifts are the only augmentation of digits; natural images may also be mirrored and move further.
RECIPES: dict[str, Recipe] = {
    "mnist": Recipe(earlier_weight=1.0),
    "fashion-mnist": Recipe(flip=True, earlier_weight=1.0),
    "cifar10": Recipe(
        batch=64,
        learning_rate=5e-3,
        weight_decay=0.05,
        flip=True,
        shift=2,
        validation=5_000,
        earlier_weight=0.3,
        most_drop=0.0029,
    ),
    "svhn": Recipe(shift=2, validation=6_000),
}
