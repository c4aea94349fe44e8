"""Helpers of the block tests: one run of Amaranth's simulator, register watching, instructions as plain values."""

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from amaranth.hdl import Fragment, Module, Signal
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

from hw.isa import Instruction, Isa
from hw.params import TileParams, preset

SHAPES = ("small", "odd", "paper32")
CYCLE_LIMIT = 20_000

Bench = Callable[[Any], Awaitable[None]]


def simulate(dut: Component | Module | Fragment, bench: Bench, limit: int = CYCLE_LIMIT) -> None:
    """Run ``bench(ctx)`` to its end; fail when it takes more than ``limit`` cycles."""
    top = Module()
    top.submodules.dut = dut
    clocked = Signal()
    top.d.sync += clocked.eq(1)  # so that a combinational block has a clock to be stepped by
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    ended = []

    async def measured(ctx: Any) -> None:
        await bench(ctx)
        ended.append(True)

    simulator.add_testbench(measured)
    for _ in range(2 * limit + 10):  # two steps of time a cycle
        if ended:
            return
        simulator.advance()
    raise AssertionError(f"the bench did not end within {limit} cycles")


def registers(fragment: Fragment, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every clocked register below an elaborated block, as (dotted path, signal); memory output registers too."""
    for statement in fragment.statements.get("sync", ()):
        for signal in statement._lhs_signals():
            yield ".".join((*path, signal.name)), signal
    if isinstance(fragment, MemoryInstance):
        for number, port in enumerate(fragment._read_ports):
            if port._domain == "sync":
                yield ".".join((*path, f"read_{number}")), port._data
    for below, name, _ in fragment.subfragments:
        yield from registers(below, (*path, str(name)))


def elaborated(dut: Component | Module) -> tuple[Fragment, dict[str, Any]]:
    """The elaborated block, to be simulated, and its registers by path."""
    fragment = Fragment.get(dut, None)
    return fragment, dict(registers(fragment))


def state_of(ctx: Any, signals: dict[str, Any], prefix: str = "") -> dict[str, int]:
    """Present values of the registers whose path starts with ``prefix``; refuses a prefix that names none."""
    found = {path: ctx.get(signal) for path, signal in signals.items() if path.startswith(prefix)}
    assert found, f"no register below {prefix!r}"
    return found


def plain(isa: Isa, instruction: Instruction) -> dict[str, Any]:
    """Field values of an instruction as a layout takes them: no negative number in an unsigned field."""
    found: dict[str, Any] = {}
    for field in isa.fields[instruction.opcode]:
        value = getattr(instruction, field.name)
        mask = -1 if field.signed else (1 << field.width) - 1
        if field.count > 1:
            found[field.name] = [int(item) & mask for item in value]
        else:
            found[field.name] = int(value) & mask
    return found


def wrap(value: int, bits: int) -> int:
    """Two's complement of ``value`` in ``bits`` bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def word(rng: random.Random, bits: int) -> int:
    """A random signed word; the extremes and 0 come often."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return rng.choice((low, high, 0, -1, rng.randint(low, high), rng.randint(low, high), rng.randint(-40, 40)))


def words(rng: random.Random, bits: int, count: int) -> list[int]:
    return [word(rng, bits) for _ in range(count)]


def in_banks(rng: random.Random, p: TileParams, numbers: list[int]) -> tuple[list[int], int]:
    """Words by bank of accumulators that lie in banks of their own, and the mask of these; other words by chance."""
    places = dict(divmod(number, p.sum_banks)[::-1] for number in numbers)
    assert len(places) == len(numbers)
    depth = p.accumulators // p.sum_banks
    return [places.get(b, rng.randrange(depth)) for b in range(p.sum_banks)], sum(1 << bank for bank in places)


def lone(**changes: object) -> TileParams:
    """The least machine that the parameters allow: one neuron, one pooling entry, one line per beat."""
    values: dict[str, object] = {"neurons": 1, "synapses": 2, "groups": 1, "pool_entries": 1, "accumulators": 2}
    values |= {"dram_beat_bytes": 4, "dram_bytes": 1 << 20, "dram_outstanding": 2}
    return preset("small").replace(**(values | changes))
