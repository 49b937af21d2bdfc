"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.arrays import is_sparse
from bpcore.basics.settings import count
from bpcore.nn.affine import Affine
from bpcore.symbolic import operators
from bpcore.symbolic.sparse import SparseMatrix, SparseTensor, as_matrix

if TYPE_CHECKING:
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["Dense"]


class Dense(Affine):
    """activation(x @ weight + bias): `x` (..., in_features), result (..., units).

    As the first layer of a model it also takes a sparse matrix of SciPy's, (rows, in_features): of the weight
    and of its gradient, it reads and writes only the rows that an element of the input meets.

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

    _set_once = ("units",)
    _not_kept = ("in_features", *Affine._not_kept)

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
        self.units = count("Dense", "units", units, 1)
        if in_features is not None:
            in_features = count("Dense", "in_features", in_features, 1)
        super().__init__(
            (in_features, self.units),
            self.units,
            activation,
            use_bias=use_bias,
            kernel_init=kernel_init,
            bias_init=bias_init,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )

    @property
    def in_features(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.weight.sizes[0]

    def __call__(self, x: Any) -> Any:
        """`x` (..., in_features), result (..., units)."""
        if is_sparse(x):
            x = as_matrix(x, "Dense")
        elif not isinstance(x, SparseTensor):
            x = operators.operand(x, "Dense")
        if x.ndim == 0:
            raise ValueError(f"{self._title()}: expected input of shape (..., features), got a number")
        if self.in_features is None:
            self.weight.infer((x.shape[-1], self.units))
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{self._title()}: expected input of shape (..., {self.in_features}), got {x.shape}: "
                f"{x.shape[-1]} features instead of {self.in_features}"
            )
        if not isinstance(x, (SparseTensor, SparseMatrix)):
            x = self._converted(x)
        return self._activated(lambda fused: ops.dense(x, self.weight, self.bias, fused))

    def __repr__(self) -> str:
        sizes, options = (
            f"in_features={self.in_features}",
            texts.changed(Dense, use_bias=self.bias is not None),
        )
        return texts.call(self, [str(self.units), *self._activation(), sizes, *options])
