"""From the same weights, in the same order of samples, the estimators do what scikit-learn's do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")  # whose networks take weights of samples

from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from bpcore.sklearn import BackpropClassifier, BackpropRegressor

RNG = np.random.default_rng(0)
X, Y = make_regression(230, 8, noise=10.0, random_state=0)
Y = Y / Y.std()
WEIGHT = RNG.uniform(0.0, 2.0, len(X))
CLASSES = (BackpropClassifier, MLPClassifier)
NUMBERS = (BackpropRegressor, MLPRegressor)

TASKS: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "two classes": (CLASSES, X, Y > 0, {}),
    "three classes": (CLASSES, *load_iris(return_X_y=True), {}),
    "labels": (CLASSES, *make_multilabel_classification(210, 10, random_state=0), {}),
    "numbers": (NUMBERS, X, Y, {}),
    "counts": (NUMBERS, X, RNG.poisson(np.exp(Y)), {"loss": "poisson"}),
}
SGD = {"solver": "sgd", "learning_rate_init": 0.05}
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    "sgd, plain": {**SGD, "momentum": 0.0},
    "sgd, without nesterov": {**SGD, "nesterovs_momentum": False, "alpha": 1.0},
    "sgd, invscaling": {**SGD, "learning_rate": "invscaling", "power_t": 0.3},
    "sgd, adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.03, "n_iter_no_change": 2},
    "adam": {"alpha": 0.1},
    "adam, logistic": {"activation": "logistic", "batch_size": 50, "beta_1": 0.8, "beta_2": 0.99},
    "adam, stops": {"tol": 0.03, "n_iter_no_change": 2, "activation": "tanh"},
    "early stopping": {"early_stopping": True, "tol": 1e-3, "n_iter_no_change": 3, "alpha": 2.0},
    "identity, two layers": {"activation": "identity", "hidden_layer_sizes": (7, 5), "solver": "sgd"},
}


def pair(task: str, settings: str, weight: np.ndarray | None = None) -> tuple[Any, Any]:
    """Both after an epoch in which only ours counts, then at most 40 from ours' weights."""
    kinds, x, y, more = TASKS[task]
    options = {"hidden_layer_sizes": (12,), **SETTINGS[settings], **more}
    own, peer = (
        kind(random_state=3, shuffle=False, max_iter=1, warm_start=True, **options) for kind in kinds
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for each in (own, peer):
            each.fit(x, y, weight)
        for name in ("coefs_", "_best_coefs"):
            setattr(peer, name, [each.copy() for each in own.coefs_])
        for name in ("intercepts_", "_best_intercepts"):
            setattr(peer, name, [each.copy() for each in own.intercepts_])
        peer._no_improvement_count = own._no_improvement
        for name in ("best_loss_", "best_validation_score_"):
            setattr(peer, name, getattr(own, name))
        for each in (own, peer):
            each.set_params(max_iter=40).fit(x, y, weight)
    return own, peer


# MLPClassifier splits several classes by chance, as if they were labels; here each class has its share.
PAIRS = [(a, b) for a in TASKS for b in SETTINGS if (a, b) != ("three classes", "early stopping")]


@pytest.mark.parametrize(("task", "settings"), PAIRS)
def test_the_same_losses_epochs_and_weights(task: str, settings: str) -> None:
    own, peer = pair(task, settings)
    # Adam's epsilon stands at another place, outside of the bias correction.
    tolerance = 1e-9 if SETTINGS[settings].get("solver") == "sgd" else 2e-3
    assert own.n_iter_ == peer.n_iter_
    assert own.t_ == peer.t_
    np.testing.assert_allclose(own.loss_curve_[1:], peer.loss_curve_[1:], rtol=tolerance)
    assert own.loss_ == own.loss_curve_[-1]
    for ours, theirs in zip(own.coefs_ + own.intercepts_, peer.coefs_ + peer.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=10 * tolerance)
    if own.early_stopping:
        assert own.best_loss_ is peer.best_loss_ is None
        np.testing.assert_allclose(own.validation_scores_[1:], peer.validation_scores_[1:], atol=1e-3)
        assert own.best_validation_score_ == pytest.approx(peer.best_validation_score_, abs=1e-3)
    else:
        assert own.validation_scores_ is own.best_validation_score_ is None
        assert own.best_loss_ == pytest.approx(peer.best_loss_, rel=tolerance)
    for name in ("n_outputs_", "out_activation_", "n_layers_", "n_features_in_"):
        assert getattr(own, name) == getattr(peer, name), name


@pytest.mark.parametrize("task", ["two classes", "numbers", "counts"])
def test_weights_of_samples_count_alike(task: str) -> None:
    own, peer = pair(task, "sgd", WEIGHT)
    np.testing.assert_allclose(own.loss_curve_[1:], peer.loss_curve_[1:], rtol=1e-9)
    early, other = pair(task, "early stopping", WEIGHT)
    assert early.n_iter_ == other.n_iter_
    np.testing.assert_allclose(early.validation_scores_[1:], other.validation_scores_[1:], atol=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_predictions_of_the_same_weights(task: str) -> None:
    own, peer = pair(task, "sgd")
    x = TASKS[task][1]
    np.testing.assert_allclose(own.predict(x), peer.predict(x), rtol=1e-7)
    assert own.predict(x).dtype == peer.predict(x).dtype
    if isinstance(own, BackpropClassifier):
        np.testing.assert_array_equal(own.classes_, peer._label_binarizer.classes_)
        np.testing.assert_allclose(own.predict_proba(x), peer.predict_proba(x), rtol=1e-7)
        np.testing.assert_allclose(own.predict_log_proba(x), peer.predict_log_proba(x), rtol=1e-6, atol=1e-9)
    assert own.score(x, TASKS[task][2]) == pytest.approx(peer.score(x, TASKS[task][2]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs_finds_a_minimum_as_good(task: str) -> None:
    kinds, x, y, more = TASKS[task]
    options = {"solver": "lbfgs", "hidden_layer_sizes": (5,), "alpha": 3.0, "max_iter": 400, "tol": 1e-4}
    losses = [
        [kind(random_state=seed, **options, **more).fit(x, y).loss_ for seed in range(3)] for kind in kinds
    ]
    assert min(losses[0]) <= 1.02 * min(losses[1])


def test_initial_weights_have_the_same_spread() -> None:
    for activation in ("relu", "logistic"):
        bounds = []
        for kind in CLASSES:
            found = kind((300,), activation, solver="sgd", learning_rate_init=1e-12, max_iter=1)
            with pytest.warns(ConvergenceWarning):
                found.fit(X, Y > 0)
            bounds.append([np.abs(each).max() for each in found.coefs_ + found.intercepts_[:1]])
        np.testing.assert_allclose(bounds[0], bounds[1], rtol=0.05)


def test_parameters_and_defaults_are_the_same() -> None:
    for own, peer in ((BackpropClassifier, MLPClassifier), (BackpropRegressor, MLPRegressor)):
        theirs = peer().get_params()
        assert theirs.items() <= own().get_params().items()
