"""What the tests of losses share: the check of a loss against float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import bpcore as bp
from bpcore import ops

DTYPES = ("float64", "float32")
REDUCTIONS = ("none", "sum", "mean")


def check_loss(
    loss: Callable[..., Any],
    reference: Callable[..., Any],
    *arrays: np.ndarray,
    weights: np.ndarray | None = None,
    **options: Any,
) -> None:
    """Compares all reductions of ``loss(*arrays, **options)`` with ``reference(*arrays)``, in both dtypes.

    `reference` gives the loss of each element; `weights` are what the elements count in the mean, 1 each if
    None. Values on arrays and inside a graph agree with it, and derivatives by the first array with
    differences.
    """
    for dtype in DTYPES:
        given = [each.astype(dtype) if each.dtype.kind == "f" else each for each in arrays]
        wide = [each.astype("float64") if each.dtype.kind == "f" else each for each in given]
        each = np.asarray(reference(*wide))
        counts = np.ones(each.shape) if weights is None else weights
        want = {"none": each, "sum": each.sum(), "mean": each.sum() / counts.sum()}
        eps = float(np.finfo(dtype).eps)
        for reduction in REDUCTIONS:
            scale = np.abs(want[reduction]).max() if reduction == "none" else np.abs(each).sum()
            scale = scale / counts.sum() if reduction == "mean" else scale
            value = loss(*given, reduction, **options)
            assert value.dtype == dtype
            np.testing.assert_allclose(value, want[reduction], rtol=32 * eps, atol=32 * eps * scale)
        traced, _ = bp.value_and_grad(lambda first, rest=given[1:]: loss(first, *rest, **options))(given[0])
        np.testing.assert_allclose(traced, want["mean"], rtol=32 * eps, atol=32 * eps * scale)
    check_slopes(loss, *arrays, **options)


def check_slopes(loss: Callable[..., Any], *arrays: np.ndarray, **options: Any) -> None:
    """Derivatives by the first array, of each reduction, agree with differences of values."""
    for reduction in REDUCTIONS:
        bp.check_gradients(lambda first, how=reduction: loss(first, *arrays[1:], how, **options), arrays[0])


def slopes(loss: Callable[..., Any], first: np.ndarray, *rest: Any, **options: Any) -> np.ndarray:
    """The derivatives of the sum by `first`."""
    derivative: np.ndarray = bp.grad(lambda x: ops.sum(loss(x, *rest, "none", **options)))(first)
    return derivative
