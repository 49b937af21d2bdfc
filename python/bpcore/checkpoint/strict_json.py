"""JSON as its standard has it, which knows no NaN and no infinity: these are written as objects."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["NUMBER", "dumps", "loads"]

NUMBER = "__number__"  # the only key of what stands for a number that is not finite


def dumps(value: Any) -> str:
    """`value` as text that any reader of JSON takes."""
    return json.dumps(_finite(value), allow_nan=False)


def loads(text: str) -> Any:
    """The inverse of `dumps`. ValueError for what is no JSON."""
    return json.loads(text, object_hook=_number)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {NUMBER: str(float(value))}
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


def _number(read: dict[str, Any]) -> Any:
    return float(read[NUMBER]) if set(read) == {NUMBER} and isinstance(read[NUMBER], str) else read
