"""How parameters come to be: named, sized by one trace, packed into the flat buffers of a `Storage`."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics import settings
from bpcore.basics.arrays import FLOATS, as_array
from bpcore.basics.names import stream_of
from bpcore.nn.module import changes
from bpcore.nn.module.parameter import Parameter, State, Storage, Variable
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.nn.module import Module

__all__ = [
    "LOCK", "attempt", "batch_shapes", "build_for", "collect", "dtype_of", "pack", "packed",
    "size_by_tracing", "sizing", "value_of",
]  # fmt: skip


def collect(model: Module) -> tuple[list[Parameter], list[State]]:
    """The parameters and states of `model` in definition order, each once, and now called by its path.

    ValueError if two have the same path, as keys of dicts may bring about.
    """
    variables: dict[str, Variable] = {}
    for name, variable in model.named_variables():
        other = variables.setdefault(name, variable)
        if other is not variable:
            raise ValueError(
                f"{_kind(other)} and {_kind(variable)} of the model are both called {name!r}; rename one"
            )
    for path, module in model.named_modules():
        module._bpcore.path = path
    parameters: list[Parameter] = []
    states: list[State] = []
    for name, variable in variables.items():
        variable.name = name
        if isinstance(variable, Parameter):
            parameters.append(variable)
        elif isinstance(variable, State):
            states.append(variable)
    return parameters, states


def _kind(variable: Variable) -> str:
    sizes = ", ".join("?" if size is None else str(size) for size in variable.sizes)
    return f"a {type(variable).__name__.lower()} of sizes [{sizes}]"


def dtype_of(model: Module) -> str | None:
    """The widest dtype of the values that exist in `model`, None if there are none."""
    variables = (variable for _, variable in model.named_variables())
    found = [v.dtype for v in variables if v.storage is not None or v.given is not None]
    return max(found, key=FLOATS.index) if found else None


def packed(model: Module) -> Storage | None:
    """The storage that holds exactly `model`, by the names that it has in it, None if there is none."""
    parameters, states = list[tuple[str, Variable]](), list[tuple[str, Variable]]()
    for name, variable in model.named_variables():
        (states if variable.is_state else parameters).append((name, variable))
    storage = next((variable.storage for _, variable in parameters + states), None)
    if storage is None:
        return None
    names = tuple(name for name, _ in parameters), tuple(name for name, _ in states)
    in_place = names == (storage.parameters, storage.states) and all(
        variable.storage is storage and variable.slot == slot
        for variables in (parameters, states)
        for slot, (_, variable) in enumerate(variables)
    )
    return storage if in_place else None


# Held while parameters come to be, which threads that use a new model at the same time may all want to do.
LOCK = RLock()


@contextmanager
def attempt(model: Module) -> Iterator[None]:
    """If what runs inside of it fails, the parameters of `model` are as they were: sizes, places, all."""
    with LOCK:
        variables = [(v, v.sizes, v.storage, v.slot, v.given) for _, v in model.named_variables()]
        modules = [(m._bpcore, m._bpcore.built, m._bpcore.output) for _, m in model.named_modules()]
        moved = [(storage, storage.moved) for _, _, storage, _, _ in variables if storage is not None]
        try:
            yield
        except BaseException:
            for variable, sizes, storage, slot, given in variables:
                variable.sizes, variable.storage, variable.slot, variable.given = sizes, storage, slot, given
            for runtime, built, output in modules:
                runtime.built, runtime.output = built, output
            for old, was_moved in moved:
                old.moved = was_moved
            changes.note()
            raise


@contextmanager
def sizing(model: Module, dtype: str) -> Iterator[Trace]:
    """A trace that fills in the sizes of `model`'s parameters as they are used; if it fails, none of them."""
    collect(model)
    with attempt(model), Trace(building=True, training=True, dtype=dtype) as trace:
        yield trace


def size_by_tracing(
    model: Module,
    inputs: Sequence[tuple[Sequence[int], str]],
    dtype: str,
    call: Callable[..., Any] | None = None,
) -> None:
    """Calls `model` on symbolic inputs of these shapes and dtypes, to find the sizes of its parameters.

    `call`, if given, does so: for a model that takes more than those.
    """
    with sizing(model, dtype) as trace:
        (call or model)(*(Tensor(trace, trace.graph.input(shape, kind)) for shape, kind in inputs))


def pack(model: Module, seed: int, dtype: str, called: bool = False) -> Storage:
    """Lays the parameters and states of `model` out in a storage of their own.

    Values that exist are kept (float32 ones may become float64); the others are drawn by their initializer,
    keyed by `seed` and name. RuntimeError if a size is not known or a trainer is writing to the values,
    TypeError for float64 values in a float32 model, ValueError or TypeError for what an initializer gives if
    it is not finite numbers of the right shape. `called` says that the model has been, to find sizes.
    """
    parameters, states = collect(model)
    everything: list[Variable] = [*parameters, *states]
    seed = settings.seed("build", seed)
    missing = [variable.name for variable in everything if not variable.known]
    if missing:
        sizes = f"the sizes of {', '.join(missing)} are not known"
        if called:
            raise RuntimeError(
                f"{sizes}, since no call uses them: leave their layer out, or give it its in_features"
            )
        raise RuntimeError(
            f"{sizes} yet: give every layer its in_features, call model.build(input_shape), or use the model "
            "once"
        )
    if any(variable.storage is not None and variable.storage.busy.locked() for variable in everything):
        raise RuntimeError("a part of the model is in the middle of a fit or a step of another trainer")
    values = {id(variable): value_of(variable, seed, dtype) for variable in everything}
    store = core.Store([(p.name, p.shape) for p in parameters], [(s.name, s.shape) for s in states], dtype)
    storage = Storage(store, tuple(p.name for p in parameters), tuple(s.name for s in states))
    changes.note()
    for group in (parameters, states):
        for slot, variable in enumerate(group):
            if variable.storage is not None:
                variable.storage.moved = True
            variable.storage, variable.slot, variable.given = storage, slot, None
            variable.value[...] = values[id(variable)]
    for _, module in model.named_modules():
        module._bpcore.built = True
    return storage


def value_of(variable: Variable, seed: int, dtype: str) -> Array:
    """The value that `variable`, whose name is known, has or is to begin with; errors as of `pack`."""
    if variable.storage is not None or variable.given is not None:
        value = variable.value if variable.given is None else variable.given
        if value.dtype == np.float64 and dtype == "float32":
            raise TypeError(
                f'{variable!r} has float64 values, which a float32 model would cut short; use dtype="float64"'
            )
        return value
    return _initial(variable, seed, dtype)


def _initial(variable: Variable, seed: int, dtype: str) -> Array:
    """What the initializer gives; ValueError or TypeError unless those are values for `variable`.

    Only a state may begin with infinity, as a running minimum does.
    """
    who = f"{variable!r}: its initializer"
    values = as_array(variable.init(variable.shape, seed, stream_of(variable.name)), who)
    if values.shape != variable.shape:
        raise ValueError(f"{who} gave values of shape {values.shape}")
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    wrong = ~np.isfinite(rounded)
    if variable.is_state:
        wrong &= ~np.isinf(values)
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        reason = f", which overflows {dtype}" if np.isfinite(values[at]) else ""
        raise ValueError(f"{who} gave {values[at]} at [{', '.join(str(i) for i in at)}]{reason}")
    return rounded


def build_for(
    model: Module,
    inputs: Sequence[tuple[Sequence[int], str]],
    dtype: str | None = None,
    seed: int = 0,
    call: Callable[..., Any] | None = None,
) -> None:
    """Makes the parameters of `model` exist, sized by inputs of these shapes and dtypes.

    A model of which everything exists, in one storage or several, stays as it is. `dtype` is for a model of
    which nothing does, "float32" if None. `call` as for `size_by_tracing`.
    """
    with LOCK:
        variables = [variable for _, variable in model.named_variables()]
        if any(variable.storage is None for variable in variables):
            dtype = dtype_of(model) or dtype or "float32"
            with attempt(model):
                called = not all(variable.known for variable in variables)
                if called:
                    size_by_tracing(model, inputs, dtype, call)
                pack(model, seed, dtype, called)
    for _, module in model.named_modules():
        module._bpcore.built = True


def batch_shapes(given: Any) -> list[list[int]]:
    """The shapes that `Module.build` was given, with None as 1."""
    several = isinstance(given, (list, tuple)) and bool(given) and isinstance(given[0], (list, tuple))
    shapes = []
    for shape in given if several else [given]:
        sizes = [shape] if isinstance(shape, (int, np.integer)) else list(shape)
        if not sizes or any(not isinstance(size, (int, np.integer, type(None))) for size in sizes):
            raise TypeError(f"build: a shape is made of integers and None, got {shape!r}")
        if any(size is not None and size < 1 for size in sizes) or (len(sizes) == 1 and sizes[0] is None):
            raise ValueError(f"build: every size of a shape must be at least 1, got {shape!r}")
        batch = [1, *sizes] if len(sizes) == 1 else sizes
        shapes.append([1 if size is None else int(size) for size in batch])
    return shapes
