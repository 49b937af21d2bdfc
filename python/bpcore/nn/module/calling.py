"""What a call of a module does: on symbolic tensors its own Python, on arrays a plan made of it and kept."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import runtime
from bpcore.basics import tree
from bpcore.basics.arrays import FLOATS, Array, as_array, is_sparse
from bpcore.basics.names import suggestion
from bpcore.basics.tables import from_table
from bpcore.nn.module.build import build_for, dtype_of
from bpcore.nn.module.changes import Watch
from bpcore.nn.module.lookups import explained
from bpcore.nn.module.quick import Quick
from bpcore.symbolic import sparse, tracing
from bpcore.symbolic.sparse import SparseTensor
from bpcore.symbolic.tensor import Operand, Tensor
from bpcore.symbolic.tracing import Runner, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore._core import Evaluator, Plan
    from bpcore.nn.module import Module
    from bpcore.nn.module.parameter import Storage

__all__ = ["Compiled", "callable_on_arrays", "compile_call", "storage_of"]

_ARRAYS = (np.ndarray, np.generic, list, tuple, Operand)

_QUICK_NANOSECONDS = 2e5  # beyond it, what a call costs around the run doesn't matter


def callable_on_arrays(call: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a module's `__call__`, written for tensors, take NumPy arrays as well."""

    @functools.wraps(call)
    def wrapper(self: Module, *inputs: Any, **options: Any) -> Any:
        trace = tracing.current()
        if trace is None:
            quick = self._bpcore.quick
            if quick is not None and not options and tracing.mode() is None:
                result = quick(inputs, False)
                if result is not None:
                    return result
            if not any(_is_symbolic(each) for each in inputs):
                return _call_on_arrays(self, *_by_position(call, inputs, options))
        if trace is not None and not trace.building and not self._bpcore.built:
            arrays = (Operand, np.ndarray, SparseTensor)
            specs = [(x.shape, str(x.dtype)) for x in inputs if isinstance(x, arrays)]
            dtype = next((kind for _, kind in specs if kind in FLOATS), trace.dtype)
            places = [isinstance(x, arrays) for x in inputs]
            # Tensors by name are of another trace than the one that finds sizes.
            settings = {name: each for name, each in options.items() if not _is_symbolic(each)}
            build_for(self, specs, dtype, call=_filled(self, inputs, places, settings))
        begin = 0 if trace is None else len(trace.graph)
        output = call(self, *inputs, **options)
        if trace is not None:
            trace.calls.append((self._bpcore.path, begin, len(trace.graph)))
        self._bpcore.output = tree.rebuild(output, lambda leaf: getattr(leaf, "shape", ()))
        plain = not options and all(isinstance(x, Tensor) for x in inputs)
        self._bpcore.inputs = [(x.shape, str(x.dtype)) for x in inputs] if plain else []
        return output

    return wrapper


def _by_position(
    call: Callable[..., Any], inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with those positions filled that arrays given by name have, and those before them."""
    if not any(_is_array(each) for each in options.values()):
        return inputs, options
    found, rest = list(inputs), dict(options)
    for parameter in list(inspect.signature(call).parameters.values())[1 + len(inputs) :]:
        given = parameter.name in rest or parameter.default is not parameter.empty
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or not given:
            break
        found.append(rest.pop(parameter.name, parameter.default))
    return tuple(found), rest


def _filled(
    model: Module, inputs: tuple[Any, ...], places: list[bool], options: dict[str, Any]
) -> Callable[..., Any]:
    """A call of `model` on tensors, which come where `places` says, and on what else `inputs` holds."""
    fixed = tuple(each for each, is_array in zip(inputs, places, strict=True) if not is_array)

    def call(*tensors: Tensor) -> Any:
        rest, others = iter(tensors), iter(fixed)
        return model(*(next(rest) if is_array else next(others) for is_array in places), **options)

    return call


def _is_symbolic(value: Any) -> bool:
    """Whether `value` is a tensor, or a sequence that begins with one."""
    return isinstance(value, (Tensor, SparseTensor)) or (
        isinstance(value, (tuple, list)) and bool(value) and _is_symbolic(value[0])
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, _ARRAYS) or is_sparse(value) or hasattr(value, "__array__")


def _check_names(model: Module, options: dict[str, Any]) -> None:
    """TypeError for an argument that the module's `__call__` doesn't have."""
    parameters = inspect.signature(type(model).__call__).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return
    known = list(parameters)[1:]
    for name in options:
        if name not in known:
            raise TypeError(
                f"{type(model).__name__}: there is no argument {name!r}; {suggestion(name, known)}"
            )


def _of_table(value: Any, who: str) -> Any:
    table = from_table(value, who)
    return value if table is None else table


class Compiled:
    """A traced call: what runs it, and its result, with stand-ins for the outputs of the plan."""

    def __init__(
        self,
        runner: Runner,
        result: Any,
        shapes: tuple[tuple[int, ...], ...] | None,
        storage: Storage | None,
        stamps: tuple[object, ...] = (),
    ) -> None:
        self._runner = runner
        self._result = result
        self._shapes = shapes  # of the arrays; None if one is sparse
        self.storage = storage
        self.stamps = stamps  # of the module, when it was traced
        self._evaluator: Evaluator | None = None

    @property
    def plan(self) -> Plan:
        """What is run."""
        return self._runner.plan

    def __call__(self, arrays: list[Array], threads: int) -> Any:
        """The result for what the plan reads: see `sparse.plan_inputs`."""
        return self._arranged(self._runner(arrays, threads=threads))

    def _arranged(self, outputs: Any) -> Any:
        """The result made of what the plan, or its evaluator, gives."""
        found = (outputs,) if isinstance(outputs, np.ndarray) else outputs
        return tree.rebuild(self._result, lambda leaf: found[leaf.at] if isinstance(leaf, _Output) else leaf)

    def quick(self, watch: Watch, known: Quick | None) -> Quick | None:
        """`known`, or another if the model has changed since, with the short way to this result.

        As it is, if there is none: where the run takes long, or results aren't all made by it.
        """
        leaves = tree.leaves(self._result)
        if self._shapes is None or self.plan.cost > _QUICK_NANOSECONDS:
            return known
        if not leaves or not all(isinstance(leaf, _Output) for leaf in leaves):
            return known
        if self._evaluator is None:
            self._evaluator = self._runner.evaluator(len(leaves), convert=self.storage is not None)
        if self._evaluator is None:
            return known
        if known is None or not known.unchanged():
            known = Quick(watch)
        one = isinstance(self._result, _Output)
        plain = type(self._result) is tuple and len(self._result) == len(leaves) > 1
        known.add(self._shapes, self._evaluator, None if one or plain else self._arranged)
        return known


class _Output:
    """Stands in a result for an output of the plan."""

    def __init__(self, at: int) -> None:
        self.at = at


def compile_call(
    call: Callable[..., Any],
    inputs: list[tuple[Any, ...]],
    storage: Storage | None,
    stamps: tuple[object, ...] = (),
) -> Compiled:
    """Traces `call` on symbolic inputs, by specs as `sparse.symbolic` takes them, and plans it."""
    outputs: list[int] = []

    def number(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        outputs.append(leaf.node)
        return _Output(len(outputs) - 1)

    with Trace(storage=storage) as trace:
        tensors = [sparse.symbolic(trace, *spec) for spec in inputs]
        result = tree.rebuild(call(*tensors), number)
        runner = trace.runner(outputs)
    dense = all(isinstance(tensor, Tensor) for tensor in tensors)
    shapes = tuple(tensor.shape for tensor in tensors) if dense else None
    return Compiled(runner, result, shapes, storage, stamps)


def storage_of(model: Module) -> Storage | None:
    """Where parameters of `model` lie, None if they don't exist; a part's lie in the whole's storage."""
    found = (variable.storage for _, variable in model.named_variables())
    return next((storage for storage in found if storage is not None), None)


def _call_on_arrays(model: Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    who = type(model).__name__
    if not all(isinstance(each, np.ndarray) for each in inputs):
        inputs = tuple(_of_table(each, who) for each in inputs)
    dynamic = [_is_array(each) for each in inputs]
    call = _filled(model, inputs, dynamic, options)
    arrays: list[Any] = [
        sparse.as_matrix(each, who) if is_sparse(each) else as_array(each, who)
        for each, is_array in zip(inputs, dynamic, strict=True)
        if is_array
    ]
    storage = storage_of(model)
    has_variables = storage is not None or next(model.named_variables(), None) is not None
    dtype = storage.dtype if storage is not None else dtype_of(model) or "float32"
    if has_variables:
        arrays = [sparse.narrowed(array, dtype, who) for array in arrays]
    if not model._bpcore.built:
        build_for(model, [(array.shape, array.dtype.name) for array in arrays], call=call)
        storage = storage_of(model)
    fixed = tuple(each for each, is_array in zip(inputs, dynamic, strict=True) if not is_array)
    specs = [sparse.spec_of(array, dtype) for array in arrays]
    kinds = tuple(map(type, (*fixed, *options.values())))  # 1 and True are one key otherwise
    key = (tuple(specs), tuple(dynamic), fixed, tuple(options.items()), kinds, tracing.mode() is None)
    try:
        hash(key)
    except TypeError:
        _check_names(model, options)
        raise TypeError(
            f"{who}: what is not an array must be hashable, and arrays are passed by position"
        ) from None

    def make() -> Compiled:
        return compile_call(call, specs, storage, stamps)

    watch, stamps = Watch(model), model._stamps()
    compiled = model._bpcore.plans.get(key, make)
    # Packed anew, by a trainer or into a larger model, or made of other parts than before.
    if compiled.storage is not storage or compiled.stamps != stamps:
        model._bpcore.plans.clear()
        compiled = model._bpcore.plans.get(key, make)
    read = sparse.plan_inputs(arrays, specs)
    try:
        result = compiled(read, runtime.threads())
    except ValueError as error:
        raise explained(error, model, compiled.plan, read) from None
    if all(dynamic) and not options and tracing.mode() is None:
        model._bpcore.quick = compiled.quick(watch, model._bpcore.quick)
    return result
