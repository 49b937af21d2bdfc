"""step and gradients: one call, one batch, and what it may and may not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from tests.training.problems import bits, blobs, network, regression


def _trainer(*units: int, dtype: str = "float64", loss: Any = "cross_entropy", **options: Any) -> bp.Trainer:
    return bp.Trainer(network(*units, in_features=4), loss, optim.Adam(0.01), dtype=dtype, **options)


# step


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_an_epoch_of_the_same_batches(dtype: str, weighted: bool) -> None:
    x, y = blobs(40)
    weights = [np.linspace(0.1, 1, 40)] if weighted else []
    stepped, fitted = _trainer(8, 3, dtype=dtype), _trainer(8, 3, dtype=dtype)
    losses_seen = [stepped.step(*(each[i : i + 16] for each in (x, y, *weights))) for i in range(0, 40, 16)]
    history = fitted.fit(
        x,
        y,
        epochs=1,
        batch_size=16,
        shuffle=False,
        sample_weight=weights[0] if weighted else None,
        progress=False,
    )
    assert bits(stepped) == bits(fitted)
    assert stepped.steps == fitted.steps == 3
    shares = [each[i : i + 16].sum() for each in weights or [np.ones(40)] for i in range(0, 40, 16)]
    assert history["loss"][0] == pytest.approx(np.average(losses_seen, weights=shares), rel=1e-6)


class _FullAndRest(nn.Module):
    """One of its layers sees the full batches alone, or only the last, smaller one."""

    def __init__(self, full: bool) -> None:
        self.always, self.sometimes = nn.Dense(1, in_features=4), nn.Dense(1, in_features=4)
        self.full = full

    def __call__(self, x: Any) -> Any:
        return self.always(x) + self.sometimes(x) if (len(x) == 16) == self.full else self.always(x)


@pytest.mark.parametrize("full", [False, True])
def test_a_batch_updates_the_parameters_that_it_reaches(full: bool) -> None:
    x, y = regression(40, 4, 1)
    stepped, fitted = (
        bp.Trainer(_FullAndRest(full), "mse", optim.SGD(0.1, momentum=0.9), dtype="float64") for _ in range(2)
    )
    for _ in range(2):
        for i in range(0, 40, 16):
            stepped.step(x[i : i + 16], y[i : i + 16])
    fitted.fit(x, y, epochs=2, batch_size=16, shuffle=False, progress=False)
    assert bits(stepped) == bits(fitted)
    with pytest.raises(ValueError, match="to accumulate gradients, all batches must reach the same"):
        fitted.fit(x, y, epochs=1, batch_size=16, accumulate=2, progress=False)
    assert bits(stepped) == bits(fitted)


def test_step_and_fit_alternate_on_one_optimizer() -> None:
    x, y = blobs(32)
    mixed, stepped = _trainer(8, 3), _trainer(8, 3)
    mixed.step(x[:16], y[:16])
    mixed.fit(x, y, epochs=1, batch_size=16, shuffle=False, progress=False)
    mixed.step(x[16:], y[16:])
    for rows in (slice(16), slice(16), slice(16, 32), slice(16, 32)):
        stepped.step(x[rows], y[rows])
    assert bits(mixed) == bits(stepped)


def test_step_copies_its_batch() -> None:
    """Batches of one shape share a plan and its buffers; each step must still see its own."""
    x, y = blobs(32)
    x, y = x.copy(), y.copy()
    reused, fresh = _trainer(8, 3), _trainer(8, 3)
    for rows in (slice(16), slice(16, 32)):
        fresh.step(x[rows].copy(), y[rows].copy())
    batch_x, batch_y = x[:16].copy(), y[:16].copy()
    reused.step(batch_x, batch_y)
    batch_x[...], batch_y[...] = x[16:], y[16:]
    reused.step(batch_x, batch_y)
    assert bits(reused) == bits(fresh)


def test_a_step_without_a_finite_loss_changes_nothing() -> None:
    x, y = regression(8, features=4)
    trainer = _trainer(2, loss="mse")
    trainer.step(x, y)
    before = bits(trainer)
    state = {name: value.tobytes() for name, value in trainer.optimizer_state.items()}
    with pytest.raises(FloatingPointError, match="at step 1"):
        trainer.step(np.full((8, 4), 1e300), y)
    assert bits(trainer) == before
    assert {name: value.tobytes() for name, value in trainer.optimizer_state.items()} == state
    assert trainer.steps == 1
    assert np.isfinite(trainer.step(x, y))


# gradients


def test_gradients_change_nothing() -> None:
    x, y = blobs(20)
    trainer = _trainer(8, 3)
    trainer.fit(x, y, epochs=1, progress=False)
    before, steps = bits(trainer), trainer.steps
    state = {name: value.tobytes() for name, value in trainer.optimizer_state.items()}
    first = trainer.gradients(x, y)
    second = trainer.gradients(x, y)
    assert bits(trainer) == before
    assert trainer.steps == steps
    assert {name: value.tobytes() for name, value in trainer.optimizer_state.items()} == state
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes()
        assert not np.shares_memory(value, second[name])


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_agree_with_differences_of_the_loss(weighted: bool) -> None:
    """Central differences through `evaluate`, in float64, of every parameter."""
    x, y = blobs(9)
    weights = np.linspace(0.5, 2, 9) if weighted else None
    trainer = _trainer(5, 3)
    gradients = trainer.gradients(*(each for each in (x, y, weights) if each is not None))
    assert list(gradients) == list(trainer.parameters) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    for name, parameter in trainer.parameters.items():
        numeric = np.empty_like(parameter)
        for at in np.ndindex(parameter.shape):
            kept = parameter[at]
            ends = []
            for moved in (kept + 1e-5, kept - 1e-5):
                parameter[at] = moved
                ends.append(trainer.evaluate(x, y, sample_weight=weights)["loss"])
            parameter[at] = kept
            numeric[at] = (ends[0] - ends[1]) / 2e-5
        error = np.abs(gradients[name] - numeric).max() / np.abs(numeric).max()
        assert error < 1e-6, name


def test_plain_sgd_subtracts_the_gradients() -> None:
    x, y = blobs(20)
    trainer = bp.Trainer(network(5, 3, in_features=4), "cross_entropy", optim.SGD(0.5), dtype="float64")
    expected = {
        name: trainer.parameters[name] - 0.5 * gradient for name, gradient in trainer.gradients(x, y).items()
    }  # fmt: skip
    trainer.step(x, y)
    for name, value in expected.items():
        np.testing.assert_allclose(trainer.parameters[name], value, rtol=0, atol=1e-15)
