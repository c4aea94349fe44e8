"""The DRAM model in Verilator against a Python memory and the replay of its rules."""

from dataclasses import replace
from pathlib import Path

import pytest

from cosim.dram import PUBLIC, DramConfig, Ideal, Timing, dram_config
from cosim.runner import build, run
from hw.params import preset

MODEL = Path(__file__).parents[2] / "cosim" / "verilog" / "dram.sv"
PORTS = (
    "clk", "rst", "req_valid", "req_ready", "req_write", "req_address", "req_data", "req_mask", "rsp_valid", "rsp_data",
    "fault", "fault_kind", "fault_address",
)  # fmt: skip
TRACE = 4096

# two beats of every 8-bank row stripe, and an odd beat
CONFIGS = {
    "paper32": replace(dram_config(preset("paper32"), 1, trace_depth=TRACE), memory_beats=2049),
    "small": replace(dram_config(preset("small"), 1, owed=8, trace_depth=TRACE), memory_beats=8195),
    "two_bursts": DramConfig(128, 4, 11, 3, 3000, 1030, trace_depth=TRACE),
    "ideal": DramConfig(64, 2, 11, 5, 4000, 1030, ideal=Ideal(), trace_depth=TRACE),
}
# of refreshes, which here fall due ten times as often
OFTEN = {"t_refi": 780_000}
REFRESHES = {
    "when_due": (Timing(refreshes_moved=0, **OFTEN), 0),
    "one": (Timing(refreshes_moved=1, **OFTEN), 1),
    "at_once": (Timing(t_rfc=20_000, t_idle=1250, t_idle_early=1250, **OFTEN), 3),
    "early_before_late": (Timing(t_idle=200_000, t_idle_early=41_250, refreshes_moved=3, **OFTEN), 0),
    "seldom_due_at_an_edge": (Timing(t_refi=781_250, t_idle=67_500), 8),
}
CONFIGS |= {
    name: replace(CONFIGS["two_bursts" if name == "one" else "paper32"], timing=timing, owed=owed)
    for name, (timing, owed) in REFRESHES.items()
}


@pytest.mark.cosim
@pytest.mark.parametrize("name", CONFIGS)
def test_traffic_and_refusals(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    simulation = build(
        [MODEL],
        "dram",
        parameters=config.parameters(),
        public=[("dram", variable) for variable in PUBLIC],
        writable=[("dram", port) for port in PORTS],
        clock_ps=config.clock_ps,
    )
    result = run(
        simulation,
        "cosim.bench_dram",
        seed=20261121,
        workdir=tmp_path,
        env={"DRAM_CONFIG": config.to_json(), "DRAM_STEADY": "2300", "DRAM_REQUESTS": "1500"},
        cycle_limit=200_000,
        min_tests=2,
    )
    assert set(result.tests) >= {"random_traffic", "refusals"}
