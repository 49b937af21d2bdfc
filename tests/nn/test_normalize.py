"""nn.Normalize and nn.Rescaling: values, fits in blocks, where the statistics are kept, what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import bpcore as bp
from bpcore import nn
from bpcore.nn.normalization import statistics

RNG = np.random.default_rng(7)
TABLE = RNG.normal([5, -3, 1e5], [0.1, 20, 3], size=(40, 3))
IMAGES = RNG.integers(0, 256, size=(6, 5, 4, 3), dtype=np.uint8)
SERIES = RNG.normal(2, 3, size=(7, 9, 2)).astype(np.float32)

# The axes with means of their own, and those that are averaged over.
AXES: dict[str, tuple[np.ndarray, Any, tuple[int, ...]]] = {
    "features": (TABLE, -1, (0,)),
    "channels": (IMAGES, -1, (0, 1, 2)),
    "everything": (IMAGES, None, (0, 1, 2, 3)),
    "pixels": (IMAGES, (1, 2, 3), (0,)),
    "rows and channels": (IMAGES, (-1, 1), (0, 2)),
    "a middle axis": (SERIES, 1, (0, 2)),
    "series": (SERIES, -1, (0, 1)),
    "numbers": (TABLE[:, 0], None, (0,)),
    "bools": (TABLE > 4, 1, (0,)),
}


@pytest.mark.parametrize("block", [2**19, 7, 1])
@pytest.mark.parametrize("case", AXES)
def test_a_fit_gives_mean_0_and_deviation_1(case: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, axis, over = AXES[case]
    monkeypatch.setattr(statistics, "_BLOCK", block)
    layer = nn.Normalize(axis).fit(x)
    if x.ndim > 1:
        layer.build(x.shape, dtype="float64")
    wide = x.astype(np.float64)
    std = wide.std(axis=over, keepdims=True)
    expected = (wide - wide.mean(axis=over, keepdims=True)) / np.where(std > 0, std, 1)
    tolerance = 1e-12 if x.ndim > 1 else 1e-5  # float32
    np.testing.assert_allclose(layer(wide), expected, rtol=tolerance, atol=tolerance)
    assert layer(x).shape == x.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int16, np.float16, np.float32, np.float64, bool])
def test_any_numbers_are_fitted_and_converted_to_the_models_dtype(dtype: Any) -> None:
    x = RNG.integers(0, 2, size=(50, 4)).astype(dtype)
    y = nn.Normalize().fit(x)(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, StandardScaler().fit_transform(x.astype(np.float64)), rtol=1e-6, atol=1e-7)


def test_statistics_are_summed_in_float64_and_rounded_once() -> None:
    """Large values close to each other: in float32 sums, all of them would be lost."""
    x = (1e4 + RNG.normal(0, 1e-2, size=(3000, 2))).astype(np.float32)
    layer = nn.Normalize().fit(x)
    layer.build((None, 2))
    wide = x.astype(np.float64)
    np.testing.assert_array_equal(layer.mean.value, wide.mean(axis=0).astype(np.float32))
    np.testing.assert_allclose(layer.std.value, wide.std(axis=0), rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_deviations_whose_squares_leave_float32(scale: float) -> None:
    x = RNG.normal(size=(20, 2)) * scale
    y = nn.Normalize().fit(x)(x)
    np.testing.assert_allclose(y, (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-4, atol=1e-5)


def test_constant_features_are_divided_by_1() -> None:
    x = np.full((37, 2), 0.1)
    x[:, 1] = 1e9 + 0.3
    layer = nn.Normalize().fit(x)
    layer.build((None, 2), dtype="float64")
    assert (layer(x) == 0).all()
    np.testing.assert_array_equal(layer.std.value, [1, 1])


def test_memmaps_are_read_in_blocks(tmp_path: Path) -> None:
    import tracemalloc

    shape = (200_000, 20)
    file = np.memmap(tmp_path / "x", np.uint8, "w+", shape=shape)
    file[:] = np.arange(shape[0] * shape[1], dtype=np.uint64).reshape(shape) * 7919 % 251
    layer = nn.Normalize()
    tracemalloc.start()
    layer.fit(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * file.size, "a copy of everything in float64 would be 32 MB"
    assert peak < 24e6
    layer.build((None, shape[1]), dtype="float64")
    np.testing.assert_allclose(layer.mean.value, file.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(layer.std.value, file.std(axis=0), rtol=1e-13)


def test_columns_of_a_larger_array_are_taken_as_they_are() -> None:
    wide = RNG.normal(size=(30, 6))
    np.testing.assert_array_equal(
        nn.Normalize().fit(wide[:, ::2])(wide[:, ::2]),
        nn.Normalize().fit(wide[:, ::2].copy())(wide[:, ::2]),
    )


def test_given_values_are_those_of_a_fit() -> None:
    mean, variance = TABLE.mean(axis=0), TABLE.var(axis=0)
    expected = nn.Normalize().fit(TABLE)(TABLE)
    for layer in (
        nn.Normalize(mean=mean, variance=variance),
        nn.Normalize(mean=list(mean), variance=variance),
    ):
        assert layer.fitted
        np.testing.assert_allclose(layer(TABLE), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(nn.Normalize(mean=2, variance=4)(SERIES), (SERIES - 2) / 2, rtol=1e-6)
    np.testing.assert_allclose(nn.Normalize(None, mean=2, variance=0.0)(SERIES), SERIES - 2, rtol=1e-6)


# In a model


def _model(layer: nn.Normalize) -> nn.Sequential:
    return nn.Sequential(layer, nn.Dense(4, "tanh"), nn.BatchNorm(), nn.Dense(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fits_before_and_after_the_model_exists_are_the_same(dtype: str) -> None:
    before, after = _model(nn.Normalize().fit(TABLE)), _model(nn.Normalize())
    for model in (before, after):
        model.build((None, 3), dtype=dtype)
    after[0].fit(TABLE)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(before(TABLE), after(TABLE))
    assert before[0].mean.dtype == dtype  # type: ignore[attr-defined]


def test_another_fit_replaces_the_first_one_in_plans_that_exist() -> None:
    model = _model(nn.Normalize().fit(TABLE))
    first = model(TABLE)
    model[0].fit(TABLE * 2 + 1)  # type: ignore[attr-defined]
    np.testing.assert_allclose(model(TABLE * 2 + 1), first, rtol=1e-3, atol=1e-4)


def test_an_unfitted_layer_says_so_and_nothing_happens() -> None:
    model = _model(nn.Normalize())
    trainer = bp.Trainer(model, "mse")
    y = TABLE[:, :1]
    for use in (
        lambda: nn.Normalize()(TABLE),
        lambda: _model(nn.Normalize())(TABLE),
        lambda: trainer.fit(TABLE, y, epochs=1, progress=False),
        lambda: trainer.predict(TABLE),
        lambda: trainer.evaluate(TABLE, y),
    ):
        with pytest.raises(RuntimeError, match=r"no mean and deviation yet: call its fit\(x\)"):
            use()
    assert not model[0].fitted  # type: ignore[attr-defined]
    model[0].fit(TABLE)  # type: ignore[attr-defined]
    trainer.fit(TABLE, y, epochs=1, progress=False)
    assert model[0].fitted  # type: ignore[attr-defined]


def test_training_leaves_the_statistics_alone() -> None:
    model = _model(nn.Normalize().fit(TABLE))
    trainer = bp.Trainer(model, "mse", ema=0.9, seed=1)
    trainer.predict(TABLE)
    before = model[0].mean.value.copy()  # type: ignore[attr-defined]
    trainer.fit(TABLE, TABLE[:, :1], epochs=3, progress=False)
    np.testing.assert_array_equal(model[0].mean.value, before)  # type: ignore[attr-defined]
    assert "0.mean" not in model.parameters
    assert trainer.averaged_model()[0].fitted  # type: ignore[index]
    assert "Normalize" in (model.summary(show=False) or "")


def test_files_and_copies_keep_the_statistics(tmp_path: Path) -> None:
    model = _model(nn.Normalize().fit(TABLE))
    trainer = bp.Trainer(model, "mse")
    trainer.fit(TABLE, TABLE[:, :1], epochs=1, progress=False)
    expected = model(TABLE)
    model.save_weights(tmp_path / "weights")
    trainer.save(tmp_path / "trainer")
    loaded, resumed = _model(nn.Normalize()), _model(nn.Normalize())
    loaded.load_weights(tmp_path / "weights")
    bp.Trainer.load(tmp_path / "trainer", resumed)
    for other in (loaded, resumed, model.copy(), copy.deepcopy(model)):
        np.testing.assert_array_equal(other(TABLE), expected)
    np.testing.assert_allclose(nn.fold_batch_norm(model)(TABLE), expected, rtol=1e-4, atol=1e-5)
    unbuilt = _model(nn.Normalize().fit(TABLE)).copy()
    np.testing.assert_array_equal(unbuilt(TABLE), _model(nn.Normalize().fit(TABLE))(TABLE))
    changed = copy.deepcopy(model)
    changed[0].fit(TABLE + 1)  # type: ignore[attr-defined]
    np.testing.assert_allclose(changed(TABLE + 1), expected, rtol=1e-2, atol=1e-3)


def test_gradients_pass_through() -> None:
    for layer in (nn.Normalize().fit(TABLE), nn.Rescaling([1.0, -2.0, 3.0], 0.5)):
        if isinstance(layer, nn.Normalize):
            layer.build((None, 3), dtype="float64")
        bp.check_gradients(layer, TABLE[:3])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_located(value: float, order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_BLOCK", 30)
    x = np.array(TABLE, order=order)
    x[31, 2] = value
    layer = nn.Normalize().fit(TABLE)
    before = layer(TABLE)
    with pytest.raises(ValueError, match=rf"Normalize.fit: x\[31, 2\] is {value}; clean the data"):
        layer.fit(x)
    np.testing.assert_array_equal(layer(TABLE), before)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no rows": (lambda: nn.Normalize().fit(np.ones((0, 2))), ValueError, "is empty"),
    "numbers": (lambda: nn.Normalize().fit([1.0, 2.0]), ValueError, "expected a batch axis and, beside it"),
    "a number": (lambda: nn.Normalize(None).fit(3.0), ValueError, "expected a batch axis, got"),
    "words": (lambda: nn.Normalize().fit([["a"]]), TypeError, "Normalize.fit: x: expected numbers"),
    "objects": (lambda: nn.Normalize().fit(np.array([[None]])), TypeError, "expected numbers"),
    "complex": (lambda: nn.Normalize().fit(np.ones((2, 2), complex)), TypeError, "expected numbers"),
    "too large": (lambda: nn.Normalize().fit([[1e300], [-1e300]]), ValueError, "too large for a variance"),
    "sizes": (lambda: nn.Normalize().fit(TABLE).fit(TABLE[:, :2]), ValueError, "expected 3 features"),
    "sizes of a call": (lambda: nn.Normalize().fit(TABLE)(TABLE[:, :2]), ValueError, "expected 3 features"),
    "batch axis": (lambda: nn.Normalize(0), ValueError, "behind the batch's"),
    "batch axis, from behind": (lambda: nn.Normalize(-2).fit(TABLE), ValueError, "expected a batch axis"),
    "axis twice": (lambda: nn.Normalize((1, -1)).fit(TABLE), ValueError, "expected a batch axis"),
    "axis": (lambda: nn.Normalize("last"), TypeError, "axis must be an integer"),
    "one of two": (lambda: nn.Normalize(mean=1), ValueError, "both mean and variance"),
    "negative": (lambda: nn.Normalize(mean=1, variance=-1), ValueError, "finite and at least 0"),
    "nan": (lambda: nn.Normalize(mean=np.nan, variance=1), ValueError, "must be finite"),
    "axes": (lambda: nn.Normalize(mean=[[1.0]], variance=1), ValueError, "have 1 axes"),
    "lengths": (lambda: nn.Normalize(mean=[1, 2], variance=[1, 2, 3]), ValueError, "variance \\(3,\\)"),
    "scale": (lambda: nn.Rescaling("1/255"), TypeError, "scale must be a number"),
    "infinite": (lambda: nn.Rescaling(1, np.inf), ValueError, "offset must be finite"),
    "nan in a list": (lambda: nn.Rescaling([1, np.nan]), ValueError, "scale must be a finite number"),
    "channels": (lambda: nn.Rescaling([1, 2])(TABLE), ValueError, r"expected input of shape \(..., 2\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    use, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        use()


def test_values_that_overflow_an_existing_model_change_nothing() -> None:
    layer = nn.Normalize().fit(TABLE)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="overflows float32"):
        layer.fit(TABLE * 1e40)
    np.testing.assert_allclose(layer.mean.value, TABLE.mean(axis=0), rtol=1e-6)


# Rescaling


def test_rescaling_is_x_times_scale_plus_offset() -> None:
    y = nn.Rescaling(1 / 127.5, -1)(IMAGES)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, IMAGES / 127.5 - 1, rtol=1e-6, atol=1e-6)
    y = nn.Rescaling([1, 2, 3], [0.5, 0, -0.5])(TABLE)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, TABLE * [1, 2, 3] + [0.5, 0, -0.5], rtol=1e-15)


def test_rescaling_begins_a_model_of_images() -> None:
    model = nn.Sequential(nn.Rescaling(1 / 255), nn.Conv2D(2, 3), nn.Flatten(), nn.Dense(2))
    trainer = bp.Trainer(model, "cross_entropy", dtype="float64")
    trainer.fit(IMAGES, np.arange(6) % 2, epochs=1, progress=False)
    np.testing.assert_allclose(trainer.predict(IMAGES), model[1:](IMAGES / 255), rtol=1e-12)
