"""A last line of few elements in quarters, four steps at a time (hw.instructions.Compute.quarters)."""

from dataclasses import dataclass

from golden.mapping.view import Reach, View, columns_read
from hw.instructions import quads_of, rest_of
from hw.params import QUARTERS, TileParams


@dataclass(frozen=True)
class Quarters:
    """count: quarters with elements, 0 where the line is computed as any other. columns: cells of a run that four steps
    read. saved: cycles of a row that the whole line would take more."""

    count: int = 0
    columns: int = 0
    saved: int = 0


NONE = Quarters()


def quarters_of(
    view: View, lines: int, lanes: int, groups: int, cols: int, x0: int, reach: Reach, p: TileParams
) -> Quarters:  # fmt: skip
    """Of the last of ``lines`` lines, ``lanes`` of it in use, in rows of ``cols`` pixels from x0 on in ``groups``
    groups."""
    if not p.quarter_lanes or view.stride > 1 or view.vector or lines == 1:
        return NONE
    steps = -(-cols // groups)
    count, row = -(-lanes // p.quarter_lanes), quads_of(steps, steps)
    columns = columns_read(view, 1, min(QUARTERS * groups, cols), x0, p)
    if count == QUARTERS or count * row >= steps or columns > reach.columns:
        return NONE
    return Quarters(count, columns, steps - count * row)


def tile_of_quads(tile: int, row_steps: int) -> int:
    """The longest tile of at most ``tile`` steps in which four steps are never cut: one of whole rows or, where four
    divides the steps of a row, of a number that it divides; 0 if there is none."""
    fours = 0 if row_steps % QUARTERS else tile // QUARTERS * QUARTERS
    return max(tile // row_steps * row_steps, fours)


def quarter_fields(quarters: Quarters, tile: int, row_steps: int) -> dict[str, int]:
    """The fields of a Compute with such tiles."""
    if not quarters.count:
        return {}
    return {
        "quarters": quarters.count, "quarter_columns": quarters.columns, "quarter_tile": quads_of(tile, row_steps),
        "row_rest": rest_of(row_steps),
    }  # fmt: skip
