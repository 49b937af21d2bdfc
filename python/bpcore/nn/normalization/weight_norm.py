"""Weight normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.nn.module import Module, build
from bpcore.nn.module.parameter import Parameter
from bpcore.symbolic import operators, tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bpcore.basics.arrays import Array
    from bpcore.nn.module.parameter import Variable

__all__ = ["WeightNorm"]


class WeightNorm(Module):
    """`layer` with ``weight = weight_g · weight_v / ||weight_v||``: length and direction are trained apart.

    The norm is that of each output unit: over all axes of the weight but the last. Initially, weight_g is the
    norm, so that nothing changes. A unit whose weight_v becomes 0 has the weight 0.

    Source: T. Salimans and D. P. Kingma, Weight normalization: a simple reparameterization to accelerate
    training of deep neural networks (2016).

    Parameters: `weight_v`, which is the layer's own `weight` (..., out), its initial values and all;
        `weight_g` (out,); then the layer's others, as ``layer.bias``.

    Args:
        layer: a module with a parameter `weight` of shape (..., out), as `nn.Dense`.

    Raises TypeError for anything else. Where parameters come to be: ValueError for a unit whose weight is all
    zero at the start.
    """

    def __init__(self, layer: Any) -> None:
        weight = getattr(layer, "weight", None)
        if not isinstance(layer, Module) or not isinstance(weight, Parameter) or len(weight.sizes) < 2:
            raise TypeError(
                f"WeightNorm: expected a module with a parameter weight of shape (..., out), got {layer!r}"
            )
        self.weight_g = Parameter(weight.sizes[-1:], _InitialNorm(weight))
        self.layer: Any = layer

    @property
    def weight_v(self) -> Parameter:
        """The directions: the layer's own parameter `weight`."""
        weight: Parameter = self.layer.weight
        return weight

    def named_children(self) -> Iterator[tuple[str, Module | Variable]]:
        """weight_v, weight_g, and the layer with the rest of its parts."""
        yield "weight_v", self.weight_v
        yield from super().named_children()

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What the layer makes of its arguments."""
        trace = tracing.current()
        if trace is None:
            raise RuntimeError("WeightNorm: only inside of a traced function")
        if not self.weight_v.known:  # a trace that finds sizes; nothing is computed
            output = self.layer(*inputs, **options)
            self.weight_g.infer(self.weight_v.shape[-1:])
            return output
        weight = self._weight()
        with trace.replaced(self.weight_v, weight.node):
            return self.layer(*inputs, **options)

    def _weight(self) -> Any:
        """weight_g · weight_v / ||weight_v||, also where squares of weight_v overflow or vanish.

        The largest element is divided by first. The result does not depend on that, so neither do its
        derivatives.
        """
        axes = range(len(self.weight_v.shape) - 1)
        v = operators.operand(self.weight_v, "WeightNorm")
        largest = ops.max(ops.abs(ops.stop_gradient(v)), axes, keepdims=True)
        v = v / ops.where(largest > 0, largest, 1)
        square = ops.sum(v * v, axes)
        return v * (self.weight_g / ops.sqrt(ops.where(square > 0, square, 1)))

    def __repr__(self) -> str:
        return f"WeightNorm({self.layer!r})"


class _InitialNorm:
    """The initializer of weight_g: the norms of the initial `weight`."""

    def __init__(self, weight: Parameter) -> None:
        self._weight = weight

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        weight = build.value_of(self._weight, seed, "float64").astype(np.float64).reshape(-1, *shape)
        largest = np.abs(weight).max(axis=0)
        if not largest.all():
            raise ValueError(
                f"WeightNorm: unit {int(np.argmin(largest))} of {self._weight!r} has a weight of 0 at the "
                "start, which has no direction; draw initial values, or leave the layer as it is"
            )
        norm: Array = largest * np.sqrt(np.square(weight / largest).sum(axis=0))
        return norm
