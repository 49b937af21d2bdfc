"""Random numbers: functions of the seed, the trainer's step, the number of the call in its trace, and the
element's index. Two calls outside of any trace draw the same numbers.
"""

from __future__ import annotations

from typing import Any

from bpcore.symbolic import randomness

__all__ = ["dropout", "random_normal", "random_uniform"]


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
