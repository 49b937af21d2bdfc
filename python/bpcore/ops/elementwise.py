"""Each element by itself: of one operand, or of several that broadcast."""

from __future__ import annotations

from typing import Any

from bpcore.symbolic import operators
from bpcore.symbolic.operators import apply, binary

__all__ = [
    "abs",
    "add",
    "cast",
    "ceil",
    "clip",
    "cos",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "greater",
    "greater_equal",
    "identity",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "multiply",
    "neg",
    "not_equal",
    "power",
    "relu",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "softplus",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tanh",
    "where",
]


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


def sin(x: Any) -> Any:
    """Sine of each element of `x` (float), an angle in radians; all digits of large ones count, too."""
    return apply("sin", x)


def cos(x: Any) -> Any:
    """Cosine of each element of `x` (float), an angle in radians; all digits of large ones count, too."""
    return apply("cos", x)


def sqrt(x: Any) -> Any:
    """Square root of each element of `x` (float)."""
    return apply("sqrt", x)


def square(x: Any) -> Any:
    """Each element of `x` (number) times itself."""
    return operators.power(x, 2)


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


def floor(x: Any) -> Any:
    """The largest whole number that is not above, for each element of `x` (number); its derivative is 0."""
    return apply("floor", x)


def ceil(x: Any) -> Any:
    """The smallest whole number that is not below, for each element of `x` (number); its derivative is 0."""
    return apply("ceil", x)


def round(x: Any) -> Any:
    """The nearest whole number, for each element of `x` (number); its derivative is 0.

    Of two that are equally near, the even one, as `numpy.round`: 0.5 becomes 0, and 1.5 becomes 2.
    """
    return apply("round", x)


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
    return operators.cast(x, dtype)


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
    return operators.power(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of `a` and `b` (numbers); where they are equal, each has half of the derivative."""
    return binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of `a` and `b` (numbers); where they are equal, each has half of the derivative."""
    return binary("minimum", a, b)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Each element of `x` (number), but `min` where it is smaller and `max` where it is larger.

    The bounds broadcast with `x`; one of them may be None. NaN stays NaN. The derivative is 1 where `x`
    stays, at the bounds too, and 0 elsewhere, as that of `torch.clamp`; there it goes to the bounds, if they
    have one. Raises ValueError without bounds and for a number `min` above a number `max`.
    """
    if min is None and max is None:
        raise ValueError("clip: expected min, max or both")
    if isinstance(min, (int, float)) and isinstance(max, (int, float)) and min > max:
        raise ValueError(f"clip: min must be at most max, got {min} and {max}")
    if min is not None:
        x = _replaced("less", x, min)
    return x if max is None else _replaced("greater", x, max)


def _replaced(wrong: str, x: Any, bound: Any) -> Any:
    """`bound` where `x` compares like that with it, else `x`."""
    x, bound = operators.unify("clip", x, bound)
    return operators.add("where", [operators.add(wrong, [x, bound], {}), bound, x], {})


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
    return operators.choose(condition, a, b)
