"""Running statistics of nn.BatchNorm in training: what writes them, what keeps them, what uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore._native import core
from tests.training.problems import blobs, regression


def _model(*, frozen: bool = False, **options: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Dense(6), nn.BatchNorm(**options), nn.ReLU(), nn.Dense(3))
    if frozen:
        for layer in (model[0], model[1]):
            layer.weight.trainable = layer.bias.trainable = False  # type: ignore[attr-defined]
    return model


def _trainer(model: nn.Module | None = None, dtype: str = "float64", **options: Any) -> bp.Trainer:
    return bp.Trainer(
        model or _model(), "cross_entropy", optim.SGD(0.1, momentum=0.9), dtype=dtype, **options
    )


def _states(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: v.value.copy() for name, v in model.named_variables() if v.is_state}


def _everything(model: nn.Module) -> bytes:
    return b"".join(v.value.tobytes() for _, v in model.named_variables())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("momentum", [0.1, 0.75, 0.0, 1.0, None])
@pytest.mark.parametrize("shape", [(23, 3), (9, 4, 3)])
def test_they_follow_the_batches(
    momentum: float | None, shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    """Over epochs of full batches and a smaller last one, as float64 NumPy follows them."""
    x = (np.random.default_rng(0).normal(size=shape) * [1, 5, 0.1] + [0, 3, -2]).astype(dtype)
    layer = nn.BatchNorm(momentum=momentum)
    trainer = bp.Trainer(layer, "mse", dtype=dtype)
    trainer.fit(x, np.zeros_like(x), epochs=2, batch_size=5, shuffle=False, progress=False)
    mean, variance, batches = np.zeros(3), np.ones(3), 0
    for _ in range(2):
        for start in range(0, len(x), 5):
            rows = x[start : start + 5].astype(np.float64).reshape(-1, 3)
            batches += 1
            factor = 1 / batches if momentum is None else momentum
            mean = (1 - factor) * mean + factor * rows.mean(axis=0)
            variance = (1 - factor) * variance + factor * rows.var(axis=0, ddof=1)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    np.testing.assert_allclose(layer.running_mean.value, mean, rtol=10 * tolerance, atol=tolerance)
    np.testing.assert_allclose(layer.running_var.value, variance, rtol=10 * tolerance, atol=tolerance)
    if momentum is None:
        assert float(layer.num_batches_tracked) == batches  # type: ignore[arg-type]
    else:
        assert layer.num_batches_tracked is None


def test_only_training_steps_write_them() -> None:
    x, y = blobs(20)
    trainer = _trainer()
    trainer.step(x, y)
    before = _everything(trainer.model)
    trainer.gradients(x, y)
    trainer.evaluate(x, y)
    trainer.predict(x)
    trainer.model(x)
    with bp.training(0):
        trainer.model(x)
        trainer.evaluate(x, y)
        bp.grad(lambda v: ops.sum(trainer.model(v)))(x.astype(np.float64))
    assert _everything(trainer.model) == before
    trainer.step(x, y)
    changed = _states(trainer.model)
    assert set(changed) == {"1.running_mean", "1.running_var"}
    assert _everything(trainer.model) != before


def test_a_step_that_fails_leaves_them() -> None:
    trainer = bp.Trainer(_model(), "mse", optim.SGD(1e-3))
    x, y = regression(8, outputs=3, dtype="float32")
    trainer.step(x, y)
    before = _everything(trainer.model)
    with pytest.raises(FloatingPointError):
        trainer.step(x, np.full_like(y, 1e30))
    assert _everything(trainer.model) == before


def test_frozen_parameters_stay_to_the_bit_while_statistics_move() -> None:
    x, y = blobs(20)
    model = _model(frozen=True)
    trainer = _trainer(model)
    model.build(4, dtype="float64")
    start, states = {name: value.copy() for name, value in model.parameters.items()}, _states(model)
    trainer.fit(x, y, epochs=2, batch_size=5, progress=False)
    for name, value in trainer.parameters.items():
        assert (value.tobytes() == start[name].tobytes()) == (name[0] in "01"), name
    for name, value in _states(model).items():
        assert (value != states[name]).all(), name


def test_evaluation_and_prediction_after_training_use_them() -> None:
    x, y = blobs(40)
    trainer = _trainer(metrics=["accuracy"])
    trainer.fit(x, y, epochs=5, batch_size=8, progress=False)
    p, s = trainer.parameters, _states(trainer.model)
    h = (x @ p["0.weight"] + p["0.bias"] - s["1.running_mean"]) / np.sqrt(s["1.running_var"] + 1e-5)
    logits = np.maximum(h * p["1.weight"] + p["1.bias"], 0) @ p["3.weight"] + p["3.bias"]
    np.testing.assert_allclose(trainer.predict(x), logits, rtol=1e-11, atol=1e-12)
    top = logits.max(axis=1)
    losses = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - logits[np.arange(len(y)), y]
    values = trainer.evaluate(x, y, batch_size=7)
    assert values["loss"] == pytest.approx(losses.mean(), rel=1e-11)
    assert values["accuracy"] == (logits.argmax(axis=1) == y).mean()
    np.testing.assert_array_equal(trainer.predict(x, batch_size=1), trainer.predict(x, batch_size=40))


def test_a_network_of_ten_layers_trains() -> None:
    x, y = blobs(300)
    blocks: list[Any] = []
    for _ in range(9):
        blocks += [nn.Dense(16), nn.BatchNorm(), nn.ReLU()]
    trainer = bp.Trainer(
        nn.Sequential(*blocks, nn.Dense(3)), "cross_entropy", optim.SGD(0.05, 0.9), metrics=["accuracy"]
    )
    history = trainer.fit(x, y, epochs=15, batch_size=32, progress=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert trainer.evaluate(x, y)["accuracy"] > 0.97


@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e-40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_channel_that_never_varies_is_its_bias_in_both_modes(dtype: str, value: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)).astype(dtype)
    x[:, 0] = value
    layer = nn.BatchNorm(2)
    layer.build(2, dtype=dtype)
    trainer = bp.Trainer(
        layer, objective=lambda m, v, t: ops.mean((m(v) - t) ** 2), optimizer=optim.SGD(0.1), dtype=dtype
    )
    trainer.fit((x, np.full_like(x, 3)), epochs=50, batch_size=16, progress=False)
    weight, bias = (np.asarray(trainer.parameters[name], np.float64) for name in ("weight", "bias"))
    assert weight[0] == 1  # its slope is exactly 0
    assert bias[0] == pytest.approx(3, abs=1e-5)
    states = _states(layer)
    assert states["running_var"][0] == pytest.approx(0.9**200, rel=1e-4)
    assert states["running_mean"][0] == pytest.approx(value, rel=1e-5)
    with bp.training(0):
        np.testing.assert_array_equal(layer(x)[:, 0], layer.bias.value[0])  # type: ignore[union-attr]
    # What is left of the first mean and of roundings is divided by the square root of eps.
    left = 0.9**200 * value / np.sqrt(0.9**200 + 1e-5)
    rounding = 16 * abs(value) * float(np.finfo(dtype).eps) / np.sqrt(1e-5)
    np.testing.assert_allclose(trainer.predict(x)[:, 0], bias[0] + left, rtol=1e-5, atol=rounding)


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_changes_no_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(700, 96)), rng.integers(0, 5, 700)
    results = []
    for threads in (1, 2, 3):
        model = nn.Sequential(
            nn.Dense(200), nn.BatchNorm(), nn.ReLU(), nn.Dense(100), nn.BatchNorm(), nn.Dense(5)
        )
        trainer = _trainer(model, dtype, threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=256, progress=False)
        results.append((_everything(model), trainer.predict(x).tobytes()))
    assert results[0] == results[1] == results[2]


def test_a_single_row_is_refused_before_anything_is_trained() -> None:
    x, y = blobs(21)
    trainer = _trainer()
    message = r"BatchNorm layer '1': expected more than 1 value per channel .* \(1, 6\); choose a batch_size"
    with pytest.raises(ValueError, match=message):
        trainer.fit(x, y, epochs=1, batch_size=5, progress=False)  # the last batch would have one row
    assert trainer.steps == 0
    assert all(v.storage is None for _, v in trainer.model.named_variables())
    trainer.fit(x, y, epochs=1, batch_size=7, progress=False)
    before = _everything(trainer.model)
    with pytest.raises(ValueError, match=message):
        trainer.fit(x, y, epochs=1, batch_size=5, progress=False)
    for one in (trainer.step, trainer.gradients):
        with pytest.raises(ValueError, match=message):
            one(x[:1], y[:1])
    assert _everything(trainer.model) == before
    assert trainer.steps == 3
    assert trainer.predict(x[:1]).shape == (1, 3)


def test_two_calls_in_one_step_are_refused() -> None:
    x, _ = blobs(8)
    model = nn.BatchNorm(4)
    trainer = bp.Trainer(model, objective=lambda m, v: ops.sum(m(m(v))))
    with pytest.raises(ValueError, match="running_mean is updated twice in a step; call its layer once"):
        trainer.step(x)
    assert model(model(x)).shape == x.shape


@pytest.mark.parametrize("momentum", [0.1, None])
def test_files_and_copies_keep_them(tmp_path: Path, momentum: float | None) -> None:
    x, y = blobs(24)
    trainer = _trainer(_model(momentum=momentum))
    trainer.fit(x, y, epochs=2, batch_size=6, progress=False)
    expected, whole = trainer.predict(x), _everything(trainer.model)
    trainer.save(tmp_path / "trainer.safetensors")
    trainer.model.save_weights(tmp_path / "weights.safetensors")

    loaded = _model(momentum=momentum)
    loaded.load_weights(tmp_path / "weights.safetensors")
    assigned = _model(momentum=momentum)
    assigned.build(4, dtype="float64")
    assigned.assign(trainer.model)
    again = bp.Trainer.load(tmp_path / "trainer.safetensors", _model(momentum=momentum))
    for model in (loaded, assigned, trainer.model.copy(), again.model):
        assert _everything(model) == whole
        np.testing.assert_array_equal(model(x), expected)

    snapshot = trainer.snapshot()
    trainer.fit(x, y, epochs=1, batch_size=6, shuffle=False, progress=False)
    again.fit(x, y, epochs=1, batch_size=6, shuffle=False, progress=False)
    assert _everything(again.model) == _everything(trainer.model) != whole
    trainer.restore(snapshot)
    assert _everything(trainer.model) == whole


def test_a_summary_counts_parameters_and_states() -> None:
    model = _model(momentum=None)
    model.build(4)
    text = model.summary(show=False) or ""
    assert ["1", "(BatchNorm)", "(None,", "6)", "12"] in [line.split()[:5] for line in text.splitlines()]
    assert "63 parameters, 13 values of state" in text
