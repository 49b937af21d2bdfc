"""Normalisations of each sample by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics import settings, texts
from bpcore.nn.normalization.moments import Normalization, check_eps

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class LayerNorm(Normalization):
    """weight · (x - mean) / sqrt(variance + eps) + bias, with mean and variance over the last axes.

    `x` (..., *normalized_shape), result the same. The variance is the biased one. Training and inference are
    alike.

    Source: J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization (2016).

    Parameters: `weight`, initially 1, and `bias`, initially 0, both of shape normalized_shape.

    Args:
        normalized_shape: sizes of the axes that are normalised together, the last ones; an integer means the
            last axis, None too, whose size is then taken from the first input.
        eps: > 0.
        elementwise_affine: False leaves weight and bias out.
        bias: False leaves the bias out.

    Raises ValueError for values out of range and input that doesn't fit, or has a single value to normalise;
    TypeError for values of another kind.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None = None,
        *,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        sizes = _normalized_shape("LayerNorm", normalized_shape)
        super().__init__(sizes, check_eps("LayerNorm", eps), elementwise_affine, elementwise_affine and bias)

    @property
    def normalized_shape(self) -> tuple[int | None, ...]:
        """Sizes of the axes that are normalised together; None for one that isn't known yet."""
        return self._last_sizes

    def __call__(self, x: Any) -> Any:
        """`x` (..., *normalized_shape), result the same."""
        x = self._checked(x, len(self._last_sizes))
        axes = _last_axes(x, self._last_sizes)
        self._check_count(_count(x, axes), x, "sample")
        return ops.layer_norm(x, self.weight, self.bias, axes=len(axes), eps=self.eps)

    def __repr__(self) -> str:
        options = texts.changed(
            LayerNorm,
            eps=self.eps,
            elementwise_affine=self.weight is not None,
            bias=self.bias is not None or self.weight is None,
        )
        return texts.call(self, [str(self.normalized_shape), *options])


class RMSNorm(Normalization):
    """weight · x / sqrt(mean(x²) + eps), with the mean over the last axes.

    `x` (..., *normalized_shape), result the same. Training and inference are alike.

    Source: B. Zhang and R. Sennrich, Root mean square layer normalization (2019).

    Parameters: `weight`, of shape normalized_shape, initially 1.

    Args:
        normalized_shape: as for `LayerNorm`.
        eps: > 0; as in PyTorch, None stands for the distance from 1 to the next larger number of the input's
            dtype, 1.2e-7 in float32.
        elementwise_affine: False leaves the weight out.

    Raises ValueError for values out of range and input that doesn't fit, TypeError for values of another
    kind.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None = None,
        *,
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        sizes = _normalized_shape("RMSNorm", normalized_shape)
        super().__init__(sizes, 0.0 if eps is None else check_eps("RMSNorm", eps), elementwise_affine, False)

    @property
    def normalized_shape(self) -> tuple[int | None, ...]:
        """Sizes of the axes that are normalised together; None for one that isn't known yet."""
        return self._last_sizes

    def __call__(self, x: Any) -> Any:
        """`x` (..., *normalized_shape), result the same."""
        x = self._checked(x, len(self._last_sizes))
        eps = self.eps or float(np.finfo(x.dtype).eps)
        return ops.rms_norm(x, self.weight, axes=len(self._last_sizes), eps=eps)

    def __repr__(self) -> str:
        affine = self.weight is not None
        options = texts.changed(RMSNorm, eps=self.eps or None, elementwise_affine=affine)
        return texts.call(self, [str(self.normalized_shape), *options])


class GroupNorm(Normalization):
    """weight · (x - mean) / sqrt(variance + eps) + bias, with mean and variance of each group of channels.

    `x` (batch, ..., channels), result the same. Groups are neighbouring channels, equally many in each; the
    means are over them and over the axes between, for each sample by itself. The variance is the biased one.
    Training and inference are alike.

    Source: Y. Wu and K. He, Group normalization (2018).

    Parameters: `weight` (channels,), initially 1, `bias` (channels,), initially 0.

    Args:
        num_groups: the number of groups, a divisor of the number of channels.
        num_channels: the number of channels; taken from the first input if None.
        eps: > 0.
        affine: False leaves weight and bias out.

    Raises ValueError for values out of range and input that doesn't fit, or has a single value to normalise;
    TypeError for values of another kind.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int | None = None,
        *,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        self.num_groups = settings.count("GroupNorm", "num_groups", num_groups, 1)
        if num_channels is not None:
            num_channels = settings.count("GroupNorm", "num_channels", num_channels, 1)
            self._check_groups(num_channels)
        super().__init__((num_channels,), check_eps("GroupNorm", eps), affine, affine)

    @property
    def num_channels(self) -> int | None:
        """Number of channels, None while it isn't known."""
        return self._last_sizes[0]

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same."""
        x = self._checked(x, 2)
        channels = x.shape[-1]
        self._check_groups(channels)
        axes = range(1, x.ndim - 1)
        self._check_count(_count(x, axes) * (channels // self.num_groups), x, "group")
        return self._affine(self._normalized(x, axes, self.num_groups))

    def _check_groups(self, channels: int) -> None:
        if channels % self.num_groups:
            raise ValueError(
                f"{self._title()}: {channels} channels can't be cut into {self.num_groups} groups"
            )

    def __repr__(self) -> str:
        options = texts.changed(GroupNorm, eps=self.eps, affine=self.weight is not None)
        return texts.call(self, [str(self.num_groups), str(self.num_channels), *options])


class InstanceNorm(Normalization):
    """weight · (x - mean) / sqrt(variance + eps) + bias, with mean and variance of each sample's channels.

    `x` (batch, length, ..., channels), result the same. Means are over the axes between the first and the
    last. The variance is the biased one. Training and inference are alike.

    Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance normalization: the missing ingredient for fast
    stylization (2016).

    Parameters: `weight` (channels,), initially 1, `bias` (channels,), initially 0, with ``affine=True``.

    Args:
        num_features: the number of channels; taken from the first input if None.
        eps: > 0.
        affine: True for weight and bias; as in PyTorch, there are none unless asked for.

    Raises ValueError for values out of range and input that doesn't fit, or has a single value to normalise;
    TypeError for values of another kind.
    """

    def __init__(self, num_features: int | None = None, *, eps: float = 1e-5, affine: bool = False) -> None:
        if num_features is not None:
            num_features = settings.count("InstanceNorm", "num_features", num_features, 1)
        super().__init__((num_features,), check_eps("InstanceNorm", eps), affine, affine)

    @property
    def num_features(self) -> int | None:
        """Number of channels, None while it isn't known."""
        return self._last_sizes[0]

    def __call__(self, x: Any) -> Any:
        """`x` (batch, length, ..., channels), result the same."""
        x = self._checked(x, 3)
        axes = range(1, x.ndim - 1)
        self._check_count(_count(x, axes), x, "channel of a sample")
        return self._affine(self._normalized(x, axes))

    def __repr__(self) -> str:
        options = texts.changed(InstanceNorm, eps=self.eps, affine=self.weight is not None)
        return texts.call(self, [str(self.num_features), *options])


def _normalized_shape(who: str, given: Any) -> tuple[int | None, ...]:
    """The sizes that the argument `normalized_shape` means."""
    if given is None:
        return (None,)
    sizes = given if isinstance(given, (tuple, list)) else (given,)
    if not sizes:
        raise ValueError(f"{who}: normalized_shape must have at least one size, got {given!r}")
    return tuple(settings.count(who, "normalized_shape", size, 1) for size in sizes)


def _last_axes(x: Any, sizes: Sequence[int | None]) -> range:
    return range(x.ndim - len(sizes), x.ndim)


def _count(x: Any, axes: Sequence[int]) -> int:
    """Number of elements along `axes`."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return count
