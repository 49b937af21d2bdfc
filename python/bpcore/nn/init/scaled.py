"""Random initial values whose spread follows from a weight's fans: see `fans`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from bpcore._native import core
from bpcore.basics.settings import choice, number
from bpcore.basics.signatures import own_init
from bpcore.nn.init.common import Settings, fans

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"]


class _Scaled(Settings):
    def _root(self, shape: tuple[int, ...], times: int) -> float:
        """The square root of so many times the variance."""
        raise NotImplementedError


class _Uniform(_Scaled):
    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        limit = self._root(shape, 3)
        return limit * (2 * core.random_uniform(shape, seed, stream) - 1)


class _Normal(_Scaled):
    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return self._root(shape, 1) * core.random_normal(shape, seed, stream)


class _Glorot(_Scaled):
    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(type(self).__name__, "gain", gain, least=0)

    def _root(self, shape: tuple[int, ...], times: int) -> float:
        return self.gain * math.sqrt(times * 2 / max(1, sum(fans(shape))))


class _He(_Scaled):
    def __init__(self, negative_slope: float = 0.0, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
        self.negative_slope = number(type(self).__name__, "negative_slope", negative_slope)
        self.mode = choice(type(self).__name__, "mode", mode, ("fan_in", "fan_out"))

    def _root(self, shape: tuple[int, ...], times: int) -> float:
        fan = fans(shape)[self.mode == "fan_out"]
        return math.sqrt(times * 2 / max(1, fan)) / math.hypot(1, self.negative_slope)


class _Lecun(_Scaled):
    def _root(self, shape: tuple[int, ...], times: int) -> float:
        return math.sqrt(times / max(1, fans(shape)[0]))


@own_init
class GlorotUniform(_Glorot, _Uniform):
    """Uniform in ±gain · sqrt(6 / (fan_in + fan_out)).

    X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).
    TypeError if `gain` is not a number, ValueError if it is negative or not finite.
    """


@own_init
class GlorotNormal(_Glorot, _Normal):
    """Normal with standard deviation gain · sqrt(2 / (fan_in + fan_out)); see `GlorotUniform`."""


@own_init
class HeUniform(_He, _Uniform):
    """Uniform in ±sqrt(6 / ((1 + negative_slope²) · fan)), for layers before a (leaky) relu.

    K. He et al., Delving deep into rectifiers (2015).

    Args:
        negative_slope: that of the leaky relu, 0 for relu.
        mode: "fan_in" keeps the variance of activations from layer to layer, "fan_out" that of gradients.

    TypeError if `negative_slope` is not a number, ValueError if it is not finite and for other modes.
    """


@own_init
class HeNormal(_He, _Normal):
    """Normal with standard deviation sqrt(2 / ((1 + negative_slope²) · fan)); see `HeUniform`."""


class LecunUniform(_Lecun, _Uniform):
    """Uniform in ±sqrt(3 / fan_in).

    Y. LeCun et al., Efficient backprop (1998).
    """


class LecunNormal(_Lecun, _Normal):
    """Normal with standard deviation sqrt(1 / fan_in); see `LecunUniform`.

    Selu wants this one: G. Klambauer et al., Self-normalizing neural networks (2017).
    """
