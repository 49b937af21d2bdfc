"""The health monitor: what it measures against NumPy, what it finds, and that it leaves training alone."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.callbacks import GradientHealth
from tests.training.problems import bits, blobs, network, regression

if TYPE_CHECKING:
    from pathlib import Path


def _watched(trainer: bp.Trainer, x: Any, y: Any, every: int = 1, **options: Any) -> bp.Health:
    """The health of a run that is not shuffled."""
    watcher = GradientHealth(every, warn=False)
    trainer.fit(x, y, shuffle=False, progress=False, callbacks=[watcher], **options)
    assert trainer.health is not None
    return trainer.health


def _norm(arrays: dict[str, np.ndarray], layer: str) -> float:
    return float(
        np.sqrt(sum(np.sum(value**2) for name, value in arrays.items() if name.startswith(layer + ".")))
    )


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1e-3}, {"ema": 0.9, "clip_value": 1e-4}])
def test_norms_are_those_of_gradients_weights_and_updates(options: dict[str, float]) -> None:
    x, y = regression(n=12)
    model = network(5, 4, 2, in_features=3)
    model.build(3, dtype="float64")
    watched = bp.Trainer(model, "mse", optim.SGD(0.1), dtype="float64", **options)
    other = bp.Trainer(model.copy(), "mse", optim.SGD(0.1), dtype="float64", **options)
    health = _watched(watched, x, y, epochs=1, batch_size=4)
    assert health.layers == ("0", "1", "2")
    np.testing.assert_array_equal(health.steps, [0, 1, 2])
    for step in range(3):
        batch = x[4 * step : 4 * step + 4], y[4 * step : 4 * step + 4]
        gradients = other.gradients(*batch)
        before = {name: value.copy() for name, value in other.parameters.items()}
        loss = other.step(*batch)
        change = {name: value - before[name] for name, value in other.parameters.items()}
        assert health.losses[step] == pytest.approx(loss, rel=1e-12)
        for column, layer in enumerate(health.layers):
            assert health.gradient_norms[step, column] == pytest.approx(_norm(gradients, layer), rel=1e-10)
            assert health.weight_norms[step, column] == pytest.approx(_norm(before, layer), rel=1e-12)
            assert health.update_norms[step, column] == pytest.approx(_norm(change, layer), rel=1e-8)
    np.testing.assert_allclose(health.update_ratios, health.update_norms / health.weight_norms)
    np.testing.assert_allclose(health.gradient_rms[:, 0], health.gradient_norms[:, 0] / np.sqrt(3 * 5 + 5))


def test_idle_units_are_counted() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.rectified = nn.Dense(4, "relu", in_features=3)
            self.squashed = nn.Dense(5, "tanh", in_features=4)
            self.logistic = nn.Sigmoid()
            self.gated = nn.SiLU()
            self.last = nn.Dense(1, in_features=5)

        def __call__(self, x: Any) -> Any:
            squashed = self.squashed(self.rectified(x))
            return self.last(self.gated(self.logistic(20 * squashed)))

    x, y = regression(n=16, outputs=1)
    model = Model()
    model.build(3, dtype="float64")
    model.parameters["rectified.weight"][:, 1] = 0
    model.parameters["rectified.bias"][:2] = [0, -1]
    model.parameters["squashed.weight"][:, :2] *= 50
    parameters = {name: value.copy() for name, value in model.parameters.items()}
    health = _watched(
        bp.Trainer(model, "mse", optim.SGD(0.0), dtype="float64"), x, y, epochs=1, batch_size=16
    )
    hidden = np.maximum(x @ parameters["rectified.weight"] + parameters["rectified.bias"], 0)
    squashed = np.tanh(hidden @ parameters["squashed.weight"] + parameters["squashed.bias"])
    logistic = 1 / (1 + np.exp(-20 * squashed))
    assert {path: float(share[0]) for path, share in health.dead.items()} == {"rectified": 0.25}
    assert set(health.saturated) == {"squashed", "logistic"}, "gates of other formulas don't count"
    assert health.saturated["squashed"][0] == pytest.approx(np.mean(np.abs(squashed) > 0.99))
    assert health.saturated["logistic"][0] == pytest.approx(np.mean(np.abs(logistic - 0.5) > 0.49))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 3, 50])
def test_a_watched_run_has_the_bits_of_one_that_is_not(every: int, threads: int) -> None:
    x, y = blobs(200)

    def trainer() -> bp.Trainer:
        layers = [
            nn.Dense(300),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Dense(20, "sigmoid"),
            nn.Dense(3),
        ]
        return bp.Trainer(
            nn.Sequential(*layers), "cross_entropy", metrics=["accuracy"], threads=threads, clip_norm=1.0
        )

    plain, watched = trainer(), trainer()
    options: dict[str, Any] = {"epochs": 3, "batch_size": 48, "accumulate": 2, "progress": False}
    one = plain.fit(x, y, **options)
    two = watched.fit(x, y, callbacks=[GradientHealth(every, warn=False)], **options)
    assert bits(plain) == bits(watched)
    assert (one["loss"], one["accuracy"]) == (two["loss"], two["accuracy"])
    assert plain.health is None
    assert watched.health is not None
    assert len(watched.health.losses) == watched.steps == 9


def test_every_nth_step_is_measured_a_short_batch_excepted() -> None:
    x, y = blobs(90)
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    health = _watched(trainer, x, y, every=4, epochs=2, batch_size=20)
    assert health.steps[0] == 0
    assert all(step % 5 != 4 for step in health.steps), "the fifth batch of an epoch has 10 samples"
    assert np.all(np.diff(health.steps) >= 4)
    assert len(health.losses) == 10
    health = _watched(trainer, x, y, every=4, epochs=1, batch_size=20)
    assert (health.first_step, health.steps[0]) == (10, 10)


def test_the_smallest_interval_counts() -> None:
    x, y = blobs(90)
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    trainer.fit(
        x, y, epochs=1, batch_size=10, progress=False, callbacks=[GradientHealth(7), GradientHealth(2)]
    )
    assert trainer.health is not None
    np.testing.assert_array_equal(trainer.health.steps, [0, 2, 4, 6, 8])


# What it finds


def _kinds(health: bp.Health) -> set[str]:
    return {finding.kind for finding in health.findings()}


def test_vanishing_gradients_of_a_deep_sigmoid_network_are_named() -> None:
    x, y = blobs(128)
    trainer = bp.Trainer(network(*[16] * 19, 3, activation="sigmoid"), "cross_entropy", optim.SGD(0.1))
    health = _watched(trainer, x, y, epochs=3)
    (finding,) = health.findings()
    assert finding.kind == "vanishing"
    assert finding.layers[:8] == tuple("01234567")
    assert "18" not in finding.layers
    assert "ReLU" in health.report()
    assert "vanishing" in repr(health)


def test_a_network_that_learns_has_no_findings() -> None:
    x, y = blobs(256)
    trainer = bp.Trainer(network(16, 3, activation="relu"), "cross_entropy", optim.SGD(0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(x, y, epochs=3, progress=False, callbacks=[GradientHealth(5)])
    assert trainer.health is not None
    assert trainer.health.findings() == []
    assert trainer.health.report().startswith("no trouble found")


def test_gradients_that_grow_towards_the_input_are_named() -> None:
    health = bp.Health(["a", "b", "c"], [100, 100, 4], [], 0)
    norms = [[1e6, 10.0, 1e-3], [1.0, 1.0, 1.0], [1e-3, 1e-3, 1e-3]]
    health.add(SimpleNamespace(watched=np.array([[0, *np.ravel(norms)]]), losses=np.ones(1)))
    (finding,) = health.findings()
    assert (finding.kind, finding.layers) == ("exploding", ("a",))
    assert "clip_norm" in finding.text


def test_an_explosion_and_the_step_at_which_it_began_are_named() -> None:
    """Gradient descent on w²/2 at rate r multiplies w by 1 - r: the loss grows from the first step on."""

    class Bowl(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(3, "ones")

        def __call__(self, x: Any) -> Any:
            return ops.sum(self.w * self.w) / 2 + 0 * ops.sum(x)

    def objective(model: nn.Module, x: Any) -> Any:
        return model(x)

    def rate(step: int) -> float:
        return 0.1 if step < 12 else 50.0

    trainer = bp.Trainer(Bowl(), optimizer=optim.SGD(rate), objective=objective)
    with (
        pytest.warns(bp.HealthWarning, match="explosion: it began at step 13"),
        pytest.raises(FloatingPointError),
    ):
        trainer.fit(np.ones((60, 1)), epochs=1, batch_size=1, progress=False, callbacks=[GradientHealth(5)])
    assert trainer.health is not None
    first, *_ = trainer.health.findings()
    # Loss 0 is 1.5; it is below until the update of step 12 has made w 49 times as large.
    assert (first.kind, first.step) == ("explosion", 13)
    assert "was not finite at step" in first.text


def test_dead_and_saturated_units_are_named() -> None:
    x, y = blobs(64)
    model = network(16, 16, 3, activation="relu", in_features=4)
    model.build(4)
    model.parameters["0.bias"][...] = -100
    health = _watched(bp.Trainer(model, "cross_entropy", optim.SGD(1e-3)), x, y, epochs=2)
    dead = [finding for finding in health.findings() if finding.kind == "dead units"]
    assert dead[0].layers == ("0", "1"), "what gets only zeros is dead, too"
    model = network(16, 3, activation="tanh", in_features=4)
    model.build(4)
    model.parameters["0.weight"][...] *= 1000
    health = _watched(bp.Trainer(model, "cross_entropy", optim.SGD(1e-3)), x, y, epochs=2)
    assert "saturated units" in _kinds(health)


def test_frozen_layers_are_not_found_to_be_vanishing() -> None:
    x, y = blobs(64)
    model = network(16, 16, 3, activation="relu", in_features=4)
    model[0].freeze()
    health = _watched(bp.Trainer(model, "cross_entropy", optim.SGD(0.1)), x, y, epochs=2)
    assert health.findings() == []
    assert not health.update_norms[:, 0].any()


# The rest


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    x, y = blobs(64)
    health = _watched(bp.Trainer(network(8, 8, 3, activation="relu"), "cross_entropy"), x, y, epochs=2)
    health.plot(path=tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")
    figure = health.plot()
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "gradient, root mean square",
        "update / weight",
        "share of dead units",
    ]
    assert len(figure.axes[0].lines) == 3
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), health.gradient_rms[0])


def test_idle_units_are_drawn_from_input_to_output() -> None:
    """Whatever kind of units they are."""
    pytest.importorskip("matplotlib")
    model = nn.Sequential(nn.Dense(4, "sigmoid"), nn.Dense(4, "relu"), nn.Dense(4, "tanh"), nn.Dense(3))
    health = _watched(bp.Trainer(model, "cross_entropy"), *blobs(64), epochs=1)
    assert list(health.idle) == ["0", "1", "2"]
    panel = health.plot().axes[2]
    assert panel.get_title(loc="left") == "share of dead or saturated units"
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0", "1", "2"]
    shares = [health.saturated["0"][0], health.dead["1"][0], health.saturated["2"][0]]
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), shares)


def test_steps_of_lbfgs_can_not_be_watched() -> None:
    x, y = blobs(6)
    trainer = bp.Trainer(network(3), "cross_entropy", "lbfgs")
    with pytest.raises(ValueError, match="fit: GradientHealth can't watch the steps of LBFGS"):
        trainer.fit(x, y, epochs=1, progress=False, callbacks=[GradientHealth()])


def test_nothing_measured_is_nothing_to_draw() -> None:
    pytest.importorskip("matplotlib")
    trainer = bp.Trainer(network(3), "cross_entropy")
    x, y = blobs(6)
    trainer.fit(x, y, epochs=0, progress=False, callbacks=[GradientHealth()])
    assert trainer.health is not None
    assert trainer.health.findings() == []
    with pytest.raises(ValueError, match="no step was measured"):
        trainer.health.plot()


@pytest.mark.parametrize(
    ("every", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)]
)
def test_wrong_intervals_are_errors(every: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="GradientHealth: every must be"):
        GradientHealth(every)
