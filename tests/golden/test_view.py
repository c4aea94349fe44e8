"""Views, pitches and windows against the flattened window, by brute force."""

import random
from collections.abc import Iterator

import pytest
import torch

from golden.mapping.layout import extent
from golden.mapping.view import (
    Reach,
    View,
    cells_of,
    columns_read,
    meets_no_bank,
    pitches,
    taps_of,
    view_of,
    widest_kernel,
    window_of,
)
from golden.network import Layer
from hw.instructions import UNUSED
from hw.isa import isa
from hw.params import PRESETS, TileParams, preset


def layer_of(channels: int, height: int, width: int, kernel: tuple[int, int] | None) -> Layer:
    """A convolution without padding, or a fully connected layer."""
    fc = kernel is None
    kernel_h, kernel_w = kernel or (1, 1)
    weight = torch.zeros(1, channels * height * width if fc else channels * kernel_h * kernel_w, dtype=torch.int64)
    sums = (1, 1, 1) if fc else (1, height - kernel_h + 1, width - kernel_w + 1)
    return Layer(
        name="a", fc=fc, weight=weight if fc else weight.view(1, channels, kernel_h, kernel_w),
        bias=torch.zeros(1, dtype=torch.int64), kernel=(kernel_h, kernel_w), stride=1, padding=(0, 0), relu=False,
        pool=None, in_shape=(channels, height, width), sum_shape=sums,
    )  # fmt: skip


def random_views(name: str, count: int) -> Iterator[tuple[View, random.Random]]:
    rng = random.Random(name)
    p = preset(name)
    for _ in range(count):
        kernel = rng.randint(1, 7), rng.randint(1, min(9, widest_kernel(False, p)))
        shape = rng.randint(1, 6), kernel[0] + rng.randint(0, 5), kernel[1] + rng.randint(0, 9)
        yield view_of(layer_of(*shape, kernel), p), rng


def taps(view: View, line: int) -> list[tuple[int, int, int]]:
    """(channel, ky, kx) of a line's elements."""
    flat = [(c, y, x) for c in range(view.channels) for y in range(view.kernel_h) for x in range(view.kernel_w)]
    return flat[line * view.taps : (line + 1) * view.taps]


@pytest.mark.parametrize("name", PRESETS)
def test_lines_runs_and_channels_are_those_of_the_flattened_window(name: str) -> None:
    for view, _ in random_views(name, 40):
        found = [taps(view, line) for line in range(view.lines)]
        assert sum(map(len, found)) == view.elements
        assert all(found)
        for line, elements in enumerate(found):
            runs = sorted({c * view.kernel_h + y for c, y, _ in elements})
            assert view.runs(line) == (runs[0], len(runs))
            channels = {c for part in found[line:] for c, _, _ in part}
            assert view.channel_range(line, view.lines - line) == (min(channels), max(channels) + 1)


@pytest.mark.parametrize("name", PRESETS)
def test_fully_connected_layers_read_a_vector_or_one_window(name: str) -> None:
    p = preset(name)
    whole = view_of(layer_of(3, 2, 2 * p.cell_words, None), p)
    assert (whole.vector, whole.elements, whole.taps % p.cell_words) == (True, 12 * p.cell_words, 0)
    assert p.synapses - p.cell_words < whole.taps <= p.synapses
    assert view_of(layer_of(7, 1, 1, None), p).vector
    window = view_of(layer_of(3, 2, p.cell_words + 1, None), p)
    assert (window.vector, window.kernel_h, window.kernel_w) == (False, 2, p.cell_words + 1)
    assert window.elements == 6 * (p.cell_words + 1)


@pytest.mark.parametrize("name", PRESETS)
def test_taps_are_the_most_whose_runs_can_lie_apart(name: str) -> None:
    p = preset(name)

    def fits(count: int, kernel_w: int, columns: int) -> bool:
        starts = [line * count % kernel_w for line in range(kernel_w)]
        runs = max(len({(start + e) // kernel_w for e in range(count)}) for start in starts)
        return any(
            len({(run * apart + m) % p.banks for run in range(runs) for m in range(columns)}) == runs * columns
            for apart in range(p.banks)
        )

    for kernel_w in range(1, 24):
        for columns in range(1, 6):
            most = max((count for count in range(1, p.synapses + 1) if fits(count, kernel_w, columns)), default=0)
            assert taps_of(kernel_w, columns, p) == most
    wide = widest_kernel(False, p)
    assert 0 < wide <= widest_kernel(True, p)
    assert not meets_no_bank(0, 2, 1, p.banks)


def columns_of(view: View, rng: random.Random, p: TileParams) -> int:
    least = columns_read(view, view.width, 1, 0, p)
    return rng.randint(least, least + 1)


@pytest.mark.parametrize("name", PRESETS)
def test_pitches_are_the_smallest_that_meet_in_no_bank(name: str) -> None:
    p = preset(name)

    def good(view: View, rows: int, columns: int, ring: bool, pitch: int, plane: int) -> bool:
        if pitch < cells_of(view.width, p) or plane < (rows - 1) * pitch + cells_of(view.width, p):
            return False
        if (ring and rows * pitch % p.banks) or (plane - pitch * view.kernel_h) % p.banks * (view.kernel_h > 1):
            return False
        for line in range(2 * view.kernel_w * view.kernel_h):  # lines repeat behind that
            runs = dict.fromkeys(e // view.kernel_w for e in range(line * view.taps, (line + 1) * view.taps))
            cells = [
                (run // view.kernel_h * plane + run % view.kernel_h * pitch + m) % p.banks
                for run in runs
                for m in range(columns)
            ]
            if len(set(cells)) < len(cells):
                return False
        return True

    found = 0
    for view, rng in random_views(name, 30):
        columns, ring = columns_of(view, rng, p), rng.random() < 0.4
        rows = rng.randint(view.kernel_h, view.height)
        pair = pitches(view, rows, Reach(columns), view.channels, ring, p)
        width = cells_of(view.width, p)
        # a map of one row of windows has no freedom in its pitch
        tried = [width] if view.kernel_h == 1 else range(width, width + p.banks)
        all_pairs = [
            (pitch, plane)
            for pitch in tried
            for plane in range(rows * pitch, rows * pitch + 2 * p.banks)
            if good(view, rows, columns, ring, pitch, plane)
        ] + [
            (pitch, plane)
            for pitch in tried
            for plane in range((rows - 1) * pitch + width, rows * pitch)
            if not ring and good(view, rows, columns, ring, pitch, plane)
        ]
        if pair is None:
            assert all_pairs == []
            continue
        found += 1
        assert pair in all_pairs
        sizes = [extent(view.channels, rows, view.width, *other, p) for other in all_pairs]
        assert extent(view.channels, rows, view.width, *pair, p) == min(sizes)
    assert found > 10


@pytest.mark.parametrize("name", PRESETS)
def test_a_window_leads_every_lane_to_its_word(name: str) -> None:
    """Followed line by line as hw.instructions says, from every first line."""
    p = preset(name)
    words = 1 << isa(p).row_bits
    followed = gaps = 0
    for view, rng in random_views(name, 40):
        reach = Reach(p.pair_cells, True)
        if not p.pair_cells or pitches(view, view.height, reach, view.channels, False, p) is None or rng.random() < 0.3:
            reach = Reach(columns_of(view, rng, p))
        columns = reach.columns
        pair = pitches(view, view.height, reach, view.channels, False, p)
        if pair is None:
            continue
        pitch, plane = pair
        first = rng.randrange(view.lines)
        w = window_of(view, pitch, plane, first, reach, p)
        rows = w.kernel_h + w.gap
        gaps += w.gap
        c0, y0, _ = taps(view, first)[0]
        kx, ky, offset, start = list(w.kx), list(w.ky), list(w.row_offset), 0
        for line in range(first, view.lines):
            run = 0
            for e, (c, y, x) in enumerate(taps(view, line)):
                run += e > 0 and kx[e] == 0
                for below in range(1 + w.gap):  # of a run, and of the row below it
                    at = run + int(w.gap and ky[0] + run >= w.kernel_h) + below
                    assert (kx[e], ky[at]) == (x, y + below)
                    cell = start + at * w.spacing + offset[at] * p.banks
                    wanted = (c - c0) * plane + (y + below - y0) * pitch
                    assert (cell - wanted) % (words * p.banks) == 0
                    for m in range(columns):
                        slot = (at * w.spacing + m) % p.banks
                        assert (w.slot_run[slot], w.slot_column[slot]) == (at, m)
                        assert w.slot_carry[slot] == (at * w.spacing + m) // p.banks
                followed += 1
            further = int(kx[0] + w.step_x >= w.kernel_w)
            further += int(w.gap and ky[0] + w.step_y + further >= w.kernel_h)
            kx = [(x + w.step_x) % w.kernel_w for x in kx]
            carries = [y + w.step_y + further >= rows for y in ky]
            ky = [(y + w.step_y + further) % rows for y in ky]
            offset = [o + w.delta[further + 3 * carry] for o, carry in zip(offset, carries, strict=True)]
            start += w.line_row * p.banks + w.line_bank + further * w.spacing
        served = sum(column != UNUSED for column in w.slot_column)
        assert served % columns == 0
    assert followed > 100
    assert gaps > 1 or not p.pair_cells


@pytest.mark.parametrize("name", PRESETS)
def test_columns_hold_the_words_of_all_steps(name: str) -> None:
    p = preset(name)
    rng = random.Random(name)
    for _ in range(200):
        groups = rng.randint(1, p.groups)
        stride = rng.randint(1, 3) if groups == 1 else 1
        steps, x0, kernel_w = rng.randint(1, 20), rng.randint(-3, 9), rng.randint(1, 9)
        view = View(1, kernel_w, 1, 1, 99, stride, (0, 0), kernel_w, 1, False)
        most = 0
        for step in range(steps):
            x = x0 + step * groups * stride
            cells = {(x + pixel + k) // p.cell_words for pixel in range(groups) for k in range(kernel_w)}
            most = max(most, max(cells) - x // p.cell_words + 1)
        assert columns_read(view, steps, groups, x0, p) == most
