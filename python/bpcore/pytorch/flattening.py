"""The order of flattened images: channels come last here, first in PyTorch.

So the features behind a Flatten, or before a Reshape that undoes one, are the same ones in another order, and
with them the rows, or columns, of the dense layer there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import activations as functions
from bpcore import nn
from bpcore.nn import activations
from bpcore.nn.attention.block import Block, Stack
from bpcore.nn.containers import Sequential
from bpcore.nn.convolution.common import Sliding
from bpcore.nn.recurrent.base import Recurrent
from bpcore.pytorch.layouts import Order

if TYPE_CHECKING:
    from bpcore.nn.module.parameter import Variable

__all__ = ["orders"]

# What works on an image or a signal, whose channels PyTorch has in front.
_SPATIAL = (
    Sliding, nn.MaxPool1D, nn.MaxPool2D, nn.AvgPool1D, nn.AvgPool2D, nn.ZeroPadding1D, nn.ZeroPadding2D,
    nn.Cropping1D, nn.Cropping2D, nn.UpSampling1D, nn.UpSampling2D,
)  # fmt: skip
# What leaves its input's elements in the order that they have.
_ELEMENTWISE = (
    *(each for each in vars(nn).values() if getattr(each, "__module__", "") == activations.__name__),
    nn.Dropout, nn.AlphaDropout, nn.GaussianNoise, nn.Rescaling,
)  # fmt: skip
_NORMS = (nn.BatchNorm, nn.GroupNorm, nn.InstanceNorm, nn.LayerNorm, nn.RMSNorm, nn.Normalize)
# What has its features last in PyTorch, too, or nothing else.
_FEATURES_LAST = (
    nn.Dense, nn.Embedding, nn.MultiHeadAttention, nn.LearnedPositions, nn.SinusoidalPositions, Recurrent,
    Block, Stack, nn.GlobalAvgPool1D, nn.GlobalAvgPool2D, nn.GlobalMaxPool1D, nn.GlobalMaxPool2D,
)  # fmt: skip
_HALVING = (nn.GLU, nn.SwiGLU)


class _Leaf(NamedTuple):
    path: str
    layer: Any


def orders(who: str, model: nn.Module, flatten: Any) -> dict[int, list[Order]]:
    """The axes of variables, by their ids, that PyTorch has in the order of images with channels first.

    `flatten` says it of dense layers by their paths: the shape (channels, ...) of what is flattened before
    them, or None for the same order. Of others in a Sequential it is found out. Raises ValueError where that
    can't be done, and for paths and shapes that don't fit; TypeError for what is no shapes.
    """
    found: dict[int, list[Order]] = {}
    told = _told(who, model, flatten)
    seen: set[int] = set()
    for run in _runs(model):
        for at, (path, layer) in enumerate(run):
            if isinstance(layer, nn.Flatten):
                seen.add(id(layer))
                _behind(who, run, at, told, flatten is None, found)
            elif isinstance(layer, nn.Reshape) and _is_image(run, at):
                _before(who, path, run, at, found)
    for weight, order in told.items():
        if order is not None:
            _put(found, weight, order)
    for path, module in model.named_modules():
        if isinstance(module, nn.Flatten) and id(module) not in seen and flatten is None:
            raise _unknown(who, path, "it is not in a Sequential")
    return found


def _unknown(who: str, path: str, why: str) -> ValueError:
    return ValueError(
        f"{who}: the order of features behind Flatten {path!r} is not known, since {why}; give flatten=: by "
        "the path of the Dense behind it the shape (channels, ...) flattened, or None for the same order"
    )


def _told(who: str, model: nn.Module, flatten: Any) -> dict[int, Order | None]:
    """What the caller says of dense layers, by the ids of their weights."""
    if flatten is None:
        return {}
    if not isinstance(flatten, Mapping):
        raise TypeError(f"{who}: flatten must map paths of Dense layers to shapes, got {flatten!r}")
    modules, told = dict(model.named_modules()), dict[int, Order | None]()
    for path, shape in flatten.items():
        dense = _inside(modules.get(path))
        if not isinstance(dense, nn.Dense):
            raise ValueError(  # noqa: TRY004 - it is the path that is wrong
                f"{who}: flatten has {path!r}, but the model has no Dense of that path"
            )
        order = None
        if shape is not None:
            sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()
            if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
                raise TypeError(f"{who}: flatten[{path!r}] must be a shape (channels, ...), got {shape!r}")
            order = Order(0, sizes[0], math.prod(sizes))
            _check_fit(who, path, dense.weight, order)
        told[id(dense.weight)] = order
    return told


def _inside(layer: Any) -> Any:
    """The layer that a WeightNorm is around."""
    return layer.layer if isinstance(layer, nn.WeightNorm) else layer


def _put(found: dict[int, list[Order]], variable: int, order: Order) -> None:
    """Adds an order, once also where a layer is used in several places."""
    known = found.setdefault(variable, [])
    if order not in known:
        known.append(order)


def _check_fit(who: str, path: str, variable: Variable, order: Order) -> None:
    size = variable.sizes[order.axis]
    if not order.fits(size):
        many = f"{order.channels} channels" if order.size is None else f"{order.size} elements"
        raise ValueError(f"{who}: {path!r} has {size} features, which are no flattened image of {many}")


def _is_sequential(layer: Any) -> bool:
    """Whether a call of `layer` runs its layers one after the other, also if its class is derived."""
    return isinstance(layer, Sequential) and type(layer).__call__ is Sequential.__call__


def _runs(model: nn.Module) -> list[list[_Leaf]]:
    """The layers that run one after the other, of each Sequential that is not in one itself."""
    runs: list[list[_Leaf]] = []
    inner: set[int] = set()

    def leaves(path: str, sequential: Any) -> list[_Leaf]:
        found: list[_Leaf] = []
        for i, layer in enumerate(sequential.layers):
            here = f"{path}.{i}" if path else str(i)
            if _is_sequential(layer):
                inner.add(id(layer))
                found += leaves(here, layer)
            else:
                found.append(_Leaf(here, layer))
        return found

    for path, module in model.named_modules():
        if _is_sequential(module) and id(module) not in inner:
            runs.append(leaves(path, module))
    return runs


def _behind(
    who: str,
    run: list[_Leaf],
    at: int,
    told: dict[int, Order | None],
    alone: bool,
    found: dict[int, list[Order]],
) -> None:
    """Finds the variables behind the Flatten at `at` that have its features; `alone` if nothing is told."""
    variables: list[tuple[str, Variable]] = []
    weight: Variable | None = None
    for path, layer in run[at + 1 :]:
        inner = _inside(layer)
        if isinstance(inner, nn.Dense):
            weight = inner.weight
            break
        if not isinstance(inner, (*_ELEMENTWISE, *_NORMS)):
            break
        variables += _of_features(path, inner)
    if weight is not None and id(weight) in told:
        order = told[id(weight)]
    elif weight is None and not alone:
        return
    else:
        channels = _channels(who, run, at)
        order = None if channels is None or channels == 1 else Order(0, channels)
        if order is not None and weight is None:
            raise _unknown(who, run[at].path, "no Dense follows it in its Sequential")
        if weight is not None:
            variables.append((path, weight))
    for place, variable in variables if order is not None else []:
        assert order is not None
        _check_fit(who, place, variable, order)
        _put(found, id(variable), order)


def _before(who: str, path: str, run: list[_Leaf], at: int, found: dict[int, list[Order]]) -> None:
    """Finds the variables before the Reshape at `at` whose features it makes images of."""
    shape = run[at].layer.shape
    variables: list[tuple[str, Variable, int]] = []
    for place, layer in reversed(run[:at]):
        inner = _inside(layer)
        if isinstance(inner, nn.Dense):
            variables.append((place, inner.weight, 1))
            ends = [inner.bias, layer.weight_g if isinstance(layer, nn.WeightNorm) else None]
            variables += [(place, each, 0) for each in ends if each is not None]
            break
        if not isinstance(inner, (*_ELEMENTWISE, *_NORMS)):
            break
        variables += [(place, each, 0) for _, each in _of_features(place, inner)]
    if variables and shape[-1] < 1:
        raise ValueError(f"{who}: give Reshape {path!r} its number of channels in place of -1")
    for place, variable, axis in variables:
        order = Order(axis, shape[-1], None if -1 in shape else math.prod(shape))
        _check_fit(who, place, variable, order)
        _put(found, id(variable), order)


def _of_features(path: str, layer: Any) -> list[tuple[str, Variable]]:
    """The variables of a normalisation or the like that have one value for each feature."""
    if not isinstance(layer, (*_NORMS, nn.PReLU)):
        return []
    own = [variable for _, variable in layer.named_variables() if len(variable.sizes) == 1]
    return [(path, variable) for variable in own if variable.sizes != (1,)]


def _is_image(run: list[_Leaf], at: int) -> bool:
    """Whether the Reshape at `at` makes images, or signals."""
    sizes = len(run[at].layer.shape)
    return sizes > 2 or (
        sizes == 2 and at + 1 < len(run) and isinstance(_inside(run[at + 1].layer), _SPATIAL)
    )


def _channels(who: str, run: list[_Leaf], at: int) -> int | None:
    """How many channels the Flatten at `at` flattens, None where PyTorch has them last as well."""
    path, flatten = run[at]
    inputs = flatten._bpcore.inputs  # of the last trace, if there was one
    shape = inputs[0][0] if inputs else None
    if shape is not None and len(shape) < 3:
        return None
    first = True  # whether nothing is before it that matters
    for place in range(at - 1, -1, -1):
        layer = _inside(run[place].layer)
        if isinstance(layer, _FEATURES_LAST):
            return None
        if isinstance(layer, _SPATIAL):
            channels = int(shape[-1]) if shape is not None else _channels_at(run, place)
            if channels is not None:
                return channels
        if not isinstance(layer, (*_ELEMENTWISE, *_NORMS)):
            first = False
            break
    if shape is not None and len(shape) > 3:
        return int(shape[-1])
    if shape is not None and first:
        return None
    why = "it has not been built by an input's shape" if shape is None else "what is before it isn't"
    raise _unknown(who, path, why)


def _channels_at(run: list[_Leaf], at: int) -> int | None:
    """How many channels there are behind the layer at `at`, as far as sizes tell before a trace."""
    for _, outer in reversed(run[: at + 1]):
        layer = _inside(outer)
        if isinstance(layer, Sliding):
            halved = layer.activation in (functions.glu, functions.swiglu)
            return None if halved or isinstance(layer.activation, _HALVING) else _filters(layer)
        if not isinstance(layer, (*_SPATIAL, *_ELEMENTWISE, *_NORMS)) or isinstance(layer, _HALVING):
            return None
    return None


def _filters(layer: Any) -> int | None:
    """The channels of a convolution's result, None while they aren't known."""
    known: int | None = getattr(layer, "filters", layer.weight.sizes[-1])
    return known
