"""Less memory for more arithmetic: values computed again in the backward pass instead of kept for it."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import ops
from bpcore._native import core
from bpcore.basics import texts, tree
from bpcore.basics.arrays import FLOATS
from bpcore.nn.module import Module
from bpcore.nn.module.calling import storage_of
from bpcore.symbolic import tracing
from bpcore.symbolic.autodiff import gradients_of
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recompute", "Saving", "saving"]


class Recompute(Module):
    """`module`, of which only the inputs are kept for the backward pass; all within is computed once more.

    Values, gradients and random numbers are those of `module` to the bit. A chain of n equal blocks, each in
    a `Recompute`, keeps n inputs and the inside of one block, at the price of one more forward pass.
    `Module.summary` says what it saves, once the model has been called.

    Source: T. Chen et al., Training Deep Nets with Sublinear Memory Cost (2016).

    Args:
        module: a module, or a function of tensors that touches no parameters but its own modules'.
    """

    def __init__(self, module: Callable[..., Any]) -> None:
        if isinstance(module, type) or not callable(module):
            raise TypeError(f"Recompute: expected a module or a function, got {module!r}")
        self.module = module

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What `module` makes of the inputs."""
        trace = tracing.current() or next((x.trace for x in inputs if isinstance(x, Tensor)), None)
        begin = 0 if trace is None else len(trace.graph)
        output = self.module(*inputs, **options)
        if trace is not None and trace.recomputing:
            trace.graph.recompute(begin, len(trace.graph))
        return output

    def __repr__(self) -> str:
        return texts.call(self, [texts.short(self.module)])


class Saving(NamedTuple):
    """Bytes that a training step holds beside parameters, for a batch."""

    batch: int
    bytes: int
    bytes_if_kept: int  # without any `Recompute`


def saving(model: Module) -> Saving | None:
    """What `Recompute` saves in `model`, on inputs like those of its last call; None if that isn't known.

    The step is taken to minimise the sum of the outputs that are floats.
    """
    inputs = model._bpcore.inputs
    storage = storage_of(model)
    if not inputs or storage is None or not any(isinstance(m, Recompute) for _, m in model.named_modules()):
        return None

    def held(recomputing: bool) -> int | None:
        with Trace(training=True, storage=storage, recomputing=recomputing) as trace:
            output = model(*(Tensor(trace, trace.graph.input(shape, kind)) for shape, kind in inputs))
            leaves = [leaf for leaf in tree.leaves(output) if isinstance(leaf, Tensor)]
            sums = [ops.sum(leaf) for leaf in leaves if leaf.dtype in FLOATS]
            if not sums:
                return None
            total = functools.reduce(operator.add, sums)
            parameters = trace.parameters()
            found = gradients_of(total, [Tensor(trace, node) for _, node in parameters], trace)
            ends = [(leaf.slot, g.node) for (leaf, _), g in zip(parameters, found, strict=True)]
        return core.Plan(trace.graph, [total.node], ends, True).arena_bytes

    shape, least, most = inputs[0][0], held(True), held(False)
    return Saving(shape[0] if shape else 1, least, most) if least is not None and most is not None else None
