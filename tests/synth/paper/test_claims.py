"""Claims are kept by the numbers that keep them and by no others."""

from typing import Any

import pytest

from synth.paper.claims import budget_changes, claims, late_images, missing
from synth.paper.schema import BudgetRun
from tests.synth.paper.made_up import content, paper

Path = tuple[str | int, ...]


def kept(changed: dict[str, Any]) -> dict[str, bool | None]:
    found = claims(paper(changed))
    assert len({claim.text for claim in found}) == len(found)
    return {claim.text: claim.kept for claim in found}


def put(changed: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    *way, last = path
    place: Any = changed
    for key in way:
        place = place[key]
    place[last] = value
    return changed


def test_all_kept_by_the_made_up_numbers() -> None:
    found = kept(content())
    assert len(found) == 23
    assert [text for text, value in found.items() if value is None] == [
        "LeNet on MNIST: saved with the DRAM counted",
        "ConvNet on CIFAR-10: saving and drop",
        "ALEXnet on CIFAR-10: saved with the DRAM counted",
    ]
    assert sum(value is True for value in found.values()) == 20


@pytest.mark.parametrize(
    ("path", "good", "bad", "text"),
    [
        (("lenet", "opportunistic", "images"), 10_000, 9_999, "LeNet on MNIST: opportunistic run on 10,000"),
        (("lenet", "opportunistic", "saving_percent"), 96.5, 96.49, "LeNet on MNIST: on-chip energy saved >= 96.5 %"),
        (("lenet", "opportunistic", "accuracy_drop_points"), 0.1, 0.11, "LeNet on MNIST: drop at it <= 0.10 points"),
        (("alexnet", "opportunistic", "full_accuracy"), 0.81, 0.8099, "ALEXnet on CIFAR-10: accuracy of the full"),
        (("alexnet", "opportunistic", "saving_percent"), 36.0, 35.99, "ALEXnet on CIFAR-10: on-chip energy saved"),
        (("alexnet", "opportunistic", "accuracy_drop_points"), 0.29, 0.3, "ALEXnet on CIFAR-10: drop at it <= 0.29"),
        (("convnet", "opportunistic", "validation_images"), 5_000, 4_999, "ConvNet on CIFAR-10: thresholds from at"),
        (("convnet", "opportunistic", "drop_to_golden_points"), 0.5, None, "ConvNet on CIFAR-10: drop against the"),
        (("convnet", "full_drop_to_golden_points"), 0.3, 0.31, "ConvNet on CIFAR-10: four increments"),
        (("convnet", "full_drop_to_golden_points"), -0.2, None, "ConvNet on CIFAR-10: four increments"),
        (("lenet", "extra_storage_percent"), 0.58, 0.59, "LeNet on MNIST: extra storage of all increments"),
        (("lenet", "budget", 0, "late"), 0, 1, "LeNet on MNIST: energy budget kept after at most 4 images"),
        (("lenet", "budget", 1, "images", 25, "time_us"), 1.0, 100.0, "LeNet on MNIST: delay budget kept after at"),
    ],
)
def test_each_claim_both_ways(path: Path, good: Any, bad: Any, text: str) -> None:
    for value, wanted in ((good, True), (bad, False)):
        found = kept(put(content(), ("networks", *path), value))
        assert [kept for name, kept in found.items() if name.startswith(text)] == [wanted]
        assert sum(kept is False for kept in found.values()) == (wanted is False)


def test_three_increments_are_not_four() -> None:
    changed = content()
    del changed["networks"]["lenet"]["increments"][2]
    assert (
        kept(changed)["LeNet on MNIST: four increments, full network at most 0.3 points below the golden model"]
        is False
    )


def test_what_was_not_measured_is_not_kept() -> None:
    changed = content()
    del changed["networks"]["alexnet"]
    changed["networks"]["lenet"]["budget"].pop()
    assert missing(paper(changed)) == ["ALEXnet"]
    found = kept(changed)
    assert found["ALEXnet: measured"] is False
    assert found["budget run: delay"] is False
    changed["networks"]["lenet"]["budget"].clear()
    assert kept(changed)["budget run: energy and delay"] is False


def test_a_network_that_t16_does_not_have() -> None:
    changed = content()
    changed["networks"]["lenet-fashion"] = changed["networks"].pop("convnet") | {
        "title": "Fashion",
        "dataset": "fashion",
    }
    found = kept(changed)
    assert found["ConvNet: measured"] is False
    assert found["Fashion: four increments, full network at most 0.3 points below the golden model"] is True
    assert not [text for text in found if text.startswith("Fashion: extra storage")]


def run(*images: tuple[float | None, float, float, bool]) -> BudgetRun:
    """images: (budget, fraction, metered energy, reported as impossible)."""
    keys = ("budget_uj", "fraction", "metered_uj", "impossible")
    rest = {"budget_us": None, "energy_uj": 1.0, "time_us": 1.0}
    shown = [dict(zip(keys, image, strict=True)) | rest for image in images]
    return BudgetRun.model_validate({"kind": "energy", "images": shown, "late": 0, "meter_error_percent": []})


def test_late_images() -> None:
    full = (None, 1.0, 9.0, False)
    good = run(full, (2.0, 1.0, 9.0, False), (2.0, 0.5, 4.0, False), (2.0, 0.1, 2.0, False), (2.0, 0.1, 2.0, False))
    assert (late_images(good, 3, 0.1), budget_changes(good)) == (0, 1)
    assert late_images(good, 2, 0.1) == 1, "two increments: the second image after the step is above"
    again = run(full, (2.0, 0.1, 2.0, False), (2.0, 0.5, 4.0, False))
    assert late_images(again, 3, 0.1) == 1, "above once it was within"
    hopeless = run(*[(1.0, 0.1, 2.0, True)] * 4)
    assert (late_images(hopeless, 2, 0.1), budget_changes(hopeless)) == (0, 0)
    assert late_images(run(*[(1.0, 0.1, 2.0, False)] * 4), 2, 0.1) == 3, "impossible and not reported"
    assert late_images(run(*[(1.0, 0.5, 2.0, True)] * 4), 2, 0.1) == 3, "reported, but not the smallest increment"


def test_a_run_without_a_step_keeps_nothing() -> None:
    changed = content()
    images = changed["networks"]["lenet"]["budget"][0]["images"]
    del images[12:]
    assert kept(changed)["LeNet on MNIST: energy budget kept after at most 4 images of a step"] is False
    images.clear()
    assert kept(changed)["LeNet on MNIST: energy budget kept after at most 4 images of a step"] is False
