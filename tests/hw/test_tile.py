"""A smoke test of the whole tile on the smallest preset; layers and networks are run in Verilog."""

from collections import deque
from dataclasses import replace
from typing import Any

from hw.events import COUNTER_BITS, event_names
from hw.host import HostRegister
from hw.instructions import UNUSED
from hw.isa import Buffer, Compute, Decide, End, Entry, Instruction, Load, Store, Window, isa
from hw.params import RESULT_CELLS, preset
from hw.tile import Tile
from tests.hw.dma_model import map_words
from tests.hw.sim import simulate, wrap


def test_one_layer_from_dram_to_dram() -> None:
    """A 1x1 layer of four neurons on two pixels, its scores of one pixel, and two channels of both pixels at once in
    two groups: program, weights and image from DRAM, results, margin, counters."""
    p = preset("small")
    i = isa(p)
    one, beats, first = p.fmt.scale, i.instruction_beats, i.instruction_beats
    weights = [[1, 2, 3, 4], [4, 3, 2, 1], [-1, 0, 1, 0], [2, 2, 2, 2]]  # of a neuron, by channel, in eighths
    pair = [[3, -2, 0, 5], [1, 1, -4, 7]]  # of the two channels
    biases = [[10, -20, 30, 0], [40, -50, 0, 0]]
    image = [[one, 5 * one], [2 * one, 0], [-one, one], [3, one // 2]]  # of a channel, by pixel
    unused = p.banks - 4
    channels = Window(
        kernel_w=1, kernel_h=1, gap=0, taps=4, step_x=0, step_y=0, spacing=1, line_row=0, line_bank=0, delta=(0,) * 6,
        kx=(0,) * 4, ky=(0,) * 4, row_offset=(0,) * 4, slot_run=(0, 1, 2, 3, *(0,) * unused),
        slot_column=(0,) * 4 + (UNUSED,) * unused, slot_carry=(0,) * p.banks,
    )  # fmt: skip
    layer = Compute(
        wait_dma=3, in_w=2, in_h=1, step_sub=1, cols=2, lines=1, last_lanes=4, neurons=4, tile=2, sum_last=5,
        load_bias=1, bias_row=1, target=Buffer.NBOUT, to_cols=2, to_n_bank=1,
    )  # fmt: skip
    segment: list[Instruction] = [
        Load(buffer=Buffer.SB, address=200, run_beats=2, runs=2, length=4, last_words=4),
        Load(buffer=Buffer.SB, address=204, length=2, last_words=4, row=2, groups=2),
        Load(buffer=Buffer.NBIN, address=300, run_beats=1, runs=4, length=1, last_words=2, step_bank=1),
        channels,
        layer,
        # without channel 3, whose lane is gated
        replace(layer, cols=1, last_lanes=3, tile=1, load_bias=0, scores=1, to_row=5, to_cols=1, vector=1),
        replace(layer, neurons=2, groups=2, tile=1, sb_row=2, bias_bank=1, to_row=6),
        Store(wait_written=3, buffer=Buffer.NBOUT, address=400, length=1, last_words=8),
        Store(buffer=Buffer.NBOUT, address=401, run_beats=1, runs=2, length=1, last_words=4, row=5, step_row=1),
        Decide(0, 1),
        End(),
    ]
    program: list[Instruction] = [Entry((first,), (len(segment),)), *segment]
    dram: dict[int, int] = {}
    for k, instruction in enumerate(program):
        word, at = int.from_bytes(i.encode(instruction), "little"), 0 if k == 0 else first + (k - 1) * beats
        for b in range(beats):
            dram[at + b] = word >> (p.beat_bits * b) & ((1 << p.beat_bits) - 1)
    assert first + len(segment) * beats <= 200

    def put(beat: int, words: list[int]) -> None:
        packed = sum((value & 0xFFFF) << (16 * w) for w, value in enumerate(words))
        for k in range(-(-len(words) // p.beat_words)):
            dram[beat + k] = packed >> (p.beat_bits * k) & ((1 << p.beat_bits) - 1)

    put(200, [value * one // 8 for row in weights for value in row])
    put(202, [value for row in biases for value in row] + [0] * 8)
    put(204, [value * one // 8 for row in pair for value in row])
    for channel, row in enumerate(image):
        put(300 + channel, row)

    def sums(rows: list[list[int]], bias: list[int], used: int = 4) -> list[list[int]]:
        """Of each channel, by pixel."""
        return [
            [(b << p.fmt.frac) + sum(row[c] * one // 8 * image[c][x] for c in range(used)) for x in range(2)]
            for b, row in zip(bias, rows, strict=False)
        ]

    both, scores = sums(weights, biases[0]), [row[0] for row in sums(weights, biases[0], used=3)]
    wanted = [
        [p.fmt.narrow(total) for row in both for total in row],  # cells of channels, in order
        [p.fmt.narrow(total) for total in scores] + [0] * 4,
        [p.fmt.narrow(total) for row in sums(pair, biases[1]) for total in row] + [0] * 4,
    ]
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
                cell, mask = ctx.get(dut.out__data), ctx.get(dut.out__mask)
                outputs.extend(wrap(cell >> (16 * w), 16) for w in range(RESULT_CELLS * p.cell_words) if mask >> w & 1)
            done = bool(ctx.get(dut.done))
            cycles += ctx.get(dut.busy)
            await ctx.tick()
            ctx.set(dut.start, 0)
        assert not ctx.get(dut.busy)
        assert not ctx.get(dut.fault)
        assert [map_words(p, dram[400 + k]) for k in range(3)] == wanted
        assert outputs == wanted[0] + wanted[1][:4] + wanted[2][:4]
        ordered = sorted(scores, reverse=True)
        assert ctx.get(dut.winner) == scores.index(ordered[0])
        assert ctx.get(dut.margin) == ordered[0] - ordered[1]
        packed = ctx.get(dut.snapshot)
        counts = {
            name: packed >> (COUNTER_BITS * k) & ((1 << COUNTER_BITS) - 1) for k, name in enumerate(event_names())
        }
        exact = {
            "instructions": len(program), "compute_cycles": 4, "multiply": 32 + 12 + 16, "lane_gated": 4,
            "accumulate": 16, "activation": 16, "pool_update": 0, "sb_read": 16 + 4 + 12 + 16 + 4, "sb_write": 32 + 16,
            "nbin_read": 8 + 6 + 8, "nbin_write": 8, "nbout_read": 16, "nbout_write": 16, "output": 16,
            "dram_read": reads, "dram_write": 3, "score_vector": 1, "decision": 1, "cycles": cycles - 1,
        }  # fmt: skip
        assert {name: counts[name] for name in exact} == exact
        assert writes == 3
        assert reads == len(program) * beats + 4 + 1 + 4
        kinds = ("setup", "stall_data", "stall_order", "stall_port", "stall_accumulator", "idle", "compute_cycles")
        assert sum(counts[name] for name in kinds) == counts["cycles"]

    simulate(dut, bench)
