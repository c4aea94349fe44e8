"""Tables looked up in bulk equal tables looked up one by one."""

import numpy as np
import pytest

from synth.gate.library import Table
from synth.gate.lookup import Tables


def one(table: Table, slew: float, load: float) -> float:
    """Bilinear by np.interp on each side; within the axes only."""
    rows = [np.interp(load, table.loads_pf, row) for row in table.values]
    return float(np.interp(slew, table.slews_ns, rows))


def test_within_the_axes_as_interp():
    random = np.random.default_rng(5)
    tables: list[Table] = []
    stack = Tables()
    for size in ((7, 7), (2, 5), (3, 2), (4, 4)):
        axes = [np.cumsum(random.uniform(0.1, 1, count)) for count in size]
        tables.append(Table(axes[0], axes[1], random.normal(size=size)))
    numbers = np.array([stack.add(table) for table in tables])
    assert numbers.tolist() == [0, 1, 2, 3]
    picks = random.integers(0, 4, 200)
    slews = np.array([random.uniform(tables[k].slews_ns[0], tables[k].slews_ns[-1]) for k in picks])
    loads = np.array([random.uniform(tables[k].loads_pf[0], tables[k].loads_pf[-1]) for k in picks])
    wanted = [one(tables[k], slew, load) for k, slew, load in zip(picks, slews, loads, strict=True)]
    np.testing.assert_allclose(stack.at(picks, slews, loads), wanted, rtol=1e-12)


def test_on_the_points_and_beyond():
    axes = (np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0]))
    stack = Tables()
    number = stack.add(Table(*axes, 100 * axes[0][:, None] + axes[1][None, :]))  # linear, so it goes on as it is
    slews, loads = np.meshgrid([0.0, 1.0, 2.0, 3.0, 4.0, 9.0], [0.0, 10.0, 20.0, 50.0])
    got = stack.at(np.full(slews.size, number), slews.ravel(), loads.ravel())
    np.testing.assert_allclose(got, (100 * slews + loads).ravel(), rtol=1e-12)


def test_an_axis_of_one_point_is_no_axis():
    stack = Tables()
    scalar = stack.add(Table(np.zeros(1), np.zeros(1), np.array([[7.0]])))
    by_slew = stack.add(Table(np.array([1.0, 2.0]), np.zeros(1), np.array([[1.0], [3.0]])))
    by_load = stack.add(Table(np.zeros(1), np.array([1.0, 2.0]), np.array([[5.0, 9.0]])))
    numbers = np.array([scalar, by_slew, by_load])
    assert stack.at(numbers, np.full(3, 1.5), np.full(3, 1.25)).tolist() == [7.0, 2.0, 6.0]


def test_numbers_are_kept():
    stack = Tables()
    table = Table(np.zeros(1), np.zeros(1), np.array([[1.0]]))
    assert stack.add(table) == stack.add(table) == 0
    assert stack.at(np.array([0]), np.array([0.3]), np.array([0.3])).tolist() == [1.0]
    later = stack.add(Table(np.zeros(1), np.zeros(1), np.array([[2.0]])))
    assert later == 1
    assert stack.at(np.array([0, 1]), np.zeros(2), np.zeros(2)).tolist() == [1.0, 2.0]
    assert stack.at(np.array([], dtype=int), np.zeros(0), np.zeros(0)).tolist() == []


def test_unknown_number_is_an_error():
    stack = Tables()
    stack.add(Table(np.zeros(1), np.zeros(1), np.array([[1.0]])))
    with pytest.raises(IndexError):
        stack.at(np.array([1]), np.zeros(1), np.zeros(1))
