"""Several arrays as one argument: a model's inputs or targets, by position or by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from bpcore.basics import names
from bpcore.basics.arrays import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore.engine.goals import Goals

__all__ = [
    "Group",
    "Keys",
    "has_axes",
    "inputs_of",
    "put_together",
    "several",
    "targets_of",
    "weights_of",
]

# How arrays are told apart: places, or names; None for one alone.
Keys: TypeAlias = tuple[int | str, ...] | None


class Group(NamedTuple):
    """Arrays and their places or names."""

    values: list[Any]
    keys: Keys


def put_together(keys: Keys, values: Sequence[Any]) -> Any:
    """`values` in the structure that `keys` are of: one alone, a tuple, or a dict."""
    if keys is None:
        (value,) = values
        return value
    if keys == tuple(range(len(keys))):
        return tuple(values)
    return dict(zip(keys, values, strict=True))


def several(value: Any) -> bool:
    """Whether a tuple has an array in it, and so is not one array itself."""
    return isinstance(value, tuple) and any(map(has_axes, value))


def has_axes(value: Any) -> bool:
    """Whether `value` is an array of any kind, or a table, rather than a number or a list."""
    shape = getattr(value, "shape", None)
    return hasattr(value, "__array__") if shape is None else len(shape) > 0


def _by_place(values: Sequence[Any]) -> Group:
    return Group(list(values), tuple(range(len(values))))


# Inputs


def inputs_of(who: str, x: Any, call: Callable[..., Any], what: str, given: int = 0) -> Group:
    """The inputs that `x` is: a dict has them by name, a tuple with arrays in it by position.

    Any tuple or list does if `call`, the model's or an objective, needs more than one, and a list of arrays
    that can't be the rows of one if it takes so many; else, `x` is one array. `what` is what to call it, and
    it has `given` arguments already. Names are put into the order of its parameters; those that only a
    ``**`` takes come behind them, sorted. ValueError for a name that it does not have, and for one that is
    missing.
    """
    if isinstance(x, Mapping) and not is_sparse(x):  # SciPy's dok_matrix may be a dict
        return _by_name(who, x, _parameters(call)[given:], what)
    if several(x):
        return _by_place(x)
    if isinstance(x, (tuple, list)):
        needed, most = _by_position(_parameters(call)[given:])
        if needed > 1 or (len(x) <= most and _differ(x)):
            return _by_place(x)
    return Group([x], None)


def _parameters(call: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(call).parameters.values())
    except ValueError:  # some builtins have none
        return []


def _by_position(parameters: Sequence[inspect.Parameter]) -> tuple[int, float]:
    """How many arguments by position there must be, and how many there may be."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [each for each in parameters if each.kind in kinds]
    needed = sum(each.default is each.empty for each in found)
    return needed, math.inf if any(each.kind is each.VAR_POSITIONAL for each in parameters) else len(found)


def _differ(values: Sequence[Any]) -> bool:
    """Whether all of them are arrays, and of several shapes."""
    return all(map(has_axes, values)) and len({tuple(np.shape(each)) for each in values}) > 1


def _by_name(who: str, x: Mapping[Any, Any], parameters: Sequence[inspect.Parameter], what: str) -> Group:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {each.name: each.default is each.empty for each in parameters if each.kind in kinds}
    others = []
    for name in x:
        if not isinstance(name, str):
            raise TypeError(f"{who}: the names of inputs are strings, got {name!r}")
        if name not in known:
            others.append(name)
    if others and not any(each.kind is each.VAR_KEYWORD for each in parameters):
        raise ValueError(f"{who}: {what} takes no input {others[0]!r}; {names.suggestion(others[0], known)}")
    missing = [name for name, needed in known.items() if needed and name not in x]
    if missing:
        raise ValueError(f"{who}: x has no {missing[0]!r}, which {what} takes; it has {', '.join(x)}")
    order = [name for name in known if name in x] + sorted(others)
    return Group([x[name] for name in order], tuple(order))


# Targets


def targets_of(who: str, y: Any, goals: Goals) -> Group:
    """The targets that `y` is; for losses by output, those of outputs that have a loss or a metric.

    For one that is a function of one's own, a dict or a tuple with arrays in it is several; a known one takes
    one array. ValueError or TypeError for what doesn't fit.
    """
    keys, loss = goals.keys, goals.loss_of_all.name if goals.loss_of_all.known else None
    if keys is None:
        if isinstance(y, Mapping) and loss is not None:
            raise TypeError(
                f"{who}: {loss} compares one prediction with one target, got a dict of targets; give a loss "
                "for each output, as loss={...}"
            )
        if isinstance(y, Mapping):
            if not y or not all(isinstance(name, str) for name in y):
                raise TypeError(f"{who}: a dict of targets has names of outputs as keys, got {list(y)}")
            return Group(list(y.values()), tuple(y))
        return _by_place(y) if loss is None and several(y) else Group([y], None)
    found: dict[int | str, Any]
    if isinstance(keys[0], str):
        if not isinstance(y, Mapping):
            raise TypeError(
                f"{who}: y must be a dict, as the losses are, of {', '.join(map(str, keys))}; got "
                f"{type(y).__name__}"
            )
        for name in y:
            if name not in keys:
                raise ValueError(
                    f"{who}: y has {name!r}, an output without a loss; {names.suggestion(name, keys)}"
                )
        found = {key: y.get(key) for key in keys}
    else:
        if not isinstance(y, (tuple, list)) or len(y) != len(keys):
            count = f" of {len(y)}" if isinstance(y, (tuple, list)) else ""
            raise TypeError(
                f"{who}: y must be a tuple of {len(keys)}, a target for each loss, got "
                f"{type(y).__name__}{count}"
            )
        found = dict(enumerate(y))
    for key in goals.used:
        if found[key] is None:
            raise ValueError(f"{who}: y has no target for output {key!r}, which has a loss or a metric")
    return Group([found[key] for key in goals.used], goals.used)


def weights_of(who: str, weight: Any, goals: Goals) -> Group | None:
    """The weights of samples that `weight` is: one array for all outputs, or some by output.

    The latter go by a dict, or by a list or tuple with arrays in it; None is for outputs without. ValueError
    or TypeError for what doesn't fit the losses.
    """
    keys = goals.keys
    if weight is None:
        return None
    by_place = isinstance(weight, (tuple, list)) and several(tuple(weight))
    if keys is None or not (by_place or isinstance(weight, Mapping)):
        return Group([weight], None)
    if isinstance(keys[0], int):
        if not by_place or len(weight) != len(keys):
            raise TypeError(
                f"{who}: sample_weight by output must be a tuple of {len(keys)}, as the losses are, or one "
                "array for all"
            )
        weight = dict(enumerate(weight))
    elif by_place:
        raise TypeError(
            f"{who}: sample_weight by output must be a dict, as the losses are, or one array for all"
        )
    given = {key: value for key, value in weight.items() if value is not None}
    for key in given:
        if key not in goals.used:
            raise ValueError(
                f"{who}: sample_weight has {key!r}, an output without a loss or a metric; "
                f"{names.suggestion(key, goals.used)}"
            )
    return Group(list(given.values()), tuple(given)) if given else None
