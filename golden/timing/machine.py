"""The tile's cycle: what the blocks want of each other's ports, who gets it, and what follows."""

from collections import deque
from dataclasses import dataclass

from golden.timing.dma import Dma
from golden.timing.engine import BUSY, IDLE, Engine
from golden.timing.front import DONE, Front
from golden.timing.memory import DramPort
from golden.timing.post import Post
from hw.params import RESULT_CELLS, TileParams

SUM_CYCLES = 5  # from a line's issue to the cycle in which post-processing sees its sum


@dataclass(frozen=True)
class Depths:
    """Queues of the tile: transfers and computes (hw.tile), transfers whose answers are under way and beats of stores
    (hw.dma), computes in hw.post, instructions in hw.fetch, asked for together. fetch_first: as many
    let transfers go first until the first compute. patience: cycles until a load is urgent (hw.dma)."""

    transfers: int = 16
    under_way: int = 4
    stores: int = 3
    computes: int = 8
    post: int = 4
    fetch: int = 8
    fetch_together: int = 4
    fetch_first: int = 1
    patience: int = 6


class Machine:
    """All blocks; ``run`` gives the cycles of each kind."""

    def __init__(self, p: TileParams, front: Front, memory: DramPort, depths: Depths) -> None:
        self.front, self.memory, self._depths = front, memory, depths
        self.engine, self.post = Engine(p.accumulators), Post(p)
        self.dma = Dma(p, depths.under_way, depths.stores, depths.patience)
        self._outstanding, self._banks = p.dram_outstanding, p.banks
        # the register in front of the DRAM port, and whose answers are to come: True for fetch
        self._port: tuple[bool, int] | None = None
        self._askers: deque[bool] = deque()
        self._reading_weights = False
        self._sums: deque[int] = deque()  # cycles in which post-processing sees a sum more, one for each
        self._moved = False
        self.starts: list[int] = []  # the cycle in which each compute was started

    def run(self) -> list[int]:
        """Cycles of each kind (hw.events.CYCLE_KINDS), from the first one after the start to the end of the image."""
        kinds = [0] * (IDLE + 1)
        front, memory, post = self.front, self.memory, self.post
        cycle, answer = 1, False
        while True:
            self._moved = False
            kind, sent = self._cycle(cycle, answer)
            if front.state == DONE:
                return kinds
            kinds[kind] += 1
            if sent is not None:
                memory.accept(cycle, *sent)
            answer = memory.edge(cycle)
            cycle += 1
            if not (self._moved or answer or post.active or self._port is not None and memory.ready):
                skipped = self._skip(cycle, kind)
                kinds[kind] += skipped
                cycle += skipped

    def _skip(self, cycle: int, kind: int) -> int:
        """Cycles from this one on that are like the last one."""
        events = [self._sums[0]] if self._sums else []
        if self.memory.leaves:
            events.append(self.memory.leaves[0][0])
        if kind == BUSY:
            events.append(cycle + self.engine.free_issues())
        if not events:
            raise RuntimeError(f"the program waits for itself in cycle {cycle}")
        skipped = min(events) - cycle
        if skipped and kind == BUSY:
            self.engine.issue(skipped)
            self._reading_weights = False  # no weights wait to be written
        return skipped

    def _cycle(self, cycle: int, answer: bool) -> tuple[int, tuple[bool, int] | None]:
        """All blocks in one cycle, in an order in which each sees the others' registers as they were; answer: DRAM
        brings one. Returns the cycle's kind and the request that DRAM takes."""
        front, engine, dma, post, depths = self.front, self.engine, self.dma, self.post, self._depths
        sums = self._sums
        summed = bool(sums) and sums[0] == cycle
        while sums and sums[0] == cycle:
            sums.popleft()
            post.completed += 1
        post_ready = len(post.queue) < depths.post
        asks, address, port = front.wants(), front.address, self._port
        yields = not self.starts and front.held >= depths.fetch_first
        front.tick(
            len(dma.queue) < depths.transfers,
            len(engine.queue) < depths.computes,
            dma.done,
            post.written,
            port is None and not engine.queue,
        )
        dma.accept(engine.read_done, post.written)
        storing = dma.store()
        sent, asked, for_fetch = self._request(asks, yields, address, answer)

        target, banks = dma.loads()
        first = banks if dma.urgent else 0
        kind = engine.tick(first, target, dma.crowded, dma.done, post.written, post_ready)
        put, taken, stored = self._grants(target, banks, first, storing)
        sums.extend([cycle + SUM_CYCLES] * engine.complete)
        self._reading_weights = engine.weights

        if post.active or summed or post.walk is None and post.queue:
            post.tick(put)
            if post.drained:
                engine.drained()
            self._moved = True
        if engine.push is not None:
            post.queue.append(engine.push)
            self.starts.append(cycle)
        changed = dma.edge(taken, stored, answer and not for_fetch)
        if front.edge(asked, answer and for_fetch, dma.queue, engine.queue) or changed or engine.moved:
            self._moved = True
        return kind, sent

    def _request(
        self, asks: bool, yields: bool, address: int, answer: bool
    ) -> tuple[tuple[bool, int] | None, bool, bool]:
        """The DRAM port: the request that leaves, whether fetch's one comes in, and whether ``answer`` is fetch's."""
        askers, dma, sent = self._askers, self.dma, None
        room = len(askers) < self._outstanding
        for_fetch = answer and askers.popleft()
        if self._port is not None:
            if not self.memory.ready:
                return None, False, for_fetch
            sent, self._port, self._moved = self._port, None, True
        wanted = dma.wants()
        if asks and room and not (yields and wanted is not None):
            self._port = False, address
            askers.append(True)
            return sent, True, for_fetch
        if wanted is not None and (wanted[0] or room):
            dma.sent(wanted[0])
            self._port = wanted
            if not wanted[0]:
                askers.append(False)
        return sent, False, for_fetch

    def _grants(self, target: int, banks: int, first: int, storing: bool) -> tuple[int, bool, bool]:
        """Cells of results that get their banks, whether a load's beat is done with, whether a store gets its banks.

        target, banks: where a load's cells go; first: those of the banks that it takes before all others.
        """
        engine, dma, to = self.engine, self.dma, self.dma.to
        gather = engine.gather
        put, taken, stored = 0, False, False
        put_banks, put_to = 0, -1
        if self.post.halves:
            half = self.post.halves[0]
            put_to = half.target
            used = first if put_to == target else 0
            if gather is not None and gather[0].source == put_to:
                used |= gather[0].banks(gather[1], gather[2])
            for cell in range(min(half.left, RESULT_CELLS)):
                bank = 1 << (half.bank + cell * half.step) % self._banks
                if used & bank:
                    break
                used |= bank
                put_banks |= bank
                put += 1
        if target >= 0:
            if put_to == target:
                banks &= ~put_banks
            if gather is not None and gather[0].source == target:
                banks &= ~gather[0].banks(gather[1], gather[2])
            taken = dma.write(banks)
            self._moved = True
        elif dma.answers and (t := dma.of.t) is not None and t.sb and not t.store:
            taken = not self._reading_weights
            self._moved = True
        if storing:
            source = to.t.buffer if to.t is not None else -1
            if engine.hold != source:
                used = put_banks if put_to == source else 0
                used |= banks if target == source else 0
                if gather is not None and gather[0].source == source:
                    used |= gather[0].banks(gather[1], gather[2])
                stored = not used & to.banks
        return put, taken, stored
