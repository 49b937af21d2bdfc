"""What may become of a module's attributes once they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.nn.module.parameter import Variable
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from bpcore.nn.module import Module

__all__ = ["check_change"]


def check_change(module: Module, name: str, value: Any) -> None:
    """TypeError where a parameter or a state would be gone without a word, an array being in its place.

    Another one may follow it, as for tying, and None, for a layer that then does without. AttributeError for
    a setting that only counts while the layer is made.
    """
    _check_setting(module, name, value)
    old = vars(module).get(name)
    if isinstance(old, Variable) and value is not None and not isinstance(value, Variable):
        what = f"{module._title()}: {name} is the {old!r}, which can't be replaced by {_kind(value)}"
        if isinstance(value, Tensor):
            update = f", or call {name}.update(...) for its next value" if old.is_state else ""
            raise TypeError(f"{what}; give the tensor another name{update}")
        place = repr(old.name) if old.name else "name"
        way = "" if old.is_state else f", or model.parameters[{place}][...] = values"
        raise TypeError(f"{what}; write in place: {name}.value[...] = values{way}")


def _check_setting(module: Module, name: str, value: Any) -> None:
    kind = type(module)
    if name in kind._set_once:
        of_no_effect = name in vars(module) and vars(module)[name] != value
    else:  # a subclass of somebody else's may keep it
        of_no_effect = name in kind._not_kept and kind.__module__.startswith("bpcore.")
    if of_no_effect:
        raise AttributeError(
            f"{module._title()}: {name} counts only while the layer is made, and can't be changed; "
            "make a new layer"
        )


def _kind(value: Any) -> str:
    """A word for what was to take the place."""
    return "an array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
