"""docs/results/t16.md is what docs/results/t16.json gives, its pictures are there, and the JSON agrees with itself.

Lands together with the JSON and the page; both must exist.
"""

import hashlib
from pathlib import Path

import pytest

from synth.paper.claims import late_images
from synth.paper.files import plans_of, read_paper
from synth.paper.page import IMAGES, JSON, PAGE, text_of
from synth.paper.schema import Network, Paper

POINTS = 1e-4  # what seven digits of the energies leave of a saving


@pytest.fixture(scope="module")
def found() -> Paper:
    assert JSON.exists(), "run tilewatt paper and put its t16.json there"
    return read_paper(JSON)


@pytest.fixture(scope="module")
def networks(found: Paper) -> list[Network]:
    assert found.networks
    return list(found.networks.values())


def test_page_holds_the_results(found: Paper) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == text_of(), "run python -m synth.paper.page"
    assert all(network.title in text for network in found.networks.values())


def test_pictures_are_there(found: Paper) -> None:
    links = [line.partition("](")[2].rstrip(")") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    pictures = [(PAGE.parent / link).resolve() for link in links if link.endswith(".png")]
    assert len(pictures) >= 4
    for path in pictures:
        assert path.parent == IMAGES
        assert path.read_bytes().startswith(b"\x89PNG")
    assert len(plans_of(found, JSON.parent)) == len(found.networks), "Figure 7 wants plan-X.json of every checkpoint"


def test_measured_on_the_committed_checkpoints(found: Paper, networks: list[Network]) -> None:
    for network in networks:
        assert not network.origin.commit.endswith("+"), "measure from a clean checkout"
        assert hashlib.sha256(Path(network.checkpoint).read_bytes()).hexdigest() == network.checkpoint_sha256


def test_shares_are_those_of_the_energies(networks: list[Network]) -> None:
    for network in networks:
        full, run = network.increments[-1].cost, network.opportunistic
        assert run.full_accuracy == network.increments[-1].accuracy
        assert run.accuracy_drop_points == pytest.approx(100 * (run.full_accuracy - run.accuracy), abs=POINTS)
        saving = 100 * (1 - run.cost.energy_uj / full.energy_uj)
        assert run.saving_percent == pytest.approx(saving, abs=POINTS)
        saving = 100 * (1 - run.cost.energy_with_dram_uj / full.energy_with_dram_uj)
        assert run.saving_with_dram_percent == pytest.approx(saving, abs=POINTS)
        assert run.cycles_saving_percent == pytest.approx(100 * (1 - run.cost.cycles / full.cycles), abs=POINTS)
        assert run.saving_ci99_percent[0] <= run.saving_percent <= run.saving_ci99_percent[1]
        assert sum(run.stops) == run.images == run.cost.images <= run.test_images == network.test_images


def test_storage_and_increments(networks: list[Network]) -> None:
    for network in networks:
        store = network.storage
        extra = 100 * (store.increments_bytes / store.full_bytes - 1)
        assert network.extra_storage_percent == pytest.approx(extra, abs=POINTS)
        assert store.full_bytes < store.increments_bytes < store.golden_models_bytes
        assert len(store.added_bytes) == len(network.increments) - 1
        assert all(0 < added <= store.increments_bytes - store.full_bytes for added in store.added_bytes)
        for values in (
            [item.fraction for item in network.increments],
            [item.macs for item in network.increments],
            [item.cost.cycles for item in network.increments],
            [item.cost.energy_uj for item in network.increments],
        ):
            assert values == sorted(set(values))


def test_budget_runs(networks: list[Network]) -> None:
    runs = [(network, run) for network in networks for run in network.budget]
    assert {run.kind for _, run in runs} == {"energy", "delay"}
    for network, run in runs:
        assert run.images
        smallest = network.increments[0].fraction
        assert late_images(run, len(network.increments), smallest) == run.late
        assert {item.fraction for item in run.images} <= {item.fraction for item in network.increments}
