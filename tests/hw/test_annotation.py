"""Register bits that an event counts: banks in the place of registers, the monitor's groups, and the rest."""

from hw.annotation import annotation
from hw.monitor import Register

NEURON = ("tile", "nfu$6", "neuron_1")
COUNTS = Register(("tile", "counters"), "snapshot", 1200)  # only in the tile that measures


def built() -> list[Register]:
    return [
        Register(("tile",), "state", 2),
        Register(("tile", "nfu$6"), "operand_0", 16),
        Register(("tile", "strange"), "held", 5),
        Register(NEURON, "bias$81", 7),
        Register((*NEURON, "pool_lane$4"), "pooled", 4),
        Register((*NEURON, "products$2"), "product_0", 20),
        Register((*NEURON, "products$2"), "product_1", 20),
    ]


def measuring() -> list[Register]:
    """Products and operands are banks there, and the numbers of names are others; one register belongs to the bank
    itself."""
    gone = {"product_0", "product_1", "operand_0", "bias$81"}
    others = [register for register in built() if register.name not in gone]
    return [*others, Register(NEURON, "bias$99", 7), Register(NEURON, "was_read", 1), COUNTS]


def test_banks_and_the_monitor_count_the_rest_is_said() -> None:
    assert annotation(built(), measuring()) == {
        "neurons": {"bits": 51, "counted": 44},
        "nfu": {"bits": 16, "counted": 16},
        "strange": {"bits": 5, "counted": 0},
        "tile": {"bits": 2, "counted": 2},
    }


def test_a_product_that_stays_a_plain_register_is_not_counted() -> None:
    found = annotation(built(), [*measuring(), Register((*NEURON, "products$3"), "product_1", 20)])
    assert found["neurons"] == {"bits": 51, "counted": 24}


def test_nothing_is_counted_where_nothing_counts() -> None:
    found = annotation(built(), None)
    assert {name: share["counted"] for name, share in found.items()} == dict.fromkeys(found, 0)
    assert sum(share["bits"] for share in found.values()) == 74
