"""Errors of exp, log, tanh, sin and their like in units in the last place, over all magnitudes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bpcore import ops
from tests.support import references

Array = NDArray[Any]

FUNCTIONS = [
    (ops.exp, np.exp),
    (ops.expm1, np.expm1),
    (ops.log, np.log),
    (ops.log1p, np.log1p),
    (ops.softplus, references.softplus),
    (ops.tanh, np.tanh),
    (ops.sigmoid, references.sigmoid),
    (ops.erf, references.erf),
    (ops.sin, np.sin),
    (ops.cos, np.cos),
]

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan]


def _every_magnitude(dtype: str) -> Array:
    """Floats of all exponents and both signs, subnormal ones too; more where functions are not flat."""
    bits = "uint32" if dtype == "float32" else "uint64"
    stride = 2 ** (8 * np.dtype(bits).itemsize) // 65521  # a prime, so that significands differ
    patterns = np.arange(65521, dtype=bits) * np.array(stride, bits)
    info = np.finfo(dtype)
    edges = np.array(
        [info.smallest_subnormal, info.tiny, np.nextafter(info.tiny, 0, dtype=dtype), info.max, 1, 0.5, 2],
        dtype,
    )
    spans = [np.linspace(-s, s, 20011).astype(dtype) for s in (0.1, 1.5, 7, 25, 110, 760)]
    return np.concatenate([patterns.view(dtype), edges, -edges, *spans, np.array(SPECIAL, dtype)])


def _ulps(got: Array, want: Array) -> Array:
    """|got - want| in the spacing of got's dtype at `want`, which is of a wider dtype; 0 if both are NaN."""
    rounded = want.astype(got.dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    spacing = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, np.finfo(got.dtype).max)))
    difference = np.abs(got.astype(want.dtype) - want) / spacing.astype(want.dtype)
    return np.asarray(np.where(same & ~np.isfinite(rounded), 0, difference))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "reference"), FUNCTIONS, ids=lambda f: getattr(f, "__name__", None))
def test_error_is_at_most_two_units_in_the_last_place(op: Any, reference: Any, dtype: str) -> None:
    x = _every_magnitude(dtype)
    wide = "float64" if dtype == "float32" else "longdouble"
    with np.errstate(all="ignore"):
        want = reference(x.astype(wide))
        error = _ulps(op(x), want)
    # A reference of no more digits, as of Python's erf, has errors of its own.
    bound = 2 if want.dtype.itemsize > x.dtype.itemsize else 3
    worst = np.argmax(np.where(np.isnan(error), np.inf, error))
    assert error[worst] <= bound, (
        f"{op.__name__}({x[worst]!r}) = {op(x[worst : worst + 1])[0]!r}, should be {want[worst]!r}"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sign_of_zero_is_kept_by_odd_functions(dtype: str) -> None:
    zeros = np.array([0.0, -0.0], dtype)
    for op in (ops.tanh, ops.erf, ops.expm1, ops.log1p, ops.sin):
        np.testing.assert_array_equal(np.signbit(op(zeros)), [False, True])
