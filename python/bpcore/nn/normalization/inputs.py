"""Layers that bring raw input into a range that networks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS, as_array, as_numbers, to_float
from bpcore.basics.settings import integer, number
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import State
from bpcore.nn.normalization.statistics import mean_and_variance
from bpcore.symbolic import operators, tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from bpcore.basics.arrays import Array

__all__ = ["Normalize", "Rescaling"]


class Normalize(Module):
    """(x - mean) / std of each feature, with mean and standard deviation of data that it was fitted to.

    `x` (batch, ...), result the same; integers and bools are converted to the model's dtype. Fit it once,
    before the model is trained or used: ``nn.Normalize().fit(x_train)``. Mean and deviation are saved with
    the model, training doesn't move them, and what loads weights needs no fit. A feature that is the same
    everywhere is divided by 1.

    States: `mean` and `std`, of the sizes of `axis`; infinite `std` means that it isn't fitted. The
        deviation is kept, not its square, which would leave float32's range for features of about 1e-20.

    Args:
        axis: the axis, or axes, of `x` whose every element has a mean of its own: the last one, features or
            channels; None for a single mean of everything. The batch axis, 0, can't be among them.
        mean, variance: what to normalise by, in place of a fit: both or neither, numbers or arrays of the
            sizes of `axis`.

    Raises ValueError for values of other shapes, not finite, or a negative variance; TypeError for values of
    another kind. A call before there is a mean is a RuntimeError; input that doesn't fit, a ValueError.
    """

    _not_kept = ("axis", "variance")

    def __init__(
        self, axis: int | Sequence[int] | None = -1, *, mean: Any = None, variance: Any = None
    ) -> None:
        axes = () if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
        self.axes = tuple(integer("Normalize", "axis", each) for each in axes)
        if 0 in self.axes or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"Normalize: axis must name axes behind the batch's, 0, each once, got {axis!r}")
        if (mean is None) != (variance is None):
            raise ValueError("Normalize: give both mean and variance, or neither and call fit")
        unknown = (None,) * len(self.axes)
        self.mean = State(unknown, _Values(0))
        self.std = State(unknown, _Values(np.inf))
        if mean is not None:
            values = self._given("mean", mean), self._given("variance", variance)
            if all(value.ndim for value in values) and values[0].shape != values[1].shape:
                raise ValueError(f"Normalize: mean has shape {values[0].shape}, variance {values[1].shape}")
            self._set(*values)

    @property
    def fitted(self) -> bool:
        """Whether there are a mean and a deviation, by a fit, by arguments, or by loaded weights."""
        return bool(np.isfinite(self._current_std()).all())

    def fit(self, x: Any) -> Self:
        """Takes mean and (biased) standard deviation from `x` (rows, ...); returns the layer.

        They are summed up in float64 a block of rows at a time, so that `x` may be a memmap larger than
        memory, of any real numbers. A fit replaces the one before, also in a model that exists already.
        Raises ValueError, and changes nothing, if `x` is empty, has other sizes than the layer, or holds NaN
        or infinity, which are then located; TypeError for what isn't numbers.
        """
        who = "Normalize.fit: x"
        rows = x if isinstance(x, np.ndarray) else as_numbers(x, who)
        kept = self._kept(rows.shape, who)
        if rows.size == 0:
            raise ValueError(f"{who} is empty: its shape is {rows.shape}")
        self._sizes(rows.shape, kept, who)
        self._set(*mean_and_variance(rows, kept, who))
        return self

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ...), result the same."""
        x = operators.operand(x, "Normalize")
        kept = self._kept(x.shape, self._title())
        sizes = self._sizes(x.shape, kept, self._title())
        self.mean.infer(sizes)
        self.std.infer(sizes)
        trace = tracing.current()
        if trace is not None and not trace.building:
            self._check_fitted()
        if str(x.dtype) not in FLOATS:
            x = ops.cast(x, tracing.float_dtype())
        first = kept[0] if kept else x.ndim
        if kept == tuple(range(first, x.ndim)):  # the last axes: they broadcast as they are
            return (x - self.mean) / self.std
        aligned = [x.shape[axis] if axis in kept else 1 for axis in range(first, x.ndim)]
        return (x - ops.reshape(self.mean, aligned)) / ops.reshape(self.std, aligned)

    def _kept(self, shape: Sequence[int], who: str) -> tuple[int, ...]:
        """The axes of `shape` that have means of their own, ascending; ValueError if it lacks one of them."""
        rank = len(shape)
        kept = {axis % rank if -rank <= axis < rank else 0 for axis in self.axes}
        if rank == 0 or len(kept) < len(self.axes) or 0 in kept:
            axes = ", ".join(map(str, self.axes))
            beside = f" and, beside it, axis {axes}" if axes else ""
            raise ValueError(f"{who}: expected a batch axis{beside}, got shape {tuple(shape)}")
        return tuple(sorted(kept))

    def _sizes(self, shape: Sequence[int], kept: Sequence[int], who: str) -> tuple[int, ...]:
        """Those of the axes `kept`; ValueError if the layer has others."""
        sizes = tuple(shape[axis] for axis in kept)
        if any(own not in (None, size) for own, size in zip(self.mean.sizes, sizes, strict=True)):
            own = ", ".join("?" if size is None else str(size) for size in self.mean.sizes)
            raise ValueError(f"{who}: expected {own} features, got input of shape {tuple(shape)}")
        return sizes

    def _given(self, name: str, value: Any) -> Array:
        """The argument `name` in float64; ValueError or TypeError for what can't be a mean or a variance."""
        array = as_array(value, f"Normalize: {name}").astype(np.float64)
        if array.ndim not in (0, len(self.axes)) or array.size == 0:
            raise ValueError(
                f"Normalize: {name} must be a number or have {len(self.axes)} axes, got shape {array.shape}"
            )
        if not np.isfinite(array).all() or (name == "variance" and (array < 0).any()):
            least = " and at least 0" if name == "variance" else ""
            raise ValueError(f"Normalize: {name} must be finite{least}, got {value!r}")
        return array

    def _set(self, mean: Array, variance: Array) -> None:
        """Takes values over: into the model's arrays, or for when they come to be."""
        std = np.asarray(np.where(variance > 0, np.sqrt(variance), 1))
        pairs = [(self.mean, mean), (self.std, std)]
        for state, value in pairs:
            if state.storage is not None or state.given is not None:
                to_float(value, state.dtype, f"Normalize: {state.name or 'its statistics'}")
        for state, value in pairs:
            if value.ndim:
                self.mean.infer(value.shape)
                self.std.infer(value.shape)
            state.init = _Values(value)
            if state.storage is not None:
                state.value[...] = value
            elif state.given is not None:
                state.given = value.astype(state.dtype)

    def _current_std(self) -> Array:
        if self.std.storage is not None:
            return self.std.value
        if self.std.given is not None:
            return self.std.given
        init = self.std.init
        assert isinstance(init, _Values)
        return init.values

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError(
                f"{self._title()} has no mean and deviation yet: call its fit(x) with the training data, "
                "give mean= and variance=, or load weights"
            )
        if not (self._current_std() > 0).all():
            raise ValueError(
                f"{self._title()}: a standard deviation is 0 in {self.std.dtype}; scale the data"
            )

    def __repr__(self) -> str:
        axis = None if not self.axes else self.axes[0] if len(self.axes) == 1 else self.axes
        return f"Normalize({axis}, fitted={self.fitted})"


class _Values:
    """An initializer: these values, in float64, for a shape that they broadcast to."""

    def __init__(self, values: Any) -> None:
        self.values: Array = np.asarray(values, np.float64)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        return np.broadcast_to(self.values, shape)


class Rescaling(Module):
    """x · scale + offset: `x` of any shape, result the same; integers become the model's dtype.

    ``nn.Rescaling(1 / 255)`` brings uint8 images to [0, 1], ``nn.Rescaling(1 / 127.5, -1)`` to [-1, 1].

    Args:
        scale, offset: numbers, or one for each element of the last axis, as (channels,).

    Raises ValueError for values that are not finite and input of another number of channels, TypeError for
    what isn't numbers.
    """

    def __init__(self, scale: Any, offset: Any = 0.0) -> None:
        self.scale = _numbers("scale", scale)
        self.offset = _numbers("offset", offset)

    def __call__(self, x: Any) -> Any:
        """`x` (..., channels), result the same."""
        x = operators.operand(x, "Rescaling")
        for value in (self.scale, self.offset):
            if isinstance(value, np.ndarray) and x.shape[-1:] != value.shape:
                raise ValueError(
                    f"{self._title()}: expected input of shape (..., {len(value)}), got {x.shape}"
                )
        if str(x.dtype) not in FLOATS:
            x = ops.cast(x, tracing.float_dtype())
        scale, offset = (
            value.astype(str(x.dtype)) if isinstance(value, np.ndarray) else value
            for value in (self.scale, self.offset)
        )
        return x * scale + offset

    def __repr__(self) -> str:
        return f"Rescaling({self.scale}, {self.offset})"


def _numbers(name: str, value: Any) -> float | Array:
    """A finite number, or a float64 array of them with one axis."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return number("Rescaling", name, value)
    array = as_array(value, f"Rescaling: {name}").astype(np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"Rescaling: {name} must be a finite number or a list of them, got {value!r}")
    return array
