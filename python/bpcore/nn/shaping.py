"""Layers that move elements: other shapes and orders, padding, cropping, upsampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import choice, integer
from bpcore.basics.signatures import own_init
from bpcore.nn.module import Module
from bpcore.ops import windows
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Flatten",
    "Permute",
    "Reshape",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "with_axes",
]

_LAYOUTS = {1: "(batch, time, channels)", 2: "(batch, height, width, channels)"}


def with_axes(layer: Module, x: Any, axes: int) -> Any:
    """`x` as an operand; ValueError naming the layer unless it has `axes` axes between batch and channels."""
    x = operators.operand(x, type(layer).__name__)
    if x.ndim != axes + 2:
        raise ValueError(f"{layer._title()}: expected input of shape {_LAYOUTS[axes]}, got {x.shape}")
    return x


class Flatten(Module):
    """All axes but the first in one: `x` (batch, ...), result (batch, features).

    Raises ValueError for a number.
    """

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ...), result (batch, features)."""
        x = operators.operand(x, "Flatten")
        if x.ndim == 0:
            raise ValueError(f"{self._title()}: expected input of shape (batch, ...), got a number")
        features = x.size // x.shape[0] if x.shape[0] else int(np.prod(x.shape[1:]))
        return ops.reshape(x, (x.shape[0], features))

    def __repr__(self) -> str:
        return "Flatten()"


class Reshape(Module):
    """Another shape for each sample: `x` (batch, ...), result (batch, *shape).

    Args:
        shape: sizes of a sample, an integer or several; one of them may be -1, for what is left.

    Raises ValueError for sizes that don't fit, TypeError for sizes that are no integers.
    """

    def __init__(self, shape: int | Sequence[int]) -> None:
        sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
        self.shape = tuple(integer("Reshape", "shape", size) for size in sizes)
        if any(size < -1 for size in self.shape) or self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: sizes must be at least 0, and one of them may be -1, got {shape}")

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ...), result (batch, *shape)."""
        x = operators.operand(x, "Reshape")
        if x.ndim == 0:
            raise ValueError(f"{self._title()}: expected input of shape (batch, ...), got a number")
        have, known = 1, 1
        for size in x.shape[1:]:
            have *= size
        for size in self.shape:
            known *= 1 if size == -1 else size
        fits = known > 0 and have % known == 0 if -1 in self.shape else have == known
        if not fits:
            raise ValueError(f"{self._title()}: samples of shape {x.shape[1:]} can't have shape {self.shape}")
        return ops.reshape(x, (x.shape[0], *(have // known if size == -1 else size for size in self.shape)))

    def __repr__(self) -> str:
        return f"Reshape({self.shape})"


class Permute(Module):
    """A sample's axes in another order: axis i of the result is axis ``order[i - 1]`` of `x`.

    Axis 0, the batch, stays where it is.

    Args:
        order: the axes 1, 2, ... in their new order: ``Permute((2, 1))`` swaps time and features.

    Raises ValueError for what is no such order and for input of another rank, TypeError for what is no
    integers.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self.order = tuple(integer("Permute", "order", axis) for axis in order)
        if sorted(self.order) != list(range(1, len(self.order) + 1)):
            raise ValueError(f"Permute: order must hold each of 1 to {len(self.order)} once, got {order}")

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ...), result the same with its axes in the new order."""
        x = operators.operand(x, "Permute")
        if x.ndim != len(self.order) + 1:
            raise ValueError(
                f"{self._title()}: expected {len(self.order) + 1} axes, got input of shape {x.shape}"
            )
        return ops.transpose(x, (0, *self.order))

    def __repr__(self) -> str:
        return f"Permute({self.order})"


class _ZeroPadding(Module):
    _axes: int

    def __init__(self, padding: Any = 1) -> None:
        self.padding = windows.check_sides(type(self).__name__, "padding", padding, self._axes)

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same, larger."""
        return ops.pad(with_axes(self, x, self._axes), ((0, 0), *self.padding, (0, 0)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.padding})"


class _Cropping(Module):
    _axes: int

    def __init__(self, cropping: Any = 1) -> None:
        self.cropping = windows.check_sides(type(self).__name__, "cropping", cropping, self._axes)

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same, smaller."""
        x = with_axes(self, x, self._axes)
        key = [slice(None)]
        for size, (before, after) in zip(x.shape[1:-1], self.cropping, strict=True):
            if before + after >= size:
                raise ValueError(
                    f"{self._title()}: nothing is left of input of shape {x.shape} without {self.cropping}"
                )
            key.append(slice(before, size - after))
        return x[tuple(key)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cropping})"


@own_init
class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image: `x` (batch, height, width, channels), result the same, larger.

    Args:
        padding: rows and columns on every side; or one entry for the rows and one for the columns, each an
            integer or a pair (before, after).

    Raises ValueError for negative numbers and input of another rank, TypeError for what is no integers.
    """

    _axes = 2


@own_init
class ZeroPadding1D(_ZeroPadding):
    """Zeros around a sequence: `x` (batch, time, channels), result the same, longer.

    Args:
        padding: steps on either side, an integer or ``((before, after),)``.

    Raises as `ZeroPadding2D`.
    """

    _axes = 1


@own_init
class Cropping2D(_Cropping):
    """An image without its border: `x` (batch, height, width, channels), result the same, smaller.

    Args:
        cropping: rows and columns to leave out on every side; or one entry for the rows and one for the
            columns, each an integer or a pair (before, after).

    Raises ValueError for negative numbers, and if nothing is left; TypeError for what is no integers.
    """

    _axes = 2


@own_init
class Cropping1D(_Cropping):
    """A sequence without its ends: `x` (batch, time, channels), result the same, shorter.

    Args:
        cropping: steps to leave out on either side, an integer or ``((before, after),)``.

    Raises as `Cropping2D`.
    """

    _axes = 1


class _UpSampling(Module):
    _axes: int

    def __init__(self, size: Any = 2, mode: str = "nearest") -> None:
        who = type(self).__name__
        self.size = windows.per_axis(who, "size", size, self._axes)
        self.mode = choice(who, "mode", mode, ("nearest", "bilinear"))

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same, with `size` times as many steps."""
        x = with_axes(self, x, self._axes)
        if 0 in x.shape[1:-1]:
            raise ValueError(f"{self._title()}: there is nothing to repeat in input of shape {x.shape}")
        if self.mode == "nearest":
            return _repeated(x, self.size)
        if str(x.dtype) not in FLOATS:
            raise TypeError(f"{self._title()}: bilinear upsampling is for floats, not {x.dtype}")
        for axis, factor in enumerate(self.size, start=1):
            x = _interpolated(x, axis, factor)
        return x

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size}, mode={self.mode!r})"


@own_init
class UpSampling2D(_UpSampling):
    """More pixels: `x` (batch, height, width, channels), result the same, `size` times as high and wide.

    "nearest" repeats rows and columns. "bilinear" interpolates between the centres of the four pixels around,
    as PyTorch does with ``align_corners=False``: pixel i of n · size is at (i + 0.5) / size - 0.5 of the old
    ones, held between the first and the last.

    Args:
        size: how many times as many, an integer or (height, width).
        mode: "nearest" or "bilinear".

    Raises ValueError for a size below 1, an unknown mode, and input of another rank or empty images;
    TypeError for a size that is no integers, and for bilinear upsampling of what is not float.
    """

    _axes = 2


@own_init
class UpSampling1D(_UpSampling):
    """More steps: `x` (batch, time, channels), result (batch, size · time, channels).

    As `UpSampling2D`, with one axis, where "bilinear" is linear interpolation.
    """

    _axes = 1


def _repeated(x: Any, factors: tuple[int, ...]) -> Any:
    """Each step of the axes after the first so many times, side by side."""
    split, wide, whole = [x.shape[0]], [x.shape[0]], [x.shape[0]]
    for size, factor in zip(x.shape[1:-1], factors, strict=True):
        split += [size, 1]
        wide += [size, factor]
        whole.append(size * factor)
    channels = x.shape[-1]
    copies = ops.broadcast_to(ops.reshape(x, (*split, channels)), (*wide, channels))
    return ops.reshape(copies, (*whole, channels))


def _interpolated(x: Any, axis: int, factor: int) -> Any:
    """Linear interpolation along `axis` at `factor` times as many points."""
    size = x.shape[axis]
    at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    share = (at - low).astype(str(x.dtype)).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    return ops.gather(x, low, axis) * (1 - share) + ops.gather(x, high, axis) * share
