"""Metrics of numbers: errors of each output, the last axis, uniformly averaged over outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.losses.common import aligned
from bpcore.metrics.base import Described, spread

if TYPE_CHECKING:
    from bpcore.arrays import Array

__all__ = ["MAE", "MAPE", "MSE", "R2", "RMSE"]

# A variance below this share of the mean square is what rounding leaves of none.
_NO_VARIANCE = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class _Errors(Described):
    """What they share: all sums are of float64, also within a batch of float32."""

    name: str = ""

    greater_is_better = False

    def __post_init__(self) -> None:
        self._put("name", self.name or self.kind)
        self._check_name()

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """Sums over the batch for each output, shape (outputs,) each; the last is the sum of weights."""
        prediction, target = aligned(self.name, prediction, target)
        each = spread(weight, target, self.name)
        x, t = (ops.cast(part, "float64") for part in (prediction, target))
        columns = target.shape[-1] if target.ndim > 1 else 1
        parts = [*(part * each for part in self._parts(x, t)), each]
        return tuple(ops.sum(ops.reshape(part, (-1, columns)), axis=0) for part in parts)

    def _parts(self, x: Any, t: Any) -> list[Any]:
        """What is summed of predictions and targets, element by element."""
        raise NotImplementedError

    def result(self, *sums: Array) -> Any:
        """The mean over outputs of each one's mean."""
        errors, weight = sums
        return np.mean(errors / weight)


@dataclass(frozen=True)
class MAE(_Errors):
    """The mean of \\|x - t\\|: scikit-learn's mean_absolute_error."""

    kind = "mae"

    def _parts(self, x: Any, t: Any) -> list[Any]:
        return [ops.abs(x - t)]


@dataclass(frozen=True)
class MAPE(_Errors):
    """The mean of \\|x - t\\| / \\|t\\|, not in percent: scikit-learn's mean_absolute_percentage_error.

    \\|t\\| is at least 2.2e-16, so that targets of 0 make it huge.
    """

    kind = "mape"

    def _parts(self, x: Any, t: Any) -> list[Any]:
        return [ops.abs(x - t) / ops.maximum(ops.abs(t), float(np.finfo(np.float64).eps))]


@dataclass(frozen=True)
class MSE(_Errors):
    """The mean of (x - t)²: scikit-learn's mean_squared_error."""

    kind = "mse"

    def _parts(self, x: Any, t: Any) -> list[Any]:
        return [ops.square(x - t)]


@dataclass(frozen=True)
class RMSE(_Errors):
    """The root of the mean of (x - t)², averaged over outputs: scikit-learn's root_mean_squared_error."""

    kind = "rmse"

    def _parts(self, x: Any, t: Any) -> list[Any]:
        return [ops.square(x - t)]

    def result(self, *sums: Array) -> Any:
        """The mean over outputs of the root of each one's mean."""
        errors, weight = sums
        return np.mean(np.sqrt(errors / weight))


@dataclass(frozen=True)
class R2(_Errors):
    """1 - Σ(x - t)² / Σ(t - mean of t)², the share of the variance that is explained: scikit-learn's r2_score.

    Of several outputs, the mean of theirs. Where all targets are equal, 1 if all predictions are right, else
    0. The variance comes from sums of t and t²: with μ and σ the mean and standard deviation of the targets,
    1 - R² has a relative error of about 1e-15 · (1 + (μ / σ)²), and targets with σ below about 1e-7 · \\|μ\\|
    are taken for equal. Far from 0, shift them, which a model learns better, too.
    """

    kind = "r2"
    greater_is_better = True

    def _parts(self, x: Any, t: Any) -> list[Any]:
        return [ops.square(x - t), t, ops.square(t)]

    def result(self, *sums: Array) -> Any:
        """The mean over outputs."""
        errors, total, squares, weight = sums
        variation = squares - total**2 / weight
        equal = variation <= _NO_VARIANCE * squares
        explained = 1 - errors / np.where(equal, 1, variation)
        return np.mean(np.where(equal, np.where(errors == 0, 1.0, 0.0) + 0 * weight / weight, explained))
