"""What T16 prints: Tann et al. 2016, section 5, Tables 1, 2, 4, 6, 7, 8 and 9. The one place where these numbers stand.

By network, increments from the smallest on. Measured by T16 on its own 65 nm tile, <32,16>, without DRAM.
"""

from typing import NamedTuple


class Design(NamedTuple):
    """A row of Table 1."""

    area_mm2: float
    power_mw: float
    delay_ns: float


#: Table 1, by number format.
DESIGNS = {"<32,16>": Design(14.13, 1213.4, 3.99), "<16,10>": Design(6.88, 574.8, 3.94)}
#: Table 2, <32,16>: shares of area and power in percent; of the margin controller section 5.1.
SHARES_PERCENT = {
    "NFU": (9.03, 13.50),
    "SB": (80.64, 80.76),
    "NBin": (5.04, 5.05),
    "NBout": (5.04, 5.05),
    "registers": (0.65, 2.31),
    "control": (0.26, 0.33),
    "margin controller": (0.15, 0.15),
}

#: Networks in the paper's order.
TITLES = {"lenet": "LeNet", "convnet": "ConvNet", "alexnet": "ALEXnet"}
#: The data set that T16 ran each on (section 5.1).
DATASETS = {"lenet": "mnist", "convnet": "svhn", "alexnet": "cifar10"}
#: What may stand in its column: T16's own data set, or the one that stands in for it.
STAND_INS = {"lenet": ("mnist",), "convnet": ("svhn", "cifar10"), "alexnet": ("cifar10",)}
NODE_NM = 65  # section 5.1
CLOCK_NS = 4.0  # Table 1: 3.99 ns

#: Table 4: mean time per image in us.
TIME_US = {
    "lenet": (4.61, 14.43, 75.54, 283.04),
    "convnet": (86.49, 313.69, 686.51, 1203.34),
    "alexnet": (57.80, 177.04, 357.74, 599.85),
}
#: Table 4: mean energy per image in uJ.
ENERGY_UJ = {
    "lenet": (5.59, 17.48, 91.61, 343.39),
    "convnet": (103.78, 376.41, 823.76, 1443.90),
    "alexnet": (70.12, 214.80, 434.03, 727.81),
}
#: Fractions that the times of Table 4 fit (A f^2 + B f + C); T16 prints LeNet's in Table 7 as other ones.
FRACTIONS = {"lenet": (0.1, 0.2, 0.5, 1.0), "convnet": (0.25, 0.5, 0.75, 1.0), "alexnet": (0.25, 0.5, 0.75, 1.0)}

#: Table 6: additional storage over the original network in percent, with every increment's classifier.
EXTRA_STORAGE_PERCENT = {"lenet": 0.58, "convnet": 0.10, "alexnet": 17.39}
#: Table 6: the same of Big/Little, one weight set per increment.
BIG_LITTLE_STORAGE_PERCENT = {"lenet": 30.71, "convnet": 88.08, "alexnet": 96.43}

#: Table 7: fractions of the opportunistic run.
PLANNED_FRACTIONS = {"lenet": (0.25, 0.30, 1.0), "convnet": (0.25, 1.0), "alexnet": (0.25, 1.0)}
#: Table 7: thresholds of the score margin, of softmax scores; none for the last increment.
THRESHOLDS = {"lenet": (0.90, 0.85), "convnet": (0.75,), "alexnet": (0.70,)}

#: Table 8: accuracy of the increments of the opportunistic run.
ACCURACY = {"lenet": (0.9760, 0.9866, 0.9885), "convnet": (0.828, 0.8637), "alexnet": (0.724, 0.8088)}
#: Table 8, in parentheses: accuracy of golden models of the same size.
GOLDEN_ACCURACY = {"lenet": (0.9760, 0.9856, 0.9882), "convnet": (0.828, 0.8691), "alexnet": (0.724, 0.8106)}
#: Table 8's energies are these entries of Table 4.
PLANNED_INCREMENTS = {"lenet": (0, 1, 3), "convnet": (0, 3), "alexnet": (0, 3)}

#: Table 9: accuracy lost by the opportunistic run, in points.
DROP_POINTS = {"lenet": 0.60, "convnet": 0.96, "alexnet": 0.29}
#: Table 9: energy saved by it on the accelerator, in percent.
SAVING_PERCENT = {"lenet": 95.53, "convnet": 58.74, "alexnet": 32.61}

#: Section 5.2: most accuracy that four increments cost the full network, in points.
FOUR_INCREMENTS_DROP_POINTS = 1.4


def column(name: str, dataset: str) -> str | None:
    """T16's network that ``name`` of t16.json (``lenet``, ``lenet-mnist``) on ``dataset`` stands beside; None: none."""
    network = name.partition("-")[0]
    return network if dataset in STAND_INS.get(network, ()) else None
