"""Programs under any timing: transfers and computes run in random order, held back by nothing but the sync counts.

Random networks must give the right words in every such order, and orders that drop a wait must be caught by the
verifier: the two engines' overlap is safe because of the counts, and not by luck of one machine's timing.
"""

import random
import re
from dataclasses import replace

import pytest

from golden.integer import forward
from golden.interpret import Dram, Interpreter, Ints
from golden.mapping import Mapped, map_network
from golden.order import captured
from golden.verify import verify
from hw.errors import BadInput
from hw.instructions import Compute, Decide, Instruction, Load, Store, Window
from hw.isa import isa
from hw.params import preset
from tests.golden.mapping_kinds import map_by_chance
from tests.golden.random_networks import images, random_case


class AnyOrder(Interpreter):
    """Runs a segment with two engines and a third for results, each in order, each a random step at a time."""

    def __init__(self, mapped: Mapped, dram: Dram, seed: int) -> None:
        super().__init__(mapped.params, dram, mapped.program_address)
        self.rng = random.Random(seed)
        self.unfinished: list[tuple[Compute, list[Ints]]] = []  # read, but their words are not written

    def _segment(self, address: int, length: int, escalations: int) -> tuple[int, int] | None:
        code = self._fetch(address, length)
        end = next(i for i, item in enumerate(code) if isinstance(item, Decide))
        transfers = [item for item in code[:end] if isinstance(item, Load | Store)]
        others = [item for item in code[:end] if isinstance(item, Window | Compute)]
        self._clear()
        favour = self.rng.sample(["dma", "read", "written"], 3)
        done = {"dma": 0, "read": 0, "written": 0}

        def ready(item: Load | Store | Window | Compute) -> bool:
            return isinstance(item, Window) or all(done[name] >= getattr(item, f"wait_{name}") for name in done)

        while transfers or others or self.unfinished:
            choices = ["dma"] if transfers and ready(transfers[0]) else []
            choices += ["read"] if others and ready(others[0]) else []
            choices += ["written"] if self.unfinished else []
            # an engine that always wins, or always loses, finds more than fair dice
            engine = self.rng.choice(choices) if self.rng.random() < 0.5 else min(choices, key=favour.index)
            if engine == "dma":
                self._transfer(transfers.pop(0))
            elif engine == "written":
                compute, sums = self.unfinished.pop(0)
                if compute.finish:
                    super()._finish(compute, sums)
            else:
                item = others.pop(0)
                if isinstance(item, Window):
                    self.window = item
                    continue
                self._compute(item)
                if not item.finish:
                    self.unfinished.append((item, []))
            done[engine] += 1
        return None

    def _finish(self, c: Compute, sums: list[Ints]) -> None:
        self.unfinished.append((c, sums))


@pytest.mark.parametrize("name", ["small", "odd", "paper32"])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 7, 8])
def test_any_order_that_the_counts_allow_gives_the_same_words(name: str, seed: int) -> None:
    p = preset(name)
    nets, shape = random_case(seed, p)
    mapped = map_by_chance(nets, p, random.Random(seed)) if seed % 2 else map_network(nets, p, search=False)
    image = images(1, shape, p, seed)
    last = len(nets) - 1
    wanted = captured(forward(nets[last], image)[0], mapped.emits[last], p)[0].tolist()
    for order in range(4):
        dram = Dram(p, mapped.image)
        dram.put(mapped.image_address, mapped.pack_image(image[0]))
        machine = AnyOrder(mapped, dram, order)
        assert machine.run(last, 0, mapped.image_address, mapped.result_address).words == wanted


def _rewritten(mapped: Mapped, increment: int, index: int, instruction: Instruction) -> Mapped:
    size = isa(mapped.params).instruction_bytes
    at = mapped.segment_addresses[increment] * mapped.params.dram_beat_bytes + index * size
    raw = mapped.image[:at] + isa(mapped.params).encode(instruction) + mapped.image[at + size :]
    return replace(mapped, image=raw)


def _refused(mapped: Mapped) -> bool:
    """Whether the verifier refuses the program, for its order and nothing else."""
    try:
        verify(mapped)
    except BadInput as error:
        message = str(error)
    else:
        return False
    if not re.match(r"increment 0, instruction \d+ .* known to be done; raise its wait counts", message):
        raise AssertionError(message)
    return True


def test_orders_without_counts_give_wrong_words() -> None:
    """The test above can fail."""
    p = preset("small")
    nets, shape = random_case(9, p)
    mapped = map_network(nets[-1:], p, search=False)
    image = images(1, shape, p, 9)
    wanted = captured(forward(nets[-1], image)[0], mapped.emits[0], p)[0].tolist()
    for index, item in enumerate(mapped.segments[0]):
        if isinstance(item, Load | Store | Compute):
            mapped = _rewritten(mapped, 0, index, replace(item, wait_dma=0, wait_read=0, wait_written=0))
    wrong = 0
    for order in range(8):
        dram = Dram(p, mapped.image)
        dram.put(mapped.image_address, mapped.pack_image(image[0]))
        try:
            wrong += (
                AnyOrder(mapped, dram, order).run(0, 0, mapped.image_address, mapped.result_address).words != wanted
            )
        except BadInput:
            wrong += 1
    assert wrong == 8


@pytest.mark.parametrize("name", ["small", "odd", "paper32"])
def test_no_wait_is_there_for_nothing(name: str) -> None:
    """A wait count that is one lower is refused, unless another wait implies it; most are needed."""
    p = preset(name)
    needed = tried = 0
    for seed in (0, 9):
        nets, _ = random_case(seed, p)
        mapped = map_network(nets[-1:], p, search=False)
        verify(mapped)
        for index, item in enumerate(mapped.segments[0]):
            if not isinstance(item, Load | Store | Compute):
                continue
            for field in ("wait_dma", "wait_read", "wait_written"):
                if not getattr(item, field):
                    continue
                tried += 1
                less = replace(item, **{field: getattr(item, field) - 1})
                needed += _refused(_rewritten(mapped, 0, index, less))
    assert tried > 20
    assert needed > tried // 3
