"""What the convolution layers share: their settings, the check of what comes in, how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bpcore.basics import texts
from bpcore.basics.settings import count
from bpcore.nn.affine import Affine
from bpcore.ops import windows
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sliding", "check_groups", "short"]

_LAYOUTS = {1: "(batch, time, channels)", 2: "(batch, height, width, channels)"}


class Sliding(Affine):
    """A layer with a kernel that slides over `_axes` axes."""

    _set_once = ("filters", "kernel_size", "groups", "depth_multiplier")
    _not_kept = ("in_channels", *Affine._not_kept)

    _axes: ClassVar[int]
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: windows.Padding
    dilation: tuple[int, ...]
    groups: int

    def _set_window(self, kernel_size: Any, strides: Any, padding: Any, dilation: Any) -> None:
        who, axes = type(self).__name__, self._axes
        self.kernel_size = windows.per_axis(who, "kernel_size", kernel_size, axes)
        self.strides = windows.per_axis(who, "strides", strides, axes)
        self.padding = windows.check_padding(who, padding, axes)
        self.dilation = windows.per_axis(who, "dilation", dilation, axes)

    @property
    def in_channels(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        raise NotImplementedError

    def _infer(self, channels: int) -> None:
        """Fills in the sizes that follow from the number of the input's channels."""
        raise NotImplementedError

    def _checked(self, x: Any) -> Any:
        """`x` with all axes and channels that it needs, as a float tensor."""
        x = operators.operand(x, type(self).__name__)
        if x.ndim != self._axes + 2:
            raise ValueError(
                f"{self._title()}: expected input of shape {_LAYOUTS[self._axes]}, got {x.shape}"
            )
        channels = x.shape[-1]
        if self.in_channels is None:
            if channels == 0:
                raise ValueError(f"{self._title()}: expected input with channels, got {x.shape}")
            self._infer(channels)
        if channels != self.in_channels:
            raise ValueError(
                f"{self._title()}: expected input with {self.in_channels} channels, the last axis, "
                f"got {x.shape}"
            )
        return self._converted(x)

    def _check_fit(self, x: Any) -> None:
        """ValueError, which names the layer, if the kernel is larger than the padded input."""
        windows.explicit_padding(
            self._title(), self.padding, x.shape[1:-1], self.kernel_size, self.strides, self.dilation
        )

    def _show(self, first: Sequence[int], options: Sequence[str]) -> str:
        """What `repr` says: the `first` arguments, what all of these layers have, and other `options`."""
        values = [*map(str, (*first, short(self.kernel_size))), f"strides={short(self.strides)}"]
        values.append(f"padding={self.padding!r}")
        values += [f"dilation={short(self.dilation)}"] if any(each > 1 for each in self.dilation) else []
        values += [*self._activation(), f"in_channels={self.in_channels}"]
        return texts.call(self, [*values, *options])


def check_groups(who: str, groups: Any, channels: int | None, filters: int) -> int:
    """`groups` as an int; ValueError unless it divides both."""
    found = count(who, "groups", groups, 1)
    for name, value in (("filters", filters), ("channels", channels)):
        if value is not None and value % found:
            raise ValueError(f"{who}: {value} {name} can't be cut into {found} groups")
    return found


def short(values: tuple[int, ...]) -> Any:
    """One number for several equal ones."""
    return values[0] if len(set(values)) == 1 else values
