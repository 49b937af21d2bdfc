"""How an op meets its operands: traced if one is symbolic, else run at once; and what operators mean."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics.arrays import DTYPES, FLOATS, Array, adopt, as_array, is_weak
from bpcore.basics.settings import count, integers
from bpcore.symbolic import indexing, tracing
from bpcore.symbolic.promotion import common_dtype
from bpcore.symbolic.tensor import Operand, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bpcore._core import Plan

__all__ = [
    "WITH_ACTIVATION",
    "add",
    "apply",
    "axes_of",
    "binary",
    "cast",
    "choose",
    "getitem",
    "is_symbolic",
    "matmul",
    "operand",
    "power",
    "reduce",
    "reducible",
    "reshape",
    "transpose",
    "unify",
    "variance",
]

# Ops that may compute an activation in the same pass.
WITH_ACTIVATION = ("dense", "conv2d", "sparse_dense")


def is_symbolic(value: Any) -> bool:
    """Whether an op on `value` is traced: tensors always, parameters and states while something is traced."""
    return isinstance(value, Tensor) or (isinstance(value, Operand) and tracing.current() is not None)


def operand(value: Any, who: str) -> Tensor | Array:
    """`value` as an op takes it: a tensor, or an array of one of the four dtypes."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Operand):
        trace = tracing.current()
        leaf: Any = value
        return leaf.value if trace is None else Tensor(trace, trace.leaf(leaf))
    return as_array(value, who)


def unify(who: str, *values: Any) -> list[Tensor | Array]:
    """Operands in one dtype: numbers adopt a tensor's or an array's, integer arrays a float one's.

    Tensors themselves are never converted: the core raises TypeError for two that differ.
    """
    items = [operand(value, who) for value in values]
    dtypes = [item.dtype if isinstance(item, Tensor) else item.dtype.name for item in items]
    if all(dtype == dtypes[0] for dtype in dtypes):
        return items
    symbolic = [isinstance(item, Tensor) for item in items]
    # A parameter outside of tracing counts as the array it is.
    values = tuple(
        item if isinstance(value, Operand) else value for item, value in zip(items, values, strict=True)
    )
    target = common_dtype(dtypes, symbolic, values)
    return [
        item if isinstance(item, Tensor) else adopt(item, target, is_weak(value), who)
        for item, value in zip(items, values, strict=True)
    ]


def apply(op: str, *values: Any, **attributes: Any) -> Any:
    """Op `op` of `values`: a Tensor if one of them is symbolic, else an array, computed at once."""
    return add(op, [operand(value, op) for value in values], attributes)


def binary(op: str, a: Any, b: Any) -> Any:
    """Op `op` of two operands in one dtype."""
    return add(op, unify(op, a, b), {})


def add(op: str, items: Sequence[Tensor | Array], attributes: Mapping[str, Any]) -> Any:
    """Adds a node to the trace of the items, or computes it where none is symbolic.

    An op without operands belongs to the trace that is under way.
    """
    traces = {id(item.trace): item.trace for item in items if isinstance(item, Tensor)}
    under_way = None if items else tracing.current()
    if under_way is not None:
        traces[id(under_way)] = under_way
    if len(traces) > 1:
        raise ValueError(
            f"{op}: the tensors come from different traces; one was kept from an earlier call of the function"
        )
    if not traces:
        arrays: list[Any] = list(items)
        key = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in attributes.items())
        plan = _eager_plan(op, tuple((array.shape, array.dtype.name) for array in arrays), key)
        return plan.run(None, arrays, seed=tracing.seed())[0]
    (trace,) = traces.values()
    nodes = [item.node if isinstance(item, Tensor) else trace.graph.constant(item) for item in items]
    return Tensor(trace, trace.graph.add(op, nodes, attributes))


@lru_cache(maxsize=512)
def _eager_plan(
    op: str, operands: tuple[tuple[tuple[int, ...], str], ...], attributes: tuple[tuple[str, Any], ...]
) -> Plan:
    """The plan of a single op on arrays of these shapes and dtypes."""
    graph = core.Graph()
    nodes = [graph.input(shape, dtype) for shape, dtype in operands]
    attrs = {name: list(value) if isinstance(value, tuple) else value for name, value in attributes}
    return core.Plan(graph, [graph.add(op, nodes, attrs)])


# What operators and methods need beyond a single op; bpcore.ops offers the same by name.


def power(base: Any, exponent: Any) -> Any:
    """`base` to the power of `exponent`; a square is a product, which is exact and many times faster."""
    if isinstance(exponent, (int, float)) and exponent == 2:
        squared = operand(base, "power")
        return binary("multiply", squared, squared)
    return binary("power", base, exponent)


def matmul(a: Any, b: Any) -> Any:
    """NumPy's matmul: the core has matrices only, so vectors become matrices and lose the axis again."""
    left, right = unify("matmul", a, b)
    if left.ndim == 0 or right.ndim == 0:
        raise ValueError(f"matmul: both operands need an axis, got shapes {left.shape} and {right.shape}")
    rows = reshape(left, (1, -1)) if left.ndim == 1 else left
    columns = reshape(right, (-1, 1)) if right.ndim == 1 else right
    product = add("matmul", [rows, columns], {"transpose_a": False, "transpose_b": False})
    shape = list(product.shape)
    if right.ndim == 1:
        del shape[-1]
    if left.ndim == 1:
        del shape[-1 if right.ndim == 1 else -2]
    return product if left.ndim > 1 and right.ndim > 1 else reshape(product, shape)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape."""
    return apply("reshape", x, shape=integers("reshape", "shape", shape))


def transpose(x: Any, axes: Any = None) -> Any:
    """The axes in the order `axes`, reversed if None."""
    item = operand(x, "transpose")
    order = list(range(item.ndim))[::-1] if axes is None else integers("transpose", "axes", axes)
    return add("transpose", [item], {"axes": order})


def cast(x: Any, dtype: Any) -> Any:
    """The same values in another dtype."""
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in DTYPES:
        raise TypeError(f"cast: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    item = operand(x, "cast")
    return item if str(item.dtype) == name else add("cast", [item], {"dtype": name})


def axes_of(who: str, axis: Any, ndim: int) -> list[int]:
    """The axes that `axis` means: None all, an integer one, several of them several."""
    return list(range(ndim)) if axis is None else integers(who, "axis", axis)


def reduce(op: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """A reduction over `axis`: None (all), an integer, or several."""
    item = operand(x, op)
    return add(op, [item], {"axes": axes_of(op, axis, item.ndim), "keepdims": bool(keepdims)})


def reducible(who: str, x: Any, axis: Any) -> tuple[Tensor | Array, list[int]]:
    """`x`, of floats, and the axes that `axis` means, from 0; for reductions made of several ops."""
    item = operand(x, who)
    if str(item.dtype) not in FLOATS:
        raise TypeError(f"{who}: input 0 must be float32 or float64, not {item.dtype}")
    axes = axes_of(who, axis, item.ndim)
    for each in axes:
        if not -item.ndim <= each < item.ndim:
            raise ValueError(f"{who}: axis {each} is out of range for {item.ndim} axes")
    found = [each % item.ndim for each in axes]
    for at, each in enumerate(found):
        if each in found[:at]:
            raise ValueError(f"{who}: axis {axes[at]} comes twice")
    return item, found


def variance(who: str, x: Any, axis: Any, keepdims: bool, ddof: int) -> Any:
    """Σ (x - mean)² / (n - ddof) of the n elements over `axis`."""
    item, axes = reducible(who, x, axis)
    elements = math.prod(item.shape[axis] for axis in axes)
    if count(who, "ddof", ddof, 0) >= elements:
        raise ValueError(f"{who}: ddof must be below the {elements} elements over axis {axis}, got {ddof}")
    deviation = binary("subtract", item, reduce("mean", item, axes, True))
    return binary("divide", reduce("sum", power(deviation, 2), axes, keepdims), float(elements - ddof))


def choose(mask: Any, a: Any, b: Any) -> Any:
    """`a` where `mask` is true, `b` elsewhere."""
    return add("where", [operand(mask, "where"), *unify("where", a, b)], {})


def getitem(x: Any, key: Any) -> Any:
    """`x[key]`: integers, slices, ..., None, or one integer array or tensor for the first axis."""
    item = operand(x, "getitem")
    if isinstance(key, (list, np.ndarray, Operand)):
        return add("gather", [item, indexing.as_indices(operand(key, "getitem"), item.shape)], {"axis": 0})
    view = indexing.basic(key, item.shape)
    if view.start is not None:
        item = add("slice", [item], {"start": view.start, "size": view.size, "step": view.step})
    return item if view.shape == item.shape else reshape(item, view.shape)
