"""cross_entropy with the op of its derivative, binary_cross_entropy, squared_error."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support import references
from tests.support.check_op import Case, check_op
from tests.support.draw import VECTOR_SHAPES, integers, normal
from tests.support.graphs import f32, f64, i64, infer

LOGITS = [
    (1,),
    (3,),
    (1, 1),
    (4, 3),
    (7, 10),
    (5, 17),
    (2, 3, 4),
    (0, 3),
    (2, 0, 5),
    (2, 33),
    (3, 64),
    (3, 65),
    (130, 2),
    (3, 5000),
    (2000, 10),
]


def _targets(shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-normal(shape, key=1))))


CASES = [
    case
    for shape in LOGITS
    for case in [
        Case(
            ops.cross_entropy,
            references.cross_entropy,
            2 * normal(shape),
            integers(shape[:-1], 0, shape[-1]),
            epsilons=4,
            floor=1,
            order=2,
        ),
        Case(
            "cross_entropy_gradient",
            references.cross_entropy_gradient,
            2 * normal(shape),
            integers(shape[:-1], 0, shape[-1]),
            normal(shape[:-1]),
            epsilons=8,
            floor=1,
            order=2,
        ),
    ]
] + [
    case
    for shape in VECTOR_SHAPES
    for case in [
        Case(
            ops.binary_cross_entropy,
            references.binary_cross_entropy,
            3 * normal(shape),
            _targets(shape),
            order=2,
        ),
        Case(
            ops.squared_error,
            references.squared_error,
            normal(shape),
            normal(shape, key=1),
            exact=True,
            order=2,
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(
    "row",
    [[1e4, -1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4 + 1, -1e4], [1e4 + 1, 1e4, 0.0], [0.0, -np.inf, 1.0]],
    ids=str,
)
def test_cross_entropy_of_extreme_logits_loses_nothing(row: list[float]) -> None:
    logits = np.array([row, row, row])
    check_op(
        ops.cross_entropy,
        references.cross_entropy,
        logits,
        np.arange(3),
        floor=1,
        epsilons=2,
        differentiable=False,
    )


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_binary_cross_entropy_of_confident_logits_keeps_its_digits(target: float) -> None:
    logits = np.array([-1e4, -500, -50, -20, -10, -1, -0.0, 0.0, 1, 10, 20, 50, 500, 1e4])
    check_op(
        ops.binary_cross_entropy,
        references.binary_cross_entropy,
        logits,
        np.full(14, target),
        differentiable=False,
    )


def test_derivatives_at_extreme_logits_are_finite() -> None:
    logits = np.array([[1e4, -1e4, 0], [-1e4, 0, 1e4]])
    gradient = bp.grad(lambda z: ops.sum(ops.cross_entropy(z, np.array([0, 0]))))(logits)
    np.testing.assert_array_equal(gradient, [[0, 0, 0], [-1, 0, 1]])
    gradient = bp.grad(lambda z: ops.sum(ops.binary_cross_entropy(z, np.ones(2))))(np.array([-1e4, 1e4]))
    np.testing.assert_array_equal(gradient, [-1, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [*range(1, 20), 33, 64, 65, 100])
def test_cross_entropy_of_rows_with_nan_is_nan_and_of_others_is_not(dtype: str, width: int) -> None:
    logits = np.zeros((2 * width, width), dtype)
    logits[np.arange(0, 2 * width, 2), np.arange(width)] = np.nan
    labels = np.arange(2 * width) % width
    seeds = np.ones(2 * width, dtype)
    losses = ops.cross_entropy(logits, labels)
    gradients = apply("cross_entropy_gradient", logits, labels, seeds)
    np.testing.assert_array_equal(np.isnan(losses), [True, False] * width)
    np.testing.assert_array_equal(np.isnan(gradients), np.repeat([[True], [False]] * width, width, 1))


def test_nan_is_handed_through() -> None:
    nan = np.array([[np.nan, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(np.isnan(ops.cross_entropy(nan, np.array([1, 1]))), [True, False])
    np.testing.assert_array_equal(np.isnan(ops.binary_cross_entropy(nan, np.zeros((2, 2)))), np.isnan(nan))
    np.testing.assert_array_equal(np.isnan(ops.squared_error(nan, np.zeros((2, 2)))), np.isnan(nan))


@pytest.mark.parametrize("label", [-1, 3, 2**62])
def test_label_out_of_range_is_a_value_error_that_names_it(label: int) -> None:
    with pytest.raises(ValueError, match=rf"^cross_entropy: index {label} is out of range \[0, 3\)"):
        ops.cross_entropy(np.zeros((2, 3)), np.array([0, label]))


@pytest.mark.parametrize(
    ("op", "types", "error", "message"),
    [
        (
            "cross_entropy",
            [f64(4, 3), i64(3)],
            ValueError,
            r"logits of shape \(4, 3\) need labels of shape \(4,\), got \(3,\)",
        ),
        ("cross_entropy", [f64(4, 3), i64(4, 1)], ValueError, r"\(4, 3\).*\(4, 1\)"),
        ("cross_entropy", [f64(4, 0), i64(4)], ValueError, r"\(4, 0\)"),
        ("cross_entropy", [f64(), i64()], ValueError, r"\(\)"),
        ("cross_entropy", [f64(4, 3), f64(4)], TypeError, "input 1 must be int64, not float64"),
        ("cross_entropy", [i64(4, 3), i64(4)], TypeError, "input 0 must be float32 or float64, not int64"),
        ("cross_entropy_gradient", [f64(4, 3), i64(4), f64(3)], ValueError, r"\(3,\).*\(4,\)"),
        ("cross_entropy_gradient", [f64(4, 3), i64(4), f32(4)], TypeError, "float64 and float32"),
        ("binary_cross_entropy", [f64(3), f64(1)], ValueError, r"\(3,\).*\(1,\)"),
        ("binary_cross_entropy", [f64(3), i64(3)], TypeError, "float64 and int64"),
        ("squared_error", [f64(3, 1), f64(3)], ValueError, r"\(3, 1\).*\(3,\)"),
        ("squared_error", [f64(3), f32(3)], TypeError, "float64 and float32"),
        ("squared_error", [i64(3), i64(3)], TypeError, "input 0 must be float32 or float64, not int64"),
    ],
)
def test_wrong_arguments_raise_and_name_the_op(op: str, types: list, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *types)
