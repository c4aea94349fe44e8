"""Bench of instruction fetch: every segment whole and in order, never further ahead than allowed, stalls everywhere."""

from collections import deque
from typing import Any

import cocotb

from cosim.port import BlockPort
from hw.fetch import FETCH_AHEAD

SEGMENTS = 16
PATIENCE = 5000  # cycles a segment


@cocotb.test()
async def fetch(dut: Any) -> None:
    port = BlockPort(dut, "fetch")
    p, rng, beats = port.params, port.rng, port.isa.instruction_beats
    await port.reset()
    taken = 0
    for number in range(SEGMENTS):
        stalls, length = (0.0, 0.5)[number % 2], rng.choice((0, 1, 2, 5, 12))
        address = rng.randrange(p.dram_beats - length * beats)
        memory = [rng.getrandbits(p.beat_bits) for _ in range(length * beats)]
        await port.cycle(start=1, address=address, length=length, ready=0, rsp_valid=0, req_ready=0)
        port.set(start=0, address=rng.randrange(p.dram_beats), length=99)
        asked: list[int] = []
        answers: deque[int] = deque()
        got: list[int] = []
        for _ in range(PATIENCE):
            answer = bool(answers) and not port.chance(stalls)
            grant, ready = not port.chance(stalls), not port.chance(stalls)
            port.set(req_ready=grant, ready=ready, rsp_valid=answer, rsp=answers.popleft() if answer else 0)
            await port.settle()
            if port.get("done"):
                break
            if port.get("req_valid") and grant:
                asked.append(port.get("req_address"))
                answers.append(memory[asked[-1] - address])
            if port.get("valid") and ready:
                got.append(port.get("instruction"))
            assert -(-len(asked) // beats) - len(got) <= FETCH_AHEAD
            await port.step()
        else:
            raise AssertionError(f"segment {number} of {length} instructions is not done after {PATIENCE} cycles")
        assert asked == list(range(address, address + length * beats))
        instructions = [memory[k * beats : (k + 1) * beats] for k in range(length)]
        assert got == [sum(beat << (p.beat_bits * b) for b, beat in enumerate(parts)) for parts in instructions]
        taken += len(got)
    assert taken > SEGMENTS
    cocotb.log.info("fetch: %d instructions compared", taken)
