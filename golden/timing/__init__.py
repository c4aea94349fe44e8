"""A model of the tile, cycle by cycle: how long an increment takes, known from its program alone."""

from golden.timing.memory import DDR3, Ideal, Memory
from golden.timing.predict import Predicted, predict, predict_images

__all__ = ["DDR3", "Ideal", "Memory", "Predicted", "predict", "predict_images"]
