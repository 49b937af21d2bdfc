"""What a model costs: floating-point operations and bytes of one sample, counted in the traced graph.

A multiply-add is two operations. Products count 2 · rows · inner · columns; convolutions the products with
all of a kernel, at the edges, too; attention its two products, whatever a mask leaves out, without its
softmax. Other ops count a fixed number for each element, see `_EACH`; what moves data counts nothing.
"""

from __future__ import annotations

import functools
import math
import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import ops
from bpcore._native import core
from bpcore.basics import tree
from bpcore.basics.arrays import FLOATS
from bpcore.nn.module.calling import storage_of
from bpcore.symbolic import tracing
from bpcore.symbolic.autodiff import gradients_of
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bpcore._core import Graph
    from bpcore.nn.module import Module

__all__ = ["COUNTED", "Forward", "Step", "flops_of", "forward", "training_step"]

_TRAINING_BATCH = 32

_FREE = (
    "broadcast_to", "cast", "concatenate", "copy", "gather", "identity", "one_hot", "part", "part_gradient",
    "reshape", "slice", "stop_gradient", "transpose", "unslice",
)  # fmt: skip
_ELEMENTWISE = (
    "abs", "add", "ceil", "cos", "divide", "dropout", "equal", "erf", "exp", "expm1", "floor", "gelu",
    "greater", "greater_equal", "less", "less_equal", "log", "log1p", "logical_and", "logical_not",
    "logical_or", "maximum", "minimum", "multiply", "neg", "not_equal", "power", "random_beta",
    "random_normal", "random_uniform", "relu", "relu_gradient", "round", "sigmoid", "sign", "sin", "softplus",
    "sqrt", "subtract", "tanh", "where",
)  # fmt: skip
_REDUCTIONS = (
    "argmax", "argmin", "avg_pool2d", "max", "max_pool2d", "max_pool2d_pick", "mean", "min", "scatter_add",
    "sum",
)  # fmt: skip
# Operations for each element of the result: (op, how many).
_EACH = {
    **dict.fromkeys(_FREE, 0),
    **dict.fromkeys(_ELEMENTWISE, 1),
    "avg_pool2d_gradient": 1,
    "batch_norm": 4,
    "batch_norm_gradient": 6,
    "cross_entropy_gradient": 5,
    "cumsum": 1,
    "gelu_gradient": 3,
    "layer_norm": 7,
    "log_softmax": 5,
    "max_pool2d_gradient": 1,
    "rms_norm": 4,
    "sigmoid_gradient": 3,
    "softmax": 5,
    "squared_error": 2,
    "tanh_gradient": 3,
}
# Operations for each element of the first operand.
_EACH_OF_INPUT = {
    **dict.fromkeys(_REDUCTIONS, 1),
    "batch_block_moments": 3,
    "batch_block_sums": 3,
    "batch_moments": 0,
    "batch_totals": 0,
    "binary_cross_entropy": 4,
    "cross_entropy": 5,
    "ctc": 5,
    "ctc_gradient": 5,
    "layer_norm_gradient": 14,
    "rms_norm_gradient": 8,
}
# By recurrent op: its gates, and operations of a unit in a step beside the product. The way back has twice
# as many, and its product is with as many gates.
_RECURRENT = {"rnn": (1, 2), "gru": (3, 12), "lstm": (4, 13)}
_PRODUCTS = (
    "attention", "attention_gradient", "conv2d", "conv2d_input_gradient", "conv2d_parameter_gradients",
    "conv2d_weight_gradient", "dense", "matmul", "sparse_dense", "sparse_dense_gradient",
)  # fmt: skip

COUNTED = frozenset(
    [*_EACH, *_EACH_OF_INPUT, *_PRODUCTS, *_RECURRENT, *(f"{op}_gradient" for op in _RECURRENT)]
)


class Forward(NamedTuple):
    """What inference costs for one sample."""

    flops: dict[str, int]  # path of a module -> its own operations, without those of modules in it
    bytes: dict[str, int]  # path of a module -> size of its output


class Step(NamedTuple):
    """What a training step costs a sample, without loss and update: forward and backward pass."""

    batch: int
    flops: int
    bytes: int  # all that is held at once beside parameters and their gradients


def flops_of(graph: Graph, node: int) -> int:
    """Operations of one node."""
    op = graph.op(node)
    shapes = [graph.shape(each) for each in graph.inputs(node)]
    sizes = [math.prod(shape) for shape in shapes]
    shape = graph.shape(node)
    size = math.prod(shape)
    if op in ("dense", "conv2d"):
        inner = math.prod(shapes[1][:-1])  # weights (inputs, units), (height, width, channels, filters)
        return (2 * inner + (len(shapes) == 3) + _is_activated(graph, node)) * size
    if op.startswith("sparse_dense"):  # what a sparse input has room for, times the width
        others = (len(shapes) == 5) + _is_activated(graph, node) if op == "sparse_dense" else 0
        return 2 * sizes[1] * shape[-1] + others * size
    if op == "matmul":
        return 2 * (math.prod(shapes[0][-2:]) // shape[-2]) * size
    if op == "conv2d_input_gradient":
        return 2 * math.prod(shapes[1][:-1]) * sizes[0]
    if op == "conv2d_weight_gradient":
        return 2 * math.prod(shape[:-1]) * sizes[1]
    if op == "conv2d_parameter_gradients":
        return sizes[1]  # the bias; the weight's shape, and so its products, are those of its part
    if op == "part" and len(shape) == 4 and graph.op(graph.inputs(node)[0]) == "conv2d_parameter_gradients":
        _, gradient = graph.inputs(graph.inputs(node)[0])
        return 2 * math.prod(shape[:-1]) * math.prod(graph.shape(gradient))
    if op in ("attention", "attention_gradient"):
        packed = len(shapes[0]) == 3  # (batch, time, 3 · features), else q, k, v (batch, time, heads, width)
        keys, queries = (shapes[0][1], sizes[0] // 3) if packed else (shapes[1][1], sizes[0])
        return (4 if op == "attention" else 10) * keys * queries  # of two products, or of five
    if op.removesuffix("_gradient") in _RECURRENT:
        return _recurrence(graph, node, op)
    return _EACH_OF_INPUT[op] * sizes[0] if op in _EACH_OF_INPUT else _EACH.get(op, 0) * size


def _is_activated(graph: Graph, node: int) -> bool:
    """Whether a dense layer or a convolution ends in an activation; adds what it is made of to the graph."""
    return graph.op(graph.decompose(node)) in ("relu", "sigmoid", "tanh")


def _recurrence(graph: Graph, node: int, op: str) -> int:
    name = op.removesuffix("_gradient")
    gates, each = _RECURRENT[name]
    record = node if op == name else graph.inputs(node)[0]
    batch, steps, wide = graph.shape(graph.inputs(record)[0])
    units = wide // gates
    return batch * steps * units * (2 * wide + (each if op == name else 2 * each))


def forward(model: Module) -> Forward | None:
    """What inference costs, by module of `model`; None if it can't be known, as before the first call."""
    with _as_it_was(model):
        found = _traced(model, 1, training=False)
        if found is None:
            return None
        trace, outputs, batch = found
        flops: dict[str, int] = {}
        paths = [trace.module_of(node)[0] for node in range(len(trace.graph))]
        for node in _live(trace.graph, outputs):
            flops[paths[node]] = flops.get(paths[node], 0) + flops_of(trace.graph, node)
        wide = "float64" in (trace.dtype, *(kind for _, kind in model._bpcore.inputs))
        width = 8 if wide else 4
        sizes = {
            module._bpcore.path: _size(module._bpcore.output) * width for _, module in model.named_modules()
        }
    return Forward(
        {path: value // batch for path, value in flops.items()},
        {path: value // batch for path, value in sizes.items()},
    )


def training_step(model: Module) -> Step | None:
    """What a step of training costs, to minimise the sum of the outputs; None if it can't be known."""
    with _as_it_was(model):
        found = _traced(model, _TRAINING_BATCH, training=True)
        if found is None:
            return None
        trace, outputs, batch = found
        with trace:
            tensors = [Tensor(trace, node) for node in outputs]
            total = functools.reduce(operator.add, [ops.sum(tensor) for tensor in tensors])
            parameters = trace.parameters()
            gradients = gradients_of(total, [Tensor(trace, node) for _, node in parameters], trace)
        nodes = [gradient.node for gradient in gradients]
        ends = [(leaf.slot, node) for (leaf, _), node in zip(parameters, nodes, strict=True)]
        held = core.Plan(trace.graph, [total.node], ends, True).arena_bytes
        needed = _live(trace.graph, [total.node, *nodes, *trace.assigned.values()])
        flops = sum(flops_of(trace.graph, node) for node in needed)
    return Step(batch, flops // batch, held // batch)


def _traced(model: Module, batch: int, training: bool) -> tuple[Trace, list[int], int] | None:
    """A trace of `model` on inputs like the last ones, its outputs, and the batch.

    The batch is `batch`; that of the last call for a model that takes no other.
    """
    inputs, storage = model._bpcore.inputs, storage_of(model)
    unbuilt = storage is None and next(model.named_variables(), None) is not None
    if unbuilt or not inputs or not all(shape for shape, _ in inputs):
        return None
    last = inputs[0][0][0]
    for rows in (batch, last):
        specs = [((rows if shape[0] == last else shape[0], *shape[1:]), kind) for shape, kind in inputs]
        try:
            with tracing.inference(), Trace(training=training, storage=storage) as trace:
                output = model(*(Tensor(trace, trace.graph.input(shape, kind)) for shape, kind in specs))
        except (ValueError, TypeError):
            continue
        outputs = [leaf for leaf in tree.leaves(output) if isinstance(leaf, Tensor)]
        if training:  # to minimise their sum
            outputs = [leaf for leaf in outputs if leaf.dtype in FLOATS and trace.parameters()]
        if outputs:
            return trace, [tensor.node for tensor in outputs], rows
    return None


@contextmanager
def _as_it_was(model: Module) -> Iterator[None]:
    """What modules know of their last call is afterwards as it was."""
    kept = [(m._bpcore, m._bpcore.inputs, m._bpcore.output) for _, m in model.named_modules()]
    try:
        yield
    finally:
        for runtime, inputs, output in kept:
            runtime.inputs, runtime.output = inputs, output


def _live(graph: Graph, ends: Sequence[int]) -> list[int]:
    """The nodes that `ends` need, each once."""
    found, waiting = set(ends), list(ends)
    while waiting:
        fresh = set(graph.inputs(waiting.pop())) - found
        found |= fresh
        waiting += fresh
    return sorted(found)


def _size(output: Any) -> int:
    """Elements of an output of this shape, or of all in a tree of shapes."""
    if output is None:
        return 0
    if isinstance(output, tuple) and all(isinstance(size, int) for size in output):
        return math.prod(output)
    return sum(_size(part) for part in (output.values() if isinstance(output, dict) else output))
