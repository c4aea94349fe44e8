"""Random small networks with fixed seeds, nested in increments, for tests of the integer half of golden."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from golden.network import Network, Shape, read
from golden.quantise import quantise, quantise_network
from hw.params import TileParams


def random_module(rng: random.Random, convs: int, fcs: int, shape: Shape, most: int, classes: int) -> nn.Sequential:
    """Convolutions (any kernel, stride, padding, pooling) and fully connected layers with up to ``most`` channels."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    for _ in range(convs):
        kernel = (rng.randint(1, min(7, height)), rng.randint(1, min(7, width)))
        padding = (rng.randint(0, min(2, kernel[0] // 2)), rng.randint(0, min(2, kernel[1] // 2)))
        stride = rng.choice((1, 1, 1, 2, 3))
        out = rng.randint(1, most)
        layers.append(nn.Conv2d(channels, out, kernel, stride, padding, bias=rng.random() < 0.8))
        channels = out
        height = (height + 2 * padding[0] - kernel[0]) // stride + 1
        width = (width + 2 * padding[1] - kernel[1]) // stride + 1
        relu = rng.random() < 0.7
        if relu:
            layers.append(nn.ReLU())
        size = rng.randint(1, 4)
        if size <= min(height, width) and rng.random() < 0.7:
            pool = rng.choice((nn.MaxPool2d, nn.AvgPool2d))(size, rng.randint(1, 4), ceil_mode=rng.random() < 0.5)
            layers.append(pool)
            with torch.no_grad():
                height, width = pool(torch.zeros(1, 1, height, width)).shape[-2:]
    layers.append(nn.Flatten())
    inputs = channels * height * width
    for _ in range(fcs - 1):
        out = rng.randint(1, 2 * most)
        layers += [nn.Linear(inputs, out), nn.ReLU()] if rng.random() < 0.7 else [nn.Linear(inputs, out)]
        inputs = out
    layers.append(nn.Linear(inputs, classes))
    return nn.Sequential(*layers)


def deep_module(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """A convolution whose weights fill SB, on a small map of many channels, and the shape of its images."""
    shape = (rng.randint(1, 3), rng.randint(3, 5), rng.randint(2, 5))
    channels, kernel = 3 * p.neurons, rng.choice(((4, 5), (5, 4), (5, 5)))
    module = nn.Sequential(
        nn.Conv2d(shape[0], channels, 1), nn.ReLU(), nn.Conv2d(channels, rng.randint(1, 9), kernel, padding=2),
        nn.Flatten(), nn.LazyLinear(rng.randint(1, 7)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


def flat_module(rng: random.Random) -> tuple[nn.Sequential, Shape]:
    """Convolutions over rows of whole cells, whose planes can lie in DRAM without gaps, and the shape of the images."""
    shape = (rng.randint(1, 3), 2, rng.choice((4, 6, 8)))
    layers: list[nn.Module] = []
    channels = shape[0]
    for _ in range(3):
        out = rng.randint(1, 9)
        layers += [nn.Conv2d(channels, out, (1, 3), padding=(0, 1)), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 2 * shape[2], rng.randint(1, 7))), shape


def fused_module(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """Two convolutions of which the second gives so few sums that it can run while the first one does."""
    width = rng.randint(3, 7)
    row, block = -(-width // p.cell_words), next(n for n in (p.neurons // 4, p.neurons // 2, p.neurons) if n > 1)
    whole = min(p.buffer_rows) * p.banks // (block * row)  # rows with which a block of channels fills a buffer
    height = min(rng.choice((rng.randint(3, 6), rng.randint(whole // 2, 2 * whole // 3))), 30)
    shape = (rng.randint(1, 5), height + 2, width + 2)
    channels, out = rng.randint(p.neurons + 1, 4 * p.neurons), rng.randint(1, p.neurons)
    module = nn.Sequential(
        nn.Conv2d(shape[0], channels, 3), nn.ReLU(),
        nn.Conv2d(channels, out, (height, rng.randint(width - 1, width))), nn.ReLU(),
        nn.Flatten(), nn.LazyLinear(rng.randint(1, 7)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


def tall_module(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """Two convolutions that can be fused, with blocks of channels between that fill more than half of a buffer each."""
    width, block = p.cell_words + 1, next(n for n in (p.neurons // 4, p.neurons // 2, p.neurons) if n > 1)
    least = min(p.buffer_rows) * p.banks // (2 * block * 2) + 1  # two cells a row
    most = min(29, 4 * p.sb_rows * p.synapses // (5 * block * width))  # SB holds the block's weights
    height = rng.randint(least, max(least, most))
    shape, channels = (rng.randint(1, 2), height + 2, width + 2), rng.randint(p.neurons + 1, 3 * p.neurons)
    module = nn.Sequential(
        nn.Conv2d(shape[0], channels, 3), nn.ReLU(), nn.Conv2d(channels, rng.randint(1, p.neurons), (height, width)),
        nn.Flatten(), nn.LazyLinear(rng.randint(1, 7)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


def paired_module(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """Convolutions of few channels to maps that are half as wide as there are groups: steps of two rows."""
    pool, padding = rng.choice((0, 0, 1, 2, 2)), rng.randint(0, 1)
    pool = min(pool, max(1, p.groups // 2))
    kernel = rng.choice(((3, 5), (4, 4), (5, 4), (5, 5)) if p.synapses > 9 else ((2, 3), (3, 2), (3, 3)))
    height, width = rng.randint(max(pool, 1), 6), max(1, p.groups // 2)
    high, wide = (max(1, size + side - 1 - 2 * padding) for size, side in zip((height, width), kernel, strict=True))
    shape = (rng.randint(1, 3), high, wide)
    channels = rng.randint(1, 12)
    out = rng.randint(0, 2) * max(1, p.neurons // 4) + rng.randint(1, max(1, p.neurons // p.groups))
    module = nn.Sequential(
        nn.Conv2d(shape[0], channels, 1), nn.ReLU(), nn.Conv2d(channels, out, kernel, padding=padding), nn.ReLU(),
        *([rng.choice((nn.MaxPool2d, nn.AvgPool2d))(pool, rng.randint(1, 2), ceil_mode=True)] if pool else []),
        nn.Flatten(), nn.LazyLinear(rng.randint(1, 7)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


def by_rows_module(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """Two convolutions with a map between that is a little too large for a buffer: only some of its rows are wanted."""
    width, channels = rng.randint(2, 4) * p.cell_words, rng.randint(2, min(p.neurons, 6))
    fits = min(p.buffer_rows) * p.banks // (channels * -(-width // p.cell_words))
    height, pool = min(30, fits + rng.randint(1, 1 + fits // 2)), rng.choice((1, 1, 2))
    shape = (1, height * pool + 2, width * pool + 2)
    module = nn.Sequential(
        nn.Conv2d(1, channels, 3), nn.ReLU(), *([nn.MaxPool2d(2)] if pool > 1 else []),
        nn.Conv2d(channels, rng.randint(1, p.neurons), (rng.randint(1, 3), rng.randint(1, 3))), nn.ReLU(),
        *([nn.MaxPool2d(2, ceil_mode=rng.random() < 0.5)] if rng.random() < 0.7 else []),
        nn.Flatten(), nn.LazyLinear(rng.randint(1, 7)),
    )  # fmt: skip
    module(torch.zeros(1, *shape))
    return module, shape


def random_network(rng: random.Random, p: TileParams) -> tuple[nn.Sequential, Shape]:
    """Mostly any layers; some with wide maps (rings), more weights than SB holds, rows without gaps."""
    family = rng.choice(("any", "any", "any", "wide", "wide", "deep", "flat"))
    if family == "deep":
        return deep_module(rng, p)
    if family == "flat":
        return flat_module(rng)
    size = rng.choice((6, 8, 10, 12, 16)) if family == "any" else 16
    shape = (rng.randint(1, 4), size + rng.randint(-2, 2), size + rng.randint(-2, 2))
    convs, most = (rng.randint(0, 3), 3 * p.neurons) if family == "any" else (rng.randint(1, 2), 2 * p.neurons)
    return random_module(rng, convs, rng.randint(1, 3), shape, most, rng.randint(1, 7)), shape


def increments(module: nn.Sequential, fractions: Sequence[float], shape: Shape) -> list[nn.Sequential]:
    """Prefixes of ``module``: every hidden layer keeps a fraction of its channels; each classifier has own weights."""
    sums = [layer for layer in module if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = []
    for number, fraction in enumerate(fractions):
        torch.manual_seed(1000 + number)
        cut: list[nn.Module] = []
        channels, whole_in = shape[0], shape[0]
        for layer in module:
            if isinstance(layer, nn.Conv2d):
                out = max(1, round(layer.out_channels * fraction))
                conv: Any = nn.Conv2d(channels, out, layer.kernel_size, layer.stride, layer.padding)  # type: ignore[arg-type]
                conv.weight.data = layer.weight.data[:out, :channels].clone()
                conv.bias.data = layer.bias.data[:out].clone() if layer.bias is not None else torch.zeros(out)
                cut.append(conv)
                channels, whole_in = out, layer.out_channels
            elif isinstance(layer, nn.Linear):
                last = layer is sums[-1]
                per_channel = layer.in_features // whole_in
                inputs = channels * per_channel
                out = layer.out_features if last else max(1, round(layer.out_features * fraction))
                linear = nn.Linear(inputs, out)
                if not last:
                    linear.weight.data = layer.weight.data[:out, :inputs].clone()
                    linear.bias.data = layer.bias.data[:out].clone()
                cut.append(linear)
                channels, whole_in = out, layer.out_features
            else:
                cut.append(layer)
        found.append(nn.Sequential(*cut))
    return found


def networks(modules: Sequence[nn.Module], shape: Shape, p: TileParams) -> list[Network]:
    return [quantise_network(read(module, shape), p.fmt) for module in modules]


def images(count: int, shape: Shape, p: TileParams, seed: int = 0) -> Tensor:
    """Random images, some pixels beyond the format's range so that saturation is met."""
    generator = torch.Generator().manual_seed(seed)
    return quantise(4 * torch.randn((count, *shape), generator=generator, dtype=torch.float64), p.fmt)


def random_case(seed: int, p: TileParams) -> tuple[list[Network], Shape]:
    """Three nested increments of a random network that suits the size of the tile."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    big = p.neurons == 16
    shape = (rng.randint(1, 3), rng.randint(5, 20 if big else 12), rng.randint(5, 20 if big else 12))
    most = 40 if big else 12
    module = random_module(rng, rng.randint(1, 3), rng.randint(1, 2), shape, most, rng.randint(1, 12))
    return networks(increments(module, (0.25, 0.5, 1.0), shape), shape, p), shape
