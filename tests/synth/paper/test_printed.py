"""What T16 prints: entries read off the paper's pages, and tables that agree with each other."""

import pytest

from synth.paper import printed


def test_entries_of_the_paper() -> None:
    assert printed.TIME_US["convnet"][3] == 1203.34
    assert printed.ENERGY_UJ["lenet"] == (5.59, 17.48, 91.61, 343.39)
    assert printed.ENERGY_UJ["alexnet"][0] == 70.12
    assert printed.EXTRA_STORAGE_PERCENT == {"lenet": 0.58, "convnet": 0.10, "alexnet": 17.39}
    assert printed.BIG_LITTLE_STORAGE_PERCENT == {"lenet": 30.71, "convnet": 88.08, "alexnet": 96.43}
    assert printed.THRESHOLDS["lenet"] == (0.90, 0.85)
    assert printed.ACCURACY["alexnet"] == (0.724, 0.8088)
    assert printed.GOLDEN_ACCURACY["convnet"] == (0.828, 0.8691)
    assert printed.DROP_POINTS == {"lenet": 0.60, "convnet": 0.96, "alexnet": 0.29}
    assert printed.SAVING_PERCENT == {"lenet": 95.53, "convnet": 58.74, "alexnet": 32.61}


def test_energies_are_one_power_times_the_times() -> None:
    for network, times in printed.TIME_US.items():
        for time_us, energy_uj in zip(times, printed.ENERGY_UJ[network], strict=True):
            assert 1.19 < energy_uj / time_us < 1.22, "Table 1: 1213.4 mW"


def test_every_table_has_every_network_and_as_many_entries() -> None:
    for network in printed.TITLES:
        assert len(printed.TIME_US[network]) == len(printed.ENERGY_UJ[network]) == len(printed.FRACTIONS[network]) == 4
        count = len(printed.PLANNED_FRACTIONS[network])
        assert len(printed.THRESHOLDS[network]) == count - 1
        for of in (printed.ACCURACY, printed.GOLDEN_ACCURACY, printed.PLANNED_INCREMENTS):
            assert len(of[network]) == count
        assert printed.DATASETS[network] in printed.STAND_INS[network]


@pytest.mark.parametrize(
    ("name", "dataset", "wanted"),
    [
        ("lenet", "mnist", "lenet"),
        ("lenet-mnist", "mnist", "lenet"),
        ("lenet-fashion", "fashion-mnist", None),
        ("convnet", "cifar10", "convnet"),
        ("convnet", "svhn", "convnet"),
        ("alexnet", "svhn", None),
        ("mine", "mnist", None),
    ],
)
def test_which_column_a_network_stands_beside(name: str, dataset: str, wanted: str | None) -> None:
    assert printed.column(name, dataset) == wanted
