"""Convolutions of signals and images, channels last, and the transposed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics.settings import count
from bpcore.ops import windows
from bpcore.ops.elementwise import relu, sigmoid, tanh
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "check_output_padding",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "transposed_size",
]

_ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
_LAYOUTS = {
    1: ("(batch, time, channels)", "(kernel, {}, {})"),
    2: ("(batch, height, width, channels)", "(kernel height, kernel width, {}, {})"),
}


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Any:
    """activation(x * weight + bias), where * slides the weight over images (a cross-correlation):

        y[n, i, j, f] = Σ x[n, i · stride + u · dilation - before, j · stride + v · dilation - before, c]
                          · weight[u, v, c, f]

    over u, v and the channels c of f's group, with x zero outside of the image. `x` (batch, height, width,
    channels), `weight` (kernel height, kernel width, channels / groups, filters), `bias` (filters,) or None,
    all float; result (batch, output height, output width, filters), with an output height, and likewise a
    width, of floor((height + padding - (dilation · (kernel - 1) + 1)) / stride) + 1.

    Args:
        x: images.
        weight: one kernel a filter.
        bias: added to each filter's result.
        strides: from an output to the next, an integer or (vertical, horizontal).
        padding: "valid" for none; "same" for ceil(height / stride) and ceil(width / stride) outputs, with the
            odd row below and the odd column on the right (TensorFlow's rule); an integer for all sides; or
            one entry for the height and one for the width, each an integer or a pair (before, after).
        dilation: distance of a kernel's elements, an integer or a pair.
        groups: channels and filters are cut into as many groups; a group of filters sees its group of
            channels alone. With as many groups as channels, the convolution is depthwise.
        activation: None, "relu", "sigmoid" or "tanh".

    Raises ValueError if the kernel is larger than the padded input, if `groups` divides channels or filters
    unevenly, or for shapes that don't fit; TypeError for settings that are no integers and input that is not
    float.
    """
    return _conv("conv2d", 2, x, weight, bias, strides, padding, dilation, groups, activation)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Any:
    """As `conv2d`, for signals: `x` (batch, time, channels), `weight` (kernel, channels / groups, filters).

    The result is (batch, output time, filters). To let no output see what comes after it, pad in front alone:
    ``padding=[(dilation * (kernel - 1), 0)]``.
    """
    return _conv("conv1d", 1, x, weight, bias, strides, padding, dilation, groups, activation)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Any:
    """activation(t(x) + bias), where t is the transpose of a convolution, as in `conv2d`'s derivative.

    `x` (batch, height, width, channels), `weight` (kernel height, kernel width, filters / groups, channels),
    `bias` (filters,) or None, all float; result (batch, output height, output width, filters). As in PyTorch,
    the output height, and likewise the width, is

        (height - 1) · stride - padding + dilation · (kernel - 1) + 1 + output_padding

    and with padding "same" it is height · stride.

    Args:
        x: images.
        weight: that of a convolution from the result to `x`.
        bias: added to each filter's result.
        strides: from one element of `x` to the next, in elements of the result.
        padding: as for `conv2d`: what that convolution adds around its input, and this one cuts off.
        output_padding: rows below and columns on the right that the convolution's stride would leave out, an
            integer or a pair, below the stride.
        dilation: as for `conv2d`.
        groups: as for `conv2d`.
        activation: None, "relu", "sigmoid" or "tanh".

    Raises ValueError if nothing is left of the result, for an `output_padding` that is not below the stride
    or comes with "same", and as `conv2d`; TypeError as `conv2d`.
    """
    return _transposed(
        "conv_transpose2d", 2, x, weight, bias, strides, padding, output_padding, dilation, groups, activation
    )


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Any:
    """As `conv_transpose2d`, for signals: `x` (batch, time, channels), result (batch, output time, filters).

    `weight` is (kernel, filters / groups, channels).
    """
    return _transposed(
        "conv_transpose1d", 1, x, weight, bias, strides, padding, output_padding, dilation, groups, activation
    )


def check_output_padding(
    who: str, output_padding: Sequence[int], strides: Sequence[int], padding: windows.Padding
) -> None:
    """ValueError unless each is below its stride, and 0 with padding "same"."""
    for extra, stride in zip(output_padding, strides, strict=True):
        if extra >= stride:
            raise ValueError(f"{who}: output_padding must be below the stride, {stride}, got {extra}")
    if padding == "same" and any(output_padding):
        raise ValueError(f'{who}: output_padding must be 0 with padding "same", got {output_padding!r}')


def transposed_size(
    who: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: windows.Padding,
    output_padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """A transposed convolution's output sizes, and the padding of the convolution that it transposes."""
    check_output_padding(who, output_padding, strides, padding)
    if 0 in sizes:
        raise ValueError(f"{who}: expected input with elements along each axis, got sizes {tuple(sizes)}")
    if padding == "same":
        found = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
        return found, windows.explicit_padding(who, padding, found, kernel, strides, dilation)
    sides = ((0, 0),) * len(sizes) if isinstance(padding, str) else padding
    found = tuple(
        (size - 1) * stride - before - after + windows.span(extent, apart) + extra
        for size, extent, stride, (before, after), extra, apart in zip(
            sizes, kernel, strides, sides, output_padding, dilation, strict=True
        )
    )
    if min(found) < 1:
        raise ValueError(f"{who}: nothing is left of an input of {tuple(sizes)} by padding {sides}")
    return found, sides


def _operands(who: str, axes: int, x: Any, weight: Any, bias: Any, names: tuple[str, str]) -> list[Any]:
    """The operands as images and their weight: a signal is an image of height 1."""
    items = list(operators.unify(who, *((x, weight) if bias is None else (x, weight, bias))))
    image, kernel = _LAYOUTS[axes]
    if items[0].ndim != axes + 2:
        raise ValueError(f"{who}: expected input of shape {image}, got {items[0].shape}")
    if items[1].ndim != axes + 2 or 0 in items[1].shape:
        raise ValueError(
            f"{who}: the weight must be of shape {kernel.format(*names)}, none zero, got {items[1].shape}"
        )
    return items


def _as_image(axes: int, item: Any, place: int) -> Any:
    """A signal, or its weight, with one more axis of size 1 at `place`, as images have it."""
    return item if axes == 2 else operators.reshape(item, (*item.shape[:place], 1, *item.shape[place:]))


def _attributes(
    strides: Sequence[int], sides: Sequence[tuple[int, int]], dilation: Sequence[int], groups: int
) -> dict[str, Any]:
    single = len(strides) == 1
    return {
        "strides": [1, *strides] if single else list(strides),
        "padding": [0, 0, *windows.flat(sides)] if single else windows.flat(sides),
        "dilation": [1, *dilation] if single else list(dilation),
        "groups": groups,
    }


def _check_activation(who: str, activation: str | None) -> None:
    if activation is not None and activation not in _ACTIVATIONS:
        raise ValueError(f"{who}: activation must be None, relu, sigmoid or tanh, got {activation!r}")


def _conv(
    who: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    strides: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    activation: str | None,
) -> Any:
    items = _operands(who, axes, x, weight, bias, ("channels / groups", "filters"))
    _check_activation(who, activation)
    steps = windows.per_axis(who, "strides", strides, axes)
    apart = windows.per_axis(who, "dilation", dilation, axes)
    kernel, sizes = items[1].shape[:axes], items[0].shape[1:-1]
    sides = windows.explicit_padding(
        who, windows.check_padding(who, padding, axes), sizes, kernel, steps, apart
    )
    attributes = _attributes(steps, sides, apart, count(who, "groups", groups, 1))
    items[0], items[1] = _as_image(axes, items[0], 1), _as_image(axes, items[1], 0)
    y = operators.add("conv2d", items, {**attributes, "activation": activation or ""})
    return y if axes == 2 else operators.reshape(y, (y.shape[0], *y.shape[2:]))


def _transposed(
    who: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    strides: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
    activation: str | None,
) -> Any:
    items = _operands(who, axes, x, weight, bias, ("filters / groups", "channels"))
    _check_activation(who, activation)
    steps = windows.per_axis(who, "strides", strides, axes)
    apart = windows.per_axis(who, "dilation", dilation, axes)
    extra = windows.per_axis(who, "output_padding", output_padding, axes, least=0)
    kernel, sizes = items[1].shape[:axes], items[0].shape[1:-1]
    size, sides = transposed_size(
        who, sizes, kernel, steps, windows.check_padding(who, padding, axes), extra, apart
    )
    if items[0].shape[-1] != items[1].shape[-1]:
        raise ValueError(
            f"{who}: input of shape {items[0].shape} does not fit weight of shape {items[1].shape}; it must "
            f"have {items[1].shape[-1]} channels"
        )
    attributes = _attributes(steps, sides, apart, count(who, "groups", groups, 1))
    image, kernels = _as_image(axes, items[0], 1), _as_image(axes, items[1], 0)
    attributes["size"] = [1, *size] if axes == 1 else list(size)
    y = operators.add("conv2d_input_gradient", [image, kernels], attributes)
    if axes == 1:
        y = operators.reshape(y, (y.shape[0], *y.shape[2:]))
    if bias is not None:
        if items[2].shape != y.shape[-1:]:
            raise ValueError(f"{who}: bias must be of shape {y.shape[-1:]}, got {items[2].shape}")
        y = operators.binary("add", y, items[2])
    return y if activation is None else _ACTIVATIONS[activation](y)
