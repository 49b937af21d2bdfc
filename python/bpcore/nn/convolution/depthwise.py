"""Convolutions of each channel by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.settings import count
from bpcore.basics.signatures import own_init
from bpcore.nn.convolution.common import Sliding

if TYPE_CHECKING:
    from bpcore.nn.penalties import Constraint, Regularizer

__all__ = ["DepthwiseConv1D", "DepthwiseConv2D"]


class _Depthwise(Sliding):
    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        activation: Any = None,
        *,
        depth_multiplier: int = 1,
        dilation: Any = 1,
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
        self.depth_multiplier = count(who, "depth_multiplier", depth_multiplier, 1)
        self._set_window(kernel_size, strides, padding, dilation)
        filters = None
        if in_channels is not None:
            filters = count(who, "in_channels", in_channels, 1) * self.depth_multiplier
        super().__init__(
            (*self.kernel_size, 1, filters),
            filters,
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
        filters = self.weight.sizes[-1]
        return None if filters is None else filters // self.depth_multiplier

    def _infer(self, channels: int) -> None:
        filters = channels * self.depth_multiplier
        self.weight.infer((*self.kernel_size, 1, filters))
        if self.bias is not None:
            self.bias.infer((filters,))

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., in_channels), result (batch, ..., in_channels · depth_multiplier)."""
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
                groups=x.shape[-1],
                activation=fused,
            )
        )

    def __repr__(self) -> str:
        multiplier, biased = self.depth_multiplier, self.bias is not None
        return self._show([], texts.changed(_Depthwise, depth_multiplier=multiplier, use_bias=biased))


@own_init
class DepthwiseConv2D(_Depthwise):
    """A convolution of each channel of images by itself, `depth_multiplier` filters for each.

    `x` (batch, height, width, in_channels), result (batch, output height, output width, in_channels ·
    depth_multiplier): channel c of the input makes the filters from c · depth_multiplier on. It is
    `nn.Conv2D` with as many groups as channels.

    Source: L. Sifre, Rigid-motion scattering for image classification (2014).

    Parameters: `weight` (kernel height, kernel width, 1, in_channels · depth_multiplier), `bias`, of its last
        size.

    Arguments and errors as for `nn.Conv2D`, without `filters` and `groups`, and `depth_multiplier`: filters
    for each channel.
    """

    _axes = 2


@own_init
class DepthwiseConv1D(_Depthwise):
    """A convolution of each channel of signals by itself, `depth_multiplier` filters for each.

    `x` (batch, time, in_channels), result (batch, output time, in_channels · depth_multiplier).

    Parameters: `weight` (kernel, 1, in_channels · depth_multiplier), `bias`, of its last size.

    Arguments and errors as for `nn.DepthwiseConv2D`, with one axis.
    """

    _axes = 1
