"""A complete, made-up content of t16.json: three networks whose numbers are none that anybody measured."""

import copy
from typing import Any

from synth.paper.schema import Paper

CHANNELS = {"lenet": (20, 50, 500), "convnet": (16, 512, 20, 20), "alexnet": (32, 32, 64)}
FRACTIONS = {"lenet": (0.1, 0.2, 0.5, 1.0), "convnet": (0.25, 0.5, 0.75, 1.0), "alexnet": (0.25, 0.5, 0.75, 1.0)}
PLANNED = {"lenet": (0.1, 0.2, 1.0), "convnet": (0.25, 1.0), "alexnet": (0.25, 1.0)}
FULL_CYCLES = {"lenet": 33_000.0, "convnet": 260_000.0, "alexnet": 71_000.0}
ACCURACY = {"lenet": 0.995, "convnet": 0.82, "alexnet": 0.8125}
STOPS = {"lenet": [9400, 480, 120], "convnet": [700, 300], "alexnet": [580, 420]}


def cost(cycles: float, images: int = 1000) -> dict[str, Any]:
    energy = cycles * 2.1e-4
    return {
        "images": images,
        "cycles": cycles,
        "time_us": cycles * 0.004,
        "energy_uj": energy,
        "energy_ci99_uj": [energy * 0.999, energy * 1.001],
        "energy_with_dram_uj": energy * 1.7,
        "energy_with_dram_ci99_uj": [energy * 1.699, energy * 1.701],
    }


def _increments(name: str) -> list[dict[str, Any]]:
    found = []
    for fraction in FRACTIONS[name]:
        found.append(
            {
                "fraction": fraction,
                "channels": [*(round(fraction * full) for full in CHANNELS[name]), 10],
                "macs": round(2_293_000 * fraction**2),
                "accuracy": ACCURACY[name] - 0.08 * (1 - fraction) ** 2,
                "golden_accuracy": ACCURACY[name] + 0.001 - 0.07 * (1 - fraction) ** 2,
                "shutdown_accuracy": ACCURACY[name] + 0.001 if fraction == 1 else 0.1 + 0.6 * fraction**3,
                "cost": cost(FULL_CYCLES[name] * (0.01 + 0.99 * fraction**2)),
            }
        )
    return found


def run(kind: str, budgets: list[tuple[float | None, int]], increments: list[dict[str, Any]]) -> dict[str, Any]:
    """A budget run of a controller that remembers. budgets: of energy (uJ) or time (us), with their images."""
    images, known = [], [0.0] * len(increments)
    key = "energy_uj" if kind == "energy" else "time_us"
    for budget, count in budgets:
        for _ in range(count):
            above = [k for k, value in enumerate(known) if budget is not None and value > budget]
            place = max(0, above[0] - 1) if above else len(increments) - 1
            taken = increments[place]["cost"]
            known[place] = taken[key]
            images.append(
                {
                    "budget_uj": budget if kind == "energy" else None,
                    "budget_us": budget if kind == "delay" else None,
                    "fraction": increments[place]["fraction"],
                    "metered_uj": taken["energy_uj"],
                    "energy_uj": taken["energy_uj"] * 1.01,
                    "time_us": taken["time_us"],
                    "impossible": place == 0 and budget is not None and known[0] > budget,
                }
            )
    return {"kind": kind, "images": images, "late": 0, "meter_error_percent": [0.5, -0.25, 0.125, 0.0625]}


def _network(name: str, title: str, dataset: str, note: str, digit: str) -> dict[str, Any]:
    increments = _increments(name)
    shown = [item for item in increments if item["fraction"] in PLANNED[name]]
    stops = STOPS[name]
    share = [count / sum(stops) for count in stops]
    cycles = sum(part * item["cost"]["cycles"] for part, item in zip(share, shown, strict=True))
    saving = 100 * (1 - cycles / FULL_CYCLES[name])
    budgets = [
        [(f * cost(FULL_CYCLES[name])[k], 12) for f in (1.1, 0.6, 0.3, 0.001, 0.6)] for k in ("energy_uj", "time_us")
    ]
    return {
        "title": title,
        "origin": {
            "command": "tilewatt paper --jobs 2",
            "commit": "0123456789abcdef",
            "seed": 1,
            "versions": {"torch": "2.13.0", "verilator": "5.48"},
        },
        "dataset": dataset,
        "dataset_note": note,
        "checkpoint": f"checkpoints/{name}-{dataset}.npz",
        "checkpoint_sha256": digit * 64,
        "block_causal": name == "alexnet",
        "shared_classifier": name == "lenet",
        "test_images": 10_000,
        "increments": increments,
        "golden_accuracy": ACCURACY[name] + 0.001,
        "full_drop_to_golden_points": 0.1,
        "opportunistic": {
            "score": "softmax" if name == "lenet" else "raw",
            "fractions": PLANNED[name],
            "thresholds": [0.8125, 0.65625][: len(stops) - 1],
            "validation_images": 10_000,
            "validation_saving_percent": saving - 0.01,
            "validation_drop_points": 0.07,
            "reuse": "work" if name == "alexnet" else "none",
            "images": sum(stops),
            "test_images": 10_000,
            "stops": stops,
            "cost": cost(cycles, sum(stops)),
            "accuracy": ACCURACY[name] - 0.0009,
            "full_accuracy": ACCURACY[name],
            "accuracy_drop_points": 0.09,
            "drop_to_golden_points": 0.19,
            "saving_percent": saving,
            "saving_ci99_percent": [saving - 0.2, saving + 0.2],
            "saving_with_dram_percent": saving - 1.5,
            "cycles_saving_percent": saving - 0.5,
        },
        "storage": {
            "full_bytes": 100_000,
            "increments_bytes": 100_050,
            "added_bytes": [10, 15, 25][: len(FRACTIONS[name]) - 1],
            "golden_models_bytes": 187_654,
        },
        "extra_storage_percent": 0.05,
        "big_little": {
            "fraction": FRACTIONS[name][0],
            "score": "softmax",
            "threshold": 0.71875,
            "escalated": 0.234,
            "little": cost(FULL_CYCLES[name] * 0.02),
            "big": cost(FULL_CYCLES[name]),
            "little_accuracy": 0.8,
            "big_accuracy": 0.9,
            "accuracy": 0.89,
            "accuracy_drop_points": 0.31,
            "saving_percent": saving - 9,
            "saving_with_dram_percent": saving - 11,
            "extra_storage_percent": 3.21,
        },
        "budget": [run(kind, of, increments) for kind, of in zip(("energy", "delay"), budgets, strict=True)]
        if name == "lenet"
        else [],
    }


def content() -> dict[str, Any]:
    """A fresh copy, to change."""
    note = "CIFAR-10 stands in for SVHN, whose files cannot be had."
    networks = {
        "lenet": _network("lenet", "LeNet on MNIST", "mnist", "", "a"),
        "convnet": _network("convnet", "ConvNet on CIFAR-10", "cifar10", note, "b"),
        "alexnet": _network("alexnet", "ALEXnet on CIFAR-10", "cifar10", "JPEG, quality 75.", "c"),
    }
    return copy.deepcopy(
        {
            "schema": 2,
            "tile": "paper32",
            "format": "<32,16>",
            "profile": "made65",
            "profile_title": "a made-up profile",
            "node_nm": 65,
            "networks": networks,
        }
    )


def paper(changed: dict[str, Any] | None = None) -> Paper:
    return Paper.model_validate(changed or content())
