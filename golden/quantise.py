"""Real numbers to integer codes of a NumberFormat: nearest, halves up, saturated; whole tensors at once."""

from dataclasses import replace

import torch
from torch import Tensor

from golden.network import Network
from hw.errors import BadInput
from hw.params import NumberFormat

_BEYOND = 2.0**32  # larger than every format's largest value and code


def _scaled(values: Tensor, fmt: NumberFormat) -> Tensor:
    """``values`` in units of the format's last bit, exact; values beyond every format are cut, else they overflow."""
    wide = values.to(torch.float64)
    if not bool(torch.isfinite(wide).all()):
        raise BadInput(f"finite numbers are wanted for format {fmt}, not {int((~torch.isfinite(wide)).sum())} others")
    return (wide.clamp(-_BEYOND, _BEYOND) * float(fmt.scale)).clamp(-_BEYOND, _BEYOND)


def quantise(values: Tensor, fmt: NumberFormat) -> Tensor:
    """int64 codes of ``values`` (any float type), equal to ``fmt.quantise`` value by value.

    float64 holds value * 2**frac exactly, and its fractional part too, so the comparison with one half is exact where
    adding one half would round.
    """
    exact = _scaled(values, fmt)
    floor = exact.floor()
    codes = floor.to(torch.int64) + (exact - floor >= 0.5)
    return codes.clamp(fmt.low, fmt.high)


def saturated(values: Tensor, fmt: NumberFormat) -> int:
    """How many ``values`` the format cannot hold."""
    exact = _scaled(values, fmt)
    return int(((exact < fmt.low - 0.5) | (exact >= fmt.high + 0.5)).sum())


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
