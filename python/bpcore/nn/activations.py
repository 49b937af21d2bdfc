"""Activations: by name, as modules, or any function of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from bpcore import activations as functions
from bpcore.basics.names import lookup
from bpcore.basics.settings import count, integer, number
from bpcore.basics.signatures import own_init
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Activation", "HardSigmoid", "HardSwish", "HardTanh", "Identity",
    "LeakyReLU", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "SwiGLU", "Tanh", "Tanhshrink", "kernel_init", "resolve",
]  # fmt: skip

Activation: TypeAlias = Callable[[Any], Any]


class _Function(Module):
    """A function of `bpcore.activations`, with its settings as attributes."""

    _function: ClassVar[Callable[..., Any]]
    _settings: ClassVar[tuple[str, ...]] = ()

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return type(self)._function(x, **self._arguments())

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._settings}

    def _check(self) -> None:
        """Lets the function itself find what is wrong with settings that don't depend on the input."""
        type(self)._function(np.zeros(()), **self._arguments())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({settings})"


class _AlongAxis(_Function):
    """One that looks at the elements along an axis."""

    _settings = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = integer(type(self).__name__, "axis", axis)


class Identity(_Function):
    """The input itself."""

    _function = staticmethod(functions.identity)

    def __call__(self, x: Any) -> Any:
        """`x` of any shape; the result is the same tensor."""
        return x  # not a node of its own, which would keep what is before it and behind it from fusing


class ReLU(_Function):
    """max(x, 0) of each element."""

    _function = staticmethod(functions.relu)


class ReLU6(_Function):
    """min(max(x, 0), 6) of each element; see `bpcore.activations.relu6`."""

    _function = staticmethod(functions.relu6)


class LeakyReLU(_Function):
    """x where x > 0, else negative_slope · x, negative_slope ≥ 0; see `bpcore.activations.leaky_relu`."""

    _function = staticmethod(functions.leaky_relu)
    _settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope
        self._check()


class PReLU(_Function):
    """x where x > 0, else weight · x, with a learned weight; see `bpcore.activations.prelu`.

    Parameter: `weight` (num_parameters,). Weight decay would pull it towards a plain relu.

    Args:
        num_parameters: 1, or the size of the input's last axis: a weight for each channel.
        init: initial weight.
    """

    _function = staticmethod(functions.prelu)
    _settings = ("num_parameters",)
    _not_kept = ("num_parameters", "init")

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.weight = Parameter(
            count("PReLU", "num_parameters", num_parameters, 1), number("PReLU", "init", init)
        )

    @property
    def num_parameters(self) -> int:
        """How many weights it has."""
        return self.weight.shape[0]

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return functions.prelu(x, self.weight)


class ELU(_Function):
    """x where x > 0, else alpha · (exp(x) - 1), alpha ≥ 0; see `bpcore.activations.elu`."""

    _function = staticmethod(functions.elu)
    _settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha
        self._check()


class SELU(_Function):
    """1.0507 · elu(x, 1.6733) of each element; see `bpcore.activations.selu`."""

    _function = staticmethod(functions.selu)


class CELU(_Function):
    """x where x > 0, else alpha · (exp(x / alpha) - 1), alpha > 0; see `bpcore.activations.celu`."""

    _function = staticmethod(functions.celu)
    _settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha
        self._check()


class GELU(_Function):
    """x · Φ(x), Φ the normal distribution function, "tanh" nearly so; see `bpcore.activations.gelu`."""

    _function = staticmethod(functions.gelu)
    _settings = ("approximate",)

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate
        self._check()


class SiLU(_Function):
    """x · sigmoid(x) of each element; see `bpcore.activations.silu`."""

    _function = staticmethod(functions.silu)


class Mish(_Function):
    """x · tanh(softplus(x)) of each element; see `bpcore.activations.mish`."""

    _function = staticmethod(functions.mish)


class HardSwish(_Function):
    """x · hard_sigmoid(x) of each element; see `bpcore.activations.hard_swish`."""

    _function = staticmethod(functions.hard_swish)


class HardSigmoid(_Function):
    """min(max(x + 3, 0), 6) / 6 of each element; see `bpcore.activations.hard_sigmoid`."""

    _function = staticmethod(functions.hard_sigmoid)


class HardTanh(_Function):
    """min(max(x, min_val), max_val), min_val < max_val; see `bpcore.activations.hard_tanh`."""

    _function = staticmethod(functions.hard_tanh)
    _settings = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = min_val, max_val
        self._check()


class Sigmoid(_Function):
    """1 / (1 + exp(-x)) of each element."""

    _function = staticmethod(functions.sigmoid)


class Tanh(_Function):
    """Hyperbolic tangent of each element."""

    _function = staticmethod(functions.tanh)


class Tanhshrink(_Function):
    """x - tanh(x) of each element; see `bpcore.activations.tanhshrink`."""

    _function = staticmethod(functions.tanhshrink)


class Softplus(_Function):
    """log(1 + exp(beta · x)) / beta of each element, beta > 0; see `bpcore.activations.softplus`."""

    _function = staticmethod(functions.softplus)
    _settings = ("beta",)

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta
        self._check()


class Softsign(_Function):
    """x / (1 + |x|) of each element; see `bpcore.activations.softsign`."""

    _function = staticmethod(functions.softsign)


@own_init
class Softmax(_AlongAxis):
    """exp(x) divided by its sum along `axis`. Losses take logits: don't put it before "cross_entropy"."""

    _function = staticmethod(functions.softmax)


@own_init
class LogSoftmax(_AlongAxis):
    """The logarithm of softmax along `axis`."""

    _function = staticmethod(functions.log_softmax)


@own_init
class GLU(_AlongAxis):
    """a · sigmoid(b) of the halves a and b of the input along `axis`; see `bpcore.activations.glu`."""

    _function = staticmethod(functions.glu)


@own_init
class SwiGLU(_AlongAxis):
    """silu(a) · b of the halves a and b of the input along `axis`; see `bpcore.activations.swiglu`."""

    _function = staticmethod(functions.swiglu)


_NAMED: dict[str, Activation] = {
    **{name: getattr(functions, name) for name in functions.__all__},
    "linear": functions.identity,
    "prelu": PReLU,  # with a weight of its own wherever it is used
    "swish": functions.silu,
}

# About 0 on the left and x on the right, so that He's initial weights, made for relu, suit them.
_RECTIFIERS = (
    functions.relu, functions.relu6, functions.leaky_relu, functions.prelu, functions.elu, functions.celu,
    functions.gelu, functions.silu, functions.mish, functions.hard_swish,
)  # fmt: skip


def kernel_init(activation: Activation | None) -> str:
    """The name of the initializer that suits a layer before `activation`."""
    function = getattr(type(activation), "_function", activation)
    if function is functions.selu:  # which keeps means and variances only from such weights
        return "lecun_normal"
    return "he_normal" if any(function is each for each in _RECTIFIERS) else "glorot_uniform"


def resolve(activation: Any, who: str = "") -> Activation | None:
    """The function that `activation` means: None, a name, a module or a function; "prelu" is a new module.

    Raises ValueError for an unknown name, naming the nearest known ones, TypeError for anything else; both
    in the name of `who`.
    """
    begin = f"{who}: " if who else ""
    if activation is None:
        return None
    if isinstance(activation, str):
        found = lookup("activation", activation, _NAMED, who)
        return found() if isinstance(found, type) else found
    if isinstance(activation, type):
        raise TypeError(
            f"{begin}an activation is a name, a function or a module: nn.{activation.__name__}(), with ()"
        )
    if callable(activation):
        made: Activation = activation
        return made
    raise TypeError(f"{begin}an activation is a name, a function or a module, got {activation!r}")
