"""What ends a run of fit before its last epoch, and what the history says of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, optim
from bpcore.callbacks import Callback, EarlyStopping, LambdaCallback, TerminateOnNaN, TimeLimit, time_limit
from bpcore.callbacks.tolerance import Tolerance
from bpcore.trainer.checks import callback_list
from tests.training.problems import bits, blobs, network
from tests.training.refusal import assert_refused, trained

X, Y = blobs(40)


def _trainer(**options: Any) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), **options)


def _fit(trainer: bp.Trainer, *given: Callback, epochs: int = 3, **options: Any) -> bp.History:
    """Three steps an epoch."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=given, progress=False, **options)


# Reasons


def test_the_history_says_why_the_run_ended() -> None:
    assert bp.History().stopped is None
    assert _fit(_trainer()).stopped == "epochs"

    def stop(trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG001
        trainer.stop("because")
        trainer.stop("too late")

    assert _fit(_trainer(), LambdaCallback(on_epoch_end=stop)).stopped == "because"

    def unexplained(trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG001
        trainer.stop_training = True

    assert _fit(_trainer(), LambdaCallback(on_epoch_end=unexplained)).stopped == "stop_training"

    trainer = _trainer()
    trainer.stop("without a run")
    assert _fit(trainer, epochs=2).stopped == "epochs"
    stopped = _fit(_trainer(), EarlyStopping("loss", patience=1, min_delta=1e9), epochs=9).stopped
    assert stopped == "early_stopping: loss has not improved since epoch 1"
    with pytest.raises(TypeError, match="reason must be a string, got 3"):
        trainer.stop(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "stopped"), [(KeyboardInterrupt(), "interrupted"), (KeyError("mine"), "KeyError: 'mine'")]
)
def test_an_exception_is_a_reason_too_and_known_when_training_ends(error: Any, stopped: str) -> None:
    trainer, seen = _trainer(), []

    def fail(*_: Any) -> None:
        raise error

    end = LambdaCallback(on_epoch_end=fail, on_train_end=lambda each, _: seen.append(each.history.stopped))
    with pytest.raises(type(error)):
        _fit(trainer, end)
    assert trainer.history.stopped == stopped
    assert seen == [stopped]


# Time


def _sleep(*_: Any) -> None:
    time.sleep(0.02)


@pytest.mark.parametrize("by_argument", [False, True])
def test_a_time_limit_ends_the_run_in_the_middle_of_an_epoch(by_argument: bool) -> None:
    """Steps that take 20 ms each, and 40 of them an epoch; the steps that are done stay."""
    trainer, slow = _trainer(), LambdaCallback(on_step=_sleep, every_steps=1)
    given: Any = {"callbacks": [slow, TimeLimit(0.3)]}
    if by_argument:
        given = {"callbacks": [slow], "max_seconds": 0.3}
    start = time.monotonic()
    history = trainer.fit(X, Y, epochs=1000, batch_size=1, progress=False, **given)
    assert 0.3 <= time.monotonic() - start < 5
    assert history.stopped == "time"
    assert 0 < trainer.steps < 40
    assert len(history.epochs) == 0

    twin, steps = _trainer(), trainer.steps
    stop = LambdaCallback(on_step=lambda each, _: each.stop("so many"), every_steps=steps)
    twin.fit(X, Y, epochs=1, batch_size=1, callbacks=stop, progress=False)
    assert bits(twin) == bits(trainer)


def test_a_time_limit_needs_no_step_events() -> None:
    """Of a run that stops for nobody."""
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.SGD(1e-6))
    history = trainer.fit(*blobs(200_000), epochs=10**6, batch_size=4, max_seconds=0.2, progress=False)
    assert history.stopped == "time"
    assert trainer.steps > 0


def test_a_time_limit_counts_anew_with_each_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which every epoch takes 10 s."""
    now = [0.0]
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    limit, slow = TimeLimit(minutes=1), LambdaCallback(on_epoch_end=lambda *_: now.append(now.pop() + 10))
    for _ in range(2):
        assert _fit(_trainer(), slow, limit, epochs=5).stopped == "epochs"
    history = _fit(_trainer(), slow, limit, epochs=100)
    assert (history.stopped, len(history.epochs)) == ("time", 6)


def test_units_of_a_time_limit_add_up() -> None:
    assert TimeLimit(1, minutes=2, hours=0.5).seconds == 1921


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({}, ValueError, "TimeLimit: give seconds, minutes or hours above 0"),
        ({"minutes": -1}, ValueError, "TimeLimit: minutes must be finite and at least 0, got -1"),
        ({"hours": "2"}, TypeError, "TimeLimit: hours must be a number"),
    ],
)
def test_settings_of_a_time_limit(options: Any, error: type[Exception], fragment: str) -> None:
    with pytest.raises(error, match=fragment):
        TimeLimit(**options)


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"max_seconds": 0}, ValueError, "fit: max_seconds must be finite and above 0, got 0"),
        ({"max_seconds": "1"}, TypeError, "fit: max_seconds must be a number, got '1'"),
        ({"tol": -1e-4}, ValueError, "fit: tol must be finite and at least 0, got -0.0001"),
        ({"tol": True}, TypeError, "fit: tol must be a number, got True"),
    ],
)
def test_arguments_of_fit_are_checked_first(options: Any, error: type[Exception], fragment: str) -> None:
    trainer = trained()
    assert_refused(trainer, lambda: _fit(trainer, **options), error, fragment)


def test_a_checkpoint_sees_what_the_arguments_of_fit_have_decided() -> None:
    given = [callbacks.Checkpoint("run"), EarlyStopping("loss")]
    kinds = [type(each) for each in callback_list(given, max_seconds=1, tol=0.1)]
    assert kinds == [EarlyStopping, Tolerance, TimeLimit, callbacks.Checkpoint]


# Tolerance


def _epochs(losses: list[float], tol: float, n_iter_no_change: int = 10) -> int:
    """The epochs after which a run with these losses ends."""
    trainer, tolerance = _trainer(), Tolerance(tol, n_iter_no_change)
    feed = LambdaCallback(
        on_epoch_end=lambda each, _: tolerance.on_epoch_end(each, {"loss": losses[each.epochs - 1]})
    )
    tolerance.on_train_begin(trainer, {})
    return len(_fit(trainer, feed, epochs=len(losses)).epochs)


@pytest.mark.parametrize(
    ("losses", "tol", "patience", "epochs"),
    [
        # The first is better than nothing; then more than `patience` in a row that are not.
        ([5, 5, 5, 5, 5, 5], 0.1, 2, 4),
        ([5, 5, 5, 4, 4, 4, 4, 4], 0.1, 2, 7),
        # What is better by just tol counts as better, with tol = 0 what is no worse.
        ([5, 4, 3, 2, 1, 0], 1.0, 0, 6),
        ([5, 5, 5, 5, 6, 5], 0.0, 0, 5),
        # A loss that creeps moves the best along and never gets ahead of it.
        ([5, 4.9, 4.8, 4.7, 4.6, 4.5], 0.5, 2, 4),
    ],
)
def test_which_epochs_have_not_improved(losses: list[float], tol: float, patience: int, epochs: int) -> None:
    assert _epochs(losses, tol, patience) == epochs


@pytest.mark.parametrize("tol", [1e-4, 1e-3, 0.01])
def test_runs_are_as_long_as_those_of_scikit_learn(tol: float) -> None:
    network_ = pytest.importorskip("sklearn.neural_network")
    options = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.01, "random_state": 0, "max_iter": 2000}
    ended = network_.MLPClassifier(**options, tol=tol).fit(X, Y)
    on = network_.MLPClassifier(**options, tol=tol, n_iter_no_change=10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        losses = on.set_params(max_iter=ended.n_iter_ + 20).fit(X, Y).loss_curve_
    assert losses[: ended.n_iter_] == ended.loss_curve_
    assert _epochs(losses, tol) == ended.n_iter_


def test_tol_ends_a_run_that_has_converged() -> None:
    history = _fit(_trainer(), epochs=500, tol=0.05)
    assert history.stopped == "tol"
    losses = history["loss"]
    better = [loss <= min(losses[:i], default=np.inf) - 0.05 for i, loss in enumerate(losses)]
    assert better[-12:] == [True] + 11 * [False]
    assert _fit(_trainer(), epochs=5, tol=10.0).stopped == "epochs"


# Numbers that are not finite


def _break_at(epoch: int) -> Callback:
    def spoil(trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG001
        if trainer.epochs == epoch:
            trainer.parameters["1.bias"][...] = np.nan

    return LambdaCallback(on_epoch_end=spoil)


def test_a_loss_that_is_not_finite_ends_the_run_in_an_orderly_way() -> None:
    trainer, ended = _trainer(), []
    end = LambdaCallback(on_train_end=lambda *_: ended.append(True))
    with pytest.warns(
        RuntimeWarning, match=r"^TerminateOnNaN: the loss is not finite at step 6 \(step 0 of epoch 3\)"
    ):
        history = _fit(trainer, _break_at(2), TerminateOnNaN(), end, epochs=5)
    assert history.stopped == "not_finite: the loss is not finite at step 6"
    assert (len(history.epochs), trainer.steps, ended) == (2, 6, [True])
    assert np.isfinite(history["loss"]).all()


def test_a_gradient_that_is_not_finite_ends_it_before_the_update() -> None:
    """The root's slope at 0 is infinite, its value is not."""

    def objective(model: nn.Module, x: Any) -> Any:
        return bp.ops.mean(bp.ops.sqrt(bp.ops.abs(model(x))))

    trainer = bp.Trainer(
        nn.Sequential(nn.Dense(1, in_features=2)), objective=objective, optimizer="sgd", nonfinite="stop"
    )
    trainer.parameters["0.weight"][...] = 1
    x = np.array([[1, 2], [3, 4], [0, 0], [5, 6]], np.float32)
    seen: list[bytes] = []
    watch = LambdaCallback(
        on_step=lambda each, _: seen.append(bits(each)),
        on_epoch_begin=lambda each, _: each.parameters["0.bias"].fill(0),
        every_steps=1,
    )
    with pytest.warns(RuntimeWarning, match="the gradient of layer '0' is not finite at step 0"):
        trainer.fit(
            x[[2, 0]],
            epochs=1,
            batch_size=1,
            shuffle=False,
            callbacks=[watch, TerminateOnNaN()],
            progress=False,
        )
    assert seen == []
    assert np.array_equal(trainer.parameters["0.weight"], np.ones((2, 1)))


def test_without_it_and_with_others_the_exception_stays() -> None:
    told: list[FloatingPointError] = []
    listening = LambdaCallback(on_not_finite=lambda _, error: told.append(error))
    trainer = _trainer()
    with pytest.raises(FloatingPointError, match="fit: the loss is not finite at step 6") as caught:
        _fit(trainer, _break_at(2), listening, epochs=5)
    assert told == [caught.value]
    assert trainer.history.stopped == f"FloatingPointError: {caught.value}"


def test_the_best_parameters_are_put_back_at_such_an_end() -> None:
    trainer, stopping = _trainer(), EarlyStopping("loss", patience=50)
    with pytest.warns(RuntimeWarning):
        _fit(trainer, stopping, _break_at(3), TerminateOnNaN(), epochs=5)
    assert stopping.best_epoch == 3
    assert all(np.isfinite(each).all() for each in trainer.parameters.values())
