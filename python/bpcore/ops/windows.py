"""Sliding windows, as pooling and convolution have them: sizes per axis, padding, how many windows there are.

An axis of `size` elements with `before` and `after` more in front and behind holds

    floor((size + before + after - (dilation · (window - 1) + 1)) / stride) + 1

windows, the first at the beginning of the padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bpcore.basics.settings import count

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Padding", "Sides", "check_padding", "check_sides", "explicit_padding", "flat", "per_axis", "span",
    "windows",
]  # fmt: skip

Sides: TypeAlias = tuple[tuple[int, int], ...]  # (before, after) of each axis
Padding: TypeAlias = str | Sides  # "valid", "same", or these

_MOST = 1 << 28  # of a setting: what the core takes, so that no product of two of them overflows


def per_axis(who: str, name: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """`value`, an integer for all of the `axes` or one for each, as a tuple of ints of at least `least`.

    TypeError if it is made of anything else, ValueError if it has another length or an integer is too small.
    """
    if isinstance(value, (tuple, list, np.ndarray)):
        if len(value) != axes:
            raise ValueError(
                f"{who}: {name} must be an integer or one for each of {_axes(axes)}, got {value!r}"
            )
        found = tuple(count(who, name, each, least) for each in value)
    else:
        found = (count(who, name, value, least),) * axes
    if max(found, default=0) > _MOST:
        raise ValueError(f"{who}: {name} must be at most {_MOST}, got {value!r}")
    return found


def check_padding(who: str, padding: Any, axes: int) -> Padding:
    """`padding` as "valid", "same" or what `check_sides` makes of it; ValueError or TypeError otherwise."""
    if isinstance(padding, str) and padding in ("valid", "same"):
        return padding
    return check_sides(who, "padding", padding, axes, words='"valid", "same", ')


def check_sides(who: str, name: str, value: Any, axes: int, words: str = "") -> Sides:
    """`value` as (before, after) of each of the `axes`.

    It is an integer for all sides, or one entry an axis: an integer for both of its sides or a pair (before,
    after). ValueError if it is made of other things, or of negative numbers, TypeError for other numbers.
    """
    if isinstance(value, (int, np.integer)):
        return tuple((side, side) for side in per_axis(who, name, value, axes, least=0))
    entries = value if isinstance(value, (tuple, list, np.ndarray)) else None
    if entries is None or len(entries) != axes:
        raise ValueError(
            f"{who}: {name} must be {words}an integer, or an integer or a pair (before, after) for each of "
            f"{_axes(axes)}, got {value!r}"
        )
    sides = [per_axis(who, f"{name} of an axis", entry, 2, least=0) for entry in entries]
    return tuple((before, after) for before, after in sides)


def span(window: int, dilation: int) -> int:
    """How many neighbours a window of `window` elements, `dilation` apart, reaches over."""
    return dilation * (window - 1) + 1


def explicit_padding(
    who: str,
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Sides:
    """The (before, after) of each axis that `padding` (see `check_padding`) means for an input of `sizes`.

    "valid" is none. "same" is TensorFlow's rule: there are ceil(size / stride) windows, and of the padding
    they need, the odd element is behind. ValueError if a window is larger than the padded input.
    """
    if padding == "valid":
        sides: Sides = ((0, 0),) * len(sizes)
    elif isinstance(padding, str):
        sides = tuple(
            _same(size, span(extent, apart), stride)
            for size, extent, stride, apart in zip(sizes, window, strides, dilation, strict=True)
        )
    else:
        sides = padding
    windows(who, sizes, window, strides, sides, dilation)
    return sides


def windows(
    who: str,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """How many windows each axis holds; ValueError if an axis holds none."""
    found = []
    for size, extent, stride, (before, after), apart in zip(
        sizes, window, strides, padding, dilation, strict=True
    ):
        room = before + size + after - span(extent, apart)
        if room < 0:
            apart_text = f" with dilation {_sizes(dilation)}" if any(each > 1 for each in dilation) else ""
            padded = [before + size + after for size, (before, after) in zip(sizes, padding, strict=True)]
            raise ValueError(
                f"{who}: a window of {_sizes(window)}{apart_text} is larger than the input of {_sizes(sizes)}"
                + (f", {_sizes(padded)} with padding" if padded != list(sizes) else "")
            )
        found.append(room // stride + 1)
    return tuple(found)


def flat(padding: Sequence[tuple[int, int]]) -> list[int]:
    """(before, after) of each axis, one after the other, as the core takes it."""
    return [side for sides in padding for side in sides]


def _same(size: int, reach: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _axes(axes: int) -> str:
    return "1 axis" if axes == 1 else f"{axes} axes"


def _sizes(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
