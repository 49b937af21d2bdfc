"""matmul: batched, broadcasting, either factor transposed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support import references
from tests.support.check_op import Case, check_op
from tests.support.draw import normal
from tests.support.graphs import f32, f64, i64, infer

# (m, k), (k, n) with leading axes
MATRICES = [
    ((1, 1), (1, 1)), ((1, 7), (7, 1)), ((7, 1), (1, 7)), ((3, 4), (4, 5)), ((15, 16), (16, 17)),
    ((33, 17), (17, 15)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)), ((1, 3, 4), (6, 4, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)),
    ((0, 2, 3), (3, 2)), ((2, 2, 0), (2, 0, 2)), ((100, 300), (300, 33)), ((1, 600), (600, 100)),
    ((130, 513), (513, 129)), ((20, 40, 30), (20, 30, 10)), ((1, 200), (200, 1)), ((2, 64), (64, 1)),
    ((5, 63), (63, 1)), ((31, 130), (130, 1)), ((3, 0), (0, 1)), ((4, 9, 70), (70, 1)),
]  # fmt: skip


def _stored(shape: tuple[int, ...], transposed: bool) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if transposed else shape


CASES = [
    Case(ops.matmul, np.matmul, normal(a), normal(b, key=1), magnitudes=True, order=2) for a, b in MATRICES
] + [
    Case(
        "matmul",
        references.matmul,
        normal(_stored(a, ta)),
        normal(_stored(b, tb), key=1),
        transpose_a=ta,
        transpose_b=tb,
        magnitudes=True,
        order=2,
    )
    for a, b in MATRICES
    for ta, tb in [(True, False), (False, True), (True, True)]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(
    ("m", "n"), list(itertools.product([1, 2, 5, 14, 15, 29], [1, 8, 15, 16, 17, 33, 65]))
)
@pytest.mark.parametrize("k", [1, 3, 257])
def test_sizes_around_the_kernels_tiles(m: int, k: int, n: int) -> None:
    for ta, tb in itertools.product([False, True], repeat=2):
        a, b = normal(_stored((m, k), ta)), normal(_stored((k, n), tb), key=1)
        check_op(
            "matmul",
            references.matmul,
            a,
            b,
            transpose_a=ta,
            transpose_b=tb,
            magnitudes=True,
            differentiable=False,
        )


@pytest.mark.parametrize(("transpose_a", "transpose_b"), list(itertools.product([False, True], repeat=2)))
def test_packed_factors(transpose_a: bool, transpose_b: bool) -> None:
    """Rows of a whole page (4096 bytes), many panels, more than caches hold: packing and fetching ahead."""
    for m, k, n in [(64, 1024, 200), (200, 512, 256), (1024, 40, 1024), (701, 399, 515)]:
        a, b = normal(_stored((m, k), transpose_a)), normal(_stored((k, n), transpose_b), key=1)
        check_op(
            "matmul",
            references.matmul,
            a,
            b,
            transpose_a=transpose_a,
            transpose_b=transpose_b,
            magnitudes=True,
            differentiable=False,
        )


@pytest.mark.parametrize(
    ("a", "b"), [((4,), (4,)), ((4,), (4, 3)), ((2, 4), (4,)), ((5, 2, 4), (4,)), ((4,), (5, 4, 3))]
)
def test_vectors_as_numpys(a: tuple, b: tuple) -> None:
    x, y = normal(a), normal(b, key=1)
    np.testing.assert_allclose(ops.matmul(x, y), x @ y, rtol=1e-13, atol=1e-13)
    bp.check_gradients(ops.matmul, x, y, order=2)


def test_nan_and_infinities_stay_in_their_rows_and_columns() -> None:
    a, b = np.ones((20, 40)), np.ones((40, 33))
    a[3, 5], a[7, 0], b[2, 30] = np.nan, np.inf, np.nan
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(ops.matmul(a, b), a @ b)


@pytest.mark.parametrize(
    ("types", "attributes", "error", "message"),
    [
        ([f64(2, 3), f64(4, 5)], {}, ValueError, r"shapes \(2, 3\) and \(4, 5\) do not fit"),
        ([f64(2, 3), f64(3, 5)], {"transpose_a": True}, ValueError, r"\(2, 3\) transposed and \(3, 5\)"),
        ([f64(2, 3), f64(3, 5)], {"transpose_b": True}, ValueError, r"\(2, 3\) and \(3, 5\) transposed"),
        ([f64(3), f64(3, 5)], {}, ValueError, r"shapes \(3,\) and \(3, 5\) must have at least two axes"),
        ([f64(2, 2, 3), f64(4, 3, 5)], {}, ValueError, r"shapes \(2,\) and \(4,\) do not broadcast"),
        ([f64(2, 3), f32(3, 5)], {}, TypeError, "dtypes float64 and float32 differ"),
        ([i64(2, 3), i64(3, 5)], {}, TypeError, "input 0 must be float32 or float64, not int64"),
    ],
)
def test_wrong_arguments_raise_and_name_the_op(
    types: list, attributes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^matmul: .*{message}"):
        infer("matmul", *types, **attributes)


def test_scalars_have_no_matrix_product() -> None:
    with pytest.raises(ValueError, match=r"^matmul: .*\(\) and \(2,\)"):
        ops.matmul(np.ones(()), np.ones(2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 5, 16, 63, 64, 65, 300])
def test_a_row_times_a_column_does_not_depend_on_other_rows(dtype: str, k: int) -> None:
    a, b = normal((7, k)).astype(dtype), normal((k, 1), key=1).astype(dtype)
    whole = ops.matmul(a, b)
    for rows in (slice(0, 1), slice(1, 3), slice(2, 7)):
        np.testing.assert_array_equal(ops.matmul(a[rows], b), whole[rows])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("k", "n"),
    [
        *[(1, 70), (3, 65), (4, 200), (37, 66), (65, 129), (300, 100), (1030, 600)],
        *[(1, 7), (4, 2), (37, 10), (300, 33), (64, 42)],
    ],
)
@pytest.mark.parametrize(("transpose_a", "transpose_b"), list(itertools.product([False, True], repeat=2)))
def test_a_row_does_not_depend_on_other_rows(
    dtype: str, k: int, n: int, transpose_a: bool, transpose_b: bool
) -> None:
    """Few rows, and columns beyond whole vectors, have kernels of their own, with the same chains."""
    a = normal((45, k)).astype(dtype)
    b = normal(_stored((k, n), transpose_b), key=1).astype(dtype)

    def product(rows: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(rows.T) if transpose_a else rows
        return apply("matmul", rows, b, transpose_a=transpose_a, transpose_b=transpose_b)

    whole = product(a)
    for count in (*range(1, 10), 16, 21):
        np.testing.assert_array_equal(product(a[3 : 3 + count]), whole[3 : 3 + count])
