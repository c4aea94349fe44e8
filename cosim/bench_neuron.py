"""Bench of a neuron (SB bank, NFU-1, NFU-2, accumulators, NFU-3, pool lane): a model of every register, every cycle."""

from typing import Any

import cocotb

from cosim.port import BlockPort, join, pack, signed, split
from hw.neuron import sb_port
from hw.params import QUARTERS, bits_for
from hw.pool import POOL_SUM_BITS, pool_control

CYCLES = 1500


class Model:
    """The neuron's registers and memories; ``edge`` is one clock edge with the given inputs."""

    def __init__(self, port: BlockPort) -> None:
        p = port.params
        self.p = p
        self.sb = [[0] * p.synapses for _ in range(p.sb_rows)]
        self.weights = [0] * p.synapses
        self.products = [0] * p.synapses
        self.sums = [0] * p.sum_banks
        self.bias = self.window = self.pooled = 0
        self.accumulators = [0] * p.accumulators
        self.windows = [0] * p.pool_entries

    def taken(self, given: dict[str, Any]) -> int:
        """The pooling window with the word taken in."""
        control, word = given["pool"], given["pool_word"]
        if control["first"]:
            return word
        return self.window + word if control["average"] else max(self.window, word)

    def edge(self, given: dict[str, Any]) -> None:
        p, row, lanes = self.p, given["sb"]["row"], given["sb"]["lanes"]
        for b, word in enumerate(given["acc_index"]):
            number = word * p.sum_banks + b
            bias = 0 if given["acc_zero"] else self.bias << p.fmt.frac
            start = bias if given["acc_first"] else self.accumulators[number]
            addend = self.sums[b] << given["acc_shift"] * (p.fmt.width - 1)
            if given["acc_en"] >> b & 1:
                self.accumulators[number] = signed(start + addend, p.accumulator_width)
        if given["bias_en"]:
            self.bias = given["bias_word"]
        size = p.quarter_lanes
        for b in range(p.sum_banks):
            lanes3 = given["lanes3"] & ((1 << size) - 1 << b * size) if size and given["split3"] else given["lanes3"]
            counted = [value for i, value in enumerate(self.products) if lanes3 >> i & 1]
            if given["sum_en"] >> b & 1:
                self.sums[b] = signed(sum(counted), p.accumulator_width)
        weights = list(self.weights)
        if size and given["split2"]:
            weights = weights[given["quarter2"] * size :][:size] * QUARTERS
        for i in range(p.synapses):
            if given["lanes2"] >> i & 1:
                self.products[i] = given["operands"][i] * weights[i]
            if lanes >> i & 1 and given["sb_read"]:
                self.weights[i] = self.sb[row][i]
            if lanes >> i & 1 and given["sb_write"]:
                self.sb[row][i] = given["sb_line"][i]
        control = given["pool"]
        taken = signed(self.taken(given), p.fmt.width + POOL_SUM_BITS)
        if control["read"]:
            self.window = self.windows[control["read_index"]]
        if control["write"]:
            self.windows[control["index"]] = taken
        if control["result"]:
            self.pooled = taken


def stimulus(port: BlockPort, rows: int) -> dict[str, Any]:
    """Random inputs of a cycle; SB is never read and written at once, an entry of a pool lane neither."""
    p, rng = port.params, port.rng
    access, pooling = rng.choice(("read", "read", "write", "")), rng.choice(("write", "result", ""))
    read_index, index = rng.sample(range(min(p.pool_entries, 4)), 2)
    full, banks = (1 << p.synapses) - 1, (1 << p.sum_banks) - 1
    return {
        "sb_read": access == "read",
        "sb_write": access == "write",
        "sb": {"row": rng.randrange(rows), "lanes": rng.choice((full, full, rng.randint(0, full)))},
        "sb_line": port.words(p.fmt.width, p.synapses),
        "operands": port.words(p.fmt.width, p.synapses),
        "lanes2": rng.choice((full, 0, rng.randint(0, full))),
        "split2": port.chance(0.5),
        "quarter2": rng.randrange(QUARTERS),
        "lanes3": rng.choice((full, rng.randint(0, full))),
        "sum_en": rng.choice((banks, rng.randint(0, banks))),
        "split3": port.chance(0.5),
        "acc_en": rng.choice((banks, rng.randint(0, banks))),
        "acc_index": [rng.randrange(p.accumulators // p.sum_banks) for _ in range(p.sum_banks)],
        "acc_first": port.chance(0.3),
        "acc_zero": port.chance(0.3),
        "acc_shift": rng.choice((0, rng.randint(0, port.isa.shifts))),
        "bias_en": port.chance(0.1),
        "bias_word": port.word(p.fmt.width),
        "drain_index": rng.randrange(p.accumulators),
        "relu": port.chance(0.5),
        "limb": rng.choice((0, rng.randint(0, port.isa.limbs))),
        "limb_top": port.chance(0.5),
        "pool": {
            "read": port.chance(0.5),
            "read_index": read_index,
            "write": pooling == "write",
            "result": pooling == "result",
            "index": index,
            "first": port.chance(0.3),
            "average": port.chance(0.5),
        },
        "pool_word": port.word(p.fmt.width),
    }


def drive(port: BlockPort, given: dict[str, Any]) -> None:
    p = port.params
    packed = {
        "sb": pack(sb_port(port.isa), given["sb"]),
        "pool": pack(pool_control(p), given["pool"]),
        "sb_line": join(given["sb_line"], p.fmt.width),
        "operands": join(given["operands"], p.fmt.width),
        "acc_index": join(given["acc_index"], bits_for(p.accumulators // p.sum_banks)),
        "bias_word": given["bias_word"] & ((1 << p.fmt.width) - 1),
        "pool_word": given["pool_word"] & ((1 << p.fmt.width) - 1),
    }
    port.set(**{name: int(value) for name, value in given.items() if name not in packed}, **packed)


@cocotb.test()
async def neuron(dut: Any) -> None:
    """Every output equals the model in every cycle, whatever the enables do; held registers are held."""
    port = BlockPort(dut, "neuron")
    p, model = port.params, Model(port)
    await port.reset()
    compared = saturated = 0
    for _ in range(CYCLES):
        given = stimulus(port, min(p.sb_rows, 5))
        drive(port, given)
        await port.settle()
        wide = model.accumulators[given["drain_index"]]
        word = p.fmt.narrow(wide)
        result = max(word, 0) if given["relu"] else word
        if given["limb"]:
            result = signed(p.fmt.limb(wide, given["limb"], given["limb_top"]), p.fmt.width)
        assert split(port.get("weights"), p.fmt.width, p.synapses) == model.weights
        assert signed(port.get("drain_wide"), p.accumulator_width) == wide
        assert signed(port.get("word"), p.fmt.width) == result
        assert signed(port.get("pooled"), p.fmt.width + POOL_SUM_BITS) == model.pooled
        saturated += word in (p.fmt.low, p.fmt.high)
        compared += p.synapses + 3
        await port.step()
        model.edge(given)
    assert compared == CYCLES * (p.synapses + 3)
    assert saturated > 10
    cocotb.log.info("neuron: %d values compared", compared)
