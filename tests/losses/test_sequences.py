"""ctc, in a trainer and alone, and weighted_mean. The values of ctc: tests/ops/test_ctc.py, tests/golden."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from bpcore._native import core
from tests.support import alignments
from tests.training.problems import bits

RNG = np.random.default_rng(6)
Z = RNG.normal(size=(4, 7, 5))
Y = np.array([[1, 2, 3], [4, 4, -1], [2, -1, -1], [-1, -1, -1]])
FRAMES = np.array([7, 5, 1, 3])
COUNTS = (Y >= 0).sum(axis=1)


def _losses(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return alignments.ctc(np.asarray(ops.log_softmax(z)), y, FRAMES, (y >= 0).sum(axis=1))


def test_values_and_derivatives() -> None:
    for reduction, want in (
        ("none", _losses(Z, Y)),
        ("sum", _losses(Z, Y).sum()),
        ("mean", (_losses(Z, Y) / np.maximum(COUNTS, 1)).mean()),
    ):
        np.testing.assert_allclose(losses.ctc((Z, FRAMES), Y, reduction), want, rtol=1e-13)
        bp.check_gradients(lambda z, how=reduction: losses.ctc((z, FRAMES), Y, how), Z)


def test_without_lengths_all_frames_count_and_log_probabilities_are_logits() -> None:
    whole = losses.ctc((Z, np.full(4, 7)), Y, "none")
    np.testing.assert_array_equal(losses.ctc(Z, Y, "none"), whole)
    np.testing.assert_allclose(losses.ctc(ops.log_softmax(Z), Y, "none"), whole, rtol=1e-13)


def test_zero_infinity_is_0_where_there_is_no_alignment() -> None:
    y = np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3], [1, 1, 2]])
    z = (Z, np.array([5, 4, 3, 4]))
    infinite = [False, True, True, False]
    np.testing.assert_array_equal(np.isinf(losses.ctc(z, y, "none")), infinite)
    found = losses.ctc(z, y, "none", zero_infinity=True)
    np.testing.assert_array_equal(found == 0, infinite)
    np.testing.assert_allclose(losses.ctc(z, y, zero_infinity=True), (found / 3).mean())
    assert np.isinf(losses.ctc(z, y))
    for ignoring in (False, True):
        loss = functools.partial(losses.ctc, zero_infinity=ignoring)
        slope = bp.grad(lambda x, loss=loss: loss((x, z[1]), y, "sum"))(Z)
        np.testing.assert_array_equal(slope.any(axis=(1, 2)), ~np.array(infinite))
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("error", "message", "prediction", "target", "options"),
    [
        (ValueError, r"y\[1, 0\], 0, is the blank", Z, [[1], [0], [1], [1]], {}),
        (ValueError, r"y\[2, 1\], 4, is the blank", Z, [[1, 1], [1, 1], [1, 4], [0, 0]], {"blank": 4}),
        (ValueError, r"y\[3, 1\], -2, is neither a label nor -1", Z, [[1, 1]] * 3 + [[1, -2]], {}),
        (ValueError, r"y\[0, 1\], -1, comes before the last label", Z, [[1, -1, 2]] + [[1, 1, 1]] * 3, {}),
        (ValueError, r"index 5 is out of range \[0, 5\)", Z, [[5]] * 4, {}),
        (ValueError, r"length 8 is out of range \[0, 7\]", (Z, [1, 2, 8, 1]), Y, {}),
        (ValueError, r"shape \(4, most labels\), got \(3, 3\)", Z, Y[:3], {}),
        (ValueError, r"shape \(4, most labels\), got \(4,\)", Z, Y[:, 0], {}),
        (ValueError, r"\(n, frames, classes\) .*, got \(7, 5\)", Z[0], Y, {}),
        (ValueError, r"two classes or more, got \(4, 7, 1\)", Z[..., :1], Y, {}),
        (ValueError, "input lengths must have shape", (Z, [1, 2]), Y, {}),
        (ValueError, "blank must be one of the 5 classes, got 5", Z, Y, {"blank": 5}),
        (ValueError, "blank must be one of the 5 classes, got -1", Z, Y, {"blank": -1}),
        (TypeError, "blank must be an integer", Z, Y, {"blank": 0.0}),
        (TypeError, "zero_infinity must be True or False", Z, Y, {"zero_infinity": 1}),
        (TypeError, "targets are integer labels, got float64", Z, Y + 0.0, {}),
        (TypeError, "logits must hold floats, got int64", Z.astype(int), Y, {}),
        (ValueError, 'reduction must be "mean", "sum" or "none"', Z, Y, {"reduction": "max"}),
    ],
    ids=str,
)
def test_wrong_arguments(
    error: type[Exception], message: str, prediction: Any, target: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=f"^ctc: .*{message}"):
        losses.ctc(prediction, np.asarray(target), **options)


# In a trainer


class Listener(nn.Module):
    """Logits of each frame, with the number of frames as it came."""

    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Dense(48, "relu"), nn.Dense(5))

    def __call__(self, x: Any, frames: Any) -> Any:
        return self.layers(x), frames


def _spoken(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each label is heard for 1 to 3 frames, silence before and behind it."""
    rng = np.random.default_rng(seed)
    sounds = 2 * np.eye(5, 6)
    x, frames, y = np.zeros((n, 24, 6)), np.zeros(n, int), np.full((n, 4), -1)
    for i in range(n):
        count = rng.integers(1, 5)
        y[i, :count] = rng.integers(1, 5, count)
        heard = [0] * int(rng.integers(1, 5))
        for label in y[i, :count]:
            heard += [label] * int(rng.integers(1, 4)) + [0] * int(rng.integers(1, 3))
        x[i, : len(heard)], frames[i] = sounds[heard], len(heard)
    return (x + 0.1 * rng.normal(size=x.shape)).astype("float32"), frames, y


def test_it_learns_to_read_out_labels_that_no_frame_has() -> None:
    x, frames, y = _spoken(300)
    trainer = bp.Trainer(Listener(), "ctc", optim.Adam(5e-3), seed=1)
    trainer.fit((x, frames), y, epochs=25, batch_size=20, progress=False)
    logits, lengths = trainer.predict((x, frames))
    np.testing.assert_array_equal(lengths, frames)
    found = bp.decoding.ctc_greedy(logits, frames)
    errors = bp.decoding.error_rate(found.sequences(), [row[row >= 0] for row in y])
    assert errors < 0.1
    want = np.mean(losses.ctc((logits, frames), y, "none") / (y >= 0).sum(axis=1))
    assert trainer.evaluate((x, frames), y, batch_size=7)["loss"] == pytest.approx(want, rel=1e-5)


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
def test_the_number_of_threads_changes_no_bit_of_a_training() -> None:
    x, frames, y = _spoken(80)
    results = []
    for threads in (1, 2, 3, 8):
        trainer = bp.Trainer(Listener(), "ctc", seed=2, threads=threads)
        trainer.fit((x, frames), y, epochs=2, batch_size=40, progress=False)
        results.append(bits(trainer.model))
    assert all(each == results[0] for each in results)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {(3, 0): 5},
            {},
            r"y\[3, 0\] is 5, but ctc takes -1, which it ignores, and integers from 0 to 4",
        ),
        ({(3, 0): 0}, {}, r"fit: targets of ctc are labels: y\[3, 0\], 0, is the blank"),
        ({(3, 0): 3}, {"blank": 3}, r"y\[., .\], 3, is the blank"),
        ({(3, 0): -1, (3, 1): 2}, {}, r"y\[3, 0\], -1, comes before the last label"),
    ],
)
def test_a_trainer_refuses_what_is_no_label_before_it_changes_anything(
    change: dict[Any, int], options: dict[str, Any], message: str
) -> None:
    x, frames, y = _spoken(20)
    for place, value in change.items():
        y[place] = value
    trainer = bp.Trainer(Listener(), functools.partial(losses.ctc, **options))
    with pytest.raises(ValueError, match=message):
        trainer.fit((x, frames), y, epochs=1, progress=False)
    assert trainer.steps == 0


def test_a_trainer_refuses_more_frames_than_there_are() -> None:
    x, frames, y = _spoken(20)
    frames[4] = 25
    trainer = bp.Trainer(Listener(), "ctc")
    with pytest.raises(ValueError, match=r"input 1\[4\] is 25, but ctc takes integers from 0 to 24"):
        trainer.fit((x, frames), y, epochs=1, progress=False)


# weighted_mean

VALUES, WEIGHTS = RNG.normal(size=(3, 4)), RNG.uniform(0, 2, (3, 4))


@pytest.mark.parametrize(
    "weights", [WEIGHTS, WEIGHTS > 1, (3 * WEIGHTS).astype(int)], ids=["float", "bool", "int"]
)
def test_weighted_mean(weights: np.ndarray) -> None:
    want = (VALUES * weights).sum() / weights.sum()
    np.testing.assert_allclose(losses.weighted_mean(VALUES, weights), want)
    bp.check_gradients(lambda x: losses.weighted_mean(x, weights), VALUES)


def test_weighted_mean_by_its_weights() -> None:
    bp.check_gradients(losses.weighted_mean, VALUES, WEIGHTS)


def test_what_has_no_weight_may_be_anything_and_if_nothing_has_the_mean_is_0() -> None:
    values = np.array([1.0, np.nan, np.inf, 3.0])
    weights = np.array([1.0, 0.0, 0.0, 1.0])
    value, slope = bp.value_and_grad(lambda x: losses.weighted_mean(x, weights))(values)
    assert value == 2
    np.testing.assert_array_equal(slope, [0.5, 0, 0, 0.5])
    value, slope = bp.value_and_grad(lambda x: losses.weighted_mean(x, np.zeros(4)))(values)
    assert value == 0
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize(
    ("values", "weights", "error", "message"),
    [
        (VALUES, WEIGHTS[:2], ValueError, r"values have shape \(3, 4\), weights \(2, 4\)"),
        (VALUES, WEIGHTS - 1, ValueError, "weights must be at least 0, got -"),
        (np.arange(3), np.ones(3), TypeError, "values must be floats, got int64"),
    ],
)
def test_weighted_mean_refuses(values: Any, weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^weighted_mean: {message}"):
        losses.weighted_mean(values, weights)


def test_the_mean_over_the_tokens_of_padded_sequences_in_an_objective() -> None:
    """It is the mean over all tokens that are there, and what stands in the padding changes nothing."""
    x, y, lengths = RNG.normal(size=(6, 5, 3)), RNG.integers(0, 4, (6, 5)), np.array([5, 1, 3, 2, 0, 4])

    def objective(model: Any, x: Any, y: Any, lengths: Any) -> Any:
        each = losses.cross_entropy(model(x), y, "none")
        return losses.weighted_mean(each, ops.sequence_mask(lengths, each.shape[1]))

    def gradients(x: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        model = nn.Sequential(nn.Dense(4))
        trainer = bp.Trainer(model, objective=objective, dtype="float64", seed=3)
        found = trainer.gradients(x, y, lengths)
        return trainer.evaluate((x, y, lengths), batch_size=6)["loss"], found

    mask = np.arange(5) < lengths[:, None]
    value, found = gradients(x)
    other, same = gradients(np.where(mask[..., None], x, 77.0))
    assert value == other
    assert {name: each.tobytes() for name, each in found.items()} == {n: e.tobytes() for n, e in same.items()}
    model = nn.Sequential(nn.Dense(4))
    bp.Trainer(model, "cross_entropy", dtype="float64", seed=3).gradients(x[mask], y[mask])
    assert value == pytest.approx(float(losses.cross_entropy(model(x[mask]), y[mask])), rel=1e-12)
