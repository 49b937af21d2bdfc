"""Optimizers: their settings. The updates themselves run natively, over all parameters at once; but LBFGS,
whose steps are loops of many evaluations, runs here.

Formulas and names are PyTorch's. `lr` is a number, a schedule (see `bpcore.schedules`), or a function of the
step (updates done so far, from 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import schedules
from bpcore.basics.names import lookup
from bpcore.optim.adagrad import Adadelta, Adagrad, RMSprop
from bpcore.optim.adam import LAMB, Adam, Adamax, AdamW, NAdam, RAdam
from bpcore.optim.base import Optimizer
from bpcore.optim.groups import Group
from bpcore.optim.lbfgs import LBFGS
from bpcore.optim.sgd import SGD
from bpcore.optim.sign import Lion, Rprop

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAMB",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Group",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "resolve",
]

_CLASSES = (Adadelta, Adagrad, Adam, AdamW, Adamax, LAMB, Lion, NAdam, RAdam, RMSprop, Rprop)
_NAMED: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda lr=1e-2, **rest: SGD(lr, **rest),
    "lbfgs": lambda line_search_fn="strong_wolfe", **rest: LBFGS(line_search_fn=line_search_fn, **rest),
    **{each.name: each for each in _CLASSES},
}


def resolve(optimizer: Any) -> Optimizer:
    """An optimizer from None (Adam with its defaults), a name or itself.

    By name, "sgd" has lr = 0.01, and "lbfgs" the line search "strong_wolfe".
    """
    if optimizer is None:
        return Adam()
    if isinstance(optimizer, str):
        return lookup("optimizer", optimizer, _NAMED)()
    if isinstance(optimizer, Optimizer):
        return optimizer
    raise TypeError(f"an optimizer is a name or an object such as optim.Adam(1e-3), got {optimizer!r}")


def from_config(config: dict[str, Any]) -> Optimizer | None:
    """The optimizer that `Optimizer.config` describes; None if a learning rate had a function.

    KeyError, TypeError or ValueError for what is no such description.
    """
    if not Optimizer.is_whole(config):
        return None
    groups = [Group(**_arguments(each)) for each in config["groups"]]
    optimizer = lookup("optimizer", config["name"], _NAMED)(
        groups=groups, **_arguments({key: config[key] for key in config.keys() - {"name", "groups", "scale"}})
    )
    optimizer.scale = config["scale"]
    return optimizer


def _arguments(saved: dict[str, Any]) -> dict[str, Any]:
    """Arguments as they were: schedules are made again, and JSON has no tuples."""
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()
    }
    if isinstance(arguments.get("lr"), dict):
        arguments["lr"] = schedules.from_config(arguments["lr"])
    return arguments
