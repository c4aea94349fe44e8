"""NumPy views of the running simulation's memories, its activity windows and its clock: used inside a bench.

The simulation's program exports the storage of public variables; nothing is copied and VPI is not involved.
"""

import ctypes
import functools
import os

import numpy as np
from numpy.typing import NDArray

from cosim.dram import COUNTERS, DramConfig, Request
from hw.errors import BadInput

FAULTS = {
    1: "a request beyond the memory",
    2: "a read of a line never written",
    3: "a request that changed before it was accepted",
}


class DramFault(AssertionError):
    """The DRAM model refused a request of the tile."""


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    if not hasattr(library, "tilewatt_datap"):
        raise BadInput("views of memories want the program of cosim.runner.build, not this process")
    for name in ("tilewatt_datap", "tilewatt_bytes"):
        getattr(library, name).argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.tilewatt_datap.restype = ctypes.c_void_p
    library.tilewatt_bytes.restype = ctypes.c_uint64
    library.tilewatt_cycles.restype = ctypes.c_uint64
    library.tilewatt_saif_open.argtypes = [ctypes.c_char_p]
    library.tilewatt_vcd_scope.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.tilewatt_vcd_window.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64]
    library.tilewatt_vcd_left.restype = ctypes.c_uint64
    return library


def view(scope: str, variable: str, dtype: type[np.generic] | str = np.uint8) -> NDArray:
    """The storage of a public variable as a flat array; valid while the simulation lives.

    Bit 0 of element 0 comes first. An element takes 1, 2, 4 or 8 bytes, or whole 4-byte words when wider than 64 bits.
    """
    library = _library()
    address = library.tilewatt_datap(scope.encode(), variable.encode())
    if not address:
        raise BadInput(f"a public variable is wanted, {scope}.{variable} is none: name it in build(public=...)")
    size = library.tilewatt_bytes(scope.encode(), variable.encode())
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype=dtype)


def cycles() -> int:
    """Rising clock edges so far."""
    return int(_library().tilewatt_cycles())


def saif_open(path: str | os.PathLike[str]) -> None:
    """Dump activity from the end of this time step on, into ``path`` and ``path``.base.

    The window is ``path`` less the base, number by number (TC, T0, T1, DURATION): both count from time 0, and both
    count a bit that starts at 1 as one toggle.
    """
    if code := _library().tilewatt_saif_open(os.fspath(path).encode()):
        raise BadInput(
            "one activity window at a time is wanted, one is open: close it first"
            if code == 1
            else "activity windows want a simulation built with trace_saif=True: build it so"
        )


def saif_close() -> None:
    """End the window with the values at the end of this time step."""
    if code := _library().tilewatt_saif_close():
        raise BadInput(
            "an open activity window is wanted, none is open (or it opened in this very time step)"
            if code == 1
            else "activity windows want a simulation built with trace_saif=True: build it so"
        )


_NO_VCD = "recordings want a simulation built with trace_vcd=True: build it so"


def vcd_scope(scope: str, levels: int) -> None:
    """Record signals of ``scope`` (parts joined by "."), of its instances and theirs, ``levels`` deep (1: its own)."""
    if code := _library().tilewatt_vcd_scope(levels, scope.encode()):
        raise BadInput("scopes are wanted before the first recording begins" if code == 1 else _NO_VCD)


def vcd_window(path: str | os.PathLike[str], first: int, count: int) -> None:
    """Record ``count`` cycles into ``path``, from rising edge ``first`` (of ``cycles()``) to that ``count`` later."""
    if count < 1:
        raise BadInput(f"a recording wants at least 1 cycle, not {count}")
    if code := _library().tilewatt_vcd_window(os.fspath(path).encode(), first, count):
        raise BadInput(
            f"recordings want edges to come, one after the other: {first} is past or within the one before"
            if code == 1
            else _NO_VCD
        )


def vcd_left() -> int:
    """Recordings that were asked for and are not done."""
    return int(_library().tilewatt_vcd_left())


class DramView:
    """The memory, bitmap, counters and trace of a DRAM model in the running simulation.

    Offsets are bytes. Writing marks whole lines as written: a line is what a tile can mask.
    """

    def __init__(self, scope: str, config: DramConfig) -> None:
        self._scope = scope
        self.config = config
        self._bytes = view(scope, "memory")
        if self._bytes.size != config.memory_beats * config.beat_bytes:
            size = config.memory_beats * config.beat_bytes
            raise BadInput(f"{scope}.memory wants {size} bytes by its configuration, not {self._bytes.size}")
        raw = view(scope, "written")
        self._written = raw.view(f"<u{raw.size // config.memory_beats}")
        self._limit = view(scope, "limit_beats", "<u4")
        self._line_bytes = config.beat_bytes // config.lines

    @property
    def size(self) -> int:
        """Bytes the tile may address: the limit, or the whole memory."""
        return int(self._limit[0]) * self.config.beat_bytes

    def set_size(self, size: int) -> None:
        """Refuse requests from byte ``size`` on (rounded up to a beat)."""
        beats = -(-size // self.config.beat_bytes)
        if not 1 <= beats <= self.config.memory_beats:
            raise BadInput(f"DRAM size wants 1 to {self._bytes.size} bytes, not {size}: build with more memory")
        self._limit[0] = beats

    def _range(self, offset: int, length: int) -> slice:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise BadInput(f"DRAM bytes want to lie in 0 to {self.size}, not {offset} to {offset + length}")
        return slice(offset, offset + length)

    def write_bytes(self, offset: int, data: bytes | bytearray | memoryview | NDArray) -> None:
        """Put ``data`` at ``offset``; every line it touches counts as written."""
        source = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data.reshape(-1).view(np.uint8)
        if not source.size:
            return
        self._bytes[self._range(offset, source.size)] = source
        first, last = offset // self._line_bytes, (offset + source.size - 1) // self._line_bytes
        self._mark(first, last + 1)

    def _mark(self, first: int, stop: int) -> None:
        """Set the bits of lines ``first`` to ``stop`` - 1."""
        lines = self.config.lines
        head, tail = first // lines, (stop - 1) // lines
        above, below = (1 << lines) - (1 << first % lines), (2 << (stop - 1) % lines) - 1
        if head == tail:
            self._written[head] |= self._written.dtype.type(above & below)
            return
        self._written[head] |= self._written.dtype.type(above)
        self._written[head + 1 : tail] = (1 << lines) - 1
        self._written[tail] |= self._written.dtype.type(below)

    def read_bytes(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes, written or not."""
        return self._bytes[self._range(offset, length)].tobytes()

    def forget(self) -> None:
        """Mark every line as never written."""
        self._written[:] = 0

    def unwritten(self, offset: int, length: int) -> int:
        """Lines in the range that nobody wrote."""
        where = self._range(offset, length)
        lines = np.arange(where.start // self._line_bytes, -(-where.stop // self._line_bytes))
        bits = (self._written[lines // self.config.lines] >> (lines % self.config.lines).astype(np.uint64)) & 1
        return int(lines.size - bits.sum())

    def counters(self) -> dict[str, int]:
        """Counters since reset, by name (`cosim.dram.COUNTERS`)."""
        return {name: int(view(self._scope, name, "<i8")[0]) for name in COUNTERS}

    @property
    def edge_ps(self) -> int:
        """Time of the last rising edge, in ps since the first without reset."""
        return int(view(self._scope, "now", "<i8")[0]) - self.config.clock_ps

    def trace(self) -> tuple[list[Request], list[int]]:
        """Recorded requests since reset and the ends of their bursts; refuses a trace that overflowed."""
        count = int(view(self._scope, "trace_count", "<i8")[0])
        if count > self.config.trace_depth:
            raise BadInput(f"a DRAM trace of at most {self.config.trace_depth} requests is wanted, {count} came")
        requests = view(self._scope, "trace_request", "<u8")[:count].tolist()
        accepted = view(self._scope, "trace_accepted_ps", "<i8")[:count].tolist()
        done = view(self._scope, "trace_done_ps", "<i8")[:count].tolist()
        mask = (1 << 63) - 1
        return [Request(at, bool(r >> 63), r & mask) for at, r in zip(accepted, requests, strict=True)], done


def fault_line(kind: int, address: int, config: DramConfig) -> str:
    """One line that says what the DRAM model refused."""
    return f"DRAM refused {FAULTS[kind]}: beat {address} (byte {address * config.beat_bytes})"
