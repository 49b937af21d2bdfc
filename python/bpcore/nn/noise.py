"""Layers that are random in training mode and do nothing in inference mode.

Which numbers a call draws depends on the seed, the trainer's step, the path of the layer in its model and, if
the layer is called several times, on which call it is.
"""

from __future__ import annotations

import math
from typing import Any

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import number
from bpcore.nn.module import Module
from bpcore.symbolic import randomness
from bpcore.symbolic.operators import operand

__all__ = ["AlphaDropout", "Dropout", "GaussianNoise"]

# The limit of selu far below zero: λα of Klambauer et al. (2017), with the sign of the activation.
_LOWEST = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


class Dropout(Module):
    """x / (1 - rate), but 0 for each element with probability `rate`; `x` itself in inference mode.

    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014).
    Raises TypeError for a `rate` that is no number, ValueError outside [0, 1].
    """

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = randomness.check_rate("Dropout", rate)

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return randomness.dropout(x, self.rate, self._bpcore.path)

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"


class AlphaDropout(Module):
    """Dropout that keeps a mean of 0 and a variance of 1, for networks of selu; `x` in inference mode.

    With probability `rate`, an element becomes l = -λα, the least value of selu; then a·x + b brings mean and
    variance back, with a = ((1 - rate) (1 + rate l²))^-½ and b = -a·rate·l. With a rate of 1, all is 0.

    Source: G. Klambauer et al., Self-normalizing neural networks (2017). Raises as `Dropout` does.
    """

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = randomness.check_rate("AlphaDropout", rate)

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        x = operand(x, "AlphaDropout")
        if not randomness.trains(x) or self.rate == 0:
            return x
        _check_float("AlphaDropout", x)
        if self.rate == 1:
            return randomness.dropout(x, 1.0)
        kept = 1 - self.rate
        a = 1 / math.sqrt(kept * (1 + self.rate * _LOWEST**2))
        # a·x + b where kept, a·l + b elsewhere: in this form nothing but dropout needs the mask.
        moved = randomness.dropout(x - _LOWEST, self.rate, self._bpcore.path)
        return moved * (a * kept) + a * kept * _LOWEST

    def __repr__(self) -> str:
        return f"AlphaDropout({self.rate:g})"


class GaussianNoise(Module):
    """x + std · n with independent standard normal n; `x` itself in inference mode.

    The derivative by `x` is 1. Raises TypeError for a `std` that is no number, ValueError if it is negative
    or not finite.
    """

    def __init__(self, std: float) -> None:
        self.std = number("GaussianNoise", "std", std, least=0)

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        x = operand(x, "GaussianNoise")
        if not randomness.trains(x) or self.std == 0:
            return x
        _check_float("GaussianNoise", x)
        noise = randomness.draw("random_normal", x.shape, str(x.dtype), self._bpcore.path)
        return ops.add(x, self.std * noise)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.std:g})"


def _check_float(who: str, x: Any) -> None:
    if str(x.dtype) not in FLOATS:
        raise TypeError(f"{who}: x must hold floats, not {x.dtype}")
