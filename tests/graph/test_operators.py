"""Operators and methods of tensors: what NumPy's make of arrays, whatever is on the other side."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from bpcore.symbolic.tensor import Tensor

X = np.array([[0.5, -1.25, 2.0], [3.0, -0.75, 1.5]])
Y = np.array([[2.0, 0.5, -1.0], [3.0, 1.75, -0.5]])
ROW = np.array([2.0, 0.5, -1.0])
COUNTS = np.array([[3, -1, 2], [0, 5, -4]])
MASK, OTHER_MASK = X > 0, Y > 1

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
MASKS = [operator.and_, operator.or_]

# What may stand beside a tensor of floats.
OTHERS: dict[str, Any] = {
    "array": Y,
    "row": ROW,
    "integers": COUNTS + 10,
    "number": 1.5,
    "integer": 3,
    "NumPy's float": np.float64(1.5),
    "NumPy's float32": np.float32(1.5),
    "NumPy's integer": np.int64(3),
    "array without axes": np.array(1.5),
    "list": [2.0, 0.5, -1.0],
}


def traced(function: Callable[..., Any], *arrays: Any) -> Any:
    """`function` of tensors for these arrays."""

    def checked(*tensors: Any) -> Any:
        assert all(type(each) is Tensor for each in tensors)
        result = function(*tensors)
        assert type(result) is Tensor
        return result

    return nn.Lambda(checked)(*arrays)


def same(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_two_tensors(op: Any) -> None:
    same(traced(op, X, Y), op(X, Y))
    same(traced(op, X, ROW), op(X, ROW))
    same(traced(lambda v: op(v, v), X), op(X, X))
    if op is not operator.truediv:
        same(traced(op, COUNTS, COUNTS[:1]), op(COUNTS, COUNTS[:1]))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_a_tensor_and_something_else_on_either_side(op: Any, name: str) -> None:
    other = OTHERS[name]
    same(traced(lambda v: op(v, other), X), op(X, np.asarray(other)))
    same(traced(lambda v: op(other, v), X), op(np.asarray(other), X))


@pytest.mark.parametrize("other", [1.5, 3, np.float64(1.5), [1.5, 2.5, 3.5], np.array(1.5)])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_numbers_adopt_the_tensors_dtype(op: Any, other: Any) -> None:
    x, as_float = X.astype(np.float32), np.asarray(other, np.float32)
    same(traced(lambda v: op(v, other), x), op(x, as_float))
    same(traced(lambda v: op(other, v), x), op(as_float, x))


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_arrays_of_another_width_are_refused(op: Any) -> None:
    for function in (lambda v: op(v, Y), lambda v: op(Y, v)):
        with pytest.raises(TypeError, match=r"float64 met a tensor of float32; convert one"):
            traced(function, X.astype(np.float32))


@pytest.mark.parametrize("op", MASKS)
@pytest.mark.parametrize("other", [OTHER_MASK, OTHER_MASK[:1], True, np.bool_(False), [True, False, True]])
def test_masks(op: Any, other: Any) -> None:
    same(traced(op, MASK, OTHER_MASK), op(MASK, OTHER_MASK))
    same(traced(lambda v: op(v, other), MASK), op(MASK, np.asarray(other)))
    same(traced(lambda v: op(other, v), MASK), op(np.asarray(other), MASK))
    same(traced(operator.invert, MASK), ~MASK)
    same(traced(lambda v: op(v > 0, v < 2), X), op(X > 0, X < 2))


@pytest.mark.parametrize("op", [*MASKS, operator.invert])
def test_masks_are_not_numbers(op: Any) -> None:
    with pytest.raises(TypeError, match="must be bool, not float64"):
        traced(lambda v: op(v, v) if op is not operator.invert else op(v), X)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, -1.5, 2.0, np.float64(2), np.int64(2)])
def test_powers(exponent: Any) -> None:
    x = np.abs(X)
    np.testing.assert_allclose(traced(lambda v: v**exponent, x), x ** float(exponent), rtol=1e-14)
    for base in (2.0, 3, np.float64(1.5), np.array([2.0, 0.5, 1.0])):
        np.testing.assert_allclose(
            traced(lambda v, b=base: b**v, X), np.asarray(base, float) ** X, rtol=1e-14
        )
    np.testing.assert_allclose(traced(lambda a, b: a**b, x, Y), x**Y, rtol=1e-14)


def test_a_square_of_integers_and_of_negative_numbers() -> None:
    same(traced(lambda v: v**2, COUNTS), COUNTS**2)
    same(traced(lambda v: v**2, X), X**2)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((4, 2, 3), (3, 2))]
)
def test_products_of_matrices(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=a), rng.normal(size=b)
    expected = left @ right
    for found in (
        traced(operator.matmul, left, right),
        traced(lambda v: v @ right, left),
        traced(lambda v: left @ v, right),
        traced(lambda v: v @ right.tolist(), left),
        traced(lambda v: left.tolist() @ v, right),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        assert found.shape == expected.shape


def test_a_product_with_a_number_is_refused() -> None:
    for function in (lambda v: v @ 2.0, lambda v: 2.0 @ v):
        with pytest.raises(ValueError, match="matmul: both operands need an axis, got shapes"):
            traced(function, X)


def test_signs() -> None:
    same(traced(operator.neg, X), -X)
    same(traced(operator.neg, COUNTS), -COUNTS)
    same(traced(abs, X), abs(X))
    assert nn.Lambda(lambda v: +v is v and v)(X).tolist() == X.tolist()


IN_PLACE = [
    (operator.iadd, operator.add), (operator.isub, operator.sub), (operator.imul, operator.mul),
    (operator.itruediv, operator.truediv), (operator.ipow, operator.pow),
]  # fmt: skip


@pytest.mark.parametrize(("in_place", "op"), IN_PLACE)
def test_in_place_operators_make_a_new_tensor_and_leave_the_old_one(in_place: Any, op: Any) -> None:
    def function(v: Any) -> Any:
        before = v
        v = in_place(v, 2.0)
        assert v is not before
        return v + 10 * before

    same(traced(function, np.abs(X)), op(np.abs(X), 2.0) + 10 * np.abs(X))


@pytest.mark.parametrize("in_place", [operator.iadd, operator.imul, operator.imatmul])
def test_an_array_cannot_take_a_tensor_in(in_place: Any) -> None:
    array = np.ones((2, 2))
    with pytest.raises(TypeError, match="needs numbers, which a symbolic tensor doesn't have yet"):
        nn.Lambda(lambda v: in_place(array, v))(np.ones((2, 2)))
    assert (array == 1).all()


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_parameters_are_arrays_outside_of_a_trace_and_tensors_in_one(op: Any) -> None:
    parameter = nn.Parameter((2, 3), "glorot_normal")
    model = nn.Lambda(lambda v: op(parameter, v))
    model.table = parameter  # type: ignore[attr-defined]
    model.build((2, 3), dtype="float64")
    value = parameter.value
    for other in (Y, 1.5, np.float64(2)):
        same(op(parameter, other), op(value, other))
        same(op(other, parameter), op(other, value))
    same(op(parameter, parameter), op(value, value))
    same(model(X), op(value, X))


def test_parameters_in_products_powers_and_signs() -> None:
    parameter = nn.Parameter((2, 3), "ones")
    parameter.init = nn.init.Constant(1.5)
    model = nn.Lambda(lambda v: v @ parameter)
    model.table = parameter  # type: ignore[attr-defined]
    model.build((2, 2), dtype="float64")
    value = parameter.value
    same(parameter @ Y.T, value @ Y.T)
    same(Y.T @ parameter, Y.T @ value)
    same(parameter**2, value**2)
    same(2**parameter, 2**value)
    same(-parameter, -value)
    same(abs(parameter), value)
    same((parameter > 1) & (parameter < 2), (value > 1) & (value < 2))


# What only numbers can do


@pytest.mark.parametrize(
    "use",
    [
        bool,
        float,
        int,
        complex,
        operator.index,
        operator.not_,
        range,
        np.asarray,
        lambda v: 1 if v > 0 else 0,
        lambda v: (v > 0) and (v < 2),
        lambda v: 0 < v < 2,
        lambda v: 3.0 in v,
        lambda v: [1, 2][v],
        lambda v: max(v, 0.0),
        lambda v: sorted(v),
    ],
)
def test_a_tensor_has_no_value(use: Any) -> None:
    with pytest.raises(
        TypeError, match="a symbolic tensor has no value while a function is traced.*ops.where"
    ):
        nn.Lambda(lambda v: use(v))(X)


@pytest.mark.parametrize("use", [np.exp, np.sum, np.linalg.norm, np.concatenate, lambda v: np.ones(3) // v])
def test_numpys_functions_are_pointed_to_ops(use: Any) -> None:
    with pytest.raises(TypeError, match="a symbolic tensor doesn't have yet; use what bpcore.ops offers"):
        nn.Lambda(use)(X)


@pytest.mark.parametrize("op", [operator.mod, operator.floordiv, operator.xor, operator.lshift])
def test_operators_that_there_are_not(op: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        nn.Lambda(lambda v: op(v, 2))(X)


@pytest.mark.parametrize("other", [None, "a", object(), {}])
@pytest.mark.parametrize("op", [operator.add, operator.eq, operator.lt])
def test_what_is_no_number_is_refused(op: Any, other: Any) -> None:
    with pytest.raises(TypeError, match="expected numbers, got"):
        nn.Lambda(lambda v: op(v, other))(X)


# Sizes, elements, methods


def _rows(v: Any) -> Any:
    assert (len(v), v.ndim, v.size, v.shape, v.dtype) == (2, 2, 6, (2, 3), "float64")
    assert (np.shape(v), np.ndim(v), np.size(v)) == ((2, 3), 2, 6)
    first, second = v
    assert [row.shape for row in v] == [(3,), (3,)]
    assert {v: "itself"}[v] == "itself"
    return first - second + sum(v)


def test_sizes_and_rows() -> None:
    same(traced(_rows, X), X[0] - X[1] + X.sum(0))


@pytest.mark.parametrize("use", [len, list, lambda v: sum(v)])
def test_a_tensor_without_axes_has_no_rows(use: Any) -> None:
    with pytest.raises(TypeError, match="a tensor without axes has no length"):
        nn.Lambda(lambda v: use(v.sum()))(X)


METHODS: list[Callable[[Any], Any]] = [
    lambda v: v.T,
    lambda v: v.reshape(3, 2),
    lambda v: v.reshape((3, 2)),
    lambda v: v.reshape(-1),
    lambda v: v.transpose(),
    lambda v: v.transpose(1, 0),
    lambda v: v.transpose((0, 1)),
    lambda v: v.astype(np.float32),
    lambda v: v.astype("float32"),
    lambda v: v.astype(bool),
    *(
        lambda v, name=name, options=options: getattr(v, name)(**options)
        for name in ("sum", "mean", "max", "min")
        for options in ({}, {"axis": 0}, {"axis": (0, 1)}, {"axis": -1, "keepdims": True})
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_numpys(method: Callable[[Any], Any]) -> None:
    same(traced(method, X), method(X))


# Rows by integers


@pytest.mark.parametrize(
    "key",
    [
        [1, 0, 1],
        [-1],
        [],
        np.array([[0, 1], [1, 1]]),
        np.array(-2),
        np.array([1], np.uint8),
        np.array([], int),
    ],
)
def test_rows_by_an_array_of_integers_and_their_gradient(key: Any) -> None:
    index = np.asarray(key, np.int64)
    same(traced(lambda v: v[key], X), X[index])
    seed = np.random.default_rng(1).normal(size=X[index].shape)
    expected = np.zeros_like(X)
    np.add.at(expected, index, seed)
    found = bp.grad(lambda v: ops.sum(v[key] * seed))(X)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    bp.check_gradients(lambda v: ops.sum(v[key] ** 3), X)


def test_rows_by_a_tensor_of_integers_and_their_gradient() -> None:
    index = np.array([1, 0, 1])
    same(traced(lambda v, i: v[i], X, index), X[index])
    found = bp.grad(lambda v, i: ops.sum(v[i] * np.arange(9.0).reshape(3, 3)))(X, index)
    np.testing.assert_array_equal(found, [[3, 4, 5], [6, 8, 10]])
    for wrong in (-1, 2):
        with pytest.raises(
            ValueError, match=rf"input 1\[1\] is {wrong}, but gather takes integers from 0 to 1"
        ):
            traced(lambda v, i: v[i], X, np.array([0, wrong]))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ([0, 2], IndexError, "getitem: index 2 is out of range for the 2 rows of axis 0"),
        (np.array([-3]), IndexError, "getitem: index -3 is out of range"),
        (np.array([True, False]), TypeError, "getitem: masks can't index a tensor"),
        ([[True, False, True]], TypeError, "getitem: masks can't index a tensor"),
        (True, TypeError, "getitem: masks can't index a tensor"),
        ([0.5], TypeError, "getitem: indices must be integers, got float64"),
        ((slice(None), [0, 1]), TypeError, "one integer array for the first axis, got list"),
        (1.0, TypeError, "getitem: indices are integers, slices"),
        ("a", TypeError, "getitem: indices are integers, slices"),
    ],
)
def test_other_indices_are_refused(key: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        traced(lambda v: v[key], X)


def test_elements_of_a_tensor_are_not_written() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        nn.Lambda(lambda v: operator.setitem(v, 0, 1.0))(X)
