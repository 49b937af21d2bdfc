"""What bpcore itself keeps with a module, beside the attributes that the module is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics.cache import PlanCache

if TYPE_CHECKING:
    from bpcore.nn.module.calling import Compiled
    from bpcore.nn.module.quick import Quick

__all__ = ["Kept", "Runtime"]


class Runtime:
    """Not copied with the module."""

    def __init__(self, owner: str) -> None:
        self.stamp = object()  # another one each time an attribute is set
        self.path = ""  # its name in the model it was last packed into
        self.built = False  # whether all parameters below it exist
        self.output: Any = None  # its output's shape when it was last traced
        self.inputs: list[tuple[tuple[int, ...], str]] = []  # shapes and dtypes, if all were tensors
        self.plans: PlanCache[Compiled] = PlanCache(32, owner)
        self.quick: Quick | None = None  # the way of the last call, where there is a short one


class Kept:
    """The attribute that holds a module's `Runtime`, which is made when it is first asked for.

    So a module needs neither a `__new__` nor an `__init__` for it, and Python refuses arguments that a class
    without an `__init__` is given. From then on it is in the module's `__dict__`, which comes first.
    """

    def __get__(self, module: Any, kind: type | None = None) -> Runtime:
        if module is None:
            raise AttributeError("_bpcore belongs to a module, not to its class")
        made: Runtime = vars(module).setdefault("_bpcore", Runtime(type(module).__name__))
        return made
