"""Reads a torch module into the layers that the tile runs: a sum, then ReLU, then pooling.

``read`` traces the module with ``torch.fx`` and fuses each Conv2d or Linear with the ReLU and the pooling behind it.
What the tile cannot run is refused by its name, with what to use instead.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from hw.errors import BadInput
from hw.instructions import Pool
from hw.params import NumberFormat

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class Pooling:
    """Pooling behind a layer: square windows without padding; ``ceil`` adds the clipped window at the edge."""

    kind: Pool
    size: int
    stride: int
    ceil: bool

    def out(self, length: int) -> int:
        """Windows along ``length`` pixels (torch's rule: every window starts inside the map)."""
        rounded = -(-(length - self.size) // self.stride) if self.ceil else (length - self.size) // self.stride
        windows = rounded + 1
        return windows - 1 if (windows - 1) * self.stride >= length else windows


@dataclass(frozen=True)
class Sums:
    """Sums that an increment leaves in DRAM for the next one, as so many ``limbs`` (hw.params.NumberFormat.limb).

    saved: this layer's sums are left. channels, inputs: the sums of its first ``channels`` output channels over the
    first ``inputs`` input channels, bias included, were left by a smaller increment; 0: of none.
    """

    limbs: int = 0
    saved: bool = False
    channels: int = 0
    inputs: int = 0


@dataclass(frozen=True, eq=False)
class Layer:
    """One sum over windows of the input map, then ReLU, then pooling.

    weight: [out, in, kernel_h, kernel_w] of a convolution, [out, in] of a fully connected layer (``fc``), which takes
    its input map flattened in the order channel, row, column. bias: [out]. Both float64, or int64 once quantised.
    sum_shape: map before pooling; out_shape: after it. Of golden.mapping only: cuts: input channels at which weight
    lines shall begin, which changes how the weights are packed; kept: first output channels that need not be computed,
    because the run of a smaller increment has left them in DRAM; sums: what becomes of sums before rounding.
    """

    name: str
    fc: bool
    weight: Tensor
    bias: Tensor
    kernel: tuple[int, int]
    stride: int
    padding: tuple[int, int]
    relu: bool
    pool: Pooling | None
    in_shape: Shape
    sum_shape: Shape
    cuts: tuple[int, ...] = ()
    kept: int = 0
    sums: Sums = Sums()

    @property
    def out_shape(self) -> Shape:
        channels, height, width = self.sum_shape
        if self.pool is None:
            return self.sum_shape
        return channels, self.pool.out(height), self.pool.out(width)

    @property
    def inputs(self) -> int:
        """Elements of one window: synapses of one neuron."""
        return self.weight[0].numel()

    @property
    def macs(self) -> int:
        """Multiplications with a weight, those on padding included."""
        return self.weight.numel() * self.sum_shape[1] * self.sum_shape[2]


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in order; the last one gives the scores. ``fmt`` is set once weights and biases are integer codes."""

    input_shape: Shape
    layers: tuple[Layer, ...]
    fmt: NumberFormat | None = None

    @property
    def classes(self) -> int:
        return self.layers[-1].out_shape[0]

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of every layer."""
        return tuple(layer.out_shape[0] for layer in self.layers)


def causal_inputs(networks: Sequence[Network]) -> list[list[list[tuple[int, int, int]]]]:
    """Which input channels the neurons of each increment read: [increment][hidden layer][(first, end, inputs)].

    networks: nested increments, smallest first. Output channels ``first`` up to ``end`` of the layer are those that one
    increment brought; all their weights are 0 but those of the first ``inputs`` channels of the layer's input map, a
    channel of which has ``weight[0].numel() // in_shape[0]`` weights. ``inputs`` is the channel count of that increment
    in a block-causal network (or of a smaller one that is enough), the whole map's in a dense one and in layer 0.
    """
    for few, more in pairwise(networks):
        if len(few.layers) != len(more.layers) or any(a > b for a, b in zip(few.channels, more.channels, strict=True)):
            raise BadInput(
                f"increments want the same layers with growing channels, not {few.channels} before {more.channels}"
            )
    return [
        [_spans([smaller.layers[number] for smaller in networks[: index + 1]]) for number in range(len(net.layers) - 1)]
        for index, net in enumerate(networks)
    ]


def _spans(layers: Sequence[Layer]) -> list[tuple[int, int, int]]:
    """Of the last of ``layers``, which are one layer in growing increments."""
    weight, inputs = layers[-1].weight, layers[-1].in_shape[0]
    reads = weight.reshape(len(weight), inputs, -1).any(2)  # [out, in]
    spans = []
    for first, end in pairwise([0, *(len(layer.weight) for layer in layers)]):
        if first < end:
            needed = max((*(reads[first:end].any(0).nonzero() + 1).flatten().tolist(), 0))
            spans.append((first, end, min(layer.in_shape[0] for layer in layers if layer.in_shape[0] >= needed)))
    return spans


_INSTEAD = {
    "BatchNorm1d": "fold it into the layer before it",
    "BatchNorm2d": "fold it into the convolution before it",
    "Softmax": "leave it out: the margin controller works on raw scores and has its own softmax mode",
    "LogSoftmax": "leave it out: the margin controller works on raw scores and has its own softmax mode",
    "AdaptiveAvgPool2d": "use AvgPool2d with the window that it stands for",
    "AdaptiveMaxPool2d": "use MaxPool2d with the window that it stands for",
    "Sigmoid": "use ReLU",
    "Tanh": "use ReLU",
    "GELU": "use ReLU",
    "LeakyReLU": "use ReLU",
    "ConvTranspose2d": "use Conv2d",
    "Conv1d": "use Conv2d with a kernel one row high",
}
_FALLBACK = "use Conv2d, Linear, ReLU, MaxPool2d, AvgPool2d, Flatten"


def _one(value: Any, name: str, what: str) -> int:
    """The one number behind ``value`` or an equal pair of it."""
    values = value if isinstance(value, tuple | list) else (value, value)
    if len(set(values)) != 1:
        raise BadInput(f"layer {name}: {what} wants the same number in both directions, not {tuple(values)}")
    return int(values[0])


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


class _Reader:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.flat = False
        self.layers: list[Layer] = []

    def _last(self, name: str, kind: str) -> Layer:
        if not self.layers:
            raise BadInput(f"layer {name} ({kind}) wants a Conv2d or Linear before it; put one there or leave it out")
        return self.layers[-1]

    def conv(self, name: str, module: nn.Conv2d) -> None:
        if self.flat:
            raise BadInput(f"layer {name} (Conv2d) cannot follow Flatten or Linear; put the convolutions first")
        if module.groups != 1 or _pair(module.dilation) != (1, 1):
            raise BadInput(
                f"layer {name} (Conv2d) wants groups 1 and dilation 1, not {module.groups} and {module.dilation}; "
                f"use a plain convolution"
            )
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise BadInput(
                f"layer {name} (Conv2d) wants zero padding given as a number, not {module.padding!r} "
                f"({module.padding_mode}); write the number"
            )
        (kernel_h, kernel_w), (pad_h, pad_w) = _pair(module.kernel_size), _pair(module.padding)
        stride = _one(module.stride, name, "stride")
        channels, height, width = self.shape
        if channels != module.in_channels:
            raise BadInput(f"layer {name} (Conv2d) wants {module.in_channels} channels, but {channels} come in")
        out_h = (height + 2 * pad_h - kernel_h) // stride + 1
        out_w = (width + 2 * pad_w - kernel_w) // stride + 1
        if out_h < 1 or out_w < 1:
            raise BadInput(
                f"layer {name} (Conv2d): a {kernel_h}x{kernel_w} window does not fit the {height}x{width} map; "
                f"use a smaller kernel or a larger map"
            )
        sums = (module.out_channels, out_h, out_w)
        self._add(name, module, False, (kernel_h, kernel_w), stride, (pad_h, pad_w), sums)

    def linear(self, name: str, module: nn.Linear) -> None:
        channels, height, width = self.shape
        if not self.flat and height * width > 1:
            raise BadInput(f"layer {name} (Linear) wants a flat input, not {self.shape}; put Flatten before it")
        if module.in_features != channels * height * width:
            raise BadInput(
                f"layer {name} (Linear) wants {module.in_features} inputs, but {channels * height * width} come in"
            )
        self._add(name, module, True, (1, 1), 1, (0, 0), (module.out_features, 1, 1))
        self.flat = True

    def _add(
        self, name: str, module: nn.Conv2d | nn.Linear, fc: bool, kernel: tuple[int, int], stride: int,
        padding: tuple[int, int], sums: Shape,
    ) -> None:  # fmt: skip
        weight = module.weight.detach().to(torch.float64).cpu()
        given = module.bias
        bias = (
            torch.zeros(len(weight), dtype=torch.float64) if given is None else given.detach().to(torch.float64).cpu()
        )
        self.layers.append(Layer(name, fc, weight, bias, kernel, stride, padding, False, None, self.shape, sums))
        self.shape = sums

    def relu(self, name: str) -> None:
        last = self._last(name, "ReLU")
        if last.pool is not None and last.pool.kind == Pool.AVERAGE and not last.relu:
            raise BadInput(f"layer {name} (ReLU) cannot follow average pooling; put the ReLU before the pooling")
        self.layers[-1] = replace(last, relu=True)  # after max pooling it gives the same map as before it

    def pool(self, name: str, module: nn.MaxPool2d | nn.AvgPool2d) -> None:
        kind = type(module).__name__
        last = self._last(name, kind)
        if last.fc or self.flat:
            raise BadInput(f"layer {name} ({kind}) wants a Conv2d before it, not a Linear or Flatten")
        if last.pool is not None:
            raise BadInput(f"layer {name} ({kind}): one pooling per convolution is wanted; put a Conv2d between them")
        if _pair(module.padding) != (0, 0):
            raise BadInput(f"layer {name} ({kind}) wants padding 0, not {module.padding}; use ceil_mode")
        if isinstance(module, nn.MaxPool2d) and _pair(module.dilation) != (1, 1):
            raise BadInput(f"layer {name} ({kind}) wants dilation 1, not {module.dilation}")
        if isinstance(module, nn.MaxPool2d) and module.return_indices:
            raise BadInput(f"layer {name} ({kind}) wants return_indices False; leave the indices out")
        if isinstance(module, nn.AvgPool2d) and module.divisor_override is not None:
            raise BadInput(f"layer {name} ({kind}) wants no divisor_override, not {module.divisor_override}")
        size = _one(module.kernel_size, name, "pooling window")
        pooling = Pooling(
            Pool.MAX if isinstance(module, nn.MaxPool2d) else Pool.AVERAGE,
            size,
            _one(size if module.stride is None else module.stride, name, "pooling stride"),
            bool(module.ceil_mode),
        )
        if size > min(self.shape[1:]):
            raise BadInput(
                f"layer {name} ({kind}): window {size} is larger than the {self.shape[1]}x{self.shape[2]} map"
            )
        self.layers[-1] = replace(last, pool=pooling)
        self.shape = self.layers[-1].out_shape

    def module(self, name: str, module: nn.Module) -> None:
        kind = type(module).__name__
        if isinstance(module, nn.Conv2d):
            self.conv(name, module)
        elif isinstance(module, nn.Linear):
            self.linear(name, module)
        elif isinstance(module, nn.ReLU):
            self.relu(name)
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            self.pool(name, module)
        elif isinstance(module, nn.Flatten):
            if module.start_dim != 1 or module.end_dim != -1:
                raise BadInput(f"layer {name} (Flatten) wants start_dim 1 and end_dim -1")
            self.flat = True
        elif isinstance(module, nn.Dropout | nn.Dropout2d) and module.training:
            raise BadInput(f"layer {name} ({kind}) works only in evaluation; call eval() first")
        elif not isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d):
            raise BadInput(f"layer {name} ({kind}) does not run on the tile; {_INSTEAD.get(kind, _FALLBACK)}")


_RELUS: tuple[Callable[..., Any], ...] = (F.relu, torch.relu)


def _function(reader: _Reader, node: fx.Node) -> None:
    """Functions and methods that stand for a layer."""
    called: Any = node.target
    if called in _RELUS or called == "relu":
        reader.relu(node.name)
    elif called == "flatten" or called is torch.flatten:
        arguments = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
        if arguments.get("start_dim", 0) != 1 or arguments.get("end_dim", -1) != -1:
            raise BadInput(f"layer {node.name} (flatten) wants start_dim 1 and end_dim -1")
        reader.flat = True
    else:
        kind = called if isinstance(called, str) else getattr(called, "__name__", str(called))
        advice = "use one path from input to scores" if called in (operator.add, torch.add, torch.cat) else _FALLBACK
        raise BadInput(f"layer {node.name} ({kind}) does not run on the tile; {advice}")


def read(module: nn.Module, input_shape: Shape) -> Network:
    """The layers of ``module`` for an input of ``input_shape`` (channels, height, width).

    Raises BadInput for a layer that the tile cannot run, a branch, or a last layer that is not a plain Linear.
    """
    try:
        graph = fx.symbolic_trace(module).graph
    except (fx.proxy.TraceError, TypeError) as error:
        raise BadInput(f"the network cannot be traced ({error}); use one path of layers without control flow") from None
    modules = dict(module.named_modules())
    reader = _Reader(input_shape)
    before: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "get_attr":
            raise BadInput(f"parameter {node.name} outside a layer does not run on the tile; {_FALLBACK}")
        if before is not None and node.op != "output" and (not node.args or node.args[0] is not before):
            raise BadInput(f"layer {node.name} starts a branch; use one path from input to scores")
        if node.op == "call_module":
            reader.module(str(node.target), modules[str(node.target)])
        elif node.op in ("call_function", "call_method"):
            _function(reader, node)
        before = node
    if not reader.layers or not reader.layers[-1].fc:
        raise BadInput("the network wants a Linear as its last layer, which gives the scores; add one")
    if reader.layers[-1].relu:
        raise BadInput(f"layer {reader.layers[-1].name} gives the scores and wants no ReLU behind it; leave it out")
    return Network(input_shape, tuple(reader.layers))
