"""Reading torch modules: what is fused, and every refusal."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from golden.network import Pooling, read
from hw.errors import BadInput
from hw.instructions import Pool


def test_fuses_relu_and_pooling() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, (3, 5), stride=2, padding=(1, 2)), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 6, 1), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2),
    ).eval()  # fmt: skip
    net = read(module, (3, 12, 12))
    assert [layer.name for layer in net.layers] == ["0", "3", "7", "9"]
    first, second, third, last = net.layers
    assert (first.kernel, first.stride, first.padding, first.relu) == ((3, 5), 2, (1, 2), True)
    assert (first.in_shape, first.sum_shape, first.out_shape) == ((3, 12, 12), (4, 6, 6), (4, 3, 3))
    assert first.pool == Pooling(Pool.MAX, 3, 2, True)
    assert (second.pool, second.relu) == (Pooling(Pool.AVERAGE, 2, 2, False), False)
    assert (third.fc, third.relu, last.fc, last.relu) == (True, True, True, False)
    assert net.classes == 2
    assert net.channels == (4, 6, 5, 2)
    assert (first.inputs, first.macs) == (45, 45 * 4 * 36)
    assert torch.equal(first.weight, module.get_parameter("0.weight").detach().double())


def test_a_module_with_functions_is_read_like_the_sequence() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.fc = nn.Linear(32, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(torch.flatten(F.relu(self.conv(x)), 1))

    net = read(Net(), (1, 6, 6))
    assert [layer.name for layer in net.layers] == ["conv", "fc"]
    assert net.layers[0].relu
    assert not net.layers[1].bias.any()


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 6))
@pytest.mark.parametrize("ceil", [False, True])
def test_pooled_length_is_torchs(size: int, stride: int, ceil: bool) -> None:
    for length in range(size, 14):
        wanted = F.max_pool2d(torch.zeros(1, 1, length, length), size, stride, ceil_mode=ceil).shape[-1]
        assert Pooling(Pool.MAX, size, stride, ceil).out(length) == wanted


def test_relu_behind_max_pooling_is_taken() -> None:
    net = read(nn.Sequential(nn.Conv2d(1, 1, 1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1)), (1, 4, 4))
    assert net.layers[0].relu


def _net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1, 2))


REFUSED: list[tuple[Callable[[], nn.Module], str]] = [
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)), "layer 1 .BatchNorm2d. does not run on the tile; fold it"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.Tanh()), "layer 1 .Tanh. does not run on the tile; use ReLU"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.PReLU()), "layer 1 .PReLU. does not run on the tile; use Conv2d"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.Dropout()), "layer 1 .Dropout. works only in evaluation"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Softmax(1)), "layer 2 .Softmax.*leave it out"),
    (lambda: _net(nn.Conv2d(1, 1, 3, dilation=2)), "layer 0 .Conv2d. wants groups 1 and dilation 1"),
    (lambda: _net(nn.Conv2d(1, 1, 3, padding="same")), "layer 0 .Conv2d. wants zero padding given as a number"),
    (lambda: _net(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "wants zero padding .*reflect"),
    (lambda: _net(nn.Conv2d(1, 1, 3, stride=(1, 2))), "layer 0: stride wants the same number in both directions"),
    (lambda: _net(nn.Conv2d(2, 1, 3)), "layer 0 .Conv2d. wants 2 channels, but 1 come in"),
    (lambda: _net(nn.Conv2d(1, 1, 9)), "layer 0 .Conv2d.: a 9x9 window does not fit the 8x8 map"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Conv2d(1, 1, 3)), "layer 1 .Conv2d. cannot follow Flatten or Linear"),
    (lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(36, 2)), "layer 1 .Linear. wants a flat input"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(63, 2)), "layer 1 .Linear. wants 63 inputs, but 64 come in"),
    (lambda: _net(nn.ReLU()), "layer 0 .ReLU. wants a Conv2d or Linear before it"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.AvgPool2d(2), nn.ReLU()), "layer 2 .ReLU. cannot follow average pooling"),
    (lambda: _net(nn.MaxPool2d(2)), "layer 0 .MaxPool2d. wants a Conv2d or Linear before it"),
    (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.MaxPool2d(2)),
        "layer 2 .MaxPool2d. wants a Conv2d before",
    ),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.MaxPool2d(2)), "layer 2 .MaxPool2d.: one pooling per conv"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, padding=1)), "layer 1 .MaxPool2d. wants padding 0, not 1"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, dilation=2)), "layer 1 .MaxPool2d. wants dilation 1, not 2"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, return_indices=True)), "wants return_indices False"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.AvgPool2d(2, divisor_override=3)), "wants no divisor_override, not 3"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d((2, 3))), "layer 1: pooling window wants the same number"),
    (lambda: _net(nn.Conv2d(1, 1, 3), nn.MaxPool2d(7)), "layer 1 .MaxPool2d.: window 7 is larger than the 6x6 map"),
    (lambda: nn.Sequential(nn.Flatten(2), nn.Linear(64, 2)), "layer 0 .Flatten. wants start_dim 1 and end_dim -1"),
    (lambda: nn.Sequential(nn.Conv2d(1, 2, 8), nn.Flatten()), "wants a Linear as its last layer"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.ReLU()), "layer 1 gives the scores and wants no ReLU"),
]


@pytest.mark.parametrize(("module", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusal(module: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(module(), (1, 8, 8))


class _Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)
        self.fc = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.a(x) + self.b(x), 1))


class _Add(_Skip):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.a(x) + 1, 1))


class _FlattenAll(_Skip):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.a(x)))


class _Branch(_Skip):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) if x.sum() > 0 else x


class _Parameter(_Skip):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.offset


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_Skip, "layer b starts a branch; use one path"),
        (_Add, "layer add .add. does not run on the tile; use one path"),
        (_FlattenAll, "layer flatten .flatten. wants start_dim 1"),
        (_Branch, "the network cannot be traced"),
        (_Parameter, "parameter offset outside a layer does not run on the tile"),
    ],
)
def test_refuses_other_graphs(module: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(module(), (1, 8, 8))
