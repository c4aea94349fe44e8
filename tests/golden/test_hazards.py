"""What follows from sync counts, case by case."""

import numpy as np
import pytest

from golden.hazards import Clock, Order, Words
from hw.errors import BadInput


def test_transfers_end_in_order_but_a_store_reads_when_it_starts() -> None:
    order = Order()
    order.compute(0, 0, 0)
    assert order.transfer(0, 0, 0, store=False) == Clock(0, 0, 0)
    assert order.transfer(0, 1, 0, store=False) == Clock(1, 1, 0)
    assert order.transfer(0, 0, 0, store=True) == Clock(0, 1, 0)
    assert order.transfer(2, 0, 0, store=True) == Clock(2, 1, 0)
    assert order.transfer(0, 0, 0, store=False) == Clock(4, 1, 0)


def test_what_an_awaited_operation_waited_for_is_over_too() -> None:
    order = Order()
    order.transfer(0, 0, 0, store=False)
    order.compute(1, 0, 0)
    assert order.transfer(0, 0, 1, store=False) == Clock(1, 1, 1)
    assert order.compute(0, 0, 0) == Clock(1, 1, 0)
    assert order.compute(2, 0, 0) == Clock(2, 2, 1)


def test_a_wait_for_what_comes_later_is_refused() -> None:
    order = Order()
    order.transfer(0, 0, 0, store=False)
    with pytest.raises(BadInput, match="wait_dma 2 waits for a transfer that does not come before it"):
        order.compute(2, 0, 0)
    with pytest.raises(BadInput, match="wait_read 1 waits for a compute that does not come before it"):
        order.transfer(0, 1, 0, store=False)
    with pytest.raises(BadInput, match="wait_written 1 waits for a compute that does not come before it"):
        order.compute(0, 0, 1)


WORD = np.array([3])


def test_words_are_read_after_their_writers() -> None:
    words = Words("NBin", 8)
    with pytest.raises(BadInput, match="1 words of NBin, first 3, are read but were never written"):
        words.read(WORD, Clock(), compute=1)
    words.write(WORD, Clock(), dma=1)
    with pytest.raises(BadInput, match="are read before their writer is known to be done"):
        words.read(WORD, Clock(), compute=1)
    words.read(WORD, Clock(dma=1), compute=1)
    words.write(WORD, Clock(dma=1, read=1), compute=2)
    with pytest.raises(BadInput, match="are read before their writer is known to be done"):
        words.read(WORD, Clock(1, 2, 1), dma=2)
    words.read(WORD, Clock(1, 2, 2), dma=2)


def test_words_are_overwritten_after_their_readers() -> None:
    words = Words("NBin", 8)
    words.write(WORD, Clock(), dma=1)
    words.read(WORD, Clock(dma=1), compute=1)
    with pytest.raises(BadInput, match="are overwritten before their users are known to be done"):
        words.write(WORD, Clock(dma=1), dma=2)
    words.write(WORD, Clock(dma=1), compute=1)  # a compute writes behind its own reads
    with pytest.raises(BadInput, match="are overwritten before their users are known to be done"):
        words.write(WORD, Clock(1, 1, 0), dma=2)
    words.read(WORD, Clock(1, 1, 1), dma=2)
    with pytest.raises(BadInput, match="are overwritten before their users are known to be done"):
        words.write(WORD, Clock(1, 1, 1), compute=2)
    words.write(WORD, Clock(2, 1, 1), compute=2)


def test_words_outside_the_buffer_are_refused() -> None:
    with pytest.raises(BadInput, match="1 words of NBin, first 8, lie outside its 8 words"):
        Words("NBin", 8).write(np.array([7, 8]), Clock(), dma=1)
