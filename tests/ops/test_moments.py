"""var, std, logsumexp: reductions that are made of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace
from tests.support.check_op import Case
from tests.support.draw import integers, normal

REDUCTIONS: list[tuple[tuple[int, ...], Any]] = [
    ((7,), 0), ((17,), None), ((33,), -1), ((3, 4), 0), ((3, 4), 1), ((3, 4), (0, 1)), ((2, 3, 4), 1),
    ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 0)), ((2, 5, 1), 1), ((0, 3), 1), ((5000,), 0), ((2, 130, 70), 1),
]  # fmt: skip
OF_ONE: list[tuple[tuple[int, ...], Any]] = [((), None), ((1,), 0), ((3, 4), ()), ((5, 1), -1)]


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x), axis, keepdims=keepdims))


CASES = [
    Case(op, reference, x, axis=axis, keepdims=keepdims, composed=True, order=2, epsilons=16, **more)
    for keepdims in (False, True)
    for shape, axis in REDUCTIONS
    for x in [normal(shape) + 0.5]
    for op, reference, more in [
        (ops.var, np.var, {}),
        (ops.var, np.var, {"ddof": 1}),
        (ops.std, np.std, {}),
        (ops.std, np.std, {"ddof": 2}),
        (ops.logsumexp, _logsumexp, {"floor": 1}),
    ]
] + [
    Case(op, reference, normal(shape), axis=axis, composed=True, floor=1)
    for shape, axis in OF_ONE
    for op, reference in [(ops.var, np.var), (ops.logsumexp, _logsumexp)]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_mean_takes_no_digits_from_the_variance(dtype: str) -> None:
    x = (1e4 + np.arange(64).reshape(4, 16)).astype(dtype)  # exact in both
    rtol = 8 * float(np.finfo(dtype).eps)
    for axis in (0, 1, None):
        np.testing.assert_allclose(ops.var(x, axis), np.var(x.astype("float64"), axis), rtol=rtol)
        np.testing.assert_allclose(ops.std(x, axis), np.std(x.astype("float64"), axis), rtol=rtol)


def test_spread_of_infinities_nan_and_equal_elements() -> None:
    rows = np.array([[1, np.inf, 2], [np.nan, 1, 2], [3, 3, 3]])
    for op in (ops.var, ops.std):
        np.testing.assert_array_equal(op(rows, 1), [np.nan, np.nan, 0])
    np.testing.assert_array_equal(bp.grad(lambda x: ops.sum(ops.var(x, 1)))(rows[2:]), np.zeros((1, 3)))
    assert np.isnan(bp.grad(lambda x: ops.sum(ops.std(x, 1)))(rows[2:])).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logsumexp_of_what_exp_cannot_hold(dtype: str) -> None:
    x = np.array([[1e4, 1e4], [-1e4, -1e4], [0, -1e4]], dtype)
    want = np.array([1e4 + np.log(2), -1e4 + np.log(2), 0])
    got = ops.logsumexp(x, 1)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=2 * float(np.finfo(dtype).eps))
    slope = bp.grad(lambda v: ops.sum(ops.logsumexp(v, 1)))(x)
    np.testing.assert_allclose(slope, [[0.5, 0.5], [0.5, 0.5], [1, 0]], rtol=1e-6)


def test_logsumexp_of_infinities_and_nan() -> None:
    inf = np.inf
    x = np.array([[-inf, -inf], [-inf, 1], [inf, 1], [inf, -inf], [np.nan, 1], [np.nan, inf]])
    np.testing.assert_array_equal(ops.logsumexp(x, 1), [-inf, 1, inf, inf, np.nan, np.nan])
    slope = bp.grad(lambda v: ops.sum(ops.logsumexp(v, 1)))(x[:2])
    np.testing.assert_array_equal(slope, [[0, 0], [0, 1]])
    twice = bp.grad(lambda v: ops.sum(bp.grad(lambda u: ops.sum(ops.logsumexp(u, 1)))(v) ** 2))(x[:1])
    np.testing.assert_array_equal(twice, [[0, 0]])


def test_the_derivative_of_logsumexp_is_softmax() -> None:
    x = 5 * normal((4, 7))
    np.testing.assert_allclose(bp.grad(lambda v: ops.sum(ops.logsumexp(v, 1)))(x), ops.softmax(x), rtol=1e-14)


def test_tensors_have_var_and_std() -> None:
    x = normal((3, 4))
    for keepdims in (False, True):
        for ddof in (0, 1):
            options: dict[str, Any] = {"axis": 1, "keepdims": keepdims, "ddof": ddof}
            for name, reference in (("var", np.var), ("std", np.std)):
                got = bp.grad(lambda v, n=name, o=options: ops.sum(getattr(v, n)(**o)))(x)
                want = bp.grad(lambda v, n=name, o=options: ops.sum(getattr(ops, n)(v, **o)))(x)
                np.testing.assert_array_equal(got, want)
                assert getattr(ops, name)(x, **options).shape == reference(x, **options).shape


@pytest.mark.parametrize("op", ["var", "std"])
@pytest.mark.parametrize(
    ("shape", "axis", "ddof", "message"),
    [
        ((3, 1), 1, 1, "ddof must be below the 1 elements over axis 1, got 1"),
        ((2, 3), None, 7, "ddof must be below the 6 elements over axis None, got 7"),
        ((3, 0), 1, 0, "ddof must be below the 0 elements over axis 1, got 0"),
        ((2, 3), 1, -1, "ddof must be at least 0, got -1"),
    ],
)
def test_nothing_to_divide_by_is_a_value_error(
    op: str, shape: Any, axis: Any, ddof: int, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{op}: {message}"):
        getattr(ops, op)(np.ones(shape), axis, ddof=ddof)


def test_logsumexp_of_nothing_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^logsumexp: .* without elements to reduce in shape \(3, 0\)"):
        ops.logsumexp(np.ones((3, 0)), 1)
    assert ops.logsumexp(np.ones((0, 3)), 1).shape == (0,)


@pytest.mark.parametrize("op", ["var", "std", "logsumexp"])
def test_wrong_arguments_are_errors_that_name_the_op(op: str) -> None:
    function, x = getattr(ops, op), np.ones((2, 3))
    for axis, message in ((2, "axis 2 is out of range"), ((0, -2), "axis -2 comes twice")):
        with pytest.raises(ValueError, match=f"^{op}: {message}"):
            function(x, axis)
    for axis in (1.0, True, "1"):
        with pytest.raises(TypeError, match=f"^{op}: axis must be an integer, got {axis!r}"):
            function(x, axis)
    for wrong in (integers((3,), 0, 9), x > 0):
        with pytest.raises(TypeError, match=f"^{op}: input 0 must be float32 or float64, not {wrong.dtype}"):
            function(wrong)
    if op != "logsumexp":
        with pytest.raises(TypeError, match=f"^{op}: ddof must be an integer, got 0.5"):
            function(x, ddof=0.5)


@pytest.mark.parametrize("op", ["var", "std", "logsumexp"])
def test_they_keep_the_dtype_of_tensors(op: str) -> None:
    with Trace() as trace:
        x = Tensor(trace, trace.graph.input((2, 3), "float32"))
        result = getattr(ops, op)(x, 1)
    assert (result.shape, result.dtype) == ((2,), "float32")
