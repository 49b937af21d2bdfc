"""What the normalisations share: means and variances over some axes, and layers that take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import number
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter, Variable
from bpcore.symbolic import operators, tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Normalization", "centred", "check_eps", "mean"]

# 1 / eps has to be finite in float32: it is a factor of derivatives where the variance is 0.
_LEAST_EPS = float(np.finfo(np.float32).tiny)


def mean(x: Any, axes: Sequence[int], groups: int | None = None) -> Any:
    """Mean of `x` over `axes`, which are left with size 1.

    With `groups`, it is then averaged over each of that many groups of neighbours along the last axis, and
    stands at all of them. So the whole array is reduced to its channels first, and never cut into groups of a
    few: short rows are slow.
    """
    averages = ops.mean(x, axes, keepdims=True) if axes else x
    return _for_groups(averages, groups, lambda grouped: ops.mean(grouped, -1, keepdims=True))


def _for_groups(x: Any, groups: int | None, function: Callable[[Any], Any]) -> Any:
    """What `function` makes of `x` as (..., groups, channels of each), a value a group, at each channel."""
    if groups is None:
        return x
    grouped = ops.reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))
    return ops.reshape(ops.broadcast_to(function(grouped), grouped.shape), x.shape)


def centred(x: Any, axes: Sequence[int], groups: int | None = None) -> Any:
    """`x` minus its mean over `axes` (and `groups`, see `mean`).

    The first element of those averaged is subtracted beforehand. Where values are large and close to each
    other, their mean, rounded to float32, may lie as far from the true one as they do; their differences are
    exact. The result does not depend on what was subtracted, so neither do its derivatives of any order.
    """
    first = x[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(x.ndim))]
    shift = ops.stop_gradient(_for_groups(first, groups, lambda grouped: grouped[..., :1]))
    shifted = x - shift
    rest = mean(shifted, axes, groups)
    # A sum and not a difference, whose derivative would be negated before it is summed, in one more pass.
    return shifted + -rest


def check_eps(who: str, eps: Any) -> float:
    """`eps` as a float; TypeError if it is not a number, ValueError if it is too small or not finite."""
    return number(who, "eps", eps, least=_LEAST_EPS)


class Normalization(Module):
    """A layer with `eps`, and with weight and bias of the sizes of the input's last axes, or without them."""

    _not_kept = (
        "normalized_shape", "num_features", "num_channels", "affine", "elementwise_affine",
        "track_running_stats",
    )  # fmt: skip

    def __init__(self, sizes: Sequence[int | None], eps: float, weight: bool, bias: bool) -> None:
        self.eps = eps
        self._sizes = tuple(sizes)
        self.weight = Parameter(sizes, "ones") if weight else None
        self.bias = Parameter(sizes, "zeros") if bias else None

    @property
    def _last_sizes(self) -> tuple[int | None, ...]:
        """Sizes of the input's last axes, None for those not known yet."""
        sized = self._sized()
        return sized[0].sizes if sized else self._sizes

    def _sized(self) -> list[Variable]:
        """The parameters and states that have the sizes of the input's last axes."""
        found = [self.weight, self.bias]
        return [variable for variable in found if variable is not None]

    def _checked(self, x: Any, axes: int) -> Any:
        """`x` as a float tensor of at least `axes` axes, which fits; sizes not known yet become known."""
        x = operators.operand(x, type(self).__name__)
        sizes = self._last_sizes
        last = x.shape[x.ndim - len(sizes) :] if x.ndim >= len(sizes) else ()
        fits = len(last) == len(sizes) and all(
            known in (None, size) for known, size in zip(sizes, last, strict=True)
        )
        if x.ndim < axes or not fits:
            leading = ["...", "batch, ...", "batch, length, ..."][axes - len(sizes)]
            expected = ", ".join("channels" if size is None else str(size) for size in sizes)
            raise ValueError(
                f"{self._title()}: expected input of shape ({leading}, {expected}), got {x.shape}"
            )
        for variable in self._sized():
            variable.infer(last)
        if str(x.dtype) not in FLOATS:
            trace = tracing.current()
            x = ops.cast(x, (trace.dtype if trace is not None else None) or "float32")
        return x

    def _check_count(self, count: int, x: Any, of: str, advice: str = "") -> None:
        """ValueError unless there are `count` > 1 values to normalise, except while sizes are found."""
        trace = tracing.current()
        if count < 2 and not (trace is not None and trace.building):
            raise ValueError(
                f"{self._title()}: expected more than 1 value per {of}, got input of shape {x.shape}{advice}"
            )

    def _normalized(self, x: Any, axes: Sequence[int], groups: int | None = None) -> Any:
        """(x - mean) / sqrt(variance + eps) over `axes`, and over each of the `groups` of channels."""
        difference = centred(x, axes, groups)
        return difference * (1 / ops.sqrt(mean(difference * difference, axes, groups) + self.eps))

    def _affine(self, x: Any) -> Any:
        """weight · x + bias, as far as there are such."""
        if self.weight is not None:
            x = x * self.weight
        return x if self.bias is None else x + self.bias
