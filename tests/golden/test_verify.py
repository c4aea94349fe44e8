"""The verifier: what passes, and every refusal on a program that was spoilt by one field."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from golden.mapping import Mapped, map_network
from golden.verify import verify
from hw.errors import BadInput
from hw.instructions import Base, Buffer, Compute, Decide, End, Entry, Instruction, Load, Store, Window
from hw.isa import isa
from hw.params import preset
from tests.golden.random_networks import increments, networks


@cache
def lenet_like() -> Mapped:
    """Spilled, streamed, pooled by average, with a resident fully connected layer in two pieces; two increments."""
    torch.manual_seed(0)
    p = preset("small")
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(8, 6, 3), nn.ReLU(),
        nn.AvgPool2d(2, 2, ceil_mode=True), nn.Flatten(), nn.Linear(54, 80), nn.Linear(80, 7),
    )  # fmt: skip
    shape = (1, 10, 10)
    return map_network(networks(increments(module, (0.5, 1.0), shape), shape, p), p)


def segment() -> tuple[Instruction, ...]:
    return lenet_like().segments[1]


def index_of(kind: type, good: Callable[[Any], bool] = lambda _: True) -> int:
    return next(i for i, item in enumerate(segment()) if isinstance(item, kind) and good(item))


def changed(instruction: Any, **fields: object) -> Any:
    return replace(instruction, **fields)


def spoilt(index: int, instruction: Instruction) -> Mapped:
    """The mapped network with one instruction of its last segment replaced in the image."""
    mapped = lenet_like()
    coder = isa(mapped.params)
    at = mapped.segment_addresses[1] * mapped.params.dram_beat_bytes + index * coder.instruction_bytes
    raw = mapped.image[:at] + coder.encode(instruction) + mapped.image[at + coder.instruction_bytes :]
    return replace(mapped, image=raw)


def test_a_mapped_network_passes_and_was_followed() -> None:
    mapped = lenet_like()
    checked = verify(mapped)
    assert checked.instructions == 1 + sum(map(len, mapped.segments))
    assert checked.words_read > 5000
    assert checked.words_written > 3000
    plans = mapped.plans[1]
    assert plans[0].stage is not None
    assert plans[1].stream is not None
    assert len(plans[3].pieces) > 1


def _streamed(item: Load) -> bool:
    return item.buffer != Buffer.SB and item.base == Base.ABSOLUTE


FIELDS: list[tuple[type, Callable[[Any], bool], dict[str, object], str]] = [
    (Load, lambda t: True, {"wait_dma": 4000}, "wait_dma 4000 waits for a transfer that does not come before it"),
    (Load, lambda t: True, {"wait_read": 9}, "wait_read 9 waits for a compute that does not come before it"),
    (Load, lambda t: True, {"wait_written": 9}, "wait_written 9 waits for a compute that does not come before it"),
    (Load, lambda t: True, {"runs": 0}, "at least one run and one line are wanted, not 0 and"),
    (Load, lambda t: True, {"last_words": 5}, "last_words wants 1 to 4, not 5"),
    (Load, lambda t: t.buffer == Buffer.SB, {"lines": 5}, "lines of an SB load want at most 4 neurons, not 5"),
    (Load, lambda t: t.buffer == Buffer.SB, {"row": 47, "runs": 2}, "SB rows 47 to 48 want to be below 48"),
    (Load, _streamed, {"row": 95}, "words of NBin, first .*, lie outside its 384 words"),
    (
        Load,
        lambda t: t.wait_read > 4,
        {"wait_read": 0, "wait_written": 0},
        "known to be done; raise its wait counts",
    ),
    (Load, _streamed, {"address": (1 << 20) - 64}, "DRAM lines .* are read but were never written"),
    (Load, lambda t: t.base == Base.IMAGE, {"address": 15}, "lie outside the image's 20 beats"),
    (Load, lambda t: t.base == Base.IMAGE, {"base": Base.RESULT}, "a load from the result area is not wanted"),
    (
        Load,
        lambda t: t.base == Base.IMAGE,
        {"base": Base.ABSOLUTE, "address": 1 << 19},
        "are read but were never written",
    ),
    (Store, lambda t: True, {"buffer": Buffer.SB}, "a store wants NBin or NBout, not SB"),
    (Store, lambda t: True, {"base": Base.IMAGE}, "a store wants the scratch or result area, not the image"),
    (Store, lambda t: True, {"address": 0}, "DRAM lines 0 to .* want to lie in"),
    (
        Store,
        lambda t: t.base == Base.ABSOLUTE,
        {"row": 50},
        "words of NBout, first .*, are read but were never written",
    ),
    (Store, lambda t: t.base == Base.RESULT, {"lines": 1}, "2 lines of scores want to be stored in the result area"),
    (Window, lambda w: True, {"kernel_w": 0}, "a kernel of at least 1x1 is wanted, not 0x3"),
    (Window, lambda w: True, {"kx": (0, 1, 2, 1)}, "kx and ky of lane e want e % 3 and e // 3 % 3"),
    (Window, lambda w: True, {"step_x": 0}, r"steps \(1, 1\) are wanted, not \(0, 1\)"),
    (Window, lambda w: True, {"row_offset": (0, 0, 0, 1)}, "lane offsets want to follow a pitch of 3 and a plane of 9"),
    (Compute, lambda c: True, {"tile": 9}, "tile wants 1 to 8, not 9"),
    (Compute, lambda c: True, {"tile": 0}, "tile wants 1 to 8, not 0"),
    (Compute, lambda c: True, {"neurons": 5}, "neurons wants 1 to 4, not 5"),
    (Compute, lambda c: True, {"sb_row": 47}, "sb_row wants 0 to"),
    (Compute, lambda c: True, {"target": Buffer.NBIN}, "source and target want to be different buffers, not both NBIN"),
    (Compute, lambda c: True, {"wait_dma": 0}, "known to be done; raise its wait counts"),
    (Compute, lambda c: True, {"load_bias": 0}, "biases of 4 neurons want to be loaded first"),
    (Compute, lambda c: c.cols == 1, {"first": 0}, "first 0 wants an open sum, there is none"),
    (Compute, lambda c: True, {"finish": 0}, "a sum over several computes wants one tile, not"),
    (Compute, lambda c: c.finish and not c.first, {"first": 1}, "a sum is still open; finish it before another one"),
    (Compute, lambda c: c.finish and not c.first, {"neurons": 3}, "the open sum has .pixels, neurons."),
    (Compute, lambda c: c.pool, {"cols": 9}, "pooling wants whole rows of 8 pixels, not 9"),
    (Compute, lambda c: c.pool, {"pool_w": 5, "to_cols": 5}, "pool_w wants 7 to 7 windows, not 5"),
    (Compute, lambda c: c.pool, {"pool_size": 7}, "7 rows of 7 pooling windows are open at a time, but"),
    (
        Compute,
        lambda c: c.pool,
        {"pool_stride": 0},
        "a pooling window and stride of at least 1 are wanted, not 2 and 0",
    ),
    (Compute, lambda c: c.pool, {"out_h": 0}, "rows up to .* want to lie in a map of 0"),
    (Compute, lambda c: c.pool, {"pool_slot": 1}, r"pool_y, pool_phase, pool_slot want \(0, 0, 0\) at row 0"),
    (
        Compute,
        lambda c: c.pool == 2 and c.finish,
        {"reciprocal": (1, 2, 3, 4)},
        r"reciprocal wants .*, not \(1, 2, 3, 4\)",
    ),
    (Compute, lambda c: c.pool and c.out_y > 0, {"neurons": 3}, "row .* of the same block is next"),
    (Compute, lambda c: c.finish, {"to_cols": 3}, "to_cols wants 7, not 3"),
    (Compute, lambda c: c.finish, {"to_n_row": 0, "to_n_bank": 0}, "two results are written to the same word"),
    (Compute, lambda c: c.finish, {"to_row": 95}, "words of NBout, first .*, lie outside its 384 words"),
    (Compute, lambda c: c.scores, {"score_base": 3}, "score_base wants 0, not 3"),
    (Compute, lambda c: c.pool and c.finish, {"scores": 1}, "scores want one pixel without pooling"),
    (Compute, lambda c: c.scores, {"scores": 0}, "score_base wants 0, not 4"),
    (Decide, lambda d: True, {"increment": 0}, "increment 1 is wanted, not 0"),
    (Decide, lambda d: True, {"last": 0}, "last 1 is wanted, not 0"),
]


@pytest.mark.parametrize(("kind", "good", "change", "message"), FIELDS)
def test_a_spoilt_field_is_refused_by_its_instruction(
    kind: type, good: Callable[[Any], bool], change: dict[str, object], message: str
) -> None:
    index = index_of(kind, good)
    instruction = segment()[index]
    with pytest.raises(BadInput, match=rf"^increment 1(, instruction \d+ \([A-Z]+\))?: .*{message}"):
        verify(spoilt(index, changed(instruction, **change)))


def test_the_message_names_the_instruction() -> None:
    index = index_of(Compute, lambda c: c.scores)
    spoiled = spoilt(index, changed(segment()[index], score_base=9))
    with pytest.raises(BadInput, match=rf"^increment 1, instruction {index} \(COMPUTE\): score_base wants 0, not 9$"):
        verify(spoiled)


def _misplaced(index: int, instruction: Instruction, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        verify(spoilt(index, instruction))


def test_instructions_out_of_place_are_refused() -> None:
    code = segment()
    window = index_of(Window)
    decide = index_of(Decide)
    _misplaced(window, code[0], "a compute wants a WINDOW before it")
    _misplaced(0, End(), "instruction 1 .*: nothing may follow END")
    _misplaced(decide, code[window], "a segment wants one DECIDE and an END as its last instruction")
    _misplaced(len(code) - 1, code[window], "a segment wants one DECIDE and an END as its last instruction")
    _misplaced(index_of(Compute, lambda c: c.scores) + 1, code[decide], "scores of 7 classes are wanted, not of 4")
    _misplaced(decide + 1, code[decide], "one DECIDE a segment is wanted")
    _misplaced(decide + 1, code[index_of(Compute)], "no compute may follow DECIDE")
    _misplaced(window, Entry((0,), (0,)), "ENTRY is wanted only at the program's start")


def test_a_segment_that_stops_early_is_refused() -> None:
    code = segment()
    first = index_of(Compute, lambda c: c.finish and c.pool)
    decide = code[index_of(Decide)]
    _misplaced(first + 1, decide, "pooling windows are still open; the rows up to out_h are wanted")
    chained = index_of(Compute, lambda c: not c.finish)
    _misplaced(chained + 1, decide, "a sum is still open; its last compute wants finish|DECIDE")


def test_rubbish_is_refused() -> None:
    mapped = lenet_like()
    beat = mapped.params.dram_beat_bytes
    with pytest.raises(BadInput, match="entry: instruction 0: cannot be decoded, an opcode from 1 to 7"):
        verify(replace(mapped, image=bytes(beat) + mapped.image[beat:]))
    with pytest.raises(BadInput, match="entry: an ENTRY is wanted at beat"):
        verify(replace(mapped, program_address=mapped.segment_addresses[0]))
    with pytest.raises(BadInput, match="entry: 1 instructions from beat .* want to lie in the image of"):
        verify(replace(mapped, image=mapped.image[:beat]))
    with pytest.raises(BadInput, match="increment 0: .* instructions from beat .* want to lie in the image of"):
        verify(replace(mapped, image=mapped.image[: 8 * beat]))
    with pytest.raises(BadInput, match="an image of .* bytes up to the scratch area is wanted, not of"):
        verify(replace(mapped, image=mapped.image[: mapped.scratch_address * beat - beat]))
    far = mapped.params.dram_beats
    with pytest.raises(BadInput, match="result area lies outside DRAM"):
        verify(replace(mapped, result_address=far))
    code = isa(mapped.params)
    load = bytearray(code.encode(segment()[0]))
    at = mapped.segment_addresses[1] * beat
    word = int.from_bytes(load, "little") | 3 << (4 + 3 * 16)  # a buffer that does not exist
    broken = mapped.image[:at] + word.to_bytes(len(load), "little") + mapped.image[at + len(load) :]
    with pytest.raises(
        BadInput, match="increment 1: instruction 0: cannot be decoded, buffer of LOAD wants 0 to 2, not 3"
    ):
        verify(replace(mapped, image=broken))


def test_escalation_wants_the_next_segment() -> None:
    mapped = lenet_like()
    coder = isa(mapped.params)
    index = next(i for i, item in enumerate(mapped.segments[0]) if isinstance(item, Decide))
    wrong = coder.encode(changed(mapped.segments[0][index], length=3))
    at = mapped.segment_addresses[0] * mapped.params.dram_beat_bytes + index * coder.instruction_bytes
    raw = mapped.image[:at] + wrong + mapped.image[at + len(wrong) :]
    with pytest.raises(BadInput, match=r"increment 0, instruction .* \(DECIDE\): the next segment .* is wanted, not"):
        verify(replace(mapped, image=raw))
