"""Losses of classes where logits are ±1e4 and targets exactly 0 and 1: values and slopes in both dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bpcore import losses, ops
from tests.losses.agreement import DTYPES, slopes
from tests.support.references import log_softmax, softmax

FAR = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 0, 1e-40]])
CLASSES = np.array([1, 0, 2, 0])
ONE_HOT = np.eye(3)[CLASSES]

# What the losses of one-hot targets are the same as, for logits: -log softmax of the class.
OF_LOGITS: dict[str, Callable[[Any], Any]] = {
    "cross_entropy": lambda z, how: losses.cross_entropy(z, ONE_HOT.astype(str(z.dtype)), how),
    "cross_entropy of classes": lambda z, how: losses.cross_entropy(z, CLASSES, how),
    "nll": lambda z, how: losses.nll(ops.log_softmax(z), CLASSES, how),
    "kl_divergence": lambda z, how: _rows(
        losses.kl_divergence(ops.log_softmax(z), ONE_HOT.astype(str(z.dtype)), "none"), how
    ),
}


def _rows(values: Any, how: str) -> Any:
    rows = ops.sum(values, axis=-1)
    return rows if how == "none" else ops.sum(rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_LOGITS)
def test_one_hot_targets(name: str, dtype: str) -> None:
    z = FAR.astype(dtype)
    wide = z.astype(np.float64)
    expected = -(log_softmax(wide) * ONE_HOT).sum(axis=-1)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(OF_LOGITS[name](z, "none"), expected, rtol=4 * eps, atol=4 * eps)
    slope = slopes(lambda x, how: OF_LOGITS[name](x, how), z)
    np.testing.assert_allclose(slope, softmax(wide) - ONE_HOT, rtol=4 * eps, atol=4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin(p: int, dtype: str) -> None:
    z = FAR.astype(dtype)
    wide = z.astype(np.float64)
    missing = np.maximum(0, 1 - wide[range(4), CLASSES][:, None] + wide) * (1 - ONE_HOT)
    each = p * missing ** (p - 1) * (missing > 0) / 3
    np.testing.assert_allclose(
        losses.multi_margin(z, CLASSES, "none", p=p), (missing**p).sum(-1) / 3, rtol=1e-6
    )
    slope = slopes(losses.multi_margin, z, CLASSES, p=p)
    np.testing.assert_allclose(slope, each - ONE_HOT * each.sum(-1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
def test_slopes_of_focal(alpha: float | None, gamma: float, dtype: str) -> None:
    """a · ((1 - p)^gamma · dℓ/dz + gamma · (1 - p)^(gamma - 1) · d(1 - p)/dz · ℓ), with ℓ = -log p."""
    z = np.array([-1e4, -100, -3, -1e-40, 0, 2, 100, 1e4], dtype)
    for target in (0.0, 1.0):
        u = z.astype(np.float64) * (2 * target - 1)  # the logit of what is so
        miss, loss = np.exp(-np.logaddexp(0, u)), np.logaddexp(0, -u)
        share = 1.0 if alpha is None else alpha if target else 1 - alpha
        slope = miss**gamma * -miss - gamma * miss**gamma * np.exp(-np.logaddexp(0, -u)) * loss
        expected = share * slope * (2 * target - 1)
        found = slopes(losses.focal, z, np.full_like(z, target), alpha=alpha, gamma=gamma)
        np.testing.assert_allclose(found, expected, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [[0, 1, 1, 0], [False, True, True, False]])
def test_binary_targets_that_are_no_floats(target: Any, dtype: str) -> None:
    z = np.array([1e4, 1e4, -1e4, -1e4], dtype)
    t = np.array(target)
    np.testing.assert_array_equal(losses.binary_cross_entropy(z, t, "none"), [1e4, 0, 1e4, 0])
    np.testing.assert_array_equal(slopes(losses.binary_cross_entropy, z, t), [1, 0, -1, 0])
    np.testing.assert_array_equal(losses.focal(z, t, "none"), np.array([7500, 0, 2500, 0], dtype))
    np.testing.assert_array_equal(slopes(losses.focal, z, t), np.array([0.75, 0, -0.25, 0], dtype))
