"""The list of events that counters, golden model and energy share."""

from hw.compute import Cycle
from hw.events import COUNTER_BITS, CYCLE_KINDS, TIME, TOGGLES, WORK, event_names
from hw.neuron import NEURON_TOGGLES


def test_names_are_unique_and_described() -> None:
    events = [*WORK, *TIME, *TOGGLES]
    assert len({event.name for event in events}) == len(events) == 63
    for event in events:
        assert event.name.isidentifier()
        assert event.unit
        assert len(event.meaning) > 5


def test_the_order_is_work_then_time_then_toggles() -> None:
    names = event_names(activity=True)
    assert names[: len(WORK)] == tuple(event.name for event in WORK)
    assert names[len(WORK)] == "cycles"
    assert names[-len(TOGGLES) :] == tuple(event.name for event in TOGGLES)
    assert event_names() == names[: -len(TOGGLES)]
    assert all(name.startswith("toggle_") for name in names[-len(TOGGLES) :])
    assert set(NEURON_TOGGLES) < set(names)


def test_the_engine_sorts_each_cycle_into_the_same_kinds() -> None:
    """compute_busy is counted as the work event compute_cycles; the other kinds are time events of their own."""
    kinds = [kind.name for kind in CYCLE_KINDS]
    assert kinds == ["compute_busy", *(name.lower() for name in list(Cycle.__members__)[1:])]
    assert [event.name for event in TIME] == ["cycles", *kinds[1:]]


def test_a_counter_outlasts_any_run() -> None:
    assert (1 << COUNTER_BITS) * 4e-9 > 86_400  # a day at 4 ns, one event a cycle
