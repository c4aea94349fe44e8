"""Labelled images in memory, as every reader returns them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hw.errors import BadInput


@dataclass(frozen=True, eq=False)
class ImageSet:
    """images: uint8 [N,C,H,W]. labels: int64 [N], 0 to 9. name: data set. split: train or test. source: file read."""

    images: Tensor
    labels: Tensor
    name: str
    split: str
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            raise BadInput(
                f"{self.source}: images want uint8 [N,C,H,W], not {self.images.dtype} {list(self.images.shape)}"
            )
        if len(self.images) == 0:
            raise BadInput(f"{self.source}: images are wanted, the file holds none")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise BadInput(
                f"{self.source}: {len(self.images)} images want as many int64 labels, "
                f"not {self.labels.dtype} {list(self.labels.shape)}"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high > 9:
            raise BadInput(f"{self.source}: labels want 0 to 9, not {low if low < 0 else high}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        c, h, w = self.images.shape[1:]
        return c, h, w

    def part(self, indices: slice | Tensor) -> "ImageSet":
        """The images at ``indices``, in that order."""
        return ImageSet(self.images[indices], self.labels[indices], self.name, self.split, self.source)


def scale(images: Tensor) -> Tensor:
    """uint8 pixels as the network reads them: float32 x/256, exact in <16,10> and in <32,16>; no mean subtraction."""
    return images.float() / 256
