"""The table that `Module.summary` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpcore.nn.module import Module
    from bpcore.nn.parameter import Variable

__all__ = ["table"]

_BYTES = {"float32": 4, "float64": 8}


def table(model: Module) -> str:
    """Layers with their output shapes (batch axis None) and numbers of parameters, then the totals."""
    from bpcore.nn.module import Module
    from bpcore.nn.parameter import Variable

    rows = [("layer", "output shape", "parameters")]
    counted: set[int] = set()
    for path, module in model.named_modules():
        children = [child for _, child in module.named_children()]
        own = [child for child in children if isinstance(child, Variable)]
        if not own and any(isinstance(child, Module) for child in children):
            continue  # a container: its layers have rows of their own
        name = f"{path or 'model'} ({type(module).__name__})"
        fresh = [each for each in own if not each.is_state and id(each) not in counted]
        counted.update(id(variable) for variable in fresh)
        rows.append((name, _shape(module._bpcore.output), _count(fresh)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:], rule, _totals(model), *_recomputation(model)])


def _shape(output: Any) -> str:
    if output is None:
        return "?"
    if isinstance(output, tuple) and all(isinstance(size, int) for size in output):
        return str((None, *output[1:])) if output else "()"
    parts = output.values() if isinstance(output, dict) else output
    return ", ".join(_shape(part) for part in parts)


def _count(variables: list[Variable]) -> str:
    if not all(variable.known for variable in variables):
        return "?"
    return f"{sum(math.prod(variable.shape) for variable in variables):,}"


def _recomputation(model: Module) -> list[str]:
    from bpcore.nn.recompute import saving

    found = saving(model)
    if found is None:
        return []
    held, if_kept = (f"{size / 2**20:,.1f} MiB" for size in (found.bytes, found.bytes_if_kept))
    return [f"recomputation: a training step of batch {found.batch} holds {held} instead of {if_kept}"]


def _totals(model: Module) -> str:
    variables = [variable for _, variable in model.named_variables()]
    parameters = [variable for variable in variables if not variable.is_state]
    frozen = [variable for variable in parameters if not getattr(variable, "trainable", True)]
    states = [variable for variable in variables if variable.is_state]
    line = f"{_count(parameters)} parameters"
    if frozen:
        line += f", {_count(frozen)} of them frozen"
    if states:
        line += f", {_count(states)} values of state"
    if parameters and all(variable.known for variable in parameters):
        dtype = parameters[0].dtype
        size = sum(math.prod(variable.shape) for variable in parameters) * _BYTES[dtype]
        line += f" ({size / 1024:,.1f} KiB in {dtype})"
    return line
