"""Numbers that functions and modules are given as settings, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["number"]


def number(
    who: str, name: str, value: Any, *, least: float | None = None, above: float | None = None
) -> float:
    """`value` as a finite float, at least `least` or greater than `above` where one is given.

    Raises TypeError for what is no number (bools are none), ValueError for one out of range and for NaN.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    given = float(value)
    fits = math.isfinite(given) and (least is None or given >= least) and (above is None or given > above)
    if not fits:
        limit = "" if least is None else f" and at least {least:g}"
        limit += "" if above is None else f" and above {above:g}"
        raise ValueError(f"{who}: {name} must be finite{limit}, got {value}")
    return given
