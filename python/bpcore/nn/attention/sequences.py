"""What the layers of this package ask of their input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.symbolic import operators, tracing

if TYPE_CHECKING:
    from bpcore.nn.module import Module

__all__ = ["sequence"]


def sequence(layer: Module, name: str, x: Any, width: int | None) -> Any:
    """`x` as a float tensor (batch, time, width); ValueError, naming `layer`, if it is of another shape."""
    item = operators.operand(x, type(layer).__name__)
    if item.ndim != 3 or (width is not None and item.shape[2] != width):
        expected = "features" if width is None else width
        raise ValueError(
            f"{layer._title()}: expected {name} of shape (batch, time, {expected}), got {item.shape}"
        )
    if str(item.dtype) in FLOATS:
        return item
    trace = tracing.current()
    return ops.cast(item, (trace.dtype if trace is not None else None) or "float32")
