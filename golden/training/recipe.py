"""How a network is trained: numbers only, one recipe per data set."""

from dataclasses import dataclass

from hw.errors import BadInput


@dataclass(frozen=True)
class Recipe:
    """epochs: of each training in the chain. full_epochs: of the last increment and its golden model, whose epochs take
    several times as long. batch: images per step. learning_rate: peak. weight_decay: AdamW's. score_limit: scores of
    larger magnitude are penalised, because <16,10> ends at 32. flip: mirror half of the images (never digits).
    validation: images held out of the training set. shift: largest random shift in pixels.
    """

    epochs: int = 30
    full_epochs: int = 12
    batch: int = 256
    learning_rate: float = 8e-3
    weight_decay: float = 0.1
    score_limit: float = 16.0
    flip: bool = False
    validation: int = 10_000
    shift: int = 1

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("full_epochs", 1), ("batch", 1), ("validation", 1), ("shift", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise BadInput(f"training wants {name} of at least {low}, not {value!r}")


# Shifts are the only augmentation of digits; natural images may also be mirrored and move further.
RECIPES: dict[str, Recipe] = {
    "mnist": Recipe(),
    "fashion-mnist": Recipe(flip=True),
    "cifar10": Recipe(flip=True, shift=2, validation=5_000),
    "svhn": Recipe(shift=2, validation=6_000),
}
