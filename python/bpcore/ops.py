"""One function per op. On arrays, an op returns an array; on symbolic tensors, it adds to their graph.

Operands broadcast as in NumPy. Python numbers adopt the dtype of what they meet; float32 and float64 arrays
don't mix (TypeError), and `cast` converts. Shapes that don't fit are a ValueError that begins with the op's
name. "float" below means float32 or float64, "number" also int64. Every float op has derivatives of any
order.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from bpcore import randomness, tensor, tracing
from bpcore.settings import integer
from bpcore.tensor import apply, binary

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "abs", "add", "argmax", "argmin", "binary_cross_entropy", "broadcast_to", "cast", "concatenate",
    "cross_entropy", "dense", "divide", "dropout", "equal", "erf", "exp", "expand_dims", "expm1", "gather",
    "greater", "greater_equal", "identity", "less", "less_equal", "log", "log1p", "log_softmax",
    "logical_and", "logical_not", "logical_or", "matmul", "max", "maximum", "mean", "min", "minimum",
    "multiply", "neg", "not_equal", "one_hot", "power", "random_normal", "random_uniform", "relu",
    "reshape", "sigmoid", "sign", "softmax", "softplus", "sqrt", "square", "squared_error", "squeeze",
    "stack", "stop_gradient", "subtract", "sum", "tanh", "transpose", "where",
]  # fmt: skip


# Elementwise, one operand


def exp(x: Any) -> Any:
    """e to the power of each element of `x` (float)."""
    return apply("exp", x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 of each element of `x` (float), with all digits next to 0 too."""
    return apply("expm1", x)


def log(x: Any) -> Any:
    """Natural logarithm of each element of `x` (float)."""
    return apply("log", x)


def log1p(x: Any) -> Any:
    """Natural logarithm of 1 + x for each element of `x` (float), with all digits next to 0 too."""
    return apply("log1p", x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) of each element (float), without overflow; its derivative is sigmoid(x)."""
    return apply("softplus", x)


def erf(x: Any) -> Any:
    """Error function of each element of `x` (float): 2/√π times the integral of exp(-t²) from 0 to x."""
    return apply("erf", x)


def sqrt(x: Any) -> Any:
    """Square root of each element of `x` (float)."""
    return apply("sqrt", x)


def square(x: Any) -> Any:
    """Each element of `x` (number) times itself."""
    return tensor.power(x, 2)


def relu(x: Any) -> Any:
    """The larger of each element of `x` (float) and 0; the derivative at 0 is 0."""
    return apply("relu", x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of each element (float), without overflow on either side."""
    return apply("sigmoid", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of each element of `x` (float)."""
    return apply("tanh", x)


def abs(x: Any) -> Any:
    """Absolute value of each element of `x` (number); the derivative at 0 is 0."""
    return apply("abs", x)


def neg(x: Any) -> Any:
    """Each element of `x` (number), negated."""
    return apply("neg", x)


def sign(x: Any) -> Any:
    """-1, 0 or 1 for each element of `x` (number); its derivative is 0."""
    return apply("sign", x)


def logical_not(x: Any) -> Any:
    """The opposite of each element of `x` (bool)."""
    return apply("logical_not", x)


def identity(x: Any) -> Any:
    """`x` itself, as a node of its own."""
    return apply("identity", x)


def stop_gradient(x: Any) -> Any:
    """`x` itself, taken for a constant by differentiation."""
    return apply("stop_gradient", x)


def cast(x: Any, dtype: Any) -> Any:
    """`x` in another `dtype`: "float32", "float64", "int64" (towards zero) or "bool" (not equal to 0)."""
    return tensor.cast(x, dtype)


# Elementwise, two operands and more


def add(a: Any, b: Any) -> Any:
    """a + b (numbers)."""
    return binary("add", a, b)


def subtract(a: Any, b: Any) -> Any:
    """a - b (numbers)."""
    return binary("subtract", a, b)


def multiply(a: Any, b: Any) -> Any:
    """a * b (numbers)."""
    return binary("multiply", a, b)


def divide(a: Any, b: Any) -> Any:
    """a / b (float)."""
    return binary("divide", a, b)


def power(a: Any, b: Any) -> Any:
    """`a` to the power of `b` (float; a square also of integers)."""
    return tensor.power(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of `a` and `b` (numbers); where they are equal, each has half of the derivative."""
    return binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of `a` and `b` (numbers); where they are equal, each has half of the derivative."""
    return binary("minimum", a, b)


def equal(a: Any, b: Any) -> Any:
    """a == b, a mask (bool)."""
    return binary("equal", a, b)


def not_equal(a: Any, b: Any) -> Any:
    """a != b, a mask (bool)."""
    return binary("not_equal", a, b)


def less(a: Any, b: Any) -> Any:
    """a < b, a mask (bool)."""
    return binary("less", a, b)


def less_equal(a: Any, b: Any) -> Any:
    """a <= b, a mask (bool)."""
    return binary("less_equal", a, b)


def greater(a: Any, b: Any) -> Any:
    """a > b, a mask (bool)."""
    return binary("greater", a, b)


def greater_equal(a: Any, b: Any) -> Any:
    """a >= b, a mask (bool)."""
    return binary("greater_equal", a, b)


def logical_and(a: Any, b: Any) -> Any:
    """True where both masks are."""
    return binary("logical_and", a, b)


def logical_or(a: Any, b: Any) -> Any:
    """True where one of the masks is."""
    return binary("logical_or", a, b)


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` (bool), `b` elsewhere; the derivative goes to what was chosen."""
    return tensor.add("where", [tensor.operand(condition, "where"), *tensor.unify("where", a, b)], {})


# Reductions: axis is None (all axes), an integer or several; keepdims leaves axes of size 1


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum of `x` (number) over `axis`."""
    return tensor.reduce("sum", x, axis, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean of `x` (float) over `axis`."""
    return tensor.reduce("mean", x, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element of `x` (number) over `axis`; equal ones share the derivative evenly."""
    return tensor.reduce("max", x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element of `x` (number) over `axis`; equal ones share the derivative evenly."""
    return tensor.reduce("min", x, axis, keepdims)


def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Index (int64) of the largest element of `x` (number) along `axis`, the first of equal ones."""
    return apply("argmax", x, axis=integer("argmax", "axis", axis), keepdims=bool(keepdims))


def argmin(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Index (int64) of the smallest element of `x` (number) along `axis`, the first of equal ones."""
    return apply("argmin", x, axis=integer("argmin", "axis", axis), keepdims=bool(keepdims))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum along `axis` (float), without overflow."""
    return apply("softmax", x, axis=integer("softmax", "axis", axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x minus the logarithm of the sum of exp(x) along `axis` (float), without overflow."""
    return apply("log_softmax", x, axis=integer("log_softmax", "axis", axis))


# Shapes


def reshape(x: Any, shape: Any) -> Any:
    """The elements of `x` in `shape`, an integer or several, one of which may be -1."""
    return tensor.reshape(x, shape)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """`x` with its axes in the order `axes`, reversed if None."""
    return tensor.transpose(x, axes)


def expand_dims(x: Any, axis: int) -> Any:
    """`x` with a new axis of size 1 at position `axis` of the result."""
    item = tensor.operand(x, "expand_dims")
    if not -item.ndim - 1 <= axis <= item.ndim:
        raise ValueError(f"expand_dims: axis {axis} is out of range for shape {item.shape}")
    at = axis % (item.ndim + 1)
    return tensor.reshape(item, (*item.shape[:at], 1, *item.shape[at:]))


def squeeze(x: Any, axis: int) -> Any:
    """`x` without its axis `axis`, whose size must be 1."""
    item = tensor.operand(x, "squeeze")
    if not -item.ndim <= axis < item.ndim or item.shape[axis] != 1:
        raise ValueError(f"squeeze: axis {axis} of shape {item.shape} is not an axis of size 1")
    at = axis % item.ndim
    return tensor.reshape(item, item.shape[:at] + item.shape[at + 1 :])


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` repeated along axes of size 1 and new leading ones until it has `shape`."""
    return apply("broadcast_to", x, shape=[int(extent) for extent in shape])


def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
    """The `parts` one after the other along `axis`; their other axes agree."""
    who = "concatenate"
    return tensor.add(who, tensor.unify(who, *_some(parts, who)), {"axis": integer(who, "axis", axis)})


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """The `parts`, all of one shape, along a new axis `axis`."""
    return concatenate([expand_dims(part, axis) for part in _some(parts, "stack")], axis)


def _some(parts: Sequence[Any], who: str) -> Sequence[Any]:
    if builtins.len(parts) == 0:
        raise ValueError(f"{who}: expected at least one part")
    return parts


def gather(x: Any, indices: Any, axis: int = 0) -> Any:
    """The slices of `x` at `indices` (int64, any shape, from 0) along `axis`, as `numpy.take`.

    The indices' axes stand where `axis` was. An index out of range is a ValueError.
    """
    return apply("gather", x, indices, axis=integer("gather", "axis", axis))


def one_hot(indices: Any, depth: int, dtype: str | None = None) -> Any:
    """1 at each of `indices` (int64, from 0) along a new last axis of size `depth`, 0 elsewhere.

    `dtype` is the traced model's float dtype unless given, "float32" outside of models.
    """
    return apply("one_hot", indices, depth=int(depth), dtype=dtype or tracing.float_dtype())


# Products


def matmul(a: Any, b: Any) -> Any:
    """Matrix product (..., m, n) of `a` (..., m, k) and `b` (..., k, n); the rest as in NumPy."""
    return tensor.matmul(a, b)


def dense(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """activation(x @ weight + bias) in one pass: `x` (..., in), `weight` (in, out), `bias` (out,) or None.

    `activation` is None, "relu", "sigmoid" or "tanh".
    """
    values = (x, weight) if bias is None else (x, weight, bias)
    return tensor.add("dense", tensor.unify("dense", *values), {"activation": activation or ""})


# Random numbers: functions of the seed, the trainer's step, the number of the call in its trace, and the
# element's index. Two calls outside of any trace draw the same numbers


def dropout(x: Any, rate: float) -> Any:
    """x / (1 - rate) in training mode, but 0 for each element of `x` (float) with probability `rate`.

    In inference mode it is `x` itself. The probability is met to 2^-32. `rate` must lie in [0, 1]. The
    backward pass draws the mask again, so none is kept. Source: N. Srivastava et al., Dropout (2014).
    """
    return randomness.dropout(x, randomness.check_rate("dropout", rate))


def random_normal(shape: Any, dtype: str | None = None) -> Any:
    """Independent standard normal numbers in `shape`, an integer or several.

    `dtype` is the traced model's float dtype unless given, "float32" outside of models. In inference mode the
    numbers are those of seed 0, the same in every run.

    By Box and Muller (1958), of a radius made of 31 random bits (52 in float64), so that none is beyond 6.7
    (8.6), and an angle of 32 (54).
    """
    return randomness.draw("random_normal", shape, dtype)


def random_uniform(shape: Any, dtype: str | None = None) -> Any:
    """Independent numbers in `shape`, evenly distributed in [0, 1): multiples of 2^-24 (2^-52 in float64).

    The rest as in `random_normal`.
    """
    return randomness.draw("random_uniform", shape, dtype)


# Losses per element; bpcore.losses has them with targets of every kind and reduced


def cross_entropy(logits: Any, labels: Any) -> Any:
    """-log_softmax(logits)[label]: `logits` (..., classes) float, `labels` (...) int64, result (...)."""
    return apply("cross_entropy", logits, labels)


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """-t·log(sigmoid(z)) - (1-t)·log(1-sigmoid(z)) of each logit z and target t, without overflow."""
    return binary("binary_cross_entropy", logits, targets)


def squared_error(prediction: Any, target: Any) -> Any:
    """(prediction - target)² of each element; both have the same shape."""
    return binary("squared_error", prediction, target)
