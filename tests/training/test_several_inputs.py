"""Models and objectives of several inputs: by position, by name, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.training.problems import bits, blobs
from tests.training.refusal import assert_refused

X, Y = blobs(40)
A, B = X[:, :1], X[:, 1:]


class Two(nn.Module):
    """A layer for each of two inputs; a third may be added to the result."""

    def __init__(self) -> None:
        self.left, self.right = nn.Dense(3), nn.Dense(3, use_bias=False)

    def __call__(self, left: Any, right: Any, offset: Any = None) -> Any:
        scores = self.left(left) + self.right(right)
        return scores if offset is None else scores + offset


class Named(nn.Module):
    """The same of whatever inputs there are."""

    def __init__(self) -> None:
        self.layers = {"left": nn.Dense(3), "right": nn.Dense(3, use_bias=False)}

    def __call__(self, **inputs: Any) -> Any:
        return self.layers["left"](inputs["left"]) + self.layers["right"](inputs["right"])


WAYS: dict[str, Any] = {
    "tuple": (A, B),
    "list": [A, B],
    "tuple of lists": (A.tolist(), B.tolist()),
    "dict": {"left": A, "right": B},
    "dict in another order": {"right": B, "left": A},
}


def _of(x: Any, rows: slice) -> Any:
    return {k: v[rows] for k, v in x.items()} if isinstance(x, dict) else type(x)(v[rows] for v in x)


@pytest.mark.parametrize("way", WAYS)
def test_every_method_takes_several_inputs_in_every_way(way: str) -> None:
    """The bits are those of a tuple."""
    results = []
    for x in (WAYS["tuple"], WAYS[way]):
        trainer = bp.Trainer(Two(), "cross_entropy", optim.Adam(0.05), metrics=["accuracy"])
        history = trainer.fit(x, Y, epochs=3, batch_size=16, validation_data=(x, Y), progress=False)
        split = trainer.fit(x, Y, epochs=1, batch_size=16, validation_split=0.25, progress=False)
        loss = trainer.step(_of(x, slice(8)), Y[:8])
        gradients = trainer.gradients(x, Y)
        results.append(
            (
                bits(trainer), history["val_loss"], split["val_loss"], loss, trainer.evaluate(x, Y),
                trainer.predict(x).tobytes(), trainer.predict(x, batch_size=7).tobytes(),
                {name: value.tobytes() for name, value in gradients.items()},
            )
        )  # fmt: skip
    assert results[0] == results[1]


@pytest.mark.parametrize("way", ["tuple", "dict"])
def test_the_prediction_is_that_of_each_inputs_own_layer(way: str) -> None:
    trainer = bp.Trainer(Two(), "mse", dtype="float64")
    prediction = trainer.predict(WAYS[way])
    own = trainer.parameters
    expected = A @ own["left.weight"] + own["left.bias"] + B @ own["right.weight"]
    np.testing.assert_allclose(prediction, expected, rtol=1e-12)


def test_an_input_that_may_be_left_out() -> None:
    trainer = bp.Trainer(Two(), "mse", dtype="float64")
    offset = np.arange(120.0).reshape(40, 3)
    plain = trainer.predict({"left": A, "right": B})
    np.testing.assert_allclose(trainer.predict({"offset": offset, "left": A, "right": B}), plain + offset)
    np.testing.assert_allclose(trainer.predict((A, B, offset)), plain + offset)
    np.testing.assert_array_equal(trainer.predict((A, B)), plain)


def test_one_input_by_name_is_not_taken_for_another_later() -> None:
    class Either(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(2, in_features=4)

        def __call__(self, plain: Any = None, negated: Any = None) -> Any:
            return self.dense(plain) if negated is None else -self.dense(negated)

    trainer = bp.Trainer(Either(), "mse")
    for _ in range(2):
        np.testing.assert_array_equal(trainer.predict({"negated": X}), -trainer.predict({"plain": X}))
        np.testing.assert_array_equal(trainer.predict(X), trainer.predict({"plain": X}))


def test_names_that_only_stars_take() -> None:
    trained = []
    for x in ({"left": A, "right": B}, {"right": B, "left": A}):
        trainer = bp.Trainer(Named(), "cross_entropy")
        trainer.fit(x, Y, epochs=2, progress=False)
        trained.append(bits(trainer))
    assert trained[0] == trained[1]


def _objective(model: Any, left: Any, right: Any, label: Any) -> Any:
    return losses.cross_entropy(model(left, right), label)


@pytest.mark.parametrize(
    "x", [(A, B, Y), [A, B, Y], {"label": Y, "left": A, "right": B}], ids=["tuple", "list", "dict"]
)
def test_an_objective_takes_them_too(x: Any) -> None:
    trainer = bp.Trainer(Two(), objective=_objective)
    history = trainer.fit(x, epochs=2, batch_size=16, validation_data=x, progress=False)
    start = trainer.snapshot()
    loss = trainer.step(x)
    if not isinstance(x, dict):
        trainer.restore(start)
        assert trainer.step(*x) == loss
    twin = bp.Trainer(Two(), "cross_entropy")
    expected = twin.fit((A, B), Y, epochs=2, batch_size=16, validation_data=((A, B), Y), progress=False)
    assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-5)
    assert loss == pytest.approx(twin.step((A, B), Y), rel=1e-5)


def test_a_list_of_rows_is_one_input_of_a_model_that_takes_one() -> None:
    trainer = bp.Trainer(nn.Sequential(nn.Dense(3)), "cross_entropy")
    np.testing.assert_array_equal(trainer.predict(list(X)), trainer.predict(X))


class Masked(nn.Module):
    """Rows of numbers, and how many of each count; all do if that is left out."""

    def __init__(self) -> None:
        self.dense = nn.Dense(3)

    def __call__(self, x: Any, lengths: Any = None) -> Any:
        return self.dense(x if lengths is None else ops.where((lengths > 1).reshape(-1, 1), x, 0.0))


class Summed(Masked):
    def __call__(self, *inputs: Any) -> Any:
        return super().__call__(*inputs)


LENGTHS = np.arange(len(X)) % 3


def _masked_objective(model: Any, x: Any, lengths: Any = None) -> Any:
    return (model(x, lengths) ** 2.0).mean()


@pytest.mark.parametrize("model", [Masked, Summed])
def test_a_list_of_arrays_is_the_inputs_of_a_model_that_may_have_so_many(model: type[nn.Module]) -> None:
    """As PyTorch's loaders give them; the bits are those of a tuple."""
    trained = []
    for kind in (tuple, list):
        x = kind((X, LENGTHS))
        trainer = bp.Trainer(model(), "cross_entropy")
        trainer.fit(x, Y, epochs=2, batch_size=16, validation_data=(x, Y), progress=False)
        trainer.fit([[kind((X[:9], LENGTHS[:9])), Y[:9]]], epochs=1, progress=False)
        trainer.step(x, Y)
        trained.append((bits(trainer), trainer.evaluate(x, Y), trainer.predict(x).tobytes()))
    assert trained[0] == trained[1]


def test_a_list_of_arrays_is_the_inputs_of_an_objective_that_may_have_so_many() -> None:
    trained = []
    for x in ((X, LENGTHS), [X, LENGTHS]):
        trainer = bp.Trainer(Masked(), objective=_masked_objective)
        trainer.fit(x, epochs=2, progress=False)
        trained.append(bits(trainer))
    assert trained[0] == trained[1]


def test_a_list_of_rows_is_one_input_of_a_model_that_takes_more() -> None:
    trainer = bp.Trainer(Masked(), "cross_entropy")
    np.testing.assert_array_equal(trainer.predict(list(X[:2])), trainer.predict(X[:2]))


# What is wrong


CALLS: dict[str, Callable[[bp.Trainer, Any], Any]] = {
    "fit": lambda trainer, x: trainer.fit(x, Y, epochs=1, progress=False),
    "fit: validation": lambda trainer, x: trainer.fit(
        (A, B), Y, epochs=1, validation_data=(x, Y), progress=False
    ),
    "evaluate": lambda trainer, x: trainer.evaluate(x, Y),
    "predict": lambda trainer, x: trainer.predict(x),
    "step": lambda trainer, x: trainer.step(x, Y),
    "gradients": lambda trainer, x: trainer.gradients(x, Y),
}


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize(
    ("x", "error", "fragment"),
    [
        (
            {"lft": A, "right": B},
            ValueError,
            "the model takes no input 'lft'; did you mean 'left'",
        ),
        ({"right": B}, ValueError, "x has no 'left', which the model takes; it has right"),
        ({1: A, "right": B}, TypeError, "the names of inputs are strings, got 1"),
        ({}, ValueError, "x has no 'left'"),
        ({"left": A, "right": B[:39]}, ValueError, "x['left'] has 40 samples, x['right'] has 39"),
        ((A, B[:39]), ValueError, "input 0 has 40 samples, input 1 has 39"),
        ({"left": A, "right": B.astype(str)}, TypeError, "x['right']: expected numbers"),
        ({"left": A, "right": np.where(B[3, 1] == B, np.nan, B)}, ValueError, "x['right'][3, 1] is nan"),
    ],
)
def test_bad_inputs(who: str, x: Any, error: type[Exception], fragment: str) -> None:
    trainer = bp.Trainer(Two(), "cross_entropy")
    trainer.fit((A, B), Y, epochs=1, progress=False)
    assert_refused(trainer, lambda: CALLS[who](trainer, x), error, f"{who}: {fragment}")


@pytest.mark.parametrize("who", CALLS)
def test_too_many_inputs(who: str) -> None:
    trainer = bp.Trainer(Two(), "cross_entropy")
    trainer.fit((A, B), Y, epochs=1, progress=False)
    message = "the model takes (left, right, offset), but x has 4 inputs"
    assert_refused(trainer, lambda: CALLS[who](trainer, (A, B, A, B)), TypeError, message)


def test_an_objective_says_what_it_takes() -> None:
    trainer = bp.Trainer(Two(), objective=_objective)
    trainer.fit((A, B, Y), epochs=1, progress=False)
    for x, fragment in (
        (
            {"left": A, "right": B, "labels": Y},
            "the objective takes no input 'labels'; did you mean 'label'",
        ),
        ({"left": A, "right": B}, "x has no 'label', which the objective takes"),
    ):
        assert_refused(trainer, lambda x=x: trainer.fit(x, epochs=1, progress=False), ValueError, fragment)
        assert_refused(trainer, lambda x=x: trainer.step(x), ValueError, fragment)
