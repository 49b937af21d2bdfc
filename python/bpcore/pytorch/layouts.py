"""How a parameter's array here becomes a tensor of PyTorch's, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array

__all__ = ["Axes", "Column", "Counter", "GRUBiases", "Layout", "Order", "Sizes", "SummedBiases"]

Sizes: TypeAlias = "tuple[int | None, ...]"  # None for what isn't known yet


class Layout(Protocol):
    """Variables here, of one layer, and the tensors that PyTorch has in their place."""

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """The tensors' shapes, from the variables'."""

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The tensors for the variables' values."""

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """The variables' values for the tensors, which have the `shapes`."""


@dataclass(frozen=True)
class Order:
    """An axis of flattened images: channels last here, (..., channels), first in PyTorch."""

    axis: int  # of the variable
    channels: int
    size: int | None = None  # of the whole axis, where it is known

    def places(self, size: int) -> Array:
        """Where, along the axis here, the elements are that PyTorch has one after the other.

        ValueError if an axis of this size can't be such images.
        """
        if not self.fits(size):
            raise ValueError(f"{size} features are no flattened images of {self.channels} channels")
        places: Array = np.arange(size).reshape(-1, self.channels).T.ravel()
        return places

    def fits(self, size: int | None) -> bool:
        """Whether an axis of this size can be such images."""
        return size is None or (size % self.channels == 0 and self.size in (None, size))


@dataclass(frozen=True)
class Axes:
    """One array with its axes in another order: axis i of the tensor is ``order[i]`` of the variable."""

    order: tuple[int, ...] | None = None  # None for the same
    flat: tuple[Order, ...] = field(default=())

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """The sizes in their new order."""
        own = list(sizes[0])
        for each in self.flat:
            own[each.axis] = each.size if own[each.axis] is None else own[each.axis]
        return [tuple(own) if self.order is None else tuple(own[axis] for axis in self.order)]

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The array, transposed."""
        array = arrays[0]
        for each in self.flat:
            array = array.take(each.places(array.shape[each.axis]), each.axis)
        return [array if self.order is None else array.transpose(self.order)]

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """The tensor, transposed back."""
        array = tensors[0]
        if self.order is not None:
            array = array.transpose(np.argsort(self.order))
        for each in self.flat:
            array = array.take(np.argsort(each.places(array.shape[each.axis])), each.axis)
        return [array]


class Column:
    """A vector, which PyTorch keeps as (size, 1, ...) of so many axes."""

    def __init__(self, axes: int) -> None:
        self.ones = (1,) * (axes - 1)

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """(size, 1, ...)."""
        return [(*sizes[0], *self.ones)]

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The vector as (size, 1, ...)."""
        return [arrays[0].reshape(-1, *self.ones)]

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """The vector."""
        return [tensors[0].ravel()]


class Counter:
    """A whole number, which is a float here."""

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """A number's."""
        return list(sizes)

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The number as int64."""
        return [arrays[0].astype(np.int64)]

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """The number as a float."""
        return [tensors[0].astype(np.float32)]


class SummedBiases:
    """One bias, where PyTorch adds two up."""

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """The same, twice."""
        return [sizes[0], sizes[0]]

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The bias, and zeros."""
        return [arrays[0], np.zeros_like(arrays[0])]

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """Their sum."""
        return [tensors[0] + tensors[1]]


class GRUBiases:
    """A bias of all gates and one inside of the reset; PyTorch has two of all gates."""

    def shapes(self, sizes: Sequence[Sizes]) -> list[Sizes]:
        """That of all gates, twice."""
        return [sizes[0], sizes[0]]

    def to_torch(self, arrays: Sequence[Array]) -> list[Array]:
        """The bias, and the inner one behind zeros."""
        bias, inner = arrays
        return [bias, np.concatenate([np.zeros_like(bias[: -inner.size]), inner])]

    def from_torch(self, tensors: Sequence[Array]) -> list[Array]:
        """The sum of what isn't inside of the reset, and what is."""
        bias, inner = tensors
        units = inner.size // 3
        total = bias.copy()
        total[: 2 * units] += inner[: 2 * units]
        return [total, inner[2 * units :]]
