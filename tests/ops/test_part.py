"""part and part_gradient: several results in one record, as views at an offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.check_op import Case
from tests.support.draw import normal
from tests.support.graphs import Graph, f64, i64, infer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def part(record: Array, offset: int, shape: list[int]) -> Array:
    return record[offset : offset + int(np.prod(shape))].reshape(shape)


def part_gradient(given: Array, offset: int, size: int) -> Array:
    record = np.zeros(size, given.dtype)
    record[offset : offset + given.size] = given.ravel()
    return record


CASES = [
    Case("part", part, normal((20,)), offset=offset, shape=shape, exact=True, order=2)
    for offset, shape in [(0, [20]), (0, [4, 5]), (8, [3, 4]), (16, [2, 2]), (7, []), (20, [0]), (3, [2, 0])]
] + [
    Case("part_gradient", part_gradient, normal(shape), offset=offset, size=20, exact=True, order=2)
    for offset, shape in [(0, (20,)), (0, (4, 5)), (8, (3, 4)), (16, (2, 2)), (7, ()), (20, (0,)), (0, (1,))]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def test_parts_cost_no_instruction_and_no_memory() -> None:
    graph = Graph()
    record = graph.add("tanh", graph.input(f64(64)))
    first = graph.add("part", record, offset=0, shape=[4, 8])
    second = graph.add("part", record, offset=32, shape=[8, 4])
    product = graph.add("matmul", first, second)
    plan = graph.plan(product)
    assert len(plan.instructions) == 2
    assert plan.arena_bytes == 64 * 8 + 4 * 4 * 8
    x = normal((64,))
    (got,) = plan.run(None, [x])
    np.testing.assert_allclose(got, np.tanh(x[:32]).reshape(4, 8) @ np.tanh(x[32:]).reshape(8, 4))


def test_a_part_of_an_input_is_an_output() -> None:
    graph = Graph()
    x = graph.input(f64(10))
    (got,) = graph.run([graph.add("part", x, offset=3, shape=[2, 2])], np.arange(10.0))
    np.testing.assert_array_equal(got, [[3, 4], [5, 6]])


def test_an_index_of_a_part_is_checked_by_itself() -> None:
    graph = Graph()
    indices = graph.input(i64(4))
    table = graph.constant(np.arange(3.0))
    taken = graph.add("gather", table, graph.add("part", indices, offset=2, shape=[2]), axis=0)
    (got,) = graph.run([taken], np.array([99, -5, 2, 0]))  # the first two are nobody's business
    np.testing.assert_array_equal(got, [2, 0])
    with pytest.raises(ValueError, match=r"index 3 is out of range \[0, 3\)"):
        graph.run([taken], np.array([0, 0, 3, 0]))


def test_a_records_gradient_gives_its_parts_without_a_copy() -> None:
    graph = Graph()
    record = graph.input(f64(48))
    first, second = (graph.add("part", record, offset=16 * i, shape=[2, 8]) for i in (0, 1))
    total = graph.add("add", graph.sum(graph.add("exp", first)), graph.sum(graph.add("tanh", second)))
    (whole,) = graph.core.gradients(total, [record])
    asked = [graph.add("part", whole, offset=16 * i, shape=[2, 8]) for i in range(3)]
    plan = graph.plan(*asked)
    assert not any("part" in text for text in plan.instructions)
    x = normal((48,))
    got = plan.run(None, [x])
    np.testing.assert_allclose(got[0], np.exp(x[:16]).reshape(2, 8))
    np.testing.assert_allclose(got[1], 1 - np.tanh(x[16:32]).reshape(2, 8) ** 2)
    np.testing.assert_array_equal(got[2], np.zeros((2, 8)))
    assert plan.instructions[-1].startswith("broadcast_to")  # the zeros


def test_overlapping_parts_are_added_up() -> None:
    graph = Graph()
    record = graph.input(f64(6))
    a = graph.add("part", record, offset=0, shape=[4])
    b = graph.add("part", record, offset=2, shape=[4])
    (whole,) = graph.core.gradients(graph.sum(graph.add("multiply", a, b)), [record])
    x = normal((6,))
    (got,) = graph.run([graph.add("part", whole, offset=1, shape=[4])], x)
    want = np.zeros(6)
    want[:4] += x[2:]
    want[2:] += x[:4]
    np.testing.assert_allclose(got, want[1:5])


@pytest.mark.parametrize(
    ("op", "type_", "attributes", "message"),
    [
        ("part", f64(2, 3), {"offset": 0, "shape": [6]}, r"^part: expected one axis, got shape \(2, 3\)"),
        ("part", f64(6), {"offset": 3, "shape": [2, 2]}, r"^part: 4 elements from 3 on do not lie within 6"),
        ("part", f64(6), {"offset": -1, "shape": [2]}, r"^part: 2 elements from -1 on"),
        ("part_gradient", f64(2, 2), {"offset": 3, "size": 6}, r"^part_gradient: 4 elements from 3 on"),
        ("part_gradient", f64(7), {"offset": 0, "size": 6}, r"^part_gradient: 7 elements from 0 on"),
    ],
)
def test_what_lies_outside_is_an_error(op: str, type_: Any, attributes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        infer(op, type_, **attributes)
