"""LBFGS: its line search, what is not finite, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.engine.fullbatch import FullBatchSession
from bpcore.optim.lbfgs import Memory, Pair, Point
from bpcore.optim.wolfe import Trial, interpolate, strong_wolfe
from tests.training.problems import bits, network, regression
from tests.training.refusal import X, Y, assert_refused, everything

ROW = np.zeros((1, 1))
SEARCH = {"line_search_fn": "strong_wolfe"}
NAN = math.nan
INF = math.inf


# The line search, along functions of one number


def _trial(function: Callable[[float], tuple[float, float]], t: float) -> Trial:
    loss, slope = function(t)
    return Trial(t, loss, np.array([slope]), slope)


def _log_barrier(t: float) -> tuple[float, float]:
    """-2t - log(3 - t), which is infinite from 3 on; least at 2.5."""
    return (-2 * t - math.log(3 - t), -2 + 1 / (3 - t)) if t < 3 else (INF, INF)


FUNCTIONS: dict[str, Callable[[float], tuple[float, float]]] = {
    "parabola": lambda t: ((t - 3) ** 2, 2 * (t - 3)),
    "quartic": lambda t: ((t - 2) ** 4 - t, 4 * (t - 2) ** 3 - 1),
    "waves": lambda t: (0.3 * math.sin(7 * t) + (t - 2) ** 2, 2.1 * math.cos(7 * t) + 2 * (t - 2)),
    "kink": lambda t: (math.sqrt((t - 1) ** 2 + 1e-6), (t - 1) / math.sqrt((t - 1) ** 2 + 1e-6)),
    "barrier": _log_barrier,
}


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_step_found_meets_the_conditions(name: str, first: float) -> None:
    function, tried = FUNCTIONS[name], list[float]()

    def evaluate(t: float) -> Trial:
        tried.append(t)
        return _trial(function, t)

    start = _trial(function, 0.0)
    found, count = strong_wolfe(evaluate, start, first, 1.0, 1e-12, 60)
    assert count == len(tried) <= 60
    assert tried[0] == first
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert (found.loss, found.slope) == function(found.t)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_search_that_may_not_go_on_returns_the_best_it_has(most: int) -> None:
    start = _trial(_log_barrier, 0.0)
    found, count = strong_wolfe(lambda t: _trial(_log_barrier, t), start, 1e6, 1.0, 1e-9, most)
    assert count == most + 1
    assert found == start, "nothing that was tried is finite"


def test_a_loss_above_the_last_one_ends_the_interval() -> None:
    """Though it is far below the first, and falls steeply."""
    losses, tried = iter([-1.0, -5.0, -4.0, -6.0]), list[float]()

    def evaluate(t: float) -> Trial:
        tried.append(t)
        return Trial(t, next(losses), ROW, -1.0 if len(tried) < 4 else 0.0)

    found, count = strong_wolfe(evaluate, Trial(0.0, 0.0, ROW, -1.0), 1.0, 1.0, 1e-9, 25)
    assert count == 4
    assert tried[0] < tried[1] < found.t < tried[2]


def test_a_cubic_is_interpolated_at_its_minimum() -> None:
    def cubic(t: float) -> tuple[float, float]:
        return t**3 - 6 * t**2 + 9 * t, 3 * t**2 - 12 * t + 9  # least at 3

    for a, b in ((2.0, 5.0), (5.0, 2.0)):
        assert interpolate(_trial(cubic, a), _trial(cubic, b)) == pytest.approx(3, rel=1e-12)
    assert interpolate(_trial(cubic, 2.0), _trial(cubic, 5.0), (3.5, 9.0)) == 3.5
    line = Trial(1.0, 1.0, ROW, 1.0), Trial(3.0, 3.0, ROW, 1.0)
    assert interpolate(*line) == 2.0, "a line has no minimum"
    assert interpolate(Trial(0.0, 0.0, ROW, -1.0), Trial(4.0, INF, ROW, INF)) == 2.0
    assert interpolate(Trial(1.0, 0.0, ROW, -1.0), Trial(1.0, 0.0, ROW, -1.0)) == 1.0


# Losses that are not finite


class Vector(nn.Module):
    def __init__(self, *values: float) -> None:
        self.w = nn.Parameter(len(values), lambda shape: np.reshape(values, shape))


def _vector(objective: Any, begin: list[float], dtype: str = "float64", **options: Any) -> bp.Trainer:
    optimizer = optim.LBFGS(**options)
    return bp.Trainer(Vector(*begin), objective=lambda m, _: objective(m.w), optimizer=optimizer, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [1.0, 1e4])
def test_a_line_search_keeps_off_where_the_loss_is_not_finite(dtype: str, lr: float) -> None:
    """-2w - log(3 - w): NaN beyond 3, infinite at 3."""
    trainer = _vector(lambda w: ops.sum(-2 * w - ops.log(3 - w)), [0.0, -5.0], dtype, lr=lr, **SEARCH)
    losses = [trainer.step(ROW) for _ in range(12)]
    assert np.isfinite(losses).all()
    tolerance = 1e-2 if dtype == "float32" else 1e-3
    np.testing.assert_allclose(trainer.parameters["w"], [2.5, 2.5], rtol=tolerance)
    assert all(np.isfinite(value).all() for value in trainer.optimizer_state.values())


@pytest.mark.parametrize("options", [SEARCH, {}])
def test_a_step_that_begins_where_the_loss_is_not_finite_is_refused(options: dict[str, Any]) -> None:
    trainer = _vector(lambda w: ops.sum(w - ops.log(w)), [0.5, 2.0], lr=0.1, **options)
    trainer.step(ROW)
    trainer.parameters["w"][1] = -1
    assert_refused(trainer, lambda: trainer.step(ROW), FloatingPointError, "step: the loss is not finite at")
    before = everything(trainer)[0]
    with pytest.raises(FloatingPointError, match="fit: the loss is not finite at step 1 "):
        trainer.fit(ROW, epochs=1, progress=False)
    assert everything(trainer)[0] == before


def test_a_gradient_that_is_not_finite_names_the_layer() -> None:
    x, y = regression(20, 3, 1)
    model = network(4, 1, in_features=3)

    def objective(m: Any, x: Any, y: Any) -> Any:
        return ops.mean((m(x) - y) ** 2) + ops.sum(ops.sqrt(m[1].bias))

    trainer = bp.Trainer(model, objective=objective, optimizer="lbfgs", dtype="float64")
    assert_refused(
        trainer, lambda: trainer.step(x, y), FloatingPointError, "the gradient of layer '1' is not finite"
    )


@pytest.mark.parametrize("max_iter", [1, 5])
def test_fixed_steps_that_end_where_nothing_is_finite_change_nothing(max_iter: int) -> None:
    trainer = _vector(lambda w: ops.sum(ops.exp(w)), [1.0, 2.0], "float32", max_iter=max_iter)
    trainer.step(ROW)
    trainer.optimizer.lr = 3e38
    trainer.parameters["w"][...] = 80
    fragment = "the loss is not finite at step 1; nothing was updated"
    assert_refused(trainer, lambda: trainer.step(ROW), FloatingPointError, fragment)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inverse", [1e300, 1e30])
def test_a_memory_whose_direction_overflows_is_dropped(dtype: str, inverse: float) -> None:
    """The step is then the one that an empty memory gives."""
    large = np.full(2, np.sqrt(np.finfo(dtype).max) * 10, dtype)
    x = np.array([1.0, 2.0], dtype)

    def bowl(at: np.ndarray) -> Point:
        return Point(float((at * at).sum()), 2 * at)

    pair = Pair(large, large, inverse)
    bad = Memory([pair], 1.0, large, 0.0, np.zeros_like(x))
    optimizer = optim.LBFGS(max_iter=3, **SEARCH)
    with np.errstate(over="ignore", invalid="ignore"):
        found = optimizer.minimise(1.0, x, bowl(x), bad, bowl)
        want = optimizer.minimise(1.0, x, bowl(x), Memory(), bowl)
    assert found is not None
    assert want is not None
    np.testing.assert_array_equal(found[0], want[0])
    assert found[1].scale == want[1].scale
    assert bad.pairs == [pair], "what was given stays"


def test_states_of_a_refused_step_are_not_written() -> None:
    x, y = regression(20, 3, 1)
    model = nn.Sequential(nn.Dense(4, in_features=3), nn.BatchNorm(), nn.Dense(1))
    model.build(3, dtype="float64")
    trainer = bp.Trainer(model, "mse", optim.LBFGS(lr=1e300, max_iter=3), dtype="float64")
    assert_refused(trainer, lambda: trainer.step(x, y), FloatingPointError, "nothing was updated")


def test_an_interrupted_step_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = regression(20, 3, 1)
    trainer = bp.Trainer(network(4, 1, in_features=3), "mse", "lbfgs", dtype="float64")
    trainer.step(x, y)
    evaluate, calls = FullBatchSession._evaluate, list[int]()

    def interrupting(self: FullBatchSession, arrays: list[np.ndarray]) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return evaluate(self, arrays)

    monkeypatch.setattr(FullBatchSession, "_evaluate", interrupting)
    assert_refused(trainer, lambda: trainer.step(x, y), KeyboardInterrupt, "")
    assert trainer.step(x, y) > 0


# What doesn't go together


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"clip_norm": 1.0}, "can't go with clip_norm"),
        ({"clip_layer_norm": 1.0}, "can't go with clip_layer_norm"),
        ({"clip_value": 1.0}, "can't go with clip_value"),
        ({"nonfinite": "skip"}, "can't go with nonfinite"),
        ({"ema": 0.9}, "can't go with ema"),
    ],
)
def test_settings_that_lbfgs_cant_do_with(options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ValueError, match=fragment):
        bp.Trainer(network(3, in_features=4), "cross_entropy", "lbfgs", **options)


def test_a_constraint_is_refused() -> None:
    model = nn.Sequential(nn.Dense(3, in_features=4, kernel_constraint=nn.MaxNorm(1.0)))
    with pytest.raises(ValueError, match="LBFGS can't keep the constraint of 0.weight"):
        bp.Trainer(model, "cross_entropy", "lbfgs")


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({}, "fit: LBFGS needs full batches; use batch_size >= 40 (the samples), got 32"),
        ({"batch_size": 39}, "use batch_size >= 40"),
        ({"batch_size": 40, "accumulate": 2}, "accumulate must be 1"),
    ],
)
def test_batches_must_be_full(arguments: dict[str, Any], fragment: str) -> None:
    trainer = bp.Trainer(network(8, 3, in_features=4), "cross_entropy", "lbfgs")
    trainer.step(X, Y)
    assert_refused(
        trainer, lambda: trainer.fit(X, Y, epochs=1, progress=False, **arguments), ValueError, fragment
    )


def test_a_refused_fit_does_not_bring_parameters_about() -> None:
    model = network(8, 3)
    trainer = bp.Trainer(model, "cross_entropy", "lbfgs")
    with pytest.raises(ValueError, match="full batches"):
        trainer.fit(X, Y, epochs=1, progress=False)
    assert all(variable.storage is None for _, variable in model.named_variables())


def test_nonfinite_stop_is_what_it_does_anyway() -> None:
    trained = []
    for nonfinite in (None, "stop"):
        trainer = bp.Trainer(network(8, 3, in_features=4), "cross_entropy", "lbfgs", nonfinite=nonfinite)
        trainer.fit(X, Y, epochs=2, batch_size=40, progress=False)
        trained.append(bits(trainer))
    assert trained[0] == trained[1]


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"lr": -1.0}, ValueError, "lr must be finite and at least 0"),
        ({"lr": NAN}, ValueError, "lr must be finite"),
        ({"lr": True}, TypeError, "lr must be a number"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
        ({"max_iter": 2.0}, TypeError, "max_iter must be an integer"),
        ({"max_eval": 0}, ValueError, "max_eval must be at least 1, got 0"),
        ({"max_eval": True}, TypeError, "max_eval must be an integer"),
        ({"tolerance_grad": -1e-9}, ValueError, "tolerance_grad must be finite and at least 0"),
        ({"tolerance_change": NAN}, ValueError, "tolerance_change must be finite"),
        ({"tolerance_change": "0"}, TypeError, "tolerance_change must be a number"),
        ({"history_size": 0}, ValueError, "history_size must be at least 1"),
        ({"history_size": None}, TypeError, "history_size must be an integer"),
        ({"line_search_fn": "armijo"}, ValueError, "must be \"strong_wolfe\" or None, got 'armijo'"),
        ({"line_search_fn": True}, ValueError, 'must be "strong_wolfe" or None'),
        ({"groups": optim.Group("0")}, TypeError, "groups must be a list of optim.Group objects"),
        ({"groups": [0]}, TypeError, "groups must be optim.Group objects, got int"),
        ({"groups": [optim.Group("0")]}, ValueError, "there can be no groups"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        optim.LBFGS(**arguments)
    assert fragment in str(caught.value)
    assert "LBFGS" in str(caught.value)


def test_names_and_defaults() -> None:
    optimizer = optim.LBFGS()
    assert optimizer.settings == {
        "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-7, "tolerance_change": 1e-9, "history_size": 100,
        "line_search_fn": None,
    }  # fmt: skip
    assert optimizer.lr == 1.0
    named = optim.resolve("lbfgs")
    assert isinstance(named, optim.LBFGS)
    assert named.line_search_fn == "strong_wolfe"
    for each in (optimizer, named):
        assert repr(optim.from_config(each.config())) == repr(each)
