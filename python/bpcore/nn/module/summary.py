"""The table that `Module.summary` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bpcore.nn.module import Module
    from bpcore.nn.module.cost import Forward, Step
    from bpcore.nn.module.parameter import Variable

__all__ = ["parameters_of", "table"]

_BYTES = {"float32": 4, "float64": 8}


_WIDTH = 100  # columns that a table should fit into
_LEAST = 28  # what long names are cut down to for that, no further


def table(model: Module) -> str:
    """Layers with output shapes (batch axis None), parameters and costs for a sample, then the totals."""
    from bpcore.nn.module import cost  # which needs modules itself

    inference = cost.forward(model)
    found = list(_rows(model, inference))
    outputs = None if inference is None else sum(inference.bytes[place] for place, _ in found)
    rows = [("layer", "output shape", "parameters", "FLOPs", "bytes"), *(row for _, row in found)]
    rest = sum(max(len(row[i]) for row in rows) + 2 for i in range(1, 5))
    names = max(_LEAST, _WIDTH - rest)
    rows = [(_shortened(row[0], names), *row[1:]) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join([f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
                  + [f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)])
        for row in rows
    ]  # fmt: skip
    rule = "-" * len(lines[0])
    ends = [_totals(model), *_costs(inference, outputs, cost.training_step(model)), *_recomputation(model)]
    return "\n".join([lines[0], rule, *lines[1:], rule, *ends])


def _rows(model: Module, inference: Forward | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The path, in the whole that the model may be a part of, and the cells of each layer."""
    from bpcore.nn.module import Module
    from bpcore.nn.module.parameter import Variable
    from bpcore.nn.recurrent.cells import Cell

    def is_inner(module: object) -> bool:
        """Whether `module` only holds the parameters of a recurrent layer, which has the row."""
        return isinstance(module, Cell) and module is not model and module._bpcore.output is None

    counted: set[int] = set()
    for path, module in model.named_modules():
        children = [child for _, child in module.named_children()]
        parts = [child for child in children if isinstance(child, Module) and not is_inner(child)]
        own = [child for child in children if isinstance(child, Variable)]
        for cell in children:
            if isinstance(cell, Module) and is_inner(cell):
                own += [variable for _, variable in cell.named_variables()]
        place = module._bpcore.path
        flops = None if inference is None else inference.flops.get(place, 0)
        if is_inner(module) or (parts and not own and not flops):
            continue  # of a container that computes nothing itself, the layers have rows
        fresh = [each for each in own if not each.is_state and id(each) not in counted]
        counted.update(id(variable) for variable in fresh)
        size = None if inference is None else inference.bytes[place]
        name = f"{path or 'model'} ({type(module).__name__})"
        shape = _shape(module._bpcore.output)
        yield place, (name, shape, _count(fresh), _number(flops), _number(size))


def _shortened(name: str, most: int) -> str:
    """`name` in so many characters, its middle left out."""
    if len(name) <= most:
        return name
    end = (most - 1) * 2 // 3  # the layer's own name and type stand there
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


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


def _costs(inference: Forward | None, outputs: int | None, step: Step | None) -> list[str]:
    """What a sample costs, in inference, with so many bytes of layers' outputs, and in training."""
    if inference is None or outputs is None:
        return ["? FLOPs a sample, which a call, build or training with arrays tells"]
    lines = [f"a sample: {sum(inference.flops.values()):,} FLOPs, {_memory(outputs)} of outputs"]
    if step is not None:
        held = f"{_memory(step.bytes)} held in a batch of {step.batch}"
        lines.append(f"a sample in training: {step.flops:,} FLOPs, forwards and backwards, {held}")
    return lines


def _memory(size: float) -> str:
    """Bytes in the largest unit that there is at least one of, once rounded."""
    if size < 1024:
        return f"{size:,.0f} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if round(size, 1) < 1024:
            return f"{size:,.1f} {unit}"
    return f"{size / 1024:,.1f} GiB"


def _recomputation(model: Module) -> list[str]:
    from bpcore.nn.recompute import saving

    found = saving(model)
    if found is None:
        return []
    held, if_kept = (f"{size / 2**20:,.1f} MiB" for size in (found.bytes, found.bytes_if_kept))
    return [f"recomputation: a training step of batch {found.batch} holds {held} instead of {if_kept}"]


def parameters_of(model: Module) -> str:
    """The number of `model`'s parameters, "?" while it isn't known."""
    return _count([variable for _, variable in model.named_variables() if not variable.is_state])


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
        line += f" ({_memory(size)} in {dtype})"
    return line
