"""sparse_dense and its gradient against float64 NumPy; SciPy's matrices in ops.dense and ops.matmul."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bpcore import ops
from bpcore._native import core
from bpcore.symbolic.operators import apply
from tests.support.check_op import Case
from tests.support.draw import normal
from tests.support.graphs import f64, i64, infer
from tests.support.references import relu, sigmoid

sparse = pytest.importorskip("scipy.sparse")

Array = NDArray[Any]


class Csr(NamedTuple):
    """A matrix in compressed rows; further elements may lie behind the last row's."""

    indptr: Array
    indices: Array
    values: Array
    columns: int

    def dense(self) -> Array:
        rows = len(self.indptr) - 1
        matrix = np.zeros((rows, self.columns))
        for row in range(rows):
            for k in range(self.indptr[row], self.indptr[row + 1]):
                matrix[row, self.indices[k]] += self.values[k]
        return matrix


def _csr(lengths: list[int], columns: int, spare: int = 0) -> Csr:
    """Rows of so many elements at drawn columns: in no order, and some of them twice."""
    rng = np.random.default_rng(len(lengths) + columns)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    count = int(indptr[-1]) + spare
    return Csr(indptr, rng.integers(0, columns, count), rng.normal(size=count), columns)


# matrix, width of the result
MATRICES = {
    "some rows empty": (_csr([2, 0, 3, 0], 7), 5),
    "one row": (_csr([4], 9), 3),
    "all rows empty": (_csr([0, 0, 0], 4), 6),
    "no element at all": (Csr(np.zeros(3, np.int64), np.zeros(0, np.int64), np.zeros(0), 4), 2),
    "spare elements": (_csr([1, 2], 5, spare=6), 4),
    "one column": (_csr([1, 3, 1], 1), 1),
    "each column twice": (Csr(np.array([0, 4]), np.array([2, 0, 2, 0]), np.array([1.0, 2, 3, 4]), 3), 2),
    "whole vectors": (_csr([5, 6, 7], 40), 64),
    "vectors and a rest": (_csr([5, 6, 7], 40), 77),
    "several tasks": (_csr([9] * 300, 500), 130),
}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "": lambda x: x,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}


def _op(name: str, matrix: Csr) -> Callable[..., Any]:
    """Op `name` of a fixed matrix, in the dtype of the other operands."""

    def run(*others: Any, **options: Any) -> Any:
        values = matrix.values.astype(str(others[0].dtype))
        return apply(name, matrix.indptr, matrix.indices, values, *others, **options)

    run.__name__ = name
    return run


def _forward(matrix: Csr) -> Callable[..., Array]:
    def reference(weight: Array, bias: Array | None = None, activation: str = "") -> Array:
        return ACTIVATIONS[activation](matrix.dense() @ weight + (0 if bias is None else bias))

    return reference


def _gradient(matrix: Csr) -> Callable[..., Array]:
    return lambda g, size: matrix.dense().T @ g  # noqa: ARG005


CASES = [
    case
    for matrix, width in MATRICES.values()
    for weight in [normal((matrix.columns, width))]
    for case in [
        Case(_op("sparse_dense", matrix), _forward(matrix), weight, floor=10, order=2),
        *(
            Case(
                _op("sparse_dense", matrix),
                _forward(matrix),
                weight,
                normal((width,)) + 0.2,
                floor=10,
                activation=activation,
            )
            for activation in ACTIVATIONS
        ),
        Case(
            _op("sparse_dense_gradient", matrix),
            _gradient(matrix),
            normal((len(matrix.indptr) - 1, width)),
            size=matrix.columns,
            floor=10,
            order=2,
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def test_a_row_has_the_bits_of_the_dense_product() -> None:
    x = sparse.random(40, 200, 0.1, format="csr", random_state=0)
    weight, bias = normal((200, 33)), normal((33,))
    np.testing.assert_array_equal(
        ops.dense(x, weight, bias, "relu"), ops.dense(x.toarray(), weight, bias, "relu")
    )


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("make", [sparse.random, sparse.random_array])
def test_every_format_of_scipys_is_taken(make: Callable[..., Any], kind: str) -> None:
    shape = (12, 8)
    x = make(*shape, density=0.3) if make is sparse.random else make(shape, density=0.3)
    weight = normal((8, 3))
    with np.errstate(all="ignore"):
        given = x.asformat(kind)
    np.testing.assert_allclose(ops.matmul(given, weight), x.toarray() @ weight, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        ops.matmul(given, weight[:, 0]), x.toarray() @ weight[:, 0], rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64"])
def test_values_of_every_real_dtype_are_taken(dtype: str) -> None:
    x = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 1]], dtype))
    weight = normal((3, 4)).astype(np.float32)
    np.testing.assert_allclose(ops.matmul(x, weight), x.toarray().astype(float) @ weight, rtol=1e-6)


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2, 1], [0, 1], r"length -1 is out of range \[0, 2\]"),
        ([0, 1, 9], [0, 1], r"length 9 is out of range \[0, 2\]"),
        ([-1, 1, 2], [0, 1], r"length 1 is out of range \[0, 2\]"),
        ([0, 1, 2], [0, 4], r"index 4 is out of range \[0, 4\)"),
        ([0, 1, 2], [-1, 0], r"index -1 is out of range \[0, 4\)"),
    ],
)
def test_what_lies_outside_is_a_value_error_and_not_read(indptr: Any, indices: Any, message: str) -> None:
    parts = np.array(indptr), np.array(indices), np.ones(2)
    with pytest.raises(ValueError, match=rf"^sparse_dense: {message}"):
        apply("sparse_dense", *parts, np.ones((4, 3)))
    with pytest.raises(ValueError, match=rf"^sparse_dense_gradient: {message}"):
        apply("sparse_dense_gradient", *parts, np.ones((2, 3)), size=4)


@pytest.mark.parametrize(
    ("op", "inputs", "error", "message"),
    [
        ("sparse_dense", [f64(3), i64(5), f64(5), f64(4, 2)], TypeError, "input 0 must be int64"),
        ("sparse_dense", [i64(3), f64(5), f64(5), f64(4, 2)], TypeError, "input 1 must be int64"),
        ("sparse_dense", [i64(3), i64(5), i64(5), f64(4, 2)], TypeError, "input 2 must be float32 or"),
        ("sparse_dense", [i64(3), i64(5), f64(6), f64(4, 2)], ValueError, r"\(3,\), \(5,\) and \(6,\)"),
        ("sparse_dense", [i64(0), i64(5), f64(5), f64(4, 2)], ValueError, r"indptr \(rows \+ 1\)"),
        ("sparse_dense", [i64(3), i64(5), f64(5), f64(4)], ValueError, r"shape \(in, out\)"),
        ("sparse_dense", [i64(3), i64(5), f64(5), f64(4, 2), f64(3)], ValueError, r"bias of shape \(3,\)"),
        ("sparse_dense_gradient", [i64(3), i64(5), f64(5), f64(3, 2)], ValueError, r"g of shape \(3, 2\)"),
    ],
)
def test_shapes_and_dtypes_are_checked(op: str, inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *inputs, **({"size": 4} if op.endswith("gradient") else {}))


def test_other_ops_say_that_they_take_no_sparse_matrix() -> None:
    x = sparse.csr_matrix(np.eye(3))
    for call in (lambda: ops.relu(x), lambda: ops.sum(x), lambda: ops.add(np.ones((3, 3)), x)):
        with pytest.raises(TypeError, match=r"a sparse matrix, which only a first nn\.Dense"):
            call()
    with pytest.raises(TypeError, match="^matmul: only the left operand may be a sparse matrix"):
        ops.matmul(np.eye(3), x)
    with pytest.raises(ValueError, match=r"^matmul: a sparse matrix of shape \(3, 3\) does not fit"):
        ops.matmul(x, np.ones((4, 2)))


def test_a_plan_says_which_gradients_are_by_rows() -> None:
    def plan(by_rows: bool, tied: bool = False) -> list[int]:
        graph = core.Graph()
        tokens = graph.input((4,), "int64")
        weight = graph.parameter(0, (9, 2), "float64", "w")
        taken = graph.add("gather", [weight, tokens], {"axis": 0})
        ends = [taken, weight] if tied else [taken]
        sums = [graph.add("sum", [end], {"axes": [0, 1], "keepdims": False}) for end in ends]
        loss = sums[0] if not tied else graph.add("add", sums, {})
        gradient = graph.gradients(loss, [weight])[0]
        return core.Plan(graph, [loss], [(0, gradient)], True, by_rows).row_gradients

    assert plan(True) == [0]
    assert plan(False) == []
    assert plan(True, tied=True) == []
