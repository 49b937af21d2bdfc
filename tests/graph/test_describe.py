"""Adding nodes: types are inferred, errors are raised here, equal nodes are one, trivial ones vanish."""

from __future__ import annotations

import numpy as np
import pytest

from bpcore._native import core
from tests.support.draw import positive
from tests.support.graphs import Graph, f32, f64, i64


def test_node_knows_its_shape_dtype_and_op() -> None:
    graph = Graph()
    x = graph.core.input((2, 3), "float32", "x")
    y = graph.add("greater", x, graph.input(f32(3)))
    assert graph.type(y) == ((2, 3), "bool")
    assert (graph.core.op(y), graph.core.op(x), len(graph)) == ("greater", "x", 3)


def test_error_is_raised_when_a_node_is_described_and_leaves_the_graph_as_it_was() -> None:
    graph = Graph()
    x, y = graph.input(f64(2, 3)), graph.input(f64(4))
    with pytest.raises(ValueError, match=r"^add: shapes \(2, 3\) and \(4,\)"):
        graph.add("add", x, y)
    assert len(graph) == 2


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda g, x: g.add("convolve", x), ValueError, "no op named convolve"),
        (lambda g, x: g.add("exp", x + 1), ValueError, "no node 1"),
        (lambda g, _: g.add("exp", -1), ValueError, "no node -1"),
        (lambda g, x: g.add("softmax", x), ValueError, "'axis' is missing"),
        (lambda g, x: g.add("softmax", x, axis=0.5), TypeError, "'axis' is of the wrong type"),
        (lambda g, x: g.add("softmax", x, axis=[0]), TypeError, "'axis' is of the wrong type"),
        (lambda g, x: g.add("sum", x, axes=0, keepdims=False), TypeError, "'axes' is of the wrong type"),
        (lambda g, _: g.input(((2,), "float16")), TypeError, "float16"),
        (lambda g, _: g.input(((-2,), "float32")), ValueError, "negative, got -2"),
        (lambda g, _: g.input(((1,) * 9, "float32")), ValueError, "at most 8 axes"),
        (lambda g, _: g.constant(np.zeros((4, 4)).T[:, ::2]), ValueError, "C-contiguous"),
        (lambda g, _: g.constant(np.zeros(2, np.complex128)), TypeError, "complex128"),
        (lambda g, _: g.constant(np.zeros(2, ">f8")), TypeError, ">f8"),
        (lambda g, _: g.core.parameter(0, (2,), "int64", "w"), TypeError, "parameter w: dtype"),
        (lambda g, _: g.core.state(0, (2,), "bool", "s"), TypeError, "state s: dtype"),
        (lambda g, x: g.core.gradients(g.add("greater", x, x), [x]), TypeError, "gradients: .*bool"),
        (lambda g, x: g.core.gradients(x, [x]), ValueError, r"gradients: .*scalar.*\(3,\)"),
        (lambda g, x: g.core.gradients(x, [x], g.sum(x)), ValueError, r"gradients: .*\(\).*\(3,\)"),
        (lambda g, x: g.core.gradients(g.sum(x), [99]), ValueError, "no node 99"),
        (lambda g, _: g.plan(99), ValueError, "no node 99"),
    ],
)
def test_wrong_description_is_an_exception(action, error: type, message: str) -> None:
    graph = Graph()
    x = graph.input(f64(3))
    with pytest.raises(error, match=message):
        action(graph, x)


def test_equal_nodes_are_one() -> None:
    graph = Graph()
    x, y = graph.input(f64(2, 3)), graph.input(f64(2, 3))
    assert graph.add("add", x, y) == graph.add("add", x, y)
    assert graph.sum(graph.add("tanh", x)) == graph.sum(graph.add("tanh", x))
    assert graph.constant(np.array(0.1)) == graph.constant(np.array(0.1))


def test_unequal_nodes_stay_apart() -> None:
    graph = Graph()
    x, y = graph.input(f64(3, 3)), graph.input(f64(3, 3))
    nodes = [
        x,
        y,
        graph.add("subtract", x, y),
        graph.add("subtract", y, x),
        graph.add("softmax", x, axis=0),
        graph.add("softmax", x, axis=1),
        graph.add("sum", x, axes=[0], keepdims=False),
        graph.add("sum", x, axes=[0], keepdims=True),
        graph.constant(np.array(0.0)),
        graph.constant(np.array(-0.0)),
        graph.constant(np.array(0.0, "float32")),
        graph.constant(np.array(0)),
    ]
    assert len(set(nodes)) == len(nodes)


def test_constants_are_copied_when_they_are_described() -> None:
    graph = Graph()
    array = np.arange(3.0)
    node = graph.add("neg", graph.constant(array))
    array[:] = 9
    np.testing.assert_array_equal(graph.run([node])[0], [-0.0, -1, -2])


def test_nodes_that_change_nothing_vanish() -> None:
    graph = Graph()
    x = graph.input(f64(2, 3))
    assert graph.add("reshape", x, shape=[2, -1]) == x
    assert graph.add("broadcast_to", x, shape=[2, 3]) == x
    assert graph.add("cast", x, dtype="float64") == x
    assert graph.add("multiply", x, graph.constant(np.array(1.0))) == x
    assert graph.add("power", x, graph.constant(np.array(1.0))) == x


def test_factor_one_stays_where_it_broadcasts() -> None:
    graph = Graph()
    x = graph.input(f64(3))
    product = graph.add("multiply", x, graph.constant(np.ones((1, 1))))
    assert graph.type(product) == ((1, 3), "float64")
    assert graph.type(graph.add("power", x, graph.constant(np.ones((1, 1))))) == ((1, 3), "float64")


def test_square_needs_no_power() -> None:
    graph = Graph()
    x = graph.input(f64(3))
    square = graph.add("power", x, graph.constant(np.array(2.0)))
    assert graph.core.op(square) == "multiply"
    np.testing.assert_array_equal(graph.run([square], positive((3,)))[0], positive((3,)) ** 2)


def test_indices_are_not_floats() -> None:
    graph = Graph()
    with pytest.raises(TypeError, match="^add: dtypes float32 and int64"):
        graph.add("add", graph.input(f32(2)), graph.input(i64(2)))


def test_every_op_has_one_name() -> None:
    names = core.op_names()
    assert len(set(names)) == len(names) > 40
