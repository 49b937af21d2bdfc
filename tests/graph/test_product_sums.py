"""Sums of a product and a value of its shape: one instruction, with the bits of the product and the sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from tests.support.draw import normal
from tests.support.graphs import Graph, f32, f64

# m, k, n: a column, a row, partial vectors and panels, several blocks of k, several tasks
SIZES = [(1, 1, 1), (5, 4, 3), (40, 300, 1), (1, 20, 70), (33, 20, 70), (9, 600, 17), (300, 7, 130)]


def _drawn(*shapes: tuple[int, ...], dtype: str = "float64") -> list[Any]:
    return [normal(shape, key=i).astype(dtype) for i, shape in enumerate(shapes)]


def _names(plan: Any) -> list[str]:
    return [line.split(" (")[0] for line in plan.instructions]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (False, True), (True, False)])
def test_a_product_and_a_sum_have_the_bits_of_both(
    sizes: tuple[int, int, int], dtype: str, transpose_a: bool, transpose_b: bool
) -> None:
    m, k, n = sizes
    graph = Graph()
    shapes = [(k, m) if transpose_a else (m, k), (n, k) if transpose_b else (k, n), (m, n)]
    a, b, other = (graph.input((shape, dtype)) for shape in shapes)
    product = graph.add("matmul", a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    total = graph.add("add", product, other)
    fused, plain = graph.plan(total), graph.plan(total, product)
    assert fused.instructions == [f"matmul[add] ({m}, {n})"]
    assert _names(plain) == ["matmul", "add"]
    arrays = _drawn(*shapes, dtype=dtype)
    arrays[2].flat[0] = np.nan
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(fused.run(None, arrays, threads)[0], plain.run(None, arrays)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["", "relu", "tanh"])
@pytest.mark.parametrize("product_first", [False, True])
def test_a_layer_and_a_sum_have_the_bits_of_both(activation: str, product_first: bool, dtype: str) -> None:
    """The activation comes after the sum."""
    graph = Graph()
    shapes = [(2, 70, 20), (20, 33), (33,), (2, 70, 33)]
    x, weight, bias, other = (graph.input((shape, dtype)) for shape in shapes)
    layer = graph.add("dense", x, weight, bias)
    total = graph.add("add", *((layer, other) if product_first else (other, layer)))
    result = graph.add(activation, total) if activation else total
    fused, plain = graph.plan(result), graph.plan(result, layer)
    assert _names(fused) == [f"dense[add, {activation}]" if activation else "dense[add]"]
    arrays = _drawn(*shapes, dtype=dtype)
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(fused.run(None, arrays, threads)[0], plain.run(None, arrays)[0])


def test_a_product_under_another_shape_takes_the_sum() -> None:
    graph = Graph()
    a, b, other = graph.input(f64(6, 4)), graph.input(f64(4, 5)), graph.input(f64(2, 3, 5))
    shown = graph.add("reshape", graph.add("matmul", a, b), shape=[2, 3, 5])
    plan = graph.plan(graph.add("add", other, shown))
    assert plan.instructions == ["matmul[add] (2, 3, 5)"]
    arrays = _drawn((6, 4), (4, 5), (2, 3, 5))
    want = (arrays[0] @ arrays[1]).reshape(2, 3, 5) + arrays[2]
    np.testing.assert_allclose(plan.run(None, arrays)[0], want, rtol=1e-13)


@pytest.mark.parametrize("shape", [(2, 15), (30,), (1, 3, 10), (15, 2)])
@pytest.mark.parametrize("activation", ["", "relu", "tanh"])
def test_a_layer_whose_rows_are_shown_in_other_lengths_takes_the_sum(
    activation: str, shape: tuple[int, ...]
) -> None:
    graph = Graph()
    shapes = [(6, 4), (4, 5), (5,), shape]
    x, weight, bias, other = (graph.input(f64(*each)) for each in shapes)
    shown = graph.add("reshape", graph.add("dense", x, weight, bias), shape=list(shape))
    total = graph.add("add", shown, other)
    result = graph.add(activation, total) if activation else total
    fused, plain = graph.plan(result), graph.plan(result, shown)
    assert len(fused.instructions) == 1
    arrays = _drawn(*shapes)
    np.testing.assert_array_equal(fused.run(None, arrays)[0], plain.run(None, arrays)[0])


def test_sums_of_several_products_are_products() -> None:
    graph = Graph()
    x = graph.input(f64(7, 4))
    products = [graph.add("matmul", x, graph.input(f64(4, 3))) for _ in range(3)]
    total = graph.add("add", graph.add("add", products[0], products[1]), products[2])
    plan = graph.plan(total)
    assert _names(plan) == ["matmul", "matmul[add]", "matmul[add]"]
    x, *weights = arrays = _drawn((7, 4), (4, 3), (4, 3), (4, 3))
    np.testing.assert_allclose(plan.run(None, arrays)[0], x @ sum(weights), rtol=1e-12)


def _read_elsewhere(graph: Graph, x: int, weight: int) -> list[int]:
    product = graph.add("matmul", x, weight)
    return [graph.add("add", product, graph.input(f64(5, 3))), graph.add("exp", product)]


def _shown_elsewhere(graph: Graph, x: int, weight: int) -> list[int]:
    shown = graph.add("reshape", graph.add("matmul", x, weight), shape=[15])
    return [graph.add("add", shown, graph.input(f64(15))), graph.add("exp", shown)]


def _wanted(graph: Graph, x: int, weight: int) -> list[int]:
    product = graph.add("matmul", x, weight)
    return [graph.add("add", product, graph.input(f64(5, 3))), product]


def _twice(graph: Graph, x: int, weight: int) -> list[int]:
    product = graph.add("matmul", x, weight)
    return [graph.add("add", product, product)]


def _broadcast(graph: Graph, x: int, weight: int) -> list[int]:
    return [graph.add("add", graph.add("matmul", x, weight), graph.input(f64(2, 5, 3)))]


def _plus_a_column(graph: Graph, x: int, weight: int) -> list[int]:
    return [graph.add("add", graph.add("matmul", x, weight), graph.input(f64(5, 1)))]


def _activated_before(graph: Graph, x: int, weight: int) -> list[int]:
    layer = graph.add("tanh", graph.add("dense", x, weight, graph.input(f64(3))))
    return [graph.add("add", layer, graph.input(f64(5, 3)))]


def _of_many_matrices(graph: Graph, x: int, weight: int) -> list[int]:
    products = graph.add("matmul", graph.add("broadcast_to", x, shape=[2, 5, 4]), weight)
    return [graph.add("add", products, graph.input(f64(2, 5, 3)))]


@pytest.mark.parametrize(
    "make",
    [
        _read_elsewhere, _shown_elsewhere, _wanted, _twice, _broadcast, _plus_a_column, _activated_before,
        _of_many_matrices,
    ],
)  # fmt: skip
def test_other_sums_are_no_part_of_a_product(make: Any) -> None:
    graph = Graph()
    shapes = [(5, 4), (4, 3)]
    plan = graph.plan(*make(graph, *(graph.input(f64(*shape)) for shape in shapes)))
    assert "[add" not in " ".join(plan.instructions)
    assert sum("add" in name for name in _names(plan)) == 1


class _Residual(nn.Module):
    def __init__(self) -> None:
        self.first, self.second, self.last = nn.Dense(8), nn.Dense(8, "tanh"), nn.Dense(8)

    def __call__(self, x: Any) -> Any:
        x = x + self.first(x)
        return x + self.last(self.second(x))


def test_residual_layers_have_the_gradients_of_plain_ones() -> None:
    """Of each parameter, against differences of the loss."""
    model = _Residual()
    trainer = bp.Trainer(model, "mse", "sgd", dtype="float64")
    x, y = normal((6, 8)), normal((6, 8), key=1)
    gradients = trainer.gradients(x, y)
    for name, gradient in gradients.items():
        direction = normal(gradient.shape, key=2)
        start, losses = model.parameters[name].copy(), []
        for step in (1e-6, -1e-6):
            model.parameters[name][...] = start + step * direction
            losses.append(trainer.evaluate(x, y)["loss"])
        model.parameters[name][...] = start
        np.testing.assert_allclose((losses[0] - losses[1]) / 2e-6, np.sum(gradient * direction), rtol=1e-6)


def test_residual_layers_run_as_products_alone() -> None:
    graph = Graph()
    x = value = graph.input(f32(6, 8))
    for _ in range(2):
        layer = graph.add("dense", value, graph.input(f32(8, 8)), graph.input(f32(8)))
        value = graph.add("add", value, layer)
    (gradient,) = graph.core.gradients(graph.sum(value), [x])
    names = _names(graph.plan(value, gradient))
    assert names.count("dense[add]") == 2
    assert "add" not in names
