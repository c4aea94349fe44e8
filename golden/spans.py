"""Which layer the tile computes in which cycle, from the program alone."""

from dataclasses import dataclass
from itertools import pairwise

from golden.mapping.mapped import Mapped, Segment
from golden.timing import Memory, predict
from hw.instructions import Compute


@dataclass(frozen=True)
class Span:
    """Cycles [first, end) of an image, from 1 on, in which computes of one layer are started; results of the layer
    before may still leave in the first of them."""

    layer: int
    first: int
    end: int


def compute_layers(segment: Segment) -> list[int]:
    """The layer of each compute, in order."""
    layers: list[int] = []
    emits = list(segment.emits)
    # Of two fused layers the computes take turns, but they read different buffers: one that does not finish its sums
    # belongs to the next one of the same source that does.
    finished: dict[int, int] = {}
    for compute in reversed([item for item in segment.code if isinstance(item, Compute)]):
        if compute.finish:
            finished[compute.source] = emits.pop().layer
        layers.append(finished[compute.source])
    return layers[::-1]


def layer_spans(mapped: Mapped, increment: int, memory: Memory) -> list[Span]:
    """The spans of ``increment`` run alone, in order; before the first one the first layer's data are loaded."""
    predicted = predict(mapped, increment, memory)
    spans: list[Span] = []
    bounds = pairwise((*predicted.starts, predicted.cycles + 1))
    for layer, (first, end) in zip(compute_layers(mapped.fresh[increment]), bounds, strict=True):
        if spans and spans[-1].layer == layer:
            spans[-1] = Span(layer, spans[-1].first, end)
        else:
            spans.append(Span(layer, first, end))
    return spans
