"""Convolutions of signals and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.settings import count
from bpcore.basics.signatures import own_init
from bpcore.nn.convolution.common import Sliding, check_groups

if TYPE_CHECKING:
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["Conv1D", "Conv2D"]


class _Conv(Sliding):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        activation: Any = None,
        *,
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
        if in_channels is not None:
            in_channels = count(who, "in_channels", in_channels, 1)
        self.groups = check_groups(who, groups, in_channels, self.filters)
        channels = None if in_channels is None else in_channels // self.groups
        super().__init__(
            (*self.kernel_size, channels, self.filters),
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
        channels = self.weight.sizes[-2]
        return None if channels is None else channels * self.groups

    def _infer(self, channels: int) -> None:
        check_groups(self._title(), self.groups, channels, self.filters)
        self.weight.infer((*self.kernel_size, channels // self.groups, self.filters))

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., in_channels), result (batch, ..., filters)."""
        x = self._checked(x)
        self._check_fit(x)
        function = ops.conv2d if self._axes == 2 else ops.conv1d
        return self._activated(
            lambda fused: function(
                x,
                self.weight,
                self.bias,
                strides=self.strides,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                activation=fused,
            )
        )

    def __repr__(self) -> str:
        options = texts.changed(_Conv, groups=self.groups, use_bias=self.bias is not None)
        return self._show([self.filters], options)


@own_init
class Conv2D(_Conv):
    """activation(x * weight + bias), the weight sliding over images; see `ops.conv2d` for the formula.

    `x` (batch, height, width, in_channels), result (batch, output height, output width, filters), with an
    output height, and likewise a width, of floor((height + padding - (dilation · (kernel - 1) + 1)) / stride)
    + 1. Integer and bool input is converted to the model's dtype.

    Source: Y. LeCun et al., Backpropagation applied to handwritten zip code recognition (1989).

    Parameters: `weight` (kernel height, kernel width, in_channels / groups, filters), `bias` (filters,).

    Args:
        filters: size of the output's last axis.
        kernel_size: an integer or (height, width).
        strides: from an output to the next, an integer or (vertical, horizontal).
        padding: "valid" for none; "same" for ceil(height / stride) and ceil(width / stride) outputs, with the
            odd row below and the odd column on the right (TensorFlow's rule); an integer for all sides; or
            one entry for the height and one for the width, each an integer or a pair (before, after).
        activation: as for `nn.Dense`.
        dilation: distance of a kernel's elements, an integer or a pair.
        groups: a divisor of in_channels and filters; a group of filters sees its group of channels alone.
        in_channels: size of the input's last axis; taken from the first input if None.
        use_bias: False leaves the bias out.
        kernel_init: as for `nn.Dense`; a kernel's fans are its extent times its channels, and its filters.
        bias_init: initial bias.
        kernel_regularizer, bias_regularizer: terms of the loss, as `nn.L2(1e-4)`.
        kernel_constraint, bias_constraint: what holds after each update, as `nn.MaxNorm(3)`.

    Raises ValueError for values out of range, unknown names, and input that doesn't fit or is smaller than
    the kernel; TypeError for sizes that are not integers.
    """

    _axes = 2


@own_init
class Conv1D(_Conv):
    """activation(x * weight + bias), the weight sliding over signals.

    `x` (batch, time, in_channels), result (batch, output time, filters). To let no output see what comes
    after it, pad in front alone: ``padding=[(dilation * (kernel_size - 1), 0)]``.

    Parameters: `weight` (kernel, in_channels / groups, filters), `bias` (filters,).

    Arguments and errors as for `nn.Conv2D`, with one axis.
    """

    _axes = 1
