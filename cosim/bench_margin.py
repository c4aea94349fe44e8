"""Bench of the margin controller: winner, raw margin and both decisions against golden.margin, ties included."""

from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from cosim.port import BlockPort, join
from golden import margin as golden
from hw.margin import MarginController
from hw.softmax import ONE, score_rows

DECISIONS = 120
PATIENCE = 200  # cycles
SOFTMAX_CYCLES = 12  # and four a class, from the last vector on: two passes, 9 of the decision, the one that shows it


def random_scores(port: BlockPort, classes: int) -> NDArray[np.int64]:
    """Scores of one image, of any size; often a tie of the best."""
    p, rng = port.params, port.rng
    wide = rng.choice((3, p.fmt.frac, 2 * p.fmt.frac, 2 * p.fmt.frac + 2, p.accumulator_width - 1))
    values = [rng.randint(-(1 << wide), (1 << wide) - 1) for _ in range(classes)]
    if port.chance(0.3):
        values[rng.randrange(classes)] = max(values)
    return np.array([values], dtype=np.int64)


def random_threshold(port: BlockPort, wide: NDArray[np.int64], softmax: bool) -> int:
    """At the edge of the decision, near it, or anywhere."""
    if softmax:
        second, total = (int(term[0]) for term in golden.softmax_terms(wide, port.params.fmt))
        tipping = ((ONE - second) << 16) // total
        return min(max(tipping + port.rng.choice((-1, 0, 1, 300)), 0), ONE)
    return min(max(int(golden.raw_margin(wide)[0]) + port.rng.choice((-1, 0, 1, 1 << 20)), 0), (1 << 64) - 1)


@cocotb.test()
async def margin(dut: Any) -> None:
    """A raw decision within its three cycles; a softmax one in its own time; the thresholds sit on the edge."""
    port = BlockPort(dut, "margin")
    p = port.params
    await port.reset()
    seen = set()
    for number in range(DECISIONS):
        softmax = bool(number % 2)
        most = score_rows(p.neurons) * p.neurons if softmax else 40
        wide = random_scores(port, port.rng.randint(1, most))
        classes = wide.shape[1]
        threshold = random_threshold(port, wide, softmax)
        await port.cycle(clear=1, softmax=softmax, threshold=threshold, decide=0, valid=0)
        port.set(clear=0)
        for base in range(0, classes, p.neurons):
            vector = [int(score) for score in wide[0, base : base + p.neurons]]
            gated = [(1 << (p.accumulator_width - 1)) - 1] * (p.neurons - len(vector))
            while port.chance(0.2):
                await port.cycle(valid=0)
            if base:  # the vector before has a second pass
                await port.cycle(valid=0)
            await port.cycle(valid=1, base=base, neurons=len(vector), scores=join(vector + gated, p.accumulator_width))
        port.set(valid=0, decide=1)
        cycles, ready = 1, 0
        while not ready:
            cycles += 1
            assert cycles < PATIENCE
            await port.settle()
            ready = port.get("ready")
            if not ready:
                await port.step()
        below = bool(golden.below(wide, threshold, p.fmt, softmax)[0])
        assert port.get("below") == below
        assert port.get("winner") == int(golden.winner(wide)[0])
        assert port.get("margin") == int(golden.raw_margin(wide)[0])
        assert cycles == (SOFTMAX_CYCLES + 4 * classes if softmax else MarginController.latency)
        seen.add((softmax, below))
        await port.step()
    assert len(seen) == 4
    cocotb.log.info("margin: %d decisions", DECISIONS)
