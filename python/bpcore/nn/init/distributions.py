"""Random initial values of a spread that is given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bpcore._native import core
from bpcore.basics.settings import number
from bpcore.nn.init.common import Settings

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Normal", "TruncatedNormal", "Uniform"]

_SMALLEST_MASS = 1e-300  # less than that, and the interval's probabilities are subnormal


class Uniform(Settings):
    """Uniform between `low` and `high`.

    TypeError for what is not a number, ValueError for bounds that are not finite, too far apart for a
    float, or the wrong way round.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self.low = number("Uniform", "low", low)
        self.high = number("Uniform", "high", high)
        if self.low > self.high:
            raise ValueError(f"Uniform: low must not be above high, got low={low} and high={high}")
        number("Uniform", "high - low", self.high - self.low)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return self.low + (self.high - self.low) * core.random_uniform(shape, seed, stream)


class Normal(Settings):
    """Normal with this mean and standard deviation.

    TypeError for what is not a number, ValueError for what is not finite and for a negative deviation.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        self.mean = number("Normal", "mean", mean)
        self.std = number("Normal", "std", std, least=0)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return self.mean + self.std * core.random_normal(shape, seed, stream)


class TruncatedNormal(Settings):
    """Normal with mean `mean` and standard deviation `std`, given that it lies in [a, b].

    x = mean + std · Φ⁻¹(Φ(α) + u · (Φ(β) - Φ(α))) with α = (a - mean) / std, β = (b - mean) / std and u
    uniform in [0, 1), Φ being the normal distribution function. `std` is that before the tails are cut off:
    with the default bounds, what is left has a deviation of 0.8796 · std.

    Inverting Φ takes one number for each element, and a rounding of Φ moves a value by no more than that;
    drawing again whatever lies outside would turn it into another value altogether. Φ⁻¹ is that of Python's
    `statistics`: M. J. Wichura, Algorithm AS 241: The percentage points of the normal distribution (1988).

    Args:
        mean: of the normal distribution, not of what is left.
        std: of the normal distribution, above 0.
        a: lower bound, mean - 2 · std if None.
        b: upper bound, mean + 2 · std if None.

    TypeError for what is not a number; ValueError for what is not finite, a deviation that is not above 0,
    a ≥ b, and bounds so far from the mean (37 deviations) that floats can't tell their probability from 0.
    """

    def __init__(
        self, mean: float = 0.0, std: float = 1.0, a: float | None = None, b: float | None = None
    ) -> None:
        self.mean = number("TruncatedNormal", "mean", mean)
        self.std = number("TruncatedNormal", "std", std, above=0)
        self.a = number("TruncatedNormal", "a", self.mean - 2 * self.std if a is None else a)
        self.b = number("TruncatedNormal", "b", self.mean + 2 * self.std if b is None else b)
        if not self.a < self.b:
            raise ValueError(f"TruncatedNormal: a must be below b, got a={self.a} and b={self.b}")
        low, high, _ = self._probabilities()
        if high - low < _SMALLEST_MASS:
            raise ValueError(
                f"TruncatedNormal: [{self.a}, {self.b}] is too narrow, or too far from the mean {self.mean}, "
                f"for std={self.std}"
            )

    def _probabilities(self) -> tuple[float, float, float]:
        """Φ at both ends, and the sign to give to Φ⁻¹ of what lies between."""
        ends = (self.a - self.mean) / self.std, (self.b - self.mean) / self.std
        # Near 1, floats are too far apart for the upper tail: an interval there is drawn as its mirror image.
        sign = -1.0 if ends[0] > 0 else 1.0
        low, high = sorted(math.erfc(-sign * end / math.sqrt(2)) / 2 for end in ends)
        return low, high, sign

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        from statistics import NormalDist  # slow to import

        low, high, sign = self._probabilities()
        p = low + (high - low) * core.random_uniform(shape, seed, stream)
        # Φ⁻¹ takes what lies strictly between 0 and 1, and bounds many deviations away round to those.
        p = np.clip(p, np.finfo(np.float64).tiny, np.nextafter(1, 0))
        quantiles = np.fromiter(map(NormalDist().inv_cdf, p.flat), np.float64, p.size).reshape(shape)
        return np.clip(self.mean + sign * self.std * quantiles, self.a, self.b)
