"""Who looks up rows by integers in a model, for errors: the op alone says little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore._native import core
from bpcore.basics.indices import integers, out_of_range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore._core import Plan
    from bpcore.basics.arrays import Array
    from bpcore.nn.module import Module

__all__ = ["explained", "takers"]


def takers(model: Module) -> Callable[[str, int, int], str]:
    """What tells of an op, and of the least and the first too large integer for it, who takes which."""

    def takes(op: str, low: int, high: int) -> str:
        layers = [module._title() for _, module in model.named_modules() if module._rows == high]
        if op != "gather" or not layers:
            return integers(f"{op} takes", low, high)
        return f"{' or '.join(layers)} has {high} tokens, {low} to {high - 1}"

    return takes


def explained(error: ValueError, model: Module, plan: Plan, arrays: Sequence[Array]) -> ValueError:
    """`error`, or one that says more, if it was raised since `arrays` have an index of no row."""
    for number, low, high, op in plan.index_bounds:
        if op != "gather" or number >= len(arrays):
            continue  # other ops say more themselves; a parameter is no index
        at = core.first_outside(arrays[number], low, high)
        if at >= 0:
            name = "input" if len(arrays) == 1 else f"input {number}"
            takes = takers(model)(op, low, high)
            return out_of_range(f"{model._title()}: {name}", arrays[number], at, takes)
    return error
