"""Pooling layers: maxima and means over windows, or over everything between batch and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import flag
from bpcore.basics.signatures import own_init
from bpcore.nn.module import Module
from bpcore.nn.shaping import with_axes
from bpcore.ops import windows
from bpcore.symbolic import operators, tracing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AvgPool1D",
    "AvgPool2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "MaxPool1D",
    "MaxPool2D",
]


def _checked(layer: Module, x: Any, axes: int) -> Any:
    """`x` as a float tensor of `axes` axes between batch and channels; integers and bools are converted."""
    x = with_axes(layer, x, axes)
    return x if str(x.dtype) in FLOATS else ops.cast(x, tracing.float_dtype())


class _Windows(Module):
    """A layer with windows over some axes; a single axis is the width of an image of height 1."""

    _axes: int

    def __init__(self, size: Any, strides: Any, padding: Any, dilation: Any = 1) -> None:
        who, axes = type(self).__name__, self._axes
        self.size = windows.per_axis(who, "size", size, axes)
        self.strides = self.size if strides is None else windows.per_axis(who, "strides", strides, axes)
        self.padding = windows.check_padding(who, padding, axes)
        self.dilation = windows.per_axis(who, "dilation", dilation, axes)

    def _pooled(self, function: Callable[..., Any], x: Any, **settings: Any) -> Any:
        """`function` of `bpcore.ops` on `x` (batch, ..., channels), with its further `settings`."""
        x = _checked(self, x, self._axes)
        sides = windows.explicit_padding(
            self._title(), self.padding, x.shape[1:-1], self.size, self.strides, self.dilation
        )
        if self._axes == 2:
            return function(x, self.size, self.strides, sides, **settings)
        image, size, strides = ops.expand_dims(x, 1), (1, *self.size), (1, *self.strides)
        settings = {name: (1, *each) if isinstance(each, tuple) else each for name, each in settings.items()}
        return ops.squeeze(function(image, size, strides, ((0, 0), *sides), **settings), 1)

    def _options(self) -> list[str]:
        """What `repr` says of the arguments that only some of these layers have."""
        raise NotImplementedError

    def __repr__(self) -> str:
        values = [str(_short(self.size)), f"strides={_short(self.strides)}", f"padding={self.padding!r}"]
        return texts.call(self, [*values, *self._options()])


class _MaxPool(_Windows):
    def __init__(self, size: Any, strides: Any = None, padding: Any = "valid", *, dilation: Any = 1) -> None:
        super().__init__(size, strides, padding, dilation)

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same, with as many steps as there are windows."""
        return self._pooled(ops.max_pool2d, x, dilation=self.dilation)

    def _options(self) -> list[str]:
        return texts.changed(_MaxPool, dilation=_short(self.dilation))


class _AvgPool(_Windows):
    def __init__(
        self, size: Any, strides: Any = None, padding: Any = "valid", *, count_include_pad: bool = False
    ) -> None:
        super().__init__(size, strides, padding)
        self.count_include_pad = flag(type(self).__name__, "count_include_pad", count_include_pad)

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same, with as many steps as there are windows."""
        return self._pooled(ops.avg_pool2d, x, count_include_pad=self.count_include_pad)

    def _options(self) -> list[str]:
        return texts.changed(_AvgPool, count_include_pad=self.count_include_pad)


@own_init
class MaxPool2D(_MaxPool):
    """Largest element of each window of each channel: `x` (batch, height, width, channels), result the same.

    The formula, and what becomes of NaN, ties and padding, are those of `bpcore.ops.max_pool2d`. Integer and
    bool input is converted to the model's dtype.

    Args:
        size: of a window, an integer or (height, width).
        strides: from a window to the next, an integer or a pair; `size` if None.
        padding: "valid", "same" (TensorFlow's rule), an integer, or one entry for the height and one for the
            width, each an integer or a pair (before, after).
        dilation: distance of a window's elements, an integer or a pair.

    Raises ValueError for settings out of range and input that doesn't fit, TypeError for settings of another
    kind.
    """

    _axes = 2


@own_init
class MaxPool1D(_MaxPool):
    """Largest element of each window of each channel: `x` (batch, time, channels), result the same.

    As `MaxPool2D`, with one axis: `size`, `strides` and `dilation` are integers, and explicit padding is an
    integer or ``((before, after),)``.
    """

    _axes = 1


@own_init
class AvgPool2D(_AvgPool):
    """Mean of each window of each channel: `x` (batch, height, width, channels), result the same.

    Arguments and errors as for `MaxPool2D`, without dilation. The mean is that of the elements inside; with
    ``count_include_pad=True``, which is PyTorch's default, the padding counts, too, as zeros.
    """

    _axes = 2


@own_init
class AvgPool1D(_AvgPool):
    """Mean of each window of each channel: `x` (batch, time, channels), result the same.

    As `AvgPool2D`, with one axis: `size` and `strides` are integers, and explicit padding is an integer or
    ``((before, after),)``.
    """

    _axes = 1


class GlobalMaxPool2D(Module):
    """Largest element of each channel: `x` (batch, height, width, channels), result (batch, channels).

    Equal ones share the derivative evenly. Raises ValueError for input of another rank or an empty image.
    """

    def __call__(self, x: Any) -> Any:
        """`x` (batch, height, width, channels), result (batch, channels)."""
        return ops.max(_checked(self, x, 2), axis=(1, 2))


class GlobalAvgPool2D(Module):
    """Mean of each channel: `x` (batch, height, width, channels), result (batch, channels).

    Source: M. Lin, Q. Chen and S. Yan, Network in network (2013). Raises ValueError for input of another rank
    or an empty image.
    """

    def __call__(self, x: Any) -> Any:
        """`x` (batch, height, width, channels), result (batch, channels)."""
        x = _checked(self, x, 2)
        _check_steps(self, x)
        return ops.mean(x, axis=(1, 2))


class GlobalMaxPool1D(Module):
    """Largest element of each channel: `x` (batch, time, channels), result (batch, channels).

    Called with lengths as second argument, it is the largest of each sequence's first steps: integers
    (batch,) say how many; or bools (batch, time) say which steps count. Others don't matter, whatever they
    hold. A sequence of no steps has the result 0. Equal ones share the derivative evenly.

    Raises ValueError for input of another rank, sequences without steps, or lengths of another shape, below 0
    or above the number of steps; TypeError for lengths of floats.
    """

    def __call__(self, x: Any, lengths: Any = None) -> Any:
        """`x` (batch, time, channels), result (batch, channels)."""
        x = _checked(self, x, 1)
        if lengths is None:
            return ops.max(x, axis=1)
        valid = _valid_steps(self, x, lengths)
        largest = ops.max(ops.where(valid, x, -float("inf")), axis=1)
        return ops.where(ops.max(ops.cast(valid, "int64"), axis=1) > 0, largest, 0.0)


class GlobalAvgPool1D(Module):
    """Mean of each channel: `x` (batch, time, channels), result (batch, channels).

    Called with lengths as second argument, it is the mean of each sequence's first steps: integers (batch,)
    say how many; or bools (batch, time) say which steps count. Others don't matter, whatever they hold. A
    sequence of no steps has the result 0.

    Raises ValueError for input of another rank, sequences without steps, or lengths of another shape, below 0
    or above the number of steps; TypeError for lengths of floats.
    """

    def __call__(self, x: Any, lengths: Any = None) -> Any:
        """`x` (batch, time, channels), result (batch, channels)."""
        x = _checked(self, x, 1)
        _check_steps(self, x)
        if lengths is None:
            return ops.mean(x, axis=1)
        valid = _valid_steps(self, x, lengths)
        count = ops.maximum(ops.sum(ops.cast(valid, str(x.dtype)), axis=1), 1.0)
        return ops.sum(ops.where(valid, x, 0.0), axis=1) / count


def _check_steps(layer: Module, x: Any) -> None:
    if 0 in x.shape[1:-1]:
        raise ValueError(f"{layer._title()}: there is nothing to pool in input of shape {x.shape}")


def _valid_steps(layer: Module, x: Any, lengths: Any) -> Any:
    """Which steps of x (batch, time, channels) count, as bools (batch, time, 1)."""
    who = layer._title()
    lengths = operators.operand(lengths, who)
    batch, time = x.shape[:2]
    if str(lengths.dtype) in FLOATS:
        raise TypeError(f"{who}: lengths must be integers or bools, not floats")
    shape = (batch, time) if str(lengths.dtype) == "bool" else (batch,)
    if lengths.shape != shape:
        raise ValueError(
            f"{who}: lengths of dtype {lengths.dtype} must have shape {shape}, got {lengths.shape}"
        )
    return ops.expand_dims(lengths if len(shape) == 2 else ops.sequence_mask(lengths, time), 2)


def _short(sizes: tuple[int, ...]) -> Any:
    return sizes[0] if len(set(sizes)) == 1 else sizes
