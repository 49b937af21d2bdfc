"""Losses in a trainer: names and partials, elements with weights, labels that don't count."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, optim
from bpcore._native import core
from tests.training.problems import bits, forward, network
from tests.training.refusal import assert_refused

N, FEATURES, C = 23, 4, 3
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, FEATURES))
Y = RNG.integers(0, C, N)
IGNORED = np.where(np.arange(N) % 4 == 1, -100, Y)
WEIGHT = [0.5, 2.0, 3.0]
SAMPLES = RNG.uniform(0, 2, N)

weighted = functools.partial(losses.cross_entropy, weight=WEIGHT, ignore_index=-100, label_smoothing=0.1)


def _trainer(loss: Any, units: int = C, optimizer: Any = None, **options: Any) -> bp.Trainer:
    model = network(units, in_features=FEATURES)
    return bp.Trainer(model, loss, optimizer or optim.SGD(0.1), **{"dtype": "float64", **options})


def _parts(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `weighted`: the loss of each element, its weight, and the slope of the first by the logits."""
    table, kept, label = np.array(WEIGHT), y != -100, np.where(y == -100, 0, y)
    probability = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    share = table * (0.9 * np.eye(C)[label] + 0.1 / C)
    value = -(share * np.log(probability)).sum(axis=1)
    slope = probability * share.sum(axis=1, keepdims=True) - share
    return kept * value, kept * table[label], kept[:, None] * slope


# Sums over all, divided by weights over all


@pytest.mark.parametrize("sample_weight", [None, SAMPLES], ids=["alike", "weighted samples"])
def test_evaluation_is_the_formula_over_the_whole_set(sample_weight: Any) -> None:
    trainer = _trainer(weighted)
    value, weight, _ = _parts(forward(trainer.parameters, X), IGNORED)
    w = np.ones(N) if sample_weight is None else sample_weight
    expected = (w * value).sum() / (w * weight).sum()
    for batch_size in (1, 5, 7, 23, 100):
        found = trainer.evaluate(X, IGNORED, batch_size=batch_size, sample_weight=sample_weight)["loss"]
        assert found == pytest.approx(expected, rel=1e-12)
    if sample_weight is None:
        assert losses.cross_entropy(forward(trainer.parameters, X), IGNORED, **weighted.keywords) == (
            pytest.approx(expected, rel=1e-12)
        )


@pytest.mark.parametrize("sample_weight", [None, SAMPLES], ids=["alike", "weighted samples"])
def test_an_epoch_of_uneven_batches_is_what_the_formula_gives(sample_weight: Any) -> None:
    """Each step descends the mean of its batch; the epoch's value is Σwℓ / Σw over all of them."""
    trainer = _trainer(weighted)
    weights, bias = trainer.parameters["0.weight"].copy(), trainer.parameters["0.bias"].copy()
    w = np.ones(N) if sample_weight is None else sample_weight
    history = trainer.fit(
        X, IGNORED, epochs=2, batch_size=6, sample_weight=sample_weight, validation_data=(X, IGNORED),
        progress=False,
    )  # fmt: skip
    for epoch in range(2):
        order = core.permutation(N, 0, epoch)
        total = count = 0.0
        for start in range(0, N, 6):
            rows = order[start : start + 6]
            value, weight, slope = _parts(X[rows] @ weights + bias, IGNORED[rows])
            total, count = total + (w[rows] * value).sum(), count + (w[rows] * weight).sum()
            step = 0.1 * w[rows, None] * slope / (w[rows] * weight).sum()
            weights, bias = weights - X[rows].T @ step, bias - step.sum(axis=0)
        assert history["loss"][epoch] == pytest.approx(total / count, rel=1e-12)
    np.testing.assert_allclose(trainer.parameters["0.weight"], weights, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(trainer.parameters["0.bias"], bias, rtol=1e-11, atol=1e-13)
    value, weight, _ = _parts(X @ weights + bias, IGNORED)
    assert history["val_loss"][-1] == pytest.approx(value.sum() / weight.sum(), rel=1e-11)


def _targets(name: str) -> np.ndarray:
    if name in ("cross_entropy", "nll", "multi_margin"):
        return Y
    if name in ("cosine_similarity", "kl_divergence"):
        return np.eye(C)[Y]
    y = Y[:, None]
    return {"hinge": np.sign(y - 0.5), "squared_hinge": np.sign(y - 0.5), "poisson_nll": y}.get(name, y > 0)


NAMES = [
    "binary_cross_entropy", "cosine_similarity", "cross_entropy", "focal", "hinge", "huber", "kl_divergence",
    "log_cosh", "mae", "mse", "multi_margin", "nll", "poisson_nll", "quantile", "smooth_l1", "squared_hinge",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_has_a_name_and_its_mean_over_batches_is_its_mean(name: str) -> None:
    y = _targets(name)
    units = y.shape[1] if y.ndim == 2 else C
    function = getattr(losses, name)
    found = []
    for loss in (name, function, functools.partial(function)):
        trainer = _trainer(loss, units)
        assert trainer.loss == name
        before = trainer.evaluate(X, y, batch_size=7)["loss"]
        assert before == pytest.approx(function(trainer.predict(X), y), rel=1e-12)
        trainer.fit(X, y, epochs=3, batch_size=7, progress=False)
        assert trainer.evaluate(X, y)["loss"] < before
        found.append(bits(trainer))
    assert found[0] == found[1] == found[2]


def test_a_partial_keeps_its_settings() -> None:
    y = RNG.normal(size=N)
    trainer = _trainer(functools.partial(losses.huber, delta=0.1), 1)
    d = np.abs(forward(trainer.parameters, X)[:, 0] - y)
    expected = np.where(d <= 0.1, d**2 / 2, 0.1 * (d - 0.05))
    assert trainer.evaluate(X, y, batch_size=4, sample_weight=SAMPLES)["loss"] == pytest.approx(
        (SAMPLES * expected).sum() / SAMPLES.sum(), rel=1e-12
    )


def test_a_partial_with_a_reduction_is_a_function_of_its_own() -> None:
    """Its value counts for all rows of its batch."""
    trainer = _trainer(functools.partial(losses.cross_entropy, weight=WEIGHT, reduction="mean"))
    assert trainer.loss == "cross_entropy"
    z, w = forward(trainer.parameters, X), np.array(WEIGHT)
    each = -np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[np.arange(N), Y]
    of_batches = [np.average(each[i : i + 6], weights=w[Y[i : i + 6]]) for i in range(0, N, 6)]
    expected = np.average(of_batches, weights=[6, 6, 6, 5])
    assert trainer.evaluate(X, Y, batch_size=6)["loss"] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="scalar for the whole batch, so samples can't be weighted"):
        trainer.evaluate(X, Y, sample_weight=SAMPLES)


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
def test_one_and_more_threads_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 96)).astype(np.float32), rng.integers(0, 10, 1000)
    y[::7] = -1
    loss = functools.partial(
        losses.cross_entropy, weight=rng.uniform(0.5, 2, 10), ignore_index=-1, label_smoothing=0.1
    )

    def trained(threads: int) -> tuple[bytes, list[float], dict[str, float]]:
        trainer = bp.Trainer(network(200, 10, in_features=96), loss, metrics=["accuracy"], threads=threads)
        history = trainer.fit(x, y, epochs=2, batch_size=128, progress=False)
        return bits(trainer), history["loss"], trainer.evaluate(x, y)

    one = trained(1)
    assert [trained(2), trained(3)] == [one, one]


# Labels that don't count


def test_a_batch_where_nothing_counts_changes_nothing() -> None:
    trainer = _trainer(weighted, metrics=["accuracy"])
    before = bits(trainer)
    nothing = np.full(N, -100)
    assert trainer.step(X, nothing) == 0.0
    assert trainer.evaluate(X, nothing)["loss"] == 0.0
    for gradient in trainer.gradients(X, nothing).values():
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
    seen: list[float] = []

    class Note(bp.callbacks.Callback):
        every_steps = 1

        def on_step(self, _: bp.Trainer, logs: dict[str, float]) -> None:
            seen.append(logs["loss"])

    history = trainer.fit(X, nothing, epochs=1, batch_size=8, callbacks=[Note()], progress=False)
    assert history["loss"] == [0.0]
    assert seen == [0.0] * 3
    assert np.isnan(history["accuracy"]).all()  # of nothing, there is none
    assert bits(trainer) == before


def test_epochs_go_on_past_a_batch_where_nothing_counts() -> None:
    y = np.where(np.arange(N) < 8, -100, Y)
    whole, rest = _trainer(weighted), _trainer(weighted)
    first = whole.fit(X, y, epochs=3, batch_size=8, shuffle=False, progress=False)
    second = rest.fit(X[8:], y[8:], epochs=3, batch_size=8, shuffle=False, progress=False)
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-12)
    for name, value in rest.parameters.items():
        np.testing.assert_allclose(whole.parameters[name], value, rtol=1e-12)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll])
@pytest.mark.parametrize(("ignored", "dtype"), [(-100, "int64"), (255, "uint8"), (-1, "int8"), (1, "int32")])
def test_what_is_ignored_is_as_if_it_were_not_there(loss: Any, ignored: int, dtype: str) -> None:
    y = np.where(np.arange(N) % 4 == 1, ignored, Y).astype(dtype)
    kept = y != ignored
    trainer = _trainer(functools.partial(loss, ignore_index=ignored), metrics=["accuracy"])
    without = _trainer(loss, metrics=["accuracy"])
    found, expected = trainer.evaluate(X, y, batch_size=5), without.evaluate(X[kept], y[kept], batch_size=5)
    assert found == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}
    trainer.step(X, y)
    without.step(X[kept], y[kept])
    for name, value in without.parameters.items():
        np.testing.assert_allclose(trainer.parameters[name], value, rtol=1e-12)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll])
@pytest.mark.parametrize("wrong", [3, -1, -99, 2**40])
def test_labels_that_are_neither_classes_nor_ignored_are_refused(loss: Any, wrong: int) -> None:
    trainer = _trainer(functools.partial(loss, ignore_index=-100))
    bad = IGNORED.copy()
    bad[7] = wrong
    name = loss.__name__
    message = f"y[7] is {wrong}, but {name} takes -100, which it ignores, and integers from 0 to 2"
    for call in (
        lambda: trainer.fit(X, bad, epochs=1, progress=False),
        lambda: trainer.fit(X, bad, epochs=1, sample_weight=SAMPLES, progress=False),
        lambda: trainer.fit(X, IGNORED, epochs=1, validation_data=(X, bad), progress=False),
        lambda: trainer.step(X, bad),
        lambda: trainer.gradients(X, bad),
        lambda: trainer.evaluate(X, bad, batch_size=4),
    ):
        assert_refused(trainer, call, ValueError, message)
    trainer.step(X, IGNORED)
    assert_refused(trainer, lambda: trainer.step(X, bad), ValueError, message)


@pytest.mark.parametrize("name", ["nll", "multi_margin"])
def test_wrong_labels_are_named_with_the_loss(name: str) -> None:
    trainer = _trainer(name)
    bad = np.where(np.arange(N) == 2, 3, Y)
    message = f"fit: y[2] is 3, but {name} takes integers from 0 to 2"
    assert_refused(trainer, lambda: trainer.fit(X, bad, epochs=1, progress=False), ValueError, message)


def test_a_function_that_ignores_ends_the_run_at_a_wrong_label() -> None:
    """What it replaces can't be told before; the step that finds it is not taken."""

    def loss(prediction: Any, target: Any) -> Any:
        return losses.cross_entropy(prediction, target, ignore_index=-100)

    trainer = _trainer(loss)
    bad = IGNORED.copy()
    bad[7] = 5
    with pytest.raises(ValueError, match=r"cross_entropy: index 5 is out of range \[0, 3\)"):
        trainer.fit(X, bad, epochs=1, batch_size=5, shuffle=False, progress=False)
    expected = _trainer(loss)
    expected.step(X[:5], IGNORED[:5])
    assert bits(trainer) == bits(expected)


def test_sequences_of_labels() -> None:
    """Padded sequences: a class at each place, the padding ignored."""
    x, y = RNG.normal(size=(N, 5, FEATURES)), RNG.integers(0, C, (N, 5))
    y[np.arange(5)[None, :] > RNG.integers(0, 5, N)[:, None]] = -100
    trainer = _trainer(weighted, metrics=["accuracy"])
    z = x.reshape(-1, FEATURES) @ trainer.parameters["0.weight"] + trainer.parameters["0.bias"]
    value, weight, _ = _parts(z, y.ravel())
    counts = np.repeat(SAMPLES, 5)
    found = trainer.evaluate(x, y, batch_size=4, sample_weight=SAMPLES)
    assert found["loss"] == pytest.approx((counts * value).sum() / (counts * weight).sum(), rel=1e-12)
    right, kept = z.argmax(axis=1) == y.ravel(), y.ravel() != -100
    assert found["accuracy"] == pytest.approx((counts * right)[kept].sum() / counts[kept].sum(), rel=1e-12)


# Settings


def test_a_loss_of_three_arrays_is_for_objectives() -> None:
    for loss in (losses.triplet_margin, functools.partial(losses.triplet_margin, p=1), "triplet_margin"):
        with pytest.raises(
            TypeError, match=r"^triplet_margin compares three arrays.* use it in an objective"
        ):
            bp.Trainer(network(3, in_features=4), loss)


def test_settings_that_a_loss_does_not_have_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="huber: got an unexpected keyword argument 'dleta'"):
        _trainer(functools.partial(losses.huber, dleta=2.0))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (functools.partial(losses.huber, delta=-1), "huber: delta must be finite and above 0, got -1"),
        (functools.partial(losses.quantile, q=2), r"quantile: q must be in (0, 1), got 2"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_changes(loss: Any, message: str) -> None:
    trainer, y = _trainer(loss, 1), RNG.normal(size=N)
    assert_refused(trainer, lambda: trainer.fit(X, y, epochs=1, progress=False), ValueError, message)
    assert_refused(trainer, lambda: trainer.evaluate(X, y), ValueError, message)


def test_weights_of_another_number_of_classes_are_refused() -> None:
    trainer = _trainer(functools.partial(losses.cross_entropy, weight=[1.0, 2.0]))
    message = "cross_entropy: weight must have shape (3,), one a class, got (2,)"
    assert_refused(trainer, lambda: trainer.fit(X, Y, epochs=1, progress=False), ValueError, message)


def test_a_saved_trainer_finds_a_name_again_and_wants_a_partial_again(tmp_path: Any) -> None:
    named = _trainer("huber", 1)
    named.save(tmp_path / "named")
    assert bp.Trainer.load(tmp_path / "named", network(1)).loss == "huber"
    trainer = _trainer(weighted, metrics=["accuracy"])
    trainer.save(tmp_path / "partial")
    with pytest.raises(ValueError, match="functions are not saved; give loss= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "partial", network(C))
    again = bp.Trainer.load(tmp_path / "partial", network(C), loss=weighted)
    assert again.evaluate(X, IGNORED) == trainer.evaluate(X, IGNORED)
