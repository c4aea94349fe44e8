"""The tile's arithmetic on whole maps, bit exact, in torch int64; knows nothing of tiles, tilings and programs.

Sums of products are exact. They are taken in float64, which is exact as long as no partial sum reaches 2**53; where
that cannot be shown from the operands, these are split into 16-bit halves first.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from golden.network import Layer, Network, Pooling
from hw.errors import BadInput
from hw.instructions import RECIPROCAL_BITS, Pool
from hw.params import NumberFormat

_EXACT = 1 << 53
_HALF_BITS = 16


def reciprocal(words: int) -> int:
    """round(2**24 / words), halves up."""
    return ((1 << (RECIPROCAL_BITS + 1)) + words) // (2 * words)


def _magnitude(layer: Layer, x: Tensor) -> int:
    """Largest absolute value that any partial sum of products can take."""
    per_neuron = layer.weight.abs().flatten(1).sum(1)
    return int(per_neuron.max()) * int(x.abs().max()) if x.numel() else 0


def _products(layer: Layer, x: Tensor, weight: Tensor) -> Tensor:
    """Sums of products in float64, taken back to int64; the caller has shown that they are exact."""
    operand, weights = x.to(torch.float64), weight.to(torch.float64)
    if layer.fc:
        return (operand.flatten(1) @ weights.T)[:, :, None, None].to(torch.int64)
    return F.conv2d(operand, weights, stride=layer.stride, padding=layer.padding).to(torch.int64)


def wide_sums(layer: Layer, x: Tensor, fmt: NumberFormat) -> Tensor:
    """Exact sums [images, out, height, width] with 2 * frac fraction bits, bias included."""
    if _magnitude(layer, x) < _EXACT:
        total = _products(layer, x, layer.weight)
    else:
        mask = (1 << _HALF_BITS) - 1
        if layer.inputs << (2 * _HALF_BITS) >= _EXACT:
            raise BadInput(f"layer {layer.name}: {layer.inputs} inputs of a neuron are more than exact sums allow")
        total = torch.zeros((), dtype=torch.int64)
        for x_part, x_shift in ((x & mask, 0), (x >> _HALF_BITS, _HALF_BITS)):
            for w_part, w_shift in ((layer.weight & mask, 0), (layer.weight >> _HALF_BITS, _HALF_BITS)):
                total = total + (_products(layer, x_part, w_part) << (x_shift + w_shift))
    return total + (layer.bias << fmt.frac)[None, :, None, None]


def narrow(wide: Tensor, fmt: NumberFormat) -> Tensor:
    """One rounding (halves up), one saturation."""
    return ((wide + fmt.half) >> fmt.frac).clamp(fmt.low, fmt.high)


def _taps(x: Tensor, pool: Pooling) -> Iterator[tuple[Tensor, int, int]]:
    """For every tap of the window: the pixels it meets and how many windows, down and across, it exists in."""
    height, width = x.shape[-2:]
    for ky in range(pool.size):
        for kx in range(pool.size):
            taken = x[..., ky :: pool.stride, kx :: pool.stride]
            taken = taken[..., : pool.out(height), : pool.out(width)]
            yield taken, taken.shape[-2], taken.shape[-1]


def pool_map(x: Tensor, pool: Pooling, fmt: NumberFormat) -> Tensor:
    """Max or average over windows that are clipped at the map's edge."""
    height, width = x.shape[-2:]
    shape = (*x.shape[:-2], pool.out(height), pool.out(width))
    if pool.kind == Pool.MAX:
        best = torch.full(shape, fmt.low, dtype=torch.int64)
        for taken, rows, cols in _taps(x, pool):
            best[..., :rows, :cols] = torch.maximum(best[..., :rows, :cols], taken)
        return best
    total = torch.zeros(shape, dtype=torch.int64)
    words = torch.zeros(shape[-2:], dtype=torch.int64)
    for taken, rows, cols in _taps(x, pool):
        total[..., :rows, :cols] += taken
        words[:rows, :cols] += 1
    scale = torch.tensor([0] + [reciprocal(n) for n in range(1, pool.size**2 + 1)])[words]
    half = 1 << (RECIPROCAL_BITS - 1)
    return ((total * scale + half) >> RECIPROCAL_BITS).clamp(fmt.low, fmt.high)


def layer_map(layer: Layer, x: Tensor, fmt: NumberFormat) -> Tensor:
    """Output map [images, out, height, width] of one layer."""
    return _finish(layer, wide_sums(layer, x, fmt), fmt)


def _finish(layer: Layer, wide: Tensor, fmt: NumberFormat) -> Tensor:
    result = narrow(wide, fmt)
    if layer.relu:
        result = result.clamp(min=0)
    return pool_map(result, layer.pool, fmt) if layer.pool is not None else result


def forward(network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Output maps of every layer, each [images, channels, height, width], and the wide scores [images, classes].

    ``images``: int64 codes [images, channels, height, width]. ``network`` must be quantised.
    """
    if network.fmt is None:
        raise BadInput("integer layers want a quantised network; call golden.quantise.quantise_network first")
    if tuple(images.shape[1:]) != network.input_shape or images.dtype != torch.int64:
        raise BadInput(
            f"images want int64 of shape [n, {', '.join(map(str, network.input_shape))}], "
            f"not {images.dtype} {list(images.shape)}"
        )
    maps: list[Tensor] = []
    x, wide = images, images
    for layer in network.layers:
        wide = wide_sums(layer, x, network.fmt)
        x = _finish(layer, wide, network.fmt)
        maps.append(x)
    return maps, wide.flatten(1)


def scores(network: Network, images: Tensor, batch: int = 500) -> Tensor:
    """Wide scores [images, classes] of any number of images, ``batch`` at a time."""
    parts = [forward(network, part)[1] for part in images.split(batch)]
    return torch.cat(parts) if parts else torch.zeros((0, network.classes), dtype=torch.int64)
