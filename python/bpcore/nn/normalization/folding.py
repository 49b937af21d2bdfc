"""Models with less to compute in inference, and the same results."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bpcore import ops
from bpcore.nn.activations import Identity
from bpcore.nn.containers import Sequential
from bpcore.nn.convolution import Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D
from bpcore.nn.dense import Dense
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter
from bpcore.nn.normalization.batch_norm import BatchNorm

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array
    from bpcore.nn.affine import Affine
    from bpcore.nn.module.parameter import Variable

__all__ = ["fold_batch_norm"]

# Layers whose weight has the outputs as its last axis.
_LINEAR = (Dense, Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D)

AnyModule = TypeVar("AnyModule", bound=Module)


def fold_batch_norm(model: AnyModule) -> AnyModule:
    """A copy of `model` that computes the same in inference, with fewer BatchNorms.

    Each `nn.BatchNorm` right behind a `nn.Dense` or a convolution, not a transposed one, without activation
    in a `nn.Sequential`, at any depth, goes into the layer's weight and bias; a `nn.Identity` takes its
    place, so that the other parts keep their names. With factor = bn.weight / sqrt(running_var + eps), the
    weight becomes weight · factor, the bias (bias - running_mean) · factor + bn.bias. The last layer of a
    Sequential inside another one stands right in front of what follows there. Initial values are drawn if
    `model` has none yet; nothing else of it changes.

    A BatchNorm stays that follows something else or has no running statistics, or where the layer, its weight
    or its bias is used in several places. A layer that a module of your own calls both with and without
    what follows it in a Sequential can't be told apart: don't fold such a model.

    Raises TypeError if `model` is not a module, RuntimeError if sizes are not known yet.
    """
    if not isinstance(model, Module):
        raise TypeError(f"fold_batch_norm: model must be a nn.Module, got {type(model).__name__}")
    model._exist()
    folded = copy.deepcopy(model)
    uses = Counter(id(child) for _, part in folded.named_modules() for _, child in part.named_children())
    for _, part in list(folded.named_modules()):
        if _is(part, Sequential):
            _fold(part, uses)
    folded._exist()
    return folded


def _is(layer: Any, kind: type[Module]) -> bool:
    """Whether a call of `layer` is that of `kind`, also if it is of a class derived from it."""
    return isinstance(layer, kind) and type(layer).__call__ is kind.__call__


def _fold(sequential: Any, uses: Counter[int]) -> None:
    """Folds what is in `sequential`, and in those inside of it."""
    places = _places(sequential, uses)
    for (owner, i), (next_owner, j) in pairwise(places):
        layer, norm = owner.layers[i], next_owner.layers[j]
        linear = any(_is(layer, kind) for kind in _LINEAR)
        if not (linear and _is(norm, BatchNorm)) or norm.running_mean is None:
            continue
        activation = layer.activation
        plain = activation is None or activation is ops.identity or isinstance(activation, Identity)
        shared = any(uses[id(each)] > 1 for each in (layer, layer.weight, layer.bias) if each is not None)
        if plain and not shared:
            _absorb(layer, norm)
            layers = list(next_owner.layers)
            layers[j] = Identity()
            next_owner.layers = tuple(layers)


def _places(sequential: Any, uses: Counter[int]) -> list[tuple[Any, int]]:
    """Where the layers are that run one after the other: (Sequential, position).

    A Sequential inside that is used elsewhere too is one layer: what follows it here doesn't follow there.
    """
    places: list[tuple[Any, int]] = []
    for i, layer in enumerate(sequential.layers):
        if _is(layer, Sequential) and uses[id(layer)] == 1:
            places += _places(layer, uses)
        else:
            places.append((sequential, i))
    return places


def _absorb(layer: Affine, norm: BatchNorm) -> None:
    """Gives `layer`, of a copy that is not laid out yet, the values that make `norm` needless."""
    assert norm.running_mean is not None
    factor = 1 / np.sqrt(_value(norm.running_var) + norm.eps)
    if norm.weight is not None:
        factor = factor * _value(norm.weight)
    shift = -_value(norm.running_mean)
    if layer.bias is not None:
        shift = shift + _value(layer.bias)
    bias = shift * factor
    if norm.bias is not None:
        bias = bias + _value(norm.bias)
    dtype = layer.weight.dtype
    if layer.bias is None:
        layer.bias = Parameter(layer.weight.shape[-1], "zeros")
    layer.bias.given = bias.astype(dtype)
    layer.weight.given = (_value(layer.weight) * factor).astype(dtype)


def _value(variable: Variable | None) -> Array:
    """The value of a parameter or state of a copy, in float64."""
    assert variable is not None
    assert variable.given is not None
    return variable.given.astype(np.float64)
