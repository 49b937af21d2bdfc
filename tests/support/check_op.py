"""One check for every op: values against NumPy, derivatives against differences of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore as bp
from bpcore.symbolic.operators import apply
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace
from tests.support.draw import normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

# Above this many elements, derivatives are compared along one random direction, not one element at a time.
_MOST_MOVED = 200


def check_op(
    op: Callable[..., Any] | str,
    reference: Callable[..., Any],
    *inputs: Array,
    exact: bool = False,
    epsilons: float = 8,
    floor: float = 0,
    magnitudes: bool = False,
    differentiable: bool = True,
    order: int = 1,
    view: bool = False,
    composed: bool = False,
    **options: Any,
) -> None:
    """Compares ``op(*inputs, **options)`` with ``reference(*inputs, **options)``, in float64 and float32.

    `op` is a function of `bpcore.ops`, or the name of an op of the core that has none. Float inputs come in
    float64; for the float32 run they are rounded first, and the reference still computes in float64. An op
    without inputs is run in the `dtype` of its options.

    `exact`: the reference computes in the inputs' own dtype, and the result equals it in every element.
    Else the error of an element is at most `epsilons` machine epsilons of the result's dtype, relative to the
    result's magnitude, to `floor` if that is larger, or, with `magnitudes`, to the reference of the inputs'
    magnitudes (the scale of rounding errors in sums and products); the smallest normal number comes on top.

    `differentiable`: derivatives by the float inputs agree with central differences with relative error 1e-6;
    so do, if `order` is 2, derivatives of derivatives.

    `view`: for these inputs the result is the input in another shape, and no op is made.
    `composed`: the function is made of other ops, and there is none of its name.
    """
    name, function = (op, _core_op(op)) if isinstance(op, str) else (op.__name__, op)
    floats = any(x.dtype.kind == "f" for x in inputs)
    for dtype in ("float64", "float32") if floats else (options.get("dtype", "float64"),):
        rounded = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
        got = function(*rounded, **options)
        with np.errstate(all="ignore"):
            if exact:
                _assert_same(got, np.asarray(reference(*rounded, **options)))
                continue
            wide = [x.astype("float64") if x.dtype.kind == "f" else x for x in rounded]
            want = np.asarray(reference(*wide, **options))
            scale = np.asarray(reference(*map(_magnitude, wide), **options)) if magnitudes else np.abs(want)
        assert got.dtype == dtype
        _assert_close(got, want, np.maximum(scale, floor), epsilons)
    _assert_in_graph(name, function, inputs, options, not (view or composed))
    if floats and differentiable:
        _check_derivatives(function, inputs, options, order)


class Case:
    """The arguments of `check_op`, as a row of a table."""

    def __init__(
        self, op: Callable[..., Any] | str, reference: Callable[..., Any], *inputs: Array, **options: Any
    ):
        self.op = op if isinstance(op, str) else op.__name__
        self._check = lambda: check_op(op, reference, *inputs, **options)
        checks = ("exact", "epsilons", "floor", "magnitudes", "differentiable", "order", "view", "composed")
        shown = [f"{name}={value}" for name, value in options.items() if name not in checks]
        self._text = " ".join([self.op, *(str(x.shape).replace(" ", "") for x in inputs), *shown])

    def __str__(self) -> str:
        return self._text

    def check(self) -> None:
        self._check()


def _core_op(name: str) -> Callable[..., Any]:
    return lambda *inputs, **options: apply(name, *inputs, **options)


def _magnitude(x: Array) -> Array:
    return np.abs(x) if x.dtype.kind == "f" else x


def _assert_same(got: Array, want: Array) -> None:
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_array_equal(got, want)


def _assert_close(got: Array, want: Array, scale: Array, epsilons: float) -> None:
    assert got.shape == want.shape
    info = np.finfo(got.dtype)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    error = np.abs(got[finite] - want[finite])
    bound = epsilons * float(info.eps) * scale[finite] + float(info.tiny)
    wrong = ~(error <= bound)  # so that NaN is wrong
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} elements are off in {got.dtype}; the first is "
        f"{got[finite][wrong][0]!r}, should be {want[finite][wrong][0]!r}; the largest error is "
        f"{(error / bound)[wrong].max():.3g} times what is allowed"
    )


def _assert_in_graph(
    name: str, function: Callable[..., Any], inputs: tuple[Array, ...], options: dict[str, Any], made: bool
) -> None:
    """Whether the function makes a node of op `name`: the tables' claim to have checked it is true."""
    with Trace() as trace:
        function(*(Tensor(trace, trace.graph.input(x.shape, x.dtype.name)) for x in inputs), **options)
    assert (name in {trace.graph.op(node) for node in range(len(trace.graph))}) is made


def _check_derivatives(
    function: Callable[..., Any], inputs: tuple[Array, ...], options: dict[str, Any], order: int
) -> None:
    if sum(x.size for x in inputs if x.dtype.kind == "f") <= _MOST_MOVED:
        bp.check_gradients(lambda *xs: function(*xs, **options), *inputs, order=order)
        return
    directions = [normal(x.shape, key=100 + i) for i, x in enumerate(inputs)]

    def along(t: Any) -> Any:
        moved = [x + t * v if x.dtype.kind == "f" else x for x, v in zip(inputs, directions, strict=True)]
        return function(*moved, **options)

    bp.check_gradients(along, np.zeros(()), order=order)
