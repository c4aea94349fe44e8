"""The verifier: what passes, and every refusal on a program that was spoilt by one field."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from golden.counts import emitted_rows
from golden.mapping import Mapped, map_network
from golden.verify import verify
from hw.errors import BadInput
from hw.instructions import UNUSED, Base, Buffer, Compute, Decide, End, Entry, Instruction, Load, Store, Window
from hw.isa import isa
from hw.params import preset
from tests.golden.random_networks import increments, networks


@cache
def lenet_like() -> Mapped:
    """Spilled, streamed, in groups, pooled by average, sums in two pieces; two increments."""
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
    code = segment()
    assert any(isinstance(t, Store) and t.base == Base.ABSOLUTE for t in code)
    assert any(isinstance(t, Load) and _streamed(t) for t in code)
    assert any(isinstance(t, Load) and t.groups > 1 for t in code)
    computes = [c for c in code if isinstance(c, Compute)]
    assert any(c.groups > 1 for c in computes)
    assert any(not c.finish for c in computes)
    assert any(c.vector for c in computes)


def _streamed(item: Load) -> bool:
    return item.buffer != Buffer.SB and item.base == Base.ABSOLUTE


def _emits(c: Compute) -> bool:
    return bool(c.finish) and emitted_rows(c) > 0


def _any(_: object) -> bool:
    return True


def _weights(t: Load) -> bool:
    return t.buffer == Buffer.SB


def _map(t: Load) -> bool:
    return t.buffer != Buffer.SB


TWO_ROWS: dict[str, object] = {"paired": 1, "groups": 4, "neurons": 1, "cols": 2}

FIELDS: list[tuple[type, Callable[[Any], bool], dict[str, object], str]] = [
    (Load, _any, {"wait_dma": 4000}, "wait_dma 4000 waits for a transfer that does not come before it"),
    (Load, _any, {"wait_read": 9}, "wait_read 9 waits for a compute that does not come before it"),
    (Load, _any, {"wait_written": 9}, "wait_written 9 waits for a compute that does not come before it"),
    (Load, _any, {"runs": 0}, "at least one run of one beat or line is wanted, not 0 of"),
    (Load, _any, {"length": 0}, "at least one run of one beat or line is wanted, not .* of 0"),
    (Load, _weights, {"last_words": 5}, "last_words wants 1 to 4, not 5"),
    (Load, _map, {"last_words": 9}, "last_words wants 1 to 8, not 9"),
    (Load, _weights, {"length": 5, "groups": 1}, "an SB load wants at most 4 neurons in 1 to 4 groups, not 1 x 5"),
    (Load, _weights, {"length": 3, "groups": 2}, "an SB load wants at most 4 neurons in 1 to 4 groups, not 2 x 3"),
    (Load, _weights, {"groups": 0}, "an SB load wants at most 4 neurons in 1 to 4 groups, not 0 x"),
    (Load, _weights, {"row": 47, "runs": 2}, "SB rows 47 to 48 want to be below 48"),
    (Load, _map, {"row": 24}, "words of NB.*, first .*, lie outside its 384 words"),
    (
        Load,
        lambda t: t.wait_read > t.wait_written > 0,
        {"wait_read": 0, "wait_written": 0},
        "known to be done; raise its wait counts",
    ),
    (Load, _streamed, {"address": (1 << 20) - 64}, "DRAM beats .* are read but were never written"),
    (Load, lambda t: t.base == Base.IMAGE, {"address": 19, "length": 2}, "lie outside the image's 20 beats"),
    (Load, lambda t: t.base == Base.IMAGE, {"base": Base.RESULT}, "a load from the result area is not wanted"),
    (
        Load,
        lambda t: t.base == Base.IMAGE,
        {"base": Base.ABSOLUTE, "address": 1 << 19},
        "are read but were never written",
    ),
    (Store, _any, {"buffer": Buffer.SB}, "a store wants NBin or NBout, not SB"),
    (Store, _any, {"base": Base.IMAGE}, "a store wants the scratch or result area, not the image"),
    (Store, _any, {"address": 0}, "DRAM beats 0 to .* want to lie in"),
    (Store, lambda t: t.base == Base.ABSOLUTE, {"row": 15}, "words of NB.*, first .*, are read but were never written"),
    (Store, lambda t: t.base == Base.ABSOLUTE, {"last_words": 8}, "words of NB.*, are read but were never written"),
    (
        Store,
        lambda t: t.base == Base.RESULT,
        {"base": Base.ABSOLUTE, "address": "scratch"},
        "1 beats of scores want to be stored in the result area",
    ),
    (Window, _any, {"kernel_w": 0}, "a kernel of at least 1x1 is wanted, not 0x3"),
    (Window, _any, {"taps": 5}, "taps wants 1 to 4, not 5"),
    (Window, _any, {"kx": (0, 1, 2, 1)}, r"kx of lane e wants \(kx \+ e\) % 3 of lane 0's kx"),
    (Window, _any, {"kx": (3, 1, 2, 0)}, r"kx of lane e wants \(kx \+ e\) % 3 of lane 0's kx"),
    (Window, _any, {"ky": (0, 1, 2, 1)}, r"ky of position r wants \(ky \+ r\) % 3 of run 0's ky"),
    (Window, _any, {"gap": 1}, r"ky of position r wants \(ky \+ r\) % 4 of run 0's ky"),
    (
        Window,
        _any,
        {"gap": 1, "ky": (0, 1, 2, 3)},
        "spacing with a gap wants to be below half of 8 banks, not 5",
    ),
    (
        Window,
        _any,
        {"gap": 1, "kernel_h": 1, "ky": (0, 1, 0, 1)},
        "a window with a gap wants at most 2 taps, not 4",
    ),
    (Window, _any, {"step_x": 0}, r"steps \(1, 1\) are wanted, not \(0, 1\)"),
    (Window, _any, {"line_row": 7}, r"a line's step wants to be \(0, \d\), not \(7, \d\)"),
    (
        Window,
        _any,
        {"slot_carry": (1,) * 8},
        "slot 0 serves cell 0 of position 0, .rows, banks. .0, 0. after run 0's start",
    ),
    (
        Window,
        _any,
        {"slot_run": (1,) * 8},
        "slot 0 serves cell 0 of position 1, .rows, banks. .* after run 0's start, not",
    ),
    (Window, _any, {"slot_column": (0, *[UNUSED] * 7)}, "no slot serves cell 0 of position 1 with columns 2"),
    (Window, _any, {"row_offset": (0, 1, 0, 0)}, "runs want to lie in a map of one pitch and plane; the first ones"),
    (Window, _any, {"row_offset": (1, 0, 0, 0)}, "runs want to lie in a map of one pitch and plane; the first ones"),
    (Window, lambda w: w.delta[2] == w.delta[3], {"delta": (1, 0, 0, 0)}, "runs want to lie in a map of one pitch and"),
    (Compute, _any, {"tile": 9}, "tile wants 1 to 8, not 9"),
    (Compute, _any, {"tile": 0}, "tile wants 1 to 8, not 0"),
    (Compute, _any, {"neurons": 5}, "neurons wants 1 to 4, not 5"),
    (Compute, lambda c: c.neurons == 4, {"groups": 2}, "groups wants 1 to 1, not 2"),
    (Compute, lambda c: c.groups > 1, {"stride": 2}, "stride wants 1 to 1, not 2"),
    (Compute, lambda c: c.groups > 1, {"groups": 0}, "groups wants 1 to 2, not 0"),
    (Compute, _any, {"paired": 1}, "paired wants 4 groups and half as many cols, not 1 and 8"),
    (Compute, _any, {**TWO_ROWS, "ring_rows": 4}, "paired wants neither a ring, hold, a limb nor scores"),
    (Compute, _any, TWO_ROWS, "paired wants a window with a gap and spacing 2, not 0 and 5"),
    (Compute, _any, {"columns": 0}, "columns wants 1 to 7, not 0"),
    (Compute, _any, {"columns": 1}, "no slot serves cell 1 of position 0 with columns 1"),
    (Compute, _any, {"last_lanes": 5}, "last_lanes wants 1 to 4, not 5"),
    (Compute, _any, {"sub": 1}, "sub wants 0 for x0 0: map rows start with a cell, not 1"),
    (Compute, _any, {"step_cells": 3}, "a step wants to move by 1 words, not by 3 cells and 1 words"),
    (
        Compute,
        _any,
        {"rows": 2, "step_y_bank": 6, "tile": 8, "quarters": 0},
        "step_y wants 1 rows of 5 cells, not 6 cells",
    ),
    (Compute, _any, {"ring_rows": 4, "ring_y": 4}, "ring_y wants to be below ring_rows = 4, not 4"),
    (Compute, _any, {"ring_rows": 8, "ring_back": 4}, "ring_back wants the length of 8 rows of 5 cells, not 4 buffer"),
    (Compute, _any, {"sb_row": 47}, "sb_row wants 0 to"),
    (Compute, _any, {"target": Buffer.NBIN}, "source and target want to be different buffers, not both NBIN"),
    (Compute, _any, {"wait_dma": 0}, "known to be done; raise its wait counts"),
    (Compute, _any, {"load_bias": 0}, "biases of 4 neurons in 1 groups want to be loaded first"),
    (
        Compute,
        lambda c: c.groups > 1 and c.load_bias,
        {"load_bias": 0},
        "biases of 2 neurons in 2 groups want to be loaded first",
    ),
    (
        Compute,
        lambda c: c.first and c.finish and c.cols == 1,
        {"first": 0},
        r"first 0 wants an open sum in accumulator \d+, there is none",
    ),
    (Compute, _any, {"finish": 0, "tile": 4}, r"a sum over several computes wants one tile, not \d+ steps in 4s"),
    (
        Compute,
        lambda c: c.finish and not c.first,
        {"first": 1},
        r"a sum is still open in accumulator \d+; finish it before another one",
    ),
    (
        Compute,
        lambda c: c.finish and not c.first,
        {"neurons": 1},
        r"the open sum in accumulator \d+ has \(cols, rows, neurons, groups, paired, step\) .*, not",
    ),
    (Compute, lambda c: c.pool, {"cols": 9, "quarters": 0}, "pooling wants whole rows of 8 pixels, not 9"),
    (Compute, lambda c: c.pool, {"pool_w": 5, "to_cols": 5}, "pool_w wants 7 to 7 windows, not 5"),
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
    (
        Compute,
        lambda c: c.pool,
        {"out_y": 3, "pool_y": 3, "pool_slot": 1},
        "row 0 of the same block is next, not 3",
    ),
    (Compute, lambda c: c.finish, {"to_cols": 3}, "to_cols wants 7, not 3"),
    (
        Compute,
        _emits,
        {"to_n_row": 0, "to_n_bank": 0},
        "two results are written to the same word",
    ),
    (
        Compute,
        _emits,
        {"to_row": 24},
        "words of NB.*, first .*, lie outside its 384 words",
    ),
    (
        Compute,
        lambda c: _emits(c) and c.to_cols > 1,
        {"vector": 1},
        r"a vector wants one pixel, not \d+",
    ),
    (Compute, lambda c: c.scores, {"score_base": 3}, "score_base wants 0, not 3"),
    (Compute, lambda c: c.pool and c.finish, {"scores": 1}, "scores want one pixel without pooling"),
    (Compute, lambda c: c.scores, {"scores": 0}, "score_base wants 0, not 4"),
    (Decide, _any, {"increment": 0}, "increment 1 is wanted, not 0"),
    (Decide, _any, {"last": 0}, "last 1 is wanted, not 0"),
]


@pytest.mark.parametrize(("kind", "good", "change", "message"), FIELDS)
def test_a_spoilt_field_is_refused_by_its_instruction(
    kind: type, good: Callable[[Any], bool], change: dict[str, object], message: str
) -> None:
    index = index_of(kind, good)
    instruction = segment()[index]
    if change.get("address") == "scratch":
        change = change | {"address": lenet_like().scratch_address}
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


def test_the_first_segment_lies_behind_the_entry() -> None:
    mapped = lenet_like()
    coder, size = isa(mapped.params), isa(mapped.params).instruction_bytes
    entry = coder.decode(mapped.image[:size])
    assert isinstance(entry, Entry)
    behind, length = entry.address[0], entry.length[0]
    for changed, found in (
        (replace(entry, address=(entry.address[1], *entry.address[1:])), f"at {entry.address[1]} with {length}"),
        (replace(entry, length=(2, *entry.length[1:])), f"at {behind} with 2"),
    ):
        wanted = (
            f"entry: the first segment wants to lie at beat {behind} and to have 3 instructions or more, not {found}"
        )
        with pytest.raises(BadInput, match=wanted):
            verify(replace(mapped, image=coder.encode(changed) + mapped.image[size:]))
