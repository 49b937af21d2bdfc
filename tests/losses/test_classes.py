"""cross_entropy with its options, nll, multi_margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, ops
from tests.losses.agreement import DTYPES, REDUCTIONS, check_loss, slopes

C = 5
WEIGHT = np.array([0.5, 2.0, 0.0, 1.0, 3.0])
LEADING = [(), (9,), (4, 3), (2, 3, 2)]


def _log_softmax(z: np.ndarray) -> np.ndarray:
    shifted = z - z.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _of_class(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """scores[..., y], one element at a time."""
    found = np.empty(y.shape)
    for at in np.ndindex(y.shape):
        found[at] = scores[at][y[at]]
    return found


def _draw(leading: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(len(leading))
    return 2 * rng.normal(size=(*leading, C)), rng.integers(0, C, leading)


def _counts(y: np.ndarray, weight: np.ndarray | None, ignored: int | None) -> np.ndarray:
    table = np.ones(C) if weight is None else weight
    counts = table[np.where((y >= 0) & (y < C), y, 0)]
    return counts if ignored is None else np.where(y == ignored, 0.0, counts)


# Values and derivatives


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignored", [None, -100, 3])
def test_cross_entropy_of_classes(
    leading: tuple[int, ...], smoothing: float, weight: np.ndarray | None, ignored: int | None
) -> None:
    """(1 - s)·w[y]·ℓ[y] + s·mean(w·ℓ) of ℓ = -log softmax; the mean divides by Σ w[y]."""
    z, y = _draw(leading)
    if leading:
        y.flat[0], y.flat[1] = 1, 4
        if ignored is not None:
            y.flat[2:4] = ignored
    table = np.ones(C) if weight is None else weight
    counts = _counts(y, weight, ignored)
    if not counts.sum():  # a single element of weight 0 is another test's
        y, counts = np.asarray(4), table[4]

    def reference(z: np.ndarray, y: np.ndarray) -> np.ndarray:
        each = -_log_softmax(z) * table
        own = _of_class(each, np.where((y >= 0) & (y < C), y, 0))
        loss = (1 - smoothing) * own + smoothing * each.mean(axis=-1)
        return loss if ignored is None else np.where(y == ignored, 0, loss)

    check_loss(
        losses.cross_entropy, reference, z, y, weights=counts, weight=weight, ignore_index=ignored,
        label_smoothing=smoothing,
    )  # fmt: skip


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_cross_entropy_of_probabilities(
    leading: tuple[int, ...], smoothing: float, weight: np.ndarray | None, one_hot: bool
) -> None:
    """Its mean is over all elements, whatever the weights."""
    z, y = _draw(leading)
    t = np.eye(C)[y] if one_hot else np.random.default_rng(7).dirichlet(np.ones(C), leading)

    def reference(z: np.ndarray, t: np.ndarray) -> Any:
        smooth = (1 - smoothing) * t + smoothing / C
        return -(smooth * _log_softmax(z) * (1.0 if weight is None else weight)).sum(axis=-1)

    check_loss(losses.cross_entropy, reference, z, t, weight=weight, label_smoothing=smoothing)


@pytest.mark.parametrize("leading", LEADING[1:])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignored", [None, -1, 0])
def test_nll(leading: tuple[int, ...], weight: np.ndarray | None, ignored: int | None) -> None:
    z, y = _draw(leading)
    y.flat[0], y.flat[1] = 1, 4
    if ignored is not None:
        y.flat[2] = ignored
    counts = _counts(y, weight, ignored)

    def reference(scores: np.ndarray, y: np.ndarray) -> Any:
        return -_of_class(scores, np.where(y < 0, 0, y)) * counts

    check_loss(losses.nll, reference, _log_softmax(z), y, weights=counts, weight=weight, ignore_index=ignored)


def test_nll_of_log_softmax_is_cross_entropy() -> None:
    z, y = _draw((6,))
    for options in ({}, {"weight": WEIGHT, "ignore_index": 1}):
        expected = losses.cross_entropy(z, y, **options)
        assert losses.nll(ops.log_softmax(z), y, **options) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.3, -0.5])
def test_multi_margin(leading: tuple[int, ...], p: int, margin: float) -> None:
    x, y = _draw(leading)

    def reference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        found = np.zeros(y.shape)
        for at in np.ndindex(y.shape):
            row, right = x[at], y[at]
            others = [j for j in range(C) if j != right]
            found[at] = sum(max(0.0, margin - row[right] + row[j]) ** p for j in others) / C
        return found

    check_loss(losses.multi_margin, reference, x, y, p=p, margin=margin)


# Nothing that counts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll])
@pytest.mark.parametrize(
    "options", [{"ignore_index": -100}, {"weight": [0, 1, 1, 1, 1]}, {"weight": np.zeros(5)}], ids=str
)
def test_where_nothing_counts_the_loss_and_its_slopes_are_0(loss: Any, options: Any, dtype: str) -> None:
    z = ops.log_softmax(_draw((6,))[0].astype(dtype))
    y = np.full(6, options.get("ignore_index", 0))
    for reduction in REDUCTIONS:
        value = loss(z, y, reduction, **options)
        np.testing.assert_array_equal(value, np.zeros_like(value))
        slope = bp.grad(lambda z, how=reduction: ops.sum(loss(z, y, how, **options)))(z)
        np.testing.assert_array_equal(slope, np.zeros_like(z))


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll])
def test_what_is_ignored_may_be_infinite(loss: Any) -> None:
    z = np.array([[0.0, -1.0, -2.0], [0.0, -np.inf, -np.inf]])
    y = np.array([2, -1])
    assert np.isfinite(loss(z, y, ignore_index=-1))
    assert loss(z, y, ignore_index=-1) == loss(z[:1], y[:1])
    z[1] = -np.inf, -np.inf, 0
    for ignored in (-1, 0, 1):
        labels = np.array([2, ignored])
        assert loss(z, labels, ignore_index=ignored) == loss(z[:1], y[:1])
        slope = slopes(loss, z, labels, ignore_index=ignored)
        np.testing.assert_array_equal(slope[1], 0)
        np.testing.assert_array_equal(slope[0], slopes(loss, z[:1], y[:1])[0])


# Extremes


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_logits(dtype: str) -> None:
    z = np.array([[1e4, -1e4, 0], [-1e4, 0, 1e4], [1e4, 1e4, 1e4]], dtype)
    y = np.array([1, 2, 0])
    weight = [1.0, 2.0, 4.0]
    value = losses.cross_entropy(z, y, "none", weight=weight, label_smoothing=0.25)
    # -log softmax: rows (0, 2e4, 1e4), (2e4, 1e4, 0) and log 3 thrice
    smooth = np.array([8e4, 4e4, 7 * np.log(3)]) / 3  # the mean of w·ℓ
    expected = 0.75 * np.array([4e4, 0, np.log(3)]) + 0.25 * smooth
    np.testing.assert_allclose(value, expected, rtol=8 * np.finfo(dtype).eps)
    slope = slopes(losses.cross_entropy, z, y, weight=weight, label_smoothing=0.25)
    # w·t·(softmax - one_hot) summed over classes, of smoothed targets
    share = np.array(weight) * (0.75 * np.eye(3)[y] + 0.25 / 3)
    softmax = np.array([[1, 0, 0], [0, 0, 1], [1 / 3] * 3])
    expected_slope = softmax * share.sum(axis=-1, keepdims=True) - share
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-5, atol=8 * np.finfo(dtype).eps)
    margins = losses.multi_margin(z, y, "none", p=2)
    np.testing.assert_allclose(margins, [(20001**2 + 10001**2) / 3, 0, 2 / 3], rtol=1e-6)
    assert np.isfinite(slopes(losses.multi_margin, z, y, p=2)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_probabilities_of_minus_infinity(dtype: str) -> None:
    """Of classes that are not the target they don't matter; of the target the loss is infinite."""
    scores = np.array([[0, -np.inf, -np.inf], [-np.inf, -np.inf, 0]], dtype)
    np.testing.assert_array_equal(losses.nll(scores, np.array([0, 2]), "none"), [0, 0])
    np.testing.assert_array_equal(losses.nll(scores, np.array([0, 1]), "none"), [0, np.inf])
    np.testing.assert_array_equal(slopes(losses.nll, scores, np.array([0, 1])), [[-1, 0, 0], [0, -1, 0]])


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8"])
def test_labels_of_any_integer_type(dtype: str) -> None:
    z, y = _draw((6,))
    for loss in (losses.cross_entropy, losses.nll, losses.multi_margin):
        assert loss(z, y.astype(dtype)) == loss(z, y)
        assert loss(z.astype(np.float32), y.tolist()).dtype == np.float32


# Bad arguments

Z, Y = _draw((6,))


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll, losses.multi_margin])
def test_wrong_operands_raise_and_name_the_loss(loss: Any) -> None:
    who = loss.__name__
    for error, message, arguments in [
        (ValueError, r"of shape \(6, 5\) must have shape \(6,\), got \(6, 1\)", (Z, Y[:, None])),
        (ValueError, r"must have shape \(6,\), got \(5,\)", (Z, Y[:5])),
        (ValueError, "got a number", (np.float64(1), np.int64(0))),
        (ValueError, r"fewer than 2 classes .* \(6, 1\).* use", (Z[:, :1], 0 * Y)),
        (TypeError, "must hold floats, got int64", (Z.astype(int), Y)),
        (TypeError, "targets are integer classes.*, got bool", (Z, Y > 1)),
        (ValueError, "classes are integers from 0 to 4, got 5", (Z, Y * 0 + 5)),
        (ValueError, "classes are integers from 0 to 4, got -1", (Z, Y * 0 - 1)),
        (ValueError, 'reduction must be "mean", "sum" or "none", got \'avg\'', (Z, Y, "avg")),
    ]:
        with pytest.raises(error, match=f"^{who}: .*{message}"):
            loss(*arguments)


@pytest.mark.parametrize(
    ("loss", "options", "error", "message"),
    [
        (
            "cross_entropy",
            {"label_smoothing": 1.0},
            ValueError,
            r".*must be in \[0, 1\), got 1.0",
        ),
        (
            "cross_entropy",
            {"label_smoothing": -0.1},
            ValueError,
            r".*must be in \[0, 1\), got -0.1",
        ),
        (
            "cross_entropy",
            {"label_smoothing": np.nan},
            ValueError,
            r".*must be in \[0, 1\), got nan",
        ),
        ("cross_entropy", {"label_smoothing": True}, TypeError, "label_smoothing must be a number, got True"),
        (
            "cross_entropy",
            {"weight": np.ones(4)},
            ValueError,
            r"weight must have .*, got \(4,\)",
        ),
        (
            "nll",
            {"weight": np.ones(4)},
            ValueError,
            r"weight must have .*, got \(4,\)",
        ),
        (
            "cross_entropy",
            {"weight": 2.0},
            ValueError,
            r"weight must have .*, got \(\)",
        ),
        ("cross_entropy", {"weight": np.ones((1, 5))}, ValueError, r"weight must have shape \(5,\)"),
        (
            "cross_entropy",
            {"weight": [1, 1, -1, 1, 1]},
            ValueError,
            "weight must be finite .*, got -1",
        ),
        ("nll", {"weight": [1, 1, -1, 1, 1]}, ValueError, "weight must be finite .*, got -1"),
        (
            "cross_entropy",
            {"weight": [1, 1, np.nan, 1, 1]},
            ValueError,
            "weight must be finite .*, got nan",
        ),
        ("cross_entropy", {"weight": ["a"] * 5}, TypeError, "weight: expected numbers"),
        (
            "cross_entropy",
            {"ignore_index": 1.0},
            TypeError,
            "ignore_index must be .*, got 1.0",
        ),
        ("nll", {"ignore_index": 1.0}, TypeError, "ignore_index must be .*, got 1.0"),
        (
            "cross_entropy",
            {"ignore_index": True},
            TypeError,
            "ignore_index must be .*, got True",
        ),
    ],
)
def test_settings_out_of_range_raise(
    loss: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{loss}: {message}"):
        getattr(losses, loss)(Z, Y, **options)


def test_ignore_index_needs_classes() -> None:
    with pytest.raises(ValueError, match="^cross_entropy: ignore_index=-1 needs targets that are classes"):
        losses.cross_entropy(Z, np.eye(5)[Y], ignore_index=-1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"p": 3}, ValueError, "p must be 1 or 2, got 3"),
        ({"p": True}, ValueError, "p must be 1 or 2, got True"),
        ({"margin": np.inf}, ValueError, "margin must be finite, got inf"),
        ({"margin": None}, TypeError, "margin must be a number, got None"),
    ],
)
def test_settings_of_multi_margin(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^multi_margin: {message}"):
        losses.multi_margin(Z, Y, **options)


@pytest.mark.parametrize("loss", [losses.nll, losses.kl_divergence])
def test_losses_of_log_probabilities_refuse_probabilities(loss: Any) -> None:
    target = Y if loss is losses.nll else np.eye(5)[Y]
    with pytest.raises(ValueError, match=f"^{loss.__name__} takes log-probabilities; use log_softmax"):
        bp.grad(lambda z: loss(ops.softmax(z), target))(Z)
