"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops, tensor
from bpcore.arrays import FLOATS
from bpcore.nn import activations
from bpcore.nn.module import Module
from bpcore.nn.parameter import Parameter

if TYPE_CHECKING:
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["Dense"]

# What the core computes in the same pass as the product.
_FUSED = {"relu": ops.relu, "sigmoid": ops.sigmoid, "tanh": ops.tanh}


class Dense(Module):
    """activation(x @ weight + bias): `x` (..., in_features), result (..., units).

    Parameters: `weight` (in_features, units), `bias` (units,). Integer and bool input is converted to the
        model's dtype.

    Args:
        units: size of the output's last axis.
        activation: None, a name ("relu", "gelu", "tanh", ...: those of `bpcore.activations`), a function of a
            tensor, or a module. "glu" and "swiglu" halve the units.
        in_features: size of the input's last axis; taken from the first input if None.
        use_bias: False leaves the bias out.
        kernel_init: initial weight (see `nn.Parameter`). Unless given, He normal with relu and what is shaped
            like it (relu6, leaky_relu, prelu, elu, celu, gelu, silu, mish, hard_swish), LeCun normal with
            selu, else Glorot uniform.
        bias_init: initial bias.
        kernel_regularizer, bias_regularizer: terms of the loss, as `nn.L2(1e-4)`.
        kernel_constraint, bias_constraint: what holds after each update, as `nn.MaxNorm(3)`.

    Raises ValueError for sizes below 1 and unknown names, TypeError for sizes that are not integers.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        *,
        in_features: int | None = None,
        use_bias: bool = True,
        kernel_init: Any = None,
        bias_init: Any = "zeros",
        kernel_regularizer: Regularizer | None = None,
        bias_regularizer: Regularizer | None = None,
        kernel_constraint: Constraint | None = None,
        bias_constraint: Constraint | None = None,
    ) -> None:
        _check_count("units", units)
        if in_features is not None:
            _check_count("in_features", in_features)
        self.units = int(units)
        self.activation = activations.resolve(activation)
        if kernel_init is None:
            kernel_init = activations.kernel_init(self.activation)
        self.weight = Parameter(
            (in_features, units),
            kernel_init,
            regularizer=kernel_regularizer,
            constraint=kernel_constraint,
        )
        self.bias = (
            Parameter(units, bias_init, regularizer=bias_regularizer, constraint=bias_constraint)
            if use_bias
            else None
        )

    @property
    def in_features(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.weight.sizes[0]

    def __call__(self, x: Any) -> Any:
        """`x` (..., in_features), result (..., units)."""
        x = tensor.operand(x, "Dense")
        if x.ndim == 0:
            raise ValueError(f"{self._title()}: expected input of shape (..., features), got a number")
        if self.in_features is None:
            self.weight.infer((x.shape[-1], self.units))
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{self._title()}: expected input of shape (..., {self.in_features}), got {x.shape}: "
                f"{x.shape[-1]} features instead of {self.in_features}"
            )
        if str(x.dtype) not in FLOATS:
            x = ops.cast(x, self.weight.dtype)
        fused = next((name for name, function in _FUSED.items() if function is self.activation), None)
        if fused is not None or self.activation is None:
            return ops.dense(x, self.weight, self.bias, fused)
        return self.activation(ops.dense(x, self.weight, self.bias))

    def __repr__(self) -> str:
        return f"Dense({self.units}, in_features={self.in_features})"


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"Dense: {name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"Dense: {name} must be at least 1, got {value}")
