"""Pickled estimators hold the bytes of a safetensors file, and go on where they were."""

from __future__ import annotations

import copy
import pickle
import pickletools
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.datasets import load_iris

from bpcore import activations, losses, nn, optim
from bpcore.sklearn import BackpropClassifier, BackpropRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
built: list[int] = []


def narrow(features: int, outputs: int) -> nn.Module:
    built.append(features)
    return nn.Sequential(nn.Dense(4, "tanh"), nn.Dense(outputs))


MODELS: dict[str, Callable[[], Any]] = {
    "classifier": lambda: BackpropClassifier((8, 4), nn.PReLU(), dropout=0.1, batch_norm=True, max_iter=5),
    "regressor": lambda: BackpropRegressor((8,), max_iter=5, solver="sgd", learning_rate="invscaling"),
    "lbfgs": lambda: BackpropRegressor((8,), solver="lbfgs", max_iter=5),
    "one's own": lambda: BackpropClassifier(model=narrow, max_iter=5, solver=optim.AdamW(1e-2)),
    "function": lambda: BackpropRegressor((8,), activations.gelu, loss=losses.mae, max_iter=5),
}


def outputs(model: Any) -> np.ndarray:
    found: np.ndarray = model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)
    return found


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("through", [pickle.dumps, copy.deepcopy])
def test_what_comes_back_predicts_the_same_and_goes_on_the_same(name: str, through: Any) -> None:
    model = MODELS[name]().set_params(random_state=0).fit(X, Y)
    again = through(model)
    if isinstance(again, bytes):
        again = pickle.loads(again)
    twice = pickle.loads(pickle.dumps(again))  # before it was used
    for each in (again, twice):
        np.testing.assert_array_equal(outputs(each), outputs(model))
        assert each.n_iter_ == model.n_iter_
        assert [a.shape for a in each.coefs_] == [a.shape for a in model.coefs_]
    if hasattr(model, "partial_fit"):
        for each in (model, again):
            each.partial_fit(X, Y).partial_fit(X, Y)
        np.testing.assert_array_equal(outputs(again), outputs(model))
        assert again.t_ == model.t_


def test_a_pickle_names_no_class_of_the_core_and_builds_nothing_when_loaded() -> None:
    model = BackpropClassifier(model=narrow, max_iter=2).fit(X, Y)
    built.clear()
    data = pickle.dumps(model)
    texts = [arg for opcode, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    modules = {text for text in texts if text.startswith("bpcore")}
    assert modules == {"bpcore.sklearn.classifier", "bpcore.sklearn.networks"}
    again = pickle.loads(data)
    assert built == []
    again.predict(X)
    assert built == [4]


def test_a_file_of_joblib_is_read_by_another_process(tmp_path: Path) -> None:
    model = BackpropClassifier((8,), max_iter=5, random_state=0).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    script = "import joblib, sys; print(joblib.load(sys.argv[1]).predict_proba([[5, 3, 1, 0.2]]).tolist())"
    out = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.joblib"], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == str(model.predict_proba([[5, 3, 1, 0.2]]).tolist())


def test_a_damaged_pickle_is_refused_when_it_is_used() -> None:
    model = BackpropClassifier((8,), max_iter=2).fit(X, Y)
    data = pickle.dumps(model)
    at = data.index(b"0.weight")
    broken = pickle.loads(data[:at] + b"9" + data[at + 1 :])
    with warnings.catch_warnings(), pytest.raises(ValueError, match="the pickled network does not fit"):
        broken.predict(X)
