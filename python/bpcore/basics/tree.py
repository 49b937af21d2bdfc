"""Nested tuples, lists and dicts of values, taken apart and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["leaves", "rebuild"]


def leaves(value: Any) -> list[Any]:
    """Everything in `value` that isn't a tuple, list or dict itself, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for each in value for leaf in leaves(each)]
    return [value]


def rebuild(value: Any, replace: Callable[[Any], Any]) -> Any:
    """`value` with each of its `leaves` replaced, in the same order."""
    if isinstance(value, dict):
        return {key: rebuild(each, replace) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [rebuild(each, replace) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return replace(value)
