"""The classifier."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from bpcore.ops import sigmoid, softmax
from bpcore.sklearn.base import BaseBackprop, is_stochastic
from bpcore.sklearn.objectives import Objective, of_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from bpcore.basics.arrays import Array
    from bpcore.nn import Module

__all__ = ["BackpropClassifier"]


def _has_probabilities(estimator: BackpropClassifier) -> bool:
    """For `predict_proba`: AttributeError if the outputs are margins."""
    if getattr(estimator, "out_activation_", None) == "identity":
        raise AttributeError(f"the loss {estimator.loss!r} has no probabilities, only classes")
    return True


class BackpropClassifier(ClassifierMixin, BaseBackprop):  # type: ignore[misc]  # scikit-learn has no types
    """A network for two classes, several classes, or several labels, trained natively.

    All parameters but the last six are those of scikit-learn 1.9's `sklearn.neural_network.MLPClassifier`, of
    the same meaning and with the same defaults. docs/sklearn.md has them all, and where they go further.

    Args:
        hidden_layer_sizes: units of each hidden layer: integers, or one integer; () for none.
        activation: of the hidden layers: "identity", "logistic", "tanh", "relu", any other name of
            `bpcore.activations`, a function of a tensor, or a module.
        solver: "adam", "sgd", "lbfgs", or any other optimizer of `bpcore.optim`, by name, with
            learning_rate_init as its lr, or as an object.
        loss: "log_loss", or "cross_entropy" (one output a class, also for two), "focal", "hinge",
            "squared_hinge" (two classes, labels), "multi_margin", a `functools.partial` of one from
            `bpcore.losses`, or a function of (prediction, target): the target holds the numbers of classes,
            shape (n_samples,), for two classes or labels 0 and 1, shape (n_samples, n_outputs).
        class_weight: class -> weight, or "balanced": n_samples / (n_classes · samples of the class).
        dropout: rate of `nn.Dropout` behind each hidden layer, in [0, 1).
        batch_norm: `nn.BatchNorm` in each hidden layer, before its activation.
        model: a function (n_features, n_outputs) -> `nn.Module` that makes a network of another form, in
            place of hidden_layer_sizes, activation, dropout and batch_norm; it returns logits, (n_samples,
            n_outputs).
        threads: the most threads to use; `bpcore.runtime.threads` if None. Results don't depend on it.

    Attributes: `classes_`, `n_features_in_`, `feature_names_in_`, `n_outputs_`, `out_activation_`,
        `n_layers_`, `n_iter_`, `t_`, `loss_`, `loss_curve_`, `best_loss_`, `validation_scores_`,
        `best_validation_score_`; `coefs_` and `intercepts_` of the dense layers, views of what is trained.
    """

    classes_: Array
    _kind: str

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: Any = "adam",
        alpha: float = 0.0001, batch_size: Any = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
        random_state: Any = None, tol: float = 1e-4, verbose: Any = False, warm_start: bool = False,
        momentum: float = 0.9, nesterovs_momentum: bool = True, early_stopping: bool = False,
        validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        n_iter_no_change: float = 10, max_fun: int = 15000, loss: Any = "log_loss", class_weight: Any = None,
        dropout: float = 0.0, batch_norm: bool = False, model: Callable[[int, int], Module] | None = None,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init,
            power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum,
            early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, loss,
            dropout, batch_norm, model, threads,
        )  # fmt: skip
        self.class_weight = class_weight

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Trains for one epoch on this data. Solver, loss and alpha are those of the first call.

        `classes` are all that there will ever be; the first call needs them, unless `y` holds labels.
        """
        if classes is None and not hasattr(self, "_network") and not _are_labels(y):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            classes = unique_labels(classes)
            if hasattr(self, "_network") and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"classes are not the same as on the last call of partial_fit: {classes} instead of "
                    f"{self.classes_}"
                )
        return self._fit(X, y, sample_weight, True, True, classes)

    def predict(self, X: Any) -> Array:
        """Classes (n_samples,), or labels 0 and 1 (n_samples, n_outputs)."""
        outputs = self._outputs(X)
        if self._kind == "multilabel":
            return (outputs > 0).astype(int)
        found: Array = self.classes_[_codes(outputs)]
        return found

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n_samples, n_classes) in the order of `classes_`; of each label for itself."""
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return np.asarray(softmax(outputs))
        if self._kind == "multilabel":
            return np.asarray(sigmoid(outputs))
        if len(self.classes_) == 1:
            return np.ones_like(outputs)
        return np.hstack([np.asarray(sigmoid(-outputs)), np.asarray(sigmoid(outputs))])

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of `predict_proba`, -inf for a probability that is 0."""
        with np.errstate(divide="ignore"):
            found: Array = np.log(self.predict_proba(X))
        return found

    # What the base asks

    def _targets(
        self, y: Array, dtype: Any, classes: Any, goes_on: bool
    ) -> tuple[Objective, Array, dict[str, Any]]:
        if hasattr(y, "toarray"):  # a sparse matrix of labels
            y = y.toarray()
        check_classification_targets(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        own = type_of_target(y, input_name="y")
        if own == "multiclass-multioutput":
            raise ValueError("y must hold classes or labels 0 and 1, not several classes a sample")
        if own.startswith("multilabel"):
            kind, known = "multilabel", np.arange(y.shape[1])
        else:
            known = np.unique(y) if classes is None else classes
            kind = "binary" if len(known) <= 2 else "multiclass"
        if goes_on:
            found, known = known, self.classes_
            self._check_known(found, kind, y)
            kind = self._kind
        if kind != "multilabel" and not np.isin(y, known).all():
            raise ValueError(f"`y` has classes {np.setdiff1d(y, known)} that are not among {known}")
        objective = of_classes(type(self).__name__, self.loss, kind, len(known) if kind != "binary" else 2)
        if kind == "multilabel":
            target = y.astype(dtype)
        else:
            codes = np.searchsorted(known, y)
            target = codes if objective.outputs > 1 else codes[:, None].astype(dtype)
        if objective.signs:
            target = 2 * target - 1
        return objective, target, {"classes_": known, "_kind": kind}

    def _check_known(self, found: Array, kind: str, y: Array) -> None:
        """ValueError unless what was learned before is for such a `y`."""
        if (kind == "multilabel") != (self._kind == "multilabel") or (
            kind == "multilabel" and y.shape[1] != len(self.classes_)
        ):
            raise ValueError(
                f"this network has learned {self._kind} targets with {len(self.classes_)} classes; "
                "`y` holds others"
            )
        if self.warm_start and kind != "multilabel" and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit: "
                f"{self.classes_}, but `y` has {found}"
            )

    def _objective(self) -> Objective:
        classes = 2 if self._kind == "binary" else len(self.classes_)
        return of_classes(type(self).__name__, self.loss, self._kind, classes)

    def _weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "partial_fit can't balance classes that it doesn't see; give class_weight as a dict, as by "
                'sklearn.utils.compute_class_weight("balanced", classes=classes, y=y)'
            )
        if weight is None or y.ndim > 1 or not isinstance(self.class_weight, str):
            own: Array = compute_sample_weight(self.class_weight, y)
            return own if weight is None else (weight * own).astype(weight.dtype)
        # "balanced", where a sample counts as much as its weight says
        classes, codes = np.unique(y, return_inverse=True)
        totals = np.bincount(codes, weight)
        compute_sample_weight(self.class_weight, y)  # raises for another word
        each = np.divide(totals.sum(), len(classes) * totals, out=np.zeros_like(totals), where=totals > 0)
        balanced: Array = (weight * each[codes]).astype(weight.dtype)
        return balanced

    def _strata(self, target: Array) -> Array | None:
        if target.ndim == 2 and target.shape[1] > 1:
            return None
        classes: Array = target.ravel()
        counts = np.unique(classes, return_counts=True)[1]
        held_out = math.ceil(self.validation_fraction * len(classes))
        possible = counts.min() > 1 and min(held_out, len(classes) - held_out) >= len(counts)
        return classes if possible else None

    def _score_outputs(self, outputs: Array, target: Array, weight: Array | None) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        labels = target.ndim == 2
        right = ((outputs > 0) == (target > 0)).all(axis=1) if labels else _codes(outputs) == target
        return float(np.average(right, weights=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _are_labels(y: Any) -> bool:
    return str(type_of_target(y)).startswith("multilabel")


def _codes(outputs: Array) -> Array:
    """Numbers of the classes that the outputs are for."""
    found: Array = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
    return found
