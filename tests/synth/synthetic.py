"""Writes measurement folders with made-up counts of a plausible size, for tests of the reader and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from hw.events import CYCLE_KINDS, CYCLE_PARTS, event_names
from hw.params import preset

LEVELS = ((0.1, [2, 5, 50], 12_000), (0.2, [4, 10, 100], 40_000), (1.0, [20, 50, 500], 2_300_000))

#: Of the 48,000 register bits: 800 of the neurons' 30,000 have no event that counts them.
ANNOTATION = {
    "engine": {"bits": 4_000, "counted": 4_000},
    "neurons": {"bits": 30_000, "counted": 29_200},
    "nfu": {"bits": 6_000, "counted": 6_000},
    "post": {"bits": 4_000, "counted": 4_000},
    "tile": {"bits": 4_000, "counted": 4_000},
}


def counts(rng: np.random.Generator, images: int, macs: int, activity: bool, base_cycles: int) -> np.ndarray:
    """int64 [images, events] whose cycle kinds add to cycles and whose beats are the same for every image."""
    names = event_names(activity)
    table = np.zeros((images, len(names)), dtype=np.int64)

    def put(name: str, values: Any) -> None:
        table[:, names.index(name)] = values

    put("instructions", 120)
    put("compute_cycles", macs // 256 + 1)
    put("multiply", macs)
    put("lane_gated", macs // 9)
    put("accumulate", macs // 16)
    put("activation", macs // 200)
    put("pool_update", macs // 220)
    put("sb_read", macs // 24)
    put("sb_write", macs // 60)
    put("nbin_read", macs // 16)
    put("nbin_write", 800)
    put("nbout_read", macs // 300)
    put("nbout_write", macs // 250)
    put("output", macs // 250)
    put("dram_read", macs // 80)
    put("dram_write", 4)
    put("score_vector", 1)
    put("decision", 1)
    for kind in CYCLE_KINDS[1:]:
        put(kind.name, rng.integers(0, base_cycles // 4 + 2, images))
    put("cycles", table[:, [names.index(name) for name in CYCLE_PARTS]].sum(axis=1))
    if activity:
        for name, per_mac in (("operand", 0.4), ("weight", 0.7), ("product", 21), ("sum", 2), ("accumulator", 2)):
            put(f"toggle_{name}", (macs * per_mac * rng.normal(1, 0.1, images)).astype(np.int64))
        put("toggle_output", macs // 60)
    return table


def write(folder: Path, images: int = 6, activity: bool = True, tile: str = "paper32", seed: int = 5) -> Path:
    """A LeNet-like measurement of three increments and an opportunistic run. Returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    params = preset(tile).replace(activity=activity)
    names = event_names(activity)
    arrays: dict[str, Any] = {}
    runs: list[dict[str, Any]] = []
    for index, (fraction, channels, macs) in enumerate(LEVELS):
        events = counts(rng, images, macs, activity, macs // 64)
        beats = int(events[0, names.index("dram_read")] + events[0, names.index("dram_write")])
        accuracy = 0.986 + 0.004 * index
        runs.append(
            {
                "kind": "increment",
                "increment": index,
                "fraction": fraction,
                "channels": channels,
                "accuracy": {"float": accuracy, "golden": accuracy, "rtl": accuracy},
                "images_compared": images,
                "words_compared": images * 1000,
                "mismatches": 0,
                "macs": macs,
                "dram_bytes": beats * params.dram_beat_bytes,
                "limit_cycles": macs // 256,
            }
        )
        arrays[f"run{index}_events"] = events
        arrays[f"run{index}_dram_activates"] = rng.integers(10, 40, images)
    stopped = np.minimum(np.arange(images, dtype=np.int64) % 5 // 3, 2)
    spent = np.stack([sum(arrays[f"run{k}_events"][i] for k in range(stopped[i] + 1)) for i in range(images)])
    runs.append(
        {
            "kind": "opportunistic",
            "increment": 2,
            "fraction": 1.0,
            "channels": [20, 50, 500],
            "accuracy": {"float": None, "golden": 0.991, "rtl": 0.991},
            "images_compared": images,
            "words_compared": images * 1200,
            "mismatches": 0,
            "score": "softmax",
            "thresholds": [0.9, 0.8],
        }
    )
    arrays |= {"run3_events": spent, "run3_stopped": stopped, "run3_dram_activates": rng.integers(10, 40, images)}
    header = {
        "schema": 1,
        "network": "lenet",
        "dataset": "mnist",
        "format": str(params.fmt),
        "tile": params.as_dict(),
        "tile_hash": params.hash,
        "register_bits": 48_000,
        "annotation": ANNOTATION if activity else {name: {**share, "counted": 0} for name, share in ANNOTATION.items()},
        "seed": seed,
        "activity": activity,
        "versions": {"tilewatt": "0.1.0"},
        "commit": "0123456789ab",
        "command": "tilewatt cosim lenet",
        "images": images,
        "simulation": {"cycles": 1_000_000, "seconds": 5.0, "cycles_per_second": 200_000.0},
        "events": list(names),
        "runs": runs,
    }
    (folder / "measurement.json").write_text(json.dumps(header), encoding="utf-8")
    np.savez(folder / "measurement.npz", **arrays)
    return folder
