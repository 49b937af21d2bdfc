"""Which samples are kept for validation."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["split_at"]


def split_at(rows: int, fraction: Any) -> int:
    """The first row of the last `fraction` of them; at least one row is left on each side."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.floating)):
        raise TypeError(f"fit: validation_split must be a number, got {fraction!r}")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fit: validation_split must lie in [0, 1), got {fraction}")
    at = rows - round(rows * fraction)
    if not 0 < at < rows:
        raise ValueError(f"fit: validation_split={fraction} of {rows} samples leaves one of the parts empty")
    return at
