"""Text that stands for objects at a prompt."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["block", "brief", "call", "changed", "kind", "settings_of", "short", "without_addresses"]


_WIDTH = 100


def call(value: Any, settings: Iterable[str], wrap: bool = False) -> str:
    """``Name(setting, ...)``, with the name of the value's type; if it is long, with `wrap`, in lines."""
    parts = list(settings)
    line = f"{type(value).__name__}({', '.join(parts)})"
    if not wrap or len(line) <= _WIDTH:
        return line
    return f"{type(value).__name__}(\n  " + ",\n  ".join(parts) + ",\n)"


def settings_of(value: Any, changed_only: bool = False) -> list[str]:
    """``name=value`` for each argument of the value's type that it keeps in an attribute of that name.

    With `changed_only`, those that differ from the argument's default.
    """
    found = []
    for name, parameter in inspect.signature(type(value).__init__).parameters.items():
        own = getattr(value, name, parameter.empty)
        if getattr(own, "__self__", None) is value:  # a method of that name, as in a LambdaCallback
            continue
        if own is parameter.empty or (changed_only and _same(own, parameter.default)):
            continue
        found.append(f"{name}={short(own)}")
    return found


def changed(kind: type, **settings: Any) -> list[str]:
    """``name=value`` for each of the `settings` that is not the default of `kind`'s argument of that name."""
    parameters = inspect.signature(kind).parameters
    return [
        f"{name}={short(value)}"
        for name, value in settings.items()
        if not _same(value, parameters[name].default)
    ]


def block(value: Any, parts: Iterable[tuple[str, Any]], settings: Iterable[str] = ()) -> str:
    """The value's type with its parts, one a line and named, those within parts further in."""
    lines = [f"({name}): {short(part)}" for name, part in parts] + list(settings)
    if not lines:
        return call(value, ())
    inner = "\n".join(lines).replace("\n", "\n  ")
    return f"{type(value).__name__}(\n  {inner}\n)"


def kind(value: Any) -> str:
    """The name of the value's type, or which class it is, as where an object is meant."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def short(value: Any) -> str:
    """`repr`, but the name of a function."""
    if callable(value) and hasattr(value, "__qualname__") and not isinstance(value, type):
        return str(value.__name__)
    return repr(value)


def brief(value: Any) -> str:
    """`repr` in one line, cut short if it is long: for errors, which may be about a whole array."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]} ..."


def without_addresses(text: str) -> str:
    """`text` without the places of objects in memory, which are others in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _same(own: Any, default: Any) -> bool:
    """Whether a setting is its default; an empty tuple, list or dict is as good as another."""
    return bool(own == default) or (not own and default in ((), [], {}))
