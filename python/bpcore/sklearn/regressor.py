"""The regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import column_or_1d

from bpcore.sklearn.base import BaseBackprop
from bpcore.sklearn.objectives import Objective, of_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.nn import Module

__all__ = ["BackpropRegressor"]


class BackpropRegressor(RegressorMixin, BaseBackprop):  # type: ignore[misc]  # scikit-learn has no types
    """A network for one number a sample, or several, trained natively.

    All parameters but the last four are those of scikit-learn 1.9's `sklearn.neural_network.MLPRegressor`, of
    the same meaning and with the same defaults. docs/sklearn.md has them all, and where they go further.

    Args:
        hidden_layer_sizes, activation, solver, dropout, batch_norm, threads: see `BackpropClassifier`.
        loss: "squared_error", half the square; "poisson", half the deviance, which predicts exp(output);
            "mae", "huber", "log_cosh", "quantile", "smooth_l1", "mse", "poisson_nll", a `functools.partial`
            of one from `bpcore.losses`, or a function of (prediction, target), both (n_samples, n_outputs).
        model: a function (n_features, n_outputs) -> `nn.Module` that makes a network of another form, in
            place of hidden_layer_sizes, activation, dropout and batch_norm; it returns (n_samples,
            n_outputs).

    Attributes: those of `BackpropClassifier`, without `classes_`.
    """

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: Any = "adam",
        alpha: float = 0.0001, batch_size: Any = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
        random_state: Any = None, tol: float = 1e-4, verbose: Any = False, warm_start: bool = False,
        momentum: float = 0.9, nesterovs_momentum: bool = True, early_stopping: bool = False,
        validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        n_iter_no_change: float = 10, max_fun: int = 15000, loss: Any = "squared_error",
        dropout: float = 0.0, batch_norm: bool = False, model: Callable[[int, int], Module] | None = None,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init,
            power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum,
            early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, loss,
            dropout, batch_norm, model, threads,
        )  # fmt: skip

    def predict(self, X: Any) -> Array:
        """Numbers (n_samples,), or (n_samples, n_outputs) if there are several outputs."""
        found = self._predictions(self._outputs(X), self.out_activation_)
        return found[:, 0] if found.shape[1] == 1 else found

    def _predictions(self, outputs: Array, activation: str) -> Array:
        return np.exp(outputs) if activation == "exp" else outputs

    # What the base asks

    def _targets(
        self,
        y: Array,
        dtype: Any,
        classes: Any,  # noqa: ARG002 - a classifier's
        goes_on: bool,  # noqa: ARG002
    ) -> tuple[Objective, Array, dict[str, Any]]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        target = y.reshape(len(y), -1).astype(dtype)
        return of_numbers(self.loss, target.shape[1]), target, {}

    def _objective(self) -> Objective:
        return of_numbers(self.loss, self.n_outputs_)

    def _weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:  # noqa: ARG002
        return weight

    def _strata(self, target: Array) -> Array | None:  # noqa: ARG002
        return None

    def _score_outputs(self, outputs: Array, target: Array, weight: Array | None) -> float:
        found = self._predictions(outputs, self.out_activation_)
        if not np.isfinite(found).all():
            return float("nan")
        return float(r2_score(target, found, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
