"""What a plan runs: dead nodes go, chains become one instruction, with the values of the plain ops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import references
from tests.support.draw import integers, normal
from tests.support.graphs import Graph, f32, f64, i64
from tests.support.networks import Network


def test_dead_nodes_are_not_run() -> None:
    graph = Graph()
    x = graph.input(f64(4))
    used = graph.add("tanh", x)
    graph.add("exp", graph.add("neg", x))
    assert graph.plan(used).instructions == ["tanh (4,)"]


def test_views_are_not_run() -> None:
    graph = Graph()
    x = graph.input(f64(2, 3))
    y = graph.add("exp", graph.add("identity", graph.add("reshape", x, shape=[6])))
    assert graph.plan(graph.add("stop_gradient", y)).instructions == ["exp (6,)"]


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_of_single_elements_are_views(op: str, keepdims: bool) -> None:
    graph = Graph()
    x = graph.input(f64(1, 3, 1))
    total = graph.add(op, graph.add("abs", x), axes=[0, 2], keepdims=keepdims)
    plan = graph.plan(total)
    assert plan.instructions == ["abs (1, 3, 1)"]
    array = normal((1, 3, 1))
    expected = np.abs(array).reshape((1, 3, 1) if keepdims else (3,))
    np.testing.assert_array_equal(plan.run(None, [array])[0], expected)


def test_sum_of_nothing_is_no_view() -> None:
    graph = Graph()
    plan = graph.plan(graph.add("sum", graph.input(f64(3, 0)), axes=[1]))
    np.testing.assert_array_equal(plan.run(None, [np.empty((3, 0))])[0], np.zeros(3))


def test_quotients_of_numbers_and_by_one_are_not_computed() -> None:
    graph = Graph()
    x = graph.input(f64(4))
    one, three = graph.constant(np.array(1.0)), graph.constant(np.array(3.0))
    third = graph.add("divide", one, three)
    plan = graph.plan(graph.add("divide", graph.add("abs", x), one), third)
    assert plan.instructions == ["abs (4,)"]
    array = normal((4,))
    values = plan.run(None, [array])
    np.testing.assert_array_equal(values[0], np.abs(array))
    assert values[1] == 1 / 3


def test_quotient_that_is_broadcast_is_computed() -> None:
    graph = Graph()
    plan = graph.plan(graph.add("divide", graph.input(f64(1)), graph.constant(np.ones(3))))
    assert plan.instructions == ["divide (3,)"]


def _layer(graph: Graph, activation: str, bias_first: bool = False) -> tuple[int, int]:
    """The product and the activated layer."""
    x, weight, bias = graph.input(f64(5, 4)), graph.input(f64(4, 3)), graph.input(f64(3))
    product = graph.add("matmul", x, weight)
    shifted = graph.add("add", bias, product) if bias_first else graph.add("add", product, bias)
    return product, graph.add(activation, shifted) if activation else shifted


@pytest.mark.parametrize("bias_first", [False, True])
@pytest.mark.parametrize("activation", ["", "relu", "sigmoid", "tanh"])
def test_product_bias_and_activation_are_one_instruction(activation: str, bias_first: bool) -> None:
    graph = Graph()
    _, layer = _layer(graph, activation, bias_first)
    plan = graph.plan(layer)
    assert plan.instructions == [f"dense[{activation}] (5, 3)" if activation else "dense (5, 3)"]
    arrays = [normal((5, 4)), normal((4, 3)), normal((3,))]
    np.testing.assert_allclose(
        plan.run(None, arrays)[0], references.dense(*arrays, activation or None), rtol=1e-13
    )


def test_value_that_somebody_else_reads_is_not_fused_away() -> None:
    graph = Graph()
    product, layer = _layer(graph, "relu")
    plan = graph.plan(layer, product)
    assert plan.instructions == ["matmul (5, 3)", "add+relu (5, 3)"]
    arrays = [normal((5, 4)), normal((4, 3)), normal((3,))]
    np.testing.assert_allclose(plan.run(None, arrays)[1], arrays[0] @ arrays[1], rtol=1e-13)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "attributes"),
    [
        ((5, 4), (4, 3), (5, 1), {}),
        ((5, 4), (4, 3), (1,), {}),
        ((5, 4), (4, 1), (3,), {}),
        ((2, 5, 4), (2, 4, 3), (3,), {}),
        ((4, 5), (4, 3), (3,), {"transpose_a": True}),
    ],
)
def test_other_sums_of_products_are_not_dense_layers(
    x: tuple, weight: tuple, bias: tuple, attributes: dict
) -> None:
    graph = Graph()
    nodes = [graph.input(f64(*shape)) for shape in (x, weight, bias)]
    total = graph.add("add", graph.add("matmul", *nodes[:2], **attributes), nodes[2])
    plan = graph.plan(total)
    assert [line.split()[0] for line in plan.instructions] == ["matmul", "add"]
    arrays = [normal(shape) for shape in (x, weight, bias)]
    np.testing.assert_allclose(
        plan.run(None, arrays)[0],
        references.matmul(*arrays[:2], **attributes) + arrays[2],
        rtol=1e-13,
        atol=1e-15,
    )


@pytest.mark.parametrize(("rows", "width", "columns"), [(3, 0, 4), (0, 2, 4), (3, 2, 0)])
def test_empty_layers_run(rows: int, width: int, columns: int) -> None:
    graph = Graph()
    x, weight, bias = (
        graph.input(f32(rows, width)),
        graph.input(f32(width, columns)),
        graph.input(f32(columns)),
    )
    layer = graph.add("relu", graph.add("add", graph.add("matmul", x, weight), bias))
    arrays = [normal(shape).astype("float32") for shape in ((rows, width), (width, columns), (columns,))]
    np.testing.assert_allclose(graph.run([layer], *arrays)[0], references.dense(*arrays, "relu"), rtol=1e-6)


def test_a_layers_derivatives_need_its_output_only() -> None:
    plan = Network([6, 5, 4, 3], batch=7).training_plan()
    names = [line.split()[0] for line in plan.instructions]
    assert names.count("dense[relu]") == 2
    assert "add" not in names
    assert "relu" not in names


def test_relu_gradients_are_part_of_the_product_before() -> None:
    names = [line.split()[0] for line in Network([6, 5, 4, 3], batch=7).training_plan().instructions]
    assert names.count("matmul[relu_gradient]") == 2
    assert "relu_gradient" not in names


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 4, 3), (33, 20, 70), (9, 600, 17), (300, 7, 130)])
@pytest.mark.parametrize("transpose", [False, True])
def test_product_with_relu_gradient_has_the_bits_of_both(sizes: tuple, dtype: str, transpose: bool) -> None:
    m, k, n = sizes
    graph = Graph()
    shapes = [(m, k), (n, k) if transpose else (k, n), (m, n)]
    a, b, y = (graph.input((shape, dtype)) for shape in shapes)
    product = graph.add("matmul", a, b, transpose_b=transpose)
    gradient = graph.add("relu_gradient", product, y)
    arrays = [normal(shape, key=i).astype(dtype) for i, shape in enumerate(shapes)]
    arrays[2][arrays[2] < -1] = 0
    arrays[2].flat[0] = np.nan
    fused, plain = graph.plan(gradient), graph.plan(gradient, product)
    assert len(fused.instructions) == 1
    assert len(plain.instructions) == 2
    np.testing.assert_array_equal(fused.run(None, arrays)[0], plain.run(None, arrays)[0])


def test_relu_gradient_of_a_broadcast_value_is_no_part_of_a_product() -> None:
    graph = Graph()
    a, b, y = graph.input(f64(1, 4)), graph.input(f64(4, 3)), graph.input(f64(5, 3))
    plan = graph.plan(graph.add("relu_gradient", graph.add("matmul", a, b), y))
    assert plan.instructions == ["matmul (1, 3)", "relu_gradient (5, 3)"]


# Chains of elementwise ops


def _run_one_by_one(graph: Graph, nodes: list[int], arrays: list) -> list:
    """The values of `nodes` from a plan that has to keep each: nothing is fused."""
    return graph.plan(*nodes).run(None, arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (5, 3), (1, 4), (2, 3, 5), (0, 3), (2048,), (2049,), (3, 16385), (130, 129)]
)
def test_chains_have_the_bits_of_their_ops(shape: tuple, dtype: str) -> None:
    """x · tanh(x · y + 3), where greater than y, else |x|: a diamond, a constant, a mask, two dtypes."""
    graph = Graph()
    x, y = graph.input((shape, dtype)), graph.input((shape, dtype))
    three = graph.constant(np.array(3, dtype))
    product = graph.add("multiply", x, y)
    angle = graph.add("tanh", graph.add("add", product, three))
    scaled = graph.add("multiply", x, angle)
    mask = graph.add("greater", scaled, y)
    result = graph.add("where", mask, scaled, graph.add("abs", x))
    fused = graph.plan(result)
    assert len(fused.instructions) == 1
    assert fused.arena_bytes <= 64 + result_bytes(shape, dtype)
    arrays = [np.asarray(normal(shape, key=i), dtype) for i in range(2)]
    nodes = [result, product, angle, scaled, mask]
    np.testing.assert_array_equal(fused.run(None, arrays)[0], _run_one_by_one(graph, nodes, arrays)[0])
    for threads in (2, 3):
        np.testing.assert_array_equal(fused.run(None, arrays, threads)[0], fused.run(None, arrays)[0])


def result_bytes(shape: tuple, dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        ((4, 5, 6), (6,), (4, 1, 6)),
        ((6,), (4, 5, 6), (5, 1)),
        ((4, 5, 6), (), (1, 5, 1)),
        ((700, 90), (700, 1), (90,)),
        ((1, 33), (40, 33), (40, 1)),
    ],
)
def test_chains_broadcast_their_inputs(a: tuple, b: tuple, c: tuple) -> None:
    graph = Graph()
    x, y, z = (graph.input(f32(*shape)) for shape in (a, b, c))
    first = graph.add("multiply", x, y)
    result = graph.add("exp", graph.add("subtract", first, z))
    arrays = [np.asarray(0.5 * normal(shape, key=i), "float32") for i, shape in enumerate((a, b, c))]
    got = graph.plan(result).run(None, arrays)[0]
    np.testing.assert_array_equal(got, _run_one_by_one(graph, [result, first, first + 1], arrays)[0])
    np.testing.assert_allclose(got, np.exp(arrays[0] * arrays[1] - arrays[2]), rtol=2e-6)


def test_a_chain_takes_in_what_only_it_reads() -> None:
    graph = Graph()
    x = graph.input(f64(4))
    shared = graph.add("exp", x)
    left, right = graph.add("neg", shared), graph.add("abs", shared)
    assert graph.plan(graph.add("add", left, right)).instructions == ["exp+neg+abs+add (4,)"]
    total = graph.sum(shared)
    plan = graph.plan(graph.add("add", left, right), total)
    assert sorted(plan.instructions) == ["exp (4,)", "neg+abs+add (4,)", "sum ()"]
    assert graph.plan(left, right).instructions == ["exp (4,)", "neg (4,)", "abs (4,)"]


def test_ops_of_another_shape_are_no_part_of_a_chain() -> None:
    graph = Graph()
    row, matrix = graph.input(f64(3)), graph.input(f64(2, 3))
    plan = graph.plan(graph.add("add", graph.add("exp", row), matrix))
    assert plan.instructions == ["exp (3,)", "add (2, 3)"]
    flat = graph.add("reshape", graph.add("exp", matrix), shape=[6])
    assert graph.plan(graph.add("neg", flat)).instructions == ["exp (2, 3)", "neg (6,)"]


def test_long_chains_are_several() -> None:
    graph = Graph()
    value = graph.input(f64(300))
    for _ in range(100):
        value = graph.add("abs", graph.add("neg", value))
    plan = graph.plan(value)
    assert 1 < len(plan.instructions) < 10
    array = normal((300,))
    np.testing.assert_array_equal(plan.run(None, [array])[0], np.abs(array))


def _hand_written_cross_entropy(graph: Graph, log_of_softmax: bool) -> int:
    logits, labels = graph.input(f64(6, 5)), graph.input(i64(6))
    if log_of_softmax:
        scores = graph.add("log", graph.add("softmax", logits, axis=1))
    else:
        scores = graph.add("log_softmax", logits, axis=-1)
    chosen = graph.add("multiply", graph.add("one_hot", labels, depth=5, dtype="float64"), scores)
    return graph.add("neg", graph.add("sum", chosen, axes=[1], keepdims=False))


@pytest.mark.parametrize("log_of_softmax", [False, True])
def test_hand_written_cross_entropy_is_fused(log_of_softmax: bool) -> None:
    graph = Graph()
    plan = graph.plan(_hand_written_cross_entropy(graph, log_of_softmax))
    assert plan.instructions == ["cross_entropy (6,)"]
    logits, labels = 2e3 * normal((6, 5)), integers((6,), 0, 5)
    np.testing.assert_allclose(plan.run(None, [logits, labels])[0], references.cross_entropy(logits, labels))


def test_hand_written_cross_entropy_keeps_its_derivative() -> None:
    graph = Graph()
    loss = graph.sum(_hand_written_cross_entropy(graph, log_of_softmax=True))
    (gradient,) = graph.core.gradients(loss, [0])
    logits, labels = normal((6, 5)), integers((6,), 0, 5)
    want = references.softmax(logits) - references.one_hot(labels, 5, "float64")
    np.testing.assert_allclose(graph.run([gradient], logits, labels)[0], want, atol=1e-15)


def test_log_of_softmax_becomes_log_softmax_and_stays_finite() -> None:
    graph = Graph()
    x = graph.input(f64(2, 3))
    plan = graph.plan(graph.add("log", graph.add("softmax", x, axis=0)))
    assert plan.instructions == ["log_softmax (2, 3)"]
    logits = np.array([[1e4, 0, 5], [-1e4, 0, 6]])
    np.testing.assert_allclose(plan.run(None, [logits])[0], references.log_softmax(logits, 0))


@pytest.mark.parametrize("axes", [[0], [0, 1], []])
def test_sums_over_other_axes_are_not_cross_entropy(axes: list[int]) -> None:
    graph = Graph()
    logits, labels = graph.input(f64(5, 5)), graph.input(i64(5))
    scores = graph.add("log_softmax", logits, axis=1)
    chosen = graph.add("multiply", graph.add("one_hot", labels, depth=5, dtype="float64"), scores)
    total = graph.add("neg", graph.add("sum", chosen, axes=axes, keepdims=False))
    values = normal((5, 5)), integers((5,), 0, 5)
    want = -np.sum(
        references.one_hot(values[1], 5, "float64") * references.log_softmax(values[0]), tuple(axes)
    )
    np.testing.assert_allclose(graph.run([total], *values)[0], want)
