"""LBFGS: what it finds, on which loss, with which memory; golden/test_lbfgs.py compares it with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, ops, optim, schedules
from bpcore._native import core
from bpcore.basics import files
from bpcore.engine.fullbatch import FullBatchSession
from tests.support.draw import normal
from tests.training.problems import bits, blobs, network, regression

ROW = np.zeros((1, 1))
SEARCH = {"line_search_fn": "strong_wolfe"}


class Vector(nn.Module):
    """One parameter."""

    def __init__(self, *values: float) -> None:
        self.w = nn.Parameter(len(values), lambda shape: np.reshape(values, shape))


def _minimised(
    objective: Any, begin: Any, steps: int, dtype: str = "float64", **options: Any
) -> tuple[np.ndarray, float]:
    """Where LBFGS ends, and the objective there."""
    model = Vector(*begin)
    trainer = bp.Trainer(
        model, objective=lambda m, _: objective(m.w), optimizer=optim.LBFGS(**options), dtype=dtype
    )
    for _ in range(steps):
        trainer.step(ROW)
    return model.w.value.copy(), trainer.step(ROW)


def _trainer(*units: int, seed: int = 0, dtype: str = "float64", **options: Any) -> bp.Trainer:
    optimizer = optim.LBFGS(**{"max_iter": 4, "history_size": 3, **SEARCH, **options})
    model = network(*(units or (8, 3)), in_features=4)
    return bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], seed=seed, dtype=dtype)


def _fit(trainer: bp.Trainer, epochs: int, **options: Any) -> bp.History:
    x, y = blobs(60)
    y = np.where(np.arange(60) % 7 == 0, (y + 1) % 3, y)  # so that the loss can't go to 0
    return trainer.fit(x, y, epochs=epochs, batch_size=60, progress=False, **options)


def _state(trainer: bp.Trainer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in trainer.optimizer_state.items()}


# What it finds


@pytest.mark.parametrize("options", [SEARCH, {"lr": 0.5}, {"history_size": 2, **SEARCH}])
def test_the_minimum_of_a_quadratic(options: dict[str, Any]) -> None:
    a, b = normal((6, 6)), normal((6,))
    matrix = a @ a.T + np.eye(6)
    want = np.linalg.solve(matrix, b)

    def quadratic(w: Any) -> Any:
        return ops.sum(w * ops.sum(matrix * w, axis=1)) / 2 - ops.sum(w * b)

    got, loss = _minimised(quadratic, 6 * [0.0], 40, tolerance_grad=1e-13, tolerance_change=0.0, **options)
    assert abs(loss + b @ want / 2) < 1e-10
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [2, 10])
def test_the_end_of_rosenbrocks_valley(n: int) -> None:
    def rosenbrock(w: Any) -> Any:
        return ops.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)

    got, loss = _minimised(rosenbrock, n * [-0.5], 20, tolerance_change=1e-15, tolerance_grad=1e-12, **SEARCH)
    assert 0 <= loss < 1e-15
    np.testing.assert_allclose(got, np.ones(n), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_parameters_of_any_size(dtype: str, size: float) -> None:
    """Bowls whose curvatures differ by 10,000, times 1e8 or 1e-8."""
    middle = np.array([1.0, -2.0, 0.5], dtype)

    def bowls(w: Any) -> Any:
        return ops.sum(((w / size - middle) * np.array([1.0, 10.0, 100.0], dtype)) ** 2)

    got, loss = _minimised(bowls, 3 * [0.0], 12, dtype, tolerance_grad=0.0, **SEARCH)
    assert loss < {"float32": 1e-6, "float64": 1e-10}[dtype]
    np.testing.assert_allclose(got, size * middle, rtol=1e-3)


def test_a_regularizer_is_a_part_of_what_is_minimised() -> None:
    """Ridge regression, whose minimum is known. The loss that is told is without the term, as always."""
    x, y = regression(30, 4, 1)
    model = nn.Sequential(nn.Dense(1, in_features=4, use_bias=False))
    optimizer = optim.LBFGS(tolerance_grad=1e-14, tolerance_change=0.0, **SEARCH)
    trainer = bp.Trainer(model, "mse", optimizer, regularizer=nn.L2(0.3), dtype="float64")
    for _ in range(4):
        trainer.step(x, y)
    want = np.linalg.solve(x.T @ x / 30 + 0.3 * np.eye(4), x.T @ y / 30)
    np.testing.assert_allclose(trainer.parameters["0.weight"], want, rtol=1e-6)
    assert trainer.step(x, y) == pytest.approx(np.mean((x @ want - y) ** 2), rel=1e-7)


@pytest.mark.parametrize("options", [SEARCH, {"lr": 0.3}])
def test_all_evaluations_of_a_step_draw_the_same_random_numbers(options: dict[str, Any]) -> None:
    """A step ends where the gradient under its own masks is 0, as under no others."""
    x, y = regression(40, 5, 1)

    def make() -> bp.Trainer:
        model = nn.Sequential(nn.Dropout(0.4), nn.Dense(1, in_features=5))
        optimizer = optim.LBFGS(max_iter=60, tolerance_grad=1e-12, tolerance_change=0.0, **options)
        return bp.Trainer(model, "mse", optimizer, dtype="float64", seed=5)

    trained, fresh = make(), make()
    fresh.step(x, y)
    trained.step(x, y)
    ended = make()
    ended.restore(trained.snapshot())
    assert max(np.abs(each).max() for each in ended.gradients(x, y).values()) < 1e-6
    assert max(np.abs(each).max() for each in trained.gradients(x, y).values()) > 1e-3
    assert bits(fresh) == bits(trained)


def test_samples_are_weighted() -> None:
    x, y = regression(30, 4, 1)
    weight = np.arange(30.0)
    model = nn.Sequential(nn.Dense(1, in_features=4, use_bias=False))
    optimizer = optim.LBFGS(tolerance_grad=1e-14, tolerance_change=0.0, **SEARCH)
    trainer = bp.Trainer(model, "mse", optimizer, dtype="float64")
    trainer.fit(x, y, epochs=4, batch_size=100, sample_weight=weight, progress=False)
    want = np.linalg.solve(x.T @ (weight[:, None] * x), x.T @ (weight[:, None] * y))
    np.testing.assert_allclose(trainer.parameters["0.weight"], want, rtol=1e-6)


# In fit


def test_history_has_the_values_at_which_each_step_began() -> None:
    trainer, stepped = _trainer(), _trainer()
    x, y = blobs(60)
    y = np.where(np.arange(60) % 7 == 0, (y + 1) % 3, y)
    before = trainer.evaluate(x, y)
    history = _fit(trainer, 5, validation_data=(x, y))
    losses = [stepped.step(x, y) for _ in range(5)]
    assert history["loss"] == losses
    assert bits(stepped) == bits(trainer)
    assert (trainer.steps, trainer.epochs) == (5, 5)
    np.testing.assert_allclose(history["loss"], [before["loss"], *history["val_loss"][:-1]], rtol=1e-12)
    np.testing.assert_allclose(
        history["accuracy"], [before["accuracy"], *history["val_accuracy"][:-1]], rtol=1e-12
    )
    assert history["val_loss"] == sorted(history["val_loss"], reverse=True)
    assert history["val_loss"][-1] < 0.8 * before["loss"]


def test_callbacks_are_told_of_each_step() -> None:
    class Noting(callbacks.Callback):
        every_steps = 2
        seen: list[tuple[int, float]] = []  # noqa: RUF012

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
            self.seen.append((trainer.steps, logs["loss"]))
            trainer.stop_training = trainer.steps == 6

    trainer, noting = _trainer(), Noting()
    history = _fit(trainer, 20, callbacks=[noting])
    assert noting.seen == [(step, history["loss"][step - 1]) for step in (2, 4, 6)]
    assert trainer.epochs == 6


def test_the_best_weights_come_back() -> None:
    trainer = _trainer(lr=0.0)
    before = bits(trainer)
    _fit(trainer, 9, callbacks=[callbacks.EarlyStopping(monitor="loss", patience=2)])
    assert trainer.epochs == 3
    assert bits(trainer) == before


def test_lr_may_be_a_schedule_and_0_moves_nothing() -> None:
    by_number, by_schedule = _trainer(), _trainer(lr=schedules.Piecewise([2], [1.0, 0.0]))
    _fit(by_number, 2)
    _fit(by_schedule, 2)
    assert bits(by_number) == bits(by_schedule)
    before = bits(by_schedule), _state(by_schedule)
    _fit(by_schedule, 2)
    assert (bits(by_schedule), _state(by_schedule)) == before
    assert by_schedule.steps == 4
    _fit(by_number, 1)
    assert bits(by_number) != bits(by_schedule)


def test_the_order_of_rows_stays() -> None:
    one, other = _trainer(), _trainer()
    _fit(one, 2, shuffle=True)
    _fit(other, 2, shuffle=False)
    assert bits(one) == bits(other)


def test_batch_statistics_are_written_once_a_step_from_where_it_began() -> None:
    x, y = regression(30, 3, 1)
    model = nn.Sequential(nn.Dense(4, in_features=3), nn.BatchNorm(), nn.Dense(1))
    trainer = bp.Trainer(model, "mse", optim.LBFGS(**SEARCH), dtype="float64")
    model.build(3, dtype="float64")
    mean, variance = np.zeros(4), np.ones(4)
    for _ in range(3):
        parameters = trainer.parameters
        hidden = x @ parameters["0.weight"] + parameters["0.bias"]
        mean = 0.9 * mean + 0.1 * hidden.mean(axis=0)
        variance = 0.9 * variance + 0.1 * hidden.var(axis=0, ddof=1)
        trainer.step(x, y)
        norm: Any = model[1]
        np.testing.assert_allclose(norm.running_mean.value, mean, rtol=1e-12)
        np.testing.assert_allclose(norm.running_var.value, variance, rtol=1e-12)


# The same bits


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_and_more_threads_give_the_same_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(600, 40, 10)
    plans: list[Any] = []
    run = FullBatchSession.run

    def noting(self: FullBatchSession, steps: int, rates: Any) -> int:
        plans.append(self._plan.plan)
        return run(self, steps, rates)

    monkeypatch.setattr(FullBatchSession, "run", noting)
    found = []
    for threads in (1, 2, 3):
        trainer = bp.Trainer(
            network(120, 10), "cross_entropy", optim.LBFGS(max_iter=5, **SEARCH), dtype=dtype, threads=threads
        )
        history = trainer.fit(x, y, epochs=3, batch_size=600, progress=False)
        found.append((bits(trainer), _state(trainer), history["loss"]))
    assert plans[0].threads(2) == 2, "the network is too small for this test: nothing uses a thread"
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [SEARCH, {"lr": 0.5, "line_search_fn": None}])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_loaded_trainer_goes_on_bit_for_bit(
    options: dict[str, Any], dtype: str, frozen: bool, tmp_path: Path
) -> None:
    whole = _trainer(8, 5, 3, dtype=dtype, seed=3, **options)
    loaded_model = network(8, 5, 3)
    if frozen:
        for model in (whole.model, loaded_model):
            model[1].freeze()
    _fit(whole, 4)
    whole.save(tmp_path / "run")
    loaded = bp.Trainer.load(tmp_path / "run", loaded_model)
    assert _state(loaded) == _state(whole)
    assert len(_state(loaded)) == (2 + 2 * 3) * (4 if frozen else 6)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "run").read_bytes()
    history, again = _fit(whole, 3), _fit(loaded, 3)
    assert bits(loaded) == bits(whole)
    assert again["loss"] == history["loss"]
    assert repr(loaded.optimizer) == repr(whole.optimizer)


def test_it_can_be_saved_before_the_first_step_and_loaded_with_a_shorter_memory(tmp_path: Path) -> None:
    trainer = _trainer()
    trainer.save(tmp_path / "new")
    assert bp.Trainer.load(tmp_path / "new", network(8, 3)).optimizer_state == {}
    _fit(trainer, 3)
    trainer.save(tmp_path / "run")
    shorter = bp.Trainer.load(
        tmp_path / "run", network(8, 3), optimizer=optim.LBFGS(history_size=1, **SEARCH)
    )
    assert _state(shorter) == _state(trainer)
    _fit(shorter, 1)
    assert {name.rpartition(".0.")[0] for name in shorter.optimizer_state if "old" in name} >= {
        "optimizer.old_dirs.0"
    }
    assert not any("old_dirs.1" in name for name in shorter.optimizer_state)
    other = bp.Trainer.load(tmp_path / "run", network(8, 3), optimizer=optim.Adam())
    assert other.steps == 0


@pytest.mark.parametrize(
    "change",
    [
        {"t": -1.0},
        {"t": "1"},
        {"H_diag": None},
        {"ro": [0.1]},
        {"ro": 0.1},
        {"parameters": ["0.weight", "0.weight"]},
        {"parameters": ["2.weight"]},
        {"parameters": 3},
    ],
)
def test_a_damaged_memory_in_a_file_changes_nothing(change: dict[str, Any], tmp_path: Path) -> None:
    import json

    trainer = _trainer()
    _fit(trainer, 2)
    trainer.save(tmp_path / "run")
    tensors, metadata = files.read(tmp_path / "run")
    settings = json.loads(metadata["trainer"])
    settings["optimizer_memory"].update(change)
    files.write(tmp_path / "run", tensors, {"trainer": json.dumps(settings)})
    model = network(8, 3)
    model.build(4, dtype="float64")
    before = bits(model)
    with pytest.raises(ValueError, match="run: its settings are damaged: optimizer_memory"):
        bp.Trainer.load(tmp_path / "run", model)
    assert bits(model) == before


# Frozen layers


def test_frozen_layers_keep_their_bits_and_the_memory_is_about_the_others() -> None:
    trainer = _trainer(8, 5, 3)
    trainer.parameters["1.weight"][0, :] = -0.0
    trainer.model[1].freeze()
    frozen = trainer.parameters["1.weight"].tobytes(), trainer.parameters["1.bias"].tobytes()
    _fit(trainer, 3)
    assert (trainer.parameters["1.weight"].tobytes(), trainer.parameters["1.bias"].tobytes()) == frozen
    assert not any(".1.weight" in name or ".1.bias" in name for name in trainer.optimizer_state)
    x, y = blobs(60)
    trainer.model[1].unfreeze()
    trainer.model[0].freeze()
    before = trainer.parameters["0.weight"].tobytes()
    fresh = _trainer(8, 5, 3)
    fresh.restore(trainer.snapshot())
    fresh.model[0].freeze()
    assert trainer.step(x, y) == fresh.step(x, y)
    assert bits(trainer) == bits(fresh), "a memory of other parameters must not be used"
    assert trainer.parameters["0.weight"].tobytes() == before
