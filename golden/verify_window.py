"""Checks a Window, and finds the words that a Compute reads through it. Part of golden.verify."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hw.errors import BadInput
from hw.instructions import UNUSED, Compute, Window
from hw.isa import isa
from hw.params import QUARTERS, TileParams

Ints = NDArray[np.int64]


def want(good: bool, message: str) -> None:
    if not good:
        raise BadInput(message)


def check_window(w: Window, p: TileParams) -> None:
    """Lanes walk through the flattened window, lines follow each other, slots lie where their cells do."""
    want(w.kernel_w >= 1 and w.kernel_h >= 1, f"a kernel of at least 1x1 is wanted, not {w.kernel_w}x{w.kernel_h}")
    want(1 <= w.taps <= p.synapses, f"taps wants 1 to {p.synapses}, not {w.taps}")
    want(w.spacing < p.banks, f"spacing wants to be below {p.banks}, not {w.spacing}")
    each = range(p.synapses)
    want(
        w.kx == tuple((w.kx[0] % w.kernel_w + e) % w.kernel_w for e in each),
        f"kx of lane e wants (kx + e) % {w.kernel_w} of lane 0's kx",
    )
    rows = w.positions
    want(
        w.ky == tuple((w.ky[0] % w.kernel_h + r) % rows for r in each),
        f"ky of position r wants (ky + r) % {rows} of run 0's ky",
    )
    if w.gap:
        most = w.kernel_h * w.kernel_w - 1
        want(w.taps <= most, f"a window with a gap wants at most {most} taps, not {w.taps}")
        want(2 * w.spacing < p.banks, f"spacing with a gap wants to be below half of {p.banks} banks, not {w.spacing}")
    runs = w.taps // w.kernel_w
    steps = (w.taps % w.kernel_w, runs % w.kernel_h)
    want((w.step_x, w.step_y) == steps, f"steps {steps} are wanted, not {(w.step_x, w.step_y)}")
    row, bank = divmod(runs * w.spacing, p.banks)
    line = (row % (1 << isa(p).row_bits), bank)
    want((w.line_row, w.line_bank) == line, f"a line's step wants to be {line}, not {(w.line_row, w.line_bank)}")
    for k, (run, column, carry) in enumerate(zip(w.slot_run, w.slot_column, w.slot_carry, strict=True)):
        cell = (carry, k)
        place = divmod(run * w.spacing + column, p.banks)
        want(
            column == UNUSED or place == cell,
            f"slot {k} serves cell {column} of position {run}, (rows, banks) {place} after run 0's start, not {cell}",
        )


@dataclass(frozen=True)
class Runs:
    """Runs of a compute's lines in order, an element each: cells after the origin's cell, ky, first and last kx, and
    the run's position in its line. lanes: those in use [lines]. pitch: of the map's rows, 0 when no two are met."""

    cell: Ints
    ky: Ints
    low: Ints
    high: Ints
    position: Ints
    lanes: Ints
    pitch: int


@lru_cache(maxsize=256)
def runs_of(w: Window, lines: int, last_lanes: int, p: TileParams) -> Runs:
    """The runs that ``lines`` lines meet; refuses addresses of no map."""
    modulus = (1 << isa(p).row_bits) * p.banks
    line = np.arange(lines)
    first = w.kx[0] + line * w.taps  # elements from the start of the first line's first row
    lanes = np.where(line == lines - 1, last_lanes, w.taps)
    met, found = (first + lanes - 1) // w.kernel_w - first // w.kernel_w + 1, []
    start, ky, offset, delta = 0, np.array(w.ky), np.array(w.row_offset), np.array(w.delta)
    for at in range(lines):
        run = np.arange(met[at])
        place = w.position(ky[0], run)
        beside = np.minimum(place + w.gap, p.synapses - 1)  # of the row below
        cells = start + np.arange(p.synapses) * w.spacing + offset * p.banks
        found.append((cells[place], ky[place], place, cells[beside]))
        carry_x = int(first[at] % w.kernel_w + w.step_x >= w.kernel_w)
        further = w.further(ky[0], carry_x)
        carry_y = (ky + w.step_y + further >= w.positions).astype(np.int64)
        start += w.line_row * p.banks + w.line_bank + further * w.spacing
        offset = offset + delta[further + 3 * carry_y]
        ky = ky + w.step_y + further - carry_y * w.positions
    cell, kys, position, below = (np.concatenate([part[i] for part in found]) for i in range(4))
    of_line = np.repeat(line, met)
    number = np.concatenate([np.arange(count) for count in met])
    run = first[of_line] // w.kernel_w + number
    low = np.where(number == 0, first[of_line] % w.kernel_w, 0)
    high = np.minimum((first + lanes - 1)[of_line] - run * w.kernel_w, w.kernel_w - 1)
    pitch = _check_map(w, run, cell, below, modulus)
    return Runs(cell, kys, low, high, position, lanes, pitch)


def _check_map(w: Window, run: Ints, cell: Ints, below: Ints, modulus: int) -> int:
    """Refuse runs, and with a gap the rows ``below`` them, that do not lie in a map of equal pitches; returns the
    pitch."""
    at = dict(zip(run.tolist(), cell.tolist(), strict=True))
    channel, y = np.divmod(w.ky[0] + np.arange(len(at)), w.kernel_h)
    within = [r for r in range(1, len(at)) if y[r]]
    pitch = (at[within[0]] - at[within[0] - 1]) % modulus if within else 0
    if w.gap:
        pitch = int(below[0] - cell[0]) % modulus
    beyond = int(np.argmax(channel)) if channel.any() else 0
    following = int(np.flatnonzero(channel == 1)[0]) if beyond else 0
    plane = at[following] - (int(y[following]) - w.ky[0]) * pitch if beyond else 0
    wanted = (channel * plane + (y - w.ky[0]) * pitch)[run]
    want(
        bool(((cell - wanted) % modulus == 0).all() and (not w.gap or ((below - cell - pitch) % modulus == 0).all())),
        f"runs want to lie in a map of one pitch and plane; the first ones give {pitch} and {plane % modulus} cells",
    )
    return pitch


def words_read(c: Compute, w: Window, p: TileParams) -> Ints:
    """Words of the source buffer that a compute uses; refuses steps that do not follow its map, and missing slots."""
    runs = runs_of(w, c.lines, c.last_lanes, p)
    modulus = (1 << isa(p).row_bits) * p.banks
    _check_steps(c, runs, p)
    _check_slots(c, w, runs, p)
    origin, ring_y = c.row * p.banks + c.bank - (c.x0 - c.sub) // p.cell_words, c.ring_y
    starts: list[int] = []
    places: list[int] = []
    for row in range(c.rows):
        if row % c.step_rows:
            starts.append(starts[-1] + runs.pitch)
            places.append(ring_y)
            continue
        starts.append(origin)
        places.append(ring_y)
        origin, ring_y = origin + c.step_y_row * p.banks + c.step_y_bank, ring_y + c.stride
        if c.ring_rows and ring_y >= c.ring_rows:
            origin, ring_y = origin - c.ring_back * p.banks, ring_y - c.ring_rows
    cells = np.array(starts)[:, None] + runs.cell
    if c.ring_rows:
        cells -= (np.array(places)[:, None] + runs.ky >= c.ring_rows) * c.ring_back * p.banks
    y = c.y0 + c.stride * np.arange(c.rows)[:, None] + runs.ky
    inside = (y >= 0) & (y < c.in_h)
    used = np.zeros(modulus * p.cell_words, dtype=bool)
    pixels = c.x0 + c.stride * np.arange(c.cols)
    for low, high in sorted(set(zip(runs.low.tolist(), runs.high.tolist(), strict=True))):
        x = np.unique(pixels[:, None] + np.arange(low, high + 1))
        x = x[(x >= 0) & (x < c.in_w)]
        rows = cells[inside & (runs.low == low) & (runs.high == high)]
        used[(rows[:, None] * p.cell_words + x) % len(used)] = True
    return np.flatnonzero(used)


def _check_steps(c: Compute, runs: Runs, p: TileParams) -> None:
    modulus = (1 << isa(p).row_bits) * p.banks
    words = c.groups * c.stride
    want(
        c.cols <= c.groups or c.step_cells * p.cell_words + c.step_sub == words,
        f"a step wants to move by {words} words, not by {c.step_cells} cells and {c.step_sub} words",
    )
    want(
        (c.x0 - c.sub) % p.cell_words == 0,
        f"sub wants {c.x0 % p.cell_words} for x0 {c.x0}: map rows start with a cell, not {c.sub}",
    )
    step_y = c.step_y_row * p.banks + c.step_y_bank
    want(
        c.rows <= c.step_rows or not runs.pitch or (step_y - c.stride * c.step_rows * runs.pitch) % modulus == 0,
        f"step_y wants {c.stride * c.step_rows} rows of {runs.pitch} cells, not {step_y} cells",
    )
    if not c.ring_rows:
        return
    want(c.ring_y < c.ring_rows, f"ring_y wants to be below ring_rows = {c.ring_rows}, not {c.ring_y}")
    want(
        not runs.pitch or (c.ring_rows * runs.pitch - c.ring_back * p.banks) % modulus == 0,
        f"ring_back wants the length of {c.ring_rows} rows of {runs.pitch} cells, not {c.ring_back} buffer rows",
    )


def _check_slots(c: Compute, w: Window, runs: Runs, p: TileParams) -> None:
    """Every cell of every run that a step can need is served by a slot."""
    steps = min(c.row_steps, p.cell_words)
    subs = [(c.sub + i * c.step_sub) % p.cell_words for i in range(steps)]
    last = int(np.flatnonzero(runs.position == 0)[-1])  # run of the last line
    whole = slice(0, last if c.quarters else None)
    _check_served(c, w, runs, whole, (min(subs), max(subs) + min(c.groups, c.cols) - 1), c.columns, p)
    if c.quarters:
        words = (c.sub, c.sub + min(QUARTERS * c.groups, c.cols) - 1)
        _check_served(c, w, runs, slice(last, None), words, c.quarter_columns, p)


def _check_served(
    c: Compute, w: Window, runs: Runs, which: slice, words: tuple[int, int], columns: int, p: TileParams
) -> None:  # fmt: skip
    """words: of a run's first cell, from which and to which its first element is wanted."""
    low = (words[0] + runs.low[which]) // p.cell_words
    high = (words[1] + runs.high[which]) // p.cell_words
    slot_run, slot_column = np.array(w.slot_run), np.array(w.slot_column)
    for column in range(int(high.max()) + 1):
        needed = runs.position[which][(low <= column) & (column <= high)]
        needed = np.concatenate([needed + row for row in range(c.step_rows)])
        slot = (needed * w.spacing + column) % p.banks
        served = (slot_run[slot] == needed) & (slot_column[slot] == column) & (column < columns)
        want(
            bool(served.all()),
            f"no slot serves cell {column} of position {needed[~served].min(initial=p.synapses)} with columns "
            f"{columns}; other pitches or fewer taps are wanted",
        )
