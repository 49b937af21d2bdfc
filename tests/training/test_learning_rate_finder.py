"""LearningRateFinder: what it tries, what it finds, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim, schedules
from bpcore.callbacks import Callback, Checkpoint, EarlyStopping, GradientHealth, LearningRateFinder
from tests.training.problems import bits, blobs, network

X, Y = blobs(90)
OPTIMIZERS = sorted(
    name for name in optim.__all__ if name[0].isupper() and name not in ("Group", "Optimizer")
)


def _model() -> nn.Sequential:
    """With states and random numbers."""
    return nn.Sequential(nn.Dense(16, "tanh"), nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(3))


def _trainer(optimizer: Any = None, **options: Any) -> bp.Trainer:
    return bp.Trainer(_model(), "cross_entropy", optimizer or optim.Adam(0.01), seed=1, **options)


def _all_bits(trainer: bp.Trainer) -> tuple[Any, ...]:
    parameters, states = trainer.snapshot()
    slots = {name: value.tobytes() for name, value in trainer.optimizer_state.items()}
    return parameters.tobytes(), states.tobytes(), slots, trainer.steps, trainer.epochs, trainer.skipped


def _fit(trainer: bp.Trainer, *callbacks: Callback, **options: Any) -> bp.History:
    options = {"epochs": 2, "batch_size": 16, "progress": False, **options}
    return trainer.fit(X, Y, callbacks=list(callbacks), **options)


# It leaves no trace


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "LBFGS"])
@pytest.mark.parametrize("steps_before", [0, 3])
def test_afterwards_everything_has_the_bits_it_had(name: str, steps_before: int) -> None:
    def make() -> bp.Trainer:
        arguments = {"lr": 0.01} if name == "SGD" else {}
        trainer = _trainer(getattr(optim, name)(**arguments), ema=0.9)
        for _ in range(steps_before):
            trainer.step(X, Y)
        return trainer

    tested, untested = make(), make()
    before = None if steps_before == 0 else _all_bits(tested)
    finder = tested.find_learning_rate(X, Y, batch_size=16)
    assert len(finder.losses) > 10
    assert before in (None, _all_bits(tested))
    assert _fit(tested)["loss"] == _fit(untested)["loss"], "what follows is what would have been without"
    assert _all_bits(tested) == _all_bits(untested)


@pytest.mark.parametrize("nonfinite", [None, "stop", "skip"])
def test_a_loss_that_is_not_finite_ends_the_test_and_nothing_else(nonfinite: str | None) -> None:
    model = network(8, 1, activation="relu")
    trainer = bp.Trainer(model, "mse", optim.SGD(0.01), nonfinite=nonfinite)
    x, y = X * 100, X[:, :1] * 100
    trainer.step(x, y)
    before = _all_bits(trainer)
    finder = LearningRateFinder(1e-3, 1e15, early_stop_threshold=None)
    trainer.find_learning_rate(x, y, finder, batch_size=16)
    assert finder.diverged
    assert 0 < len(finder.rates) == len(finder.losses) < 100
    assert np.isfinite(finder.losses).all()
    assert _all_bits(trainer) == before


def test_settings_history_and_health_stay() -> None:
    trainer = _trainer(optim.Adam(schedules.Step(0.01, 3)))
    history = _fit(trainer, GradientHealth(1, warn=False))
    health, lr = trainer.health, trainer.optimizer.lr
    trainer.find_learning_rate(X, Y)
    assert (trainer.history, trainer.health, trainer.optimizer.lr) == (history, health, lr)
    assert (trainer.optimizer.scale, trainer.epochs) == (1.0, 2)


@pytest.mark.filterwarnings("ignore:LearningRateFinder")
def test_steps_are_watched_as_without_a_test() -> None:
    found = []
    for steps in (None, 10, 100):
        trainer = _trainer()
        finders = [] if steps is None else [LearningRateFinder(num_training_steps=steps, apply=True)]
        _fit(trainer, *finders, GradientHealth(10, warn=False))
        assert trainer.health is not None
        found.append(trainer.health.steps.tolist())
    assert found == [[0, 10]] * 3


def test_an_interrupted_test_leaves_no_trace_either(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _trainer()
    trainer.step(X, Y)
    before, calls = _all_bits(trainer), iter(range(100))

    def check() -> None:
        if next(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("bpcore.callbacks.learning_rate_finder.interrupts.check", check)
    with pytest.raises(KeyboardInterrupt):
        trainer.find_learning_rate(X, Y, batch_size=16)
    assert _all_bits(trainer) == before


# What it tries


@pytest.mark.parametrize(("mode", "spaced"), [("exponential", np.geomspace), ("linear", np.linspace)])
def test_rates_grow_from_the_least_to_the_largest(mode: Any, spaced: Any) -> None:
    finder = LearningRateFinder(1e-5, 1e-2, num_training_steps=20, mode=mode, early_stop_threshold=None)
    _trainer().find_learning_rate(X, Y, finder)
    np.testing.assert_allclose(finder.rates, spaced(1e-5, 1e-2, 20), rtol=1e-12)
    assert not finder.diverged


def test_losses_are_those_of_steps_at_these_rates() -> None:
    """Over epochs: 90 samples in batches of 30, three steps an epoch, and an order for each."""
    rates = np.geomspace(1e-4, 1e-1, 10)
    stepped, seen = _trainer(optim.SGD(lambda step: rates[step])), []

    class Note(Callback):
        every_steps = 1

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            seen.append(logs["loss"])

    _fit(stepped, Note(), epochs=3, batch_size=30)
    finder = LearningRateFinder(1e-4, 1e-1, num_training_steps=10)
    _trainer(optim.SGD(0.1)).find_learning_rate(X, Y, finder, batch_size=30)
    assert list(finder.losses[:9]) == seen


def test_groups_keep_their_ratio() -> None:
    """A group at a rate of 0 stays where it is, one at ten times the rate goes ten times as far."""
    x, y = np.ones((8, 1), np.float32), np.zeros((8, 2), np.float32)

    def losses(*groups: optim.Group) -> np.ndarray:
        model = nn.Sequential(nn.Dense(2, in_features=1))
        trainer = bp.Trainer(model, "mse", optim.SGD(0.1, groups=groups), seed=1)
        finder = LearningRateFinder(1e-3, 1e-1, num_training_steps=10)
        return trainer.find_learning_rate(x, y, finder, shuffle=False).losses

    frozen = losses(optim.Group("*", lr=0.0))
    assert np.all(frozen == frozen[0])
    faster, scaled = losses(optim.Group("*", lr=1.0)), losses(optim.Group("*", lr=10.0))
    assert np.all(np.diff([losses()[-1], faster[-1], frozen[-1]]) != 0)
    assert abs(scaled[1] - scaled[0]) > 5 * abs(faster[1] - faster[0])


# What it finds


def test_it_stops_once_the_loss_has_grown() -> None:
    finder = _trainer(optim.SGD(0.1)).find_learning_rate(X, Y, LearningRateFinder(max_lr=1e6), batch_size=16)
    assert finder.diverged
    assert len(finder.rates) < 100
    assert finder.rates[-1] < 1e6


def _found(losses: Any, **settings: Any) -> LearningRateFinder:
    finder = LearningRateFinder(1e-5, 1.0, num_training_steps=len(losses), **settings)
    finder.restore_state({"rates": np.geomspace(1e-5, 1, len(losses)), "losses": losses, "diverged": False})
    return finder


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    t = np.linspace(0, 1, 101)
    cliff = 1 / (1 + np.exp(40 * (t - 0.6))) + 30 * np.maximum(t - 0.85, 0)
    finder = _found(cliff)
    assert finder.suggestion == pytest.approx(10 ** (5 * 0.6 - 5), rel=0.15)
    noisy = _found(cliff + 0.02 * np.random.default_rng(0).normal(size=101))
    assert noisy.suggestion == pytest.approx(10 ** (5 * 0.6 - 5), rel=0.7)


def test_there_is_no_suggestion_where_the_loss_never_falls() -> None:
    assert _found(np.linspace(1, 2, 50)).suggestion is None
    assert LearningRateFinder().suggestion is None
    assert _found([1.0] * 9 + [0.5]).suggestion is not None
    finder = _found(np.linspace(2, 1, 10))
    finder.restore_state({"rates": finder.rates[:3], "losses": finder.losses[:3], "diverged": True})
    assert finder.suggestion is None


def test_smoothing_is_an_average_around_each_step() -> None:
    finder = _found(np.arange(40.0), smoothing=2.0)
    np.testing.assert_allclose(finder.smoothed[6:-6], finder.losses[6:-6])
    noise = np.random.default_rng(0).normal(size=10)
    np.testing.assert_array_equal(_found(noise, smoothing=0).smoothed, noise)
    np.testing.assert_allclose(_found(np.ones(10), smoothing=50).smoothed, 1)


def test_a_suggestion_trains_well() -> None:
    """On a problem that a rate a hundred times smaller or larger does not learn."""
    trainer = bp.Trainer(network(16, 3), "cross_entropy", optim.SGD(1e-6), metrics=["accuracy"], seed=1)
    found = trainer.find_learning_rate(X, Y, batch_size=16).suggestion
    assert found is not None
    trainer.optimizer.lr = found
    assert _fit(trainer, epochs=20)["accuracy"][-1] == 1.0


# As a callback


def test_as_a_callback_it_ends_the_run() -> None:
    trainer, finder, others = _trainer(), LearningRateFinder(), [EarlyStopping("loss"), GradientHealth(1)]
    history = _fit(trainer, finder, *others)
    assert repr(history) == "History(no epochs; learning_rate_finder)"
    assert trainer.steps == 0
    assert finder.suggestion is not None
    assert len(_fit(trainer).epochs) == 2, "the next run is not ended"


def test_with_apply_it_trains_at_the_suggestion() -> None:
    finder = LearningRateFinder(apply=True)
    trainer, by_hand = _trainer(), _trainer()
    assert len(_fit(trainer, finder).epochs) == 2
    assert trainer.optimizer.lr == finder.suggestion
    by_hand.optimizer.lr = finder.suggestion  # type: ignore[assignment]
    _fit(by_hand)
    assert bits(trainer) == bits(by_hand)


def test_apply_scales_schedules_and_groups() -> None:
    for optimizer in (
        optim.Adam(schedules.Step(0.02, 1000)),
        optim.Adam(0.02, groups=[optim.Group("*.bias", lr=0.1)]),
    ):
        finder = LearningRateFinder(apply=True)
        trainer = _trainer(optimizer)
        _fit(trainer, finder, epochs=1)
        assert trainer.optimizer.scale == pytest.approx(finder.suggestion / 0.02)  # type: ignore[operator]


def test_apply_warns_if_nothing_was_found() -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.SGD(0.01))
    with pytest.warns(UserWarning, match="the rate stays as it is"):
        _fit(trainer, LearningRateFinder(1e-30, 1e-29, apply=True), shuffle=False, batch_size=90, epochs=1)
    assert trainer.optimizer.lr == 0.01


def test_a_run_that_goes_on_does_not_test_again(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    def fit(finder: LearningRateFinder, epochs: int) -> bp.Trainer:
        trainer = _trainer()
        _fit(trainer, finder, Checkpoint(path), epochs=epochs, resume=path)
        return trainer

    first, again = LearningRateFinder(apply=True), LearningRateFinder(apply=True)
    fit(first, 1)
    resumed = fit(again, 3)
    assert (again.suggestion, resumed.optimizer.lr) == (first.suggestion, first.suggestion)
    np.testing.assert_array_equal(again.losses, first.losses)
    path.unlink()
    assert bits(resumed) == bits(fit(LearningRateFinder(apply=True), 3))


def test_batches_that_can_begin_anew_leave_no_trace_either() -> None:
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 90, 16)]
    tested, untested = _trainer(), _trainer()
    finder = tested.find_learning_rate(batches)
    assert len(finder.rates) > 20
    for trainer in (tested, untested):
        trainer.fit(batches, epochs=2, progress=False)
    assert _all_bits(tested) == _all_bits(untested)


def test_a_stream_that_ends_too_soon_is_an_error_that_changes_nothing() -> None:
    trainer = _trainer()
    trainer.step(X, Y)
    before = _all_bits(trainer)
    with pytest.raises(ValueError, match="no batches"):
        trainer.find_learning_rate(batch for batch in [(X, Y)] * 5)
    assert _all_bits(trainer) == before


# Errors


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        ({"min_lr": 0}, ValueError, "min_lr must be finite and above 0"),
        ({"min_lr": 1, "max_lr": 1}, ValueError, "max_lr must be finite and above 1"),
        ({"num_training_steps": 9}, ValueError, "num_training_steps must be at least 10"),
        ({"mode": "log"}, ValueError, "mode must be"),
        ({"early_stop_threshold": 1}, ValueError, "early_stop_threshold must be finite and above 1"),
        ({"smoothing": -1}, ValueError, "smoothing must be finite and at least 0"),
        ({"apply": "yes"}, TypeError, "apply must be True or False"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Any, error: type, fragment: str) -> None:
    with pytest.raises(error, match=fragment):
        LearningRateFinder(**settings)


def test_what_it_cannot_test_is_refused_before_anything_changes() -> None:
    x, y = X, Y
    trainer = _trainer(optim.LBFGS())
    with pytest.raises(ValueError, match="LBFGS searches for the length"):
        trainer.find_learning_rate(x, y, batch_size=90)
    trainer = _trainer(optim.Adam(schedules.Warmup(0.1, 5)))
    with pytest.raises(ValueError, match="of which the next is 0"):
        _fit(trainer, LearningRateFinder(apply=True))
    assert trainer.steps == 0
    with pytest.raises(ValueError, match="no rate has been tried yet"):
        LearningRateFinder().plot()


# The picture


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    finder = _trainer().find_learning_rate(X, Y, batch_size=16)
    assert finder.plot(path=tmp_path / "rates.png") is None
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    (panel,) = finder.plot().axes
    assert panel.get_xscale() == "log"
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["of a batch", "smoothed", f"steepest: {finder.suggestion:.2g}"]
    _found(np.linspace(1, 2, 50)).plot(path=tmp_path / "none.svg")
    (panel,) = _found(np.linspace(-1, -2, 50), mode="linear").plot().axes
    assert panel.get_xscale() == "linear"
    _found(np.zeros(50)).plot(path=tmp_path / "zero.svg")
