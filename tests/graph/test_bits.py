"""Bits: a row's result does not depend on the rest of its batch, nor anything on the number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore import ops
from bpcore._native import core
from bpcore.symbolic.operators import apply
from tests.support.draw import integers, normal
from tests.support.graphs import Graph
from tests.support.networks import Network

WIDTHS = [1, 7, 10, 16, 33, 65, 100]


def _dense(activation: str | None, dtype: str, width: int) -> Any:
    weight, bias = normal((width, 37), key=1).astype(dtype), normal((37,), key=2).astype(dtype)
    return lambda x: ops.dense(x, weight, bias, activation)


def _row_functions(dtype: str, width: int) -> dict[str, Any]:
    labels = integers((64,), 0, width)
    return {
        **{
            f"dense[{activation}]": _dense(activation, dtype, width)
            for activation in (None, "relu", "sigmoid", "tanh")
        },
        "matmul": lambda x: ops.matmul(x, normal((width, 130), key=1).astype(dtype)),
        "softmax": ops.softmax,
        "log_softmax": ops.log_softmax,
        "relu": ops.relu,
        "sigmoid": ops.sigmoid,
        "tanh": ops.tanh,
        "exp": ops.exp,
        "expm1": ops.expm1,
        "softplus": ops.softplus,
        "log1p": lambda x: ops.log1p(ops.abs(x)),
        "erf": ops.erf,
        "sin": ops.sin,
        "cos": lambda x: ops.cos(1e6 * x),
        "cumsum": lambda x: ops.cumsum(x, 1),
        "log": lambda x: ops.log(ops.abs(x)),
        "sqrt": lambda x: ops.sqrt(ops.abs(x)),
        "sum": lambda x: ops.sum(x, 1),
        "mean": lambda x: ops.mean(x, 1),
        "cross_entropy": lambda x: ops.cross_entropy(x, labels[: len(x)]),
        "cross_entropy_gradient": lambda x: apply(
            "cross_entropy_gradient", x, labels[: len(x)], np.full(len(x), 0.3, dtype)
        ),
        "binary_cross_entropy": lambda x: ops.binary_cross_entropy(x, np.full(x.shape, 0.3, dtype)),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_has_the_same_bits_in_a_batch_of_any_size(dtype: str, width: int) -> None:
    x = normal((64, width)).astype(dtype)
    for name, function in _row_functions(dtype, width).items():
        whole = function(x)
        for size in (1, 2, 7, 13, 33):
            assert function(x[:size]).tobytes() == whole[:size].tobytes(), (name, size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_element_has_the_same_bits_wherever_it_stands(dtype: str) -> None:
    values = (3 * normal((40,))).astype(dtype)
    for function in (
        ops.exp,
        ops.expm1,
        ops.softplus,
        ops.erf,
        ops.tanh,
        ops.sigmoid,
        ops.sin,
        ops.cos,
        lambda x: ops.sin(1e6 * x),  # some of them beyond what vectors reduce
        lambda x: ops.log(ops.abs(x)),
        lambda x: ops.log1p(ops.abs(x)),
        lambda x: ops.sqrt(ops.abs(x)),
    ):
        whole = function(values)
        for start in range(40):
            for size in (1, 5, 17):
                assert (
                    function(values[start : start + size]).tobytes() == whole[start : start + size].tobytes()
                )


def _both(plan: Any, store: Any, arrays: list[Any]) -> None:
    assert plan.threads(2) == 2, "too little work for two threads: nothing would be shown"
    one, two = plan.run(store, arrays, threads=1), plan.run(store, arrays, threads=2)
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


# Threads split the rows of a product; with far larger weights, its columns.
@pytest.mark.parametrize(("sizes", "batch"), [([200, 257, 130, 10], 201), ([300, 1601, 1100, 10], 51)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_network_has_the_same_bits_on_one_and_two_threads(dtype: str, sizes: list[int], batch: int) -> None:
    network = Network(sizes, batch, dtype=dtype)
    plan = core.Plan(network.graph, [network.loss, network.logits, *network.gradients])
    _both(plan, network.store(), [normal((batch, sizes[0])).astype(dtype), integers((batch,), 0, 10)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_op_has_the_same_bits_on_one_and_two_threads(dtype: str) -> None:
    graph = Graph()
    x, indices = graph.input(((301, 501), dtype)), graph.input(((400,), "int64"))
    add = graph.add
    outputs = [
        add("exp", x),
        add("tanh", x),
        add("add", x, add("slice", x, start=[0, 0], size=[1, 501], step=[1, 1])),
        add("where", add("greater", x, graph.constant(np.array(0, dtype))), x, add("neg", x)),
        *(
            add(op, x, axes=axes, keepdims=False)
            for op in ("sum", "mean", "max")
            for axes in ([0], [1], [0, 1])
        ),
        add("argmax", x, axis=0, keepdims=False),
        add("sin", x),
        *(add("cumsum", x, axis=axis, reverse=reverse) for axis in (0, 1) for reverse in (False, True)),
        add("softmax", x, axis=0),
        add("log_softmax", x, axis=1),
        add("transpose", x, axes=[1, 0]),
        add("slice", x, start=[300, 500], size=[301, 251], step=[-1, -2]),
        add("concatenate", x, x, axis=1),
        add("gather", x, indices, axis=0),
        add("gather", x, indices, axis=1),
        add("one_hot", indices, depth=501, dtype=dtype),
        add("matmul", x, x, transpose_a=True),
        add("matmul", x, x, transpose_b=True),
        add("cross_entropy", add("gather", x, indices, axis=0), indices),
    ]
    _both(graph.plan(*outputs), None, [normal((301, 501)).astype(dtype), integers((400,), 0, 301)])


def test_parallel_and_serial_instructions_wait_for_each_other() -> None:
    """Short serial steps between long parallel ones: a missing barrier would read half-written values."""
    graph = Graph()
    x = graph.input(((200, 300), "float64"))
    value = x
    for _ in range(10):
        wide = graph.add("tanh", value)
        total = graph.add("mean", wide, axes=[0, 1], keepdims=False)
        value = graph.add("subtract", wide, graph.add("exp", total))
    plan, arrays = graph.plan(value, graph.sum(value)), [normal((200, 300))]
    for _ in range(20):
        _both(plan, None, arrays)
