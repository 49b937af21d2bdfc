"""Transposed convolutions, which make signals and images larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.settings import count
from bpcore.basics.signatures import own_init
from bpcore.nn.convolution.common import Sliding, check_groups, short
from bpcore.ops import windows
from bpcore.ops.convolution import check_output_padding, transposed_size

if TYPE_CHECKING:
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["ConvTranspose1D", "ConvTranspose2D"]


class _ConvTranspose(Sliding):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        activation: Any = None,
        *,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        in_channels: int | None = None,
        use_bias: bool = True,
        kernel_init: Any = None,
        bias_init: Any = "zeros",
        kernel_regularizer: Regularizer | None = None,
        bias_regularizer: Regularizer | None = None,
        kernel_constraint: Constraint | None = None,
        bias_constraint: Constraint | None = None,
    ) -> None:
        who = type(self).__name__
        self.filters = count(who, "filters", filters, 1)
        self._set_window(kernel_size, strides, padding, dilation)
        self.output_padding = windows.per_axis(who, "output_padding", output_padding, self._axes, least=0)
        check_output_padding(who, self.output_padding, self.strides, self.padding)
        if in_channels is not None:
            in_channels = count(who, "in_channels", in_channels, 1)
        self.groups = check_groups(who, groups, in_channels, self.filters)
        super().__init__(
            (*self.kernel_size, self.filters // self.groups, in_channels),
            self.filters,
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
    def in_channels(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.weight.sizes[-1]

    def _infer(self, channels: int) -> None:
        check_groups(self._title(), self.groups, channels, self.filters)
        self.weight.infer((*self.kernel_size, self.filters // self.groups, channels))

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., in_channels), result (batch, ..., filters)."""
        x = self._checked(x)
        transposed_size(
            self._title(),
            x.shape[1:-1],
            self.kernel_size,
            self.strides,
            self.padding,
            self.output_padding,
            self.dilation,
        )
        function = ops.conv_transpose2d if self._axes == 2 else ops.conv_transpose1d
        return self._activated(
            lambda fused: function(
                x,
                self.weight,
                self.bias,
                strides=self.strides,
                padding=self.padding,
                output_padding=self.output_padding,
                dilation=self.dilation,
                groups=self.groups,
                activation=fused,
            )
        )

    def __repr__(self) -> str:
        options = texts.changed(
            _ConvTranspose,
            output_padding=short(self.output_padding),
            groups=self.groups,
            use_bias=self.bias is not None,
        )
        return self._show([self.filters], options)


@own_init
class ConvTranspose2D(_ConvTranspose):
    """activation(t(x) + bias), where t is the transpose of a convolution; see `ops.conv_transpose2d`.

    `x` (batch, height, width, in_channels), result (batch, output height, output width, filters). As in
    PyTorch, the output height, and likewise the width, is (height - 1) · stride - padding + dilation ·
    (kernel - 1) + 1 + output_padding; with padding "same" it is height · stride. Integer and bool input is
    converted to the model's dtype.

    Source: M. D. Zeiler, D. Krishnan, G. W. Taylor and R. Fergus, Deconvolutional networks (2010).

    Parameters: `weight` (kernel height, kernel width, filters / groups, in_channels), `bias` (filters,).

    Args:
        filters: size of the output's last axis.
        kernel_size: an integer or (height, width).
        strides: from one element of the input to the next, in elements of the output.
        padding: as for `nn.Conv2D`: what the convolution that is transposed adds around its input, and this
            one cuts off.
        activation: as for `nn.Dense`.
        output_padding: rows below and columns on the right that the convolution's stride would leave out, an
            integer or a pair, below the stride.
        dilation, groups, in_channels, use_bias: as for `nn.Conv2D`.
        kernel_init: as for `nn.Dense`; its fans are those of the convolution that is transposed, as in
            PyTorch.
        bias_init: initial bias.
        kernel_regularizer, bias_regularizer: terms of the loss, as `nn.L2(1e-4)`.
        kernel_constraint, bias_constraint: what holds after each update, as `nn.MaxNorm(3)`.

    Raises ValueError for values out of range, unknown names, input that doesn't fit, and padding that leaves
    nothing; TypeError for sizes that are not integers.
    """

    _axes = 2


@own_init
class ConvTranspose1D(_ConvTranspose):
    """activation(t(x) + bias), where t is the transpose of a convolution, for signals.

    `x` (batch, time, in_channels), result (batch, output time, filters).

    Parameters: `weight` (kernel, filters / groups, in_channels), `bias` (filters,).

    Arguments and errors as for `nn.ConvTranspose2D`, with one axis.
    """

    _axes = 1
