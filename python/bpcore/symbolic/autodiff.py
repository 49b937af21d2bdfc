"""Derivatives of Python functions: reverse mode, of any order."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import runtime
from bpcore.basics.arrays import FLOATS, as_array
from bpcore.basics.settings import integers
from bpcore.basics.texts import kind
from bpcore.symbolic import tracing
from bpcore.symbolic.operators import operand
from bpcore.symbolic.tensor import Operand, Tensor
from bpcore.symbolic.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["grad", "gradients_of", "value_and_grad"]


def grad(fn: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that computes the derivative of `fn` by its argument number `argnums`, or by several.

    `fn` takes arrays and returns a scalar (shape ``()``), built of tensor arithmetic, `bpcore.ops` and
    modules. The result has the shape and dtype of the argument; for a sequence of numbers, it is a tuple of
    such results. It can be differentiated again. The arguments that are differentiated must be of float32 or
    float64; the others are handed to `fn` as they are. Models called inside are in inference mode, unless
    inside of ``with bp.training(seed):``.

    Raises TypeError for arguments that are not floats and results that are not scalars, IndexError if there
    is no such argument, ValueError if one is named twice.
    """
    value_and_gradient = value_and_grad(fn, argnums)

    @functools.wraps(fn)
    def derivative(*args: Any, **options: Any) -> Any:
        return value_and_gradient(*args, **options)[1]

    return derivative


def value_and_grad(fn: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """As `grad`, for a function that returns the pair of `fn`'s value and its derivative."""
    if not callable(fn):
        raise TypeError(f"grad: expected a function, got {kind(fn)}")
    several = not isinstance(argnums, (int, np.integer))
    numbers = integers("grad", "argnums", argnums)

    @functools.wraps(fn)
    def value_and_derivative(*args: Any, **options: Any) -> Any:
        positions = [_position(number, len(args)) for number in numbers]
        if len(set(positions)) < len(positions):
            raise ValueError(f"grad: argnums names an argument twice: {argnums}")
        outer = tracing.current() or next((arg.trace for arg in args if isinstance(arg, Tensor)), None)
        if outer is not None:
            value, gradients = _symbolic(fn, args, positions, options, outer)
        else:
            value, gradients = _numeric(fn, args, positions, options)
        return value, tuple(gradients) if several else gradients[0]

    return value_and_derivative


def _position(number: int, count: int) -> int:
    if not -count <= number < count:
        raise IndexError(f"grad: argnums names argument {number}, but {count} were given")
    return number % count


def _symbolic(
    fn: Callable[..., Any],
    args: Sequence[Any],
    positions: Sequence[int],
    options: dict[str, Any],
    trace: Trace,
) -> tuple[Any, list[Any]]:
    """Value and gradients as tensors of a trace that is under way."""
    inputs = list(args)
    for position in positions:
        item = operand(args[position], "grad")
        _check_float(item, position)
        node = item.node if isinstance(item, Tensor) else trace.graph.constant(item)
        # A node of its own: the function may also reach the argument's node in other ways, which don't count.
        inputs[position] = Tensor(trace, trace.graph.fresh(node))
    value = fn(*inputs, **options)
    return value, gradients_of(value, [inputs[position] for position in positions], trace)


def gradients_of(value: Any, wrt: Sequence[Tensor], trace: Trace) -> list[Tensor]:
    """The derivatives of the scalar `value` by each tensor, as tensors; TypeError if it is not a scalar."""
    if not isinstance(value, (Operand, np.ndarray, np.generic, int, float)):
        raise TypeError(f"grad: the function must return a scalar, got {kind(value)}")
    shape = np.shape(value)
    if shape != ():
        raise TypeError(
            f"grad: the function must return a scalar, got shape {shape}; reduce it, as by ops.sum"
        )
    if not isinstance(value, Tensor):  # it didn't depend on any of them
        zeros = [np.zeros(x.shape, x.dtype) for x in wrt]
        return [Tensor(trace, trace.graph.constant(zero)) for zero in zeros]
    if value.dtype not in FLOATS:
        raise TypeError(f"grad: the function must return a float, got {value.dtype}")
    return [Tensor(trace, node) for node in trace.graph.gradients(value.node, [x.node for x in wrt])]


def _numeric(
    fn: Callable[..., Any], args: Sequence[Any], positions: Sequence[int], options: dict[str, Any]
) -> tuple[Any, list[Any]]:
    """Value and gradients as arrays: traced once, run once."""
    arrays = [as_array(args[position], "grad") for position in positions]
    for array, position in zip(arrays, positions, strict=True):
        _check_float(array, position)
    with Trace() as trace:
        wrt = [Tensor(trace, trace.graph.input(array.shape, array.dtype.name)) for array in arrays]
        inputs = list(args)
        for position, symbol in zip(positions, wrt, strict=True):
            inputs[position] = symbol
        value = fn(*inputs, **options)
        outputs = gradients_of(value, wrt, trace)
        if isinstance(value, Tensor):
            outputs = [value, *outputs]
    results = trace.runner([output.node for output in outputs])(arrays, threads=runtime.threads())
    return (results[0], results[1:]) if isinstance(value, Tensor) else (np.asarray(value), results)


def _check_float(item: Any, position: int) -> None:
    if str(item.dtype) not in FLOATS:
        raise TypeError(
            f"grad: argument {position} is differentiated, so it must hold floats, not {item.dtype}; "
            "convert it, as by x.astype(np.float64)"
        )
