"""What the estimators are for: pipelines and searches, every kind of target, and what scikit-learn hasn't."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bpcore import losses, nn, ops, optim
from bpcore.callbacks import Callback
from bpcore.sklearn import BackpropClassifier, BackpropRegressor
from bpcore.sklearn.stopping import Progress

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
TWO = (X[:, 0] * X[:, 1] > 0).astype(int)
THREE = np.array(["low", "middle", "high"])[np.digitize(X[:, 0] + X[:, 1] ** 2, [0.3, 1.3])]
NUMBERS = X[:, 0] ** 2 - X[:, 1]
FAST = {"learning_rate_init": 1e-2, "random_state": 0, "max_iter": 100}


# In scikit-learn's company


def test_a_pipeline_in_a_grid_search_in_two_processes() -> None:
    pipeline = make_pipeline(StandardScaler(), BackpropClassifier((16,), **FAST))
    search = GridSearchCV(
        pipeline, {"backpropclassifier__alpha": [1e-4, 1.0], "backpropclassifier__dropout": [0.0, 0.2]},
        n_jobs=2, cv=3, error_score="raise",
    )  # fmt: skip
    search.fit(*load_breast_cancer(return_X_y=True))
    assert search.best_score_ >= 0.96
    again = clone(search.best_estimator_).fit(*load_breast_cancer(return_X_y=True))
    np.testing.assert_array_equal(
        again.predict_proba(load_breast_cancer().data), search.predict_proba(load_breast_cancer().data)
    )


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_jobs_in_threads_and_in_processes_give_the_same_scores(backend: str) -> None:
    estimator = make_pipeline(StandardScaler(), BackpropRegressor((16,), solver="lbfgs", random_state=0))
    alone = cross_val_score(estimator, X, NUMBERS, cv=3)
    assert alone.min() > 0.8
    with joblib.parallel_backend(backend, n_jobs=2):
        np.testing.assert_array_equal(cross_val_score(estimator, X, NUMBERS, cv=3, n_jobs=2), alone)


def test_breast_cancer_is_told_at_least_96_times_of_100() -> None:
    pipeline = make_pipeline(StandardScaler(), BackpropClassifier(random_state=0))
    assert cross_val_score(pipeline, *load_breast_cancer(return_X_y=True)).mean() >= 0.96


def test_digits_in_float32_stay_in_float32() -> None:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    model = BackpropClassifier((64,), **FAST, early_stopping=True).fit(x[:1400], y[:1400])
    assert model.score(x[1400:], y[1400:]) >= 0.85  # other writers
    assert model.predict_proba(x).dtype == np.float32
    assert {each.dtype for each in model.coefs_ + model.intercepts_} == {np.dtype("float32")}
    assert BackpropRegressor(max_iter=2).fit(x, x[:, :2]).predict(x).dtype == np.float32
    assert BackpropRegressor(max_iter=2).fit(x.astype(int), y).predict(x.astype(int)).dtype == np.float64


# Targets


@pytest.mark.parametrize("y", [TWO, TWO.astype(bool), np.where(TWO, "yes", "no"), THREE, TWO * 10 - 3])
def test_classes_are_of_any_kind(y: np.ndarray) -> None:
    model = BackpropClassifier((32,), **FAST).fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.score(X, y) >= 0.95
    assert model.predict(X).dtype == y.dtype
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (300, len(model.classes_))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "multi_margin"])
@pytest.mark.parametrize("early", [False, True])
def test_a_class_alone_is_always_right(loss: str, early: bool) -> None:
    y = np.full(len(X), "only")
    estimator = BackpropClassifier((4,), loss=loss, early_stopping=early, random_state=0, max_iter=1)
    assert estimator.fit(X, y).score(X, y) == 1
    assert estimator.validation_scores_ == ([1.0] if early else None)


def test_labels_and_several_numbers() -> None:
    x, y = make_multilabel_classification(300, random_state=0)
    model = BackpropClassifier((32,), **{**FAST, "max_iter": 300}).fit(x, y)
    assert model.predict(x).shape == model.predict_proba(x).shape == y.shape
    assert model.score(x, y) >= 0.8
    both = np.stack([NUMBERS, -2 * NUMBERS + X[:, 2]], axis=1)
    numbers = BackpropRegressor((32,), **{**FAST, "max_iter": 200}).fit(X, both)
    assert numbers.predict(X).shape == (300, 2)
    assert numbers.score(X, both) >= 0.95


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_sparse_rows_are_learned_as_dense_ones(settings: dict[str, Any]) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    few = np.where(np.abs(X) > 1, X, 0.0)
    for make in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array):
        dense, other = (
            BackpropClassifier((8,), max_iter=20, random_state=0, **settings).fit(x, TWO)
            for x in (few, make(few))
        )
        np.testing.assert_allclose(other.predict_proba(make(few)), dense.predict_proba(few), rtol=1e-6)
        np.testing.assert_allclose(other.predict_proba(few), dense.predict_proba(few), rtol=1e-6)


def test_class_weights_are_weights_of_samples() -> None:
    few = np.r_[np.flatnonzero(TWO == 0), np.flatnonzero(TWO)[:20]]
    x, y = X[few], TWO[few]
    made = BackpropClassifier((16,), **FAST, class_weight={0: 1.0, 1: 5.0}).fit(x, y)
    given = BackpropClassifier((16,), **FAST).fit(x, y, np.where(y == 1, 5.0, 1.0))
    np.testing.assert_array_equal(made.predict_proba(x), given.predict_proba(x))
    balanced = BackpropClassifier((16,), **FAST, class_weight="balanced").fit(x, y)
    weights = np.where(y == 1, len(y) / 2 / 20, len(y) / 2 / (len(y) - 20))
    same = BackpropClassifier((16,), **FAST).fit(x, y, weights)
    np.testing.assert_allclose(balanced.predict_proba(x), same.predict_proba(x), rtol=1e-6)


# What scikit-learn's networks don't have


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.1, "batch_norm": True, "batch_size": 13},  # 300 = 23 · 13 + 1
        {"activation": "gelu", "solver": "adamw"},
        {"activation": nn.PReLU(), "solver": optim.RAdam(3e-2)},
        {"activation": "swiglu", "hidden_layer_sizes": [16, 16]},
        {"activation": ops.erf, "solver": "nadam"},
        {"solver": optim.LBFGS(line_search_fn="strong_wolfe"), "max_iter": 20},
        {"hidden_layer_sizes": 24, "solver": "lion", "learning_rate_init": 3e-3},
        {"loss": "cross_entropy"},
        {"loss": "focal"},
        {"loss": "hinge"},
        {"loss": partial(losses.focal, gamma=1.0)},
        {"loss": lambda p, t: losses.binary_cross_entropy(p, 0.05 + 0.9 * t, "none")},
    ],
)
def test_more_ways_to_learn_two_classes(options: dict[str, Any]) -> None:
    model = BackpropClassifier(**{"hidden_layer_sizes": (32,), **FAST, **options}).fit(X, TWO)
    assert model.score(X, TWO) >= 0.93
    assert hasattr(model, "predict_proba") == (options.get("loss") != "hinge")
    assert clone(model).get_params().keys() == model.get_params().keys()


@pytest.mark.parametrize("loss", ["mae", "huber", "log_cosh", partial(losses.quantile, q=0.5), "smooth_l1"])
def test_more_losses_of_numbers(loss: Any) -> None:
    model = BackpropRegressor((32,), **FAST, loss=loss).fit(X, NUMBERS)
    assert model.score(X, NUMBERS) >= 0.9


def test_counts_are_predicted_as_rates() -> None:
    counts = np.random.default_rng(1).poisson(np.exp(X[:, 0]))
    by_name = BackpropRegressor((8,), **FAST, loss="poisson_nll").fit(X, counts)
    model = BackpropRegressor((8,), **FAST, loss="poisson").fit(X, counts)
    assert (model.predict(X) > 0).all()
    np.testing.assert_allclose(by_name.predict(X), model.predict(X), rtol=1e-3)  # they differ by a constant
    assert by_name.loss_ != pytest.approx(model.loss_)


def series(features: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Reshape((features, 1)), nn.Conv1D(8, 3, activation="relu"), nn.Flatten(), nn.Dense(outputs)
    )


def test_a_model_of_ones_own() -> None:
    waves = np.sin(np.arange(20) * np.linspace(0.2, 1.5, 200)[:, None])
    y = (np.arange(200) >= 100).astype(int)
    model = BackpropClassifier(model=series, random_state=0).fit(waves, y)
    assert model.score(waves, y) >= 0.97
    assert [each.shape for each in model.coefs_] == [(144, 1)]
    best = BackpropClassifier(model=series, **FAST, early_stopping=True).fit(waves, y)
    assert best.best_validation_score_ >= 0.95


def test_what_an_estimator_learns_does_not_depend_on_threads() -> None:
    one, two = (BackpropClassifier((64,), threads=n, **FAST).fit(X, THREE) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


# Going on


def test_a_seed_repeats_a_fit_and_a_generator_goes_on() -> None:
    def coefs(random_state: Any) -> np.ndarray:
        return BackpropClassifier((4,), random_state=random_state, max_iter=3).fit(X, TWO).coefs_[0].copy()

    np.testing.assert_array_equal(coefs(5), coefs(5))
    np.testing.assert_array_equal(coefs(np.random.RandomState(5)), coefs(5))
    generator = np.random.RandomState(5)
    assert (coefs(generator) != coefs(generator)).any()
    assert (coefs(None) != coefs(None)).any()


def test_warm_starts_go_on_and_others_begin_anew() -> None:
    model = BackpropRegressor((8,), max_iter=5, warm_start=True, random_state=0).fit(X, NUMBERS)
    first = list(model.loss_curve_)
    model.fit(X, NUMBERS)
    assert model.loss_curve_[:5] == first
    assert len(model.loss_curve_) == 10
    assert model.loss_curve_[5] < first[-1]
    assert (model.n_iter_, model.t_) == (5, 3000)
    model.set_params(warm_start=False).fit(X, NUMBERS)
    assert model.loss_curve_ == first


@pytest.mark.parametrize("first", [{"solver": "lbfgs"}, {"early_stopping": True}, {}])
@pytest.mark.parametrize("then", [{"solver": "lbfgs"}, {"early_stopping": True}, {}])
def test_a_warm_start_may_have_other_settings(first: dict[str, Any], then: dict[str, Any]) -> None:
    settings = {"solver": "adam", "early_stopping": False}
    model = BackpropClassifier((8,), warm_start=True, max_iter=5, random_state=0, **{**settings, **first})
    loss = model.fit(X, TWO).loss_
    model.set_params(**{**settings, **then}).fit(X, TWO)
    assert model.loss_ < 1.05 * loss  # early stopping has gone back to an earlier epoch
    assert hasattr(model, "loss_curve_") == ("solver" not in then)
    model.set_params(**settings).partial_fit(X, TWO)
    assert model.best_validation_score_ is None
    assert model.best_loss_ <= model.loss_


def test_a_warm_start_may_have_another_loss() -> None:
    rates = np.exp(X[:, 0])
    numbers = BackpropRegressor((8,), warm_start=True, **{**FAST, "max_iter": 1}).fit(X, rates)
    numbers.set_params(loss="poisson", max_iter=200).fit(X, rates)
    assert numbers.out_activation_ == "exp"
    assert numbers.score(X, rates) > 0.9
    classes = BackpropClassifier((8,), warm_start=True, **FAST).fit(X, TWO)
    assert not hasattr(classes.set_params(loss="hinge").fit(X, TWO), "predict_proba")


def test_a_partial_fit_goes_on_with_the_loss_of_the_first_one() -> None:
    fitted = [BackpropClassifier((8,), **FAST).partial_fit(X, TWO, classes=[0, 1]) for _ in range(2)]
    fitted[0].set_params(loss="hinge").partial_fit(X, TWO)  # whose classes are -1 and 1
    fitted[1].partial_fit(X, TWO)
    assert fitted[0].loss_curve_ == fitted[1].loss_curve_
    again = pickle.loads(pickle.dumps(fitted[0])).partial_fit(X, TWO)
    assert again.loss_ == fitted[1].partial_fit(X, TWO).loss_


def test_partial_fits_are_epochs() -> None:
    model = BackpropClassifier((32,), random_state=0, learning_rate_init=1e-2)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, THREE)
    model.partial_fit(X[:50], THREE[:50], classes=np.unique(THREE))
    for _ in range(200):
        model.partial_fit(X, THREE)
    assert (model.n_iter_, model.t_, len(model.loss_curve_)) == (1, 200 * 300 + 50, 201)
    assert model.score(X, THREE) >= 0.9
    with pytest.raises(ValueError, match="has classes .*odd.* not among"):
        model.partial_fit(X, np.full(300, "odd"))
    with pytest.raises(ValueError, match="classes are not the same as on the last call"):
        model.partial_fit(X, THREE, classes=["low", "middle"])
    assert not hasattr(BackpropClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(BackpropRegressor(solver=optim.LBFGS()), "partial_fit")


def test_epochs_run_in_one_call_and_are_said_if_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(Callback, "on_epoch_begin", lambda *_: calls.append(1))
    import bpcore as bp

    fit, fits = bp.Trainer.fit, []
    monkeypatch.setattr(bp.Trainer, "fit", lambda self, *a, **k: (fits.append(1), fit(self, *a, **k))[1])
    model = BackpropClassifier((4,), max_iter=7, early_stopping=True, verbose=True, random_state=0)
    model.fit(X, TWO)
    assert (len(fits), len(calls)) == (1, 7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {model.loss_curve_[0]:.8f}"
    assert lines[1] == f"Validation score: {model.validation_scores_[0]:f}"
    assert len(lines) == 14
    model.set_params(verbose=False, early_stopping=False).fit(X, TWO)
    assert capsys.readouterr().out == ""


def test_an_interrupted_fit_keeps_what_it_has_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, trainer: Any, logs: Any) -> None:
        original(self, trainer, logs)
        if self._estimator.n_iter_ == 3:
            raise KeyboardInterrupt

    original = Progress.on_epoch_end
    monkeypatch.setattr(Progress, "on_epoch_end", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = BackpropClassifier((8,), early_stopping=True, random_state=0).fit(X, TWO)
    assert (model.n_iter_, len(model.validation_scores_)) == (3, 3)
    assert model.predict(X).shape == (300,)


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_the_last_epoch_warns_unless_training_has_converged() -> None:
    with pytest.warns(ConvergenceWarning, match=r"maximum iterations \(3\) reached"):
        BackpropClassifier((4,), max_iter=3).fit(X, TWO)
    with pytest.warns(ConvergenceWarning, match="lbfgs stopped at max_iter=3"):
        BackpropClassifier((4,), max_iter=3, solver="lbfgs").fit(X, TWO)
    with pytest.warns(ConvergenceWarning, match="lbfgs stopped at max_fun="):
        BackpropClassifier((4,), max_fun=3, solver="lbfgs").fit(X, TWO)
    model = BackpropClassifier((4,), tol=1.0, n_iter_no_change=2, random_state=0).fit(X, TWO)
    assert model.n_iter_ == 4
    endless = BackpropClassifier((4,), tol=1.0, n_iter_no_change=np.inf, max_iter=20)
    with pytest.warns(ConvergenceWarning):
        assert endless.fit(X, TWO).n_iter_ == 20


def test_early_stopping_brings_the_best_epoch_back() -> None:
    model = BackpropClassifier((32,), early_stopping=True, learning_rate_init=0.3, random_state=1, tol=0.0)
    model.fit(X, TWO)
    best = model.best_validation_score_
    assert best == max(model.validation_scores_)
    assert model.validation_scores_[-1] < best  # so that it makes a difference
    generator = np.random.RandomState(1)
    _, x, _, y = train_test_split(X, TWO, random_state=generator, test_size=0.1, stratify=TWO)
    assert model.score(x, y) == best
