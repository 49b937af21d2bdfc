"""Metrics of one's own: what they are given, what is refused, and by which name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from bpcore import losses, metrics, ops
from tests.metrics.models import everywhere, fixed

X = np.random.default_rng(3).normal(size=(45, 3))
Y = X[:, ::-1] + 0.5
WEIGHT = np.random.default_rng(4).uniform(size=45)


class Bias(metrics.Metric):
    """That of the docstring of Metric."""

    name = "bias"

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        difference = ops.cast(prediction - target, "float64")
        weights = metrics.spread(weight, difference)
        return ops.sum(difference * weights), ops.sum(weights)

    def result(self, *sums: Any) -> Any:
        difference, weight = sums
        return float(difference / weight)


class Covariance(metrics.Metric):
    """An array, of one statistic that is a matrix, another a vector, and a number that does not vary."""

    name = "covariance"
    scalar = False

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:  # noqa: ARG002
        return ops.matmul(ops.transpose(prediction), prediction), ops.sum(prediction, axis=0), np.ones(2)

    def result(self, *sums: Any) -> Any:
        products, total, batches = sums
        assert batches.tolist() in ([7, 7], [1, 1])  # held-out data are one batch
        return products / 45 - np.outer(total, total) / 45**2


class Median(metrics.Metric):
    """What no sums can give."""

    name = "median"
    collect = True

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:  # noqa: ARG002
        return ops.abs(prediction - target)

    def result(self, *sums: Any) -> Any:
        return np.median(sums[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_own_objects(dtype: str) -> None:
    trainer = fixed("mse", 3, [Bias(), Covariance(), "mae", Median()], dtype=dtype)
    for values in everywhere(trainer, X, Y):
        assert list(values) == ["loss", "bias", "covariance", "mae", "median"]
        assert values["bias"] == pytest.approx((X - Y).mean(), rel=1e-6)
        np.testing.assert_allclose(values["covariance"], np.cov(X.T, bias=True), rtol=1e-5, atol=1e-6)
        assert values["median"] == pytest.approx(np.median(np.abs(X - Y)), rel=1e-6)
        assert type(values["bias"]) is float
        assert type(values["median"]) is float


def test_whole_numbers_stay_whole_in_a_float32_model() -> None:
    metric = of(lambda p, _: ops.sum(ops.cast(ops.equal(p, p), "int64")) * (2**24 + 1))
    found = fixed("mse", 3, [metric], dtype="float32").evaluate(X, Y, batch_size=7)
    assert found["mine"] == 45 * 3 * (2**24 + 1)


def test_weights_of_samples() -> None:
    for values in everywhere(fixed("mse", 3, [Bias()]), X, Y, WEIGHT):
        assert values["bias"] == pytest.approx(np.average((X - Y).mean(1), weights=WEIGHT), rel=1e-12)


def test_called_on_arrays_it_is_their_value() -> None:
    assert Bias()(X, Y) == pytest.approx((X - Y).mean())
    assert Bias()(X, Y, WEIGHT) == pytest.approx(np.average((X - Y).mean(1), weights=WEIGHT))


def test_a_prediction_of_several_outputs_comes_as_it_is() -> None:
    class Second(Bias):
        def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
            return super().statistics(prediction[1], target, weight)

    import bpcore as bp
    from bpcore import nn

    class Twice(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Dense(3, in_features=3)

        def __call__(self, x: Any) -> Any:
            return self.inner(x), 2 * self.inner(x)

    trainer = bp.Trainer(Twice(), lambda p, t: (p[0] - t) ** 2, metrics=[Second()], dtype="float64")
    first, second = trainer.predict(X)
    np.testing.assert_array_equal(second, 2 * first)
    assert trainer.evaluate(X, Y, batch_size=7)["bias"] == pytest.approx((second - Y).mean())


def test_what_is_ignored_has_the_first_class_and_no_weight() -> None:
    seen = []

    class Look(metrics.Metric):
        name = "look"

        def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:  # noqa: ARG002
            seen.append((target.shape, weight.shape))
            return ops.sum(weight), ops.sum(ops.cast(target, "float64")), ops.sum(ops.one_hot(target, 3))

        def result(self, *sums: Any) -> Any:
            return np.array(sums)

    y = np.arange(45) % 3
    y[::2] = -100
    trainer = fixed(partial(losses.cross_entropy, ignore_index=-100), 3, [Look()])
    found = trainer.evaluate(X, y, batch_size=7)["look"]
    assert found.tolist() == [22, y[1::2].sum(), 45]
    assert trainer.evaluate(X, y, sample_weight=WEIGHT, batch_size=7)["look"][0] == pytest.approx(
        WEIGHT[1::2].sum()
    )
    assert seen[0] == ((7,), (7,))


# Errors


def of(
    statistics: Any, result: Any = lambda *sums: float(sums[0].sum()), **attributes: Any
) -> metrics.Metric:
    """A metric "mine" of these two functions."""
    methods = {
        "statistics": lambda self, prediction, target, weight=None: statistics(prediction, target),  # noqa: ARG005
        "result": lambda self, *sums: result(*sums),  # noqa: ARG005
    }
    made: metrics.Metric = type("Mine", (metrics.Metric,), {"name": "mine", **methods, **attributes})()
    return made


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        (of(lambda *_: 1.0), TypeError, "mine: statistics must return tensors, got float"),
        (of(lambda *_: ()), TypeError, "mine: statistics must return tensors, got none"),
        (of(lambda *_: np.ones(3)), TypeError, "metric mine: its statistics do not depend on the batch"),
        (of(lambda p, t: p - t), ValueError, "metric mine: its statistics have the shapes ((7, 3),) in a"),
        (of(lambda p, t: ops.sum(p - t), collect=True), ValueError, "metric mine: it collects rows, so each"),
        (of(lambda p, t: ops.matmul(p, t)), ValueError, "metric mine: matmul: "),
        (lambda p, t: ops.matmul(p, t), ValueError, "metric <lambda>: matmul: "),
    ],
)  # fmt: skip
def test_statistics_that_make_no_sense_are_named_before_anything_changes(
    metric: Any, error: type[Exception], message: str
) -> None:
    trainer = fixed("mse", 3, [metric])
    with pytest.raises(error) as caught:
        trainer.fit(X, Y, epochs=1, batch_size=7, progress=False)
    assert str(caught.value).startswith(message)
    assert trainer.steps == 0


@pytest.mark.parametrize("value", [None, "much", [1, "x"]])
def test_a_result_is_a_number_or_an_array(value: Any) -> None:
    trainer = fixed("mse", 3, [of(lambda p, t: ops.sum(p), lambda *sums: value)])  # noqa: ARG005
    with pytest.raises(TypeError, match="mine: result must return a number or an array of numbers, got"):
        trainer.evaluate(X, Y)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([metrics.F1], TypeError, "an object of metrics.Metric, got the class F1"),
        ([of(lambda *_: None, name=None)], TypeError, "Mine: a metric needs a name, a word, got None"),
        ([of(lambda *_: None, name="val_f1")], ValueError, "the name of the metric 'val_f1' is taken"),
        ([type("Half", (metrics.Metric,), {"name": "half"})()], TypeError, "Half: a metric must define stat"),
        (
            [type("Half", (metrics.Metric,), {"name": "half", "statistics": print})()],
            TypeError,
            "Half: a metric must define result",
        ),
        (["f1", metrics.F1("micro")], ValueError, "'f1' is taken; give it another name"),
        (metrics.F1(), TypeError, "metrics must be a list"),
        (["top_k"], ValueError, "unknown metric 'top_k'; did you mean 'top_5'"),
        (["top_0"], ValueError, "unknown metric 'top_0'"),
    ],
)
def test_what_is_no_metric_is_refused_when_the_trainer_is_made(
    given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        fixed("mse", 3, given)
    assert message in str(caught.value)


def test_spread_says_what_does_not_fit() -> None:
    assert metrics.spread(None, X).tolist() == np.ones((45, 3)).tolist()
    np.testing.assert_array_equal(metrics.spread(WEIGHT, X), np.repeat(WEIGHT[:, None], 3, 1))
    with pytest.raises(ValueError, match=r"spread: .* shape \(45, 3\) can't have weights of shape \(3,\)"):
        metrics.spread(WEIGHT[:3], X)
