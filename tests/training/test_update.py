"""What lies between gradients and new parameters: groups, clipping, accumulation, averages, constraints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, ops, optim
from tests.support.draw import normal
from tests.training.problems import bits, blobs, network, regression

if TYPE_CHECKING:
    from pathlib import Path

RATE = 0.1


def _model(dtype: str = "float64", seed: int = 0) -> nn.Sequential:
    model = network(5, 4, 2, in_features=3)
    model.build(3, seed=seed, dtype=dtype)
    return model


def _trainer(optimizer: Any = None, model: nn.Module | None = None, **options: Any) -> bp.Trainer:
    return bp.Trainer(model or _model(), "mse", optimizer or optim.SGD(RATE), dtype="float64", **options)


def _after_a_step(**options: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Gradients of a batch, as they are, and what plain SGD of rate 1 took from each parameter."""
    x, y = regression()
    trainer = _trainer(optim.SGD(1.0), **options)
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    gradients = trainer.gradients(x, y)
    trainer.step(x, y)
    return gradients, {name: before[name] - value for name, value in trainer.parameters.items()}


# Groups


def test_a_group_has_a_rate_and_settings_of_its_own() -> None:
    x, y = regression()
    groups = [
        optim.Group("0", lr=0.0),
        optim.Group("*.bias", lr=0.5),
        optim.Group("2.weight", weight_decay=0.3),
    ]
    trainer = _trainer(optim.SGD(RATE, groups=groups))
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    gradients = trainer.gradients(x, y)
    trainer.step(x, y)
    after = trainer.parameters
    for name in ("0.weight", "0.bias"):
        np.testing.assert_array_equal(after[name], before[name])
    for name in ("1.bias", "2.bias"):
        np.testing.assert_allclose(after[name], before[name] - 0.5 * gradients[name], rtol=1e-12)
    np.testing.assert_allclose(
        after["1.weight"], before["1.weight"] - RATE * gradients["1.weight"], rtol=1e-12
    )
    decayed = gradients["2.weight"] + 0.3 * before["2.weight"]
    np.testing.assert_allclose(after["2.weight"], before["2.weight"] - RATE * decayed, rtol=1e-12)


def test_the_first_group_that_matches_counts() -> None:
    groups = [optim.Group("1"), optim.Group("*.weight"), optim.Group(["nothing", "2.b*"], max_ndim=1)]
    optimizer = optim.Adam(groups=groups)
    axes = {"0.weight": 2, "0.bias": 1, "1.weight": 2, "1.bias": 1, "10.weight": 2, "2.bias": 1}
    assert optimizer.group_of(axes) == [2, 0, 1, 1, 2, 3]


def test_no_decay_on_vectors() -> None:
    groups = [optim.Group(max_ndim=1, weight_decay=0.0)]
    _, with_groups = _after_a_step()
    x, y = regression()
    trainer = _trainer(optim.SGD(1.0, weight_decay=0.1, groups=groups))
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    trainer.step(x, y)
    for name, value in trainer.parameters.items():
        expected = with_groups[name] + (0.1 * before[name] if value.ndim == 2 else 0)
        np.testing.assert_allclose(before[name] - value, expected, rtol=1e-9, atol=1e-15)


def test_a_groups_rate_may_be_a_function_of_the_step() -> None:
    optimizer = optim.SGD(lambda step: 1 / (1 + step), groups=[optim.Group("a", lr=lambda step: 2.0 * step)])
    np.testing.assert_array_equal(optimizer.group_rates(1, 3), [[1 / 2, 2], [1 / 3, 4], [1 / 4, 6]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.Group(3), TypeError, "match must be names"),
        (lambda: optim.Group([]), TypeError, "match must be names"),
        (lambda: optim.Group(max_ndim=1.0), TypeError, "max_ndim must be an integer"),
        (lambda: optim.Group(max_ndim=-1), ValueError, "Group: max_ndim must be at least 0, got -1"),
        (lambda: optim.Adam(groups=optim.Group("0")), TypeError, "groups must be a list of optim.Group obj"),
        (
            lambda: optim.Adam(groups=None),
            TypeError,
            "groups must be a list of optim.Group objects, got None",
        ),
        (lambda: optim.Adam(groups=["0"]), TypeError, "groups must be optim.Group objects, got str"),
        (
            lambda: optim.Adam(groups=[optim.Group("0", lr=-1.0)]),
            ValueError,
            "lr must be finite and at least 0",
        ),
        (lambda: optim.Adam(groups=[optim.Group("0", momentum=0.5)]), ValueError, "unknown setting of Adam"),
        (lambda: optim.Adam(groups=[optim.Group("0", betas=(0.9, 1.0))]), ValueError, r"in \[0, 1\)"),
        (lambda: optim.Adam(groups=[optim.Group("0", amsgrad=True)]), ValueError, "same for all parameters"),
        (
            lambda: _trainer(optim.SGD(1.0, groups=[optim.Group("7")])),
            ValueError,
            "matches no parameter; they are 0.w",
        ),
    ],
)
def test_wrong_groups_are_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_trainer_with_groups_is_saved_and_goes_on(tmp_path: Path) -> None:
    def optimizer() -> optim.Optimizer:
        return optim.AdamW(
            1e-2, groups=[optim.Group("0", lr=1e-3, betas=(0.5, 0.9)), optim.Group(max_ndim=1)]
        )

    x, y = regression()
    whole, first = _trainer(optimizer()), _trainer(optimizer())
    for _ in range(3):
        first.step(x, y)
    first.save(tmp_path / "run.safetensors")
    second = bp.Trainer.load(tmp_path / "run.safetensors", _model(seed=1))
    assert repr(second.optimizer) == repr(first.optimizer)
    for _ in range(3):
        second.step(x, y)
    for _ in range(6):
        whole.step(x, y)
    assert bits(second) == bits(whole)


# Frozen layers


def test_frozen_layers_keep_their_bits_and_cost_no_gradient() -> None:
    x, y = regression()
    trainer = _trainer(optim.AdamW(RATE), clip_norm=1.0, ema=0.9, regularizer=nn.L2(0.1))
    trainer.model[0].freeze()
    before = {name: value.tobytes() for name, value in trainer.parameters.items()}
    trainer.fit(x, y, epochs=2, batch_size=8, progress=False)
    moved = {name for name, value in trainer.parameters.items() if value.tobytes() != before[name]}
    assert moved == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert set(trainer.gradients(x, y)) == moved
    averages = trainer.averaged_model().parameters
    assert averages["0.weight"].tobytes() == before["0.weight"]
    trainer.model[0].unfreeze()
    trainer.step(x, y)
    assert trainer.parameters["0.weight"].tobytes() != before["0.weight"]


# Clipping


@pytest.mark.parametrize("most", [1e-2, 1e3])
def test_clip_norm_scales_all_gradients_together(most: float) -> None:
    gradients, moved = _after_a_step(clip_norm=most)
    norm = np.sqrt(sum(np.sum(each**2) for each in gradients.values()))
    for name, gradient in gradients.items():
        np.testing.assert_allclose(
            moved[name], gradient * min(1, most / (norm + 1e-6)), rtol=1e-9, atol=1e-15
        )


def test_clip_layer_norm_scales_layer_by_layer() -> None:
    gradients, moved = _after_a_step()
    norms = {
        i: np.sqrt(sum(np.sum(gradients[f"{i}.{n}"] ** 2) for n in ("weight", "bias"))) for i in range(3)
    }
    most = float(np.median(list(norms.values())))
    _, moved = _after_a_step(clip_layer_norm=most)
    for name, gradient in gradients.items():
        factor = min(1, most / (norms[int(name[0])] + 1e-6))
        np.testing.assert_allclose(moved[name], gradient * factor, rtol=1e-9, atol=1e-15)


def test_clip_value_limits_each_element() -> None:
    gradients, _ = _after_a_step()
    most = float(np.median(np.abs(gradients["1.weight"])))
    _, moved = _after_a_step(clip_value=most)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(moved[name], np.clip(gradient, -most, most), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("option", ["clip_norm", "clip_layer_norm", "clip_value", "ema"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0.0, ValueError), (-1.0, ValueError), (np.nan, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_wrong_limits_are_errors(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"Trainer: {option} must be"):
        _trainer(**{option: value})


def test_two_ways_to_clip_are_an_error() -> None:
    with pytest.raises(ValueError, match="only one of clip_norm and clip_value"):
        _trainer(clip_norm=1.0, clip_value=1.0)


# Gradients that are not finite


def _with_a_root(
    threads: int | None = None, nonfinite: str | None = None
) -> tuple[bp.Trainer, np.ndarray, np.ndarray]:
    """The gradient of the second layer is infinite for the input 0, and the loss is finite."""

    class Root(nn.Module):
        def __init__(self) -> None:
            self.last = nn.Dense(1, in_features=2)
            self.scale = nn.Parameter(2, "ones")

        def __call__(self, x: Any) -> Any:
            return self.last(ops.sqrt(self.scale * x))

    x = np.abs(normal((6, 2))).astype("float32")
    trainer = bp.Trainer(Root(), "mse", optim.SGD(0.0), nonfinite=nonfinite, threads=threads)
    trainer.step(x, x[:, :1])
    x[3] = 0
    trainer.parameters["scale"][...] = 0
    return trainer, x, x[:, :1]


def test_a_gradient_that_is_not_finite_stops_before_the_update() -> None:
    trainer, x, y = _with_a_root(nonfinite="stop")
    before = bits(trainer)
    with pytest.raises(FloatingPointError, match=r"^step: the gradient is not finite at step 1; nothing was"):
        trainer.step(x, y)
    with pytest.raises(
        FloatingPointError, match=r"^fit: the gradient is not finite at step 1 \(step 0 of epoch 1\)"
    ):
        trainer.fit(x, y, epochs=1, progress=False)
    assert bits(trainer) == before
    assert trainer.steps == 1


def test_the_layer_whose_gradient_is_not_finite_is_named() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Dense(2, in_features=2)
            self.second = nn.Dense(1, in_features=2)

        def __call__(self, x: Any) -> Any:
            return self.second(ops.sqrt(self.first(x)))

    trainer = bp.Trainer(Model(), "mse", "sgd", nonfinite="stop")
    trainer.parameters["first.weight"][...] = 0
    with pytest.raises(FloatingPointError, match="the gradient of layer 'first' is not finite"):
        trainer.step(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))


def test_steps_that_are_not_finite_can_be_skipped() -> None:
    x, y = regression(n=32)
    y[9] = 1e200  # its square overflows: a loss that is not finite
    skipping = _trainer(nonfinite="skip")
    history = skipping.fit(x, y, epochs=3, batch_size=4, shuffle=False, progress=False)
    assert skipping.skipped == 3
    assert skipping.steps == 3 * 7
    assert np.isfinite(history["loss"]).all()
    without = _trainer()
    keep = np.r_[0:8, 12:32]
    without.fit(x[keep], y[keep], epochs=3, batch_size=4, shuffle=False, progress=False)
    assert bits(skipping) == bits(without)
    assert not np.isfinite(skipping.step(x, y))
    assert (skipping.skipped, skipping.steps) == (4, 21)


@pytest.mark.parametrize("batches", [False, True], ids=["arrays", "batches"])
def test_an_epoch_of_skipped_steps_has_no_loss(batches: bool) -> None:
    """It was 0, the least that there is: the best epoch for whoever looks at it."""
    x, y = regression(n=8)
    trainer = _trainer(nonfinite="skip", metrics=["mae"])
    data: dict[str, Any] = {"x": [(x, y)] * 2} if batches else {"x": x, "y": y, "batch_size": 4}
    trainer.fit(**data, epochs=1, progress=False)
    trainer.parameters["0.weight"][...] = np.nan
    history = trainer.fit(**data, epochs=2, progress=False)
    assert trainer.skipped == 4
    assert np.isnan(history["loss"]).all()
    assert np.isnan(history["mae"]).all()


@pytest.mark.parametrize("batches", [False, True], ids=["arrays", "batches"])
def test_a_skipped_step_uses_up_no_learning_rate(batches: bool) -> None:
    """Wherever native calls end, which is a matter of time."""
    x, y = regression(n=32)
    y[6] = 1e200  # its square overflows

    def trained(rows: list[int], every_steps: int) -> bytes:
        trainer = _trainer(optim.SGD(lambda step: 0.2 / (1 + step % 8)), nonfinite="skip")
        data: dict[str, Any] = {"x": x[rows], "y": y[rows], "batch_size": 4, "shuffle": False}
        if batches:
            data = {"x": [(x[rows[i : i + 4]], y[rows[i : i + 4]]) for i in range(0, len(rows), 4)]}
        stops = callbacks.LambdaCallback(on_step=lambda trainer, logs: None, every_steps=every_steps)  # noqa: ARG005
        trainer.fit(**data, epochs=20, callbacks=[stops], progress=False)
        assert trainer.skipped == (20 if len(rows) == 32 else 0)
        return bits(trainer)

    whole, good = list(range(32)), [*range(4), *range(8, 32)]
    assert trained(whole, 1) == trained(whole, 1000) == trained(good, 1000)


def test_unknown_ways_to_treat_them_are_errors() -> None:
    with pytest.raises(ValueError, match='nonfinite must be "stop", "skip" or None'):
        _trainer(nonfinite="ignore")


# Accumulation


@pytest.mark.parametrize("weighted", [False, True])
def test_accumulated_batches_are_one_large_batch(weighted: bool) -> None:
    x, y = regression(n=22)
    weight = np.abs(normal((22,), key=9)) if weighted else None
    options: dict[str, Any] = {"epochs": 3, "shuffle": False, "progress": False, "sample_weight": weight}
    whole, parts = _trainer(optim.Adam(RATE)), _trainer(optim.Adam(RATE))
    one = whole.fit(x, y, batch_size=12, **options)
    many = parts.fit(x, y, batch_size=4, accumulate=3, **options)
    assert whole.steps == parts.steps == 6
    np.testing.assert_allclose(one["loss"], many["loss"], rtol=1e-12)
    for name, value in whole.parameters.items():
        np.testing.assert_allclose(parts.parameters[name], value, rtol=1e-10)


def test_accumulation_is_the_same_with_more_threads() -> None:
    x, y = blobs(200)
    results = []
    for threads in (1, 2, 3):
        trainer = bp.Trainer(network(300, 3), "cross_entropy", threads=threads, clip_norm=0.1, ema=0.9)
        trainer.fit(x, y, epochs=2, batch_size=64, accumulate=3, progress=False)
        results.append(bits(trainer) + bits(trainer.averaged_model()))
    assert results[0] == results[1] == results[2]


def test_a_later_batch_that_is_not_finite_undoes_what_earlier_ones_wrote() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(2, in_features=3)
            self.seen = nn.State(())

        def __call__(self, x: Any) -> Any:
            self.seen.update(self.seen + 1)
            return self.dense(x)

    x, y = regression(n=12)
    y[-1] = 1e200
    model = Counting()
    trainer = _trainer(model=model)
    with pytest.raises(FloatingPointError):
        trainer.fit(x, y, epochs=1, batch_size=2, accumulate=3, shuffle=False, progress=False)
    assert float(model.seen) == 3


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError)])
def test_wrong_accumulation_is_an_error(value: Any, error: type[Exception]) -> None:
    x, y = regression()
    with pytest.raises(error, match="accumulate"):
        _trainer().fit(x, y, epochs=1, accumulate=value)


# Moving averages


def test_the_average_follows_the_parameters(tmp_path: Path) -> None:
    x, y = regression()
    trainer = _trainer(ema=0.75)
    with pytest.raises(RuntimeError, match="there was no step yet"):
        trainer.averaged_model()
    want: dict[str, np.ndarray] = {}
    for step in range(5):
        if step == 3:
            trainer.save(tmp_path / "run.safetensors")
            trainer = bp.Trainer.load(tmp_path / "run.safetensors", _model(seed=3))
        trainer.step(x, y)
        for name, value in trainer.parameters.items():
            want[name] = value.copy() if step == 0 else 0.75 * want[name] + 0.25 * value
    average = trainer.averaged_model()
    for name, value in average.parameters.items():
        np.testing.assert_allclose(value, want[name], rtol=1e-12)
    assert bits(trainer) != bits(average)


@pytest.mark.parametrize("before", [None, 0.75])
def test_a_loaded_trainer_may_have_another_average(before: float | None, tmp_path: Path) -> None:
    """What there was goes on with the new decay; without any, it begins with the parameters as they are."""
    x, y = regression()
    first = _trainer(ema=before)
    for _ in range(3):
        first.step(x, y)
    first.save(tmp_path / "run.safetensors")
    start = (first.averaged_model() if before else first.model.copy()).parameters
    trainer = bp.Trainer.load(tmp_path / "run.safetensors", _model(seed=3), ema=0.5)
    assert trainer.control.ema == 0.5
    assert bits(trainer) == bits(first)
    for name, value in trainer.averaged_model().parameters.items():
        np.testing.assert_array_equal(value, start[name])
    first.step(x, y)
    trainer.step(x, y)
    assert bits(trainer) == bits(first)
    for name, value in trainer.averaged_model().parameters.items():
        np.testing.assert_allclose(value, 0.5 * start[name] + 0.5 * trainer.parameters[name], rtol=1e-12)


def test_a_loaded_trainer_may_have_no_average_any_more(tmp_path: Path) -> None:
    x, y = regression()
    first = _trainer(ema=0.75)
    first.step(x, y)
    first.save(tmp_path / "run.safetensors")
    trainer = bp.Trainer.load(tmp_path / "run.safetensors", _model(seed=3), ema=None)
    with pytest.raises(RuntimeError, match="ema is None"):
        trainer.averaged_model()
    assert first.step(x, y) == trainer.step(x, y)
    assert bits(trainer) == bits(first)


def test_without_ema_there_is_no_average() -> None:
    with pytest.raises(RuntimeError, match="ema is None"):
        _trainer().averaged_model()


# Regularisation terms and constraints


def test_regularizers_add_their_gradients_and_leave_the_loss() -> None:
    x, y = regression()
    plain, penalized = _trainer(), _trainer(regularizer=nn.L1L2(0.3, 0.2))
    penalized.model[1].weight.regularizer = nn.L2(0.5)
    penalized.model[2].bias.regularizer = lambda weight: ops.sum(weight * weight * weight)
    penalized.parameters["2.bias"][...] = plain.parameters["2.bias"][...] = 2.0
    a, b = plain.gradients(x, y), penalized.gradients(x, y)
    values = plain.parameters
    want = {
        "0.weight": 0.3 * np.sign(values["0.weight"]) + 0.4 * values["0.weight"],
        "1.weight": values["1.weight"],
        "2.weight": 0.3 * np.sign(values["2.weight"]) + 0.4 * values["2.weight"],
        "2.bias": 3 * values["2.bias"] ** 2,
    }
    for name in a:
        np.testing.assert_allclose(b[name], a[name] + want.get(name, 0), rtol=1e-10, atol=1e-14)
    assert penalized.step(x, y) == plain.step(x, y)
    assert bits(penalized) != bits(plain)


def test_regularizers_of_dense_layers_are_saved_with_the_trainer(tmp_path: Path) -> None:
    layer = nn.Dense(2, in_features=3, kernel_regularizer=nn.L1(0.1), bias_regularizer=nn.L2(0.2))
    assert (repr(layer.weight.regularizer), repr(layer.bias.regularizer)) == ("L1(0.1)", "L2(0.2)")
    trainer = _trainer(regularizer=nn.L2(0.25))
    trainer.save(tmp_path / "run.safetensors")
    assert repr(bp.Trainer.load(tmp_path / "run.safetensors", _model()).regularizer) == "L2(0.25)"
    _trainer(regularizer=lambda weight: ops.sum(weight)).save(tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="give regularizer= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "own.safetensors", _model())


def test_max_norm_limits_columns_and_non_negative_rectifies() -> None:
    x, y = regression(features=130)
    model = nn.Sequential(
        nn.Dense(100, "tanh", in_features=130, kernel_constraint=nn.MaxNorm(0.5)),
        nn.Dense(2, kernel_constraint=nn.NonNegative(), bias_constraint=nn.MaxNorm(0.01)),
    )
    model.build(130, dtype="float64")
    free = model.copy()
    for layer in (free[0], free[1]):
        layer.weight.constraint = layer.bias.constraint = None
    constrained, plain = (_trainer(optim.SGD(RATE), model=each) for each in (model, free))
    constrained.step(x, y)
    plain.step(x, y)
    weight = plain.parameters["0.weight"]
    norms = np.linalg.norm(weight, axis=0)
    np.testing.assert_allclose(
        constrained.parameters["0.weight"], weight * np.minimum(1, 0.5 / norms), rtol=1e-12
    )
    np.testing.assert_array_equal(
        constrained.parameters["1.weight"], np.maximum(plain.parameters["1.weight"], 0)
    )
    bias = plain.parameters["1.bias"]
    np.testing.assert_allclose(constrained.parameters["1.bias"], np.clip(bias, -0.01, 0.01), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.L1(-1.0), ValueError, "L1: l1 must be finite and at least 0, got -1.0"),
        (lambda: nn.L2(np.nan), ValueError, "L2: l2 must be finite"),
        (lambda: nn.L1L2(l2="a"), TypeError, "L1L2: l2 must be a number"),
        (lambda: nn.MaxNorm(0), ValueError, "MaxNorm: most must be finite and above 0"),
        (lambda: nn.Dense(2, kernel_regularizer=0.1), TypeError, "a regularizer is"),
        (lambda: nn.Dense(2, kernel_regularizer=nn.L2), TypeError, "a regularizer is"),
        (lambda: nn.Dense(2, kernel_constraint=nn.L2()), TypeError, "a constraint is"),
        (lambda: _trainer(regularizer=1.0), TypeError, "Trainer: regularizer must be"),
    ],
)
def test_wrong_terms_are_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_a_regularizer_that_is_no_scalar_is_an_error() -> None:
    x, y = regression()
    with pytest.raises(
        ValueError, match=r"the regularizer of 0.weight must return a scalar tensor, got a tensor of"
    ):
        _trainer(regularizer=lambda weight: weight * 2).step(x, y)
