"""Sessions: which rows make up their batches, and what they keep of the plans' outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore._native import core
from tests.support.graphs import Graph, f32, f64

NO_RATES = np.zeros((100, 1))


def plan_of(rows: int, dtype: str = "float32") -> Any:
    """The mean, the column sums (3,), and twice each row (rows, 3) of x (rows, 3)."""
    graph = Graph()
    x = graph.input(((rows, 3), dtype))
    total = graph.sum(x)
    columns = graph.add("sum", x, axes=[0], keepdims=False)
    double = graph.add("add", x, x)
    return graph.plan(total, columns, double)


def session_of(x: Any, batch: int, dtype: str = "float32", **options: Any) -> Any:
    samples = len(options.get("rows", x))
    tail = plan_of(samples % batch, dtype) if samples % batch else None
    store = core.Store([], [], dtype)
    return core.Session(plan_of(batch, dtype), tail, store, None, [x], batch, **options)


def samples(rows: int = 10, dtype: str = "float32") -> Any:
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(dtype)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch", [1, 4, 5, 10])
def test_outputs_of_any_shape_are_summed_and_collected(batch: int, shuffle: bool) -> None:
    x = samples()
    session = session_of(x, batch, collect=[2])
    for epoch in range(2):
        session.begin_epoch(epoch, shuffle)
        assert session.run(100, NO_RATES) == session.steps_per_epoch
        assert session.finished
        order = core.permutation(10, 0, epoch) if shuffle else np.arange(10)
        np.testing.assert_allclose(session.totals, [x.sum(), *x.sum(0)], rtol=1e-5)
        np.testing.assert_array_equal(session.collected(2), 2 * x[order])
        last = x[order][-(10 % batch or batch) :]
        np.testing.assert_allclose(session.last, [last.sum(), *last.sum(0)], rtol=1e-5, atol=1e-6)


def test_rows_choose_samples_and_their_order() -> None:
    x = samples()
    rows = np.array([7, 2, 2, 9, 0])
    session = session_of(x, 2, collect=[2], rows=rows)
    assert session.steps_per_epoch == 3
    session.begin_epoch(0, False)
    session.run(100, NO_RATES)
    np.testing.assert_array_equal(session.collected(2), 2 * x[rows])
    session.begin_epoch(4, True)
    session.run(100, NO_RATES)
    np.testing.assert_array_equal(session.collected(2), 2 * x[rows][core.permutation(5, 0, 4)])
    session.begin_epoch(5, False)
    session.run(1, NO_RATES)
    assert session.collected(2).shape == (2, 3)
    assert not session.finished
    np.testing.assert_array_equal(session.collected(2), 2 * x[rows[:2]])


@pytest.mark.parametrize("position", range(4))
def test_seek_goes_on_in_the_middle_of_an_epoch(position: int) -> None:
    x = samples()
    whole, first, second = (session_of(x, 3, collect=[2]) for _ in range(3))
    for session in (whole, first, second):
        session.begin_epoch(1, True)
    whole.run(100, NO_RATES)
    first.run(position, NO_RATES)
    second.seek(position, first.totals, 0, {2: first.collected(2)})
    assert second.position == position
    second.run(100, NO_RATES)
    assert second.totals.tobytes() == whole.totals.tobytes()
    assert second.collected(2).tobytes() == whole.collected(2).tobytes()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("value", "source", "message"),
    [
        (np.nan, "float32", r"^fit: x\[6, 1\] is nan; clean the data, or allow it by check_finite=False$"),
        (-np.inf, "float32", r"^fit: x\[6, 1\] is -inf; clean"),
        (np.nan, "float64", r"^fit: x\[6, 1\] is nan; clean"),
        (1e300, "float64", r"^fit: x\[6, 1\] is 1e\+300, which overflows float32$"),
    ],
)
def test_batches_are_looked_at_for_what_is_not_finite(
    value: float, source: str, message: str, shuffle: bool
) -> None:
    x = samples(dtype=source)
    x[6, 1] = value
    session = session_of(x, 2, finite_names=["fit: x"])
    session.begin_epoch(0, shuffle)
    with pytest.raises(ValueError, match=message):
        session.run(100, NO_RATES)
    order = core.permutation(10, 0, 0) if shuffle else np.arange(10)
    assert session.position == int(np.flatnonzero(order == 6)[0]) // 2
    assert np.isfinite(session.totals).all()
    unchecked = session_of(x, 2)
    assert unchecked.run(100, NO_RATES) == 5


def test_what_does_not_fit_is_refused() -> None:
    x = samples()
    with pytest.raises(ValueError, match="there is no row 10 of 10"):
        session_of(x, 2, rows=np.array([0, 10]))
    with pytest.raises(ValueError, match="there is no row -1 of 10"):
        session_of(x, 2, rows=np.array([-1, 1]))
    with pytest.raises(ValueError, match="output 0 can't be collected"):
        session_of(x, 2, collect=[0])
    with pytest.raises(ValueError, match="output 3 can't be collected"):
        session_of(x, 2, collect=[3])
    with pytest.raises(ValueError, match="2 names for 1 arrays"):
        session_of(x, 2, finite_names=["a", "b"])
    with pytest.raises(ValueError, match="output 1 is not collected"):
        session_of(x, 2).collected(1)
    session = session_of(x, 2, collect=[2])
    session.begin_epoch(0, False)
    with pytest.raises(ValueError, match="no step 6"):
        session.seek(6, session.totals, 0)
    with pytest.raises(ValueError, match="totals of 3 values instead of 4"):
        session.seek(1, session.totals[:3], 0)
    for rows, dtype in (((2, 3), "float64"), ((2, 4), "float32"), ((3, 3), "float32"), ((11, 3), "float32")):
        with pytest.raises(ValueError, match=f"{rows[0]} rows of {rows[1]} {dtype} elements can't be"):
            session.seek(1, session.totals + 1, 0, {2: np.zeros(rows, dtype)})
        assert session.position == 0
        assert not session.totals.any()


def test_the_first_output_is_a_scalar_and_all_are_floats() -> None:
    graph = Graph()
    x = graph.input(f32(2, 3))
    flags = graph.add("greater", x, x)
    store = core.Store([], [], "float32")
    for outputs in ([x], [graph.sum(x), flags]):
        with pytest.raises(ValueError, match="outputs must be float tensors, the first one a scalar"):
            core.Session(graph.plan(*outputs), None, store, None, [samples(2)], 2)


def test_a_tail_must_have_the_same_outputs() -> None:
    graph = Graph()
    other = graph.plan(graph.sum(graph.input(f64(1, 3))))
    store = core.Store([], [], "float32")
    with pytest.raises(ValueError, match="the two plans have different outputs"):
        core.Session(plan_of(3), other, store, None, [samples()], 3)


@pytest.mark.parametrize("accumulate", [0, 2**31, 2**63 - 1])
def test_batches_of_a_step_are_of_a_size_whose_sums_fit(accumulate: int) -> None:
    with pytest.raises(ValueError, match=f"accumulate must be at least 1 and .* got {accumulate}"):
        session_of(samples(), 5, accumulate=accumulate)
