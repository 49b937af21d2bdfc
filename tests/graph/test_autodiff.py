"""The reverse sweep: adding up, un-broadcasting, stopping, sweeping again; the optimizer's buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore._native import core
from tests.support.draw import integers, normal
from tests.support.graphs import Graph, f64, i64
from tests.support.networks import Network


def test_weight_used_twice_gets_both_gradients() -> None:
    x, weight = normal((4, 3)), normal((3, 3), key=1)
    gradient = bp.grad(lambda w: ops.sum((x @ w) @ w))(weight)
    ones = np.ones((4, 3))
    np.testing.assert_allclose(gradient, x.T @ (ones @ weight.T) + (x @ weight).T @ ones, rtol=1e-13)


def test_operand_on_both_sides_gets_both_gradients() -> None:
    x = normal((5,))
    for function, derivative in [
        (lambda v: v + v, np.full(5, 2.0)),
        (lambda v: v * v, 2 * x),
        (lambda v: v - v, np.zeros(5)),
        (lambda v: ops.squared_error(v, v), np.zeros(5)),
        (lambda v: ops.maximum(v, v), np.ones(5)),
    ]:
        np.testing.assert_allclose(bp.grad(lambda v, f=function: ops.sum(f(v)))(x), derivative, atol=1e-15)


def test_one_value_in_both_places_of_a_fused_op() -> None:
    """dense(w, w): each place has its share, in the first and in the second derivative."""
    for activation in ("relu", "sigmoid", "tanh"):
        bp.check_gradients(lambda w, a=activation: ops.dense(w, w, activation=a), normal((3, 3)))
    bp.check_gradients(lambda w: ops.dense(w, w, activation="tanh"), normal((3, 3)), order=2)


def test_diamond_of_shared_nodes_costs_a_node_each_and_not_a_path_each() -> None:
    graph = Graph()
    x = graph.input(f64())
    value = x
    for _ in range(60):  # 2⁶⁰ paths
        value = graph.add("add", value, value)
    (gradient,) = graph.core.gradients(value, [x])
    assert len(graph) < 300
    assert graph.run([gradient], np.array(1.0))[0] == 2.0**60


@pytest.mark.parametrize(
    ("a", "b"), [((3, 1), (1, 4)), ((4,), (2, 3, 4)), ((), (5,)), ((1, 1), (2, 3)), ((2, 1, 4), (3, 1))]
)
def test_gradients_are_summed_over_broadcast_axes(a: tuple, b: tuple) -> None:
    x, y = normal(a), normal(b, key=1)
    by_x, by_y = bp.grad(lambda v, w: ops.sum(v * w), argnums=(0, 1))(x, y)
    whole = np.broadcast_shapes(a, b)

    def summed(g: np.ndarray, shape: tuple) -> np.ndarray:
        lead = len(whole) - len(shape)
        axes = tuple(i for i in range(len(whole)) if i < lead or shape[i - lead] == 1)
        return np.broadcast_to(g, whole).sum(axes).reshape(shape)

    np.testing.assert_allclose(by_x, summed(y, a), rtol=1e-13)
    np.testing.assert_allclose(by_y, summed(x, b), rtol=1e-13)


def test_gradient_of_gradient() -> None:
    cube = bp.grad(bp.grad(bp.grad(lambda x: x**4.0)))
    np.testing.assert_allclose(cube(np.array(1.5)), 24 * 1.5)


def test_hessian_times_vector_of_a_network() -> None:
    x, labels = normal((6, 4)), integers((6,), 0, 3)

    def loss(w1, b1, w2):
        return ops.mean(ops.cross_entropy(ops.dense(x, w1, b1, "tanh") @ w2, labels))

    bp.check_gradients(loss, normal((4, 5)), normal((5,)), normal((5, 3)), order=2)


def test_derivative_inside_a_derivative() -> None:
    """The gradient penalty of a network: its own loss holds derivatives."""
    x = normal((4, 3))
    penalty = lambda w: ops.sum(bp.grad(lambda v: ops.sum(ops.tanh(v @ w)))(x) ** 2)  # noqa: E731
    bp.check_gradients(penalty, normal((3, 2)))


def test_stop_gradient_and_masks_give_zeros() -> None:
    x = normal((3,))
    np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(ops.stop_gradient(v) ** 2))(x), np.zeros(3))
    np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(ops.where(v > 0, 1.0, 2.0)))(x), np.zeros(3))


def test_what_the_output_does_not_reach_gets_zeros_of_its_shape() -> None:
    graph = Graph()
    x, unused, labels = graph.input(f64(3)), graph.input(f64(2, 4)), graph.input(i64(3))
    output = graph.sum(graph.add("exp", x))
    later = graph.add("tanh", graph.add("exp", x))
    gradients = graph.core.gradients(output, [x, unused, later, labels])
    assert [graph.type(g) for g in gradients] == [f64(3), f64(2, 4), f64(3), i64(3)]
    values = graph.run(gradients, normal((3,)), np.ones((2, 4)), np.zeros(3, np.int64))
    for value in values[1:]:
        np.testing.assert_array_equal(value, np.zeros(value.shape))


def test_gradient_by_the_output_itself_and_by_nodes_in_between() -> None:
    graph = Graph()
    x = graph.input(f64(3))
    middle = graph.add("exp", x)
    output = graph.sum(middle)
    by_output, by_middle, again = graph.core.gradients(output, [output, middle, middle])
    values = graph.run([by_output, by_middle, again], normal((3,)))
    np.testing.assert_array_equal(values[0], 1)
    np.testing.assert_array_equal(values[1], np.ones(3))
    np.testing.assert_array_equal(values[2], np.ones(3))


def test_seed_weighs_the_outputs() -> None:
    graph = Graph()
    x = graph.input(f64(3))
    y = graph.add("exp", x)
    (gradient,) = graph.core.gradients(y, [x], graph.constant(np.array([1.0, 0, -2])))
    np.testing.assert_allclose(graph.run([gradient], np.zeros(3))[0], [1, 0, -2])


def test_unbroadcast_of_an_empty_axis_is_zero() -> None:
    gradient = bp.grad(lambda b: ops.sum(np.zeros((0, 3)) + b))(np.ones(3))
    np.testing.assert_array_equal(gradient, np.zeros(3))


def _buffer_after_one_step(
    graph, loss: int, gradients: list[tuple[int, int]], store, arrays
) -> core.Optimizer:
    plan = core.Plan(graph, [loss], gradients, True)
    optimizer = core.Optimizer("sgd", [{"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}], store)
    session = core.Session(plan, None, store, optimizer, arrays, len(arrays[0]))
    session.begin_epoch(0, False)
    assert session.run(1, np.zeros(1)) == 1
    return optimizer


def test_gradients_in_the_optimizers_buffer_are_those_of_the_graph() -> None:
    network = Network([6, 5, 4, 3], batch=7, dtype="float64")
    store, arrays = network.store(), [normal((7, 6)), integers((7,), 0, 3)]
    want = core.Plan(network.graph, network.gradients).run(store, arrays)
    optimizer = _buffer_after_one_step(
        network.graph, network.loss, list(enumerate(network.gradients)), store, arrays
    )
    for slot, value in enumerate(want):
        np.testing.assert_array_equal(optimizer.gradient(slot), value)


def test_gradients_that_are_one_node_or_views_or_inputs_reach_every_slot() -> None:
    """Slots 0 and 1 share a node, 2 shows it reshaped, 3 is an input, 4 a constant, 5 another parameter."""
    graph = core.Graph()
    shapes = [(2, 3), (2, 3), (6,), (2, 3), (2, 3), (2, 3)]
    w = [graph.parameter(slot, shape, "float64", f"w{slot}") for slot, shape in enumerate(shapes)]
    x = graph.input((2, 3), "float64")
    shared = graph.add("multiply", [x, x], {})
    flat = graph.add("reshape", [shared], {"shape": [6]})
    loss = graph.add("sum", [graph.add("multiply", [shared, w[0]], {})], {"axes": [0, 1], "keepdims": False})
    constant = graph.constant(np.full((2, 3), 7.0))
    store = core.Store([(f"w{slot}", shape) for slot, shape in enumerate(shapes)], [], "float64")
    store.parameter(5)[...] = 3
    roots = list(enumerate([shared, shared, flat, x, constant, w[5]]))
    values = normal((2, 3))
    optimizer = _buffer_after_one_step(graph, loss, roots, store, [values])
    square = values**2
    for slot, want in enumerate(
        [square, square, square.ravel(), values, np.full((2, 3), 7.0), np.full((2, 3), 3.0)]
    ):
        np.testing.assert_array_equal(optimizer.gradient(slot), want)


def test_two_gradients_for_one_slot_are_an_error() -> None:
    graph = core.Graph()
    w = graph.parameter(0, (3,), "float64", "w")
    loss = graph.add("sum", [w], {"axes": [0], "keepdims": False})
    (gradient,) = graph.gradients(loss, [w])
    with pytest.raises(ValueError, match="two gradients for parameter 0"):
        core.Plan(graph, [loss], [(0, gradient), (0, gradient)])


def test_nested_gradients_count_only_the_paths_of_their_own_argument() -> None:
    """d/dx of x ↦ grad(y ↦ y · grad(z ↦ y·z)(x))(x) = 2x: three functions meet at one value."""

    def product(x: Any) -> Any:
        return bp.grad(lambda y: y * bp.grad(lambda z: y * z)(x))(x)

    value, slope = bp.value_and_grad(lambda x: product(x) * 1.0)(3.0)
    assert (value, slope) == (6, 2)


@pytest.mark.parametrize("activation", ["", "tanh", "sigmoid"])
def test_a_layer_used_before_and_within_a_gradient(activation: str) -> None:
    """dense(x, w), and dense(x, ∂/∂x of a function of that layer): derivatives by x reach through both."""
    x, w = np.random.default_rng(0).normal(size=(2, 3, 3))

    def value(x: Any) -> Any:
        slope = bp.grad(lambda v: ops.sum(ops.tanh(ops.dense(v, w, activation=activation or None))))(x)
        return ops.sum(ops.dense(x, slope, activation=activation or None))

    bp.check_gradients(value, x)


def test_a_node_that_fails_leaves_the_graph_as_it_was() -> None:
    graph = core.Graph()
    a = graph.input((2**30, 1), "float32")
    b = graph.input((1, 2**30), "float32")
    for _ in range(2):
        with pytest.raises(ValueError, match="too large"):
            graph.add("add", [a, b], {})
    with pytest.raises(ValueError, match="too large"):
        graph.input((2**40, 2**40), "float32")
    assert graph.op(graph.add("neg", [a], {})) == "neg"


# What has no derivative


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: x, TypeError, r"must return a scalar, got shape \(3,\); reduce it, as by ops.sum"),
        (lambda x: x[:1], TypeError, r"must return a scalar, got shape \(1,\)"),
        (lambda _: np.ones(2), TypeError, r"must return a scalar, got shape \(2,\)"),
        (lambda _: None, TypeError, "must return a scalar, got NoneType"),
        (lambda x: (x.sum(), 1.0), TypeError, "must return a scalar, got tuple"),
        (lambda x: [x.sum()], TypeError, "must return a scalar, got list"),
        (lambda _: "1", TypeError, "must return a scalar, got str"),
        (lambda x: ops.cast(x.sum(), "int64"), TypeError, "must return a float, got int64"),
        (lambda x: x.sum() > 0, TypeError, "must return a float, got bool"),
    ],
)
@pytest.mark.parametrize("make", [bp.grad, bp.value_and_grad])
def test_results_that_are_no_scalars(make: Any, result: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^grad: the function {message}"):
        make(result)(np.ones(3))


@pytest.mark.parametrize(
    ("argnums", "arguments", "error", "message"),
    [
        (0, (), IndexError, "argnums names argument 0, but 0 were given"),
        (2, (1.0, 1.0), IndexError, "argnums names argument 2, but 2 were given"),
        (-3, (1.0, 1.0), IndexError, "argnums names argument -3, but 2 were given"),
        ((0, 2), (1.0, 1.0), IndexError, "argnums names argument 2, but 2 were given"),
        ((0, 0), (1.0, 1.0), ValueError, r"argnums names an argument twice: \(0, 0\)"),
        ((1, -1), (1.0, 1.0), ValueError, r"argnums names an argument twice: \(1, -1\)"),
        (0, (3, 1.0), TypeError, "argument 0 is differentiated, so it must hold floats, not int64"),
        (1, (3, True), TypeError, "argument 1 is differentiated, so it must hold floats, not bool"),
        (0, ("a", 1.0), TypeError, "expected numbers, got an array of dtype <U1"),
        (0, (None, 1.0), TypeError, "expected numbers, got NoneType"),
    ],
)
@pytest.mark.parametrize("make", [bp.grad, bp.value_and_grad])
def test_arguments_that_have_no_derivative(
    make: Any, argnums: Any, arguments: tuple, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^grad: {message}"):
        make(lambda *_: 1.0, argnums)(*arguments)


@pytest.mark.parametrize("make", [bp.grad, bp.value_and_grad])
def test_what_is_no_function_and_no_number_of_an_argument_is_refused_at_once(make: Any) -> None:
    with pytest.raises(TypeError, match="^grad: expected a function, got int$"):
        make(3)
    for wrong in (1.0, "0", True, None, (0, 1.5)):
        with pytest.raises(TypeError, match="^grad: argnums must be an integer, got"):
            make(lambda x: x, wrong)


def test_arguments_are_counted_from_either_end_and_the_others_may_be_anything() -> None:
    def product(x: Any, name: str, y: Any, scale: float = 1.0) -> Any:
        assert name == "as it is"
        return scale * ops.sum(x * y)

    x, y = normal((3,)), normal((3,), key=1)
    np.testing.assert_array_equal(bp.grad(product, -1)(x, "as it is", y), x)
    by_y, by_x = bp.grad(product, np.array([2, 0]))(x, "as it is", y, scale=2.0)
    np.testing.assert_array_equal(by_y, 2 * x)
    np.testing.assert_array_equal(by_x, 2 * y)
    value, gradient = bp.value_and_grad(product, (0,))(x, "as it is", y)
    assert isinstance(gradient, tuple)
    assert value == pytest.approx(x @ y, rel=1e-15)


def test_a_constant_has_a_derivative_of_zeros_in_the_arguments_dtype() -> None:
    for constant in (3, 2.5, np.float64(1), np.array(2.0)):
        value, gradient = bp.value_and_grad(lambda x, c=constant: c)(np.ones((2, 3), np.float32))  # noqa: ARG005
        assert value == constant
        assert (gradient.dtype, gradient.shape, gradient.any()) == (np.float32, (2, 3), False)
