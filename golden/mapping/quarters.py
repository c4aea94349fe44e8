"""A last line of few elements in quarters, four steps at a time (hw.instructions.Compute.quarters)."""

from dataclasses import dataclass

from golden.mapping.view import Reach, View, columns_read
from hw.params import QUARTERS, TileParams


@dataclass(frozen=True)
class Quarters:
    """count: quarters with elements, 0 where the line is computed as any other. columns: cells of a run that four steps
    read. row: how often a row takes a quarter. saved: cycles of a row that the whole line would take more."""

    count: int = 0
    columns: int = 0
    row: int = 0
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
    count, row = -(-lanes // p.quarter_lanes), -(-steps // QUARTERS)
    columns = columns_read(view, 1, min(QUARTERS * groups, cols), x0, p)
    if count == QUARTERS or count * row >= steps or columns > reach.columns:
        return NONE
    return Quarters(count, columns, row, steps - count * row)


def tile_of_quads(tile: int, row_steps: int) -> int:
    """The longest tile of at most ``tile`` steps in which four steps are never cut: one of whole rows or, where four
    divides the steps of a row, of a number that it divides; 0 if there is none."""
    fours = 0 if row_steps % QUARTERS else tile // QUARTERS * QUARTERS
    return max(tile // row_steps * row_steps, fours)


def quarter_fields(quarters: Quarters, tile: int, row_steps: int) -> dict[str, int]:
    """The fields of a Compute with such tiles."""
    if not quarters.count:
        return {}
    times = tile // row_steps * quarters.row if tile % row_steps == 0 else tile // QUARTERS
    rest = row_steps - (quarters.row - 1) * QUARTERS
    return {"quarters": quarters.count, "quarter_columns": quarters.columns, "quarter_tile": times, "row_rest": rest}
