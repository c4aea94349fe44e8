"""Costs: MACs of LeNet by hand, kept work, and measured energies of chains."""

from pathlib import Path

import pytest

from golden import checkpoint
from golden.evaluate import integer_networks
from golden.planner.costs import ALONE, Costs, increment_macs, kept_macs, mac_costs, measured_costs
from hw.errors import BadInput
from hw.params import preset
from tests.golden.planner import made

FMT = preset("paper32").fmt
DENSE, CAUSAL = (Path(f"checkpoints/lenet-mnist{end}.npz") for end in ("", "-causal"))


def test_a_dense_network_pays_every_increment_whole() -> None:
    trained = checkpoint.load(DENSE)
    found = mac_costs(integer_networks(trained, FMT), "none")
    assert increment_macs(trained, FMT) == [49_300, 138_600, 2_293_000]
    assert found.alone == (49_300, 138_600, 2_293_000)
    assert (found.step(0, 1), found.step(0, 2), found.step(1, 2)) == (138_600, 2_293_000, 2_293_000)
    assert found.paid([0, 1, 2]) == [49_300, 187_900, 2_480_900]
    assert found.paid([1, 2]) == [138_600, 2_431_600]
    assert found.paid([2]) == [2_293_000]
    assert found.step_sources[0][1] == ALONE


def test_a_dense_network_can_keep_its_first_layer() -> None:
    nets = integer_networks(checkpoint.load(DENSE), FMT)
    assert kept_macs(nets[0], nets[1]) == 2 * 25 * 24 * 24  # 2 channels of 5x5 over 24x24 pixels
    assert mac_costs(nets, "time").step(0, 1) == 138_600 - 28_800


def test_a_block_causal_network_keeps_all_hidden_layers() -> None:
    nets = integer_networks(checkpoint.load(CAUSAL), FMT)
    # 10 of 20 channels of 5x5 over 24x24; 25 of 50 of 20x5x5 over 8x8; 250 of 500 of 50x4x4
    kept = 10 * 25 * 576 + 25 * 500 * 64 + 250 * 800
    assert kept_macs(nets[0], nets[1]) == kept
    found = mac_costs(nets, "work")
    assert found.step(0, 1) == 2_293_000 - kept
    assert found.step_sources[0][1] == f"the larger increment's MACs without the {kept:,} kept ones"
    assert mac_costs(nets, "none").step(0, 1) == 2_293_000


def test_measured_steps_come_from_the_chain_where_it_shows_them() -> None:
    found = measured_costs([1.0, 3.0, 10.0], [1.1, 3.6, 9.1], unit="uJ", source="here")
    assert found.alone == (1.0, 3.0, 10.0)
    assert found.step(0, 1) == pytest.approx(2.5)
    assert found.step(1, 2) == pytest.approx(5.5)
    assert found.step(0, 2) == 10.0  # the chain never goes there
    assert found.step_sources[1][2] == "measured on escalated images"
    assert found.step_sources[0][2] == ALONE


@pytest.mark.parametrize("chain", [[None, None, None], [1.1, None, 9.1], [1.1, 0.9, 0.8]])
def test_steps_that_the_chain_does_not_show_cost_a_whole_run(chain: list[float | None]) -> None:
    found = measured_costs([1.0, 3.0, 10.0], chain, unit="uJ", source="here")
    assert (found.step(0, 1), found.step(1, 2)) == (3.0, 10.0)


def test_bad_costs_are_refused() -> None:
    found = made.costs((1.0, 2.0))
    with pytest.raises(BadInput, match="an escalation wants a larger increment, not 0 after 1"):
        found.step(1, 0)
    with pytest.raises(BadInput, match=r"costs alone want finite numbers above 0, not \[0.0, 2.0\]"):
        made.costs((0.0, 2.0))
    with pytest.raises(BadInput, match="costs steps of 0 want finite numbers above 0"):
        Costs((1.0, 2.0), ((None, -1.0), (None, None)), "MAC", "made", ((None, ALONE), (None, None)))
