"""Closed-form counts against sums by hand; test_mapping compares them with the interpreter's on random networks."""

import itertools
import time

import pytest
import torch
from torch import nn

from golden.counts import cells_read, count, count_entry, count_run, emitted_rows, gathered, windows_of
from golden.mapping import map_network
from golden.network import read
from golden.quantise import quantise_network
from hw.errors import BadInput
from hw.events import WORK
from hw.instructions import Base, Buffer, Compute, Decide, End, Instruction, Load, Pool, Store
from hw.isa import isa
from hw.params import TileParams, preset
from tests.golden.maps import Map
from tests.golden.random_networks import increments, networks


def test_a_layer_counted_by_hand() -> None:
    """3 of 4 neurons, 2x2 kernel, padding 1, one channel of 3x3 pixels, max pooling 2/2: 4x4 sums, 2x2 words."""
    p = preset("small")  # cells of 2 words, beats of 8 words or 2 lines of 4
    rows = Load(runs=3, run_beats=1, length=1, last_words=3, step_bank=2)
    lines = Load(buffer=Buffer.SB, runs=2, run_beats=2, length=3, last_words=4)  # a bias line and a weight line
    conv = Compute(
        row=23, bank=5, sub=1, x0=-1, y0=-1, in_w=3, in_h=3, step_sub=1, step_y_bank=2, columns=2, cols=4, rows=4,
        last_lanes=4, neurons=3, tile=4, sb_row=1, load_bias=1, pool=Pool.MAX, pool_size=2, pool_stride=2, out_w=4,
        out_h=4, pool_w=2, pool_h=2, to_cols=2, to_y_bank=1, to_n_bank=2,
    )  # fmt: skip
    store = Store(buffer=Buffer.NBOUT, base=Base.RESULT, runs=3, run_beats=1, length=1, last_words=4, step_bank=2)
    segment: list[Instruction] = [rows, lines, Map(2, 2, 2, 4).window(p, 4, 0, 1, 2), conv, Decide(0, 1), store, End()]
    found = count(segment, p)
    taps = 4 * 9  # every one of the 4 taps meets each of the 9 pixels once, the rest lies in the padding
    # origins of a row: the cell before the map, the first cell twice, the second one; of each read its 2 cells that
    # lie in the map; 3 of 4 rows for either ky
    cells = (1 + 2 + 1) * (3 + 3)
    assert found == {
        "instructions": 7,
        "compute_cycles": 16,
        "multiply": taps * 3,
        "lane_gated": 16 * 16 - taps * 3,
        "accumulate": 16 * 3,
        "activation": 16 * 3,
        "pool_update": (16 + 2 * 4) * 3,  # down every column, then across the columns of two window rows
        "sb_read": 4 * 3 * 4 + 4,  # a row is a tile
        "sb_write": 2 * 3 * 4,
        "nbin_read": cells * 2,
        "nbin_write": 9,
        "nbout_read": 12,
        "nbout_write": 12,
        "output": 12,
        "dram_read": isa(p).instruction_beats * 7 + 3 + 2 * 2,
        "dram_write": 3,
        "score_vector": 0,
        "decision": 1,
    }
    assert set(found) == {event.name for event in WORK}


def test_a_network_moves_what_is_counted() -> None:
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(nn.Conv2d(1, 3, 2, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    mapped = map_network([quantise_network(read(module, (1, 3, 3)), p.fmt)], p)
    found = count(mapped.segments[0], p)
    assert found["multiply"] == 4 * 9 * 3 + 12 * 2
    assert (found["score_vector"], found["dram_write"]) == (1, 1)
    assert mapped.dram_bytes(0) == (found["dram_read"] + 1 + isa(p).instruction_beats) * p.dram_beat_bytes
    assert mapped.macs(0) == 16 * 4 * 3 + 24


@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (4, 5)])
@pytest.mark.parametrize(("stride", "groups", "padding"), [(1, 1, 0), (2, 1, 1), (3, 1, 2), (1, 2, 1), (1, 3, 2)])
def test_gathered_words_equal_a_walk_over_pixels_and_taps(
    kernel: tuple[int, int], stride: int, groups: int, padding: int
) -> None:
    """Lanes, and the cells that slots serve, from the first element on and from the middle of a window on."""
    p = preset("odd")
    place, columns = Map(*kernel, 4, 9 * 4 + 4 * kernel[0]), -(-(p.cell_words - 2 + groups + kernel[1]) // p.cell_words)
    taps = next(t for t in range(p.synapses, 0, -1) if place.reads_apart(p, t, columns))
    elements = list(itertools.product(range(3), range(kernel[0]), range(kernel[1])))
    every = -(-len(elements) // taps)
    for first, tile in itertools.product(range(min(3, every)), (1, 3, 7)):
        lines = every - first
        compute = Compute(
            x0=-padding, sub=-padding % p.cell_words, y0=1 - padding, stride=stride, in_w=8, in_h=7, cols=4, rows=3,
            groups=groups, step_cells=groups * stride // p.cell_words, step_sub=groups * stride % p.cell_words,
            columns=columns, tile=tile, lines=lines, last_lanes=len(elements) - (every - 1) * taps,
        )  # fmt: skip
        window = place.window(p, taps, first, lines, columns)
        used = elements[first * taps :]
        walked = sum(
            0 <= compute.x0 + i * stride + kx < 8 and 0 <= compute.y0 + j * stride + ky < 7
            for j, i in itertools.product(range(3), range(4))
            for _, ky, kx in used
        )
        assert gathered(compute, window) == walked
        assert cells_read(compute, window, p) == _walked_cells(compute, elements, first, taps, p)


def _walked_cells(c: Compute, elements: list[tuple[int, int, int]], first: int, taps: int, p: TileParams) -> int:
    """Cells of map rows, run by run, that a walk over tiles, lines and steps reads."""
    step_x = range(c.x0, c.x0 + c.cols * c.stride, c.groups * c.stride)
    steps = [(x, c.y0 + j * c.stride) for j in range(c.rows) for x in step_x]
    total = 0
    for start in range(0, len(steps), c.tile):
        for line in range(first, first + c.lines):
            runs = sorted({(channel, ky) for channel, ky, _ in elements[line * taps : (line + 1) * taps]})
            before = None
            for x, y in steps[start : start + c.tile]:
                here = (x // p.cell_words, y)
                if here == before:
                    continue
                before = here
                cells = range(here[0], here[0] + c.columns)
                inside = [cell for cell in cells if 0 <= cell < -(-c.in_w // p.cell_words)]
                total += len(inside) * sum(0 <= y + ky < c.in_h for _, ky in runs)
    return total


def test_a_large_compute_is_counted_quickly() -> None:
    """4095 lines on 32 x 32 pixels, all counts by formulas: a walk would take 67 million steps of the machine."""
    p = preset("paper32")
    taps, lines = 15, 4095
    window = Map(3, 5, 19, 617).window(p, taps, 0, 1, 3)
    compute = Compute(
        x0=-2, sub=2, y0=-1, in_w=32, in_h=32, cols=32, rows=32, groups=4, neurons=4, step_cells=1, columns=3,
        tile=32, lines=lines, last_lanes=taps,
    )  # fmt: skip
    start = time.process_time()
    found = count([window, compute, End()], p)
    assert time.process_time() - start < 1
    assert found["compute_cycles"] == 8 * 32 * lines
    across, down = 5 * 32 - 2 * (1 + 2), 3 * 32 - 2
    assert found["multiply"] == across * down * lines * 4
    # every step reads 3 cells of each run; the first one of a row starts before the map, the last one ends behind it
    assert found["nbin_read"] == lines * down * (8 * 3 - 2) * p.cell_words


@pytest.mark.parametrize("size", range(1, 5))
@pytest.mark.parametrize("stride", range(1, 5))
def test_pooling_counts_equal_a_walk_over_windows(size: int, stride: int) -> None:
    length, windows = 11, (11 - size) // stride + 1
    for first, positions in itertools.combinations(range(length + 1), 2):
        positions -= first
        held = [range(w * stride, w * stride + size) for w in range(windows)]
        walked = sum(at in window for window in held for at in range(first, first + positions))
        assert windows_of(first, positions, size, stride, windows) == walked
        compute = Compute(
            pool=Pool.MAX, pool_size=size, pool_stride=stride, out_h=length, pool_h=windows, out_y=first, rows=positions
        )  # fmt: skip
        assert emitted_rows(compute) == sum(first <= window[-1] < first + positions for window in held)


def test_an_escalated_run_is_the_sum_of_its_segments() -> None:
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    mapped = map_network(networks(increments(module, (0.25, 0.5, 1.0), (1, 8, 8)), (1, 8, 8), p), p)
    whole = [count(segment, p) for segment in mapped.segments]
    cut = [count(segment, p, escalates=True) for segment in mapped.segments]
    for full, part, segment in zip(whole, cut, mapped.segments, strict=True):
        assert full["instructions"] - part["instructions"] == 2  # the store of the scores and END
        assert full["dram_read"] == part["dram_read"]  # the fetch has read the whole segment by then
        assert (full["dram_write"], part["dram_write"]) == (1, 0)
        assert full["instructions"] == len(segment)
    run = count_run(mapped, [0, 1, 2])
    for name in run:
        assert run[name] == count_entry(p)[name] + cut[0][name] + cut[1][name] + whole[2][name]
    assert run["decision"] == 3
    assert count_run(mapped, [1])["dram_read"] == whole[1]["dram_read"] + isa(p).instruction_beats
    work = [count_run(mapped, [i])["multiply"] for i in range(3)]
    assert work[0] < work[1] < work[2]


def test_refusals() -> None:
    torch.manual_seed(0)
    p = preset("small")
    mapped = map_network([quantise_network(read(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 1, 4)), p.fmt)], p)
    with pytest.raises(BadInput, match=r"a run wants increments one after the other, not \[0, 2\]"):
        count_run(mapped, [0, 2])
    with pytest.raises(BadInput, match=r"a run wants increments one after the other, not \[\]"):
        count_run(mapped, [])
    with pytest.raises(BadInput, match=r"a run wants increments from 0 to 0, not \[1\]"):
        count_run(mapped, [1])
    with pytest.raises(BadInput, match="a compute wants a window before it"):
        count([Compute()], p)


def test_transfers() -> None:
    """Rows of maps move in beats of 8 words; lines of 4 words lie two in a beat and go to every group."""
    p = preset("small")
    beats = isa(p).instruction_beats
    words = 3 * (4 * 8 + 2)
    load = count([Load(runs=3, length=5, last_words=2)], p)
    assert (load["nbin_write"], load["dram_read"]) == (words, 3 * 5 + beats)
    store = count([Store(buffer=Buffer.NBOUT, runs=3, length=5, last_words=2)], p)
    assert (store["nbout_read"], store["dram_write"]) == (words, 3 * 5)
    lines = count([Load(buffer=Buffer.SB, runs=5, length=1, last_words=3, groups=4)], p)
    assert (lines["sb_write"], lines["dram_read"]) == (4 * (4 * 4 + 3), 5 * 1 + beats)
    lines = count([Load(buffer=Buffer.SB, runs=5, length=3, last_words=4)], p)
    assert (lines["sb_write"], lines["dram_read"]) == (3 * 5 * 4, 5 * 2 + beats)
