"""Mistakes are told in a sentence when `fit` begins, and leave what has been learned as it is."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from bpcore import nn, optim
from bpcore.sklearn import BackpropClassifier, BackpropRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
THREE = np.arange(40) % 3

PARAMETERS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"hidden_layer_sizes": 0}, ValueError, "hidden_layer_sizes must be at least 1, got 0"),
    ({"hidden_layer_sizes": (8, -1)}, ValueError, "hidden_layer_sizes must be at least 1, got -1"),
    ({"hidden_layer_sizes": "100"}, TypeError, "hidden_layer_sizes must be integers, got '100'"),
    ({"hidden_layer_sizes": ("100",)}, TypeError, "hidden_layer_sizes must be an integer, got '100'"),
    ({"hidden_layer_sizes": 2.5}, TypeError, "hidden_layer_sizes must be an integer, got 2.5"),
    ({"activation": "rely"}, ValueError, "unknown activation 'rely'; did you mean 'relu'"),
    ({"activation": "logistics"}, ValueError, "did you mean 'logistic'"),
    ({"activation": nn.ReLU}, TypeError, "activation must be a name, a function or a module"),
    ({"activation": 3}, TypeError, "activation must be a name, a function or a module, got 3"),
    ({"solver": "adma"}, ValueError, "unknown optimizer 'adma'; did you mean 'adamax' or 'adam'"),
    ({"solver": optim.Adam}, TypeError, "solver must be a name or an object such as"),
    ({"solver": None}, TypeError, "solver must be a name or an object such as"),
    ({"alpha": -1e-4}, ValueError, "alpha must be finite and at least 0, got -0.0001"),
    ({"alpha": "small"}, TypeError, "alpha must be a number, got 'small'"),
    ({"batch_size": "all"}, ValueError, "batch_size must be \"auto\" or an integer, got 'all'"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    ({"learning_rate": "falling"}, ValueError, "learning_rate must be \"constant\", .*, got 'falling'"),
    ({"learning_rate_init": 0}, ValueError, "learning_rate_init must be finite and above 0, got 0"),
    ({"learning_rate_init": np.nan}, ValueError, "learning_rate_init must be finite and above 0, got nan"),
    ({"power_t": -1}, ValueError, "power_t must be finite and at least 0"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
    ({"max_iter": 10.0}, TypeError, "max_iter must be an integer, got 10.0"),
    ({"tol": -1}, ValueError, "tol must be finite and at least 0"),
    ({"momentum": 1.0}, ValueError, "momentum must be in [0, 1), got 1.0"),
    ({"beta_1": 1.0}, ValueError, "beta_1 must be in [0, 1), got 1.0"),
    ({"beta_2": -0.1}, ValueError, "beta_2 must be in [0, 1), got -0.1"),
    ({"epsilon": 0.0}, ValueError, "epsilon must be finite and above 0"),
    ({"validation_fraction": 1.5}, ValueError, "validation_fraction must be in [0, 1), got 1.5"),
    ({"early_stopping": "no"}, TypeError, "early_stopping must be True or False, got 'no'"),
    ({"shuffle": None}, TypeError, "shuffle must be True or False, got None"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1, got 0"),
    ({"max_fun": 0}, ValueError, "max_fun must be at least 1, got 0"),
    ({"verbose": "loud"}, TypeError, "verbose must be an integer, got 'loud'"),
    ({"random_state": "zero"}, ValueError, "'zero' cannot be used to seed"),
    ({"dropout": 1.0}, ValueError, "dropout must be in [0, 1), got 1.0"),
    ({"batch_norm": 1}, TypeError, "batch_norm must be True or False, got 1"),
    ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
    ({"model": nn.Dense(1)}, TypeError, "model must be a function (n_features, n_outputs) -> nn.Module"),
    ({"model": lambda *_: "net"}, TypeError, "model must return a bpcore.nn.Module, got str"),
    ({"model": lambda *_: nn.Dense(7)}, ValueError, "the model must return an array of shape"),
    ({"solver": "lbfgs", "dropout": 0.5}, ValueError, "can't go with dropout or batch_norm"),
    ({"loss": "log_los"}, ValueError, "unknown loss 'log_los'; did you mean 'log_loss'"),
    ({"loss": "mse"}, ValueError, "unknown loss 'mse'"),
    ({"loss": 3}, TypeError, "a loss is a name or a function"),
    ({"class_weight": {5: 1.0}}, ValueError, "The classes, [0, 1], are not in class_weight"),
    ({"class_weight": "fair"}, ValueError, "fair"),
]


def words(text: str) -> str:
    """`text` as a pattern, except for ".*"."""
    return ".*".join(re.escape(part) for part in text.split(".*"))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("parameters", "error", "text"), PARAMETERS)
def test_parameters_are_looked_at_by_fit(parameters: Any, error: type[Exception], text: str) -> None:
    model = BackpropClassifier(**parameters)  # says nothing yet
    with pytest.raises(error, match=words(text)):
        model.fit(X, Y)
    assert not hasattr(model, "classes_")
    assert not hasattr(model, "coefs_")
    fitted = BackpropClassifier((4,), max_iter=3).fit(X, Y)
    before = fitted.predict_proba(X)
    with pytest.raises(error, match=words(text)):
        fitted.set_params(**parameters).fit(X, Y)
    fitted.set_params(**BackpropClassifier((4,)).get_params())
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize(
    ("parameters", "y", "text"),
    [
        ({}, np.linspace(0, 1, 40), "continuous"),
        ({}, np.full(40, np.nan), "NaN"),
        ({}, THREE[:39], "inconsistent numbers of samples"),
        ({}, np.stack([THREE, THREE], axis=1), "not several classes a sample"),
        ({"loss": "focal"}, THREE, "the loss focal is for two classes or for labels; y has 3 classes"),
        ({"loss": "hinge"}, THREE, "the loss hinge is for two classes or for labels"),
        ({"loss": "cross_entropy"}, np.eye(40, 3, dtype=int), "is for classes, but y holds labels"),
        ({"early_stopping": True, "validation_fraction": 0.02}, Y, "the validation set is too small"),
    ],
)
def test_targets_that_fit_nothing(parameters: Any, y: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BackpropClassifier(**parameters).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "y", "text"),
    [
        ({}, np.full(40, "a"), "could not convert string to float"),
        ({}, np.full(40, np.inf), "infinity"),
        ({"loss": "poisson"}, -np.ones(40), "targets of poisson_nll are at least 0, got -1"),
        ({"loss": "log_loss"}, X[:, 0], "unknown loss 'log_loss'"),
    ],
)
def test_numbers_that_fit_nothing(parameters: Any, y: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BackpropRegressor(**parameters).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_data_that_fits_nothing() -> None:
    holes = X.copy()
    holes[3, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        BackpropClassifier().fit(holes, Y)
    for weight, text in (
        (-np.ones(40), "[Nn]egative"),
        (np.zeros(40), "non-zero|above 0 somewhere"),
        (np.ones(39), "sample_weight"),
    ):
        with pytest.raises(ValueError, match=text):
            BackpropClassifier().fit(X, Y, sample_weight=weight)
    model = BackpropClassifier((4,), max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match="X has 2 features, but BackpropClassifier is expecting 3 features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="X has 4 features"):
        model.partial_fit(np.hstack([X, X[:, :1]]), Y)
    with pytest.raises(ValueError, match="this network has learned binary targets with 2 classes"):
        model.partial_fit(X, np.eye(40, 3, dtype=int))
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        model.set_params(warm_start=True).fit(X, THREE)
    with pytest.raises(ValueError, match="this network has 1 outputs, but y is for 2"):
        BackpropRegressor((4,), max_iter=2).fit(X, Y).partial_fit(X, X[:, :2])
    with pytest.raises(ValueError, match="balance"):
        BackpropClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="sample_weight must be above 0 somewhere"):
        BackpropClassifier(class_weight={0: 0.0, 1: 0.0}).fit(X, Y)
    for wrong in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="class_weight must be finite and at least 0, got"):
            BackpropClassifier(class_weight={0: wrong, 1: 1.0}).fit(X, Y)
    for estimator in (BackpropClassifier, BackpropRegressor):
        with pytest.raises(ValueError, match="a weight above 0 on both sides of the split"):
            estimator(early_stopping=True).fit(X, Y, sample_weight=np.eye(40)[0])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        BackpropClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1])
    with pytest.warns(UserWarning, match="batch_size=64 is larger than the 40 samples"):
        BackpropClassifier((4,), batch_size=64, max_iter=2).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "y", "text"),
    [
        ({}, X[:, 0], "continuous"),
        ({"class_weight": {5: 1.0}}, Y, "class_weight"),
        ({"loss": "hinge"}, THREE, "y has 3 classes"),
        ({"model": lambda features, outputs: nn.Dense(features + outputs)}, Y, "the model must return"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_is_refused_leaves_what_was_fitted(
    parameters: dict[str, Any], y: np.ndarray, text: str
) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = BackpropClassifier((4,), max_iter=2).fit(frame, Y)
    before = model.predict_proba(frame)
    with pytest.raises(ValueError, match=text):
        model.set_params(**parameters).fit(X[:, :2], y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(model.predict_proba(frame), before)


def test_without_scikit_learn_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("bpcore.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"needs scikit-learn: pip install scikit-learn"):
        importlib.import_module("bpcore.sklearn")


def test_a_loss_that_explodes_says_so() -> None:
    with pytest.raises(ValueError, match="the loss is not finite at step .* scaling X"):
        BackpropRegressor(solver="sgd", learning_rate_init=1e3, random_state=0).fit(1e6 * X, 1e6 * X[:, 0])


def test_margins_have_no_probabilities() -> None:
    model = BackpropClassifier((4,), loss="hinge", max_iter=300, random_state=0, tol=0.1).fit(X, Y)
    with pytest.raises(AttributeError, match="predict_proba"):
        model.predict_proba(X)


def test_what_needs_a_fit_says_so() -> None:
    from sklearn.exceptions import NotFittedError

    for model in (BackpropClassifier(), BackpropRegressor()):
        with pytest.raises(NotFittedError):
            model.predict(X)
        with pytest.raises(AttributeError, match="has no coefs_ before it is fitted"):
            _ = model.coefs_
