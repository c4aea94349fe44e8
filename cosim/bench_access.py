"""Bench of the arbiter in front of a neuron buffer: who shares a cycle, and words in and out of the banks."""

from typing import Any

import cocotb

from cosim.port import BlockPort, join, pack, split
from hw.signatures import LOADED, RESULTS, pair_layout

CYCLES = 2500
ORDER = ("gather", *RESULTS, "store")


class Request:
    """A random request: cells that it touches, values of its ports, and its words by their number in the buffer."""

    def __init__(self, port: BlockPort, name: str) -> None:
        p, rng, size, width = port.params, port.rng, port.params.cell_words, port.params.fmt.width
        self.words: dict[int, int] = {}
        self.ports: dict[str, int]
        if name == "gather":
            banks, rows = (
                rng.getrandbits(p.banks) & rng.getrandbits(p.banks),
                rng.choices(range(p.nbin_rows), k=p.banks),
            )
            self.cells = [rows[b] * p.banks + b for b in range(p.banks) if banks >> b & 1]
            self.ports = {"gather_banks": banks} | {f"gather_row_{b}": row for b, row in enumerate(rows)}
            return
        count = size if name in RESULTS else p.beat_words
        at = rng.randrange(p.nbin_rows * p.banks - count // size + 1)
        mask = rng.choice(((1 << count) - 1, rng.getrandbits(count), rng.getrandbits(count) >> rng.randrange(count)))
        words = port.words(width, count)
        for w in range(count):
            if mask >> w & 1:
                self.words[at * size + w] = words[w]
        self.cells = sorted({place // size for place in self.words})
        self.at = at
        where = pack(pair_layout(port.isa), {"row": at // p.banks, "bank": at % p.banks})
        self.ports = {f"{name}_at": where, f"{name}_mask": mask}
        self.first = at * size
        if name != "store":
            self.ports[f"{name}_cell" if name in RESULTS else f"{name}_words"] = join(words, width)


@cocotb.test()
async def access(dut: Any) -> None:
    """Requests are served in order unless a bank is taken, loads cell by cell; refused ones are repeated; every word is
    followed."""
    port = BlockPort(dut, "access")
    p, width, size = port.params, port.params.fmt.width, port.params.cell_words
    held = [0] * (p.nbin_rows * p.row_words)
    outputs = [0] * p.row_words
    asking: dict[str, Request] = {}
    seen = dict.fromkeys((*ORDER, *LOADED, "urgent", "together", "held"), 0)
    parts, stored = 0, dict[int, int]()  # beats written but for some cells; words that a store read in the cycle before
    await port.reset()
    for _ in range(CYCLES):
        for name in (*ORDER, *LOADED):
            if name not in asking and port.chance(0.5):
                asking[name] = Request(port, name)
            port.set(**(asking[name].ports if name in asking else {}))
        hold, load, urgent = port.chance(0.3), port.chance(0.9), port.chance(0.3)
        port.set(hold=hold, load=load, urgent=urgent, **{name: name in asking for name in ORDER})
        wants: dict[int, tuple[str, int]] = {}  # by bank, the cell that a load would write
        for beat in LOADED:
            cells = asking[beat].cells if beat in asking else []
            port.set(**{f"{beat}_cells": sum(1 << cell - asking[beat].at for cell in cells)})
            for cell in cells if load else ():
                wants.setdefault(cell % p.banks, (beat, cell))
        taken = set(wants) if urgent else set[int]()
        served, loads = list[str](), dict[int, tuple[str, int]]()
        for name in ORDER:
            if name == "store":
                loads = {bank: cell for bank, cell in wants.items() if urgent or bank not in taken}
                taken |= set(loads)
            after = name == "second" and served[-1:] != ["output"]  # it goes with the first one only
            if name in asking and not (name == "store" and hold) and not after:
                banks = {cell % p.banks for cell in asking[name].cells}
                if not banks & taken:
                    taken |= banks
                    served.append(name)
        await port.settle()
        assert {name for name in ORDER if port.get(f"{name}_granted")} == set(served)
        for beat in LOADED:
            cells = [cell - asking[beat].at for of, cell in loads.values() if of == beat]
            assert port.get(f"{beat}_written") == sum(1 << cell for cell in cells)
            parts += bool(cells) and len(cells) < len(asking[beat].cells)
        assert split(port.get("data"), width, p.row_words) == outputs
        got = split(port.get("store_words"), width, p.beat_words)
        assert {w: got[w] for w in stored} == stored
        seen["urgent"] += urgent and bool(wants)
        seen["together"] += len(served) + bool(loads) > 1
        seen["held"] += hold and "store" in asking
        stored = {}
        await port.step()
        for beat, cell in loads.values():
            asking[beat].cells.remove(cell)
            held[cell * size : (cell + 1) * size] = [
                asking[beat].words.get(place, held[place]) for place in range(cell * size, (cell + 1) * size)
            ]
        for beat in LOADED:
            if beat in asking and not asking[beat].cells:
                asking.pop(beat)
                seen[beat] += 1
        for name in served:
            request = asking.pop(name)
            seen[name] += 1
            if name in ("gather", "store"):
                for cell in request.cells:
                    b = cell % p.banks
                    outputs[b * size : (b + 1) * size] = held[cell * size : (cell + 1) * size]
            if name == "store":
                stored = {place - request.first: held[place] for place in request.words}
            elif name in RESULTS:
                for place, word in request.words.items():
                    held[place] = word
    assert min(seen.values()) > CYCLES // 50, seen
    assert parts > CYCLES // 50 or p.beat_cells == 1
    cocotb.log.info("access: %s, in parts: %d", seen, parts)
