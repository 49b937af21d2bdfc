"""Bad data: a clear exception before anything changes. After each, everything has the bits it had before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.training.problems import bits, network, regression
from tests.training.refusal import X, Y, assert_refused, trained

NAN = float("nan")
INF = float("inf")


@pytest.fixture
def trainer() -> bp.Trainer:
    return trained()


def _changed(array: np.ndarray, at: Any, value: Any, dtype: Any = None) -> np.ndarray:
    copy = array.astype(dtype or array.dtype)
    copy[at] = value
    return copy


# name: (x, exception, fragment of its message)
BAD_X: dict[str, tuple[Any, type[Exception], str]] = {
    "too few features": (X[:, :3], ValueError, "expected input of shape (..., 4), got"),
    "too many features": (np.hstack([X, X]), ValueError, "8 features instead of 4"),
    "one axis": (X[:, 0], ValueError, "x has the shape (samples,), here of "),
    "a number": (3.0, ValueError, "one row a sample, got a single number"),
    "nothing": (None, TypeError, "expected numbers, got NoneType"),
    "a dict": ({"a": X}, ValueError, "the model takes no input 'a'; known: x"),
    "no samples": (X[:0], ValueError, "is empty: its shape is (0, 4)"),
    "an empty list": ([], ValueError, "is empty"),
    "no features": (X[:, :0], ValueError, "is empty: its shape is (40, 0)"),
    "ragged lists": ([[1.0] * 4] * 39 + [[1.0] * 3], ValueError, "different lengths"),
    "ragged objects": (
        np.array([[1.0] * 4] * 39 + [[1.0] * 3], object),
        TypeError,
        "array of Python objects",
    ),
    "objects": (X.astype(object), TypeError, "array of Python objects"),
    "complex numbers": (X.astype(complex), TypeError, "dtype complex128"),
    "strings": (X.astype(str), TypeError, "dtype <U"),
    "lists of strings": ([["1"] * 4] * 40, TypeError, "dtype <U1"),
    "bytes": (X.astype("S"), TypeError, "dtype |S"),
    "dates": (X.astype(int).astype("datetime64[s]"), TypeError, "dtype datetime64[s]"),
    "long doubles": (X.astype(np.longdouble), TypeError, "expected numbers, got an array of dtype"),
    "fields": (np.zeros(40, [("a", "f4")]), TypeError, "expected numbers"),
    "NaN": (_changed(X, (7, 2), NAN), ValueError, "x[7, 2] is nan"),
    "infinity": (_changed(X, (0, 0), INF), ValueError, "x[0, 0] is inf"),
    "minus infinity": (_changed(X, (39, 3), -INF), ValueError, "x[39, 3] is -inf"),
    "NaN in a list": (_changed(X, (7, 2), NAN).tolist(), ValueError, "x[7, 2] is nan"),
    "float32 overflow": (
        _changed(X, (3, 1), 1e39, np.float64),
        ValueError,
        "x[3, 1] is 1e+39, which overflows float32",
    ),
    "huge uint64": (_changed(X, (3, 1), 2**63, np.uint64), ValueError, "does not fit in int64"),
}

# name: (y, exception, fragment)
BAD_Y: dict[str, tuple[Any, type[Exception], str]] = {
    "other length": (Y[:39], ValueError, "x has 40 samples, y has 39"),
    "empty": (Y[:0], ValueError, "y is empty"),
    "a number": (1, ValueError, "single number"),
    "class too high": (
        _changed(Y, 5, 3),
        ValueError,
        "y[5] is 3, but cross_entropy takes integers from 0 to 2",
    ),
    "negative class": (_changed(Y, 39, -1), ValueError, "y[39] is -1"),
    "class from one": (Y + 1, ValueError, "is 3, but cross_entropy"),
    "uint8 class too high": (_changed(Y, 0, 255, np.uint8), ValueError, "y[0] is 255"),
    "uint64 class too high": (_changed(Y, 0, 2**63, np.uint64), ValueError, "does not fit in int64"),
    "float classes": (Y.astype(float), TypeError, "for classes, pass integers"),
    "fractions": (Y + 0.5, TypeError, "for classes, pass integers"),
    "bool classes": (Y > 0, TypeError, "got bool"),
    "a column": (Y[:, None], ValueError, "must have shape"),
    "narrow one-hot": (np.eye(2)[Y % 2], TypeError, "probabilities of shape"),
    "strings": (Y.astype(str), TypeError, "dtype <U"),
    "objects": (Y.astype(object), TypeError, "Python objects"),
    "complex": (Y.astype(complex), TypeError, "dtype complex128"),
    "NaN in one-hot": (_changed(np.eye(3)[Y], (4, 1), NAN), ValueError, "y[4, 1] is nan"),
}

CALLS: dict[str, Callable[[bp.Trainer, Any, Any], Any]] = {
    "fit": lambda trainer, x, y: trainer.fit(x, y, epochs=1, batch_size=16, progress=False),
    "step": lambda trainer, x, y: trainer.step(x, y),
    "gradients": lambda trainer, x, y: trainer.gradients(x, y),
    "evaluate": lambda trainer, x, y: trainer.evaluate(x, y, batch_size=16),
}


@pytest.mark.parametrize("call", [*CALLS, "predict"])
@pytest.mark.parametrize("name", BAD_X)
def test_bad_x(trainer: bp.Trainer, name: str, call: str) -> None:
    x, error, fragment = BAD_X[name]
    if name == "one axis" and call != "predict":
        fragment = ""  # which of x and y is at fault, a loss may say
    if name == "long doubles" and np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("long doubles are float64 on this platform")
    if call == "predict":
        assert_refused(trainer, lambda: trainer.predict(x), error, fragment)
    else:
        assert_refused(trainer, lambda: CALLS[call](trainer, x, Y), error, fragment)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", BAD_Y)
def test_bad_y(trainer: bp.Trainer, name: str, call: str) -> None:
    y, error, fragment = BAD_Y[name]
    assert_refused(trainer, lambda: CALLS[call](trainer, X, y), error, fragment)


@pytest.mark.parametrize("name", ["too few features", "NaN", "objects", "no samples"])
def test_bad_validation_x(trainer: bp.Trainer, name: str) -> None:
    x, error, fragment = BAD_X[name]
    y = Y[: len(x)]
    assert_refused(
        trainer, lambda: trainer.fit(X, Y, epochs=1, validation_data=(x, y), progress=False), error, fragment
    )


@pytest.mark.parametrize("name", ["class too high", "other length", "float classes", "strings"])
def test_bad_validation_y(trainer: bp.Trainer, name: str) -> None:
    y, error, fragment = BAD_Y[name]
    assert_refused(
        trainer, lambda: trainer.fit(X, Y, epochs=1, validation_data=(X, y), progress=False), error, fragment
    )


def test_a_failed_first_fit_leaves_a_model_of_unknown_sizes_unknown() -> None:
    """The sizes that bad data suggested are forgotten; good data then trains as if nothing had been."""
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    for x, y in ((_changed(X, (0, 0), NAN)[:, :3], Y), (X[:, :2], Y[:, None]), (X[:, :2], Y.astype(float))):
        with pytest.raises((ValueError, TypeError)):
            trainer.fit(x, y, epochs=1, progress=False)
    assert trainer.model[0].in_features is None  # type: ignore[index]
    trainer.fit(X, Y, epochs=1, progress=False)
    fresh = bp.Trainer(network(8, 3), "cross_entropy")
    fresh.fit(X, Y, epochs=1, progress=False)
    assert bits(trainer) == bits(fresh)


def test_labels_out_of_range_in_a_first_fit_do_not_change_what_comes_after() -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    with pytest.raises(ValueError, match="is 3, but cross_entropy"):
        trainer.fit(X, Y + 1, epochs=1, progress=False)
    trainer.fit(X, Y, epochs=1, progress=False)
    fresh = bp.Trainer(network(8, 3), "cross_entropy")
    fresh.fit(X, Y, epochs=1, progress=False)
    assert bits(trainer) == bits(fresh)


def test_nan_in_the_data_may_be_allowed() -> None:
    """A loss that can live with it then trains; one that can't stops before its first update."""
    x, y = regression(40, dtype="float32")
    x[5, 1] = NAN

    def careful(model: Any, features: Any, target: Any) -> Any:
        finite = ops.equal(features, features)
        return losses.mse(model(ops.where(finite, features, 0.0)), target)

    trainer = bp.Trainer(network(2, in_features=3), objective=careful)
    assert_refused(
        trainer, lambda: trainer.fit((x, y), epochs=1, progress=False), ValueError, "[5, 1] is nan"
    )
    history = trainer.fit((x, y), epochs=2, check_finite=False, progress=False)
    assert np.isfinite(history["loss"]).all()

    plain = bp.Trainer(network(2, in_features=3), "mse")
    before = bits(plain)
    with pytest.raises(FloatingPointError, match=r"not finite at step 0 .*Nothing was updated before it"):
        plain.fit(x, y, epochs=1, shuffle=False, check_finite=False, progress=False)
    assert bits(plain) == before
    assert plain.steps == 0
    assert np.isnan(plain.evaluate(x, y, check_finite=False)["loss"])
    assert (
        np.isnan(plain.predict(x, check_finite=False)).any(axis=1).tolist() == (np.arange(40) == 5).tolist()
    )


def test_overflow_is_an_error_even_where_nan_is_allowed(trainer: bp.Trainer) -> None:
    x = _changed(_changed(X, (0, 0), NAN, np.float64), (3, 1), -1e39)
    assert_refused(
        trainer,
        lambda: trainer.fit(x, Y, epochs=1, check_finite=False, progress=False),
        ValueError,
        "overflows float32",
    )


def test_indices_that_are_computed_inside_are_checked_before_their_update() -> None:
    def loss(prediction: Any, target: Any) -> Any:
        return ops.mean(prediction - ops.one_hot(target + 1, 3, "float32"))

    trainer = bp.Trainer(network(3, in_features=4), loss, optim.SGD(0.1))
    y = np.zeros(40, int)
    y[20] = 2  # makes class 3, in the third batch of eight
    with pytest.raises(ValueError, match="one_hot"):
        trainer.fit(X, y, epochs=1, batch_size=8, shuffle=False, progress=False)
    assert trainer.steps == 2
    twin = bp.Trainer(network(3, in_features=4), loss, optim.SGD(0.1))
    for start in (0, 8):
        twin.step(X[start : start + 8], y[start : start + 8])
    assert bits(trainer) == bits(twin)
    with pytest.raises(ValueError, match="one_hot"):
        twin.step(X[16:24], y[16:24])
    assert bits(trainer) == bits(twin)
    assert twin.steps == 2


@pytest.mark.parametrize(
    ("target", "fragment"),
    [
        (np.full(40, 1.5), "lie in [0, 1]"),
        (np.full(40, -0.1), "lie in [0, 1]"),
        (np.full(40, 2), "lie in [0, 1]"),
    ],
)
def test_targets_of_binary_cross_entropy_are_probabilities(target: np.ndarray, fragment: str) -> None:
    trainer = bp.Trainer(network(1, in_features=4), "binary_cross_entropy")
    for call in CALLS.values():
        assert_refused(trainer, lambda call=call: call(trainer, X, target), ValueError, fragment)


@pytest.mark.parametrize("target", [np.zeros((40, 3)), np.zeros((40, 2, 1)), np.zeros(40), np.zeros((40, 1))])
def test_targets_of_mse_are_not_broadcast(target: np.ndarray) -> None:
    trainer = bp.Trainer(network(2, in_features=4), "mse")
    for call in CALLS.values():
        assert_refused(
            trainer, lambda call=call: call(trainer, X, target), ValueError, "mse: the prediction has shape"
        )


@pytest.mark.parametrize("known", [False, True])
def test_a_first_use_that_fails_leaves_the_model_as_it_was(known: bool) -> None:
    """Built or not, and whatever fails: data of other sizes may come next."""
    wrong = X[:, :3] if not known else X
    bad: dict[str, Callable[[bp.Trainer], Any]] = {
        name: lambda trainer, call=call: call(trainer, wrong, Y + 1) for name, call in CALLS.items()
    }
    bad["validation labels"] = lambda trainer: trainer.fit(
        wrong, Y, epochs=1, validation_data=(wrong, Y + 1), progress=False
    )
    bad["validation width"] = lambda trainer: trainer.fit(
        wrong, Y, epochs=1, validation_data=(X[:, :2], Y), progress=False
    )
    for name, call in bad.items():
        model = network(8, 3)
        if known:
            model[0].weight.sizes = (4, 8)
        trainer = bp.Trainer(model, "cross_entropy")
        with pytest.raises(ValueError):  # noqa: PT011 - of labels, or of sizes
            call(trainer)
        assert all(variable.storage is None for _, variable in model.named_variables()), name
        assert not model._bpcore.built
        assert model[0].in_features == (4 if known else None), name
        trainer.fit(X, Y, epochs=1, progress=False)
        fresh = bp.Trainer(network(8, 3), "cross_entropy")
        fresh.fit(X, Y, epochs=1, progress=False)
        assert bits(trainer) == bits(fresh), name


def test_a_first_prediction_that_fails_leaves_the_model_as_it_was() -> None:
    class Embedding(nn.Module):
        """One row of a table a sample, then a layer."""

        def __init__(self) -> None:
            self.table, self.dense = nn.Parameter((5, 4)), nn.Dense(3)

        def __call__(self, x: Any) -> Any:
            return self.dense(ops.one_hot(x, 5, "float32") @ self.table)

    model = Embedding()
    trainer = bp.Trainer(model, "cross_entropy")
    with pytest.raises(ValueError, match="is 7, but one_hot"):
        trainer.predict([1, 7])
    assert model.dense.in_features is None
    assert trainer.predict([1, 4]).shape == (2, 3)


def test_a_later_failure_keeps_what_earlier_calls_have_made() -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    trainer.predict(X)
    before = bits(trainer)
    with pytest.raises(ValueError, match="is 3, but cross_entropy"):
        trainer.fit(X, Y + 1, epochs=1, progress=False)
    assert bits(trainer) == before


class Returns(nn.Module):
    """Whatever it is told to, made of a layer's output."""

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.dense, self.what = nn.Dense(3, in_features=4), what

    def __call__(self, x: Any) -> Any:
        return self.what(self.dense(x))


@pytest.mark.parametrize(
    ("what", "error", "fragment"),
    [
        (lambda h: None, TypeError, "returned None"),  # noqa: ARG005
        (lambda h: (h, None), ValueError, "got NoneType"),
        (lambda h: {"h": h, "kind": "dense"}, ValueError, "got str"),
        (ops.sum, ValueError, "got one of shape () for 16 samples"),
        (lambda h: (h, ops.sum(h, axis=0)), ValueError, "got one of shape (3,) for 16 samples"),
        (lambda h: h[:2], ValueError, "got one of shape (2, 3) for 16 samples"),
    ],
)
def test_predict_refuses_outputs_without_a_row_a_sample(
    what: Callable[[Any], Any], error: type[Exception], fragment: str
) -> None:
    trainer = bp.Trainer(Returns(what), "cross_entropy")
    with pytest.raises(error) as caught:
        trainer.predict(X, batch_size=16)
    assert fragment in str(caught.value)


def test_masked_elements_are_refused(trainer: bp.Trainer) -> None:
    masked = np.ma.masked_greater(X, 3.0)
    assert masked.mask.any()
    for call in (*CALLS.values(), lambda trainer, x, _: trainer.predict(x)):
        assert_refused(trainer, lambda call=call: call(trainer, masked, Y), TypeError, "elements are masked")
    with pytest.raises(TypeError, match="Sequential: some of its elements are masked"):
        trainer.model(masked)
    whole = np.ma.masked_array(X, mask=False)
    np.testing.assert_array_equal(trainer.predict(whole), trainer.predict(X))


def test_a_single_sample_is_no_batch(trainer: bp.Trainer) -> None:
    fragment = "one of shape (3,) for 4 samples; a single sample is given as x[None]"
    assert_refused(trainer, lambda: trainer.predict(X[0]), ValueError, fragment)
