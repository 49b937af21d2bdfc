"""What the estimators share: parameters, training, prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from bpcore.optim import LBFGS
from bpcore.sklearn import parameters, stopping, training
from bpcore.sklearn.networks import Network, Recipe, dense_layers
from bpcore.sklearn.objectives import check_outputs, mean_loss
from bpcore.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from bpcore.basics.arrays import Array
    from bpcore.nn import Module
    from bpcore.sklearn.objectives import Objective

__all__ = ["BaseBackprop", "is_stochastic"]

_LARGEST_BATCH = 200


def is_stochastic(estimator: BaseBackprop) -> bool:
    """For `partial_fit`: AttributeError, as scikit-learn wants it, unless the solver goes by batches."""
    if parameters.full_batch(estimator):
        raise AttributeError("partial_fit needs a solver that goes by batches, which L-BFGS doesn't")
    return True


class BaseBackprop(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """Trains a network natively. The subclasses say what of targets and of outputs."""

    _network: Network
    _no_improvement: int
    n_iter_: int
    n_outputs_: int
    out_activation_: str
    t_: int
    loss_: float
    best_loss_: Any  # None with early stopping
    loss_curve_: list[float]
    validation_scores_: Any  # a list with early stopping, else None
    best_validation_score_: Any

    def __init__(
        self, hidden_layer_sizes: Any, activation: Any, solver: Any, alpha: float, batch_size: Any,
        learning_rate: str, learning_rate_init: float, power_t: float, max_iter: int, shuffle: bool,
        random_state: Any, tol: float, verbose: Any, warm_start: bool, momentum: float,
        nesterovs_momentum: bool, early_stopping: bool, validation_fraction: float, beta_1: float,
        beta_2: float, epsilon: float, n_iter_no_change: float, max_fun: int, loss: Any, dropout: float,
        batch_norm: bool, model: Callable[[int, int], Module] | None, threads: int | None,
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.model = model
        self.threads = threads

    # What subclasses know

    @abstractmethod
    def _targets(
        self, y: Array, dtype: Any, classes: Any, goes_on: bool
    ) -> tuple[Objective, Array, dict[str, Any]]:
        """The objective, `y` as it wants it, and attributes to set; raises for a `y` that doesn't fit."""

    @abstractmethod
    def _score_outputs(self, outputs: Array, target: Array, weight: Array | None) -> float:
        """The score of early stopping, of the network's outputs against what `_targets` gave."""

    @abstractmethod
    def _objective(self) -> Objective:
        """The objective of what has been fitted."""

    @abstractmethod
    def _strata(self, target: Array) -> Array | None:
        """What each part of a split should have its share of; None for a split by chance."""

    @abstractmethod
    def _weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        """How much each sample counts, None if all do the same."""

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        return validate_data(  # type: ignore[no-any-return]
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=is_regressor(self),
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip

    # Training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for at most `max_iter` epochs, anew, or from where it is with `warm_start`.

        Args:
            X: (n_samples, n_features); float32 is computed in float32, anything else in float64.
            y: targets, (n_samples,) or (n_samples, n_outputs).
            sample_weight: (n_samples,), at least 0: how much each sample counts.

        ValueError or TypeError, before anything is changed, for parameters and data that make no sense; also
        ValueError for a loss that becomes infinite or NaN on the way.
        """
        return self._fit(X, y, sample_weight, self.warm_start, False)

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for one epoch on this data. Solver, loss and alpha are those of the first call."""
        return self._fit(X, y, sample_weight, True, True)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, goes_on: bool, incremental: bool, classes: Any = None
    ) -> Self:
        parameters.check(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        goes_on = goes_on and hasattr(self, "_network")
        X, y = self._validated(X, y, not goes_on)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        weight = self._weights(y, sample_weight, incremental)
        if weight is not None and not weight.any():
            raise ValueError("sample_weight must be above 0 somewhere")
        if self.batch_norm and self.model is None and X.shape[0] == 1:
            raise ValueError("batch_norm needs at least two samples to normalise by, got n_samples=1")
        objective, target, attributes = self._targets(y, X.dtype, classes, goes_on)
        objective.check_target(target)
        if goes_on and objective.outputs != self._network.recipe.outputs:
            raise ValueError(
                f"this network has {self._network.recipe.outputs} outputs, but y is for {objective.outputs}"
            )
        random = check_random_state(self.random_state)
        learned, held_out = training.split(self, X, target, weight, random)
        seed = int(random.randint(np.iinfo(np.int32).max))
        if not goes_on:
            self._begin(objective, X, seed)
        else:
            self._go_on(incremental)
        for name, value in attributes.items():
            setattr(self, name, value)
        trainer = self._network.trainer(self._make_trainer)
        if self.solver == "lbfgs":
            training.descend(self, trainer, learned)
        else:
            training.run(self, trainer, learned, held_out, incremental)
        return self

    def _begin(self, objective: Objective, X: Any, seed: int) -> None:
        """A new network, and attributes as before the first epoch."""
        recipe = Recipe(
            parameters.sizes_of(self), self.activation, float(self.dropout), bool(self.batch_norm),
            self.model, X.shape[1], objective.outputs, seed, X.dtype.name,
        )  # fmt: skip
        trainer = self._make_trainer(recipe.make(), recipe, objective)
        if self.model is not None:
            check_outputs(trainer.predict(X[:1], check_finite=False), 1, objective.outputs)
        self._network = Network(recipe, trainer)
        self.n_iter_ = self.t_ = 0
        self.n_outputs_, self.out_activation_ = objective.outputs, objective.activation
        stopping.start(self)

    def _go_on(self, incremental: bool) -> None:
        """The network there is, with the trainer there is for another epoch, else with a new one."""
        trainer = self._network.trainer(self._make_trainer)
        if not incremental or isinstance(trainer.optimizer, LBFGS):
            self._network.replace(self._make_trainer(trainer.model, self._network.recipe))
        stopping.go_on(self)

    def _make_trainer(self, model: Module, recipe: Recipe, objective: Objective | None = None) -> Trainer:
        return Trainer(
            model,
            objective=mean_loss(self._objective() if objective is None else objective, float(self.alpha)),
            optimizer=parameters.optimizer_of(self),
            seed=recipe.seed,
            dtype=recipe.dtype,
            threads=self.threads,
        )

    # Use

    def _outputs(self, X: Any) -> Array:
        """(n_samples, outputs) of the network, before the activation of the outputs."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        trainer = self._network.trainer(self._make_trainer)
        outputs: Array = trainer.predict(X, check_finite=False)
        return outputs

    @property
    def coefs_(self) -> list[Array]:
        """Weights of the dense layers in order, (fan_in, units) each: writable views, not copies."""
        return [layer.weight.value for layer in self._dense("coefs_")]

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of the dense layers in order, (units,) each: writable views, not copies."""
        return [layer.bias.value for layer in self._dense("intercepts_") if layer.bias is not None]

    @property
    def n_layers_(self) -> int:
        """Number of dense layers, and one for the input."""
        return len(self._dense("n_layers_")) + 1

    def _dense(self, name: str) -> list[Any]:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted")
        return dense_layers(self._network.trainer(self._make_trainer).model)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
