"""Activations: functions of a tensor or an array of floats, each with the names and formulas of PyTorch.

They keep shape and dtype, except `glu` and `swiglu`, which halve an axis. Values and derivatives are finite
wherever the formula's are: no branch that isn't taken makes them NaN. Where a function has a kink, the
derivative is PyTorch's: that of the left side at 0 (0 for relu, `negative_slope` for leaky_relu, ...), and 0
at the ends of relu6, hard_tanh and hard_sigmoid.

Settings are checked, TypeError for what is no number, ValueError for NaN and for what is out of range, and so
is the dtype: TypeError for integers and masks. `nn` has each of them as a module.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import integer, number
from bpcore.ops import identity, log_softmax, relu, sigmoid, softmax, tanh
from bpcore.symbolic.operators import apply, getitem, operand, unify

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_swish", "hard_tanh", "identity", "leaky_relu",
    "log_softmax", "mish", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus",
    "softsign", "swiglu", "tanh", "tanhshrink",
]  # fmt: skip

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934


# Straight on the right, something else on the left


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope · x; `negative_slope` ≥ 0. A. L. Maas et al. (2013)."""
    x = _floats("leaky_relu", x)
    slope = number("leaky_relu", "negative_slope", negative_slope, least=0)
    return _rectified(x, ops.multiply(x, slope))


def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, else weight · x, with a learned `weight`. K. He et al. (2015).

    `weight` is one number, of shape () or (1,), or one for each channel, which is the last axis of `x`.
    ValueError for another shape.
    """
    x, weight = unify("prelu", _floats("prelu", x), weight)
    if weight.shape not in ((), (1,), x.shape[-1:]):
        channels = f" or {x.shape[-1:]}" if x.ndim else ""
        raise ValueError(
            f"prelu: weight must have shape (), (1,){channels} for x of shape {x.shape}, got {weight.shape}"
        )
    if weight.size == 1:
        weight = ops.reshape(weight, ())  # so that x without axes stays so
    return _rectified(x, ops.multiply(x, weight))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha · (exp(x) - 1); `alpha` ≥ 0. D.-A. Clevert et al. (2016)."""
    x, alpha = _floats("elu", x), number("elu", "alpha", alpha, least=0)
    return _rectified(x, ops.multiply(alpha, ops.expm1(_negative_part(x))))


def selu(x: Any) -> Any:
    """1.0507 · elu(x, 1.6733), with both numbers to full precision. G. Klambauer et al. (2017).

    It keeps mean 0 and variance 1 from layer to layer if weights are normal, with variance 1 / fan_in.
    """
    return ops.multiply(_SELU_SCALE, elu(_floats("selu", x), _SELU_ALPHA))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha · (exp(x / alpha) - 1); `alpha` > 0. J. T. Barron (2017).

    Unlike elu, its derivative has no jump at 0, whatever `alpha`.
    """
    x, alpha = _floats("celu", x), number("celu", "alpha", alpha, above=0)
    return _rectified(x, ops.multiply(alpha, ops.expm1(ops.divide(_negative_part(x), alpha))))


# x times a gate


def gelu(x: Any, approximate: Literal["none", "tanh"] = "none") -> Any:
    """x · Φ(x), Φ the normal distribution function. D. Hendrycks and K. Gimpel (2016).

    `approximate="none"` takes Φ(x) = (1 + erf(x / √2)) / 2, whose absolute error is about a machine epsilon:
    where Φ itself is smaller, for x below -5 in float32, no digit is right. "tanh" takes
    (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, up to 5e-4 away, but without that cancellation.
    """
    x = _floats("gelu", x)
    if approximate == "none":
        return apply("gelu", x)
    if approximate != "tanh":
        raise ValueError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')
    cubic = ops.multiply(x, ops.add(1, ops.multiply(0.044715, ops.square(x))))
    # (1 + tanh(u)) / 2 = sigmoid(2u), without the cancellation
    return ops.multiply(x, sigmoid(ops.multiply(math.sqrt(8 / math.pi), cubic)))


def silu(x: Any) -> Any:
    """x · sigmoid(x), also called swish. S. Elfwing et al. (2018)."""
    x = _floats("silu", x)
    return ops.multiply(x, sigmoid(x))


def mish(x: Any) -> Any:
    """x · tanh(log(1 + exp(x))). D. Misra (2019)."""
    x = _floats("mish", x)
    return ops.multiply(x, tanh(ops.softplus(x)))


def hard_swish(x: Any) -> Any:
    """x · hard_sigmoid(x). A. Howard et al. (2019). The derivative is 0 at -3 and 1 at 3."""
    x = _floats("hard_swish", x)
    return ops.multiply(x, hard_sigmoid(x))


# Of limited range, or nearly straight


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); the derivative is 0 at 0 and at 6. A. Krizhevsky (2010)."""
    return _clamped(_floats("relu6", x), 0, 6)


def hard_tanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """min(max(x, min_val), max_val), min_val < max_val; its derivative is 0 at both. R. Collobert (2004)."""
    x = _floats("hard_tanh", x)
    low, high = number("hard_tanh", "min_val", min_val), number("hard_tanh", "max_val", max_val)
    if low >= high:
        raise ValueError(f"hard_tanh: min_val must be less than max_val, got {min_val} and {max_val}")
    return _clamped(x, low, high)


def hard_sigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6; the derivative is 0 at -3 and at 3. A. Howard et al. (2019)."""
    return ops.divide(ops.add(_clamped(_floats("hard_sigmoid", x), -3, 3), 3), 6)


def softplus(x: Any, beta: float = 1.0) -> Any:
    """log(1 + exp(beta · x)) / beta; `beta` > 0. C. Dugas et al. (2001).

    It doesn't overflow, so that it needs no threshold beyond which it would be x itself.
    """
    x, beta = _floats("softplus", x), number("softplus", "beta", beta, above=0)
    return ops.softplus(x) if beta == 1 else ops.divide(ops.softplus(ops.multiply(beta, x)), beta)


def softsign(x: Any) -> Any:
    """x / (1 + |x|). J. Bergstra et al. (2009)."""
    x = _floats("softsign", x)
    size = ops.abs(x)
    near = ops.divide(x, ops.add(1, size))
    # The same, but with a derivative, 1 / (1 + |x|)², that is no difference of nearly equal numbers.
    far = ops.multiply(ops.sign(x), ops.subtract(1, ops.divide(1, ops.add(1, size))))
    return ops.where(ops.less(size, 1), near, far)


def tanhshrink(x: Any) -> Any:
    """x - tanh(x), with all digits next to 0 too."""
    x = _floats("tanhshrink", x)
    near = ops.less(ops.abs(x), 1)
    # Lambert's continued fraction: tanh(x) = x / (1 + w), w = x² / (3 + x² / (5 + x² / (7 + ...))).
    square = ops.square(ops.where(near, x, 0))
    w = ops.divide(square, 19)
    for odd in range(17, 1, -2):
        w = ops.divide(square, ops.add(odd, w))
    return ops.where(near, ops.multiply(x, ops.divide(w, ops.add(1, w))), ops.subtract(x, tanh(x)))


# Gated linear units


def glu(x: Any, axis: int = -1) -> Any:
    """a · sigmoid(b), a and b the halves of `x` along `axis`. Y. N. Dauphin et al. (2017).

    ValueError if the size of `axis` is odd.
    """
    a, b = _halves("glu", x, axis)
    return ops.multiply(a, sigmoid(b))


def swiglu(x: Any, axis: int = -1) -> Any:
    """silu(a) · b, a and b the halves of `x` along `axis`. N. Shazeer (2020).

    ValueError if the size of `axis` is odd.
    """
    a, b = _halves("swiglu", x, axis)
    return ops.multiply(silu(a), b)


def _floats(who: str, x: Any) -> Any:
    item = operand(x, who)
    if str(item.dtype) not in FLOATS:
        raise TypeError(f"{who}: x must be float32 or float64, not {item.dtype}; cast it first")
    return item


def _rectified(x: Any, left: Any) -> Any:
    """`x` where it is positive, else `left`."""
    return ops.where(ops.greater(x, 0), x, left)


def _negative_part(x: Any) -> Any:
    """`x` where it is not positive, else 0: an argument for what would overflow on the right."""
    return ops.where(ops.greater(x, 0), 0, x)


def _clamped(x: Any, low: float, high: float) -> Any:
    """`x` between `low` and `high`; unlike that of minimum and maximum, its derivative is 0 at both."""
    return ops.where(ops.less_equal(x, low), low, ops.where(ops.greater_equal(x, high), high, x))


def _halves(who: str, x: Any, axis: int) -> tuple[Any, Any]:
    x = _floats(who, x)
    if not -x.ndim <= integer(who, "axis", axis) < x.ndim:
        raise ValueError(f"{who}: axis {axis} is out of range for shape {x.shape}")
    at = int(axis) % x.ndim
    if x.shape[at] % 2:
        raise ValueError(f"{who}: axis {axis} of shape {x.shape} must have an even size to be halved")
    half, before = x.shape[at] // 2, (slice(None),) * at
    return getitem(x, (*before, slice(half))), getitem(x, (*before, slice(half, None)))
