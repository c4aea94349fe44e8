"""Turns the plans of one increment into a sequence of loads, windows, computes and stores.

The sequence is right when executed one by one; golden.mapping.ops makes transfers overlap computes. Here are the
loops: of a layer, in the order that its plan wants, and of two layers, of which the second takes the first one's
results block by block or row by row.
"""

from collections.abc import Collection, Sequence
from functools import partial

from golden.mapping.emission import Constants, Emission
from golden.mapping.layer_plan import Input, LayerPlan, Order
from golden.mapping.layer_schedule import LayerScheduler
from golden.mapping.layout import DramMap, pair_of, run_beats
from golden.mapping.ops import Cells, Op, Region
from golden.mapping.rows import turns
from golden.mapping.slabs import input_rows
from golden.mapping.view import cells_of
from hw.instructions import Base, Store
from hw.params import TileParams


def schedule(
    plans: Sequence[LayerPlan], constants: Constants, maps: Sequence[DramMap], params: TileParams,
    stored: Collection[int] = (), limbs: Sequence[DramMap] = (),
) -> list[Op]:  # fmt: skip
    """One increment's sequence. maps: every layer's input, were it in DRAM, and behind them the last one's output.

    stored: layers whose results go to DRAM in any case, for the increment that this one may be escalated to. limbs:
    maps of kept sums.
    """
    emission = Emission(constants, params)
    layers = [
        LayerScheduler(
            emission, index, plan, index == len(plans) - 1, (maps[index], maps[index + 1]), index in stored, limbs
        )
        for index, plan in enumerate(plans)
    ]
    for index, layer in enumerate(layers):
        if layer.plan.feeds:
            _fused(layer, layers[index + 1])
        elif index + 1 < len(plans) and plans[index + 1].kind == Input.ROWS:
            _by_rows(layer, layers[index + 1])
        elif layer.plan.kind not in (Input.FUSED, Input.ROWS):
            _alone(layer)
    emission.flush()
    return emission.ops


def _alone(layer: LayerScheduler) -> None:
    """One layer, in its order, and what is kept of it."""
    plan = layer.plan
    layer.restore(before=True)
    if plan.order == Order.BLOCK_SLAB_PIECE:
        for block in plan.blocks:
            layer.block(block)
    else:
        _all_blocks(layer)
    layer.restore(before=False)


def _all_blocks(layer: LayerScheduler) -> None:
    """A layer, slab by slab."""
    plan = layer.plan
    for at in range(len(plan.slabs)):
        if plan.order == Order.SLAB_BLOCK_PIECE:
            for block in plan.blocks:
                for piece in plan.pieces:
                    layer.piece(block, at, piece)
        else:
            for piece in plan.pieces:
                for block in plan.blocks:
                    layer.piece(block, at, piece)
                if len(plan.slabs) == 1:
                    layer.parent.release()
    layer.parent.release()


def _fused(layer: LayerScheduler, following: LayerScheduler) -> None:
    """A layer, and the next one that takes its blocks into its sums.

    It takes them a block later, so that results need not be waited for: when the layer has filled another area, or,
    where there is but one, before the layer writes there again.
    """
    plan = following.plan
    assert plan.areas is not None
    following.restore(before=True)

    def take(number: int) -> bool:
        for block in plan.blocks:
            following.piece(block, 0, plan.pieces[number], keep=False)
        return number == 0

    for number, block in enumerate(layer.plan.blocks):
        if number == 0:
            layer.block(block)
        elif plan.areas.count == 1:
            layer.block(block, partial(take, number - 1))
        else:
            layer.block(block)
            take(number - 1)
    take(len(plan.pieces) - 1)
    following.restore(before=False)


def _by_rows(layer: LayerScheduler, following: LayerScheduler) -> None:
    """Two layers in turns, some rows at a time."""
    pair = (layer, following)
    wanted = [input_rows(following.plan.layer, slab) for slab in following.plan.slabs]
    order = turns(layer.plan.slabs, wanted, following.plan.rows_held(layer.p))
    assert order is not None  # as it was planned
    for which, at in order:
        for block in pair[which].plan.blocks:
            pair[which].piece(block, at, pair[which].plan.pieces[0])
    layer.parent.release()


def scores_store(plan: LayerPlan, p: TileParams) -> Op:
    """Store of the last layer's words, the increment's result."""
    words = plan.layer.out_shape[0]
    length = run_beats(words, p)
    row, bank = pair_of(plan.output.base, p)
    store = Store(
        buffer=plan.output.buffer, base=Base.RESULT, run_beats=length, length=length,
        last_words=words - (length - 1) * p.beat_words, row=row, bank=bank,
    )  # fmt: skip
    read = Cells(int(plan.output.buffer), plan.output.base, plan.output.base + cells_of(words, p))
    return Op(store, reads=(read,), region=Region.RESULT, beats=(0, length))
