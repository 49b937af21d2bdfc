"""Classes that share an `__init__`, each under its own name."""

from __future__ import annotations

from types import FunctionType
from typing import Any, TypeVar

__all__ = ["own_init"]

AnyType = TypeVar("AnyType", bound=type[Any])


def own_init(kind: AnyType) -> AnyType:
    """Decorates a class that inherits its `__init__` from one that callers don't know: makes it its own.

    Python names a function where arguments don't fit it: ``Conv2D.__init__() got an unexpected keyword
    argument`` is of help, ``_Conv.__init__() ...`` is not.
    """
    inherited: Any = kind.__init__
    init = FunctionType(
        inherited.__code__, inherited.__globals__, "__init__", inherited.__defaults__, inherited.__closure__
    )
    init.__kwdefaults__ = inherited.__kwdefaults__
    init.__annotations__ = inherited.__annotations__
    init.__module__ = kind.__module__
    init.__qualname__ = f"{kind.__qualname__}.__init__"
    kind.__init__ = init
    return kind
