"""Real numbers to integer codes of a NumberFormat: nearest, halves up, saturated; whole tensors at once."""

from dataclasses import replace

import torch
from torch import Tensor

from golden.network import Network
from hw.errors import BadInput
from hw.params import NumberFormat


def quantise(values: Tensor, fmt: NumberFormat) -> Tensor:
    """int64 codes of ``values`` (any float type), equal to ``fmt.quantise`` value by value.

    float64 holds value * 2**frac exactly, and its fractional part too, so the comparison with one half is exact where
    adding one half would round.
    """
    exact = values.to(torch.float64) * float(fmt.scale)
    if not bool(torch.isfinite(exact).all()):
        raise BadInput(f"finite numbers are wanted for format {fmt}, not {int((~torch.isfinite(exact)).sum())} others")
    clamped = exact.clamp(float(fmt.low) - 1, float(fmt.high) + 1)
    floor = clamped.floor()
    codes = floor.to(torch.int64) + (clamped - floor >= 0.5)
    return codes.clamp(fmt.low, fmt.high)


def saturated(values: Tensor, fmt: NumberFormat) -> int:
    """How many ``values`` the format cannot hold."""
    exact = values.to(torch.float64) * float(fmt.scale)
    return int(((exact + 0.5 < fmt.low) | (exact >= fmt.high + 0.5)).sum())


def quantise_network(network: Network, fmt: NumberFormat) -> Network:
    """``network`` with integer codes of ``fmt`` as weights and biases; refuses weights that would saturate."""
    layers = []
    for layer in network.layers:
        for what, values in (("weights", layer.weight), ("biases", layer.bias)):
            if many := saturated(values, fmt):
                raise BadInput(
                    f"layer {layer.name}: {many} of {values.numel()} {what} do not fit {fmt} (largest "
                    f"{float(values.abs().max()):.4g}); use fewer fraction bits or smaller weights"
                )
        layers.append(replace(layer, weight=quantise(layer.weight, fmt), bias=quantise(layer.bias, fmt)))
    return replace(network, layers=tuple(layers), fmt=fmt)
