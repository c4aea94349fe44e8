"""Reads recordings of RTL (VCD files) as traces, and keeps traces in files of their own."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from hw.errors import BadInput, atomic_path
from synth.gate.trace import Trace

_RANGE = re.compile(r"\[\d+:\d+\]$")
_VECTOR, _STEP, _SCALARS = ord("b"), ord("#"), b"01xXzZ"  # first characters of lines behind the declarations


@dataclass
class _Changes:
    """Of one net: time steps from 0 on, not decreasing, and the digits of its value from then on."""

    steps: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class _Signal:
    """instance: the path of the instance that it belongs to, below the scope that is read; "" for the scope itself."""

    width: int
    code: bytes
    instance: str


def read_trace(
    path: Path, scope: str, signals: Collection[str] | None = None, *, clock: str, closed: Sequence[str] = ()
) -> Trace:
    """The signals below ``scope`` in a file that begins at a rising edge of ``clock`` with all values.

    scope, clock: whole paths, parts joined by "."; signals: paths below scope, None for all. closed: instances below
    scope of which but the own signals, ports among them, are read. Row k of the trace is what holds between rising
    edge k of the file and the next one, when all has settled; names of one net share its columns.
    """
    with _opened(path) as handle:
        declared, clock_code = _declarations(handle, path, scope, clock)
        wanted = _chosen(declared, signals, closed, path, scope)
        changes = {signal.code: _Changes() for signal in wanted.values()}
        rises = _read_changes(handle, path, clock_code, changes)
    rows = np.cumsum(rises) - 1
    if not len(rows) or rows[0] != 0:
        raise BadInput(f"{path}: a recording that begins at a rising edge of {clock} is wanted: record it anew")
    first: dict[bytes, int] = {}
    places: dict[str, tuple[int, int]] = {}
    total = 0
    for name, signal in wanted.items():
        if signal.code not in first:
            first[signal.code] = total
            total += signal.width
        places[name] = (first[signal.code], signal.width)
    bits = np.empty((rows[-1] + 1, total), dtype=np.uint8)
    for name, signal in wanted.items():
        if (found := changes.pop(signal.code, None)) is not None:
            at, width = places[name]
            if signal.code == clock_code:
                found = _Changes([0], [b"0"])  # low at every cycle's end, which the file has not of the last one
            bits[:, at : at + width] = _values(found, width, rows, f"{path}: {scope}.{name}")
    return Trace(places, bits)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"a recording is wanted, {path} cannot be read ({error}): record it") from None


def _declarations(handle: BinaryIO, path: Path, scope: str, clock: str) -> tuple[dict[str, _Signal], bytes]:
    """Every signal below the scope, and the clock's code; the handle stands at the first change."""
    scopes: list[str] = []
    found: dict[str, _Signal] = {}
    clock_code: bytes | None = None
    for command in _commands(handle, path):
        if command[0] == "$scope":
            scopes.append(command[2])
        elif command[0] == "$upscope":
            scopes.pop()
        elif command[0] == "$var":
            instance = ".".join(scopes)
            name = f"{instance}." + _RANGE.sub("", "".join(command[4:]))
            if name == clock:
                clock_code = command[3].encode()
            if f"{instance}.".startswith(f"{scope}."):
                signal = _Signal(int(command[2]), command[3].encode(), instance[len(scope) + 1 :])
                # a signal's own name may hold dots: then it may be the path of another one
                if found.setdefault(name[len(scope) + 1 :], signal) != signal:
                    raise BadInput(f"{path}: one signal of each path is wanted, two are {name}: name one anew")
    if clock_code is None:
        raise BadInput(f"{path}: a recording of the clock {clock} is wanted, it has none: record it anew")
    if not found:
        raise BadInput(f"{path}: a recording of {scope} is wanted, it has no signal there: record it anew")
    return found, clock_code


def _commands(handle: BinaryIO, path: Path) -> Iterator[list[str]]:
    """The words of each command of the declarations, without its $end.

    A parser of our own, because names such as ``$1`` and ``$rootio``, which are common here, are outside of the
    standard that ready ones keep to.
    """
    words: list[str] = []
    for line in handle:
        for word in line.decode().split():
            if word == "$end":
                if words[:1] == ["$enddefinitions"]:
                    return
                yield words
                words = []
            else:
                words.append(word)
    raise BadInput(f"{path}: a VCD file with declarations is wanted: record it anew")


def _chosen(
    declared: dict[str, _Signal], signals: Collection[str] | None, closed: Sequence[str], path: Path, scope: str
) -> dict[str, _Signal]:
    if signals is not None:
        if missing := next((name for name in signals if name not in declared), None):
            raise BadInput(f"{path}: a recording of {scope}.{missing} is wanted, it has none: record it anew")
        return {name: declared[name] for name in signals}
    inside = tuple(f"{name}." for name in closed)
    return {name: signal for name, signal in declared.items() if not signal.instance.startswith(inside)}


def _read_changes(handle: BinaryIO, path: Path, clock: bytes, changes: dict[bytes, _Changes]) -> np.ndarray:
    """Fill in the changes of the signals that are keys; returns for each time step whether the clock rises in it."""
    rises: list[bool] = []
    step = -1
    level = b""
    for line in handle:
        kind = line[0]
        if kind == _VECTOR:
            value, _, code = line[1:-1].partition(b" ")
        elif kind in _SCALARS:
            value, code = line[:1], line[1:-1]
        elif kind == _STEP:
            step += 1
            rises.append(False)
            continue
        else:  # an empty line or a keyword
            continue
        if step < 0:
            raise BadInput(f"{path}: a recording that begins at a time step is wanted: record it anew")
        if code == clock and value != level:
            level = value
            rises[step] |= value == b"1"
        if (found := changes.get(code)) is not None:
            found.steps.append(step)
            found.values.append(value)
    return np.array(rises, dtype=np.int64)


def _values(changes: _Changes, width: int, row_of_step: np.ndarray, what: str) -> np.ndarray:
    """Bits [rows, width], lowest first, of one signal."""
    if not changes.steps or changes.steps[0] != 0:
        raise BadInput(f"{what} wants a value at the first edge, it has none: record it anew")
    if wide := next((value for value in changes.values if len(value) > width), None):
        raise BadInput(f"{what} wants values of {width} bits, not {wide.decode()}: record it anew")
    text = b"".join(value.rjust(width, b"0") for value in changes.values)
    digits = np.frombuffer(text, dtype=np.uint8).reshape(-1, width)[:, ::-1] - ord("0")
    if digits.max() > 1:
        raise BadInput(f"{what} wants values of 0 and 1 alone: record it with a two-state simulator")
    rows = row_of_step[changes.steps]
    last = np.searchsorted(rows, np.arange(row_of_step[-1] + 1), side="right") - 1
    return digits[last]


def save_trace(path: Path, trace: Trace) -> None:
    """Write a trace, whole or not at all."""
    names = json.dumps({name: list(place) for name, place in trace.places.items()})
    packed = np.packbits(trace.bits, axis=1)
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, names=np.array(names), packed=packed, width=trace.bits.shape[1])


def load_trace(path: Path) -> Trace:
    """Read a trace that `save_trace` wrote."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            names, packed, width = str(archive["names"]), archive["packed"], int(archive["width"])
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise BadInput(f"{path}: a trace is wanted ({error}): record it anew") from None
    places = {name: (first, width_of) for name, (first, width_of) in json.loads(names).items()}
    return Trace(places, np.unpackbits(packed, axis=1, count=width))
