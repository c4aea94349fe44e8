"""Checks of the networks that are mapped together: nested increments whose sums fit the accumulators."""

from collections.abc import Sequence

from golden.network import Network
from hw.errors import BadInput
from hw.instructions import CLASS_BITS, MAX_INCREMENTS
from hw.params import TileParams

MOST_CLASSES = 1 << CLASS_BITS  # that score_base can number


def check_nested(nets: tuple[Network, ...], p: TileParams) -> None:
    """Refuse increments that are not quantised to the tile's format, or not prefixes of the last one."""
    most = min(p.increments, MAX_INCREMENTS)
    if not 1 <= len(nets) <= most:
        raise BadInput(f"{p.name} wants 1 to {most} increments, not {len(nets)}")
    full = nets[-1]
    for number, net in enumerate(nets):
        if net.fmt != p.fmt:
            raise BadInput(f"increment {number} wants weights quantised to {p.fmt}, not {net.fmt or 'real numbers'}")
        if len(net.layers) != len(full.layers) or net.input_shape != full.input_shape or net.classes != full.classes:
            raise BadInput(f"increment {number} wants the layers, input and classes of the largest increment")
        if net.classes > MOST_CLASSES:
            raise BadInput(f"layer {net.layers[-1].name}: at most {MOST_CLASSES} classes are wanted, not {net.classes}")
        for index, (layer, whole) in enumerate(zip(net.layers, full.layers, strict=True)):
            same = all(
                getattr(layer, f) == getattr(whole, f) for f in ("fc", "kernel", "stride", "padding", "relu", "pool")
            )
            if not same or layer.sum_shape[1:] != whole.sum_shape[1:]:
                raise BadInput(
                    f"increment {number}, layer {layer.name}: wants the shape of the largest increment's layer"
                )
            if index == len(full.layers) - 1:
                continue
            out, inputs = layer.weight.shape[:2]
            prefix = whole.weight[:out, :inputs]
            if out > len(whole.weight) or not prefix.equal(layer.weight) or not whole.bias[:out].equal(layer.bias):
                raise BadInput(
                    f"increment {number}, layer {layer.name}: weights want to be the first {out} x {inputs} of the "
                    f"largest increment's; train the increments nested"
                )


def same_classifier(nets: Sequence[Network]) -> bool:
    """Whether several increments have one classifier: its first weights, whatever their biases are."""
    *smaller, whole = [net.layers[-1].weight for net in nets]
    return bool(smaller) and all(whole[:, : weight.shape[1]].equal(weight) for weight in smaller)


def check_sums(network: Network, p: TileParams) -> None:
    """Refuse a layer whose sums of products could overflow an accumulator, whatever its inputs are."""
    limit = 1 << (p.accumulator_width - 1)
    for layer in network.layers:
        weights = layer.weight.flatten(1).abs().sum(1).tolist()
        for neuron, (weight, bias) in enumerate(zip(weights, layer.bias.abs().tolist(), strict=True)):
            largest = weight * -p.fmt.low + (bias << p.fmt.frac) + p.fmt.half
            if largest >= limit:
                raise BadInput(
                    f"layer {layer.name}: a sum of neuron {neuron} can reach {largest}, but accumulators of {p.name} "
                    f"hold less than {limit} ({p.accumulator_width} bits); use smaller weights or wider accumulators"
                )
