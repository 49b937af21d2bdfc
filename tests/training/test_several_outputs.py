"""Models of several outputs: losses, weights and metrics by output, their names, values and errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, metrics, nn, ops, optim
from bpcore.callbacks import EarlyStopping
from tests.training.problems import bits, blobs, cross_entropy
from tests.training.refusal import assert_refused

N = 50
X, SEX = blobs(N)
X = X.astype(np.float64)
AGE = X @ np.array([1.0, -2.0, 0.5, 0.25]) + 1
Y = {"age": AGE, "sex": SEX}
WEIGHTS = np.random.default_rng(2).uniform(0.1, 3, N)


class Person(nn.Module):
    """Two heads on one body, in a dict, or in a tuple."""

    def __init__(self, as_tuple: bool = False) -> None:
        self.body, self.age, self.sex = nn.Dense(8, "tanh"), nn.Dense(1), nn.Dense(3)
        self.as_tuple = as_tuple

    def __call__(self, x: Any) -> Any:
        h = self.body(x)
        return (self.age(h), self.sex(h)) if self.as_tuple else {"sex": self.sex(h), "age": self.age(h)}


def _trainer(loss: Any = None, as_tuple: bool = False, **options: Any) -> bp.Trainer:
    loss = {"age": "mse", "sex": "cross_entropy"} if loss is None else loss
    return bp.Trainer(Person(as_tuple), loss, optim.Adam(0.03), dtype="float64", **options)


def _expected(trainer: bp.Trainer, rows: slice = slice(None), weight: Any = None) -> dict[str, float]:
    """Both losses and the accuracy, in NumPy."""
    prediction = trainer.predict(X[rows])
    w = None if weight is None else weight[rows]
    return {
        "age_loss": np.average((prediction["age"][:, 0] - AGE[rows]) ** 2, weights=w),
        "sex_loss": np.average(cross_entropy(prediction["sex"], SEX[rows]), weights=w),
        "sex_accuracy": np.average(prediction["sex"].argmax(1) == SEX[rows], weights=w),
    }


@pytest.mark.parametrize("weight", [None, WEIGHTS])
@pytest.mark.parametrize("loss_weights", [None, {"sex": 2.5}, {"age": 0.5, "sex": 0.0}])
def test_values_are_those_of_each_output_and_their_weighted_sum(weight: Any, loss_weights: Any) -> None:
    trainer = _trainer(metrics={"sex": ["accuracy"]}, loss_weights=loss_weights)
    expected = _expected(trainer, weight=weight)
    found = trainer.evaluate(X, Y, batch_size=7, sample_weight=weight)
    factors = {"age": 1.0, "sex": 1.0, **(loss_weights or {})}
    expected["loss"] = sum(factors[each] * expected[f"{each}_loss"] for each in factors)
    assert found == pytest.approx(expected, rel=1e-12)
    assert list(found) == ["loss", "age_loss", "sex_loss", "sex_accuracy"]


@pytest.mark.parametrize("as_tuple", [False, True])
def test_samples_may_weigh_otherwise_in_each_output(as_tuple: bool) -> None:
    other = WEIGHTS[::-1]
    trainer = _trainer(metrics={"sex": ["accuracy"]})
    first, second = (_expected(trainer, weight=weight) for weight in (WEIGHTS, other))
    plain = _expected(trainer)
    if as_tuple:
        trainer = _trainer(["mse", "cross_entropy"], True, metrics=[None, "accuracy"])
    names = ("0_loss", "1_loss", "1_accuracy") if as_tuple else ("age_loss", "sex_loss", "sex_accuracy")
    for age, sex in ((WEIGHTS, other), (WEIGHTS, None), (None, other)):
        weight: Any = (age, sex) if as_tuple else {"age": age, "sex": sex}
        found = trainer.evaluate(X, (AGE, SEX) if as_tuple else Y, batch_size=20, sample_weight=weight)
        expected = [
            (plain if age is None else first)["age_loss"],
            (plain if sex is None else second)["sex_loss"],
            (plain if sex is None else second)["sex_accuracy"],
        ]
        assert [found[name] for name in names] == pytest.approx(expected, rel=1e-12)


def test_weights_by_output_in_training() -> None:
    """A split and batches take them along; where only one weighs anything, the other one is not there."""
    weight = {"age": WEIGHTS, "sex": np.where(np.arange(N) < 30, 1.0, 0.0)}
    whole, parted = (_trainer() for _ in range(2))
    whole.fit(X, Y, epochs=2, validation_split=0.2, sample_weight=weight, progress=False)
    head = {name: value[:40] for name, value in Y.items()}
    weight = {name: value[:40] for name, value in weight.items()}
    parted.fit(X[:40], head, epochs=2, sample_weight=weight, progress=False)
    assert bits(whole) == bits(parted)
    assert whole.step(X, Y, {"age": WEIGHTS}) == parted.step(X, Y, {"age": WEIGHTS, "sex": None})


def test_gradients_are_those_of_the_weighted_sum() -> None:
    trainer = _trainer(loss_weights={"age": 0.25, "sex": 3})

    def whole(model: Any, x: Any, age: Any, sex: Any) -> Any:
        out = model(x)
        return 0.25 * losses.mse(out["age"], age) + 3 * losses.cross_entropy(out["sex"], sex)

    twin = bp.Trainer(Person(), objective=whole, dtype="float64")
    expected = twin.gradients(X, AGE[:, None], SEX)
    for name, value in trainer.gradients(X, Y).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)


def test_fit_learns_both_and_reports_them() -> None:
    trainer = _trainer(metrics={"sex": "accuracy"})
    stopping = EarlyStopping(monitor="val_age_loss", patience=100)
    history = trainer.fit(
        X, Y, epochs=60, batch_size=10, validation_data=(X[:30], {"sex": SEX[:30], "age": AGE[:30]}),
        callbacks=[stopping], progress=False,
    )  # fmt: skip
    names = ["loss", "age_loss", "sex_loss", "sex_accuracy"]
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    assert history["sex_accuracy"][-1] > 0.95
    assert history["age_loss"][-1] < 0.1 * history["age_loss"][0]
    for end in ("", "val_"):
        total = np.add(history[f"{end}age_loss"], history[f"{end}sex_loss"])
        np.testing.assert_allclose(history[f"{end}loss"], total, rtol=1e-12)


def test_a_tuple_of_outputs_is_told_apart_by_place() -> None:
    by_name = _trainer(metrics={"sex": ["accuracy"]}, loss_weights={"age": 0.5})
    by_place = _trainer(["mse", "cross_entropy"], True, metrics=[None, "accuracy"], loss_weights=(0.5, 1.0))
    first = by_name.fit(X, Y, epochs=3, validation_split=0.2, progress=False)
    second = by_place.fit(X, (AGE, SEX), epochs=3, validation_split=0.2, progress=False)
    assert list(second)[:4] == ["loss", "0_loss", "1_loss", "1_accuracy"]
    assert bits(by_name) == bits(by_place)
    assert first["val_loss"] == second["val_loss"]
    assert by_place.step(X, [AGE, SEX]) == by_name.step(X, Y)


def test_an_output_without_a_loss_is_not_trained_on() -> None:
    trainer = _trainer({"age": "mse", "sex": None}, metrics={"sex": ["accuracy"]})
    trainer.predict(X)
    head = trainer.parameters["sex.weight"].copy()
    history = trainer.fit(X, Y, epochs=2, progress=False)
    np.testing.assert_array_equal(trainer.parameters["sex.weight"], head)
    assert list(history) == ["loss", "age_loss", "sex_accuracy"]
    assert history["loss"] == history["age_loss"]
    assert trainer.evaluate(X, Y)["sex_accuracy"] == _expected(trainer)["sex_accuracy"]


def test_outputs_that_nothing_asks_for_need_no_target() -> None:
    alone = _trainer({"age": "mse"})
    none = _trainer({"age": "mse", "sex": None})
    by_place = _trainer(["mse", None], True)
    for trainer, y in ((alone, {"age": AGE}), (none, {"age": AGE}), (none, Y), (by_place, (AGE, None))):
        trainer.fit(X, y, epochs=1, progress=False)
    assert bits(alone) == bits(by_place)


def test_a_function_of_ones_own_gets_both_structures_as_they_are() -> None:
    def both(prediction: Any, target: Any) -> Any:
        age = losses.mse(prediction["age"], target["age"], "none")[:, 0]
        return age + losses.cross_entropy(prediction["sex"], target["sex"], "none")

    def both_by_place(prediction: Any, target: Any) -> Any:
        return both(*({"age": each[0], "sex": each[1]} for each in (prediction, target)))

    named = _trainer(both, metrics={"sex": ["accuracy"]})
    expected = _trainer(metrics={"sex": ["accuracy"]})
    placed = _trainer(both_by_place, True)
    found = named.evaluate(X, Y, batch_size=20, sample_weight=WEIGHTS)
    whole = expected.evaluate(X, Y, sample_weight=WEIGHTS)
    assert found == pytest.approx({name: whole[name] for name in ("loss", "sex_accuracy")}, rel=1e-12)
    placed_loss = placed.evaluate(X, (AGE, SEX), sample_weight=WEIGHTS)["loss"]
    assert placed_loss == pytest.approx(whole["loss"], rel=1e-12)


def test_a_loss_with_options_and_its_metric_belong_to_their_output() -> None:
    """Ignored classes, binary logits, and a loss of an output that is itself a pair."""

    class Three(nn.Module):
        def __init__(self) -> None:
            self.kind, self.sign, self.size = nn.Dense(3), nn.Dense(1), nn.Dense(2)

        def __call__(self, x: Any) -> Any:
            size = self.size(x)
            pair = size[:, :1], ops.exp(size[:, 1:])
            return {"kind": self.kind(x), "sign": self.sign(x), "size": pair}

    loss = {
        "kind": functools.partial(losses.cross_entropy, ignore_index=-100),
        "sign": "binary_cross_entropy",
        "size": "gaussian_nll",
    }
    measured = {"kind": "accuracy", "sign": "accuracy"}
    trainer = bp.Trainer(Three(), loss, optim.Adam(0.01), metrics=measured, dtype="float64")
    kinds = np.where(np.arange(N) % 5 == 0, -100, SEX)
    y = {"kind": kinds, "sign": (AGE > 0).astype(int), "size": AGE}
    found, prediction = trainer.evaluate(X, y, batch_size=20), trainer.predict(X)
    counted = kinds >= 0
    right = prediction["kind"].argmax(1) == kinds
    mean, variance = (each[:, 0] for each in prediction["size"])
    assert found["kind_accuracy"] == pytest.approx(right[counted].mean())
    assert found["kind_loss"] == pytest.approx(
        cross_entropy(prediction["kind"][counted], kinds[counted]).mean(), rel=1e-12
    )
    assert found["sign_accuracy"] == pytest.approx(((prediction["sign"][:, 0] > 0) == (AGE > 0)).mean())
    assert found["size_loss"] == pytest.approx(
        (np.log(variance) + (AGE - mean) ** 2 / variance).mean() / 2, rel=1e-12
    )
    wrong = {**y, "kind": np.where(kinds == 2, 3, kinds)}
    message = "fit: output 'kind': y[2] is 3, but cross_entropy takes -100, which it ignores, and integers"
    assert_refused(trainer, lambda: trainer.fit(X, wrong, epochs=1, progress=False), ValueError, message)


def test_metrics_with_statistics_are_of_their_output(tmp_path: Path) -> None:
    """Sums and rows of several outputs at once, as of trainers with one output each; a file keeps them."""
    given = {"sex": [metrics.F1(average="macro"), "confusion_matrix", "accuracy"], "sign": ["roc_auc"]}

    class Heads(nn.Module):
        def __init__(self) -> None:
            self.sign, self.sex = nn.Dense(1), nn.Dense(3)

        def __call__(self, x: Any) -> Any:
            return {"sign": self.sign(x), "sex": self.sex(x)}

    loss = {"sign": "binary_cross_entropy", "sex": "cross_entropy"}
    y = {"sign": (AGE > 0).astype(int), "sex": SEX}
    trainer = bp.Trainer(Heads(), loss, optim.Adam(0.01), metrics=given, dtype="float64")
    history = trainer.fit(X, y, epochs=2, batch_size=16, validation_split=0.2, progress=False)
    assert history["val_sex_confusion_matrix"][-1].sum() == 10
    found = trainer.evaluate(X, y, batch_size=16, sample_weight={"sex": WEIGHTS})
    for key, weight in (("sex", WEIGHTS), ("sign", None)):
        alone = bp.Trainer(getattr(trainer.model, key).copy(), loss[key], metrics=given[key], dtype="float64")
        for name, value in alone.evaluate(X, y[key], sample_weight=weight).items():
            np.testing.assert_allclose(found[f"{key}_{name}"], value, rtol=1e-12)
    trainer.save(tmp_path / "run.safetensors")
    loaded = bp.Trainer.load(tmp_path / "run.safetensors", Heads())
    np.testing.assert_equal(loaded.evaluate(X, y), trainer.evaluate(X, y))


def test_lbfgs_minimises_the_sum() -> None:
    trainer = bp.Trainer(Person(), {"age": "mse", "sex": "cross_entropy"}, optim.LBFGS(), dtype="float64")
    history = trainer.fit(X, Y, epochs=5, batch_size=N, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    assert list(history) == ["loss", "age_loss", "sex_loss"]


@pytest.mark.parametrize("as_tuple", [False, True])
def test_a_loaded_trainer_has_the_losses_of_each_output(tmp_path: Path, as_tuple: bool) -> None:
    if as_tuple:
        trainer = _trainer(["mse", None], True, metrics=[None, "accuracy"], loss_weights=[2, None])
        y: Any = (AGE, SEX)
    else:
        trainer = _trainer(loss_weights={"age": 0.5}, metrics={"sex": ["accuracy"]})
        y = Y
    trainer.fit(X, y, epochs=1, progress=False)
    trainer.save(tmp_path / "run.safetensors")
    loaded = bp.Trainer.load(tmp_path / "run.safetensors", Person(as_tuple))
    assert (loaded.loss, loaded.loss_weights) == (trainer.loss, trainer.loss_weights)
    assert loaded.evaluate(X, y) == trainer.evaluate(X, y)
    trainer.fit(X, y, epochs=2, progress=False)
    loaded.fit(X, y, epochs=2, progress=False)
    assert bits(trainer) == bits(loaded)


def test_functions_among_the_losses_are_given_again(tmp_path: Path) -> None:
    loss = {"age": functools.partial(losses.huber, delta=2.0), "sex": "cross_entropy"}
    trainer = _trainer(loss, loss_weights={"age": 0.5})
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="functions are not saved; give loss= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "run.safetensors", Person())
    loaded = bp.Trainer.load(tmp_path / "run.safetensors", Person(), loss=loss)
    assert loaded.evaluate(X, Y) == trainer.evaluate(X, Y)


# What is wrong


def _named(name: str) -> Callable[[Any, Any], Any]:
    """A metric of this name."""

    def metric(prediction: Any, target: Any) -> Any:
        return prediction - target

    metric.__name__ = name
    return metric


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"loss": {}}, ValueError, "loss is an empty dict"),
        ({"loss": []}, ValueError, "loss is an empty list"),
        ({"loss": {0: "mse"}}, TypeError, "the keys of loss are names of outputs, got 0"),
        ({"loss": {"age": None}}, ValueError, "no output has a loss"),
        ({"loss": {"age": "mes"}}, ValueError, "output 'age': unknown loss 'mes'; did you mean 'mse'"),
        ({"loss": ["mse", 3]}, TypeError, "output 1: a loss is a name or a function"),
        ({"loss": "mse", "loss_weights": {"age": 1}}, ValueError, "loss_weights go with a dict or a list"),
        ({"loss_weights": [1, 1]}, TypeError, "loss_weights must be a dict by output, too"),
        (
            {"loss_weights": {"aeg": 1}},
            ValueError,
            "loss_weights has 'aeg', an output that loss doesn't have",
        ),
        ({"loss_weights": {"age": -1}}, ValueError, "loss_weights must be finite and at least 0, got -1"),
        ({"loss_weights": {"age": "1"}}, TypeError, "output 'age': Trainer: loss_weights must be a number"),
        ({"loss": {"age": "mse", "sex": None}, "loss_weights": {"sex": 1}}, ValueError, "but no loss"),
        ({"loss": ["mse", "mse"], "loss_weights": [1]}, TypeError, "loss_weights must be a list of 2"),
        ({"metrics": ["accuracy"]}, TypeError, "metrics must be a dict by output, too"),
        ({"metrics": {"six": ["accuracy"]}}, ValueError, "metrics has 'six'"),
        ({"metrics": {"sex": ["acuracy"]}}, ValueError, "output 'sex': unknown metric 'acuracy'"),
        ({"loss": ["mse", "mse"], "metrics": ["accuracy"]}, TypeError, "metrics must be a list of 2"),
        ({"loss": {"val_a": "mse"}}, ValueError, "the name 'val_a_loss' in the logs is taken"),
        ({"metrics": {"sex": ["accuracy", "accuracy"]}}, ValueError, "output 'sex': the name of the metric"),
        (
            {"loss": {"a": "mse", "a_b": "mse"}, "metrics": {"a": _named("b_loss")}},
            ValueError,
            "name 'a_b_loss'",
        ),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], fragment: str) -> None:
    given = {"loss": {"age": "mse", "sex": "cross_entropy"}, **arguments}
    with pytest.raises(error) as caught:
        bp.Trainer(Person(), **given)
    assert fragment in str(caught.value)


CALLS: dict[str, Callable[[bp.Trainer, Any], Any]] = {
    "fit": lambda trainer, y: trainer.fit(X, y, epochs=1, progress=False),
    "fit: validation": lambda trainer, y: trainer.fit(X, Y, epochs=1, validation_data=(X, y), progress=False),
    "evaluate": lambda trainer, y: trainer.evaluate(X, y),
    "step": lambda trainer, y: trainer.step(X, y),
    "gradients": lambda trainer, y: trainer.gradients(X, y),
}


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize(
    ("y", "error", "fragment"),
    [
        (AGE, TypeError, "y must be a dict, as the losses are, of age, sex; got ndarray"),
        ((AGE, SEX), TypeError, "y must be a dict, as the losses are, of age, sex; got tuple"),
        ({"age": AGE}, ValueError, "y has no target for output 'sex', which has a loss or a metric"),
        ({**Y, "size": AGE}, ValueError, "y has 'size', an output without a loss; "),
        ({**Y, "sex": SEX + 1}, ValueError, "y['sex'][2] is 3, but cross_entropy takes integers from 0 to 2"),
        ({**Y, "age": AGE[:49]}, ValueError, "x has 50 samples, y['age'] has 49"),
        ({**Y, "age": np.where(np.arange(N) == 3, np.nan, AGE)}, ValueError, "y['age'][3] is nan"),
        ({**Y, "age": np.ones((N, 2))}, ValueError, "output 'age': mse: the prediction has shape"),
        ({**Y, "sex": AGE}, TypeError, "output 'sex': cross_entropy: float targets are probabilities"),
        (
            {**Y, "sex": np.full((N, 3), 0.5)},
            ValueError,
            "output 'sex': float targets of cross_entropy are probabilities",
        ),
    ],
)
def test_bad_targets(who: str, y: Any, error: type[Exception], fragment: str) -> None:
    trainer = _trainer()
    trainer.fit(X, Y, epochs=1, progress=False)
    assert_refused(trainer, lambda: CALLS[who](trainer, y), error, fragment)


@pytest.mark.parametrize(
    ("loss", "as_tuple", "y", "error", "fragment"),
    [
        ({"age": "mse", "sx": "mse"}, False, {"age": AGE, "sx": AGE}, ValueError, "did you mean 'sex'"),
        (
            {"age": "mse"},
            True,
            {"age": AGE},
            TypeError,
            "must return a dict of its outputs, not a tuple of 2",
        ),
        (["mse", "mse"], False, (AGE, AGE), TypeError, "must return a tuple of 2, not a dict"),
        (["mse"] * 3, True, (AGE, AGE, AGE), TypeError, "must return a tuple of 3, not a tuple of 2"),
        (["mse"], True, (AGE,), TypeError, "must return a tuple of 1, not a tuple of 2"),
        (
            ["mse", "mse"],
            True,
            (AGE,),
            TypeError,
            "y must be a tuple of 2, a target for each loss, got tuple",
        ),
        ("mse", False, Y, TypeError, "mse compares one prediction with one target, got a dict of targets"),
    ],
)
def test_structures_that_do_not_match(
    loss: Any, as_tuple: bool, y: Any, error: type[Exception], fragment: str
) -> None:
    trainer = _trainer(loss, as_tuple)
    with pytest.raises(error) as caught:
        trainer.fit(X, y, epochs=1, progress=False)
    assert fragment in str(caught.value)
    assert trainer.model.body.in_features is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("weight", "error", "fragment"),
    [
        (
            {"six": WEIGHTS},
            ValueError,
            "sample_weight has 'six', an output without a loss or a metric; did you",
        ),
        ({"age": -WEIGHTS}, ValueError, "sample_weight['age'] must be at least 0"),
        ({"age": WEIGHTS[:49]}, ValueError, "x has 50 samples, sample_weight['age'] has 49"),
        ({"age": WEIGHTS[:, None]}, ValueError, "sample_weight['age'] must have shape (samples,)"),
        ((WEIGHTS, WEIGHTS), TypeError, "sample_weight by output must be a dict, as the losses are"),
    ],
)
def test_bad_weights_by_output(weight: Any, error: type[Exception], fragment: str) -> None:
    trainer = _trainer()
    trainer.fit(X, Y, epochs=1, progress=False)
    assert_refused(
        trainer, lambda: trainer.fit(X, Y, epochs=1, sample_weight=weight, progress=False), error, fragment
    )


@pytest.mark.parametrize("weight", [(WEIGHTS,), [WEIGHTS] * 3, {"age": WEIGHTS}])
def test_bad_weights_by_place(weight: Any) -> None:
    trainer = _trainer(["mse", "cross_entropy"], True)
    with pytest.raises(TypeError, match="sample_weight by output must be a tuple of 2, as the losses are"):
        trainer.fit(X, (AGE, SEX), epochs=1, sample_weight=weight, progress=False)
