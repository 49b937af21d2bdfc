"""Maxima and means over windows that slide over an image."""

from __future__ import annotations

from typing import Any

from bpcore.basics.settings import flag
from bpcore.ops import windows
from bpcore.symbolic import operators

__all__ = ["avg_pool2d", "max_pool2d"]


def max_pool2d(x: Any, size: Any, strides: Any = None, padding: Any = "valid", dilation: Any = 1) -> Any:
    """Largest element of each window: `x` (batch, height, width, channels), float, result the same.

    For each channel by itself. The result's height, and likewise its width, is
    floor((height + padding - (dilation · (size - 1) + 1)) / stride) + 1.

    Padding never is the largest. A window with a NaN has the result NaN. The derivative goes to the window's
    largest element, to the first of equal ones row by row, as in PyTorch, and to its first NaN if it has one.

    Args:
        x: images.
        size: of a window, an integer or (height, width).
        strides: from a window to the next, an integer or a pair; `size` if None.
        padding: "valid" for none; "same" for ceil(height / stride) and ceil(width / stride) windows, with the
            odd row below and the odd column on the right (TensorFlow's rule); an integer for all sides; or
            one entry for the height and one for the width, each an integer or a pair (before, after).
        dilation: distance of a window's elements, an integer or a pair.

    Raises ValueError if the window is larger than the padded input, or lies in the padding somewhere;
    TypeError for settings that are no integers and input that is not float.
    """
    return _pool("max_pool2d", x, size, strides, padding, dilation)


def avg_pool2d(
    x: Any, size: Any, strides: Any = None, padding: Any = "valid", count_include_pad: bool = False
) -> Any:
    """Mean of each window: `x` (batch, height, width, channels), float, result the same.

    Arguments and errors as for `max_pool2d`. The mean is that of the elements inside; with
    ``count_include_pad=True``, which is PyTorch's default, elements of the padding count, too, as zeros.
    """
    count_padding = flag("avg_pool2d", "count_include_pad", count_include_pad)
    return _pool("avg_pool2d", x, size, strides, padding, 1, count_padding=count_padding)


def _pool(who: str, x: Any, size: Any, strides: Any, padding: Any, dilation: Any, **attributes: bool) -> Any:
    item = operators.operand(x, who)
    if item.ndim != 4:
        raise ValueError(f"{who}: expected input of shape (batch, height, width, channels), got {item.shape}")
    window = windows.per_axis(who, "size", size, 2)
    steps = window if strides is None else windows.per_axis(who, "strides", strides, 2)
    apart = windows.per_axis(who, "dilation", dilation, 2)
    sides = windows.explicit_padding(
        who, windows.check_padding(who, padding, 2), item.shape[1:3], window, steps, apart
    )
    settings: dict[str, Any] = {
        "window": list(window),
        "strides": list(steps),
        "padding": windows.flat(sides),
        "dilation": list(apart),
    }
    return operators.add(who, [item], {**settings, **attributes})
