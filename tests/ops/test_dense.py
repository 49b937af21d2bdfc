"""dense: activation(x · weight + bias)."""

from __future__ import annotations

import numpy as np
import pytest

from bpcore import ops
from tests.support import references
from tests.support.check_op import Case
from tests.support.draw import normal, positive
from tests.support.graphs import f32, f64, i64, infer

# x (..., in), out
SHAPES = [
    ((1, 1), 1), ((1, 7), 5), ((7, 1), 16), ((15, 16), 17), ((17, 33), 15), ((4,), 3), ((2, 3, 4), 5),
    ((0, 4), 3), ((2, 0, 3), 2), ((33, 100), 33), ((140, 300), 130),
]  # fmt: skip


def _case(x: tuple[int, ...], out: int, bias: bool, activation: str | None) -> Case:
    values, weight, shift = normal(x), normal((x[-1], out), key=1), normal((out,), key=2)
    if activation == "relu":  # sums of one sign in each column, away from the kink at zero
        values, weight, shift = positive(x), np.abs(weight) * np.sign(shift), shift + np.sign(shift)
    weight /= np.sqrt(x[-1])  # so that outputs are about one
    # Rounding errors are those of the products, which the two other activations do not enlarge.
    errors = {"magnitudes": True, "epsilons": 32} if activation in (None, "relu") else {"floor": 4}
    arrays = [values, weight, *([shift] if bias else [])]
    order = 1 if activation == "relu" else 2
    return Case(ops.dense, references.dense, *arrays, activation=activation, order=order, **errors)


CASES = [
    _case(x, out, bias, activation)
    for x, out in SHAPES
    for bias in (False, True)
    for activation in (None, "relu", "sigmoid", "tanh")
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
def test_nan_is_handed_through_in_its_row_alone(activation: str | None) -> None:
    x = np.ones((20, 7))
    x[4, 2] = np.nan
    y = ops.dense(x, np.ones((7, 33)), np.zeros(33), activation)
    assert np.isnan(y[4]).all()
    assert np.isfinite(np.delete(y, 4, axis=0)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_sums_saturate(dtype: str) -> None:
    x, weight = np.array([[1e4], [-1e4]], dtype), np.ones((1, 1), dtype)
    np.testing.assert_array_equal(ops.dense(x, weight, activation="relu"), [[1e4], [0]])
    np.testing.assert_array_equal(ops.dense(x, weight, activation="sigmoid"), [[1], [0]])
    np.testing.assert_array_equal(ops.dense(x, weight, activation="tanh"), [[1], [-1]])


@pytest.mark.parametrize(
    ("types", "attributes", "error", "message"),
    [
        (
            [f64(2, 3), f64(4, 5)],
            {},
            ValueError,
            r"\(2, 3\) does not fit weight of shape \(4, 5\); its last axis must be 4",
        ),
        ([f64(), f64(4, 5)], {}, ValueError, r"\(\) does not fit weight of shape \(4, 5\)"),
        ([f64(2, 4), f64(4)], {}, ValueError, r"weight must be of shape \(in, out\).*\(4,\)"),
        ([f64(2, 0), f64(0, 4)], {}, ValueError, r"weight must be .*\(0, 4\)"),
        (
            [f64(2, 4), f64(4, 5), f64(4)],
            {},
            ValueError,
            r"bias of shape \(4,\) does not fit weight of shape \(4, 5\)",
        ),
        ([f64(2, 4), f64(4, 5), f64(1, 5)], {}, ValueError, r"bias of shape \(1, 5\)"),
        ([f64(2, 4), f64(4, 5)], {"activation": "gelu"}, ValueError, "activation .* not gelu"),
        ([f64(2, 4), f32(4, 5)], {}, TypeError, "dtypes float64 and float32 differ"),
        ([f64(2, 4), f64(4, 5), f32(5)], {}, TypeError, "dtypes float64 and float32 differ"),
        ([i64(2, 4), i64(4, 5)], {}, TypeError, "input 0 must be float32 or float64, not int64"),
        ([f64(2, 4)], {}, ValueError, "expected 2 to 3 inputs, got 1"),
    ],
)
def test_wrong_arguments_raise_and_name_the_op(
    types: list, attributes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^dense: .*{message}"):
        infer("dense", *types, **attributes)
