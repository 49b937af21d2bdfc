"""Metrics of numbers: errors of each output, the last axis, uniformly averaged over outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.losses.common import aligned
from bpcore.metrics.base import Described, spread

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["MAE", "MAPE", "MSE", "R2", "RMSE"]

_SPLITTER = 2.0**27 + 1
# A variance below this share of the mean square is what the rounding of squares leaves of none.
_NO_VARIANCE = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class _Errors(Described):
    """What they share: all sums are of float64, also within a batch of float32."""

    name: str = ""

    greater_is_better = False

    def __post_init__(self) -> None:
        self._put("name", self.name or self.kind)
        self._check_name()

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """Sums over the batch for each output, shape (outputs,) each."""
        prediction, target = aligned(self.name, prediction, target)
        each = spread(weight, target, self.name)
        x, t = (ops.cast(part, "float64") for part in (prediction, target))
        columns = target.shape[-1] if target.ndim > 1 else 1
        return tuple(ops.sum(ops.reshape(part, (-1, columns)), axis=0) for part in self._parts(x, t, each))

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        """What is summed of predictions, targets and weights, element by element."""
        raise NotImplementedError

    def result(self, *sums: Array) -> Any:
        """The mean over outputs of each one's mean."""
        errors, weight = sums
        return np.mean(errors / weight)


class MAE(_Errors):
    """The mean of \\|x - t\\|: scikit-learn's mean_absolute_error."""

    kind = "mae"

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        return [w * ops.abs(x - t), w]


class MAPE(_Errors):
    """The mean of \\|x - t\\| / \\|t\\|, not in percent: scikit-learn's mean_absolute_percentage_error.

    \\|t\\| is at least 2.2e-16, so that targets of 0 make it huge.
    """

    kind = "mape"

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        return [w * ops.abs(x - t) / ops.maximum(ops.abs(t), float(np.finfo(np.float64).eps)), w]


class MSE(_Errors):
    """The mean of (x - t)²: scikit-learn's mean_squared_error."""

    kind = "mse"

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        return [w * ops.square(x - t), w]


class RMSE(_Errors):
    """The root of the mean of (x - t)², averaged over outputs: scikit-learn's root_mean_squared_error."""

    kind = "rmse"

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        return [w * ops.square(x - t), w]

    def result(self, *sums: Array) -> Any:
        """The mean over outputs of the root of each one's mean."""
        errors, weight = sums
        return np.mean(np.sqrt(errors / weight))


class R2(_Errors):
    """The share of the variance that is explained, 1 - Σ(x - t)² / Σ(t - mean of t)².

    It is scikit-learn's r2_score; of several outputs, the mean of theirs. Where all targets are equal, 1 if
    all predictions are right, else 0.

    The variance of targets comes from sums of t and t² that are kept to more digits than float64 has. For
    targets of float32 without weights it is exact. Else, with their mean μ and standard deviation σ, 1 - R²
    has a relative error of about 1e-16 · (1 + (μ / σ)²). Targets with σ below 3e-8 · μ are taken for equal.
    """

    kind = "r2"
    greater_is_better = True

    def _parts(self, x: Any, t: Any, w: Any) -> list[Any]:
        return [w * ops.square(x - t), *_halves(w * t), *_halves(w * ops.square(t)), *_halves(w)]

    def result(self, *sums: Array) -> Any:
        """The mean over outputs."""
        return np.mean([_explained(*map(float, output)) for output in zip(*sums, strict=True)])


def _halves(x: Any) -> tuple[Any, Any]:
    """The upper 26 bits of each element and the rest: sums of them are not rounded where that of `x` is.

    T. J. Dekker, A floating-point technique for extending the available precision (1971).
    """
    large = x * _SPLITTER
    upper = large - (large - x)
    return upper, x - upper


def _explained(errors: float, *halves: float) -> float:
    """R² of one output; NaN if there is no sample, or a sum is not finite."""
    if not np.isfinite([errors, *halves]).all():
        return np.nan
    from fractions import Fraction  # only needed here, once an epoch

    t, squares, weight = (
        Fraction(upper) + Fraction(lower) for upper, lower in zip(halves[::2], halves[1::2], strict=True)
    )
    if not weight:
        return np.nan
    variation = float(squares - t**2 / weight)
    if variation <= _NO_VARIANCE * float(squares):
        return float(errors == 0)
    return 1 - errors / variation
