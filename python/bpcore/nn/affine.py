"""What layers of the form activation(linear(x, weight) + bias) share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.arrays import FLOATS
from bpcore.nn import activations
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore.nn.activations import Activation
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["Affine"]

# What the core computes in the same pass as the product.
_FUSED = {"relu": ops.relu, "sigmoid": ops.sigmoid, "tanh": ops.tanh}


class Affine(Module):
    """A layer with a weight, a bias unless it is left out, and an activation.

    Args:
        shape: of the weight; None for sizes that the first input tells.
        units: size of the bias, None for one that the first input tells.
        activation, ...: see `nn.Dense`.
    """

    _not_kept: ClassVar[tuple[str, ...]] = (
        "use_bias", "kernel_init", "bias_init", "kernel_regularizer", "bias_regularizer", "kernel_constraint",
        "bias_constraint",
    )  # fmt: skip

    activation: Activation | None
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        shape: Sequence[int | None],
        units: int | None,
        activation: Any,
        *,
        use_bias: bool,
        kernel_init: Any,
        bias_init: Any,
        kernel_regularizer: Regularizer | None,
        bias_regularizer: Regularizer | None,
        kernel_constraint: Constraint | None,
        bias_constraint: Constraint | None,
    ) -> None:
        self.activation = activations.resolve(activation, type(self).__name__)
        if kernel_init is None:
            kernel_init = activations.kernel_init(self.activation)
        self.weight = Parameter(
            shape, kernel_init, regularizer=kernel_regularizer, constraint=kernel_constraint
        )
        self.bias = (
            Parameter((units,), bias_init, regularizer=bias_regularizer, constraint=bias_constraint)
            if use_bias
            else None
        )

    def _converted(self, x: Any) -> Any:
        """Integers and bools in the model's dtype."""
        return x if str(x.dtype) in FLOATS else ops.cast(x, self.weight.dtype)

    def _activation(self) -> list[str]:
        """What `repr` says of it."""
        return [] if self.activation is None else [f"activation={texts.short(self.activation)}"]

    def _activated(self, linear: Callable[[str | None], Any]) -> Any:
        """`linear` gives what comes before the activation, or behind the one that it is called with."""
        fused = next((name for name, function in _FUSED.items() if function is self.activation), None)
        if fused is not None or self.activation is None:
            return linear(fused)
        return self.activation(linear(None))
