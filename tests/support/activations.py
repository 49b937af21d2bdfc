"""The activations and their derivatives in float64 NumPy, in forms that neither overflow nor cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.support.references import log_softmax, relu, sigmoid, softmax, softplus

Array = NDArray[Any]


class Elementwise(NamedTuple):
    """f(x) and f'(x) of one activation with some settings; `kinks` are where f' jumps."""

    name: str
    settings: dict[str, Any]
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.settings.items())})"


def _left_of_zero(left: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, left(np.minimum(x, 0)))


def _slope_left_of_zero(left: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, 1.0, left(np.minimum(x, 0)))


def _inside(low: float, high: float) -> Callable[[Array], Array]:
    return lambda x: ((x > low) & (x < high)).astype(x.dtype)


def _phi(x: Array) -> Array:
    return np.asarray(np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2, otypes=["float64"])(x))


def _gelu_slope(x: Array) -> Array:
    return _phi(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _gate(x: Array) -> Array:
    return sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def _gelu_tanh_slope(x: Array) -> Array:
    gate = _gate(x)
    inner = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return gate + x * gate * _gate(-x) * inner


def _mish_slope(x: Array) -> Array:
    t = np.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


def _tanhshrink(x: Array) -> Array:
    """By Taylor's series next to 0: Σ -tanh⁽ⁿ⁾(0) xⁿ / n!, for odd n from 3."""
    terms = [1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925]
    series = sum(c * x ** (3 + 2 * i) for i, c in enumerate(terms))
    return np.where(np.abs(x) < 0.03, series, x - np.tanh(x))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

ELEMENTWISE = [
    Elementwise("identity", {}, lambda x: x, np.ones_like),
    Elementwise("relu", {}, relu, lambda x: (x > 0).astype(x.dtype), (0,)),
    Elementwise("relu6", {}, lambda x: np.clip(x, 0, 6), _inside(0, 6), (0, 6)),
    *(
        Elementwise(
            "leaky_relu",
            settings,
            _left_of_zero(lambda x, s=slope: s * x),
            _slope_left_of_zero(lambda x, s=slope: np.full_like(x, s)),
            (0,),
        )
        for settings, slope in (({}, 0.01), ({"negative_slope": 0.3}, 0.3), ({"negative_slope": 0}, 0))
    ),
    *(
        Elementwise(
            "elu",
            settings,
            _left_of_zero(lambda x, a=alpha: a * np.expm1(x)),
            _slope_left_of_zero(lambda x, a=alpha: a * np.exp(x)),
            (0,),
        )
        for settings, alpha in (({}, 1), ({"alpha": 0.4}, 0.4))
    ),
    Elementwise(
        "selu",
        {},
        lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x: _SELU_SCALE * np.where(x > 0, 1, _SELU_ALPHA * np.exp(np.minimum(x, 0))),
        (0,),
    ),
    *(
        Elementwise(
            "celu",
            settings,
            _left_of_zero(lambda x, a=alpha: a * np.expm1(x / a)),
            _slope_left_of_zero(lambda x, a=alpha: np.exp(x / a)),
            (0,),
        )
        for settings, alpha in (({}, 1), ({"alpha": 2.5}, 2.5))
    ),
    Elementwise("gelu", {}, lambda x: x * _phi(x), _gelu_slope),
    Elementwise("gelu", {"approximate": "tanh"}, lambda x: x * _gate(x), _gelu_tanh_slope),
    Elementwise("silu", {}, lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    Elementwise("mish", {}, lambda x: x * np.tanh(softplus(x)), _mish_slope),
    Elementwise("softplus", {}, softplus, sigmoid),
    Elementwise("softplus", {"beta": 3}, lambda x: softplus(3 * x) / 3, lambda x: sigmoid(3 * x)),
    Elementwise("softsign", {}, lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0),
    Elementwise(
        "hard_sigmoid", {}, lambda x: np.clip(x + 3, 0, 6) / 6, lambda x: _inside(-3, 3)(x) / 6, (-3, 3)
    ),
    Elementwise(
        "hard_swish",
        {},
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(x >= 3, 1, np.where(x <= -3, 0, x / 3 + 0.5)),
        (-3, 3),
    ),
    Elementwise("hard_tanh", {}, lambda x: np.clip(x, -1, 1), _inside(-1, 1), (-1, 1)),
    Elementwise(
        "hard_tanh",
        {"min_val": -0.5, "max_val": 2},
        lambda x: np.clip(x, -0.5, 2),
        _inside(-0.5, 2),
        (-0.5, 2),
    ),
    Elementwise("sigmoid", {}, sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    Elementwise("tanh", {}, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    Elementwise("tanhshrink", {}, _tanhshrink, lambda x: np.tanh(x) ** 2),
]

# Those that look at more than one element, or at a weight.


def prelu(x: Array, weight: Array) -> Array:
    return np.where(x > 0, x, weight * x)


def glu(x: Array, axis: int = -1) -> Array:
    a, b = np.split(x, 2, axis)
    return a * sigmoid(b)


def swiglu(x: Array, axis: int = -1) -> Array:
    a, b = np.split(x, 2, axis)
    return a * sigmoid(a) * b


ALONG_AXIS = {"glu": glu, "log_softmax": log_softmax, "softmax": softmax, "swiglu": swiglu}
