"""A smoke test of the whole tile on the smallest preset; layers and networks are run in Verilog."""

from collections import deque
from typing import Any

from hw.events import COUNTER_BITS, event_names
from hw.host import HostRegister
from hw.isa import Buffer, Compute, Decide, End, Entry, Instruction, Load, Store, Window, isa
from hw.params import preset
from hw.tile import Tile
from tests.hw.dma_model import beat_words
from tests.hw.sim import simulate


def test_one_layer_from_dram_to_dram() -> None:
    """A 1x1 layer of four neurons on two pixels: program, weights and image from DRAM, results, margin, counters."""
    p = preset("small")
    i = isa(p)
    one, beats = p.fmt.scale, i.instruction_beats
    weights = [[1, 2, 3, 4], [4, 3, 2, 1], [-1, 0, 1, 0], [2, 2, 2, 2]]  # of a neuron, by channel
    bias = [10, -20, 30, 0]
    image = [[one, 2 * one, -one, 3], [5 * one, 0, one, one // 2]]
    channels = Window((0, 0, 0, 0), (0, 1, 2, 3), (0, 0, 0, 0), 4, 1, 0, 0, (1, 1, 1, 1))  # four words in a row
    segment: list[Instruction] = [
        Load(buffer=Buffer.SB, address=200, run_beats=2, runs=2, lines=4, last_words=4),
        Load(buffer=Buffer.NBIN, address=300, run_beats=1, runs=1, lines=2, last_words=4),
        channels,
        Compute(
            wait_dma=2, in_w=8, in_h=1, stride=4, step_x_row=1, cols=2, lines=1, last_lanes=4, neurons=4, tile=2,
            load_bias=1, bias_row=1, relu=0, scores=0, target=Buffer.NBOUT, to_cols=2, to_x_row=1, to_n_bank=1,
        ),
        Compute(
            wait_dma=2, in_w=8, in_h=1, lines=1, last_lanes=4, neurons=4, tile=1, scores=1, target=Buffer.NBOUT,
            to_row=5, to_n_bank=1,
        ),
        Store(wait_written=2, buffer=Buffer.NBOUT, address=400, lines=2, last_words=4),
        Decide(0, 1),
        End(),
    ]  # fmt: skip
    program: list[Instruction] = [Entry((16,), (len(segment),)), *segment]
    dram: dict[int, int] = {}
    for k, instruction in enumerate(program):
        word, at = int.from_bytes(i.encode(instruction), "little"), 0 if k == 0 else 16 + (k - 1) * beats
        assert k > 0 or beats <= 16
        for b in range(beats):
            dram[at + b] = word >> (p.beat_bits * b) & ((1 << p.beat_bits) - 1)

    def lines(at: int, rows: list[list[int]]) -> None:
        for k, row in enumerate(rows):
            packed = sum((value & 0xFFFF) << (16 * e) for e, value in enumerate(row))
            beat, place = at + k // p.lines_per_beat, k % p.lines_per_beat
            dram[beat] = dram.get(beat, 0) | packed << (8 * p.line_bytes * place)

    lines(200, [[value * one // 8 for value in row] for row in weights])
    lines(202, [bias, [0] * 4, [0] * 4, [0] * 4])
    lines(300, image)
    sums = [
        [
            (bias[n] << p.fmt.frac) + sum(w * one // 8 * x for w, x in zip(weights[n], pixel, strict=True))
            for n in range(4)
        ]
        for pixel in image
    ]
    wanted = [[p.fmt.narrow(total) for total in row] for row in sums]
    scores = sums[0]  # the second compute runs the first pixel again
    dut = Tile(p)
    outputs: list[int] = []

    async def bench(ctx: Any) -> None:
        flying: deque[int] = deque()
        reads = writes = cycles = 0
        ctx.set(dut.dram.req_ready, 1)
        ctx.set(dut.host.write, 1)
        ctx.set(dut.host.address, HostRegister.THRESHOLD)
        ctx.set(dut.host.data, 1 << 40)
        await ctx.tick()
        ctx.set(dut.host.write, 0)
        ctx.set(dut.start, 1)
        done = False
        while not done:
            respond = len(flying) > 3 or (bool(flying) and cycles % 2 == 0)
            ctx.set(dut.dram.rsp_valid, respond)
            if respond:
                ctx.set(dut.dram.rsp_data, dram[flying.popleft()])
            if ctx.get(dut.dram.req_valid):
                address = ctx.get(dut.dram.req_address)
                if ctx.get(dut.dram.req_write):
                    beat, mask, bits = ctx.get(dut.dram.req_data), ctx.get(dut.dram.req_mask), 8 * p.line_bytes
                    keep = sum(((1 << bits) - 1) << (bits * k) for k in range(p.lines_per_beat) if mask >> k & 1)
                    dram[address] = dram.get(address, 0) & ~keep | beat & keep
                    writes += 1
                else:
                    flying.append(address)
                    reads += 1
            if ctx.get(dut.out__valid):
                outputs.append(ctx.get(dut.out__data))
            done = bool(ctx.get(dut.done))
            cycles += ctx.get(dut.busy)
            await ctx.tick()
            ctx.set(dut.start, 0)
        assert not ctx.get(dut.busy)
        assert not ctx.get(dut.fault)
        assert beat_words(p, dram[400]) == wanted
        assert outputs == [value & 0xFFFF for row in [*wanted, wanted[0]] for value in row]
        ordered = sorted(scores, reverse=True)
        assert ctx.get(dut.winner) == scores.index(ordered[0])
        assert ctx.get(dut.margin) == ordered[0] - ordered[1]
        packed = ctx.get(dut.snapshot)
        counts = {
            name: packed >> (COUNTER_BITS * k) & ((1 << COUNTER_BITS) - 1) for k, name in enumerate(event_names())
        }
        exact = {
            "instructions": len(program), "compute_cycles": 3, "multiply": 48, "lane_gated": 0, "accumulate": 12,
            "activation": 12, "pool_update": 0, "sb_read": 16 + 16 + 4, "sb_write": 32, "nbin_read": 12,
            "nbin_write": 8, "nbout_read": 8, "nbout_write": 12, "output": 12, "dram_read": reads, "dram_write": 2,
            "score_vector": 1, "decision": 1, "cycles": cycles - 1,
        }  # fmt: skip
        assert {name: counts[name] for name in exact} == exact
        assert writes == 2
        assert reads == len(program) * beats + 4 + 1
        kinds = ("setup", "stall_data", "stall_order", "stall_port", "stall_accumulator", "idle", "compute_cycles")
        assert sum(counts[name] for name in kinds) == counts["cycles"]

    simulate(dut, bench)
