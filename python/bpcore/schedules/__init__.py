"""Schedules of the learning rate, for `lr=` of an optimizer: ``optim.Adam(schedules.Cosine(1e-3, 1000))``.

They follow PyTorch's lr_scheduler, but each *is* the rate, which is therefore its first argument, and nothing
has to be told that a step was made. Steps are updates, counted from 0 over the whole life of a trainer. A
schedule is saved with a trainer unless a function is a part of it.

Arguments are checked when a schedule is made: TypeError for what is no number, ValueError for what is out of
range. Nothing of it can be changed afterwards.
"""

from __future__ import annotations

from typing import Any

from bpcore.basics.names import lookup
from bpcore.schedules.base import Described, Schedule
from bpcore.schedules.composed import Lambda, Product, Sequential, Warmup
from bpcore.schedules.decay import (
    Constant,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    Piecewise,
    Polynomial,
    Step,
)
from bpcore.schedules.waves import Cosine, CosineRestarts, Cyclic, OneCycle

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Exponential",
    "InverseSqrt",
    "Lambda",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Product",
    "Schedule",
    "Sequential",
    "Step",
    "Warmup",
    "from_config",
]

# Those that `config` describes; one with a function has no description.
_NAMED: dict[str, type[Described]] = {
    each.name: each
    for each in (
        Constant,
        Cosine,
        CosineRestarts,
        Cyclic,
        Exponential,
        InverseSqrt,
        Linear,
        MultiStep,
        OneCycle,
        Piecewise,
        Polynomial,
        Product,
        Sequential,
        Step,
        Warmup,
    )
}


def from_config(config: dict[str, Any]) -> Schedule:
    """The schedule that `Schedule.config` describes.

    ValueError for an unknown name; KeyError, TypeError or ValueError for arguments that don't fit.
    """
    kind = lookup("schedule", str(config["name"]), _NAMED)
    return kind(**{key: _revive(value) for key, value in config.items() if key != "name"})


def _revive(value: Any) -> Any:
    if isinstance(value, dict):
        return from_config(value)
    return [_revive(each) for each in value] if isinstance(value, list) else value
