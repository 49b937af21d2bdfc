"""A model's arrays by name, as files and other models hold them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bpcore.basics.arrays import FLOATS
from bpcore.nn.module import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.nn.module import Module
    from bpcore.nn.module.parameter import Variable

__all__ = ["between_steps", "check", "fits", "listed", "named", "restore", "tensors"]

_SHOWN = 4  # names that an error lists of each kind


def named(model: Module) -> dict[str, Variable]:
    """The parameters and states of `model` by the names they have in files: states are ``state.<path>``."""
    found: dict[str, Variable] = {}
    for path, variable in model.named_variables():
        name = f"state.{path}" if variable.is_state else path
        if name in found:
            raise ValueError(
                f"the model has a parameter and a state that would both be saved as {name!r}; rename one"
            )
        found[name] = variable
    return found


def tensors(model: Module) -> dict[str, Array]:
    """The arrays of `model`, which must exist, by the names they have in files."""
    return {name: variable.value for name, variable in named(model).items()}


@contextmanager
def between_steps(*models: Module) -> Iterator[None]:
    """Around what reads or writes all of these models: no thread is in the middle of a step meanwhile."""
    variables = (variable for model in models for _, variable in model.named_variables())
    storages = {id(v.storage): v.storage for v in variables if v.storage is not None}
    with ExitStack() as stack:
        for _, storage in sorted(storages.items()):  # in one order for all, so that nobody waits for ever
            stack.enter_context(storage.writing)
        yield


def check(model: Module, arrays: Mapping[str, Array], who: str) -> None:
    """ValueError, naming tensors, unless `arrays` are those of `model`, in its shapes and no wider dtype.

    An optimizer's tensors, called ``optimizer.<...>``, and a run's, ``run:<...>``, may stand beside them.
    """
    expected = named(model)
    others = {name for name in arrays if name not in expected and not name.startswith(("optimizer.", "run:"))}
    both = [name for name in expected if name in arrays]
    shapes = [
        f"{name} is {arrays[name].shape}, not {expected[name].sizes}".replace("None", "?")
        for name in both
        if not fits(expected[name].sizes, arrays[name].shape)
    ]
    dtypes = [
        f"{name} ({arrays[name].dtype})"
        for name in both
        if arrays[name].dtype.name not in FLOATS
        or (expected[name].storage is not None and _narrows(arrays[name], expected[name].dtype))
    ]
    problems = [
        f"{what}: {listed(names)}"
        for what, names in (
            ("missing", [name for name in expected if name not in arrays]),
            ("unexpected", sorted(others)),
            ("of another shape", shapes),
            ("of a dtype that does not fit", dtypes),
        )
        if names
    ]
    if problems:
        raise ValueError(f"{who} does not fit this model; {'; '.join(problems)}")


def listed(names: list[str]) -> str:
    """The first of `names`, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def fits(sizes: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Whether `shape` may be that of a variable of these `sizes`."""
    return len(sizes) == len(shape) and all(s in (None, t) for s, t in zip(sizes, shape, strict=True))


def _narrows(array: Array, dtype: str) -> bool:
    return array.dtype == np.float64 and dtype == "float32"


def restore(model: Module, arrays: Mapping[str, Array], who: str) -> None:
    """Gives `model` the values in `arrays`, checked before anything changes; see `check`.

    A model that does not exist yet takes its sizes and its dtype from them.
    """
    check(model, arrays, who)
    variables = named(model)
    if all(variable.storage is not None for variable in variables.values()):
        with between_steps(model):
            for name, variable in variables.items():
                variable.value[...] = arrays[name]
        return
    wide = any(arrays[name].dtype == np.float64 for name in variables)
    with build.attempt(model):
        for name, variable in variables.items():
            variable.infer(arrays[name].shape)
            variable.given = arrays[name]
        build.pack(model, 0, "float64" if wide else "float32")
