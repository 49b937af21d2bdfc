"""SciPy's sparse matrices as samples: the same training as with the matrix made dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from bpcore._native import core
from tests.training.problems import bits, network
from tests.training.refusal import assert_refused

sparse = pytest.importorskip("scipy.sparse")

ROWS, COLUMNS, CLASSES = 230, 90, 3
Array = np.ndarray


def _data(dtype: Any = np.float32, density: float = 0.06) -> tuple[Any, Array]:
    """Rows of very different lengths, some without an element, and classes that they tell something of."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < density * rng.random((ROWS, 1)) * 2)
    x[::17] = 0
    y = np.argmax(x @ rng.normal(size=(COLUMNS, CLASSES)), axis=1)
    return sparse.csr_matrix(np.rint(4 * x) if np.dtype(dtype).kind in "biu" else x, dtype=dtype), y


def _trainer(optimizer: Any = None, dtype: str = "float32", **options: Any) -> bp.Trainer:
    model = network(17, CLASSES, activation="relu")
    return bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], dtype=dtype, **options)


def _assert_same(a: bp.Trainer, b: bp.Trainer) -> None:
    for name, value in a.parameters.items():
        np.testing.assert_allclose(value, b.parameters[name], rtol=0, atol=1e-5, err_msg=name)
    for name in a.history:
        np.testing.assert_allclose(a.history[name], b.history[name], atol=1e-4)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optim.SGD(0.3),
    "sgd with decay": lambda: optim.SGD(0.3, weight_decay=0.01),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optim.Adam(0.01),
    "amsgrad": lambda: optim.Adam(0.01, amsgrad=True, weight_decay=0.01),
    "adamw": lambda: optim.AdamW(0.01),
    "adamax": lambda: optim.Adamax(0.01),
    "nadam": lambda: optim.NAdam(0.01),
    "radam": lambda: optim.RAdam(0.01),
    "rmsprop": lambda: optim.RMSprop(0.01, momentum=0.5),
    "adagrad": lambda: optim.Adagrad(0.05),
    "adadelta": lambda: optim.Adadelta(0.5),
    "lion": lambda: optim.Lion(1e-3),
    "lamb": lambda: optim.LAMB(0.01),
    "lbfgs": lambda: optim.LBFGS(0.5),
    "schedule": lambda: optim.Adam(lambda step: 0.01 / (1 + step)),
    "groups": lambda: optim.Adam(0.01, groups=[optim.Group("0.weight", lr=0.03, weight_decay=0.1)]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_that_of_the_dense_matrix(name: str, dtype: str) -> None:
    x, y = _data()
    trainers = []
    for data in (x, x.toarray()):
        trainer = _trainer(OPTIMIZERS[name](), dtype)
        rows = ROWS if name == "lbfgs" else 32
        split = 0.0 if name == "lbfgs" else 0.1
        trainer.fit(data, y, epochs=6, batch_size=rows, validation_split=split, progress=False)
        trainers.append(trainer)
    _assert_same(*trainers)


@pytest.mark.parametrize(
    ("trainer_options", "fit_options"),
    [
        ({"clip_norm": 0.1}, {}),
        ({"clip_value": 0.01}, {}),
        ({"nonfinite": "stop"}, {}),
        ({"ema": 0.9}, {}),
        ({"regularizer": nn.L2(0.01)}, {}),
        ({}, {"accumulate": 3}),
        ({}, {"shuffle": False}),
        ({}, {"callbacks": [bp.callbacks.GradientHealth(2)]}),
        ({}, {"sample_weight": np.arange(ROWS) % 3}),
        ({}, {"validation_split": 0.3, "stratify": True}),
        ({"optimizer": optim.LBFGS(0.5)}, {"validation_split": 0.3, "stratify": True, "batch_size": ROWS}),
        ({}, {"batch_size": 1000}),
    ],
    ids=str,
)
def test_training_is_that_of_the_dense_matrix_whatever_goes_with_it(
    trainer_options: dict[str, Any], fit_options: dict[str, Any]
) -> None:
    x, y = _data()
    trainers = []
    for data in (x, x.toarray()):
        trainer = _trainer(**{"optimizer": optim.Adam(0.01), **trainer_options})
        trainer.fit(data, y, epochs=3, **{"batch_size": 32, "progress": False, **fit_options})
        trainers.append(trainer)
    _assert_same(*trainers)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64"])
def test_values_of_every_real_dtype_train(dtype: str) -> None:
    x, y = _data(dtype)
    a, b = _trainer(optim.SGD(0.1)), _trainer(optim.SGD(0.1))
    a.fit(x, y, epochs=2, progress=False)
    b.fit(x.toarray().astype(np.float32), y, epochs=2, progress=False)
    _assert_same(a, b)


@pytest.mark.parametrize("kind", ["csc", "coo", "lil", "csr_array", "wide indices", "unsorted", "twice"])
def test_every_form_of_a_matrix_is_taken(kind: str) -> None:
    x, y = _data()
    given = {
        "csr_array": lambda: sparse.csr_array(x),
        "wide indices": lambda: sparse.csr_matrix(
            (x.data, x.indices.astype(np.int64), x.indptr.astype(np.int64)), x.shape
        ),
        "unsorted": lambda: sparse.csr_matrix((x.data[::-1], x.indices[::-1], _reversed(x.indptr)), x.shape),
        "twice": lambda: sparse.csr_matrix(
            (np.repeat(x.data / 2, 2), np.repeat(x.indices, 2), 2 * x.indptr), x.shape
        ),
    }.get(kind, lambda: x.asformat(kind))()
    if kind == "unsorted":
        y = y[::-1]
    before = given.copy()
    a, b = _trainer(optim.SGD(0.1)), _trainer(optim.SGD(0.1))
    a.fit(given, y, epochs=2, progress=False)
    b.fit(given.toarray(), y, epochs=2, progress=False)
    _assert_same(a, b)
    np.testing.assert_array_equal(given.toarray(), before.toarray())
    assert given.nnz == before.nnz  # the caller's matrix stays as it was


def _reversed(indptr: Array) -> Array:
    return (indptr[-1] - indptr[::-1]).astype(indptr.dtype)


def test_every_use_agrees_with_the_dense_matrix() -> None:
    x, y = _data()
    trainer, dense = _trainer(optim.Adam(0.01)), x.toarray()
    trainer.fit(x, y, epochs=2, progress=False, validation_data=(x[:50], y[:50]))
    assert trainer.evaluate(x, y) == pytest.approx(trainer.evaluate(dense, y))
    for batch_size in (7, 256):
        np.testing.assert_allclose(
            trainer.predict(x, batch_size=batch_size), trainer.predict(dense), atol=1e-6
        )
    np.testing.assert_allclose(trainer.model(x), trainer.model(dense), atol=1e-6)
    np.testing.assert_allclose(trainer.model(x[3:4]), trainer.model(dense[3:4]), atol=1e-6)
    for name, gradient in trainer.gradients(x[:40], y[:40]).items():
        np.testing.assert_allclose(gradient, trainer.gradients(dense[:40], y[:40])[name], atol=1e-6)


def test_steps_agree_with_the_dense_matrix_whatever_their_batches_hold() -> None:
    x, y = _data()
    x = x[np.argsort(np.diff(x.indptr))]  # from empty rows to long ones
    a, b = _trainer(optim.Adam(0.01)), _trainer(optim.Adam(0.01))
    for begin in (0, 200, 16, 150, 0, 214):
        batch = slice(begin, begin + 16)
        assert a.step(x[batch], y[batch]) == pytest.approx(b.step(x[batch].toarray(), y[batch]), abs=1e-6)
    _assert_same(a, b)


def test_a_sparse_input_may_be_one_of_several() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.words, self.rest = nn.Dense(8), nn.Dense(8)
            self.top = nn.Dense(CLASSES)

        def __call__(self, numbers: Any, words: Any) -> Any:
            return self.top(bp.ops.tanh(self.words(words) + self.rest(numbers)))

    x, y = _data()
    numbers = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    trainers = []
    for words in (x, x.toarray()):
        trainer = bp.Trainer(Two(), "cross_entropy", optim.Adam(0.01))
        trainer.fit((numbers, words), y, epochs=2, validation_split=0.2, progress=False)
        trainer.fit({"words": words, "numbers": numbers}, y, epochs=1, progress=False)
        assert trainer.predict((numbers, words)).shape == (ROWS, CLASSES)
        trainers.append(trainer)
    _assert_same(*trainers)


def test_a_model_that_is_new_is_built_by_a_sparse_matrix() -> None:
    x, _ = _data()
    model = network(5, 2)
    assert model(x).shape == (ROWS, 2)
    assert model.parameters["0.weight"].shape == (COLUMNS, 5)


def test_a_batch_without_any_element_trains_the_rest() -> None:
    x = sparse.csr_matrix((8, 5), dtype=np.float32)
    trainer = bp.Trainer(network(4, 2), "cross_entropy", optim.SGD(0.1))
    trainer.model.build((5,))
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    trainer.fit(x, np.arange(8) % 2 * 0, epochs=1, batch_size=4, progress=False)
    np.testing.assert_array_equal(trainer.parameters["0.weight"], before["0.weight"])
    assert (trainer.parameters["1.bias"] != before["1.bias"]).any()


@pytest.mark.parametrize("optimizer", [lambda: optim.SGD(0.1), lambda: optim.Adam(0.01)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(
    dtype: str, optimizer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    session = core.Session

    def noting(plan: Any, *arguments: Any, **options: Any) -> Any:
        used.append(plan.threads(options["threads"]))
        return session(plan, *arguments, **options)

    monkeypatch.setattr(core, "Session", noting)
    x = sparse.random(1100, 4000, 0.01, format="csr", random_state=0, dtype=np.float32)
    y = np.arange(1100) % CLASSES
    found = []
    for threads in (1, 2, 3, 8):
        model = network(384, CLASSES, activation="relu")
        trainer = bp.Trainer(model, "cross_entropy", optimizer(), dtype=dtype, threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=256, progress=False)
        found.append(bits(trainer))
    assert found == found[:1] * 4
    if core.openmp():
        assert max(used) > 1


def _broken(**changed: Any) -> Any:
    x, _ = _data()
    for name, value in changed.items():
        setattr(x, name, value)
    return x


def _with(value: float, dtype: Any = np.float32) -> Any:
    x = _data(np.float64)[0].astype(dtype)
    x.data[5] = value
    return x


X, Y = _data()
PLACE = (int(np.searchsorted(X.indptr, 5, "right")) - 1, int(X.indices[5]))
# name: (matrix, exception, fragment of its message)
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "NaN": (_with(np.nan), ValueError, f"x[{PLACE[0]}, {PLACE[1]}] is nan"),
    "infinity": (_with(-np.inf), ValueError, f"x[{PLACE[0]}, {PLACE[1]}] is -inf"),
    "overflow": (_with(1e300, np.float64), ValueError, "overflows float32"),
    "complex values": (X.astype(complex), TypeError, "dtype complex128"),
    "no rows": (X[:0], ValueError, f"is empty: its shape is (0, {COLUMNS})"),
    "no columns": (X[:, :0], ValueError, "is empty"),
    "too few features": (X[:, :50], ValueError, f"50 features instead of {COLUMNS}"),
    "too few samples": (X[:100], ValueError, "x has 100 samples, y has 230"),
    "indptr falls": (_broken(indptr=X.indptr[::-1].copy()), ValueError, "its indptr must rise from 0"),
    "indptr begins late": (_broken(indptr=X.indptr + 1), ValueError, "its indptr must rise from 0"),
    "indptr ends late": (_broken(indptr=X.indptr * 9), ValueError, f"{X.nnz} values"),
    "indptr is short": (_broken(indptr=X.indptr[:-1]), ValueError, "of shape (231,)"),
    "indptr of floats": (_broken(indptr=X.indptr.astype(float)), ValueError, "must be integers"),
    "fewer indices": (_broken(indices=X.indices[:-1]), ValueError, "as many indices as values"),
    "columns beyond": (_broken(indices=X.indices + 60), ValueError, "of 90"),
    "negative columns": (_broken(indices=X.indices - 60), ValueError, "has an element in column -"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("call", ["fit", "evaluate", "step", "gradients"])
def test_bad_matrices_are_refused_before_anything_changes(name: str, call: str) -> None:
    x, error, message = BAD[name]
    trainer = _trainer(optim.Adam(0.01))
    trainer.fit(X, Y, epochs=1, progress=False)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: trainer.fit(x, Y, epochs=1, progress=False),
        "evaluate": lambda: trainer.evaluate(x, Y),
        "step": lambda: trainer.step(x, Y),
        "gradients": lambda: trainer.gradients(x, Y),
    }
    assert_refused(trainer, calls[call], error, message)


def test_other_layers_and_targets_say_that_they_take_no_sparse_matrix() -> None:
    x, y = _data()
    fragment = r"a sparse matrix, which only a first nn\.Dense"
    for layer in (nn.Dropout(0.5), nn.BatchNorm(), nn.ReLU(), nn.LayerNorm()):
        with pytest.raises(TypeError, match=fragment):
            bp.Trainer(nn.Sequential(layer, nn.Dense(CLASSES)), "cross_entropy").fit(
                x, y, epochs=1, progress=False
            )
    trainer = _trainer()
    for target, weight in ((x, None), (y, sparse.csr_matrix(np.ones((ROWS, 1))))):
        with pytest.raises(TypeError, match=fragment):
            trainer.fit(x, target, epochs=1, sample_weight=weight, progress=False)


def test_more_axes_than_two_are_refused() -> None:
    if not hasattr(sparse, "coo_array"):
        pytest.skip("an old SciPy")
    with pytest.raises(ValueError, match="sparse matrix of two axes, got 1"):
        _trainer().predict(sparse.coo_array(np.ones(5)))


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_batches_of_sparse_rows_are_trained_on_as_the_whole(accumulate: int) -> None:
    x, y = _data()
    whole, fed = _trainer(), _trainer()
    settings: dict[str, Any] = {"epochs": 2, "accumulate": accumulate, "progress": False}
    whole.fit(x, y, batch_size=16, shuffle=False, **settings)
    fed.fit([(x[i : i + 16], y[i : i + 16]) for i in range(0, ROWS, 16)], **settings)
    assert bits(fed) == bits(whole)


def test_sparse_rows_are_not_augmented() -> None:
    with pytest.raises(TypeError, match=r"^fit: augment changes arrays, it can't go with a sparse matrix"):
        _trainer().fit(*_data(), epochs=1, augment=lambda x, rng: x, progress=False)  # noqa: ARG005
