"""Puts the segments of all increments together: addresses, encoded program, DRAM image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from golden.mapping.layer_plan import LayerPlan
from golden.mapping.layout import run_beats
from golden.mapping.mapped import Mapped, Segment
from golden.mapping.ops import Emit, Op, Region
from golden.network import Network
from hw.errors import BadInput
from hw.instructions import SYNC_BITS, Compute, Decide, End, Entry, Instruction, Load, Store
from hw.isa import isa
from hw.params import TileParams


@dataclass(frozen=True)
class Planned:
    """Operations of a segment in order, their last one the store of the scores, and the plans behind them. scratch_at:
    beat of the scratch area at which its maps start."""

    plans: tuple[LayerPlan, ...]
    ops: tuple[Op, ...]
    scratch_at: int = 0


@dataclass(frozen=True)
class Gaps:
    """Beats that stay free: between program and constants (zeros in the image), between the constants of all increments
    and those of one (likewise), and between scratch area and images."""

    constants: int = 0
    own: int = 0
    images: int = 0


def assemble(
    nets: tuple[Network, ...], fresh: Sequence[Planned], resumed: Sequence[Planned | None], constants: bytes,
    shared_beats: int, scratch_beats: int, gaps: Gaps, p: TileParams,
) -> Mapped:  # fmt: skip
    """The program of ``nets``. fresh, resumed: per increment, its segments that start anew and that go on (or None);
    constants: weights and biases, which follow the program; shared_beats: of those of all increments."""
    coder, increments = isa(p), range(len(nets))
    later = [(k, found) for k, found in enumerate(resumed) if found is not None]
    lengths = [len(found.ops) + 2 for found in (*fresh, *(found for _, found in later))]  # Decide and End
    if max(lengths) >> SYNC_BITS:
        raise BadInput(f"a program segment holds less than {1 << SYNC_BITS} instructions, {max(lengths)} are needed")
    addresses = [coder.instruction_beats * (1 + sum(lengths[:i])) for i in range(len(lengths) + 1)]
    constants_at = addresses.pop() + gaps.constants
    shared, own = constants[: shared_beats * p.dram_beat_bytes], constants[shared_beats * p.dram_beat_bytes :]
    constants = shared + bytes(gaps.own * p.dram_beat_bytes) + own
    scratch_at = constants_at + len(constants) // p.dram_beat_bytes
    image_at = scratch_at + scratch_beats + gaps.images
    channels, height, width = nets[0].input_shape
    image_beats = channels * height * run_beats(width, p)
    result_beats = run_beats(nets[0].classes, p)
    if image_at + image_beats + result_beats > p.dram_beats:
        raise BadInput(
            f"program, weights and maps want {(image_at + image_beats + result_beats) * p.dram_beat_bytes} bytes "
            f"of DRAM, but {p.name} has {p.dram_bytes}; use a smaller network"
        )
    place = {k: (addresses[k], lengths[k]) for k in increments}
    go_on = {k: (addresses[len(nets) + at], lengths[len(nets) + at]) for at, (k, _) in enumerate(later)}

    def segment(k: int, found: Planned, goes_on: bool) -> Segment:
        following = (0, 0) if k == increments[-1] else place[k + 1]
        if goes_on or k not in go_on:
            following = go_on.get(k + 1, following)
        code = code_of(found.ops, constants_at, gaps.own, scratch_at + found.scratch_at)
        code = [*code[:-1], Decide(k, int(k == increments[-1]), *following), code[-1], End()]
        address = (go_on if goes_on else place)[k][0]
        return Segment(address, tuple(code), tuple(_emits(found.ops)), found.plans)

    parts = [segment(k, found, False) for k, found in enumerate(fresh)]
    resumes = [segment(k, found, True) if found is not None else None for k, found in enumerate(resumed)]
    entry = Entry(tuple(addresses[: len(nets)]), tuple(lengths[: len(nets)]))
    code = [i for part in (*parts, *resumes) if part is not None for i in part.code]
    program = [*(coder.encode(item) for item in (entry, *code)), bytes(gaps.constants * p.dram_beat_bytes)]
    return Mapped(
        params=p, networks=nets, image=b"".join(program) + constants,
        program_address=0, scratch_address=scratch_at, scratch_beats=scratch_beats, image_address=image_at,
        image_beats=image_beats, result_address=image_at + image_beats, result_beats=result_beats,
        fresh=tuple(parts), resumed=tuple(resumes),
    )  # fmt: skip


def code_of(ops: Sequence[Op], constants_at: int, own_gap: int, scratch_at: int) -> list[Instruction]:
    """The instructions of operations, with the addresses at which constants and scratch area lie. own_gap: beats
    between the constants of all increments and those of one."""
    base = {Region.CONSTANTS: constants_at, Region.OWN: constants_at + own_gap, Region.SCRATCH: scratch_at}
    code: list[Instruction] = []
    for op in ops:
        moved = op.instruction
        if isinstance(moved, Load | Store):
            moved = replace(moved, address=moved.address + base.get(op.region, 0))
        code.append(moved)
    return code


def _emits(ops: Sequence[Op]) -> list[Emit]:
    return [op.emit for op in ops if isinstance(op.instruction, Compute) and op.emit is not None]
